"""What stands between the hub and one client's socket: a queue bounded in bytes that never blocks the sender.

This is the portable outbox: it knows only ASGI's `send`, so it runs on every server. A task that drains the queue
exists only while there is something to drain. The outbox never waits for a slow reader on behalf of others: over its
limit it says so, and its client is disconnected.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from live.exceptions import DisconnectCode
from live.protocol.replies import disconnect_push

logger = logging.getLogger("live.node")

MESSAGES_PER_WIRE_FRAME = 16
"""At most so many messages are joined in one wire frame (client-protocol §5)."""

WIRE_FRAME_MAX_BYTES = 256 * 1024
"""Messages are joined up to this size: servers and clients refuse wire frames above 1 MiB (client-protocol §0)."""

CLOSE_TIMEOUT = 1.0
"""Seconds the goodbye to a client may take when its socket does not move."""

FLUSH_TIMEOUT = 5.0
"""Seconds what waits for a client may take to leave before the goodbye goes out without it."""

RAW_SEND = "live.send"
"""Key of the scope under which `live_application` leaves the server's own `send`, before any middleware wraps it."""

Send = Callable[[dict[str, Any]], Awaitable[None]]


def wire_frame(payload: bytes) -> bytes:
    """A whole text frame of a server, as it goes over the wire (RFC 6455 §5.2: final, unmasked)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class Encoded:
    """A message encoded once and shared by every outbox it goes to: JSON as bytes, as text, as a whole wire frame."""

    __slots__ = ("_frame", "_text", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._text: str | None = None
        self._frame: bytes | None = None

    @property
    def text(self) -> str:
        """The message as text; decoded at the first use only."""
        if self._text is None:
            self._text = self.raw.decode()
        return self._text

    @property
    def frame(self) -> bytes:
        """The message as a wire frame of its own; made at the first use only."""
        if self._frame is None:
            self._frame = wire_frame(self.raw)
        return self._frame


class Outbox:
    """The messages on their way to one client.

    `send` is ASGI's send of an accepted WebSocket, `limit` the most bytes that may wait. `on_slow` is called once when
    a message would exceed it, `on_error` once when the socket cannot be written to.
    """

    __slots__ = (
        "_closing",
        "_interrupted",
        "_limit",
        "_on_error",
        "_on_slow",
        "_queue",
        "_send",
        "_task",
        "queued_bytes",
    )

    def __init__(
        self,
        send: Send,
        *,
        limit: int,
        on_slow: Callable[[], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._send = send
        self._limit = limit
        self._on_slow = on_slow
        self._on_error = on_error
        self._queue: deque[Encoded] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closing: tuple[DisconnectCode, str] | None = None
        self._interrupted = False
        self.queued_bytes = 0

    def write(self, message: Encoded) -> None:
        """Takes `message` for delivery; returns at once. After `close` it does nothing."""
        if self._closing is not None:
            return
        size = len(message.raw)
        if self.queued_bytes + self.held_bytes() + size > self._limit:
            self._on_slow()
            return
        self._queue.append(message)
        self.queued_bytes += size
        self._wake()

    def held_bytes(self) -> int:
        """Bytes that left the queue and are known to wait on the server's side."""
        return 0

    def _wake(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._drain())

    def close(self, code: DisconnectCode, reason: str, *, flush: bool = True) -> None:
        """Says goodbye: what waits (unless `flush` is False), the disconnect push, then the close frame."""
        if self._closing is not None:
            return
        self._closing = (code, reason)
        if not flush:
            self._drop()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._goodbye(None))
        elif flush:
            asyncio.get_running_loop().call_later(FLUSH_TIMEOUT, self._interrupt, self._task)
        else:
            self._interrupt(self._task)

    def _interrupt(self, draining: asyncio.Task[None]) -> None:
        # The drain may be stuck in a send that never ends; what it holds is not wanted any more.
        if self._task is draining:
            self._interrupted = True
            self._drop()
            self._task = asyncio.get_running_loop().create_task(self._goodbye(draining))

    def _drop(self) -> None:
        self._queue.clear()
        self.queued_bytes = 0

    def _take(self) -> list[Encoded]:
        """The messages of the next wire frame: the oldest; clients split them again at newlines."""
        first = self._queue.popleft()
        size = len(first.raw)
        messages = [first]
        while self._queue and len(messages) < MESSAGES_PER_WIRE_FRAME:
            if size + len(self._queue[0].raw) > WIRE_FRAME_MAX_BYTES:
                break
            message = self._queue.popleft()
            size += len(message.raw)
            messages.append(message)
        self.queued_bytes -= size
        return messages

    async def _drain(self) -> None:
        try:
            while self._queue:
                text = "\n".join([message.text for message in self._take()])
                await self._send({"type": "websocket.send", "text": text})
            if self._closing is not None:
                await self._send_close()
        except Exception as error:
            # Servers raise various things for a socket that is gone; the client is told nothing, it has left.
            self._drop()
            self._on_error(error)
        finally:
            # Once interrupted, the task kept is the goodbye, not this one.
            if not self._interrupted:
                self._task = None

    async def _goodbye(self, stuck: asyncio.Task[None] | None) -> None:
        if stuck is not None:
            stuck.cancel()
            await asyncio.wait([stuck], timeout=CLOSE_TIMEOUT)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._send_close()
        except Exception as error:
            logger.debug("could not say goodbye to a client: %r", error)
        finally:
            self._task = None

    async def _send_close(self) -> None:
        if self._closing is None:
            return
        code, reason = self._closing
        if code is not DisconnectCode.MESSAGE_TOO_BIG:
            await self._send({"type": "websocket.send", "text": disconnect_push(code, reason).decode()})
        await self._send({"type": "websocket.close", "code": int(code), "reason": reason})

    async def finish(self) -> None:
        """Waits until nothing is on its way any more, or stops it after a while: the socket is gone."""
        self._drop()
        if self._task is not None and self._task is not asyncio.current_task():
            task = self._task
            task.cancel()
            await asyncio.wait([task], timeout=CLOSE_TIMEOUT)
