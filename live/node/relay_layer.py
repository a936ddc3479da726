"""The relay over a channel layer between processes.

A node has one layer channel and one receiving task, whatever the number of clients; a live channel is a group of the
layer that the node is in while it has a subscriber for it. Layers tell nobody when their server is away or back, and
lose what was sent meanwhile: the relay sends itself an echo every second, and what does not come back is the sign.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from live.channel import Channel
from live.exceptions import EngineUnavailable
from live.logs import about
from live.node.relay import Body, Listener, Relay
from live.node.relay_redis import LayerInsides
from live.node.tasks import start_task
from live.node.turns import Turns
from live.store import Publication
from live.waiting import within

logger = logging.getLogger("live.node")

PUBLICATION = "live.publication"
MEMBER = "live.member"
MESSAGE = "live.message"
ECHO = "live.echo"

CONTROL_GROUP = "live.control"
ECHO_INTERVAL = 1.0
ECHO_TIMEOUT = 3.0
"""Seconds without an echo after which the relay counts as lost."""
RESET_AFTER = 10.0
"""Seconds after which the connections are begun anew: one that was cut without a word would never return."""
CALL_TIMEOUT = 5.0
"""Seconds one call of the layer may take: its own connections have no limit."""
PROBE_INTERVAL = 0.25
RETRY_FIRST, RETRY_MAX = 0.1, 2.0
MAX_WAITING = 20_000
"""Messages that may wait in the layer's queue, which has no limit of its own."""
TURN = 50
"""Messages taken in a row before others have their turn."""


class LayerRelay(Relay):
    """One node's end of a channel layer; `node` is its id, for the log."""

    def __init__(self, layer: Any, listener: Listener, *, node: str = "") -> None:
        self._layer = layer
        self._about = about(node=node)
        self._listener = listener
        self._insides = LayerInsides(layer)
        self._tasks: list[asyncio.Task[None]] = []
        self._joined: dict[Channel, float] = {}
        self._turns = Turns[Channel]()
        self._echo_groups: list[str] = []
        self._probes: dict[Channel, asyncio.Future[None]] = {}
        """Channels whose group is being joined; done when the first message of the group arrived."""
        self._first: asyncio.Future[None] | None = None
        """Done when it is known whether the layer can be reached."""
        self._wake = asyncio.Event()
        self._sent = 0
        """Number of the newest echo."""
        self._heard: list[int] = []
        """Number of the newest echo that came back, of each server of the layer."""
        self._unheard: list[float | None] = []
        """Since when each server owes an echo."""
        self._check_from = 0
        """With the echo of this number everything that was joined arrives again; 0: nothing is waited for."""
        self._connected = False
        self.dropped = 0
        """Messages thrown away because more waited than may."""

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def joined(self) -> frozenset[Channel]:
        return frozenset(self._joined)

    async def start(self) -> None:
        if self._tasks:
            return
        loop = asyncio.get_running_loop()
        self._echo_groups = self._insides.echo_groups()
        self._heard = [0] * len(self._echo_groups)
        self._unheard = [None] * len(self._echo_groups)
        self._tasks = [
            start_task(self._receive(), "live relay"),
            start_task(self._watch(), "live relay's echo"),
        ]
        # Whoever is first served finds it connected, unless it cannot be.
        self._first = loop.create_future()
        await asyncio.wait([self._first], timeout=1.0)

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            # The layer leaves its own channel when the receiver is cancelled, which may take as long as a call.
            await asyncio.wait(tasks, timeout=CALL_TIMEOUT)
        groups: list[str] = []
        if self._connected:
            groups = [*(channel.group for channel in self._joined), *self._echo_groups, CONTROL_GROUP]
        self._joined.clear()
        self._connected = False
        for group in groups:
            try:
                await self._call(self._layer.group_discard(group, self.name))
            except EngineUnavailable as error:
                # The memberships end with the connection or expire.
                logger.info("could not leave the channel layer: %s", error, extra=self._about)
                return

    # Joining and leaving

    async def join(self, channel: Channel) -> None:
        if self._connected and channel in self._joined:
            # Whoever leaves looks, in its turn, whether somebody subscribes, and the caller does already.
            return
        async with self._turns.of(channel):
            if not self._connected:
                raise EngineUnavailable("the channel layer cannot be reached, try again later")
            if channel not in self._joined:
                try:
                    await self._call(self._layer.group_add(channel.group, self.name))
                    await self._call(self._prove(channel))
                except BaseException:
                    with contextlib.suppress(EngineUnavailable):
                        await self._call(self._layer.group_discard(channel.group, self.name))
                    raise
                self._joined[channel] = time.monotonic()

    async def _prove(self, channel: Channel) -> None:
        """Returns when the layer's server has carried the membership out: layers do not wait for that.

        The position is read next, over another connection; what is published between the two would be lost.
        """
        probe = {"type": ECHO, "relay": self.name, "channel": str(channel)}
        arrived = self._probes[channel] = asyncio.get_running_loop().create_future()
        try:
            pause = PROBE_INTERVAL
            while not arrived.done():
                await self._layer.group_send(channel.group, probe)
                await asyncio.wait([arrived], timeout=pause)
                # Where many join at once the answer may just take long.
                pause *= 2
        finally:
            del self._probes[channel]

    async def leave(self, channel: Channel, *, unless: Callable[[], bool] = lambda: False) -> None:
        async with self._turns.of(channel):
            if channel in self._joined and not unless():
                del self._joined[channel]
                await self._call(self._layer.group_discard(channel.group, self.name))

    async def refresh(self) -> None:
        expiry = getattr(self._layer, "group_expiry", None)
        if not expiry or not self._connected:
            return
        due = time.monotonic() - expiry / 3
        for group in (CONTROL_GROUP, *self._echo_groups):
            await self._call(self._layer.group_add(group, self.name))
        for channel, since in list(self._joined.items()):
            if since < due:
                async with self._turns.of(channel):
                    if channel in self._joined:
                        await self._call(self._layer.group_add(channel.group, self.name))
                        self._joined[channel] = time.monotonic()

    # Sending

    def announcement(self, channel: Channel) -> str:
        return self._insides.announcement(channel.group)

    async def send(self, channel: Channel, publication: Publication) -> None:
        message: dict[str, Any] = {"type": PUBLICATION, "channel": str(channel), "data": publication.data}
        if publication.offset:
            message["offset"] = publication.offset
            message["epoch"] = publication.epoch
        if publication.info is not None:
            message["info"] = publication.info
        await self._call(self._layer.group_send(channel.group, message))

    async def send_member(self, channel: Channel, info: bytes, *, joined: bool) -> None:
        message = {"type": MEMBER, "channel": str(channel), "info": info, "joined": joined}
        await self._call(self._layer.group_send(channel.group, message))

    async def broadcast(self, body: Body) -> None:
        await self._call(self._layer.group_send(CONTROL_GROUP, {"type": MESSAGE, "body": orjson.dumps(body)}))

    async def send_to(self, name: str, body: Body) -> None:
        await self._call(self._layer.send(name, {"type": MESSAGE, "body": orjson.dumps(body)}))

    async def _call(self, operation: Awaitable[Any]) -> None:
        try:
            async with within(CALL_TIMEOUT):
                await operation
        except (OSError, TimeoutError) as error:
            raise EngineUnavailable("the channel layer cannot be reached, try again later") from error
        except Exception as error:
            # Clients of layers raise their own classes (redis.exceptions.*); the caller needs one it can know.
            logger.debug("channel layer failed", exc_info=error, extra=self._about)
            raise EngineUnavailable(f"the channel layer failed: {type(error).__name__}") from error

    # Receiving

    async def _receive(self) -> None:
        delay, taken = RETRY_FIRST, 0
        while True:
            try:
                if not self.name:
                    await self._enter()
                message = await self._layer.receive(self.name)
            except EngineUnavailable as error:
                self._lost(str(error))
            except Exception as error:
                self._lost(repr(error))
            else:
                delay = RETRY_FIRST
                self._take(message)
                taken += 1
                if taken % TURN == 0:
                    self._shed()
                    await asyncio.sleep(0)
                continue
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX)

    async def _enter(self) -> None:
        """Opens this node's layer channel."""
        async with within(CALL_TIMEOUT):
            name = await self._insides.new_channel()
        for group in (CONTROL_GROUP, *self._echo_groups):
            await self._call(self._layer.group_add(group, name))
        self.name = name
        self._insides.on_reconnect(self._reconnected)
        self._wake.set()

    def _take(self, message: dict[str, Any]) -> None:
        """Hands one message of the layer to the node; one that is not ours is another program's mistake, logged."""
        try:
            match message["type"]:
                case "live.publication":
                    publication = Publication(
                        _bytes(message["data"]),
                        message.get("offset", 0),
                        message.get("epoch", ""),
                        _bytes(message["info"]) if message.get("info") is not None else None,
                    )
                    self._listener.deliver(Channel.parse(message["channel"]), publication)
                case "live.member":
                    channel, joined = Channel.parse(message["channel"]), bool(message["joined"])
                    self._listener.member_changed(channel, _bytes(message["info"]), joined=joined)
                case "live.message":
                    self._listener.take_message(orjson.loads(message["body"]))
                case "live.echo":
                    if message["relay"] == self.name:
                        self._take_echo(message)
                case other:
                    raise ValueError(f"unknown type {other!r}")
        except (KeyError, TypeError, ValueError) as error:
            logger.warning("a message on the channel layer is not one of Live's: %r", error, extra=self._about)

    def _shed(self) -> None:
        """Throws away what waits when it is more than may; what has history is read from the store instead."""
        dropped = self._insides.shed(self.name, MAX_WAITING)
        if dropped:
            self.dropped += dropped
            logger.error(
                "this node is too slow for what is published: %d messages of the channel layer were dropped; "
                "channels with history are read from the store, others lost them",
                dropped,
                extra=self._about,
            )
            self._check_soon()

    # Watching over the layer

    async def _watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout(ECHO_INTERVAL):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            if not self.name:
                continue
            self._sent += 1
            try:
                for server, group in enumerate(self._echo_groups):
                    echo = {"type": ECHO, "relay": self.name, "server": server, "number": self._sent}
                    await self._call(self._layer.group_send(group, echo))
                    # Counted from now: sending may have taken its time, on a machine that has much to do.
                    if self._unheard[server] is None:
                        self._unheard[server] = time.monotonic()
            except EngineUnavailable as error:
                self._lost(str(error))
            await self._look_for_silence()

    async def _look_for_silence(self) -> None:
        since = min(filter(None, self._unheard), default=None)
        silent = 0.0 if since is None else time.monotonic() - since
        if silent > ECHO_TIMEOUT:
            self._lost(f"no echo for {silent:.0f} s")
        if silent > RESET_AFTER:
            self._unheard = [None] * len(self._unheard)
            await self._insides.reset_connections()

    def _take_echo(self, message: dict[str, Any]) -> None:
        if "channel" not in message:
            self._echoed(message["server"], message["number"])
            return
        probe = self._probes.get(Channel.parse(message["channel"]))
        if probe is not None and not probe.done():
            probe.set_result(None)

    def _echoed(self, server: int, number: int) -> None:
        self._heard[server] = max(self._heard[server], number)
        # Also an old one is a sign of life.
        self._unheard[server] = None
        all_heard = min(self._heard)
        if not self._connected and all_heard >= self._check_from:
            self._connected = True
            logger.info("the channel layer is reached", extra=self._about)
            self._settle()
            self._check_from = 0
            self._listener.relay_returned()
        elif self._check_from and all_heard >= self._check_from:
            self._check_from = 0
            self._listener.relay_returned()

    def _reconnected(self) -> None:
        """A connection of the layer was made anew: what was sent meanwhile is lost."""
        logger.info("the channel layer has reconnected", extra=self._about)
        self._listener.relay_interrupted()
        self._check_soon()

    def _check_soon(self) -> None:
        # An echo sent from now on follows everything that the layer joined again.
        self._check_from = self._sent + 1
        self._wake.set()

    def _lost(self, why: str) -> None:
        # Until an echo sent after this comes back.
        self._check_from = self._sent + 1
        if self._connected:
            self._connected = False
            logger.error("the channel layer cannot be reached: %s", why, extra=self._about)
            self._listener.relay_interrupted()
            self._listener.relay_lost()
        elif self._first is not None and not self._first.done():
            logger.error("the channel layer cannot be reached yet: %s", why, extra=self._about)
        self._settle()

    def _settle(self) -> None:
        if self._first is not None and not self._first.done():
            self._first.set_result(None)


def _bytes(value: str | bytes) -> bytes:
    # What a store announced was packed in Lua, which does not tell texts from bytes.
    return value.encode() if isinstance(value, str) else bytes(value)
