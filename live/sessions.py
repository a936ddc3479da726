"""Reads the sessions of many clients at once: whose they are at a handshake, and which of them have ended since.

As Django reads one, with two queries for all of them where Django's own engine and backends are used. Everything here
asks the database, so none of it may run on an event loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model, load_backend
from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends.base import VALID_KEY_CHARS, CreateError
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessions
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieSessions
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.crypto import constant_time_compare, get_random_string

from live.users import User, user_id

AT_ONCE = 100
"""Sessions read in one go."""

PROBES = 10
"""Sessions an engine has to keep before it is believed; several, as a cache may be spread over servers."""

PROBE_SECONDS = 60
"""Seconds after which a probe that could not be deleted runs out."""

_PROBE = "live"

Login = tuple[str, str]
"""The key of a session, and the id of the user who came with it."""


class ForgetfulSessionsError(Exception):
    """The session engine does not keep what it is given, so a session that it does not have may not have ended."""


def read_users(keys: Iterable[str]) -> dict[str, User]:
    """The users logged in to these sessions, by session key.

    As in Django, a session counts only with a backend that is configured and the hash of the user's present password.
    """
    return _find_users(_read_sessions(keys))


def find_ended(logins: Iterable[Login]) -> set[Login]:
    """Which of `logins` count no more: the session is gone, or is not a login of that user any more.

    A session that holds other things than a user stays: the login came another way. Raises what the engine and the
    database raise, and `ForgetfulSessionsError` where an engine that may keep silent about a failure has one.
    """
    logins = set(logins)
    keys = {key for key, _ in logins}
    sessions = _read_sessions(keys)
    if gone := keys - sessions.keys():
        sessions |= _read_again(gone)
    users = _find_users(sessions)

    def counts(key: str, user: str) -> bool:
        if key not in sessions:
            return False
        return SESSION_KEY not in sessions[key] or (key in users and user_id(users[key]) == user)

    return {login for login in logins if not counts(*login)}


def _engine() -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore


def _read_sessions(keys: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """What is stored; engines answer with an empty session for one that they do not have."""
    store = _engine()
    if store is not DatabaseSessions:
        return {key: session for key in keys if (session := store(key).load())}
    rows = store.get_model_class().objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    decode = store().decode
    return {row.session_key: session for row in rows if (session := decode(row.session_data))}


def _read_again(gone: set[str]) -> dict[str, Mapping[str, Any]]:
    """Those of the sessions in `gone` that are there after all; raises `ForgetfulSessionsError`.

    A database says when it fails. Engines on caches and files answer as if there were no session, so before they are
    believed they have to give back what they were just given.
    """
    store = _engine()
    if issubclass(store, (DatabaseSessions, CookieSessions)):
        return {}
    forgetful = f"{settings.SESSION_ENGINE} does not keep what it is given; is its cache away?"
    try:
        probes = dict(_make_probe(store) for _ in range(PROBES))
    except CreateError as error:
        raise ForgetfulSessionsError(forgetful) from error
    # Read beside them, so that an engine that comes and goes is found out as well.
    found = _read_sessions(gone | probes.keys())
    for key in probes:
        store().delete(key)
    if any(found.get(key, {}).get(_PROBE) != value for key, value in probes.items()):
        raise ForgetfulSessionsError(forgetful)
    return {key: session for key, session in found.items() if key in gone}


def _make_probe(store: Any) -> tuple[str, str]:
    key, value = get_random_string(32, VALID_KEY_CHARS), get_random_string(32)
    probe = store(key)
    # Else the first use would read it.
    probe.clear()
    probe[_PROBE] = value
    # An engine on files takes a number of seconds for no limit at all.
    probe.set_expiry(timedelta(seconds=PROBE_SECONDS))
    probe.save(must_create=True)
    return key, value


def _find_users(sessions: Mapping[str, Mapping[str, Any]]) -> dict[str, User]:
    users = _Users()
    for data in sessions.values():
        users.want(data)
    return {key: user for key, data in sessions.items() if (user := users.get(data)) is not None}


class _Users:
    """Users of sessions, read with one query where the backend reads them as Django's own does."""

    def __init__(self) -> None:
        self._model = get_user_model()
        self._backends = {path: load_backend(path) for path in settings.AUTHENTICATION_BACKENDS}
        self._wanted: set[Any] = set()
        self._found: dict[Any, Any] | None = None

    def want(self, session: Mapping[str, Any]) -> None:
        """The user of this session will be asked for."""
        if self._plain(session.get(BACKEND_SESSION_KEY)) and (key := self._key(session)) is not None:
            self._wanted.add(key)

    def get(self, session: Mapping[str, Any]) -> User | None:
        """The user of this session, if it is logged in."""
        path, key = session.get(BACKEND_SESSION_KEY), self._key(session)
        backend: Any = self._backends.get(str(path))
        if backend is None or key is None:
            return None
        if self._plain(path):
            if self._found is None:
                self._found = {user.pk: user for user in self._model._default_manager.filter(pk__in=self._wanted)}
            user = self._found.get(key)
            if user is not None and not backend.user_can_authenticate(user):
                return None
        else:
            user = backend.get_user(key)
        return user if user is not None and _is_valid(session, user) else None

    def _plain(self, path: Any) -> bool:
        backend = self._backends.get(str(path))
        return backend is not None and type(backend).get_user is ModelBackend.get_user

    def _key(self, session: Mapping[str, Any]) -> Any:
        try:
            return self._model._meta.pk.to_python(session[SESSION_KEY])
        except (KeyError, ValidationError):
            return None


def _is_valid(session: Mapping[str, Any], user: Any) -> bool:
    if not hasattr(user, "get_session_auth_hash"):
        return True
    known = session.get(HASH_SESSION_KEY, "")
    fallbacks = getattr(user, "get_session_auth_fallback_hash", tuple)
    return any(constant_time_compare(known, wanted) for wanted in (user.get_session_auth_hash(), *fallbacks()))
