"""What stands between the hub and one client's socket: a queue bounded in bytes that never blocks the sender.

This is the portable outbox: it knows only ASGI's `send`, so it runs on every server. A task that drains the queue
exists only while there is something to drain. The outbox never waits for a slow reader on behalf of others: over its
limit it says so, and its client is disconnected.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from live.channel import Channel
from live.exceptions import DisconnectCode
from live.logs import about
from live.protocol.protobuf import transcode
from live.protocol.replies import disconnect_push

logger = logging.getLogger("live.node")

MESSAGES_PER_WIRE_FRAME = 16
"""At most so many messages are joined in one wire frame (client-protocol §5)."""

WIRE_FRAME_MAX_BYTES = 256 * 1024
"""Messages are joined up to this size: servers and clients refuse wire frames above 1 MiB (client-protocol §0)."""

LAGS = 64
"""A client lags when more than this part of its limit waits for it."""

CLOSE_TIMEOUT = 1.0
"""Seconds the goodbye to a client may take when its socket does not move."""

FLUSH_TIMEOUT = 5.0
"""Seconds what waits for a client may take to leave before the goodbye goes out without it."""

RAW_SEND = "live.send"
"""Key of the scope under which `live_application` leaves the server's own `send`, before any middleware wraps it."""

_EMPTY: deque[Encoded] = deque(maxlen=0)
"""The queue of every outbox with nothing in it: most wait for nothing most of the time, and a deque is large."""

Send = Callable[[dict[str, Any]], Awaitable[None]]


TEXT_FRAME, BINARY_FRAME = 0x81, 0x82
"""The first byte of a whole wire frame (RFC 6455 §5.2)."""


def wire_frame(payload: bytes, kind: int = TEXT_FRAME) -> bytes:
    """A whole frame of a server, as it goes over the wire (RFC 6455 §5.2: final, unmasked)."""
    size = len(payload)
    if size < 126:
        return bytes((kind, size)) + payload
    if size < 65536:
        return bytes((kind, 126)) + size.to_bytes(2, "big") + payload
    return bytes((kind, 127)) + size.to_bytes(8, "big") + payload


class Encoded:
    """A message encoded once and shared by every outbox it goes to: JSON as bytes, as text, as a whole wire frame.

    `binary` is the same for the clients that speak protobuf.
    """

    __slots__ = ("_binary", "_frame", "_text", "channel", "count", "newest", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.count = 1
        """Messages joined in it."""
        self.channel: Channel | None = None
        """Set where a client that lags needs the newest message of that channel only."""
        self.newest = self
        """Of several messages joined in this one, the last."""
        self._text: str | None = None
        self._frame: bytes | None = None
        self._binary: Encoded | None = None

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

    @property
    def binary(self) -> Encoded:
        """The message in the protobuf flavour; made at the first use only. Raises `BadData` when it is no JSON."""
        if self._binary is None:
            parts = [transcode(line) for line in self.raw.split(b"\n")]
            self._binary = _Binary(self, b"".join(parts))
            if self.newest is not self:
                self.newest._binary = self._binary.newest = _Binary(self.newest, parts[-1])
        return self._binary


class _Binary(Encoded):
    """What `Encoded.binary` gives: of the protobuf flavour, whose replies need nothing between them."""

    __slots__ = ()

    def __init__(self, message: Encoded, raw: bytes) -> None:
        super().__init__(raw)
        self.count, self.channel = message.count, message.channel

    @property
    def frame(self) -> bytes:
        """The message as a wire frame of its own; made at the first use only."""
        if self._frame is None:
            self._frame = wire_frame(self.raw, BINARY_FRAME)
        return self._frame

    @property
    def binary(self) -> Encoded:
        """Itself."""
        return self


def joined(messages: list[Encoded]) -> Iterator[Encoded]:
    """The same messages in as few as may be: so many of them in one, joined by newlines, as a wire frame may hold.

    Those of which a client that lags needs the newest only are not joined with those that it needs all of.
    """
    if len(messages) == 1:
        yield messages[0]
        return
    some: list[Encoded] = []
    size = 0
    for message in messages:
        if some and (
            len(some) == MESSAGES_PER_WIRE_FRAME
            or size + len(message.raw) > WIRE_FRAME_MAX_BYTES
            or (message.channel is None) is not (some[-1].channel is None)
        ):
            yield _join(some)
            some, size = [], 0
        some.append(message)
        size += len(message.raw) + 1
    yield _join(some)


def _join(messages: list[Encoded]) -> Encoded:
    newest = messages[-1]
    if len(messages) == 1:
        return newest
    together = Encoded(b"\n".join([message.raw for message in messages]))
    together.count, together.newest, together.channel = len(messages), newest, newest.channel
    return together


class Outbox:
    """The messages on their way to one client.

    `send` is ASGI's send of an accepted WebSocket, `limit` the most bytes that may wait. `on_slow` is called once when
    a message would exceed it, `on_error` once when the socket cannot be written to.
    """

    __slots__ = (
        "_closing",
        "_interrupted",
        "_latest",
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
        self._queue = _EMPTY
        self._latest: dict[Channel, Encoded] | None = None
        """The newest messages of channels of which a client that lags needs no others."""
        self._task: asyncio.Task[None] | None = None
        self._closing: tuple[DisconnectCode, str] | None = None
        self._interrupted = False
        self.queued_bytes = 0

    def write(self, message: Encoded) -> None:
        """Takes `message` for delivery; returns at once. After `close` it does nothing."""
        if self._closing is not None:
            return
        waiting = self.queued_bytes + self.held_bytes()
        if (channel := message.channel) is not None and (
            waiting > self._limit // LAGS or (self._latest is not None and channel in self._latest)
        ):
            self._keep_latest(channel, message.newest, waiting)
            return
        size = len(message.raw)
        if waiting + size > self._limit:
            self._on_slow()
            return
        if self._queue is _EMPTY:
            self._queue = deque()
        self._queue.append(message)
        self.queued_bytes += size
        self._wake()

    deliver = write
    """Like `write`, for what the hub sends to many: as soon as may be, without waiting for more to go with it."""

    def _keep_latest(self, channel: Channel, message: Encoded, waiting: int) -> None:
        if self._latest is None:
            self._latest = {}
        older = self._latest.pop(channel, None)
        growth = len(message.raw) - (len(older.raw) if older else 0)
        if waiting + growth > self._limit:
            self._on_slow()
            return
        self._latest[channel] = message
        self.queued_bytes += growth
        self._wake()

    def forget(self, channel: Channel) -> None:
        """Drops what is kept of `channel`: the client has no subscription of it any more, or a new one."""
        if self._latest and (kept := self._latest.pop(channel, None)) is not None:
            self.queued_bytes -= len(kept.raw)
            self._latest = self._latest or None

    def _caught_up(self) -> bool:
        """Whether something is kept for a client that does not lag any more: little else waits."""
        if not self._latest:
            return False
        kept = sum([len(message.raw) for message in self._latest.values()])
        return self.queued_bytes - kept + self.held_bytes() <= self._limit // LAGS

    def _queue_latest(self) -> None:
        """The client has caught up: what was kept of channels with the newest message only follows."""
        if self._latest:
            self._queue = deque([*self._queue, *self._latest.values()])
            self._latest = None

    def take_over_pings(self) -> None:
        """The client is pinged by us from now on; a server that pings too may stop."""

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
        self._queue = _EMPTY
        self._latest = None
        self.queued_bytes = 0

    def _take(self) -> list[Encoded]:
        """The messages of the next wire frame: the oldest; clients split them again at newlines."""
        first = self._queue.popleft()
        size, count = len(first.raw), first.count
        messages = [first]
        while self._queue:
            message = self._queue[0]
            count += message.count
            if count > MESSAGES_PER_WIRE_FRAME or size + len(message.raw) > WIRE_FRAME_MAX_BYTES:
                break
            size += len(message.raw)
            messages.append(self._queue.popleft())
        if not self._queue:
            self._queue = _EMPTY
        self.queued_bytes -= size
        return messages

    def _event(self, messages: list[Encoded]) -> dict[str, Any]:
        """What ASGI's send is given for these messages."""
        return {"type": "websocket.send", "text": "\n".join([message.text for message in messages])}

    async def _drain(self) -> None:
        try:
            while self._queue or self._latest:
                if not self._queue or self._caught_up():
                    self._queue_latest()
                await self._send(self._event(self._take()))
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
            code = self._closing[0] if self._closing is not None else None
            logger.debug("could not say goodbye to a client: %r", error, extra=about(code=code))
        finally:
            self._task = None

    async def _send_close(self) -> None:
        if self._closing is None:
            return
        code, reason = self._closing
        if code is not DisconnectCode.MESSAGE_TOO_BIG:
            await self._send(self._event([Encoded(disconnect_push(code, reason))]))
        await self._send({"type": "websocket.close", "code": int(code), "reason": reason})

    async def finish(self) -> None:
        """Waits until nothing is on its way any more, or stops it after a while: the socket is gone."""
        self._drop()
        if self._task is not None and self._task is not asyncio.current_task():
            task = self._task
            task.cancel()
            await asyncio.wait([task], timeout=CLOSE_TIMEOUT)
