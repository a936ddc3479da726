"""Which node serves this process, and how code outside its event loop reaches it.

In the serving process `live_application` binds the node to the server's loop with `serve`. A process that serves
nobody (a management command, Celery, WSGI) gets a node on one background loop of its own, made at the first use, which
only publishes. Either way there is one node a process, and no `async_to_sync`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import ctypes
import gc
import logging
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from django.conf import settings as django_settings

from live.conf import LiveSettings, get_settings
from live.exceptions import EngineUnavailable, SyncInAsync
from live.node.node import Node
from live.node.relay import find_layer
from live.store import MemoryStore, Store

logger = logging.getLogger("live.node")

T = TypeVar("T")

_lock = threading.Lock()
_serving: tuple[asyncio.AbstractEventLoop, Node] | None = None
_background: tuple[asyncio.AbstractEventLoop, Node] | None = None
_store: Store | None = None
_spare: asyncio.AbstractEventLoop | None = None
"""A loop that runs already, for the background."""
_settled = False

_M_ARENA_MAX = -8
"""From glibc's malloc.h."""


def _make_node() -> Node:
    global _store
    settings = get_settings()
    if _store is None:
        # One store a process: what was published before the server took its first request is not lost.
        _store = _make_store(settings)
    return Node(settings=settings, layer=find_layer(settings.channel_layer), store=_store)


def _make_store(settings: LiveSettings) -> Store:
    """The store that goes with the channel layer: Redis where the layer is on it, else the process's memory."""
    limits: dict[str, Any] = {
        "max_channels": settings.store_max_channels,
        "ttl": settings.last_value_ttl,
        "history_max_bytes": settings.history_max_bytes,
    }
    layer = getattr(django_settings, "CHANNEL_LAYERS", {}).get(settings.channel_layer, {})
    if str(layer.get("BACKEND", "")).startswith("channels_redis."):
        from live.store.redis import RedisStore, Topology

        return RedisStore(Topology.from_layer_config(layer.get("CONFIG", {})), **limits)
    return MemoryStore(**limits)


def _settle() -> None:
    """Makes the process ready to serve for long, once.

    What was loaded up to now leaves the garbage collector's rounds: a full one over Django and the project stops the
    loop for 40 ms and more, every few seconds under load, and finds nothing, as modules, models and settings live as
    long as the process.
    """
    global _settled
    if not _settled:
        _settled = True
        gc.collect()
        gc.freeze()
        _limit_arenas()


def _limit_arenas() -> None:
    """Has glibc's malloc use one arena, unless the environment says otherwise.

    Django serves each request with a thread of its own; by default each takes one of up to eight arenas a core, whose
    free memory no other can use, and the process grows for no reason.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    # Not every C library has it.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


async def serve() -> Node:
    """The node of the running event loop, started at the first call; this loop serves the process from now on."""
    global _serving
    loop = asyncio.get_running_loop()
    if _serving is None or _serving[0] is not loop:
        _settle()
        _serving = (loop, _make_node())
    node = _serving[1]
    await node.start()
    return node


async def stop_serving() -> None:
    """Stops the node that serves the running loop, if there is one."""
    global _serving
    if _serving is None or _serving[0] is not asyncio.get_running_loop():
        return
    node = _serving[1]
    _serving = None
    await node.stop()


class State(NamedTuple):
    """What a process has by now; without arguments: nothing, as one that has just started."""

    serving: tuple[asyncio.AbstractEventLoop, Node] | None = None
    background: tuple[asyncio.AbstractEventLoop, Node] | None = None
    store: Store | None = None
    spare: asyncio.AbstractEventLoop | None = None


def exchange(state: State) -> State:
    """Puts `state` in place of what the process has, and returns that; for tests (`live.testing`). Stops nothing."""
    global _serving, _background, _store, _spare
    with _lock:
        before = State(_serving, _background, _store, _spare)
        _serving, _background, _store, _spare = state
        return before


class _BackgroundLoop(asyncio.SelectorEventLoop):
    """One that can still connect when the interpreter ends, and no thread can be had to look up a name."""

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """What `socket.getaddrinfo` finds; in a thread while there are any."""
        try:
            return await super().getaddrinfo(host, port, **options)
        except RuntimeError:
            return socket.getaddrinfo(host, port, **options)


def _start_loop() -> asyncio.AbstractEventLoop:
    loop = _BackgroundLoop()
    try:
        threading.Thread(target=loop.run_forever, name="live background loop", daemon=True).start()
    except RuntimeError:
        loop.close()
        raise
    return loop


def _start_background() -> tuple[asyncio.AbstractEventLoop, Node]:
    global _spare
    loop, _spare = _spare or _start_loop(), None
    # The node never starts to receive: nobody connects to this process.
    return loop, _make_node()


def prepare() -> None:
    """Makes sure that `run` needs no new thread, as there is none when the interpreter ends (Python 3.12).

    Connects to nothing. Raises RuntimeError when no thread can be started now.
    """
    global _spare
    if current_node() is None:
        with _lock:
            if _background is None and _spare is None:
                _spare = _start_loop()


def _home() -> tuple[asyncio.AbstractEventLoop, Node]:
    """The loop and node that publications of this process go through."""
    global _background
    if _serving is not None and _serving[0].is_running():
        return _serving
    with _lock:
        if _background is None:
            _background = _start_background()
        return _background


def _forget_after_fork() -> None:
    # Threads do not survive a fork: a child that publishes makes a loop of its own.
    global _background, _serving, _spare, _lock
    _background = _serving = _spare = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)


def current_node() -> Node | None:
    """The node that serves this process, or None where nobody can connect."""
    return _serving[1] if _serving is not None and _serving[0].is_running() else None


def node_id() -> str:
    """The id of the node that serves this process, for the log; "" where nobody can connect."""
    node = current_node()
    return node.id if node is not None else ""


def count_refused(reason: str) -> None:
    """Counts a handshake that the process refused before a client was made of it."""
    node = current_node()
    if node is not None:
        node.counters.refused[reason] += 1


def tell(operation: Callable[[Node], None]) -> None:
    """Runs `operation` with this process's node on the node's own loop: at once there, from another loop soon.

    From another it is not waited for, but runs before whatever that loop asks of the node afterwards.
    """
    loop, node = _home()
    if loop is asyncio.get_running_loop():
        operation(node)
    else:
        loop.call_soon_threadsafe(operation, node)


async def arun(operation: Callable[[Node], Awaitable[T]]) -> T:
    """Runs `operation` with this process's node, on the node's own loop, whatever loop the caller is on."""
    loop, node = _home()
    if loop is asyncio.get_running_loop():
        return await operation(node)
    return await asyncio.wrap_future(_submit(operation, node, loop))


def run(operation: Callable[[Node], Awaitable[T]], *, timeout: float | None = None) -> T:
    """Runs `operation` with this process's node and waits for it: for synchronous code.

    `timeout` in seconds, ``LIVE["PUBLISH_TIMEOUT"]`` when None; over it raises `EngineUnavailable`. Inside a running
    event loop, which waiting would block, raises `SyncInAsync`.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise SyncInAsync("publish() would block the running event loop; use `await apublish(...)` here")
    loop, node = _home()
    seconds = node.settings.publish_timeout if timeout is None else timeout
    future = _submit(operation, node, loop)
    try:
        return future.result(seconds)
    except concurrent.futures.TimeoutError:
        future.cancel()
        raise EngineUnavailable(f"the node did not answer within {seconds:g} s, try again later") from None


def _submit(
    operation: Callable[[Node], Awaitable[T]], node: Node, loop: asyncio.AbstractEventLoop
) -> concurrent.futures.Future[T]:
    """Starts `operation` on the node's loop from another thread."""

    async def call() -> T:
        return await operation(node)

    # In an empty context: with the caller's, asgiref would run synchronous code of handlers in the caller's thread,
    # which waits for the result.
    return contextvars.Context().run(asyncio.run_coroutine_threadsafe, call(), loop)
