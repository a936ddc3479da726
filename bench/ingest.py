"""The ingest path: the converter alone, pushes over HTTP, and the way of a push to a subscriber.

One daphne process on one core, the senders on another. Lines are those of Telegraf's cpu plugin: 10 fields, 2 tags.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil
import websockets
from line_protocol_parser import parse_line

from bench.measure import CLIENT_CORES, HOST, LIVE, SERVER_CORE, BenchError, cpu_seconds, running
from bench.rows import Row
from live.frames import frames_from_lines, parse_lines

FIELDS = ("guest", "guest_nice", "idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user")
START_NS = 1_700_000_000_000_000_000
SENDERS = 2
CONVERTER_SECONDS = 3.0
LATENCY_PUSHES_PER_SECOND = 5
MEASUREMENTS = 100


def cpu_lines(count: int, seed: int = 0, measurement: str = "cpu") -> bytes:
    """So many lines of Telegraf's cpu plugin."""
    numbers = random.Random(seed)  # noqa: S311
    lines = []
    for number in range(count):
        values = ",".join(f"usage_{name}={numbers.uniform(0, 100)!r}" for name in FIELDS)
        lines.append(f"{measurement},cpu=cpu{number % 16},host=bench {values} {START_NS + number * 1_000_000_000}")
    return "\n".join(lines).encode()


def rate(work: Callable[[], object], amount: int) -> float:
    """How much of `amount` a call of `work` does in a second: the best of many short runs, as the machine is shared."""
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < CONVERTER_SECONDS:
        before = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - before)
    return amount / best


def converter() -> list[Row]:
    """Lines to frames in this process, beside the parser alone on the same lines."""
    os.sched_setaffinity(0, SERVER_CORE)
    body = cpu_lines(1000)
    single = body.split(b"\n")
    alone = rate(lambda: [parse_line(line) for line in single], 1000)
    ours = rate(lambda: frames_from_lines(parse_lines(body, stream_id="bench"), START_NS), 1000)
    encoded = rate(
        lambda: [f.encode() for f in frames_from_lines(parse_lines(body, stream_id="bench"), START_NS)], 1000
    )
    ratio = alone / ours
    return [
        Row("`line_protocol_parser` alone", f"{alone:,.0f} lines/s"),
        Row("lines to frames", f"{ours:,.0f} lines/s", "150,000 lines/s", ours >= 150_000),
        Row("the same, time relative to the parser alone", f"{ratio:.2f}", "at most 2.2", ratio <= 2.2),
        Row("lines to encoded frames", f"{encoded:,.0f} lines/s"),
    ]


class Sender(threading.Thread):
    """Pushes one body after the other over a kept connection until it is told to stop."""

    def __init__(self, target: Target, body: bytes, until: float) -> None:
        super().__init__(daemon=True)
        self.target, self.body, self.until = target, body, until
        self.sent = 0
        self.failure = ""

    def run(self) -> None:
        connection = http.client.HTTPConnection(HOST, self.target.port, timeout=30)
        while time.monotonic() < self.until and not self.failure:
            self.failure = push(connection, self.target.token, self.body)
            self.sent += not self.failure
        connection.close()


def push(connection: http.client.HTTPConnection, token: str, body: bytes) -> str:
    """One push; what went wrong, or "" when it was taken."""
    headers = {"Authorization": f"Token {token}", "Content-Type": "text/plain"}
    connection.request("POST", "/api/live/push/bench", body, headers)
    answer = connection.getresponse()
    text = answer.read()
    return "" if answer.status == 200 else f"{answer.status} {text[:200]!r}"


class Subscriber(threading.Thread):
    """One client subscribed to every measurement; counts what arrives and when."""

    def __init__(self, port: int, cookie: str, measurements: list[str]) -> None:
        super().__init__(daemon=True)
        self.port, self.cookie, self.measurements = port, cookie, measurements
        self.ready = threading.Event()
        self.arrivals: list[float] = []

    def run(self) -> None:
        # The server ends before its subscriber does.
        with contextlib.suppress(websockets.ConnectionClosed):
            asyncio.run(self._receive())

    async def _receive(self) -> None:
        lines = ['{"id":1,"connect":{}}']
        lines += [
            f'{{"id":{number},"subscribe":{{"channel":"stream/bench/{name}"}}}}'
            for number, name in enumerate(self.measurements, 2)
        ]
        last = f'"id":{len(lines)},'
        url, headers = f"ws://{HOST}:{self.port}{LIVE.path}", {"Cookie": self.cookie}
        async with websockets.connect(url, additional_headers=headers, max_size=None) as socket:
            await socket.send("\n".join(lines))
            async for message in socket:
                now = time.monotonic()
                if message == "{}":
                    await socket.send("{}")
                elif not self.ready.is_set():
                    if last in str(message):
                        self.ready.set()
                else:
                    self.arrivals.extend([now] * str(message).count('{"push":'))


@dataclass(frozen=True)
class Target:
    """The server under test, and who pushes and listens."""

    pid: int
    port: int
    token: str
    cookie: str

    def subscriber(self, measurements: list[str]) -> Subscriber:
        """A client that is subscribed to them."""
        subscriber = Subscriber(self.port, self.cookie, measurements)
        subscriber.start()
        if not subscriber.ready.wait(30):
            raise BenchError("the subscriber could not subscribe")
        return subscriber


def throughput(target: Target, batch: int, seconds: float) -> tuple[float, float, float]:
    """(pushes a second, CPU share of the server, growth of its memory in MiB) with batches of so many lines."""
    pid = target.pid
    target.subscriber(["cpu"])
    process = psutil.Process(pid)
    # The caches and histories fill first; flat means flat after that.
    for warm_up in (True, False):
        memory, cpu, started = process.memory_info().rss, cpu_seconds(pid), time.monotonic()
        length = min(10.0, seconds) if warm_up else seconds
        senders = [Sender(target, cpu_lines(batch, number), started + length) for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
            if sender.failure:
                raise BenchError(f"a push of {batch} lines was answered {sender.failure}")
    took = time.monotonic() - started
    growth = (process.memory_info().rss - memory) / 2**20
    return sum(sender.sent for sender in senders) / took, (cpu_seconds(pid) - cpu) / took, growth


def latency(target: Target, seconds: float) -> list[float]:
    """For each push of 1,000 lines of 100 measurements: milliseconds until the last of its frames had arrived."""
    names = [f"m{number}" for number in range(MEASUREMENTS)]
    subscriber = target.subscriber(names)
    body = b"\n".join(cpu_lines(1000 // MEASUREMENTS, number, name) for number, name in enumerate(names))
    connection = http.client.HTTPConnection(HOST, target.port, timeout=30)
    took = []
    for beat in beats(int(seconds * LATENCY_PUSHES_PER_SECOND), 1 / LATENCY_PUSHES_PER_SECOND):
        expected = len(subscriber.arrivals) + MEASUREMENTS
        sent = time.monotonic()
        failure = push(connection, target.token, body)
        if failure:
            raise BenchError(f"a push of 100 measurements was answered {failure}")
        while len(subscriber.arrivals) < expected:
            if time.monotonic() - sent > 5:
                raise BenchError(f"push {beat}: {expected - len(subscriber.arrivals)} frames did not arrive in 5 s")
            time.sleep(0.0005)
        took.append(1000 * (subscriber.arrivals[expected - 1] - sent))
    connection.close()
    return took


def beats(count: int, interval: float) -> Iterator[int]:
    """0, 1, 2 ... on a fixed beat."""
    started = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, started + number * interval - time.monotonic()))
        yield number


def measure(env: dict[str, str], token: str, cookie: str, seconds: float) -> list[Row]:
    """All rows; `seconds` for the longest measurement over HTTP."""
    rows = converter()
    os.sched_setaffinity(0, CLIENT_CORES)
    with running(LIVE, env) as (pid, port):
        target = Target(pid, port, token, cookie)
        pushes, cpu, growth = throughput(target, 1000, seconds)
        share = f"{100 * cpu:.0f} % of a core"
        lines = pushes * 1000
        rows.append(
            Row("HTTP, 1,000 lines a push", f"{lines:,.0f} lines/s, {share}", "60,000 lines/s", lines >= 60_000)
        )
        rows.append(Row(f"memory over {seconds:.0f} s of that", f"{growth:+.1f} MiB", "flat", abs(growth) < 10))
        pushes, cpu, _ = throughput(target, 10, min(seconds, 20.0))
        text = f"{pushes:,.0f} requests/s, {100 * cpu:.0f} % of a core"
        rows.append(Row("HTTP, 10 lines a push", text, "350 requests/s", pushes >= 350))
        took = sorted(latency(target, min(seconds, 20.0)))
        p99 = took[min(len(took) - 1, int(len(took) * 0.99))]
        text = f"p50 {statistics.median(took):.1f} ms, p99 {p99:.1f} ms, worst {took[-1]:.1f} ms of {len(took)} pushes"
        rows.append(Row("1,000 lines of 100 measurements to a subscriber", text, "p99 at most 30 ms", p99 <= 30))
    return rows
