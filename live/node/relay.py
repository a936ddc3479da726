"""Joins the nodes: publications go out and come in through the Channels channel layer.

The only module that knows channel layers. A node has one layer channel and one receiving task, whatever the number of
clients; a live channel is a group of the layer that the node is in while it has a subscriber for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer

from live.channel import Channel
from live.exceptions import EngineUnavailable
from live.store import Publication

logger = logging.getLogger("live.node")

_TYPE = "live.publication"
_RETRY_FIRST = 0.1
_RETRY_MAX = 5.0


def group_name(channel: Channel) -> str:
    """The layer's group for `channel`: a hash, as layers allow fewer characters than channels have (pitfall 32)."""
    return "live." + hashlib.sha256(str(channel).encode()).hexdigest()[:40]


def find_layer(alias: str) -> Any:
    """The channel layer of that alias, or a layer of one process where the project configures none."""
    return get_channel_layer(alias) or InMemoryChannelLayer()


class Relay:
    """One node's end of the channel layer; `deliver` gets each publication that arrives, and must not raise."""

    def __init__(self, layer: Any, deliver: Callable[[Channel, Publication], None]) -> None:
        self._layer = layer
        self._deliver = deliver
        self._name = ""
        self._task: asyncio.Task[None] | None = None
        self._joined: dict[Channel, float] = {}
        self._locks: dict[Channel, tuple[asyncio.Lock, int]] = {}
        # The in-memory layer drops what exceeds its capacity; so few may be under way that it never does.
        self._slots: asyncio.Semaphore | None = None
        if isinstance(layer, InMemoryChannelLayer):
            self._slots = asyncio.Semaphore(max(1, layer.capacity // 2))
        self._failing = False

    @property
    def single_process(self) -> bool:
        """Whether the layer reaches this process only."""
        return isinstance(self._layer, InMemoryChannelLayer)

    @property
    def joined(self) -> frozenset[Channel]:
        """The channels this node receives."""
        return frozenset(self._joined)

    async def start(self) -> None:
        """Opens this node's layer channel and begins to receive."""
        self._name = await self._layer.new_channel()
        self._task = asyncio.get_running_loop().create_task(self._receive(), name="live relay")

    async def stop(self) -> None:
        """Leaves every group and ends the receiving task."""
        for channel in list(self._joined):
            await self.leave(channel)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def join(self, channel: Channel) -> None:
        """From the return on, publications to `channel` arrive here."""
        async with self._turn(channel):
            if channel not in self._joined:
                await self._call(self._layer.group_add(group_name(channel), self._name))
                self._joined[channel] = time.monotonic()

    async def leave(self, channel: Channel, *, unless: Callable[[], bool] = lambda: False) -> None:
        """Publications to `channel` stop arriving, unless `unless()` finds somebody who wants them after all."""
        async with self._turn(channel):
            if channel in self._joined and not unless():
                del self._joined[channel]
                await self._call(self._layer.group_discard(group_name(channel), self._name))

    async def refresh(self) -> None:
        """Renews memberships before the layer expires them (pitfall 7); the node's heartbeat calls it."""
        expiry = getattr(self._layer, "group_expiry", None)
        if not expiry:
            return
        due = time.monotonic() - expiry / 3
        for channel, since in list(self._joined.items()):
            if since < due:
                async with self._turn(channel):
                    if channel in self._joined:
                        await self._call(self._layer.group_add(group_name(channel), self._name))
                        self._joined[channel] = time.monotonic()

    async def send(self, channel: Channel, publication: Publication) -> None:
        """Hands a publication to every node with a subscriber; raises `EngineUnavailable` when the layer fails."""
        message: dict[str, Any] = {"type": _TYPE, "channel": str(channel), "data": publication.data}
        if publication.offset:
            message["offset"] = publication.offset
            message["epoch"] = publication.epoch
        if publication.info is not None:
            message["info"] = publication.info
        if self._slots is None:
            await self._call(self._layer.group_send(group_name(channel), message))
            return
        async with self._slots:
            await self._call(self._layer.group_send(group_name(channel), message))
            # Lets the receiving task take it before more is sent.
            await asyncio.sleep(0)

    async def _call(self, operation: Any) -> None:
        try:
            await operation
        except (OSError, TimeoutError) as error:
            raise EngineUnavailable("the channel layer cannot be reached, try again later") from error
        except Exception as error:
            # Clients of layers raise their own classes (redis.exceptions.*); the caller needs one it can know.
            logger.debug("channel layer failed", exc_info=error)
            raise EngineUnavailable(f"the channel layer failed: {type(error).__name__}") from error

    def _turn(self, channel: Channel) -> _Turn:
        return _Turn(self._locks, channel)

    async def _receive(self) -> None:
        delay = _RETRY_FIRST
        while True:
            try:
                message = await self._layer.receive(self._name)
            except Exception as error:
                if not self._failing:
                    self._failing = True
                    logger.error("the channel layer fails, retrying: %r", error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _RETRY_MAX)
                continue
            if self._failing:
                self._failing = False
                delay = _RETRY_FIRST
                logger.info("the channel layer works again")
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        """Hands one message of the layer to the hub; one that is not ours is another program's mistake, logged."""
        try:
            if message["type"] != _TYPE:
                raise ValueError(f"unknown type {message['type']!r}")
            channel = Channel.parse(message["channel"])
            publication = Publication(
                bytes(message["data"]), message.get("offset", 0), message.get("epoch", ""), message.get("info")
            )
        except (KeyError, TypeError, ValueError) as error:
            logger.warning("a message on the channel layer is not a publication: %r", error)
            return
        self._deliver(channel, publication)


class _Turn:
    """One join or leave of a channel at a time; the lock lives as long as somebody holds or awaits it."""

    __slots__ = ("_channel", "_locks")

    def __init__(self, locks: dict[Channel, tuple[asyncio.Lock, int]], channel: Channel) -> None:
        self._locks = locks
        self._channel = channel

    async def __aenter__(self) -> None:
        lock, users = self._locks.get(self._channel, (None, 0))
        if lock is None:
            lock = asyncio.Lock()
        self._locks[self._channel] = (lock, users + 1)
        try:
            await lock.acquire()
        except BaseException:
            self._drop()
            raise

    async def __aexit__(self, *exc_info: object) -> None:
        self._locks[self._channel][0].release()
        self._drop()

    def _drop(self) -> None:
        lock, users = self._locks[self._channel]
        if users == 1:
            del self._locks[self._channel]
        else:
            self._locks[self._channel] = (lock, users - 1)
