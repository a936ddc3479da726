"""A session for a user of a test, as after a login."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, load_backend

from live.users import User


def make_session(user: User) -> str:
    """The key of a new session of `user`; for synchronous code, as it asks the database.

    Nothing is told that somebody logged in: the user counts as one who did so before. Raises ValueError for a user who
    is not saved or whom no authentication backend knows.
    """
    person: Any = user
    if person.pk is None:
        raise ValueError("the application finds users by their session: save the user first, or pass user=None")
    backends = [path for path in settings.AUTHENTICATION_BACKENDS if hasattr(load_backend(path), "get_user")]
    if not backends:
        raise ValueError("AUTHENTICATION_BACKENDS names no backend with get_user(): no session can have a user")
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = person._meta.pk.value_to_string(person)
    session[BACKEND_SESSION_KEY] = getattr(person, "backend", backends[0])
    session[HASH_SESSION_KEY] = person.get_session_auth_hash() if hasattr(person, "get_session_auth_hash") else ""
    session.save()
    return str(session.session_key)
