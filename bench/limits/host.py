"""What the measurements of the limits share: how much is measured, a server of each kind, its clients, its memory."""

from __future__ import annotations

import contextlib
import http.client
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from bench import measure
from bench.measure import HOST, LIVE, STOCK, BenchError, Load, Server, cpu_seconds, publish
from bench.nodes import wait_for
from bench.sizes import Scalable, instead, part

BARE = Server(name="bare", application="bench.limits.bare:application", path="/", ready="", first="")
KINDS = (LIVE, STOCK, BARE)
OPENING = 100
"""Connections opened at a time, as a restart brings them: more than the server works at, fewer than it refuses."""
METRICS_TOKEN = "bench"  # noqa: S105  (of a server that ends with the benchmark)
SPARE_FILES = 200
"""Open files of a server besides its clients."""


@dataclass(frozen=True)
class Size(Scalable):
    """How much is measured; `scaled` makes it less, to see that the benchmark works."""

    subscribers: int = part(1000)
    burst: int = part(300)
    servers: int = instead(3, small=1)
    """How many servers of `live` get the deliveries to `subscribers`; the middle one of each number counts."""
    bursts: int = instead(5, small=1)
    """How often a burst is repeated; the middle one counts."""
    many: int = part(15_000)
    many_rate: float = 5.0
    many_seconds: float = part(20.0, least=0.6)
    listeners: int = part(5000, least=2)
    not_reading: int = part(50)
    seconds: float = part(8.0, least=0.25)
    stock_seconds: float = part(4.0, least=0.25)
    slow_seconds: float = part(60.0, least=1.0)
    without_slow_seconds: float = part(20.0, least=0.5)
    ping_seconds: float = part(25.0, least=0.5)
    """LIVE["PING_INTERVAL"]; the servers' own pings come every 20 s."""
    small_rate: float = instead(1.0, small=10.0)
    large: int = instead(20_000, small=200_000)
    large_rate: float = instead(4.0, small=40.0)
    """`large` bytes so often are more than the kernel's buffers and the queue of a client hold together, which are no
    smaller in a smaller benchmark."""
    freed_seconds: float = instead(15.0, small=2.0)
    """After so long what is held for clients that were closed counts as kept."""
    patience: float = instead(600.0, small=60.0)
    """Seconds that all clients may take to join."""


@dataclass(frozen=True)
class Limits:
    """What every measurement needs: the program, the compiled client, the servers' environment, a cookie, how much."""

    program: str
    client: Path
    env: dict[str, str]
    cookie: str
    size: Size

    def server(self, kind: Server) -> Server:
        """`kind` on this program."""
        return replace(kind, program=self.program)

    @contextmanager
    def running(self, kind: Server) -> Iterator[Running]:
        """A fresh server of that kind that has served a client."""
        server = self.server(kind)
        with measure.running(server, self.env) as (pid, port):
            running = Running(self, server, pid, port)
            running.warm()
            yield running


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    limits: Limits
    server: Server
    pid: int
    port: int

    def warm(self) -> None:
        """The first client and publication import and cache; that belongs to none of those that are measured."""
        with self.joined(1) as load:
            publish(self.port, 0.1, rate=100)
            wait_for(load, 10)
        # Its end is noticed before anything is measured.
        measure.wait_until_quiet(self.pid, 0.2)

    @contextmanager
    def joined(self, count: int, slow: int = 0) -> Iterator[Load]:
        """So many clients, the last `slow` of which read nothing once they have joined."""
        options = ("-c", OPENING, "-z", slow)
        size, cookie = self.limits.size, self.limits.cookie
        load = Load(self.limits.client, self.server, self.port, count, cookie, options=options, patience=size.patience)
        try:
            load.joined()
            yield load
        finally:
            load.process.kill()
            load.process.communicate()

    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def idle_share(self, seconds: float) -> float:
        """The share of a core that it takes in so many seconds."""
        used, started = cpu_seconds(self.pid), time.monotonic()
        time.sleep(seconds)
        return (cpu_seconds(self.pid) - used) / (time.monotonic() - started)

    def metric(self, line: str) -> float:
        """What /metrics says after `line`, a name with its labels; 0 where it says nothing."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
            answer = connection.getresponse()
            said = answer.read().decode()
        if answer.status != 200:
            raise BenchError(f"/metrics answered {answer.status}: {said[:200]}")
        found = [text.removeprefix(line) for text in said.splitlines() if text.startswith(line + " ")]
        return float(found[0]) if found else 0.0


class Peak:
    """The most memory a server has while the block runs, looked at every 50 ms."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.bytes = 0

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.bytes = max(self.bytes, self._running.memory())


def allow_open_files(size: Size) -> None:
    """Raises this process's limit of open files, which servers inherit, as far as it goes; BenchError when too low."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    needed = max(size.many, size.listeners) + SPARE_FILES
    if most != resource.RLIM_INFINITY and most < needed:
        raise BenchError(
            f"{size.many:,} clients need {needed:,} open files and this process may have {most:,}: "
            f"raise the hard limit (ulimit -Hn {needed} as root, or LimitNOFILE= of a service), "
            "or measure less with SCALE="
        )
