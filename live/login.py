"""Who opens a WebSocket: the user of the Django session whose cookie came with the handshake.

What Channels' `AuthMiddlewareStack` finds out with a thread and two queries for each socket, for all that wait at the
same time: after a restart every tab comes back in the same second. Nothing is asked for visitors without a cookie.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from copy import copy
from time import monotonic
from typing import Any, NamedTuple

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import parse_cookie

from live import session_checks
from live.logs import about
from live.node import runtime
from live.sessions import AT_ONCE, read_users
from live.users import User

logger = logging.getLogger("live.request")

SESSION = "live.session_key"
"""Key of the scope under which the key of the session is left that the visitor is logged in with; "" without one."""

ASKED_AT = "live.asked_at"
"""Key of the scope under which it is left when that was asked for, on the monotonic clock."""


class Visitor(NamedTuple):
    """Who came: its user, and the key of the session that says so, "" for somebody who is not logged in."""

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
        user = await found
        return Visitor(user, key if user.is_authenticated else "")

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
    """The session key in a handshake's cookies, or "".

    One with a control character is none: a database that refuses it refuses all that are looked up with it.
    """
    for name, value in headers:
        if name == b"cookie":
            key = parse_cookie(value.decode("latin-1")).get(settings.SESSION_COOKIE_NAME)
            if key and key.isascii() and key.isprintable():
                return key
    return ""


class SessionLogin:
    """Middleware: leaves the visitor's user in the scope, under ``user``; refuses what comes when too many wait."""

    def __init__(self, application: Any, *, limit: int) -> None:
        self._application = application
        self._logins = Logins(limit)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Passes the handshake on with its user, or refuses it with 403, after which clients back off."""
        asked_at = monotonic()
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
            scope[ASKED_AT] = asked_at
            if visitor.session_key:
                session_checks.watch()
            del visitor
            await self._application(scope, receive, send)


async def refuse(receive: Any, send: Any) -> None:
    """Answers a handshake with 403, the one answer that every server gives for a close before the accept."""
    await receive()
    await send({"type": "websocket.close", "code": 1000})
