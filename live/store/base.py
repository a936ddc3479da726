"""The contract of a store, and the values it deals in.

A store keeps, for each channel, what must outlive a message: the stream of recent publications with its position, the
last value for new subscribers, how many publications a minute. One contract suite runs over every store
(``tests/store``). Every method may be called from any event loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from live.channel import Channel


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """What the engine keeps for a channel; handlers say it with their class attributes."""

    history_size: int = 0
    """Publications kept for those who missed some; 0: none, and publications carry no offset."""

    history_ttl: float = 300.0
    """Seconds a publication stays in the history."""

    keep_last: bool = False
    """Whether the last value is kept and sent to new subscribers."""

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


class Store(ABC):
    """Where the state of channels is kept. Methods raise `EngineUnavailable` when the store cannot be reached."""

    shared: bool = False
    """Whether all nodes see the same state; one that is not can serve one node only."""

    @abstractmethod
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
        """Takes `data` (JSON) into the channel and returns the publication that subscribers get.

        In one step: the next offset is given, the history trimmed by size and age, `data` becomes the last value, the
        rate counts one. With `schema` (bytes that change when and only when the meaning of `short` changes),
        subscribers get `short` instead of `data` while the schema is the one kept from the publication before, except
        for key frames: `data` goes out at least every `options.key_interval` publications and often enough in time that
        what the history holds can be understood by itself, from the first `data` in it on.
        """

    @abstractmethod
    async def state(self, channel: Channel, options: ChannelOptions) -> ChannelState:
        """The position and the last value; asking for a channel that never was creates nothing."""

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
    async def expire(self) -> None:
        """Forgets what is past its time. The node's heartbeat calls it; a store that expires by itself does nothing."""

    @abstractmethod
    async def close(self) -> None:
        """Lets go of connections; the store is not used afterwards."""
