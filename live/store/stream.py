"""What the memory store keeps for one channel: its recent publications, its counters, its rate."""

from __future__ import annotations

import secrets
import string
from collections import deque
from dataclasses import dataclass, field

from live.store.base import ChannelOptions, Publication

_MINUTE = 60

KEYS_IN_WINDOW = 10
"""A key frame goes out at least so often within the time that a history covers."""


ASKED_TTL = 600.0
"""Seconds that the epoch told of a channel nothing was published to yet stands, after it was asked for last."""


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


@dataclass(frozen=True, slots=True)
class _Entry:
    """One publication in the history."""

    time: float
    publication: Publication
    key: str


@dataclass(slots=True)
class Stream:
    """What is kept for one channel."""

    epoch: str
    offset: int = 0
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
    _entries: deque[_Entry] = field(default_factory=deque)
    _bytes: int = 0
    _by_key: dict[str, Publication] = field(default_factory=dict)
    """Publications of the history that were given an idempotency key."""

    @property
    def publications(self) -> list[Publication]:
        """The history, the oldest first; a run of offsets that ends at the top, or nothing."""
        return [entry.publication for entry in self._entries]

    @property
    def holds_key(self) -> bool:
        """Whether the history holds a key frame."""
        return bool(self._entries) and self._entries[0].publication.offset <= self.key_offset

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

    def find(self, key: str, now: float) -> Publication | None:
        """The publication in the history that was given this idempotency key."""
        self.trim(now)
        return self._by_key.get(key)

    def make_room(self, size: int, options: ChannelOptions, now: float, max_bytes: int) -> None:
        """Drops the oldest publications until one more of `size` bytes fits."""
        self.history_ttl = options.history_ttl
        while self._entries and (len(self._entries) >= options.history_size or self._bytes + size > max_bytes):
            self._drop_oldest()
        self.trim(now)

    def keep(self, publication: Publication, key: str, now: float, max_bytes: int) -> None:
        """Adds a publication that there is room for; one larger than all the room there can be is not kept."""
        if len(publication.data) > max_bytes:
            return
        self._entries.append(_Entry(now, publication, key))
        self._bytes += len(publication.data)
        if key:
            self._by_key[key] = publication

    def mark(self, now: float, *, whole: bool) -> None:
        """Notes in which form the newest publication goes out."""
        self.since_key += 1
        if whole:
            self.key_offset, self.key_time, self.since_key = self.offset, now, 0

    def trim(self, now: float) -> None:
        """Drops publications past their time, and all of them when none is left to start reading at."""
        while self._entries and self._entries[0].time + self.history_ttl <= now:
            self._drop_oldest()
        if not self.holds_key:
            self._entries.clear()
            self._by_key.clear()
            self._bytes = 0

    def _drop_oldest(self) -> None:
        entry = self._entries.popleft()
        self._bytes -= len(entry.publication.data)
        self._by_key.pop(entry.key, None)
