"""The store of a site with one process: dictionaries under a lock, bounded by count and by time."""

from __future__ import annotations

import secrets
import string
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from live.channel import Channel
from live.store.base import ActiveChannel, ChannelOptions, ChannelState, Position, Publication, Store

_MINUTE = 60

KEYS_IN_WINDOW = 10
"""A key frame goes out at least so often within the time that a history covers."""


def new_epoch() -> str:
    """A name for one life of a stream."""
    return "".join(secrets.choice(string.ascii_letters) for _ in range(8))


class MinuteRate:
    """Counts events of the last 60 seconds in a ring of one slot a second."""

    __slots__ = ("_counts", "_seconds")

    def __init__(self) -> None:
        self._counts = [0] * _MINUTE
        self._seconds = [-_MINUTE] * _MINUTE

    def add(self, now: float) -> None:
        """One event happened at `now` (seconds)."""
        second = int(now)
        slot = second % _MINUTE
        if self._seconds[slot] != second:
            self._seconds[slot] = second
            self._counts[slot] = 0
        self._counts[slot] += 1

    def total(self, now: float) -> int:
        """Events of the 60 seconds before `now`."""
        oldest = int(now) - _MINUTE
        return sum(n for second, n in zip(self._seconds, self._counts, strict=True) if second > oldest)


@dataclass(slots=True)
class _Stream:
    """What is kept for one channel."""

    epoch: str
    offset: int = 0
    publications: deque[tuple[float, Publication]] = field(default_factory=deque)
    history_bytes: int = 0
    history_ttl: float = 0.0
    last: bytes | None = None
    schema: bytes | None = None
    key_offset: int = 0
    """Offset of the last key frame: of the last publication that went out whole."""
    key_time: float = 0.0
    since_key: int = 0
    """Publications after it."""
    published_at: float | None = None
    rate: MinuteRate = field(default_factory=MinuteRate)
    touched: float = 0.0

    @property
    def holds_key(self) -> bool:
        """Whether the history holds a key frame."""
        return bool(self.publications) and self.publications[0][1].offset <= self.key_offset

    def wants_key(self, options: ChannelOptions, now: float) -> bool:
        """Whether it is time for the next one: by number, by age, or because the history is about to lose the last."""
        if not options.has_history:
            return self.since_key + 1 >= options.key_interval
        # Several of them in a window, so that little is lost before the first.
        interval = min(options.key_interval, max(1, options.history_size // 2))
        return (
            self.since_key + 1 >= interval
            or now - self.key_time >= options.history_ttl / KEYS_IN_WINDOW
            or not self.holds_key
        )

    def make_room(self, size: int, options: ChannelOptions, now: float, max_bytes: int) -> None:
        """Drops the oldest publications until one more of `size` bytes fits."""
        self.history_ttl = options.history_ttl
        while self.publications and (
            len(self.publications) >= options.history_size or self.history_bytes + size > max_bytes
        ):
            self._drop_oldest()
        self.trim(now)

    def keep(self, publication: Publication, now: float, max_bytes: int) -> None:
        """Adds a publication that there is room for; one larger than all the room there can be is not kept."""
        if len(publication.data) <= max_bytes:
            self.publications.append((now, publication))
            self.history_bytes += len(publication.data)

    def mark(self, now: float, *, whole: bool) -> None:
        """Notes in which form the newest publication goes out."""
        self.since_key += 1
        if whole:
            self.key_offset, self.key_time, self.since_key = self.offset, now, 0

    def trim(self, now: float) -> None:
        """Drops publications past their time, and all of them when none is left to start reading at."""
        while self.publications and self.publications[0][0] + self.history_ttl <= now:
            self._drop_oldest()
        if not self.holds_key:
            self.publications.clear()
            self.history_bytes = 0

    def _drop_oldest(self) -> None:
        _, publication = self.publications.popleft()
        self.history_bytes -= len(publication.data)


class MemoryStore(Store):
    """Keeps at most `max_channels` channels, each for `ttl` seconds after its last publication.

    A channel's history takes at most `history_max_bytes`, however many publications it may hold.
    The channel idle the longest goes first; its stream gets a new epoch if it comes back. Locked, not bound to an
    event loop: a process that publishes from threads and one that serves use it alike. `clock` gives seconds.
    """

    shared = False

    def __init__(
        self,
        *,
        max_channels: int,
        ttl: float,
        history_max_bytes: int = 4 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._history_max_bytes = history_max_bytes
        self._max_channels = max_channels
        self._ttl = ttl
        self._clock = clock
        self._lock = threading.Lock()
        # In the order of their last publication.
        self._streams: OrderedDict[Channel, _Stream] = OrderedDict()
        # Given to streams at their birth; replaced whenever one is forgotten, so that no epoch is ever lived twice.
        self._epoch = new_epoch()

    async def append(
        self,
        channel: Channel,
        data: bytes,
        options: ChannelOptions,
        *,
        schema: bytes | None = None,
        short: bytes | None = None,
        info: bytes | None = None,
    ) -> Publication:
        now = self._clock()
        with self._lock:
            stream = self._touch(channel, now)
            stream.published_at = time.time()
            if options.has_history:
                stream.make_room(len(data), options, now, self._history_max_bytes)
            same = schema is not None and schema == stream.schema
            whole = short is None or not same or stream.wants_key(options, now)
            sent = data if short is None or whole else short
            stream.schema = schema
            if options.keep_last:
                stream.last = data
            if not options.has_history:
                stream.mark(now, whole=whole)
                return Publication(sent, info=info)
            stream.offset += 1
            stream.mark(now, whole=whole)
            publication = Publication(sent, stream.offset, stream.epoch, info)
            stream.keep(publication, now, self._history_max_bytes)
            return publication

    def _touch(self, channel: Channel, now: float) -> _Stream:
        stream = self._streams.get(channel)
        if stream is None:
            stream = self._streams[channel] = _Stream(self._epoch)
            while len(self._streams) > self._max_channels:
                self._forget_oldest()
        else:
            self._streams.move_to_end(channel)
        stream.touched = now
        stream.rate.add(now)
        return stream

    def _forget_oldest(self) -> None:
        self._streams.popitem(last=False)
        self._epoch = new_epoch()

    async def state(self, channel: Channel, options: ChannelOptions) -> ChannelState:
        with self._lock:
            stream = self._streams.get(channel)
            epoch = stream.epoch if stream else self._epoch
            position = Position(stream.offset if stream else 0, epoch) if options.has_history else Position()
            return ChannelState(position, stream.last if stream and options.keep_last else None)

    async def history(
        self, channel: Channel, *, since: Position | None = None, limit: int = -1, reverse: bool = False
    ) -> tuple[list[Publication], Position]:
        now = self._clock()
        with self._lock:
            stream = self._streams.get(channel)
            if stream is None:
                return [], Position(0, self._epoch)
            stream.trim(now)
            top = Position(stream.offset, stream.epoch)
            if since is not None and since.epoch and since.epoch != stream.epoch:
                return [], top
            if reverse:
                before = top.offset + 1 if since is None else since.offset
                found = [publication for _, publication in reversed(stream.publications) if publication.offset < before]
            else:
                after = 0 if since is None else since.offset
                found = [publication for _, publication in stream.publications if publication.offset > after]
            return found if limit < 0 else found[:limit], top

    async def active(self, channel: Channel | None = None) -> list[ActiveChannel]:
        now = self._clock()
        with self._lock:
            names = sorted(self._streams, key=str) if channel is None else [channel]
            return [
                ActiveChannel(name, stream.rate.total(now), stream.schema, stream.published_at)
                for name in names
                if (stream := self._streams.get(name)) is not None
            ]

    async def expire(self) -> None:
        now = self._clock()
        with self._lock:
            while self._streams:
                oldest = next(iter(self._streams.values()))
                if oldest.touched + self._ttl > now:
                    break
                self._forget_oldest()
            for stream in self._streams.values():
                stream.trim(now)

    async def close(self) -> None:
        with self._lock:
            self._streams.clear()
