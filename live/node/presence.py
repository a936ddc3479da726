"""Who of this node's clients is present in which channel, kept alive in the store.

A client that leaves is removed in the background, many at a time: a socket that closes does not wait for the store.
What a node that died left behind expires there, and whichever node finds it tells the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from live.channel import Channel
from live.exceptions import EngineUnavailable
from live.logs import about
from live.node.relay import Relay
from live.store import Member, Store

logger = logging.getLogger("live.node")

BATCH = 500
"""Members told to the store at once."""

Key = tuple[Channel, str]


class Presence:
    """The presence of one node's clients; `spawn` runs a task beside that the node owns, `node` is the node's id."""

    def __init__(
        self,
        store: Store,
        relay: Relay,
        *,
        ttl: float,
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        node: str = "",
    ) -> None:
        self._store = store
        self._relay = relay
        self._ttl = ttl
        self._spawn = spawn
        self._node = node
        self._members: dict[Key, tuple[Member, bool]] = {}
        """Who is present, and whether others are told when it leaves."""
        self._leaving: dict[Key, tuple[Member, bool]] = {}
        """Who is being removed, and whether others are told."""
        self._returning: dict[Key, asyncio.Event] = {}
        """Set when one of those, who wants to come back, is removed."""
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._members)

    async def enter(self, channel: Channel, member: Member, *, announce: bool) -> None:
        """The client is present from now on; raises `EngineUnavailable`, and then it is not.

        `announce`: when it leaves, the channel's subscribers are told.
        """
        key = (channel, member.client)
        if key in self._leaving:
            # It left a moment ago: its removal, and what others are told of it, must not come after this.
            await self._returning.setdefault(key, asyncio.Event()).wait()
        self._members[key] = (member, announce)
        try:
            await self._store.add_members([(channel, member)], self._ttl)
        except BaseException:
            # It may have been taken in all the same.
            self._forget(key, (member, False))
            raise

    async def tell_joined(self, channel: Channel, client: str) -> None:
        """Tells the channel's subscribers that the client, which is present, came."""
        entry = self._members.get((channel, client))
        if entry is not None:
            await self._tell(channel, entry[0], joined=True)

    def leave(self, channel: Channel, client: str) -> None:
        """The client is not present any more. Returns at once; nothing happens when it was not."""
        key = (channel, client)
        if (entry := self._members.get(key)) is not None:
            self._forget(key, entry)

    def _forget(self, key: Key, entry: tuple[Member, bool]) -> None:
        self._members.pop(key, None)
        self._leaving[key] = entry
        if self._idle.is_set():
            self._idle.clear()
            self._spawn(self._remove(), "removing clients from channels")

    async def settled(self, seconds: float) -> None:
        """Waits until who left is removed, at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    async def _remove(self) -> None:
        try:
            while self._leaving:
                batch = dict(list(self._leaving.items())[:BATCH])
                try:
                    await self._store.remove_members(list(batch))
                except EngineUnavailable as error:
                    # They expire in the store; whoever finds them there tells.
                    extra = about(node=self._node)
                    logger.info("%d clients stay present until they expire: %s", len(self._leaving), error, extra=extra)
                    return
                for key, (member, announce) in batch.items():
                    if announce:
                        await self._tell(key[0], member, joined=False)
                    del self._leaving[key]
                    if (back := self._returning.pop(key, None)) is not None:
                        back.set()
        finally:
            # Whoever is left here would be removed with the next ones, though it may have come back.
            self._leaving.clear()
            for back in self._returning.values():
                back.set()
            self._returning.clear()
            self._idle.set()

    async def _tell(self, channel: Channel, member: Member, *, joined: bool) -> None:
        try:
            await self._relay.send_member(channel, member.info, joined=joined)
        except EngineUnavailable as error:
            extra = about(client=member.client, channel=channel, node=self._node)
            logger.info("nobody was told who came or left: %s", error, extra=extra)

    async def refresh(self) -> None:
        """Keeps this node's clients present, and removes who expired from their channels.

        Raises `EngineUnavailable`.
        """
        present = [(channel, member) for (channel, _), (member, _) in self._members.items()]
        for start in range(0, len(present), BATCH):
            batch = present[start : start + BATCH]
            await self._store.add_members(batch, self._ttl)
            # Who left meanwhile must not stay because of this.
            gone = [
                (channel, member.client) for channel, member in batch if (channel, member.client) not in self._members
            ]
            if gone:
                await self._store.remove_members(gone)
        announcing = {channel: announce for (channel, _), (_, announce) in self._members.items()}
        for channel, member in await self._store.expire_members(list(announcing)):
            if announcing[channel]:
                await self._tell(channel, member, joined=False)
