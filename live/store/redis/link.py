"""What one event loop has of one Redis: its lanes, and whether it can be reached.

A host that failed counts as down for the whole process: callers are told so without waiting, until a probe, one task a
loop, gets through.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from live.exceptions import EngineUnavailable
from live.store.base import Draft, Publication
from live.store.redis.connection import unavailable
from live.store.redis.drafts import DraftLane
from live.store.redis.lanes import CommandLane
from live.store.redis.scripts import Command
from live.store.redis.topology import Host

logger = logging.getLogger("live.store")

PROBE_SECONDS = 0.5
"""Seconds between attempts to reach a host that is down."""


class Health:
    """Whether a host is down; one for all event loops of a process. Logs each change once."""

    def __init__(self, label: str) -> None:
        self.down = False
        self._label = label
        self._lock = threading.Lock()

    def fail(self, error: BaseException) -> None:
        """The host cannot be reached."""
        with self._lock:
            if not self.down:
                self.down = True
                logger.error("Redis at %s cannot be reached: %s", self._label, type(error).__name__)

    def recover(self) -> None:
        """The host was reached."""
        with self._lock:
            if self.down:
                self.down = False
                logger.info("Redis at %s is reached again", self._label)


class Link:
    """At most three connections: one for publications, one for everything else, one to see whether Redis is there."""

    def __init__(
        self,
        host: Host,
        health: Health,
        probe: Command,
        make_drafts: Callable[[Host, Callable[[BaseException], None]], DraftLane],
    ) -> None:
        self._health = health
        self._drafts = make_drafts(host, self._failed)
        self._commands = CommandLane(host, self._failed)
        self._probes = CommandLane(host, self._failed)
        self._probe = probe
        self._watch: asyncio.Task[None] | None = None

    async def append(self, drafts: Sequence[Draft]) -> list[Publication]:
        """What subscribers get of each draft. Raises `EngineUnavailable`, as do the other methods."""
        self._check()
        return await self._drafts.append(drafts)

    async def ask(self, command: Command, read: Callable[[Any], Any], *, key: Hashable = None) -> Any:
        """What `read` makes of the answer; those with the same `key` may get one answer together."""
        self._check()
        return await self._commands.ask(command, read, key=key)

    async def ping(self) -> None:
        """Asks whether Redis is there and takes what is written, also while it counts as down."""
        await self._probes.ask(self._probe, lambda answer: None, key="ping")
        self._health.recover()

    def _check(self) -> None:
        if self._health.down:
            self._start_watching()
            raise unavailable("cannot be reached")

    def _failed(self, error: BaseException) -> None:
        self._health.fail(error)
        self._start_watching()

    def _start_watching(self) -> None:
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._wait_for_return(), name="live store probe")

    async def _wait_for_return(self) -> None:
        try:
            while self._health.down:
                await asyncio.sleep(PROBE_SECONDS)
                try:
                    await self.ping()
                except EngineUnavailable:
                    pass
        finally:
            self._watch = None

    async def close(self) -> None:
        """Ends the tasks and closes the connections."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        for lane in (self._drafts, self._commands, self._probes):
            await lane.close()
