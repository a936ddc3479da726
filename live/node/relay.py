"""Joins the nodes: what one of them publishes reaches every node with a subscriber.

A relay is this node's end of the channel layer. Only the `relay_*` modules know layers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from channels.layers import InMemoryChannelLayer, get_channel_layer

from live.channel import Channel
from live.store import Publication

Body = dict[str, Any]
"""A message between nodes: names to texts, numbers, lists and dictionaries of these."""


class Listener(Protocol):
    """The node, as its relay sees it. None of these may raise or wait."""

    def deliver(self, channel: Channel, publication: Publication) -> None:
        """A publication arrived."""

    def member_changed(self, channel: Channel, info: bytes, *, joined: bool) -> None:
        """A client, told as JSON, joined the channel or left it."""

    def take_message(self, body: Body) -> None:
        """Another node, or this one, sent a message to all or to this one."""

    def relay_lost(self) -> None:
        """Nothing arrives any more."""

    def relay_interrupted(self) -> None:
        """What was sent may have been lost, and nothing arrived since; `relay_returned` follows some time later."""

    def relay_returned(self) -> None:
        """From now on everything arrives again; publications may have been lost before."""


class Relay(ABC):
    """One node's end of what joins the nodes; everything that arrives is given to its listener."""

    single_process: bool = False
    """Whether it reaches this process only."""

    name: str = ""
    """Where other nodes can send messages to this one; "" before the start."""

    @property
    @abstractmethod
    def connected(self) -> bool:
        """Whether what other nodes send arrives here."""

    @property
    @abstractmethod
    def joined(self) -> frozenset[Channel]:
        """The channels whose publications arrive here."""

    @abstractmethod
    async def start(self) -> None:
        """Begins to receive; a second call does nothing. Returns also when nothing can be reached yet."""

    @abstractmethod
    async def stop(self) -> None:
        """Leaves every channel and ends the tasks."""

    @abstractmethod
    async def join(self, channel: Channel) -> None:
        """From the return on, what is sent to `channel` arrives here; raises `EngineUnavailable`."""

    @abstractmethod
    async def leave(self, channel: Channel, *, unless: Callable[[], bool] = lambda: False) -> None:
        """What is sent to `channel` stops arriving, unless `unless()` finds somebody who wants it after all."""

    @abstractmethod
    async def refresh(self) -> None:
        """Renews memberships before they expire (pitfall 7); the node's heartbeat calls it."""

    def announcement(self, channel: Channel) -> str:
        """The Redis pub/sub channel that a store may publish on in place of `send`; "" where that cannot be."""
        return ""

    @abstractmethod
    async def send(self, channel: Channel, publication: Publication) -> None:
        """Hands a publication to every node that joined; raises `EngineUnavailable`."""

    @abstractmethod
    async def send_member(self, channel: Channel, info: bytes, *, joined: bool) -> None:
        """Tells every node that joined `channel` of a client that came or went; raises `EngineUnavailable`."""

    @abstractmethod
    async def broadcast(self, body: Body) -> None:
        """Sends a message to every node, this one too; raises `EngineUnavailable`."""

    @abstractmethod
    async def send_to(self, name: str, body: Body) -> None:
        """Sends a message to the node whose relay has that name; raises `EngineUnavailable`."""


def find_layer(alias: str) -> Any:
    """The channel layer of that alias, or a layer of one process where the project configures none."""
    return get_channel_layer(alias) or InMemoryChannelLayer()
