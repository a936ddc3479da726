"""The store of a site with several processes: Redis, through Lua scripts, so that a step is done whole or not at all.

Redis' clock is the clock. A channel's keys are on the host that the channel layer has its group on, what belongs to no
channel is on the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from live.channel import Channel
from live.store.base import (
    WANTED_SECONDS,
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
from live.store.redis.drafts import read_history
from live.store.redis.hosts import MAX_ITEMS, Hosts, chunks, together
from live.store.redis.scripts import Command, minute_rate, unpack
from live.store.redis.topology import Topology

MAX_OFFSET = 2**53
"""Above it Lua's numbers are not exact; nobody publishes so many."""


class RedisStore(Store):
    """Keeps at most `max_channels` channels on each host, each for `ttl` seconds after its last publication.

    A channel whose history lasts longer stays as long, without its last value. A history takes at most
    `history_max_bytes`. `clock_shift` gives seconds that are added to Redis' clock,
    for tests. A host that failed is asked again when a probe got through; until then calls fail at once.

    What was under way on a connection that is lost is given again, once: Redis knows a call with publications by its
    number and does not double them, and everything else can be done twice.
    """

    shared = True
    announces = True

    def __init__(
        self,
        topology: Topology,
        *,
        ttl: float,
        max_channels: int,
        history_max_bytes: int,
        clock_shift: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._hosts = Hosts(
            topology,
            ttl=ttl,
            max_channels=max_channels,
            history_max_bytes=history_max_bytes,
            clock_shift=clock_shift,
        )
        self._shard_of = topology.shard_of

    # Publications

    async def append_many(self, drafts: Sequence[Draft]) -> list[Publication]:
        if not drafts:
            return []
        check_fences(drafts)
        if len(self._hosts) == 1:
            return await (await self._hosts.link(0)).append(drafts)
        places: dict[int, list[int]] = {}
        for place, draft in enumerate(drafts):
            places.setdefault(self._shard_of(draft.channel), []).append(place)
        links = [await self._hosts.link(shard) for shard in places]
        parts = await together(
            link.append([drafts[place] for place in mine]) for link, mine in zip(links, places.values(), strict=True)
        )
        found: dict[int, Publication] = {}
        for mine, part in zip(places.values(), parts, strict=True):
            found.update(zip(mine, part, strict=True))
        return [found[place] for place in range(len(drafts))]

    async def _ask(self, script: str, channel: Channel, words: tuple[bytes, ...], read: Callable[[Any], Any]) -> Any:
        """Reads something of one channel; whoever asks the same before it is under way gets the same answer."""
        digest = channel.digest.encode()
        shard = self._shard_of(channel)
        return await self._hosts.call(shard, script, (digest, *words), read, key=(script, digest, words))

    async def state(self, channel: Channel, options: ChannelOptions) -> ChannelState:
        history, last = options.has_history, options.keep_last
        if not history and not last:
            return ChannelState(Position())

        def read(answer: Any) -> ChannelState:
            return ChannelState(Position(int(answer[1]), answer[0].decode()) if history else Position(), answer[2])

        state: ChannelState = await self._ask("state", channel, (b"%d" % history, b"%d" % last), read)
        return state

    async def positions(self, channels: Sequence[Channel]) -> list[Position]:
        found = [Position()] * len(channels)

        async def ask(shard: int, places: list[int]) -> None:
            digests = [channels[place].digest.encode() for place in places]
            answer = await self._hosts.call(shard, "positions", digests, bytes.split)
            for place, epoch, offset in zip(places, answer[::2], answer[1::2], strict=True):
                found[place] = Position(int(offset), epoch.decode())

        await together(ask(*mine) for mine in self._hosts.by_shard(channels, _itself))
        return found

    async def history(
        self, channel: Channel, *, since: Position | None = None, limit: int = -1, reverse: bool = False
    ) -> tuple[list[Publication], Position]:
        offset = b"" if since is None else b"%d" % max(0, min(since.offset, MAX_OFFSET))
        epoch = b"" if since is None else since.epoch.encode()
        words = (offset, epoch, b"%d" % limit, b"%d" % reverse)
        publications, top = await self._ask("history", channel, words, read_history)
        return list(publications), top

    async def active(self, channel: Channel | None = None) -> list[ActiveChannel]:
        if channel is not None:
            return list(await self._ask("active", channel, (), _read_active))
        found: list[ActiveChannel] = []

        async def ask(shard: int) -> None:
            listing = Command((b"ZRANGE", self._hosts.prefix + b"active", b"0", b"-1"))
            digests: list[bytes] = await (await self._hosts.link(shard)).ask(listing, list)
            # One after the other: it is much, and others want to ask too.
            for some in chunks(digests):
                found.extend(await self._hosts.call(shard, "active", some, _read_active))

        await together(ask(shard) for shard in range(len(self._hosts)))
        return sorted(found, key=lambda active: str(active.channel))

    # Presence

    async def add_members(self, members: Sequence[tuple[Channel, Member]], ttl: float) -> None:
        async def add(shard: int, places: list[int]) -> None:
            words = [b"%f" % ttl]
            for channel, member in (members[place] for place in places):
                words += channel.digest.encode(), member.client.encode(), member.user.encode(), member.info
            await self._hosts.call(shard, "members_add", words, _nothing)

        await together(add(*mine) for mine in self._hosts.by_shard(members, _first))

    async def remove_members(self, members: Sequence[tuple[Channel, str]]) -> list[bool]:
        found = [False] * len(members)

        async def remove(shard: int, places: list[int]) -> None:
            words: list[bytes] = []
            for channel, client in (members[place] for place in places):
                words += channel.digest.encode(), client.encode()
            answer = await self._hosts.call(shard, "members_remove", words, bytes)
            for place, removed in zip(places, answer, strict=True):
                found[place] = removed == b"1"[0]

        await together(remove(*mine) for mine in self._hosts.by_shard(members, _first))
        return found

    async def members(self, channel: Channel) -> list[Member]:
        return list(await self._ask("members", channel, (), _read_members))

    async def presence_stats(self, channel: Channel) -> PresenceStats:
        stats: PresenceStats = await self._ask("members_count", channel, (), lambda answer: PresenceStats(*answer))
        return stats

    async def expire_members(self, channels: Sequence[Channel]) -> list[tuple[Channel, Member]]:
        found: list[tuple[Channel, Member]] = []

        async def expire(shard: int, places: list[int]) -> None:
            words = [b"%d" % MAX_ITEMS, *(channels[place].digest.encode() for place in places)]
            while True:
                values = await self._hosts.call(shard, "members_expire", words, _read_values)
                for place, client, user, info in zip(*[iter(values)] * 4, strict=True):
                    found.append((channels[places[int(place)]], Member(client.decode(), user.decode(), info)))
                if len(values) < 4 * MAX_ITEMS:
                    return

        await together(expire(*mine) for mine in self._hosts.by_shard(channels, _itself))
        return found

    # Leases and nodes

    def _shard_of_lease(self, channel: Channel | None) -> int:
        return 0 if channel is None else self._shard_of(channel)

    async def acquire(
        self, name: str, owner: str, ttl: float, *, note: bytes = b"", channel: Channel | None = None
    ) -> Lease | None:
        words = (name.encode(), owner.encode(), b"%f" % ttl, note, b"%f" % WANTED_SECONDS)
        answer = await self._hosts.call(self._shard_of_lease(channel), "lease_acquire", words, list)
        return Lease(name, owner, int(answer[0]), answer[1], channel) if answer else None

    async def holder(self, name: str, *, channel: Channel | None = None) -> Lease | None:
        words, shard = (name.encode(),), self._shard_of_lease(channel)
        answer = await self._hosts.call(shard, "lease_holder", words, list, key=("lease_holder", words))
        return Lease(name, answer[0].decode(), int(answer[1]), answer[2], channel) if answer else None

    async def renew(self, lease: Lease, ttl: float, *, note: bytes | None = None) -> Renewal:
        words = [lease.name.encode(), lease.owner.encode(), b"%d" % lease.token, b"%f" % ttl]
        if note is not None:
            words.append(note)
        return await self._hosts.call(self._shard_of_lease(lease.channel), "lease_renew", words, Renewal)

    async def release(self, lease: Lease) -> None:
        await self.renew(lease, 0)

    async def touch_node(self, node: str, ttl: float) -> None:
        await self._hosts.call(0, "nodes", (node.encode(), b"%f" % ttl), _nothing)

    async def forget_node(self, node: str) -> None:
        forgetting = Command((b"ZREM", self._hosts.prefix + b"nodes", node.encode()))
        await (await self._hosts.link(0)).ask(forgetting, _nothing)

    async def nodes(self) -> list[str]:
        return sorted(node.decode() for node in await self._hosts.call(0, "nodes", (b"", b"0"), list))

    # The store itself

    async def ping(self) -> None:
        await self._hosts.ping()

    async def expire(self) -> None:
        async def expire(shard: int) -> None:
            looked, kept = MAX_ITEMS, 0
            while looked == MAX_ITEMS:
                words = (b"%d" % MAX_ITEMS, b"%d" % kept)
                looked, stay = await self._hosts.call(shard, "expire", words, list)
                kept += stay

        await together(expire(shard) for shard in range(len(self._hosts)))

    async def close(self) -> None:
        await self._hosts.close()


def _itself(channel: Channel) -> Channel:
    return channel


def _first(pair: tuple[Channel, Any]) -> Channel:
    return pair[0]


def _nothing(answer: Any) -> None:
    """For answers that say nothing."""


def _read_values(answer: list[bytes]) -> list[bytes]:
    return list(unpack(*answer))


def _read_members(answer: list[bytes]) -> list[Member]:
    found = zip(*[unpack(*answer)] * 3, strict=True)
    return sorted((Member(client.decode(), user.decode(), info) for client, user, info in found), key=_client)


def _client(member: Member) -> str:
    return member.client


def _read_active(answer: list[bytes]) -> list[ActiveChannel]:
    now, *values = unpack(*answer)
    return [
        ActiveChannel(
            Channel.parse(name.decode()), minute_rate(counts, int(second), float(now)), schema or None, float(touched)
        )
        for name, schema, touched, counts, second in zip(*[iter(values)] * 5, strict=True)
    ]
