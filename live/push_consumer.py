"""A push over WebSocket: ``GET /api/live/push/<stream id>``, each message one body (grafana-live §2.3).

Who may not push, or asks for what there is not, is refused before the upgrade with 403: a sender that was let in and
then closed would believe that its first metrics arrived. After that errors come back as one line of JSON each and the
socket stays. One body is in work at a time, so they are published in the order they came in, and a sender that is
faster than the publishing is closed with 1013 once too much waits. A node that stops sends its senders to another one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

import orjson
from channels.auth import get_user
from channels.consumer import AsyncConsumer
from channels.db import database_sync_to_async
from django.conf import settings
from django.http import QueryDict
from rest_framework.exceptions import NotAuthenticated, PermissionDenied

from live.api.authentication import RecentTokens, find_user, recent_tokens
from live.api.base import Refusal, find_refusal
from live.api.body import too_large
from live.api.ingest import PushOptions, prepare_aside, publish_push
from live.api.permissions import MAY_NOT_PUSH, may_push
from live.api.push import throttle
from live.conf import live_settings
from live.logs import about
from live.node import runtime
from live.node.daphne import find_connection
from live.node.outbox import RAW_SEND
from live.users import User, user_id

logger = logging.getLogger("live.request")

GOING_AWAY = 1001
"""Close code: this node stops. What came before is answered, and what the server still took is published."""
TRY_AGAIN_LATER = 1013
"""Close code: more bytes wait than may; all that came before are still published."""
NO_LONGER_ALLOWED = 4403
"""Close code: the token, the login or the permission is gone."""

MESSAGE_BYTES = 256
"""What a waiting message costs besides its bytes, so that empty ones cannot pile up."""
LEAVE_SECONDS = 1.0
"""Seconds a sender that sends without a pause has until it is closed all the same when the node stops."""
UNREAD_BYTES = 64 * 1024
"""Bytes of errors that may wait for a sender that does not read; more are not sent."""

Send = Callable[[dict[str, Any]], Awaitable[None]]


class PushConsumer(AsyncConsumer):
    """One WebSocket that metrics come in by."""

    channel_layer_alias = None  # type: ignore[assignment]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves the socket until it is gone and everything it sent is published."""
        await receive()
        send = scope.get(RAW_SEND, send)
        # Now: after the waiting below there may be none, and nobody is to start another.
        node = runtime.current_node()
        stream_id = scope["url_route"]["kwargs"]["stream_id"]
        sender = Sender(scope, stream_id)
        try:
            await sender.check()
            options = PushOptions.read(stream_id, QueryDict(scope["query_string"]).dict())
        except Exception as error:
            refusal = find_refusal(error)
            if refusal is None:
                raise
            extra = about(user=user_id(scope["user"]), node=runtime.node_id())
            logger.info("push over WebSocket to %.60r refused: %s", stream_id, refusal.message, extra=extra)
            await send({"type": "websocket.close", "code": 1000})
            return
        if node is None or node.draining:
            runtime.count_refused("draining")
            await send({"type": "websocket.close", "code": GOING_AWAY})
            return
        await send({"type": "websocket.accept"})
        connection = PushConnection(sender, options, send)
        node.senders.add(connection)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(connection.work(), name="live push")
                await connection.read(receive)
        finally:
            node.senders.remove(connection)


class Sender:
    """Who sends: the token of the handshake, or the session of a browser, looked at again every few seconds."""

    def __init__(self, scope: Any, stream_id: str) -> None:
        self._stream_id = stream_id
        self._header: bytes = next((value for key, value in scope["headers"] if key == b"authorization"), b"")
        self._session = scope["session"]
        self._user: User = scope["user"]
        self._checked = time.monotonic()

    async def check(self) -> User:
        """The user; raises `NotAuthenticated`, `AuthenticationFailed` or `PermissionDenied`."""
        user = await self._find_user()
        if not user.is_authenticated:
            raise NotAuthenticated
        if not await may_push(user, self._stream_id):
            raise PermissionDenied(MAY_NOT_PUSH)
        return user

    async def _find_user(self) -> User:
        if self._header:
            found = recent_tokens.get(self._header) or await database_sync_to_async(find_user)(self._header)
            if found is not None:
                user: User = found[0]
                return user
        now = time.monotonic()
        if now >= self._checked + RecentTokens.SECONDS:
            # The session as it is stored now: the user may have logged out since the handshake.
            store = import_module(settings.SESSION_ENGINE).SessionStore(self._session.session_key)
            self._user = await get_user({"session": store})  # type: ignore[typeddict-item]
            self._checked = now
        return self._user


class PushConnection:
    """What happens to the messages: they wait in `_waiting`, bounded in bytes, until `work` takes them."""

    def __init__(self, sender: Sender, options: PushOptions, send: Send) -> None:
        self._sender = sender
        self._options = options
        self._send = send
        self._socket = find_connection(send)
        if self._socket is not None:
            # daphne pings and drops whoever does not answer in time, but senders that never read never answer.
            self._socket.expect_no_pongs()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._closed = False
        """Whether nothing can be told any more."""
        self._ended = False
        """Whether nothing more is taken."""
        self._leave_by: float | None = None
        """When it is closed at the latest, on the clock of the loop; None while the node goes on."""
        self._changed = asyncio.Event()

    def leave(self) -> None:
        """The node stops: what waits is answered, then the socket closed. Returns at once."""
        if self._leave_by is None:
            self._leave_by = asyncio.get_running_loop().time() + LEAVE_SECONDS
            self._changed.set()

    async def read(self, receive: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        """Takes messages until the socket is gone, or too many of them wait."""
        limit = live_settings.push_max_bytes
        while not self._ended:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                break
            text = event.get("text")
            body: bytes = text.encode() if text is not None else event.get("bytes") or b""
            self._waiting.append(body)
            self._waiting_bytes += len(body) + MESSAGE_BYTES
            self._changed.set()
            # A single one is as large as it is; `work` says so if it is too large.
            if self._waiting_bytes > limit and len(self._waiting) > 1:
                await self._tell({"message": f"more than {limit} bytes wait to be published; send more slowly"})
                await self._close(TRY_AGAIN_LATER)
                self._ended = True
        self._closed = self._ended = True
        self._changed.set()

    async def work(self) -> None:
        """Publishes what waits, one body after the other, until nothing waits and nothing more can come."""
        while True:
            if self._leaves_now():
                # Read on until the other side is gone as well: what it sent meanwhile is published.
                await self._close(GOING_AWAY)
            if not self._waiting:
                if self._ended:
                    return
                self._changed.clear()
                await self._changed.wait()
                continue
            body = self._waiting.popleft()
            self._waiting_bytes -= len(body) + MESSAGE_BYTES
            refusal = await self._push(body)
            if refusal is not None:
                await self._tell(refusal.body())
                if refusal.status in (401, 403):
                    self._waiting.clear()
                    await self._close(NO_LONGER_ALLOWED)
                    self._ended = True

    def _leaves_now(self) -> bool:
        if self._closed or self._leave_by is None:
            return False
        return not self._waiting or asyncio.get_running_loop().time() >= self._leave_by

    async def _push(self, body: bytes) -> Refusal | None:
        """Publishes one body; what its sender is told if that cannot be."""
        try:
            if len(body) > live_settings.push_max_bytes:
                raise too_large(live_settings.push_max_bytes)
            await throttle(await self._sender.check())
            push = await prepare_aside(body, self._options)
            await publish_push(push)
        except Exception as error:
            refusal = find_refusal(error)
            if refusal is None:
                raise
            return refusal
        if push.rejected:
            total = push.accepted + push.rejected
            return Refusal(200, f"{push.rejected} of {total} lines are wrong, the others are published", push.errors)
        return None

    async def _tell(self, message: dict[str, Any]) -> None:
        """Sends one line of JSON, unless the socket is closed or the sender never reads."""
        if self._closed:
            return
        if self._socket is None or self._socket.held_bytes() <= UNREAD_BYTES:
            await self._send({"type": "websocket.send", "text": orjson.dumps(message).decode()})

    async def _close(self, code: int) -> None:
        if self._closed:
            return
        self._closed = True
        if self._socket is not None:
            self._socket.close(code)
        else:
            await self._send({"type": "websocket.close", "code": code})
