"""SIGTERM: the process leaves in an orderly way, so that a restart loses nobody (pitfall 18).

Servers end at once when they are told to, and their sockets break. So their handler is put off: the node says that it
is not ready, sends its clients away (3001, they come back to another node), and those who push metrics over WebSockets
(1001), spread over ``LIVE["DRAIN_SECONDS"]``, the requests under way get a moment to end, and only then the server
hears of the signal. A second SIGTERM reaches it at once, and whatever hangs ends with the process `GRACE` seconds after
the drain at the latest.

A server's handler has to be there already: daphne and uvicorn set theirs with ``signal.signal`` before they serve.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from live.conf import live_settings
from live.logs import about
from live.node import runtime

logger = logging.getLogger("live.drain")

GRACE = 5.0
"""Seconds after ``LIVE["DRAIN_SECONDS"]`` in which the process has ended, by force if need be."""

REQUEST_GRACE = 3.0
"""Seconds after ``LIVE["DRAIN_SECONDS"]`` that requests under way may take."""

STOP_SECONDS = 1.0
"""Seconds the node has to say goodbye to the other nodes."""


class Drain:
    """What one process does about SIGTERM: `on_signal` stands in front of `previous`, the server's handler.

    It takes `seconds`, with the node of `loop`.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, previous: Callable[[int, FrameType | None], Any], seconds: float
    ) -> None:
        self.loop = loop
        self.previous = previous
        self.seconds = seconds
        self.left = False
        """Whether the node is gone: nothing more may start one."""
        self._told = False
        self._passed_on = False
        self._task: asyncio.Task[None] | None = None

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Called between any two instructions of the main thread: it may take no lock that somebody can hold."""
        first = not self._told and self.loop.is_running()
        self._told = True
        # Not left to the loop: what hangs may hang there.
        _thread.start_new_thread(_end_after, (self.seconds + GRACE if first else GRACE,))
        if first:
            self.loop.call_soon_threadsafe(self._start, number)
        else:
            self._pass_on(number, frame)

    def _pass_on(self, number: int, frame: FrameType | None = None) -> None:
        self._passed_on = True
        self.previous(number, frame)

    def _start(self, number: int) -> None:
        self._task = self.loop.create_task(self._run(number), name="live drain")

    async def _run(self, number: int) -> None:
        try:
            await self._leave()
        except Exception:
            text = "the drain failed; the server stops without it"
            logger.exception(text, extra=about(node=runtime.node_id()))
        if not self._passed_on:
            self._pass_on(number)

    async def _leave(self) -> None:
        node = runtime.current_node()
        if node is None:
            return
        deadline = self.loop.time() + self.seconds + REQUEST_GRACE
        text = "SIGTERM: %d clients and %d senders of metrics leave within %g s"
        logger.info(text, len(node.clients), len(node.senders), self.seconds, extra=about(node=node.id))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await node.drain(self.seconds)
                await requests.ended()
        self.left = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                # A server without lifespan would not.
                await runtime.stop_serving()


def _end_after(seconds: float) -> None:
    """Runs beside everything, and ends a process that is still there; never returns to it."""
    time.sleep(seconds)
    logger.error("still not ended %g s after SIGTERM: something hangs, the process ends without it", seconds)
    os._exit(1)


class Requests:
    """How many HTTP requests this process is answering."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: asyncio.Future[None] | None = None

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """A request is being answered."""
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            if not self._count and self._waiting is not None and not self._waiting.done():
                self._waiting.set_result(None)

    async def ended(self) -> None:
        """Waits until there is none."""
        if self._count:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting


requests = Requests()
"""Those of this process, all on the loop that serves it."""

_drain: Drain | None = None
_loop: asyncio.AbstractEventLoop | None = None


def install() -> None:
    """Puts the drain in front of the server's handler of SIGTERM; nothing where that cannot be done.

    Call it on the loop that serves; only the first call on a loop does something. Nothing happens in a thread
    (``runserver`` with its reloader), and where nothing or only the event loop handles the signal: there the process
    ends as it always did.
    """
    global _drain, _loop
    loop = asyncio.get_running_loop()
    if loop is _loop:
        return
    _loop = loop
    if threading.current_thread() is not threading.main_thread():
        return
    previous = signal.getsignal(signal.SIGTERM)
    if isinstance(owner := getattr(previous, "__self__", None), Drain):
        # Of a loop that served this process before.
        previous = owner.previous
    if callable(previous) and getattr(previous, "__module__", "") != "asyncio.unix_events":
        _drain = Drain(loop, previous, live_settings.drain_seconds)
        signal.signal(signal.SIGTERM, _drain.on_signal)


def has_left() -> bool:
    """Whether the node of this process is gone and the server is about to follow: nothing more may be begun."""
    return _drain is not None and _drain.left and _drain.loop is asyncio.get_running_loop()
