"""What a check says, and how a check is kept from holding up or breaking the others."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeVar

logger = logging.getLogger("live.doctor")

SECONDS = 5.0
"""Longest that one check may take."""

NOT_KNOWN = "not known here"
"""Found where the system does not tell."""

T = TypeVar("T")


class Level(StrEnum):
    """How bad it is; only an error makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


WHY = {
    "settings": "A wrong key or value stops the site when it starts.",
    "application": "ASGI_APPLICATION names what a server serves, WebSockets included.",
    "versions": "Older releases lack what Live calls, or have holes that are known.",
    "debug": "With DEBUG on, whoever causes an error reads the site's code and settings.",
    "allowed-hosts": "Django answers 400 to every other host, and the origin check trusts the host of the request.",
    "layer": "It takes publications from one process to the clients of all others.",
    "open-files": "Each client is an open file of its process; when none is left, nobody new gets in.",
    "system-files": "The same limit for all processes of the machine together.",
    "ports": "A proxy on this machine takes one port for each client of a node.",
    "time-wait": "A connection that was closed keeps its port for a minute.",
    "somaxconn": "The kernel cuts the backlog of every server at it.",
    "backlog": "Browsers that come at once wait in it; who finds it full tries again after 1 s, then 3 s, then 7 s.",
    "memory": "About 28 KiB for a connected client; a process without memory is killed with all its clients.",
    "redis": "Without it nodes do not reach each other, and history, presence and leases stand still.",
    "redis-version": "Scripts and commands of the store need it.",
    "redis-role": "A replica takes no publications.",
    "redis-access": "Publications are written by a script and announced on a channel, in one step.",
    "redis-output-buffer": "A node that lets more than this gather is cut off, and has to read what it missed.",
    "redis-eviction": "What is evicted is a gap that nobody announces; a full Redis that refuses is an error one sees.",
    "redis-persistence": "History that survives a restart of Redis; without it each client is told of one gap.",
    "redis-clock": "Positions, presence and leases go by Redis' clock; timestamps, logs and sessions by the machine's.",
    "redis-sentinel": "Without a majority of the sentinels nobody replaces a primary that dies.",
    "site": "Browsers come the same way.",
    "site-tls": "Browsers open no WebSocket to a site whose certificate they do not trust, and show no page about it.",
    "site-livez": "Load balancers ask it, and it shows that what answers is Live.",
    "site-readyz": "A node that is not ready should get no visitors.",
    "site-pages": "The pages come the same way, with the same headers.",
    "site-websocket": "Everything that is live goes through it.",
    "site-origin": "Another site's page could open a socket with a visitor's cookies.",
}
"""Every check, and why it matters."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `fix` is empty where nothing is to be done. Holds no secrets."""

    check: str
    level: Level
    found: str
    why: str
    fix: str

    def as_dict(self) -> dict[str, str]:
        """As ``--json`` prints it."""
        return {**asdict(self), "level": self.level.value}


def ok(check: str, found: str) -> Finding:
    """Nothing is to be done."""
    return Finding(check, Level.OK, found, WHY[check], "")


def warning(check: str, found: str, fix: str, why: str = "") -> Finding:
    """It works, and will not under load or in production."""
    return Finding(check, Level.WARNING, found, why or WHY[check], fix)


def error(check: str, found: str, fix: str, why: str = "") -> Finding:
    """It does not work."""
    return Finding(check, Level.ERROR, found, why or WHY[check], fix)


async def bounded(check: str, looking: Awaitable[Iterable[Finding]]) -> list[Finding]:
    """What `looking` finds; where it takes too long or breaks, that is what is found."""
    try:
        async with asyncio.timeout(SECONDS):
            return list(await looking)
    except TimeoutError:
        return [error(check, f"no answer within {SECONDS:g} s", "See whether the machine, or its name server, hangs.")]
    except Exception as failure:
        # The other checks go on. Texts of errors may hold passwords, so only the name is told.
        logger.debug("the check %s failed", check, exc_info=True)
        name = type(failure).__name__
        return [warning(check, f"could not be looked at: {name}", f"Report this: the check {check} ended with {name}.")]


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """The result of a function that blocks."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


class Daemons(ThreadPoolExecutor):
    """Threads that nobody waits for: a name server that does not answer must not keep the command from ending."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Calls `fn` in a thread of its own."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as failure:
                future.set_exception(failure)
            else:
                future.set_result(result)

        threading.Thread(target=run, name="live doctor", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leaves what still runs to itself."""


def make_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose threads are `Daemons`."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(Daemons())
    return loop
