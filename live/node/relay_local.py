"""The relay of a site with one process: from the publisher's call straight to the hub.

The in-memory layer would copy each message, look through all groups for expired members and start a task for each
member: 90 µs a publication that nobody needs. Nodes that were given the same layer still reach each other.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from live.channel import Channel
from live.node.relay import Body, Listener, Relay
from live.store import Publication

_relays: WeakKeyDictionary[Any, set[LocalRelay]] = WeakKeyDictionary()
"""The started relays of each layer."""


class LocalRelay(Relay):
    """Gives everything to the listeners of this process, in the order in which it was sent."""

    single_process = True

    def __init__(self, layer: Any, listener: Listener) -> None:
        self._layer = layer
        self._listener = listener
        self._joined: set[Channel] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def connected(self) -> bool:
        return self._loop is not None

    @property
    def joined(self) -> frozenset[Channel]:
        return frozenset(self._joined)

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.name = self.name or uuid.uuid4().hex
        _relays.setdefault(self._layer, set()).add(self)

    async def stop(self) -> None:
        self._joined.clear()
        self._loop = None
        _relays.get(self._layer, set()).discard(self)

    async def join(self, channel: Channel) -> None:
        self._joined.add(channel)

    async def leave(self, channel: Channel, *, unless: Callable[[], bool] = lambda: False) -> None:
        if not unless():
            self._joined.discard(channel)

    async def refresh(self) -> None:
        """Nothing expires."""

    async def send(self, channel: Channel, publication: Publication) -> None:
        for relay in self._relays():
            if channel in relay._joined:
                relay._call(relay._listener.deliver, channel, publication)

    async def send_member(self, channel: Channel, info: bytes, *, joined: bool) -> None:
        for relay in self._relays():
            if channel in relay._joined:
                relay._call(relay._member_changed, channel, info, joined)

    def _member_changed(self, channel: Channel, info: bytes, joined: bool) -> None:
        self._listener.member_changed(channel, info, joined=joined)

    async def broadcast(self, body: Body) -> None:
        for relay in self._relays():
            relay._call(relay._listener.take_message, body)

    async def send_to(self, name: str, body: Body) -> None:
        for relay in self._relays():
            if relay.name == name:
                relay._call(relay._listener.take_message, body)

    def _relays(self) -> list[LocalRelay]:
        return list(_relays.get(self._layer, ()))

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        """Calls the listener on its own loop: at once where that is the running one."""
        if self._loop is None:
            return
        if self._loop is asyncio.get_running_loop():
            function(*args)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)
