"""In one process: which clients are subscribed to which channel, and the fan-out to them.

A publication is encoded once and the same bytes go to every subscriber's outbox, in one synchronous block: nothing
can come between, and nothing is lost to a cancelled task. What comes to a channel in one turn of the loop is joined
before it is written, so that a burst costs each subscriber a few writes. For channels with history the hub lets offsets
through one by one: older ones are dropped, a gap is reported to the node, which fills it from the store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from live.channel import Channel
from live.node.counters import Counters
from live.node.outbox import Encoded, joined
from live.node.subscription import Subscriber, Subscribers, Subscription
from live.protocol.replies import member_push, publication_push
from live.store import Position, Publication

MAX_EXPECTED = 1000
"""Publications of one channel whose arrival is timed at once."""

MAX_EARLY = 1000
"""Publications kept while the first position is read; over it the gap rule reads them from the store."""


class Hub:
    """The registry of subscriptions of one node.

    `on_gap` is called once for a channel when publications are missing; until `fill` closed the gap, newer ones are
    left to be read from the store. `hold_limit` is the most bytes held for a subscription that is not live yet.
    """

    def __init__(self, *, on_gap: Callable[[Channel], None], hold_limit: int, counters: Counters | None = None) -> None:
        self._counters = counters or Counters()
        self._unwritten: list[Subscribers] = []
        """Channels with something pending."""
        self._channels: dict[Channel, Subscribers] = {}
        self._hold_limit = hold_limit
        self._on_gap = on_gap
        self.encoded = 0
        """Publications encoded so far: one for each delivered, however many subscribers."""

    def __contains__(self, channel: Channel) -> bool:
        return channel in self._channels

    def __len__(self) -> int:
        return len(self._channels)

    def channels(self) -> list[Channel]:
        """The channels with at least one subscriber here."""
        return list(self._channels)

    def subscriber_count(self, channel: Channel) -> int:
        """Subscribers of `channel` on this node."""
        entry = self._channels.get(channel)
        return len(entry.live) + len(entry.waiting) if entry else 0

    def subscribers(self, channel: Channel) -> list[Subscriber]:
        """Who subscribes to `channel` on this node."""
        entry = self._channels.get(channel)
        return [subscription.subscriber for subscription in entry.all()] if entry else []

    def subscriptions(self) -> int:
        """All subscriptions on this node."""
        return sum(len(entry.live) + len(entry.waiting) for entry in self._channels.values())

    def add(self, channel: Channel, subscriber: Subscriber, *, latest_only: bool = False) -> Subscription:
        """A new subscription that holds publications back until it is released.

        `latest_only`: subscribers that lag get the newest publication in place of all.
        """
        entry = self._channels.get(channel)
        if entry is None:
            entry = self._channels[channel] = Subscribers(channel.scope)
        entry.latest_only = latest_only
        subscription = Subscription(channel, subscriber, limit=self._hold_limit, early=entry.position is None)
        entry.waiting[subscriber] = subscription
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Ends a subscription; with the last one the hub forgets the channel."""
        subscription.end()
        entry = self._channels.get(subscription.channel)
        if entry is None:
            return
        for group in (entry.live, entry.waiting):
            if group.get(subscription.subscriber) is subscription:
                del group[subscription.subscriber]
        if not entry.live and not entry.waiting:
            del self._channels[subscription.channel]

    def learn(self, channel: Channel, position: Position, reader: Subscription | None = None) -> None:
        """The position of the channel in the store, read after the channel was joined, for `reader`.

        The first one starts the count; what came before it goes through the rules now. One of another epoch than the
        hub's tells that the stream began anew, to all but the reader. One whose reader has ended meanwhile is outdated.
        Of those that were read side by side when the hub had none, nobody knows which is the newer: a reader that has
        another epoch than the first is ended itself, and reads again.
        """
        entry = self._channels.get(channel)
        if entry is None or not position.epoch or (reader is not None and reader.ended):
            return
        if entry.position is None:
            entry.position = position
            early, entry.early = entry.early, []
            for publication in early:
                self.deliver(channel, publication)
        elif entry.position.epoch != position.epoch:
            if reader is not None and reader.early:
                reader.end()
            else:
                self._restart(channel, entry, position, reader)

    def release(self, subscription: Subscription, position: Position) -> None:
        """The reply telling `position` was written: the subscription becomes live."""
        entry = self._channels.get(subscription.channel)
        if entry is None or entry.waiting.get(subscription.subscriber) is not subscription or subscription.ended:
            return
        hub_offset = entry.position.offset if entry.position else position.offset
        subscription.release(position.offset, hub_offset)
        if subscription.live:
            self._make_live(entry, subscription)

    def _make_live(self, entry: Subscribers, subscription: Subscription) -> None:
        # What is pending came before it.
        self._write_pending(entry)
        entry.waiting.pop(subscription.subscriber, None)
        entry.live[subscription.subscriber] = subscription

    def deliver(self, channel: Channel, publication: Publication) -> None:
        """Gives a publication from the relay to the subscribers, if it is their next one."""
        entry = self._channels.get(channel)
        if entry is None:
            return
        if not publication.offset:
            self._fan_out(channel, entry, publication)
            return
        if entry.position is None:
            if len(entry.early) < MAX_EARLY:
                entry.early.append(publication)
            return
        entry.seen = max(entry.seen, publication.offset)
        if entry.filling:
            return
        if publication.epoch != entry.position.epoch:
            self._restart(channel, entry, Position(publication.offset, publication.epoch))
        elif publication.offset == entry.position.offset + 1:
            entry.position, entry.last = publication.position, publication
            self._fan_out(channel, entry, publication)
        elif publication.offset > entry.position.offset:
            entry.filling = True
            self._on_gap(channel)

    def member_changed(self, channel: Channel, info: bytes, *, joined: bool) -> None:
        """Tells the subscribers that a client joined the channel or left it."""
        entry = self._channels.get(channel)
        if entry is not None:
            self._write(entry, 0, Encoded(member_push(str(channel), info, joined=joined)))

    def positions(self) -> dict[Channel, Position]:
        """How far the channels with history were delivered here."""
        return {channel: entry.position for channel, entry in self._channels.items() if entry.position is not None}

    def last_delivered(self) -> dict[Channel, Publication]:
        """The last publication of each channel with history that was delivered here."""
        return {channel: entry.last for channel, entry in self._channels.items() if entry.last is not None}

    def restart(self, channel: Channel, top: Position) -> None:
        """What was delivered is not what the store has: the subscribers are told, and start from `top`."""
        entry = self._channels.get(channel)
        if entry is not None:
            self._restart(channel, entry, top)

    def check(self, channel: Channel, delivered: Position, top: Position) -> None:
        """Compares what was `delivered` when the store was asked with the `top` position it answered.

        What is missing is a gap; a store that has less than was delivered has lost publications, and the next ones
        would take their offsets.
        """
        entry = self._channels.get(channel)
        if entry is None or entry.position is None or entry.filling:
            return
        if entry.position.epoch != delivered.epoch:
            # The stream began anew meanwhile, and the subscribers were told.
            return
        if top.epoch != delivered.epoch or top.offset < delivered.offset:
            self._restart(channel, entry, top)
        elif top.offset > entry.position.offset:
            entry.seen = max(entry.seen, top.offset)
            entry.filling = True
            self._on_gap(channel)

    def missing_since(self, channel: Channel) -> Position | None:
        """Where the gap of `channel` begins, or None when nothing is missing any more."""
        entry = self._channels.get(channel)
        return entry.position if entry and entry.filling else None

    def leave_gap(self, channel: Channel) -> None:
        """The gap cannot be read now; it is reported again when something shows it."""
        entry = self._channels.get(channel)
        if entry is not None:
            entry.filling = False

    def fill(self, channel: Channel, publications: list[Publication], top: Position) -> bool:
        """Delivers what the store had after `missing_since`; True when the gap is closed or cannot be.

        A store that has not all of it any more ends the subscriptions, so that clients start from what there is.
        """
        entry = self._channels.get(channel)
        if entry is None or not entry.filling or entry.position is None:
            return True
        complete = top.epoch == entry.position.epoch
        for publication in publications:
            if not complete or publication.offset != entry.position.offset + 1:
                complete = False
                break
            entry.position, entry.last = publication.position, publication
            self._fan_out(channel, entry, publication)
        if not complete or entry.position.offset < top.offset:
            self._restart(channel, entry, top)
            return True
        if entry.seen <= entry.position.offset:
            entry.filling = False
            return True
        if publications:
            return False
        # What was relayed is not in the store, and trying again for ever would not bring it there.
        self._restart(channel, entry, top)
        return True

    def _restart(
        self, channel: Channel, entry: Subscribers, position: Position, reader: Subscription | None = None
    ) -> None:
        """The subscribers' positions cannot be continued, but that of `reader`: they are told, and subscribe again."""
        self._write_pending(entry)
        entry.expected.clear()
        entry.position, entry.last = position, None
        entry.filling = False
        entry.seen = position.offset
        for subscription in entry.all():
            if subscription is reader:
                subscription.drop_positioned()
                continue
            if subscription.holding:
                # Its client may not know of it yet; whoever is preparing the reply finds it ended.
                subscription.end()
            subscription.subscriber.unsubscribed(channel)

    def _fan_out(self, channel: Channel, entry: Subscribers, publication: Publication) -> None:
        message = Encoded(
            publication_push(
                str(channel),
                publication.data,
                offset=publication.offset,
                epoch=publication.epoch,
                info=publication.info,
            )
        )
        self.encoded += 1
        if (began := entry.expected.pop(publication.offset, None)) is not None:
            entry.begun.append(began)
        if entry.latest_only:
            message.channel = channel
        self._write(entry, publication.offset, message)

    def _write(self, entry: Subscribers, offset: int, message: Encoded) -> None:
        if not entry.pending:
            if not self._unwritten:
                asyncio.get_running_loop().call_soon(self.flush)
            self._unwritten.append(entry)
        entry.pending.append(message)
        if entry.waiting:
            # One of these may become live with this message; then the others have it already.
            self._write_pending(entry)
            for subscription in list(entry.waiting.values()):
                subscription.offer(offset, message)
                if subscription.live:
                    self._make_live(entry, subscription)

    def expect(self, channel: Channel, publication: Publication, began: float) -> None:
        """A publication of this node, begun at that monotonic time, arrives in a moment or did so already."""
        entry = self._channels.get(channel)
        if entry is None:
            return
        if publication.offset and entry.position is not None and entry.position.offset >= publication.offset:
            self._counters.delivery_seconds.observe(time.monotonic() - began)
        elif len(entry.expected) < MAX_EXPECTED:
            entry.expected[publication.offset] = began

    def flush(self) -> None:
        """Writes what is pending, now; called once in each turn of the loop in which something came."""
        unwritten, self._unwritten = self._unwritten, []
        for entry in unwritten:
            self._write_pending(entry)

    def _write_pending(self, entry: Subscribers) -> None:
        pending, entry.pending = entry.pending, []
        if not pending:
            return
        begun, entry.begun = entry.begun, []
        self._counters.deliveries[entry.scope] += len(pending) * len(entry.live)
        for message in joined(pending):
            # A copy: a client found slow while it is written to leaves the dictionary.
            for subscriber in list(entry.live):
                subscriber.write(message)
        if begun:
            now = time.monotonic()
            for began in begun:
                self._counters.delivery_seconds.observe(now - began)
