"""One run: a fresh server on one core, the client on another, publications for some seconds, and what it took."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import publisher

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
RATE = 20
START_SECONDS = 60
JOIN_SECONDS = 120
IDLE_SECONDS = 2.0
QUIET_SECONDS = 1.0  # without CPU time worth the name: everything was delivered
DRAIN_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """What is measured: its name in the table, its application, and how a client joins it."""

    name: str
    application: str
    path: str
    ready: str
    first: str
    program: str = "daphne"
    """What serves the application: "daphne" or "uvicorn"."""

    def command(self, port: int) -> list[str]:
        """What starts it."""
        if self.program == "uvicorn":
            options = ["--host", HOST, "--port", str(port), "--backlog", "1024", "--ws", "websockets-sansio"]
            quiet = ["--log-level", "critical"]
        else:
            options = ["--endpoint", f"tcp:port={port}:interface={HOST}:backlog=1024"]
            quiet = ["--verbosity", "0"]
        return [sys.executable, "-m", self.program, *options, *quiet, self.application]


LIVE = Server(
    name="live",
    application="bench.site:application",
    path="/api/live/ws",
    ready='"id":2',
    first='{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"grafana/broadcast/bench"}}',
)
STOCK = Server(
    name="stock",
    application="bench.stock.site:application",
    path="/bench/stock",
    ready='"ready"',
    first="",
)


@dataclass(frozen=True)
class Result:
    """The numbers of one run."""

    server: Server
    subscribers: int
    publications: int
    deliveries: int
    deliveries_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """Server CPU time for one delivery: all of it from the first publication on, idle work included."""
    idle_share: float
    """Of one core, with everybody connected and nothing published."""
    memory_kib: float
    """Resident memory for one connection."""

    @property
    def missing(self) -> int:
        """Deliveries that never came."""
        return self.publications * self.subscribers - self.deliveries


class BenchError(Exception):
    """A run that gave no numbers."""


_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = {_CORES[0]}
CLIENT_CORES = set(_CORES[1:]) or SERVER_CORE


def cpu_seconds(pid: int) -> float:
    """CPU time a process has used, to the nanosecond; /proc/<pid>/stat has the same in steps of 10 ms."""
    return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) makes of a pid


@contextmanager
def running(server: Server, env: dict[str, str], cores: set[int] = SERVER_CORE) -> Iterator[tuple[int, int]]:
    """A fresh server on `cores`, this process on the others: yields its process id and port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    os.sched_setaffinity(0, cores)  # a child inherits it
    # The stock consumer prints a traceback for each socket that leaves while it has messages waiting.
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(server.command(port), cwd=ROOT, env=env, stdout=errors, stderr=errors)
        os.sched_setaffinity(0, CLIENT_CORES)
        try:
            wait_until_open(process, port)
            yield process.pid, port
        except BenchError as problem:
            errors.seek(0)
            raise BenchError(f"{server.name}: {problem}\n{errors.read()[-2000:]}") from problem
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_open(process: subprocess.Popen[bytes], port: int) -> None:
    """Returns when the port answers."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise BenchError(f"the server did not start (code {process.poll()})")


class Load:
    """The client (load.c): so many subscribers, ready once `joined` returned; `options` are those of load.c."""

    def __init__(
        self,
        client: Path,
        server: Server,
        port: int,
        subscribers: int,
        cookie: str,
        *,
        options: Sequence[object] = (),
        patience: float = JOIN_SECONDS,
    ) -> None:
        where = (HOST, port, server.path, subscribers, server.ready, server.first, f"Cookie: {cookie}")
        words = [client, *options, *where]
        self.patience = patience
        self.process = subprocess.Popen(
            [str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.subscribers = subscribers

    def joined(self) -> None:
        """Waits until everybody is subscribed."""
        said = self._answer()
        if said != f"ready {self.subscribers}\n":
            self.process.kill()
            self.process.wait()
            raise BenchError(f"not everybody could subscribe: {said.strip() or 'no answer'}")

    def ask(self, command: str) -> dict[str, float]:
        """What the client answers to `command`; see load.c."""
        if self.process.stdin:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        said = self._answer()
        if not said:
            raise BenchError(f"the client did not answer to {command!r}")
        return dict(json.loads(said))

    def _answer(self) -> str:
        """The next line; "" when it does not come in time, and then the client is gone."""
        timer = threading.Timer(self.patience, self.process.kill)
        # Who is interrupted while it starts does not come to `cancel`, and is not to wait for it in the end.
        timer.daemon = True
        timer.start()
        try:
            return self.process.stdout.readline() if self.process.stdout else ""
        finally:
            timer.cancel()

    def report(self) -> dict[str, float]:
        """Ends the client and returns its numbers."""
        text, _ = self.process.communicate(timeout=30)
        return dict(json.loads(text))


def publish(port: int, seconds: float, **options: object) -> None:
    """Makes the server start publishing; `options` as its site takes them."""
    query = urllib.parse.urlencode({"rate": RATE, "seconds": seconds, **options})
    url = f"http://{HOST}:{port}{publisher.PATH}?{query}"
    urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60).close()


def tell_failed_publications(port: int) -> None:
    """Says on standard error what the server could not publish: a row that misses deliveries has no other reason."""
    with urllib.request.urlopen(f"http://{HOST}:{port}{publisher.PATH}", timeout=30) as answer:
        said = json.loads(answer.read())
    if said["failed"]:
        print(f"{said['failed']:,} publications failed so far, the last with {said['error']}", file=sys.stderr)


def wait_until_quiet(pid: int, quiet: float = QUIET_SECONDS) -> None:
    """Returns when the server had nothing to deliver for `quiet` seconds, at the latest after DRAIN_SECONDS."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < deadline:
        before = cpu_seconds(pid)
        time.sleep(quiet)
        if cpu_seconds(pid) - before < 0.1 * quiet:
            return


def measure(server: Server, subscribers: int, seconds: float, client: Path, env: dict[str, str], cookie: str) -> Result:
    """One run; raises BenchError when it gave no numbers."""
    with running(server, env) as (pid, port):
        # The first connection and publication import and cache; that belongs to no connection.
        warm = Load(client, server, port, 1, cookie)
        warm.joined()
        publish(port, 0.5)
        time.sleep(1)
        warm.report()
        memory = psutil.Process(pid).memory_info().rss
        load = Load(client, server, port, subscribers, cookie)
        load.joined()
        memory = psutil.Process(pid).memory_info().rss - memory
        before = cpu_seconds(pid)
        time.sleep(IDLE_SECONDS)
        started = cpu_seconds(pid)
        publish(port, seconds)
        time.sleep(seconds)
        used = cpu_seconds(pid) - started
        wait_until_quiet(pid)
        used = max(used, cpu_seconds(pid) - started)
        report = load.report()
        deliveries = int(report["deliveries"])
        if not deliveries:
            raise BenchError("nothing was delivered")
    return Result(
        server=server,
        subscribers=subscribers,
        publications=int(RATE * seconds),
        deliveries=deliveries,
        # From the first to the last there is one interval less than there were publications.
        deliveries_per_second=deliveries / (report["seconds"] + 1 / RATE),
        p50_ms=report["p50_ms"],
        p99_ms=report["p99_ms"],
        cpu_us=1e6 * used / deliveries,
        idle_share=(started - before) / IDLE_SECONDS,
        memory_kib=memory / 1024 / subscribers,
    )
