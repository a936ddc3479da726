"""Every host of a topology, from whichever event loop is running: connections belong to one loop each."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from live.channel import Channel
from live.store.redis.connection import unavailable
from live.store.redis.drafts import DraftLane
from live.store.redis.link import Health, Link
from live.store.redis.scripts import Command, load
from live.store.redis.topology import Host, Topology

MAX_ITEMS = 200
"""Channels or members that one call of a script deals with: Redis does nothing else meanwhile."""

CLOSE_SECONDS = 5.0
"""Longest that closing waits for another event loop."""

_PROBE_MILLISECONDS = b"1000"

T = TypeVar("T")


class Hosts:
    """Calls scripts on hosts; every script gets the prefix, `ttl` (seconds) and `clock_shift` (seconds) first."""

    def __init__(
        self,
        topology: Topology,
        *,
        ttl: float,
        max_channels: int,
        history_max_bytes: int,
        clock_shift: Callable[[], float],
    ) -> None:
        self.topology = topology
        self.prefix = f"{topology.prefix}:live:".encode()
        self._ttl = b"%f" % ttl
        self._max_channels = max_channels
        self._history_max_bytes = history_max_bytes
        self._clock_shift = clock_shift
        self._health = [Health(host.label) for host in topology.hosts]
        self._lock = threading.Lock()
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Links] = weakref.WeakKeyDictionary()
        self._closed = False

    def __len__(self) -> int:
        return len(self.topology.hosts)

    def _head(self) -> tuple[bytes, ...]:
        # A name that no other stream has or had.
        epoch = base64.b32encode(os.urandom(5))
        return self.prefix, self._ttl, b"%f" % self._clock_shift(), epoch

    async def link(self, shard: int) -> Link:
        """The running loop's link to the host of that index."""
        links = self._loops.get(asyncio.get_running_loop())
        if links is None:
            links = await self._open()
        return links.links[shard]

    async def call(
        self,
        shard: int,
        script: str,
        words: Iterable[bytes],
        read: Callable[[Any], T],
        *,
        key: Hashable = None,
    ) -> T:
        """What `read` makes of the answer of a script; calls with the same `key` may share one answer."""
        link = await self.link(shard)
        answer: T = await link.ask(Command((*self._head(), *words), load(script)), read, key=key)
        return answer

    def by_shard(self, items: Sequence[T], channel_of: Callable[[T], Channel]) -> Iterator[tuple[int, list[int]]]:
        """The hosts that these items belong to, each with the places of at most `MAX_ITEMS` of its items."""
        shards: dict[int, list[int]] = {}
        for place, item in enumerate(items):
            shards.setdefault(self.topology.shard_of(channel_of(item)), []).append(place)
        for shard, places in shards.items():
            for some in chunks(places):
                yield shard, some

    async def ping(self) -> None:
        """Raises `EngineUnavailable` when a host cannot be reached."""
        links = [await self.link(shard) for shard in range(len(self))]
        await together(link.ping() for link in links)

    async def _open(self) -> _Links:
        if self._closed:
            raise unavailable("is closed")
        loop = asyncio.get_running_loop()
        links = _Links([self._link(*pair) for pair in zip(self.topology.hosts, self._health, strict=True)])
        with self._lock:
            for other in [other for other in self._loops if other.is_closed()]:
                del self._loops[other]
            links = self._loops.setdefault(loop, links)
        await links.guard()
        return links

    def _link(self, host: Host, health: Health) -> Link:
        def make_drafts(host: Host, failed: Callable[[BaseException], None]) -> DraftLane:
            limits = (b"%d" % self._max_channels, b"%d" % self._history_max_bytes)
            return DraftLane(host, failed, head=self._head, limits=limits)

        probe = Command((b"SET", self.prefix + b"probe", b"", b"PX", _PROBE_MILLISECONDS))
        return Link(host, health, probe, make_drafts)

    async def close(self) -> None:
        """Closes the connections of every event loop that still runs."""
        self._closed = True
        with self._lock:
            loops = list(self._loops.items())
            self._loops.clear()
        for loop, links in loops:
            if loop is asyncio.get_running_loop():
                await links.close()
            elif loop.is_running():
                ending = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(links.close(), loop))
                await asyncio.wait([ending], timeout=CLOSE_SECONDS)


class _Links:
    """One event loop's links to all hosts, closed at the latest when the loop is (``asyncio.run`` ends)."""

    def __init__(self, links: list[Link]) -> None:
        self.links = links
        self._guard: AsyncGenerator[None] | None = None

    async def guard(self) -> None:
        """Has the running loop close the links when it ends."""
        if self._guard is None:
            # Loops end the asynchronous generators that they began; there is no other way to be told.
            self._guard = self._until_the_end()
            await anext(self._guard)

    async def _until_the_end(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            for link in self.links:
                await link.close()

    async def close(self) -> None:
        """Closes the links; on the loop they belong to."""
        if self._guard is not None:
            await self._guard.aclose()


def chunks(items: Sequence[T]) -> Iterator[list[T]]:
    """The items, at most `MAX_ITEMS` at a time."""
    for start in range(0, len(items), MAX_ITEMS):
        yield list(items[start : start + MAX_ITEMS])


async def together(calls: Iterable[Awaitable[T]]) -> list[T]:
    """The results of all; raises the first error when all have ended, so that none is left alone."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results  # type: ignore[return-value]
