"""One run: a plugin's `run_stream` for one channel, started again by the rules of grafana-live §6 until it returns.

Whatever the plugin does, the run ends in one of four ways: it returned, there is nothing to run any more, it was
cancelled, or it ignores that and is left behind, unable to send.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from live.channel import Channel
from live.exceptions import EngineUnavailable, LimitExceeded, NotFound
from live.node.tasks import start_task
from live.plugins.base import DataSource, StreamPlugin, StreamRequest
from live.plugins.failures import Failures, about_plugin
from live.plugins.registry import find_plugin
from live.plugins.sender import Bucket, Hold, Sender
from live.plugins.sources import find_source_settings
from live.plugins.threads import run_in_thread
from live.plugins.watchdog import watched

if TYPE_CHECKING:
    from live.node import Node

logger = logging.getLogger("live.plugins")

FAST_SECONDS = 0.1
"""A run that fails sooner fails fast, and has to wait longer each time."""

FIRST_PAUSE, MAX_PAUSE = 0.2, 5.0

SOURCE_SCOPE = "ds"
DELETED = "data source deleted"

MAX_STARTS = 10
"""Starts of one channel's run in a second."""


class End(Enum):
    """How a run ended by itself."""

    RETURNED = auto()
    GONE = auto()
    """There is no such plugin or data source any more."""


class Gone(Exception):
    """There is nothing to run for a channel, and there will be nothing; says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """What makes a channel's frames."""

    plugin_id: str
    plugin: StreamPlugin
    source: DataSource | None = None


async def find_target(channel: Channel) -> Target:
    """What makes the channel's frames now; raises `Gone`, and what reading a data source raises."""
    source = None
    plugin_id = channel.namespace
    if channel.scope == SOURCE_SCOPE:
        source = await find_source_settings(channel.namespace)
        if source is None:
            raise Gone(DELETED)
        plugin_id = source.plugin
    try:
        return Target(plugin_id, find_plugin(plugin_id), source)
    except NotFound as error:
        raise Gone(error.message) from error


def pause_after(failures: int) -> float:
    """Seconds to wait after so many fast failures in a row: 0, 0.2, 0.4, 0.8, 1.6, 3.2, and then always 5."""
    return 0.0 if failures < 2 else min(MAX_PAUSE, FIRST_PAUSE * 2 ** min(failures - 2, 10))


class Run:
    """The run of one `channel` on this node, under `hold`; `data` is what the first subscriber sent along.

    `starts` are the times of its last starts, kept from one run of the channel to the next. `ended` is called when it
    ends by itself, `lost` when the lease turns out to be lost. `may_start` raises when the plugin must not be started.
    """

    def __init__(
        self,
        node: Node,
        channel: Channel,
        hold: Hold,
        data: Any,
        *,
        starts: deque[float],
        failures: Failures,
        ended: Callable[[Run, End, str], None],
        lost: Callable[[], None],
        may_start: Callable[[str], None],
    ) -> None:
        self.channel = channel
        self.target: Target | None = None
        """What runs, once it was found."""
        self.cancelled = False
        self._node = node
        self._hold = hold
        self._data = data
        self._starts = starts
        self._failures = failures
        self._ended = ended
        self._lost = lost
        self._may_start = may_start
        self._bucket = Bucket(node.settings.plugin_frames_per_second)
        self._sender: Sender | None = None
        self._task = start_task(self._go(), f"live run of {channel}")
        self._task.add_done_callback(self._done)

    @property
    def plugin_id(self) -> str:
        """The plugin's id, or what stands for it while the data source was not found yet."""
        if self.target is not None:
            return self.target.plugin_id
        return self.channel.namespace if self.channel.scope == "plugin" else f"of data source {self.channel.namespace}"

    @property
    def over(self) -> bool:
        """Whether nothing of it runs any more."""
        return self._task.done()

    def cancel(self) -> None:
        """From now on it can send nothing, and is to end; see `gone`."""
        if not self.cancelled:
            self.cancelled = True
            if self._sender is not None:
                self._sender.close()
            self._task.cancel()

    async def gone(self, seconds: float) -> bool:
        """Waits until nothing of it runs, so long at most; False when something still does."""
        if not self._task.done():
            await asyncio.wait([self._task], timeout=seconds)
        return self._task.done()

    def when_over(self, callback: Callable[[], None]) -> None:
        """Has `callback` called when nothing of it runs any more."""
        self._task.add_done_callback(lambda task: callback())

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # A mistake of ours.
            logger.error("the run of %s broke", self.channel, exc_info=error, extra=self._about())
            self._ended(self, End.RETURNED, "")

    async def _go(self) -> None:
        loop = asyncio.get_running_loop()
        fast = 0
        while True:
            await self._wait_for_start()
            began = loop.time()
            try:
                target = self.target = await find_target(self.channel)
                self._may_start(target.plugin_id)
                began = loop.time()
                await self._run_once(target)
            except asyncio.CancelledError as error:
                if self.cancelled:
                    raise
                # The plugin cancelled its own task, or awaited what was cancelled.
                failure: BaseException = error
                self._forget_cancellation()
            except Gone as error:
                self._ended(self, End.GONE, str(error))
                return
            except (Exception, SystemExit) as error:
                failure = error
            else:
                if not self.cancelled:
                    self._ended(self, End.RETURNED, "")
                return
            if self.cancelled:
                return
            fast = fast + 1 if loop.time() - began < FAST_SECONDS else 0
            self._report(failure)
            await asyncio.sleep(pause_after(fast))
            # Of data sources that cannot be read there may be any number.
            self._node.counters.plugin_restarts["" if self.target is None else self.plugin_id] += 1

    def _forget_cancellation(self) -> None:
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()

    async def _wait_for_start(self) -> None:
        loop = asyncio.get_running_loop()
        if len(self._starts) == MAX_STARTS and (rest := self._starts[0] + 1 - loop.time()) > 0:
            await asyncio.sleep(rest)
        self._starts.append(loop.time())

    def _report(self, failure: BaseException) -> None:
        if isinstance(failure, (EngineUnavailable, LimitExceeded)):
            self._failures.report(
                (self.channel, type(failure)),
                "the run of plugin %s on %s failed and starts again: %s",
                self.plugin_id,
                self.channel,
                failure,
                level=logging.WARNING,
                extra=self._about(),
            )
            return
        self._failures.report(
            self.channel,
            "the run of plugin %s on %s failed and starts again",
            self.plugin_id,
            self.channel,
            error=failure,
            extra=self._about(),
        )

    def _about(self) -> dict[str, object]:
        return about_plugin(self.plugin_id, self.channel)

    # One start

    async def _run_once(self, target: Target) -> None:
        # One of its own for each start: what a former one left running must not send beside it.
        sender = self._sender = Sender(self._node, self.channel, self._hold, self._bucket, self._lost)
        request = StreamRequest(self.channel, self._data, None, target.source)
        try:
            await watched(target.plugin_id, self._drive(target, request, sender))
        finally:
            sender.close()

    async def _drive(self, target: Target, request: StreamRequest, sender: Sender) -> None:
        method: Callable[..., Any] = target.plugin.run_stream
        # Generators yield what others send.
        arguments = (request, sender) if _takes_two(method) else (request,)
        made = method(*arguments)
        if inspect.isawaitable(made):
            await made
        elif isinstance(made, AsyncIterator):
            await _send_all(made, sender)
        elif isinstance(made, Iterator):
            await run_in_thread(made, sender.send, f"live plugin {target.plugin_id}")
        else:
            raise TypeError(
                f"run_stream of plugin {target.plugin_id} has to be a coroutine function, a generator or an async "
                f"generator; it returned {type(made).__name__}"
            )


def _takes_two(method: Callable[..., Any]) -> bool:
    try:
        inspect.signature(method).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True


async def _send_all(values: AsyncIterator[Any], sender: Sender) -> None:
    """Sends what an async generator yields; what `send` raises is raised in it where it yielded."""
    try:
        value = await anext(values)
        while True:
            try:
                await sender.send(value)
            except Exception as error:
                throw = getattr(values, "athrow", None)
                if throw is None:
                    raise
                value = await throw(error)
            else:
                value = await anext(values)
    except StopAsyncIteration:
        return
    finally:
        if (close := getattr(values, "aclose", None)) is not None:
            await close()
