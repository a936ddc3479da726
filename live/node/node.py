"""Puts hub, relay and store together: what one process of the site does for its clients and publishers.

A node belongs to one event loop. It owns its background tasks: they are kept, their failures are logged, and `stop`
ends them all.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from channels.layers import InMemoryChannelLayer
from django.dispatch import Signal

from live.channel import Channel
from live.conf import LiveSettings
from live.exceptions import EngineUnavailable, UnrecoverablePosition
from live.logs import about
from live.node.clients import Clients, Peer
from live.node.companions import C, Companions
from live.node.control import NOBODY, ControlMessage, NodeReport, Survey, Wanted
from live.node.counters import Counters
from live.node.gaps import Gaps
from live.node.hub import Hub
from live.node.messages import Messages
from live.node.pings import Pings
from live.node.presence import Presence
from live.node.publisher import Publisher
from live.node.recovery import MAX_BYTES, MAX_PUBLICATIONS, Recovery, fitting, judge
from live.node.relay import Body, Relay
from live.node.relay_layer import LayerRelay
from live.node.relay_local import LocalRelay
from live.node.senders import Senders
from live.node.subscription import Subscriber, Subscription
from live.node.tasks import Tasks, start_task
from live.signals import relay_connected, relay_disconnected
from live.store import (
    ActiveChannel,
    ChannelOptions,
    ChannelState,
    Draft,
    Member,
    Position,
    PresenceStats,
    Publication,
    Store,
)

logger = logging.getLogger("live.node")

HEARTBEAT = 25.0
"""Seconds between the node's rounds: memberships and presence renewed, positions compared, old entries dropped."""

NODE_TTL = 60.0
"""Seconds without a heartbeat after which a node counts as gone."""

PRESENCE_GRACE = 2.0
"""Seconds a node that stops gives to telling who is not present any more."""


@dataclass(frozen=True, slots=True)
class NodeStats:
    """What a node holds now; all zero when nobody is connected (invariant 5)."""

    clients: int
    channels: int
    joined: int
    tasks: int
    members: int = 0
    subscriptions: int = 0
    queue_bytes: int = 0
    """Bytes that wait for clients."""
    opening: int = 0
    """Sockets whose connect command is still to come."""


class Node:
    """One process of the site: `settings`, a channel `layer` to the other nodes, a `store`."""

    def __init__(self, *, settings: LiveSettings, layer: Any, store: Store) -> None:
        self.id = uuid.uuid4().hex
        self.settings = settings
        self.store = store
        self.clients = Clients(settings.max_connections, self.id)
        self.senders = Senders()
        self.counters = Counters()
        self.hub = Hub(
            on_gap=lambda channel: self.gaps.fill(channel),
            hold_limit=settings.client_queue_max_bytes,
            counters=self.counters,
        )
        local = isinstance(layer, InMemoryChannelLayer)
        self.relay: Relay = LocalRelay(layer, self) if local else LayerRelay(layer, self, node=self.id)
        self.gaps = Gaps(self.hub, store, self.spawn)
        self.presence = Presence(store, self.relay, ttl=settings.presence_ttl, spawn=self.spawn, node=self.id)
        self.messages = Messages(self)
        self.companions = Companions()
        self._publisher = Publisher(store, self.relay, self.hub, self.counters, max_size=settings.max_publication_size)
        self.pings = Pings(interval=settings.ping_interval, timeout=settings.pong_timeout)
        # One that fills a client's queue by itself would disconnect the client as slow, again and again.
        self.reply_bytes = min(MAX_BYTES, settings.client_queue_max_bytes // 2)
        """The most that one reply holds."""
        self._tasks = Tasks(self.id)
        self._heartbeat: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._signal_turn = asyncio.Lock()

    async def start(self) -> None:
        """Joins the relay and begins the heartbeat; a second call waits for the first and does nothing."""
        async with self._starting:
            if self._heartbeat is None:
                await self.relay.start()
                self._heartbeat = start_task(self._beat(), "live heartbeat")

    async def stop(self) -> None:
        """Disconnects the clients (3001, they come back to another node) and ends every task of this node.

        The store is not closed: it belongs to whoever made it, and may serve another node of this process.
        """
        self.clients.disconnect_all()
        self.senders.leave_all()
        # They say goodbye through the store and the relay.
        await self.companions.stop()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.gather(self._heartbeat, return_exceptions=True)
        await self._tasks.stop()
        await self.relay.stop()
        try:
            await self.store.forget_node(self.id)
        except EngineUnavailable as error:
            logger.info("this node stays listed until it expires: %s", error, extra=about(node=self.id))

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Runs `coroutine` beside; this node keeps it and logs its failure under `name`."""
        self._tasks.spawn(coroutine, name)

    def stats(self) -> NodeStats:
        """What this node holds now."""
        return NodeStats(
            clients=len(self.clients),
            channels=len(self.hub),
            joined=len(self.relay.joined),
            tasks=len(self._tasks),
            members=len(self.presence),
            subscriptions=self.hub.subscriptions(),
            queue_bytes=sum(client.queue_bytes for client in self.clients),
            opening=self.clients.opening,
        )

    # Readiness

    @property
    def draining(self) -> bool:
        """Whether this node is about to stop."""
        return self.clients.draining

    async def unready(self) -> list[str]:
        """Why no client should be sent here now, one reason each; empty: none."""
        reasons = []
        if self.draining:
            reasons.append("draining: this node is about to stop")
        if not self.relay.connected:
            reasons.append("the channel layer cannot be reached")
        try:
            await self.store.ping()
        except EngineUnavailable as error:
            reasons.append(f"the store cannot be reached: {error}")
        return reasons

    async def drain(self, seconds: float) -> None:
        """Takes nobody any more and sends everybody away, spread over so many seconds."""
        await asyncio.gather(self.clients.drain(seconds), self.senders.drain(seconds))
        await self.presence.settled(PRESENCE_GRACE)
        # Nobody here needs them any more, and other nodes can take over before this process has ended.
        await self.companions.stop()

    # Companions

    def companion(self, factory: Callable[[Node], C]) -> C:
        """What `factory` makes of this node, made at the first call: something that lives and stops with the node."""
        return self.companions.of(self, factory)

    # Clients

    def expect(self, client: Peer, since: float) -> None:
        """A client whose connect is still to come; `since`: when its session was asked for, on the monotonic clock."""
        self.clients.expect(client, since, self.spawn)

    def admit(self, client: Peer) -> bool:
        """Registers a client whose connect succeeded; False when the node has as many as it may have."""
        return self.clients.admit(client)

    def forget(self, client: Peer) -> None:
        """The client is gone."""
        self.clients.forget(client)

    # Subscriptions

    async def subscribe(
        self, channel: Channel, client: Subscriber, options: ChannelOptions, *, since: Position | None = None
    ) -> tuple[Subscription, ChannelState, Recovery | None]:
        """Adds a subscription that holds publications back, and reads what it starts from.

        With `since`, the position of a client that comes back, also what it missed. The caller writes the reply and
        then calls `release` with the state's position. Raises `EngineUnavailable`, also when the stream began anew
        meanwhile; then nothing is left.
        """
        options = self._publisher.possible(options)
        subscription = self.hub.add(channel, client, latest_only=options.latest_only and not options.has_history)
        recovery = None
        try:
            # Join before reading the position: a publication in between would otherwise be lost.
            await self.relay.join(channel)
            state = await self.store.state(channel, options)
            if since is not None and options.has_history:
                found, top = await self.store.history(channel, since=since, limit=MAX_PUBLICATIONS + 1)
                recovery = judge(since, found, top, max_bytes=self.reply_bytes)
                if recovery.recovered:
                    state = replace(state, position=top)
            self.hub.learn(channel, state.position, subscription)
            if subscription.ended:
                raise EngineUnavailable("the stream began anew, subscribe again")
        except BaseException:
            await self.unsubscribe(subscription)
            raise
        return subscription, state, recovery

    def release(self, subscription: Subscription, position: Position) -> None:
        """The reply telling `position` is on its way: publications may follow it."""
        self.hub.release(subscription, position)

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Ends a subscription; with the last one of a channel the node leaves the channel's group."""
        channel = subscription.channel
        self.hub.remove(subscription)
        if channel not in self.hub:
            try:
                await self.relay.leave(channel, unless=lambda: channel in self.hub)
            except EngineUnavailable as error:
                # The group membership ends with the layer's own expiry; the client is not held up for it.
                logger.info("could not leave %s: %s", channel, error, extra=about(channel=channel, node=self.id))

    # Presence

    async def enter(self, channel: Channel, member: Member, *, announce: bool) -> None:
        """The client is present in the channel; `announce`: its leaving is told to the subscribers.

        To be called before the reply to subscribe. Raises `EngineUnavailable`.
        """
        await self.presence.enter(channel, member, announce=announce)

    def tell_joined(self, channel: Channel, client: str) -> None:
        """Tells the subscribers that the client, which entered before, is there; after its reply. Returns at once."""
        self.spawn(self.presence.tell_joined(channel, client), f"telling {channel} who joined")

    def leave(self, channel: Channel, client: str) -> None:
        """The client is not present any more. Returns at once; nothing happens when it was not."""
        self.presence.leave(channel, client)

    async def members(self, channel: Channel) -> list[Member]:
        """Who is present, on all nodes."""
        return await self.store.members(channel)

    async def presence_stats(self, channel: Channel) -> PresenceStats:
        """How many are present, on all nodes."""
        return await self.store.presence_stats(channel)

    # Publications

    async def publish(
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
        """Takes a publication into the store and hands it to every node; see `publish_many`."""
        draft = Draft(channel, data, options, schema=schema, short=short, info=info, key=key)
        return (await self.publish_many([draft]))[0]

    async def publish_many(self, drafts: Sequence[Draft]) -> list[Publication]:
        """Takes publications into the store, in their order, and hands them to every node.

        Raises `PublicationTooLarge`, and then none is taken, and `EngineUnavailable`, and then some may have been; see
        `Store.append_many`.
        """
        return await self._publisher.publish(drafts)

    async def history(
        self, channel: Channel, since: Position | None, limit: int, *, reverse: bool = False
    ) -> tuple[list[Publication], Position]:
        """Kept publications for one reply, and the top position; see `Store.history`.

        As many as fit into one reply, but one at least: whoever wants more asks again from where these end. Raises
        `UnrecoverablePosition` for a position of another epoch.
        """
        count = MAX_PUBLICATIONS if limit < 0 else min(limit, MAX_PUBLICATIONS)
        found, top = await self.store.history(channel, since=since, limit=count, reverse=reverse)
        if since is not None and since.epoch and since.epoch != top.epoch:
            raise UnrecoverablePosition
        return fitting(found, max_bytes=self.reply_bytes), top

    async def active_channels(self) -> list[ActiveChannel]:
        """The channels the store knows of, and those somebody subscribes to on this node."""
        known = await self.store.active()
        names = {active.channel for active in known}
        idle = [ActiveChannel(channel, 0) for channel in self.hub.channels() if channel not in names]
        return sorted([*known, *idle], key=lambda active: str(active.channel))

    # From the relay

    def deliver(self, channel: Channel, publication: Publication) -> None:
        """A publication arrived."""
        self.hub.deliver(channel, publication)

    def member_changed(self, channel: Channel, info: bytes, *, joined: bool) -> None:
        """A client joined a channel or left it."""
        self.hub.member_changed(channel, info, joined=joined)

    def relay_lost(self) -> None:
        """Nothing arrives any more: clients stay connected, new subscriptions are refused for now."""
        self.spawn(self._send_signal(relay_disconnected), "the signal relay_disconnected")

    def relay_interrupted(self) -> None:
        """What comes next may be of a store that went back in time."""
        self.gaps.interrupted()

    def relay_returned(self) -> None:
        """What was published meanwhile may have been lost: positions are compared with the store."""
        self.gaps.check_soon()
        self.spawn(self._send_signal(relay_connected), "the signal relay_connected")

    def take_message(self, body: Body) -> None:
        """A message of a node."""
        self.messages.take(body)

    # Between nodes

    async def control(self, message: ControlMessage) -> None:
        """Has every node, this one too, do what `message` says; raises `EngineUnavailable`."""
        await self.relay.broadcast(message.body())

    def report(self, channel: Channel | None = None, wanted: Wanted = NOBODY) -> NodeReport:
        """What this node answers to a survey."""
        count = self.hub.subscriber_count(channel) if channel else 0
        listed = self.clients.listed(wanted)
        return NodeReport(self.id, len(self.clients), self.clients.users(), len(self.hub), count, listed)

    async def survey(
        self,
        channel: Channel | None = None,
        *,
        wanted: Wanted = NOBODY,
        seconds: float = 1.0,
    ) -> Survey:
        """What all nodes have: answers that came within so many seconds, and who did not answer.

        `wanted`: which clients they list. Raises `EngineUnavailable` when nobody can be asked.
        """
        return await self.messages.survey(channel, wanted, seconds)

    # In the background

    async def _beat(self) -> None:
        while True:
            try:
                await self.store.touch_node(self.id, NODE_TTL)
                await self.relay.refresh()
                await self.presence.refresh()
                await self.gaps.check()
                await self.store.expire()
            except EngineUnavailable as error:
                logger.warning("heartbeat: %s", error, extra=about(node=self.id))
            await asyncio.sleep(HEARTBEAT)

    async def _send_signal(self, signal: Signal) -> None:
        # Django logs what receivers do wrong. One at a time, so that lost and found come in their order.
        async with self._signal_turn:
            await signal.asend_robust(sender=Node, node=self.id)
