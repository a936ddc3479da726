"""A node of its own for a test: as in a process that has just started, and nothing of it is left afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import override_settings

from live.conf import get_settings
from live.node import Node, runtime
from live.node.node import NodeStats
from live.notices import notices
from live.testing.recorder import Recorder

STOP_SECONDS = 10.0
"""Seconds a node of a test has to stop."""

IN_MEMORY = {"BACKEND": "channels.layers.InMemoryChannelLayer"}


class IsolatedNode:
    """While ``with IsolatedNode() as node:`` or ``async with`` lasts, this process has a node of its own.

    Its store is in memory and empty, its channel layer too, whatever the project's settings name; ``LIVE`` is the
    project's with `live` laid over it (``IsolatedNode(MAX_CONNECTIONS=1)``). `recorder` has what is published
    meanwhile. Afterwards the node is stopped, its clients are disconnected, and what was before is back.

    ``async with`` begins to serve at once; ``with``, for fixtures and ``setUp``, when the first client comes, and
    raises `RuntimeError` inside a running event loop. Both raise `ImproperlyConfigured` for settings that are wrong.
    """

    def __init__(self, **live: Any) -> None:
        self.recorder = Recorder()
        """What was published since the beginning, by this process."""
        self._live = live
        self._before = runtime.State()
        self._undo = contextlib.ExitStack()

    @property
    def node(self) -> Node | None:
        """The node that serves clients; None while no event loop runs or nobody came."""
        return runtime.current_node()

    @property
    def stats(self) -> NodeStats:
        """What the node holds now; all zero when nobody is connected."""
        return NodeStats(clients=0, channels=0, joined=0, tasks=0) if self.node is None else self.node.stats()

    def __enter__(self) -> Self:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._begin()
            return self
        raise RuntimeError(
            "`with IsolatedNode()` could not stop its node here, inside a running event loop: use async with"
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._undo:
            notices.join()
            made = runtime.exchange(self._before)
            if made.serving is not None:
                _stop(*made.serving)
            if made.background is not None:
                _end(*made.background)
            if made.spare is not None:
                _end(made.spare)

    async def __aenter__(self) -> Self:
        self._begin()
        await runtime.serve()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._undo:
            # In a thread: they are sent by the loop that runs here.
            await asyncio.to_thread(notices.join)
            made = runtime.exchange(self._before)
            if made.serving is not None:
                async with asyncio.timeout(STOP_SECONDS):
                    await _stop_node(made.serving[1])
            if made.background is not None:
                await asyncio.to_thread(_end, *made.background)
            if made.spare is not None:
                await asyncio.to_thread(_end, made.spare)

    def _begin(self) -> None:
        live = {**getattr(settings, "LIVE", {}), **self._live}
        layers = {**getattr(settings, "CHANNEL_LAYERS", {}), live.get("CHANNEL_LAYER", "default"): IN_MEMORY}
        with contextlib.ExitStack() as undo:
            undo.enter_context(override_settings(LIVE=live, CHANNEL_LAYERS=layers))
            # Raises what is wrong with them here, where they were written.
            get_settings()
            self._before = runtime.exchange(runtime.State())
            undo.enter_context(self.recorder)
            self._undo = undo.pop_all()


_guards: WeakKeyDictionary[Node, asyncio.Task[None]] = WeakKeyDictionary()
"""What stops each node at the end of its loop."""


def stop_with_loop(node: Node) -> None:
    """Has a node stop when its loop ends, the running one: many tests end theirs before anybody else could do it.

    Left alone, what runs there would be cancelled piece by piece, which plugins that run take for something else.
    """
    if node not in _guards:
        _guards[node] = asyncio.get_running_loop().create_task(_guard(node), name="live node's end")


async def _guard(node: Node) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await _stop_and_wait(node)


async def _stop_and_wait(node: Node) -> None:
    """Stops a node, and lets what it asked the database last come to its end: the test's end empties the tables."""
    await node.stop()
    async with asyncio.timeout(STOP_SECONDS):
        # Its turn comes after everything that this thread was given before.
        await sync_to_async(_nothing)()


def _nothing() -> None:
    """What is done when its turn comes."""


async def _stop_node(node: Node) -> None:
    guard = _guards.pop(node, None)
    if guard is None:
        await _stop_and_wait(node)
        return
    guard.cancel()
    await asyncio.wait({guard})
    if not guard.cancelled():
        guard.result()


def _stop(loop: asyncio.AbstractEventLoop, node: Node) -> None:
    """Stops a node from outside its loop; one whose loop was closed has nothing left, its tasks ended with it."""
    if loop.is_closed():
        return
    if loop.is_running():
        asyncio.run_coroutine_threadsafe(_stop_node(node), loop).result(STOP_SECONDS)
    else:
        loop.run_until_complete(asyncio.wait_for(_stop_node(node), STOP_SECONDS))


def _end(loop: asyncio.AbstractEventLoop, node: Node | None = None) -> None:
    """Stops a node that only published, and the background loop and thread that were made for it."""

    async def stop() -> threading.Thread:
        if node is not None:
            await node.stop()
        return threading.current_thread()

    thread = asyncio.run_coroutine_threadsafe(stop(), loop).result(STOP_SECONDS)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(STOP_SECONDS)
    loop.close()
