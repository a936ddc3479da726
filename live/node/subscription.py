"""One client's interest in one channel, and all of them of a channel on this node.

What a subscription is given before its reply was written waits in it; from then on publications go straight through.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from live.channel import Channel
from live.node.outbox import Encoded
from live.store import Position, Publication


class Subscriber(Protocol):
    """What the hub needs of a client."""

    def write(self, message: Encoded) -> None:
        """Hands a message to the client's outbox."""

    def unsubscribed(self, channel: Channel) -> None:
        """The subscription was ended because its position cannot be kept; the client is told to subscribe again."""

    def overflow(self) -> None:
        """More waits for this client than may; it is disconnected as slow."""


class _Phase(Enum):
    HOLDING = auto()
    """The reply is being prepared: publications wait."""
    AHEAD = auto()
    """The reply told a position the hub has not reached: publications up to it are known to the client."""
    LIVE = auto()
    """Publications go straight to the outbox."""
    ENDED = auto()


class Subscription:
    """One client's interest in one channel."""

    __slots__ = ("_held", "_limit", "_phase", "channel", "early", "held_bytes", "offset", "subscriber")

    def __init__(self, channel: Channel, subscriber: Subscriber, *, limit: int, early: bool = False) -> None:
        self.channel = channel
        self.early = early
        """Whether it began before the hub had a position of the channel."""
        self.subscriber = subscriber
        self.offset = 0
        self.held_bytes = 0
        self._limit = limit
        self._held: list[tuple[int, Encoded]] = []
        self._phase = _Phase.HOLDING

    @property
    def live(self) -> bool:
        """Whether publications go straight through."""
        return self._phase is _Phase.LIVE

    @property
    def holding(self) -> bool:
        """Whether publications wait for the reply."""
        return self._phase is _Phase.HOLDING

    @property
    def ended(self) -> bool:
        """Whether the subscription is over."""
        return self._phase is _Phase.ENDED

    def offer(self, offset: int, message: Encoded) -> None:
        """Takes a publication while the subscription is not live yet."""
        if self._phase is _Phase.HOLDING:
            if self.held_bytes + len(message.raw) > self._limit:
                self.subscriber.overflow()
                return
            self._held.append((offset, message))
            self.held_bytes += len(message.raw)
        elif self._phase is _Phase.AHEAD:
            if offset > self.offset:
                self._phase = _Phase.LIVE
            elif offset:
                return
            # What has no offset is no part of what the reply told.
            self.subscriber.write(message)

    def drop_positioned(self) -> None:
        """The stream begins anew: what is held and has an offset is of the old one."""
        self._held = [(offset, message) for offset, message in self._held if not offset]
        self.held_bytes = sum(len(message.raw) for _, message in self._held)

    def release(self, offset: int, hub_offset: int) -> None:
        """The reply with `offset` was written: what was held and is newer follows it."""
        self.offset = offset
        self._phase = _Phase.AHEAD if offset > hub_offset else _Phase.LIVE
        held, self._held, self.held_bytes = self._held, [], 0
        for held_offset, message in held:
            if held_offset == 0 or held_offset > offset:
                self.subscriber.write(message)

    def end(self) -> None:
        """Nothing more is taken."""
        self._phase = _Phase.ENDED
        self._held = []
        self.held_bytes = 0


class Subscribers:
    """The subscriptions of one channel, and how far the channel was delivered on this node."""

    __slots__ = (
        "begun",
        "early",
        "expected",
        "filling",
        "last",
        "latest_only",
        "live",
        "pending",
        "position",
        "scope",
        "seen",
        "waiting",
    )

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.latest_only = False
        self.expected: dict[int, float] = {}
        """When publications of this node began that have not arrived yet, by offset."""
        self.begun: list[float] = []
        """When what is pending began, as far as that is known."""
        self.pending: list[Encoded] = []
        """What came in this turn of the loop and is not written yet."""
        self.live: dict[Subscriber, Subscription] = {}
        self.waiting: dict[Subscriber, Subscription] = {}
        self.position: Position | None = None
        self.last: Publication | None = None
        """The last one delivered, where there are offsets."""
        self.filling = False
        self.seen = 0
        # What came before the first subscriber's position was read; short-lived, and bounded below.
        self.early: list[Publication] = []

    def all(self) -> list[Subscription]:
        """Every subscription, live or not yet."""
        return [*self.live.values(), *self.waiting.values()]
