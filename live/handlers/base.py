"""The base class of handlers: who may subscribe or publish, what a subscriber gets first, what the engine keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from live.channel import Channel
from live.store import ChannelOptions
from live.users import User


@dataclass(frozen=True, slots=True)
class Admission:
    """A handler's yes to a subscriber."""

    initial: Any = None
    """What the subscriber gets first where the channel has no last value, any JSON; None: nothing."""


class ChannelHandler:
    """Answers for the channels of one scope, or of one namespace in it. Subclass it and `register` the class.

    One instance serves all clients at once, so keep nothing about a client on ``self``. The methods run on the event
    loop: reach the ORM with its async methods (``aget``, ``acount``...) or through ``database_sync_to_async``.
    Everything is refused until a method says otherwise. To answer with another error than 403, raise
    `live.NotFound` or `live.Forbidden` with a message, or another subclass of `live.LiveError`; after one that is
    `temporary` clients ask again. Whatever else a method raises is a mistake: logged, and told to no client.
    """

    history_size: int = 0
    """Publications kept for clients that missed some; 0 keeps none, and publications carry no offset."""

    history_ttl: float = 300.0
    """Seconds a publication stays in the history."""

    keep_last: bool = False
    """Whether the last publication is kept and is a new subscriber's initial data, unless `initial_data` gives some."""

    allow_history: bool = False
    """Whether subscribers may ask for the history, and those who may subscribe."""

    recover: bool = True
    """Whether, where there is a history, a client that comes back is told what it missed.

    Clients keep their position then, and ask with it by themselves. What they missed comes with the reply to subscribe
    in place of the last value; where it is more than 300 publications or 512 KiB, or older than the history, they start
    anew, as a new subscriber does.
    """

    presence: bool = False
    """Whether subscribers, and those who may subscribe, can ask who is subscribed and how many.

    Each of them is entered in the store, and again with every heartbeat of its node.
    """

    join_leave: bool = False
    """Whether every subscriber is told who comes and goes: what `presence` costs, and a message to all each time."""

    latest_only: bool = False
    """Whether a subscriber that lags gets the newest publication in place of all it missed: for gauges. Only in
    channels without history, whose publications have no offsets to miss."""

    async def can_subscribe(self, user: User, channel: Channel, data: Any) -> bool:
        """Whether `user` may receive `channel`; `data` is what the client sent along, or None."""
        return False

    async def admit(self, user: User, channel: Channel, data: Any) -> Admission | None:
        """Asked once for each subscribe, before the channel is joined; None refuses.

        For handlers that begin something with a subscription. Whether it may go on, and who else may read about the
        channel, is asked of `can_subscribe`, which alone decides here too unless a handler says otherwise.
        """
        return Admission() if await self.can_subscribe(user, channel, data) else None

    async def can_publish(self, user: User, channel: Channel, data: Any) -> bool:
        """Whether `user` may publish `data` to `channel` from a client."""
        return False

    async def clean(self, user: User, channel: Channel, data: Any) -> Any:
        """What is published when a client that may publishes `data`; raise `live.BadData` to refuse it."""
        return data

    async def initial_data(self, user: User, channel: Channel, data: Any) -> Any:
        """What a new subscriber gets with the reply to subscribe; None: nothing, or the last value if it is kept.

        Called after the subscription was joined: what is read here is never older than the first publication.
        """
        return None

    async def member_info(self, user: User, channel: Channel) -> Any:
        """What others are told of a subscriber besides its ids, such as ``{"name": ...}``; None: nothing.

        Asked at each subscribe where there is `presence` or `join_leave`. Clients find it as ``chan_info``; everybody
        who may ask for the presence sees it.
        """
        return None

    @property
    def options(self) -> ChannelOptions:
        """What the engine keeps for this handler's channels."""
        return ChannelOptions(self.history_size, self.history_ttl, self.keep_last, self.latest_only)
