"""Puts hub, relay and store together: what one process of the site does for its clients and publishers.

A node belongs to one event loop. It owns its background tasks: they are kept, their failures are logged, and `stop`
ends them all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from live.channel import Channel
from live.conf import LiveSettings
from live.exceptions import DisconnectCode, EngineUnavailable, PublicationTooLarge, UnrecoverablePosition
from live.node.hub import Hub, Subscriber, Subscription
from live.node.relay import Relay
from live.store import ActiveChannel, ChannelOptions, ChannelState, Position, Publication, Store

logger = logging.getLogger("live.node")

HEARTBEAT = 25.0
"""Seconds between the node's rounds: memberships renewed, the store's old entries dropped."""

HISTORY_MAX_PUBLICATIONS = 300
HISTORY_MAX_BYTES = 512 * 1024
"""Limits of one reply to history; clients refuse messages above 1 MiB (client-protocol §0)."""


class Peer(Subscriber, Protocol):
    """A connected client, as its node sees it."""

    def disconnect(self, code: DisconnectCode, reason: str = "") -> None:
        """Ends the connection."""


@dataclass(frozen=True, slots=True)
class NodeStats:
    """What a node holds now; all zero when nobody is connected (invariant 5)."""

    clients: int
    channels: int
    joined: int
    tasks: int


class Node:
    """One process of the site: `settings`, a channel `layer` to the other nodes, a `store`."""

    def __init__(self, *, settings: LiveSettings, layer: Any, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.hub = Hub(on_gap=self._fill_gap, hold_limit=settings.client_queue_max_bytes)
        self.relay = Relay(layer, self.hub.deliver)
        self._clients: set[Peer] = set()
        self._full = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._heartbeat: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Joins the relay and begins the heartbeat; a second call waits for the first and does nothing."""
        async with self._starting:
            if self._heartbeat is None:
                await self.relay.start()
                self._heartbeat = asyncio.get_running_loop().create_task(self._beat(), name="live heartbeat")

    async def stop(self) -> None:
        """Disconnects the clients (3001, they come back to another node) and ends every task of this node.

        The store is not closed: it belongs to whoever made it, and may serve another node of this process.
        """
        for client in list(self._clients):
            client.disconnect(DisconnectCode.SHUTDOWN)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.gather(self._heartbeat, return_exceptions=True)
        pending = list(self._tasks)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await self.relay.stop()

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Runs `coroutine` beside; this node keeps it and logs its failure under `name`."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s failed", task.get_name(), exc_info=error)

    def stats(self) -> NodeStats:
        """What this node holds now."""
        return NodeStats(len(self._clients), len(self.hub), len(self.relay.joined), len(self._tasks))

    # Clients

    def admit(self, client: Peer) -> bool:
        """Registers a client whose connect succeeded; False when the node has as many as it may have."""
        limit = self.settings.max_connections
        if 0 <= limit <= len(self._clients):
            if not self._full:
                # Once until there is room again: clients keep trying.
                self._full = True
                logger.warning("this node has its %d clients; more are refused, see LIVE['MAX_CONNECTIONS']", limit)
            return False
        self._full = False
        self._clients.add(client)
        return True

    def forget(self, client: Peer) -> None:
        """The client is gone."""
        self._clients.discard(client)

    # Subscriptions

    async def subscribe(
        self, channel: Channel, client: Subscriber, options: ChannelOptions
    ) -> tuple[Subscription, ChannelState]:
        """Adds a subscription that holds publications back, and reads what it starts from.

        The caller writes the reply and then calls `release`. Raises `EngineUnavailable`; then nothing is left.
        """
        subscription = self.hub.add(channel, client)
        try:
            # Join before reading the position: a publication in between would otherwise be lost.
            await self.relay.join(channel)
            state = await self.store.state(channel, options)
        except BaseException:
            await self.unsubscribe(subscription)
            raise
        self.hub.learn(channel, state.position)
        return subscription, state

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
                logger.info("could not leave %s: %s", channel, error)

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
    ) -> Publication:
        """Takes a publication into the store and hands it to every node; see `Store.append` for the arguments.

        Raises `PublicationTooLarge` and `EngineUnavailable`.
        """
        limit = self.settings.max_publication_size
        if len(data) > limit:
            raise PublicationTooLarge(f"publication to {channel} has {len(data)} bytes, at most {limit} are allowed")
        if not self.relay.single_process and not self.store.shared:
            # Offsets of one process mean nothing to another: without a shared store there is no history.
            options = ChannelOptions(keep_last=options.keep_last)
        publication = await self.store.append(channel, data, options, schema=schema, short=short, info=info)
        await self.relay.send(channel, publication)
        return publication

    async def history(
        self, channel: Channel, since: Position | None, limit: int, *, reverse: bool = False
    ) -> tuple[list[Publication], Position]:
        """Kept publications for one reply, and the top position; see `Store.history`.

        At most `HISTORY_MAX_PUBLICATIONS` and about `HISTORY_MAX_BYTES`, but one at least: whoever wants more asks
        again from where these end. Raises `UnrecoverablePosition` for a position of another epoch.
        """
        count = HISTORY_MAX_PUBLICATIONS if limit < 0 else min(limit, HISTORY_MAX_PUBLICATIONS)
        found, top = await self.store.history(channel, since=since, limit=count, reverse=reverse)
        if since is not None and since.epoch and since.epoch != top.epoch:
            raise UnrecoverablePosition
        size = 0
        for number, publication in enumerate(found):
            size += len(publication.data)
            if number and size > HISTORY_MAX_BYTES:
                return found[:number], top
        return found, top

    async def active_channels(self) -> list[ActiveChannel]:
        """The channels the store knows of, and those somebody subscribes to on this node."""
        known = await self.store.active()
        names = {active.channel for active in known}
        idle = [ActiveChannel(channel, 0) for channel in self.hub.channels() if channel not in names]
        return sorted([*known, *idle], key=lambda active: str(active.channel))

    def _fill_gap(self, channel: Channel) -> None:
        self.spawn(self._read_missing(channel), f"filling a gap of {channel}")

    async def _read_missing(self, channel: Channel) -> None:
        while (since := self.hub.missing_since(channel)) is not None:
            publications, top = await self.store.history(channel, since=since)
            if self.hub.fill(channel, publications, top):
                return

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            try:
                await self.relay.refresh()
                await self.store.expire()
            except EngineUnavailable as error:
                logger.warning("heartbeat: %s", error)
