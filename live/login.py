"""Who opens a WebSocket: the user of the Django session whose cookie came with the handshake.

What Channels' `AuthMiddlewareStack` finds out with a thread and two queries for each socket, for all that wait at the
same time: after a restart every tab comes back in the same second. Nothing is asked for visitors without a cookie.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from copy import copy
from importlib import import_module
from typing import Any, NamedTuple

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model, load_backend
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessions
from django.core.exceptions import ValidationError
from django.http import parse_cookie
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from live.logs import about
from live.node import runtime
from live.users import User

logger = logging.getLogger("live.request")

AT_ONCE = 100
"""Sessions looked up in one go."""

SESSION = "live.session_key"
"""Key of the scope under which the session key of the handshake is left."""


class Visitor(NamedTuple):
    """Who came: its user, and the key of its session or ""."""

    user: User
    session_key: str = ""


class TooManyHandshakesError(Exception):
    """More wait to be looked up than may."""


class Logins:
    """The lookups of one process that are under way; at most `limit` wait."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: list[tuple[str, asyncio.Future[User]]] = []
        self._task: asyncio.Task[None] | None = None

    async def find(self, headers: Iterable[tuple[bytes, bytes]]) -> Visitor:
        """The visitor with these headers; raises `TooManyHandshakesError` and what the database raises."""
        key = session_key(headers)
        if not key:
            return Visitor(AnonymousUser())
        if len(self._waiting) >= self._limit:
            raise TooManyHandshakesError
        found: asyncio.Future[User] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, found))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look_up(), name="live logins")
        return Visitor(await found, key)

    async def _look_up(self) -> None:
        try:
            while self._waiting:
                some, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
                try:
                    users = await database_sync_to_async(read_users)({key for key, _ in some})
                except Exception as error:
                    for _, found in some:
                        if not found.done():
                            found.set_exception(error)
                    continue
                for key, found in some:
                    if not found.done():
                        user = users.get(key)
                        # Of their own, as handlers and Django keep things with a user.
                        found.set_result(AnonymousUser() if user is None else copy(user))
        finally:
            self._task = None


def session_key(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The session key in a handshake's cookies, or ""."""
    for name, value in headers:
        if name == b"cookie":
            key = parse_cookie(value.decode("latin-1")).get(settings.SESSION_COOKIE_NAME)
            if key:
                return key
    return ""


def read_users(keys: Iterable[str]) -> dict[str, User]:
    """The users logged in to these sessions, by session key; asks the database, so not on an event loop.

    As in Django, a session counts only with a backend that is configured and the hash of the user's present password.
    """
    sessions = _read_sessions(keys)
    users = _Users()
    for data in sessions.values():
        users.want(data)
    return {key: user for key, data in sessions.items() if (user := users.get(data)) is not None}


def _read_sessions(keys: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    store: Any = import_module(settings.SESSION_ENGINE).SessionStore
    if store is not DatabaseSessions:
        return {key: session for key in keys if (session := store(key).load())}
    rows = store.get_model_class().objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    decode = store().decode
    return {row.session_key: decode(row.session_data) for row in rows}


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


class SessionLogin:
    """Middleware: leaves the visitor's user in the scope, under ``user``; refuses what comes when too many wait."""

    def __init__(self, application: Any, *, limit: int) -> None:
        self._application = application
        self._logins = Logins(limit)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Passes the handshake on with its user, or refuses it with 403, after which clients back off."""
        try:
            visitor = await self._logins.find(scope["headers"])
        except TooManyHandshakesError:
            runtime.count_refused("busy")
            await refuse(receive, send)
        except Exception:
            logger.exception("the session of a WebSocket could not be read", extra=about(node=runtime.node_id()))
            await refuse(receive, send)
        else:
            scope["user"], scope[SESSION] = visitor
            del visitor
            await self._application(scope, receive, send)


async def refuse(receive: Any, send: Any) -> None:
    """Answers a handshake with 403, the one answer that every server gives for a close before the accept."""
    await receive()
    await send({"type": "websocket.close", "code": 1000})
