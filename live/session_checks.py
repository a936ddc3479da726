"""Ends the sockets that were opened with a session that has ended: one that ran out, was deleted, is somebody else's.

Django says nothing when a session runs out, so each is looked at once in `LIVE["SESSION_CHECK_SECONDS"]`. And all of
them at once where control messages may have been missed: the relay is at-most-once, and while it was away somebody
may have logged out, lost a permission or been deactivated.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import math
from collections.abc import Callable, Collection

from channels.db import database_sync_to_async

from live.exceptions import DisconnectCode
from live.logs import about
from live.node import Node, current_node
from live.node.control import ControlMessage
from live.node.relay import Body
from live.node.tasks import start_task
from live.sessions import AT_ONCE, Login, find_ended

logger = logging.getLogger("live.access")

MAX_FAILURES = 3
"""Sessions read by themselves, after reading them together failed, that may fail before the rest is left."""

STEPS = 10
"""Looks at how many sessions there are, in the seconds in which each is looked at once."""

PLANNED = 10
"""Batches chosen at once at most: it takes a walk over all clients, of whom there may be very many."""

MIN_PAUSE = 0.05
"""Least seconds between two batches, however short an interval was asked for."""

QUIET_SECONDS = 60.0
"""Seconds without a failure after which another one is told again."""


def watch() -> None:
    """Has the sessions of this node's clients looked at from now on, until the node stops; more calls do nothing."""
    node = current_node()
    if node is not None:
        node.companion(SessionChecks).start()


async def check_clients(node: Node) -> None:
    """Cuts the clients of `node` whose session has ended (3011), and has the permissions of the others checked."""
    await node.companion(SessionChecks).check_all()
    node.clients.apply(ControlMessage("recheck"), node.spawn)


class SessionChecks:
    """What looks at the sessions of one `node`; one batch of at most `AT_ONCE` at a time, each in one thread call."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._interval = node.settings.session_check_seconds
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._failed_at: float | None = None
        """When reading failed last, on the clock of the loop; None when it works."""

    def start(self) -> None:
        """Begins the rounds; nothing when they have begun, or are never to."""
        if self._interval and self._task is None and not self._closed:
            self._task = start_task(self._run(), "live session checks")
            self._task.add_done_callback(self._done)

    async def stop(self) -> None:
        """Ends them for good."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def take(self, body: Body) -> None:
        """Messages are for other companions."""

    async def check_all(self) -> None:
        """Looks at every session now, one batch after the other."""
        keys = iter(self._keys())
        while batch := set(itertools.islice(keys, AT_ONCE)):
            await self._check(batch)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        schedule = Schedule(self._interval, loop.time())
        took = 0.0
        while True:
            # A database that answers slowly has as much rest as work.
            await asyncio.sleep(max(schedule.pause(loop.time()), took, MIN_PAUSE))
            began = loop.time()
            if batch := schedule.take(self._keys, began):
                await self._check(set(batch))
            took = loop.time() - began

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("looking at sessions failed", exc_info=error, extra=about(node=self._node.id))

    def _keys(self) -> set[str]:
        keys = {peer.session_key for peer in self._node.clients.everyone()}
        keys.discard("")
        return keys

    async def _check(self, keys: Collection[str]) -> None:
        """Cuts the clients of those of the sessions that have ended."""
        # Found for each batch: a list of all, kept for a round, would keep clients that are gone.
        peers = [peer for peer in self._node.clients.everyone() if peer.session_key in keys and peer.user_id]
        logins = {(peer.session_key, peer.user_id) for peer in peers}
        if not logins:
            return
        async with self._turn:
            ended = await self._find_ended(logins)
        for peer in peers:
            if (peer.session_key, peer.user_id) in ended:
                peer.disconnect(DisconnectCode.FORCE_RECONNECT, "session ended")

    async def _find_ended(self, logins: Collection[Login]) -> set[Login]:
        """Those that have ended, as far as that can be found out; who cannot be looked at stays."""
        try:
            ended = await database_sync_to_async(find_ended)(logins)
        except Exception as error:
            # Sessions may be anywhere, and each place fails in its own way.
            self._failed(error)
        else:
            self._worked()
            return ended
        return await self._find_ended_singly(logins) if len(logins) > 1 else set()

    async def _find_ended_singly(self, logins: Collection[Login]) -> set[Login]:
        """The same, one by one: a login that nobody can read must not keep those beside it."""
        ended: set[Login] = set()
        failures = 0
        for login in logins:
            try:
                ended |= await database_sync_to_async(find_ended)([login])
            except Exception as error:
                self._failed(error)
                failures += 1
                if failures == MAX_FAILURES:
                    break
        return ended

    def _failed(self, error: Exception) -> None:
        if self._failed_at is None:
            text = "sessions could not be looked at, their clients stay until the next time: %r"
            logger.warning(text, error, extra=about(node=self._node.id))
        self._failed_at = asyncio.get_running_loop().time()

    def _worked(self) -> None:
        # Not at once: a database that comes and goes would be told of with each batch.
        if self._failed_at is not None and asyncio.get_running_loop().time() - self._failed_at >= QUIET_SECONDS:
            self._failed_at = None


class Schedule:
    """When which sessions are looked at: each once in `interval` seconds, as evenly as batches of `AT_ONCE` allow.

    They take turns in the order of their keys, so that one that comes or goes changes little for the others. Times are
    those of one clock, `now` on it at the beginning.
    """

    def __init__(self, interval: float, now: float) -> None:
        self._interval = interval
        self._taken_at = now
        self._count = 0
        """Sessions there were at the last look."""
        self._planned: list[str] = []
        """What to look at next: as much as is due within a step, so that who comes meanwhile is soon counted."""
        self._last = ""
        """The last key that was planned."""

    def pause(self, now: float) -> float:
        """Seconds until `take` should be asked."""
        step = self._interval / STEPS
        return min(self._due_at() - now, step) if self._count else step

    def take(self, find_keys: Callable[[], Collection[str]], now: float) -> list[str]:
        """Those of the sessions to be looked at now, none before it is time; `find_keys` finds all there are."""
        if not self._planned or now < self._due_at():
            keys = find_keys()
            self._count = len(keys)
            if not keys:
                self._planned = []
                return []
            if now < self._due_at():
                return []
            if not self._planned:
                self._plan(keys)
        self._taken_at = now
        size = self._size()
        batch, self._planned = self._planned[:size], self._planned[size:]
        return batch

    def _plan(self, keys: Collection[str]) -> None:
        size = self._size() * max(1, min(_batches(self._count) // STEPS, PLANNED))
        # Few of very many: to sort them all would hold up the loop.
        self._planned = heapq.nsmallest(size, [key for key in keys if key > self._last])
        if len(self._planned) < size:
            self._planned += heapq.nsmallest(size - len(self._planned), keys)
        self._last = self._planned[-1]

    def _size(self) -> int:
        """Sessions of a batch."""
        return math.ceil(self._count / _batches(self._count))

    def _due_at(self) -> float:
        return self._taken_at + self._interval / _batches(self._count)


def _batches(count: int) -> int:
    """In which so many sessions are looked at."""
    return math.ceil(count / AT_ONCE)
