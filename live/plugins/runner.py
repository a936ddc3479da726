"""Runs each watched stream of a plugin once in the cluster: which node does, from when, and until when.

A node runs a channel while it holds the channel's lease. What changes a channel's entry takes the channel's turn, so
that watching, stopping, handing over and starting again never come between each other; only the loss of a lease takes
effect at once. A run is cancelled before its lease can be another node's, and whatever it still sends the store
refuses (`Draft.fence`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from live.channel import Channel
from live.exceptions import EngineUnavailable, LimitExceeded, LiveError
from live.logs import about
from live.node.relay import Body
from live.node.tasks import start_task
from live.node.turns import Turns
from live.plugins import times as configured
from live.plugins.entry import Entry
from live.plugins.failures import Failures, about_plugin
from live.plugins.leases import Leases
from live.plugins.run import DELETED, End, Run
from live.plugins.runs import Runs
from live.plugins.sender import Hold
from live.plugins.source_watch import SourceWatch
from live.plugins.times import Times

if TYPE_CHECKING:
    from live.node import Node

logger = logging.getLogger("live.plugins")

MAX_ENTRIES = 10_000
"""Channels of plugins that one node may run or wait for."""

MAX_FREED = 500
"""Channels named in one message."""

GRACE_ROUNDS = 2
"""Rounds that a waiting node remembers a channel without a subscriber: one that is about to join, or comes back."""

CLOSED = "this node is about to stop, subscribe again"


@dataclass(frozen=True, slots=True)
class RunnerStats:
    """What a node's runner has now."""

    running: int = 0
    waiting: int = 0
    """Channels that are watched here and run elsewhere."""
    ended: int = 0
    """Channels whose run returned, and that nobody subscribed to since."""
    abandoned: int = 0
    """Runs that ignore their cancellation."""


def runner_of(node: Node) -> Runner:
    """The runner of `node`."""
    return node.companion(Runner)


class Runner:
    """What one `node` runs of plugins, and what it waits for to run."""

    def __init__(self, node: Node, times: Times | None = None) -> None:
        self._node = node
        self._times = times or configured.TIMES
        self._entries: dict[Channel, Entry] = {}
        self._turns = Turns[Channel]()
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._losses = Failures(logger)
        self._leases = Leases(node, self._times, lost=self._lost)
        self._runs = Runs(node, self._times.cancel, ended=self._ended, lost=self._lost)
        self._sources = SourceWatch(node, self._entries, drop=self._drop, refresh=self._refresh)
        self._closed = False

    def stats(self) -> RunnerStats:
        """What there is now; all zero when nobody watches."""
        entries = self._entries.values()
        return RunnerStats(
            running=sum(entry.run is not None for entry in entries),
            waiting=sum(not entry.held for entry in entries),
            ended=sum(entry.held and entry.ended for entry in entries),
            abandoned=len(self._runs.left),
        )

    # From the handler and the node

    async def watch(self, channel: Channel, data: Any) -> None:
        """Somebody is about to subscribe here, and sent `data` along: makes sure that the channel runs somewhere.

        A run that has ended is started again. Raises `BadData` when it runs with other data, `LimitExceeded`, and
        `EngineUnavailable` when it cannot be known.
        """
        self._check_open()
        entry = self._entries.get(channel)
        if entry is not None and entry.runs:
            entry.compare(data)
            entry.unwatched = 0
            return
        # Finished also when the subscriber does not wait for it: half of it would leave a lease that nobody knows of.
        watching = self._beside(self._watch(channel, data), f"watching {channel}")
        try:
            await asyncio.shield(watching)
        except asyncio.CancelledError:
            if watching.cancelled():
                raise EngineUnavailable(CLOSED) from None
            raise

    def take(self, body: Body) -> None:
        """What another node's runner says, or this one's, or what the site says of a data source."""
        match body["what"]:
            case "again":
                again = self._again(Channel.parse(body["channel"]), int(body["start"]))
                self._beside(again, "starting a stream again")
            case "freed":
                for name in body["channels"]:
                    entry = self._entries.get(Channel.parse(name))
                    if entry is not None and not entry.held:
                        self._try_soon(entry)
            case "source":
                self._beside(self._sources.look(str(body["source"])), "looking at a data source")
            case other:
                raise ValueError(f"unknown message {other!r} of a runner")

    async def stop(self) -> None:
        """Ends everything, as far as it lets itself be ended in time, and hands over to the nodes that wait."""
        self._closed = True
        runs = [run for entry in self._entries.values() for run in (entry.run, entry.leaving) if run is not None]
        for run in runs:
            run.cancel()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._tasks:
            # What is under way sees that this is the end.
            await asyncio.wait(self._tasks, timeout=self._times.stop)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*[self._runs.wait(run, self._times.stop) for run in runs])
        holds = [hold for entry in self._entries.values() if (hold := self._leases.let_go(entry)) is not None]
        self._entries.clear()
        try:
            async with asyncio.timeout(2 * self._times.stop):
                await self._tell_freed(await self._leases.release(holds))
        except TimeoutError:
            logger.info("leases of streams stay taken until they expire: the store is slow", extra=self._about())

    def _check_open(self) -> None:
        if self._closed:
            raise EngineUnavailable(CLOSED)

    # Watching, in the channel's turn

    async def _watch(self, channel: Channel, data: Any) -> None:
        async with self._turns.of(channel):
            self._check_open()
            entry = self._entries.get(channel)
            if entry is None:
                if len(self._entries) >= MAX_ENTRIES:
                    raise LimitExceeded(f"this node has its {MAX_ENTRIES} streams of plugins")
                entry = Entry(channel, data)
            entry.unwatched = entry.idle = 0
            if entry.hold is not None and not entry.hold.valid():
                self._lost(entry, entry.hold)
            if not entry.held:
                await self._claim(entry, start=True)
                self._check_open()
            # Before it is entered: a subscriber whose data does not fit leaves nothing.
            entry.compare(data)
            self._enter(entry)
            if entry.held and entry.run is None:
                self._start_again(entry)
            elif not entry.held and entry.ended:
                self._ask(entry)

    def _enter(self, entry: Entry) -> None:
        self._entries[entry.channel] = entry
        if not self._closed and (self._keeper is None or self._keeper.done()):
            self._keeper = start_task(self._keep(), "live runner")

    async def _claim(self, entry: Entry, *, start: bool) -> bool:
        """Gets the lease and, with `start`, starts the run; or learns what its owner noted. Whether it was got."""
        # Two runs of a channel, if only for a moment, are what this module is there to prevent.
        await self._runs.end(entry)
        if not await self._leases.claim(entry, start=start):
            return False
        # With a lease it is known in any case: who stops everything has to find it.
        self._enter(entry)
        if start:
            entry.number, entry.ended = entry.number + 1, False
            self._start(entry)
        return True

    def _start(self, entry: Entry) -> None:
        if entry.hold is not None and not self._closed:
            self._runs.start(entry, entry.hold)

    def _start_again(self, entry: Entry) -> None:
        """A subscriber came after the run had ended."""
        entry.number, entry.ended, entry.unsaid = entry.number + 1, False, True
        self._start(entry)
        self._beside(self._leases.renew(entry), f"noting that {entry.channel} runs again")

    # When a run ends by itself, or its lease is lost

    def _ended(self, entry: Entry, run: Run, end: End, why: str) -> None:
        if entry.run is not run:
            return
        entry.run = None
        if end is End.RETURNED:
            entry.ended = entry.unsaid = True
            self._beside(self._leases.renew(entry), f"noting that {entry.channel} has ended")
        else:
            logger.info("%s stops: %s", entry.channel, why, extra=about_plugin(run.plugin_id, entry.channel))
            self._beside(self._give_up(entry, why), f"giving {entry.channel} up")

    async def _give_up(self, entry: Entry, why: str) -> None:
        await self._sources.unsubscribe([entry.channel], why)
        await self._drop(entry)
        # What is missing here for another reason another node may have.
        if why == DELETED:
            await self._tell(what="source", source=entry.channel.namespace)

    def _lost(self, entry: Entry, hold: Hold) -> None:
        """At once: the lease may be another node's from now on."""
        if entry.hold is not hold:
            return
        self._losses.report(
            "lost",
            "the lease of %s could not be kept: its run is cancelled here, and goes on where the lease is got next",
            entry.channel,
            level=logging.WARNING,
            extra=self._about(entry.channel),
        )
        self._leases.let_go(entry)
        if entry.run is not None:
            entry.run.cancel()
            entry.leaving, entry.run = entry.run, None
        self._try_soon(entry)

    # Waiting

    def _try_soon(self, entry: Entry) -> None:
        if entry.trying:
            entry.retry = True
        elif not self._closed:
            entry.trying = True
            self._beside(self._try(entry), f"waiting for {entry.channel}")

    async def _try(self, entry: Entry) -> None:
        """Gets the lease that another node has, if it has it no more."""
        try:
            while True:
                entry.retry = False
                async with self._turns.of(entry.channel):
                    await self._try_once(entry)
                if not entry.retry:
                    return
        finally:
            entry.trying = False

    async def _try_once(self, entry: Entry) -> None:
        if self._entries.get(entry.channel) is not entry or entry.held or self._closed:
            return
        if entry.idle > GRACE_ROUNDS:
            await self._drop_now(entry)
        elif not entry.idle and not self._node.draining:
            # Only for a subscriber: asking keeps the run alive where it is.
            claimed = await self._claim(entry, start=not entry.ended or entry.asked is not None)
            if not claimed and entry.asked is not None:
                # It was not heard.
                self._ask(entry)

    def _ask(self, entry: Entry) -> None:
        """A subscriber came after the run had ended, which is another node's."""
        entry.asked = entry.number
        asking = self._tell(what="again", channel=str(entry.channel), start=entry.number)
        self._beside(asking, f"asking for {entry.channel}")

    async def _again(self, channel: Channel, number: int) -> None:
        async with self._turns.of(channel):
            entry = self._entries.get(channel)
            # With another number somebody else has asked for the same, and it was done.
            if entry is not None and entry.held and entry.ended and entry.number == number and not self._closed:
                self._start_again(entry)

    async def _tell(self, **words: Any) -> None:
        """Tells the runners of all nodes; what is not heard is found out with the rounds."""
        try:
            await self._node.relay.broadcast({"kind": "plugin", **words})
        except EngineUnavailable as error:
            logger.info("other nodes were not told of a stream: %s", error, extra=self._about())

    async def _tell_freed(self, names: Iterable[str]) -> None:
        channels = list(names)
        for start in range(0, len(channels), MAX_FREED):
            await self._tell(what="freed", channels=channels[start : start + MAX_FREED])

    # Stopping, in the channel's turn

    async def _stop_unwatched(self, entry: Entry) -> None:
        try:
            async with self._turns.of(entry.channel):
                if self._entries.get(entry.channel) is entry and entry.unwatched >= self._times.looks:
                    await self._drop_now(entry)
        finally:
            entry.stopping = False

    async def _drop(self, entry: Entry) -> None:
        async with self._turns.of(entry.channel):
            if self._entries.get(entry.channel) is entry:
                await self._drop_now(entry)

    async def _drop_now(self, entry: Entry) -> None:
        """Ends what runs, gives the lease back, and knows nothing of the channel any more."""
        # The lease is kept, and renewed, until the run is over.
        await self._runs.end(entry)
        self._entries.pop(entry.channel, None)
        hold = self._leases.let_go(entry)
        if hold is not None:
            freed = await self._leases.release([hold])
            self._beside(self._tell_freed(freed), f"telling that {entry.channel} is free")

    async def _refresh(self, entry: Entry) -> None:
        """Starts the run anew, with the settings as they are now."""
        async with self._turns.of(entry.channel):
            if self._entries.get(entry.channel) is entry and entry.run is not None:
                await self._runs.end(entry)
                self._start(entry)

    # Rounds

    async def _keep(self) -> None:
        """While there are entries: renews and asks for leases, looks who watches, compares data sources."""
        loop, times = asyncio.get_running_loop(), self._times
        every = {self._round: times.round, self._look: times.look, self._compare: times.sources}
        due = {part: loop.time() + seconds for part, seconds in every.items()}
        while self._entries:
            await asyncio.sleep(max(0.0, min(due.values()) - loop.time()))
            for part, at in due.items():
                if at <= loop.time():
                    due[part] = loop.time() + every[part]
                    try:
                        await part()
                    except Exception:
                        # A mistake of ours must not cost the leases of all streams.
                        logger.exception("a round of the runner failed", extra=self._about())

    async def _round(self) -> None:
        held = []
        for entry in list(self._entries.values()):
            if entry.held:
                held.append(entry)
            else:
                entry.idle = 0 if self._node.hub.subscriber_count(entry.channel) else entry.idle + 1
                self._try_soon(entry)
        await asyncio.gather(*map(self._leases.renew, held))

    async def _look(self) -> None:
        for entry in list(self._entries.values()):
            if not entry.held:
                continue
            watched = entry.wanted or self._node.hub.subscriber_count(entry.channel) > 0
            entry.unwatched = 0 if watched else entry.unwatched + 1
            if entry.unwatched >= self._times.looks and not entry.stopping:
                entry.stopping = True
                self._beside(self._stop_unwatched(entry), f"stopping {entry.channel}")

    async def _compare(self) -> None:
        self._beside(self._sources.look_at_all(), "comparing data sources")

    # Tasks

    def _beside(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        self._tasks.add(task := start_task(coroutine, name))
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, LiveError):
            # Told to the subscriber, or tried again with the next round.
            logger.debug("%s: %s", task.get_name(), error)
        else:
            logger.error("%s failed", task.get_name(), exc_info=error, extra=self._about())

    def _about(self, channel: Channel | str = "") -> dict[str, object]:
        return about(channel=channel, node=self._node.id)
