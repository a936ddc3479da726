"""Finds and fills what the relay lost: layers are at-most-once, the store is not (design §4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from live.channel import Channel
from live.exceptions import EngineUnavailable
from live.node.hub import Hub
from live.store import Position, Publication, Store

RETRY, RETRY_MAX = 0.25, 5.0
"""Seconds between attempts to compare positions while the store is away."""

SUSPECTS = 50
"""Publications compared at once."""

POSITIONS = 500
"""Channels whose positions are asked for at once."""


class Gaps:
    """Keeps the positions of a hub's channels at those of the store."""

    def __init__(self, hub: Hub, store: Store, spawn: Callable[[Coroutine[Any, Any, None], str], None]) -> None:
        self._hub = hub
        self._store = store
        self._spawn = spawn
        self._checking = False
        self._wanted = False
        self._suspects: dict[Channel, Publication] = {}
        """What was delivered last before the relay was interrupted: is it still what the store has?"""

    def interrupted(self) -> None:
        """Redis may have come back with older data: offsets would be given again, and count as delivered already."""
        # Older suspects are nearer to what the store may have gone back to.
        self._suspects = {**self._hub.last_delivered(), **self._suspects}

    def fill(self, channel: Channel) -> None:
        """Publications of `channel` are missing: reads them, beside."""
        self._spawn(self._read_missing(channel), f"filling a gap of {channel}")

    async def _read_missing(self, channel: Channel) -> None:
        while (since := self._hub.missing_since(channel)) is not None:
            try:
                publications, top = await self._store.history(channel, since=since)
            except EngineUnavailable:
                # The next publication, or the comparison when the store is back, finds the gap again.
                self._hub.leave_gap(channel)
                self.check_soon()
                raise
            if self._hub.fill(channel, publications, top):
                return

    def check_soon(self) -> None:
        """Compares all positions, beside, as soon as the store can be reached."""
        self._wanted = True
        if not self._checking:
            self._checking = True
            self._spawn(self._check_until_done(), "comparing positions")

    async def _check_until_done(self) -> None:
        pause = RETRY
        try:
            while self._wanted:
                self._wanted = False
                try:
                    await self.check()
                except EngineUnavailable:
                    self._wanted = True
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, RETRY_MAX)
        finally:
            self._checking = False

    async def check(self) -> None:
        """Compares all positions; raises `EngineUnavailable`."""
        await self._check_suspects()
        delivered = list(self._hub.positions().items())
        for start in range(0, len(delivered), POSITIONS):
            some = delivered[start : start + POSITIONS]
            tops = await self._store.positions([channel for channel, _ in some])
            for (channel, position), top in zip(some, tops, strict=True):
                self._hub.check(channel, position, top)

    async def _check_suspects(self) -> None:
        while self._suspects:
            some = list(self._suspects.items())[:SUSPECTS]
            found = await asyncio.gather(*[self._is_there(channel, publication) for channel, publication in some])
            for (channel, publication), top in zip(some, found, strict=True):
                if self._suspects.get(channel) is publication:
                    del self._suspects[channel]
                if top is not None:
                    self._hub.restart(channel, top)

    async def _is_there(self, channel: Channel, publication: Publication) -> Position | None:
        """The top of the stream when the store has another publication at that offset, or none yet; else None."""
        before = Position(publication.offset - 1, publication.epoch)
        found, top = await self._store.history(channel, since=before, limit=1)
        if top.epoch != publication.epoch:
            # The comparison of positions sees to it.
            return None
        if top.offset < publication.offset:
            return top
        # One that the history does not hold any more says nothing.
        other = bool(found) and found[0].offset == publication.offset and found[0].data != publication.data
        return top if other else None
