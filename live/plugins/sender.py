"""How a run publishes: one publication after the other, not faster than allowed, and only while it may.

A run may while this node holds the channel's lease. This node's own clock says so before anything is sent, and the
store in the step in which it takes a publication in, so that nothing a paused process wakes up with is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from live.channel import Channel
from live.exceptions import LeaseLost
from live.frames import EncodedFrame, Frame, split
from live.protocol import dump_json
from live.store import ChannelOptions, Draft, Lease

if TYPE_CHECKING:
    from live.node import Node

BURST_SECONDS = 0.1
"""A stream that was quiet may send the publications of so much time at once."""

MIN_BURST = 10

REFUSED_SECONDS = 0.1
"""How long one that may not send any more waits to be told: it may go on trying for ever."""


class Hold:
    """A lease as this node has it: `until`, in seconds of the event loop's clock, nobody else can have it."""

    __slots__ = ("lease", "until")

    def __init__(self, lease: Lease, until: float) -> None:
        self.lease = lease
        self.until = until

    def valid(self) -> bool:
        """Whether it is certain that nobody else has it."""
        return asyncio.get_running_loop().time() < self.until


class Bucket:
    """Lets `rate` a second through, and a few at once after a pause."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._burst = max(float(MIN_BURST), rate * BURST_SECONDS)
        self._tokens = self._burst
        self._at = asyncio.get_running_loop().time()

    async def take(self) -> None:
        """Waits until one more may pass; lets others on the loop have a turn in any case."""
        now = asyncio.get_running_loop().time()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - 1
        self._at = now
        await asyncio.sleep(max(0.0, -self._tokens / self._rate))


class Sender:
    """What one start of a run publishes with, to `channel` under `hold`.

    `lost` is called when the lease turns out to be lost. After `close` nothing is published any more.
    """

    def __init__(self, node: Node, channel: Channel, hold: Hold, bucket: Bucket, lost: Callable[[], None]) -> None:
        self._node = node
        self._channel = channel
        self._hold = hold
        self._bucket = bucket
        self._lost = lost
        self._turn = asyncio.Lock()
        self._closed = False

    def close(self) -> None:
        """The run has ended, or is to end."""
        self._closed = True

    async def send(self, value: Frame | EncodedFrame | Any) -> None:
        """Publishes; see `live.plugins.base.StreamSender`. Raises `asyncio.CancelledError` once it is closed."""
        async with self._turn:
            # Before anything that can fail: who goes on after a failure is held up as well.
            await self._bucket.take()
            await self._check()
            for number, draft in enumerate(self._drafts(value)):
                if number:
                    await self._bucket.take()
                    await self._check()
                try:
                    await self._node.publish_many([draft])
                except LeaseLost:
                    self._lost()
                    raise

    async def _check(self) -> None:
        """Raises when nothing may be published any more."""
        if self._closed:
            await asyncio.sleep(REFUSED_SECONDS)
            # Not one of our errors: who goes on after those is to end here.
            raise asyncio.CancelledError("this run of the stream is over")
        if not self._hold.valid():
            self._lost()
            raise LeaseLost

    def _drafts(self, value: Frame | EncodedFrame | Any) -> list[Draft]:
        settings = self._node.settings
        options = ChannelOptions(settings.stream_history_size, settings.stream_history_ttl, keep_last=True)
        fence = self._hold.lease
        if isinstance(value, EncodedFrame):
            frames = [value]
        elif isinstance(value, Frame):
            # All of it before any of it goes out: one row that is too large refuses the whole.
            frames = list(split(value, settings.max_publication_size, self._channel))
        else:
            return [Draft(self._channel, dump_json(value), options, fence=fence)]
        return [
            Draft(self._channel, frame.full, options, schema=frame.schema, short=frame.data, fence=fence)
            for frame in frames
        ]
