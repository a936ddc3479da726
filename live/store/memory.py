"""The store of a site with one process: dictionaries under a lock, bounded by count and by time."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import takewhile

from live.channel import Channel
from live.exceptions import LeaseLost
from live.store.base import (
    ActiveChannel,
    ChannelOptions,
    ChannelState,
    Draft,
    Lease,
    Member,
    Position,
    PresenceStats,
    Publication,
    Renewal,
    Store,
    check_fences,
)
from live.store.presence import Leases, Nodes, Presence
from live.store.stream import ASKED_TTL, Stream, new_epoch

MAX_TOLD = 10_000
"""Channels that nothing was published to yet and whose epoch is remembered."""


class MemoryStore(Store):
    """Keeps at most `max_channels` channels, each for `ttl` seconds after its last publication.

    A channel whose history lasts longer stays as long, without its last value. A history takes at most
    `history_max_bytes`, however many publications it may hold.
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
        self._streams: OrderedDict[Channel, Stream] = OrderedDict()
        # Epochs told of channels that have no stream yet, with the time of the last asking, in its order.
        self._told: OrderedDict[Channel, tuple[str, float]] = OrderedDict()
        self._presence = Presence()
        self._leases = Leases()
        self._nodes = Nodes()

    # Publications

    async def append_many(self, drafts: Sequence[Draft]) -> list[Publication]:
        check_fences(drafts)
        now = self._clock()
        with self._lock:
            taken = [self._append(draft, now) for draft in drafts if self._may_enter(draft, now)]
        if len(taken) < len(drafts):
            raise LeaseLost
        return taken

    def _may_enter(self, draft: Draft, now: float) -> bool:
        return draft.fence is None or self._leases.holds(draft.fence, now)

    def _append(self, draft: Draft, now: float) -> Publication:
        options = draft.options
        stream = self._streams.get(draft.channel)
        if stream is not None and draft.key and options.has_history:
            kept = stream.find(draft.key, now)
            if kept is not None:
                return kept
        stream = self._touch(draft.channel, now)
        stream.published_at = time.time()
        if options.has_history:
            stream.make_room(len(draft.data), options, now, self._history_max_bytes)
        same = draft.schema is not None and draft.schema == stream.schema
        whole = draft.short is None or not same or stream.wants_key(options, now)
        sent = draft.data if draft.short is None or whole else draft.short
        stream.schema = draft.schema
        if options.keep_last:
            stream.last = draft.data
        if not options.has_history:
            stream.mark(now, whole=whole)
            return Publication(sent, info=draft.info)
        stream.offset += 1
        stream.mark(now, whole=whole)
        publication = Publication(sent, stream.offset, stream.epoch, draft.info)
        stream.keep(publication, draft.key, now, self._history_max_bytes)
        return publication

    def _touch(self, channel: Channel, now: float) -> Stream:
        stream = self._streams.get(channel)
        if stream is None:
            epoch, _ = self._told.pop(channel, (None, 0.0))
            stream = self._streams[channel] = Stream(epoch or new_epoch())
            while len(self._streams) > self._max_channels:
                self._streams.popitem(last=False)
        else:
            self._streams.move_to_end(channel)
        stream.touched = now
        stream.rate.add(now)
        return stream

    def _position(self, channel: Channel) -> Position:
        """The top; where there is no stream yet, the epoch it will have if it is asked for until then."""
        stream = self._streams.get(channel)
        if stream is not None:
            return Position(stream.offset, stream.epoch)
        epoch, _ = self._told.pop(channel, (None, 0.0))
        epoch = epoch or new_epoch()
        self._told[channel] = (epoch, self._clock())
        if len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)
        return Position(0, epoch)

    async def state(self, channel: Channel, options: ChannelOptions) -> ChannelState:
        with self._lock:
            stream = self._streams.get(channel)
            position = self._position(channel) if options.has_history else Position()
            return ChannelState(position, stream.last if stream and options.keep_last else None)

    async def positions(self, channels: Sequence[Channel]) -> list[Position]:
        with self._lock:
            return [self._position(channel) for channel in channels]

    async def history(
        self, channel: Channel, *, since: Position | None = None, limit: int = -1, reverse: bool = False
    ) -> tuple[list[Publication], Position]:
        now = self._clock()
        with self._lock:
            top = self._position(channel)
            stream = self._streams.get(channel)
            if stream is None or (since is not None and since.epoch and since.epoch != top.epoch):
                return [], top
            stream.trim(now)
            if reverse:
                before = top.offset + 1 if since is None else since.offset
                found = [publication for publication in reversed(stream.publications) if publication.offset < before]
            else:
                after = 0 if since is None else since.offset
                found = [publication for publication in stream.publications if publication.offset > after]
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

    # Presence

    async def add_members(self, members: Sequence[tuple[Channel, Member]], ttl: float) -> None:
        until = self._clock() + ttl
        with self._lock:
            for channel, member in members:
                self._presence.add(channel, member, until)

    async def remove_members(self, members: Sequence[tuple[Channel, str]]) -> list[bool]:
        with self._lock:
            return [self._presence.remove(channel, client) for channel, client in members]

    async def members(self, channel: Channel) -> list[Member]:
        with self._lock:
            return self._presence.members(channel, self._clock())

    async def presence_stats(self, channel: Channel) -> PresenceStats:
        with self._lock:
            return self._presence.stats(channel, self._clock())

    async def expire_members(self, channels: Sequence[Channel]) -> list[tuple[Channel, Member]]:
        now = self._clock()
        with self._lock:
            return [(channel, member) for channel in channels for member in self._presence.expire(channel, now)]

    # Leases and nodes

    async def acquire(
        self, name: str, owner: str, ttl: float, *, note: bytes = b"", channel: Channel | None = None
    ) -> Lease | None:
        with self._lock:
            return self._leases.acquire(Lease(name, owner, 0, note, channel), self._clock(), ttl)

    async def holder(self, name: str, *, channel: Channel | None = None) -> Lease | None:
        with self._lock:
            return self._leases.holder(name, self._clock())

    async def renew(self, lease: Lease, ttl: float, *, note: bytes | None = None) -> Renewal:
        with self._lock:
            return self._leases.renew(lease, self._clock(), ttl, note)

    async def release(self, lease: Lease) -> None:
        with self._lock:
            self._leases.release(lease, self._clock())

    async def touch_node(self, node: str, ttl: float) -> None:
        with self._lock:
            self._nodes.touch(node, self._clock() + ttl)

    async def forget_node(self, node: str) -> None:
        with self._lock:
            self._nodes.forget(node)

    async def nodes(self) -> list[str]:
        with self._lock:
            return self._nodes.alive(self._clock())

    # The store itself

    async def ping(self) -> None:
        pass

    async def expire(self) -> None:
        now = self._clock()
        with self._lock:
            idle = takewhile(lambda item: item[1].touched + self._ttl <= now, self._streams.items())
            for channel, stream in list(idle):
                stream.last = None
                if stream.touched + stream.history_ttl <= now:
                    del self._streams[channel]
            for stream in self._streams.values():
                stream.trim(now)
            while self._told:
                channel, (_, asked) = next(iter(self._told.items()))
                if asked + ASKED_TTL > now:
                    break
                del self._told[channel]
            self._presence.forget(now)
            self._leases.expire(now)

    async def close(self) -> None:
        with self._lock:
            self._streams.clear()
            self._told.clear()
