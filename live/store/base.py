"""The contract of a store, and the values it deals in.

A store keeps, for each channel, what must outlive a message: the stream of recent publications with its position, the
last value for new subscribers, how many publications a minute, who is present. It also knows which nodes are alive, and
lends leases to them. One contract suite runs over every store (``tests/store``). Every method may be called from any
event loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from live.channel import Channel

WANTED_SECONDS = 5.0
"""Seconds for which it is remembered that another owner asked for a lease."""


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """What the engine keeps for a channel; handlers say it with their class attributes."""

    history_size: int = 0
    """Publications kept for those who missed some; 0: none, and publications carry no offset."""

    history_ttl: float = 300.0
    """Seconds a publication stays in the history."""

    keep_last: bool = False
    """Whether the last value is kept and sent to new subscribers."""

    latest_only: bool = False
    """Whether a subscriber that lags gets the newest publication in place of all; for channels without history."""

    key_interval: int = 30
    """Where a publication has a short form, the whole one goes out at least every so many publications."""

    @property
    def has_history(self) -> bool:
        """Whether publications carry an offset."""
        return self.history_size > 0 and self.history_ttl > 0


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a channel's stream: `offset` counts from 1, `epoch` names this life of the stream.

    Offsets of different epochs have nothing to do with each other: a stream that was lost and began anew counts from
    1 again, and only the epoch tells.
    """

    offset: int = 0
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class Publication:
    """One message in a channel; `data` and `info` are JSON bytes, `offset` is 0 where there is no history."""

    data: bytes
    offset: int = 0
    epoch: str = ""
    info: bytes | None = None

    @property
    def position(self) -> Position:
        """Where in the stream this publication stands."""
        return Position(self.offset, self.epoch)


@dataclass(frozen=True, slots=True)
class Draft:
    """A publication on its way into the store; `data`, `schema`, `short` and `info` are bytes."""

    channel: Channel
    data: bytes
    options: ChannelOptions
    schema: bytes | None = None
    """Changes when and only when the meaning of `short` changes."""
    short: bytes | None = None
    """What subscribers get in place of `data` while the schema stands; see `Store.append_many`."""
    info: bytes | None = None
    """Which client published it, if one did."""
    key: str = ""
    """Idempotency key: a second draft with the key of a publication that the history still holds adds nothing."""
    announce: str = ""
    """The Redis pub/sub channel that a store which announces publishes it on, in the same step."""
    fence: Lease | None = None
    """A lease of `channel` that must be held in the step that takes the draft in; see `Store.append_many`."""


@dataclass(frozen=True, slots=True)
class Member:
    """A client present in a channel; `info` is the JSON that others are told (client-protocol §2.6)."""

    client: str
    user: str
    info: bytes


@dataclass(frozen=True, slots=True)
class PresenceStats:
    """How many are present in a channel."""

    clients: int = 0
    users: int = 0
    """Different ones; everybody anonymous counts as one."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one `owner` to do what `name` says, while it lasts.

    `token` grows with every change of the owner, so that what a former owner still does can be told from the present
    one's (a fencing token).
    """

    name: str
    owner: str
    token: int
    note: bytes = b""
    """What the owner wrote beside it, for whoever asks; as it was when this was read. It goes with the lease."""
    channel: Channel | None = None
    """The channel whose keys it lives with; only such a lease can be the fence of the channel's drafts."""


class Renewal(IntEnum):
    """What became of a lease that was renewed; false when it was lost."""

    LOST = 0
    HELD = 1
    WANTED = 2
    """Held, and another owner asked for it within `WANTED_SECONDS`."""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """What a new subscriber starts from, read in one step: `last` belongs to `position`."""

    position: Position
    last: bytes | None = None


@dataclass(frozen=True, slots=True)
class ActiveChannel:
    """A channel that something was published to lately."""

    channel: Channel
    minute_rate: int
    """Publications in the last 60 seconds."""
    schema: bytes | None = None
    """JSON of the schema-only frame, in channels of frames."""
    last_publication: float | None = None
    """When something was published last, in seconds of Unix time; None: nothing the store knows of."""


def check_fences(drafts: Sequence[Draft]) -> None:
    """Raises ValueError for a draft with a fence that is not a lease of its channel.

    Such a lease may be on another host than the channel, so that no step could look at both.
    """
    for draft in drafts:
        if draft.fence is not None and draft.fence.channel != draft.channel:
            raise ValueError(
                f"the fence of a draft for {draft.channel} is the lease {draft.fence.name!r}, which is not of that "
                f"channel: acquire it with channel={draft.channel}"
            )


class Store(ABC):
    """Where the state of channels is kept. Methods raise `EngineUnavailable` when the store cannot be reached."""

    shared: bool = False
    """Whether all nodes see the same state; one that is not can serve one node only."""

    announces: bool = False
    """Whether it publishes drafts on the Redis pub/sub channel that they name."""

    async def append(
        self,
        channel: Channel,
        data: bytes,
        options: ChannelOptions,
        *,
        schema: bytes | None = None,
        short: bytes | None = None,
        info: bytes | None = None,
        key: str = "",
    ) -> Publication:
        """Takes one publication in; see `append_many`."""
        draft = Draft(channel, data, options, schema=schema, short=short, info=info, key=key)
        return (await self.append_many([draft]))[0]

    @abstractmethod
    async def append_many(self, drafts: Sequence[Draft]) -> list[Publication]:
        """Takes publications in, in their order, and returns what subscribers get of each.

        For each of them in one step: the next offset is given, the history trimmed by size and age, `data` becomes the
        last value, the rate counts one. With `schema`, subscribers get `short` instead of `data` while the schema is
        the one kept from the publication before, except for key frames: `data` goes out at least every
        `options.key_interval` publications and often enough in time that what the history holds can be understood by
        itself, from the first `data` in it on. A draft whose `key` the history holds already is answered with the
        publication that is there, and is not announced again.

        A draft whose `fence` is not held any more, by that owner with that token, adds nothing and is not announced;
        `LeaseLost` is raised when the others were dealt with. Raises ValueError, before anything is taken in, for a
        fence that is not a lease of the draft's channel.

        When it fails, some of them may have been taken in; drafts with a key can be given again.
        """

    @abstractmethod
    async def state(self, channel: Channel, options: ChannelOptions) -> ChannelState:
        """The position and the last value; asking for a channel that never was makes none that `active` would list.

        The epoch told stays that of the channel while somebody keeps asking for its position.
        """

    @abstractmethod
    async def positions(self, channels: Sequence[Channel]) -> list[Position]:
        """The top position of each of these channels, all of which keep history, in one go."""

    @abstractmethod
    async def history(
        self, channel: Channel, *, since: Position | None = None, limit: int = -1, reverse: bool = False
    ) -> tuple[list[Publication], Position]:
        """The kept publications after `since` in ascending order, at most `limit` (-1: all), and the top position.

        With `reverse` those before `since` (None: all) in descending order. `since` with an epoch that is not the
        stream's yields no publications: compare the top's epoch.
        """

    @abstractmethod
    async def active(self, channel: Channel | None = None) -> list[ActiveChannel]:
        """The channels the store knows of, in the order of their names; with `channel` that one only, if known."""

    @abstractmethod
    async def add_members(self, members: Sequence[tuple[Channel, Member]], ttl: float) -> None:
        """These clients are present for `ttl` seconds from now; for one that is, the time begins anew."""

    @abstractmethod
    async def remove_members(self, members: Sequence[tuple[Channel, str]]) -> list[bool]:
        """These clients (channel, client id) are not present any more; for each whether it was."""

    @abstractmethod
    async def members(self, channel: Channel) -> list[Member]:
        """Who is present, in the order of client ids."""

    @abstractmethod
    async def presence_stats(self, channel: Channel) -> PresenceStats:
        """How many are present."""

    @abstractmethod
    async def expire_members(self, channels: Sequence[Channel]) -> list[tuple[Channel, Member]]:
        """Removes and returns those whose time is over; each is returned to one caller only, whichever node asks."""

    @abstractmethod
    async def acquire(
        self, name: str, owner: str, ttl: float, *, note: bytes = b"", channel: Channel | None = None
    ) -> Lease | None:
        """The lease for `ttl` seconds, with that `note`; None while another owner has it, whose `renew` tells of the
        wish for `WANTED_SECONDS`. The owner itself gets the one it has, with the note it has.

        With `channel` the lease lives with the channel's keys; for one name it is always the same.
        """

    @abstractmethod
    async def holder(self, name: str, *, channel: Channel | None = None) -> Lease | None:
        """The lease as it is now, with its note, whoever has it; None: nobody."""

    @abstractmethod
    async def renew(self, lease: Lease, ttl: float, *, note: bytes | None = None) -> Renewal:
        """Another `ttl` seconds from now, and what became of the lease; `note` takes the place of what was noted."""

    @abstractmethod
    async def release(self, lease: Lease) -> None:
        """Gives the lease back; nothing happens when it was lost already."""

    @abstractmethod
    async def touch_node(self, node: str, ttl: float) -> None:
        """The node of that id is alive for `ttl` seconds from now."""

    @abstractmethod
    async def forget_node(self, node: str) -> None:
        """The node is gone."""

    @abstractmethod
    async def nodes(self) -> list[str]:
        """The ids of the nodes that are alive, in their order."""

    @abstractmethod
    async def ping(self) -> None:
        """Asks whether the store can be reached: raises `EngineUnavailable` when it cannot."""

    @abstractmethod
    async def expire(self) -> None:
        """Forgets what is past its time. The node's heartbeat calls it; a store that expires by itself does nothing."""

    @abstractmethod
    async def close(self) -> None:
        """Lets go of connections; the store is not used afterwards."""
