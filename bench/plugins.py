"""What a plugin's stream costs beside the same frames published by hand, and how soon its first frame is there."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from websockets.sync.client import connect

from bench.measure import HOST, LIVE, BenchError, Load, cpu_seconds, publish, running
from bench.nodes import say
from bench.rows import Row
from bench.sizes import Scalable, instead, part
from live.plugins.times import TIMES
from tests.redis_server import RedisServer

SITE = replace(LIVE, name="plugins", application="bench.streams:application")
RATE = 20
MOST_MORE = 0.05
"""How much more CPU time a delivery may take when a plugin made the frame."""
MOST_SHARE = 0.35
"""Of a core, for many streams with few subscribers."""
FIRST_MS = 150.0
ANSWER_SECONDS = 30.0
MARGIN = 1.0
"""Seconds that frames come before and after they are counted."""


@dataclass(frozen=True)
class Size(Scalable):
    """How much is measured; `scaled` makes it less, to see that the benchmark works."""

    subscribers: int = part(1000)
    streams: int = part(500)
    rounds: int = instead(5, small=1)
    tries: int = 15
    """Rounds at most, those among them in which the machine was too busy."""
    seconds: float = part(10.0, least=1.0)
    firsts: int = instead(20, small=2)


@dataclass(frozen=True)
class Site:
    """A running server, and who measures it."""

    pid: int
    port: int
    client: Path
    cookie: str

    def load(self, channel: str, count: int) -> Load:
        """So many subscribers; %d in `channel` is the number of the subscriber."""
        first = f'{{"id":1,"connect":{{}}}}\n{{"id":2,"subscribe":{{"channel":"{channel}"}}}}'
        load = Load(self.client, replace(SITE, first=first), self.port, count, self.cookie)
        load.joined()
        return load

    def window(self, loads: list[Load], seconds: float) -> tuple[float, int]:
        """(CPU seconds of the server, deliveries) while frames come."""
        for load in loads:
            load.ask("lap")
        started = cpu_seconds(self.pid)
        time.sleep(seconds)
        used = cpu_seconds(self.pid) - started
        return used, sum(int(load.ask("lap")["deliveries"]) for load in loads)


def measure(client: Path, env: dict[str, str], cookie: str, size: Size) -> list[Row]:
    """All three, on one process with the memory store; many streams also with Redis, for which nothing is promised."""
    with running(SITE, env) as (pid, port):
        site = Site(pid, port, client, cookie)
        rows = [_first_frames(site, size), *_one_stream(site, size)]
    with running(SITE, env) as (pid, port):
        rows.append(_many_streams(Site(pid, port, client, cookie), size, "", MOST_SHARE))
    if shutil.which("redis-server"):
        with (
            tempfile.TemporaryDirectory(prefix="live-bench-redis-") as folder,
            RedisServer(Path(folder)) as redis,
            running(SITE, env | {"LIVE_REDIS_URL": redis.url}) as (pid, port),
        ):
            rows.append(_many_streams(Site(pid, port, client, cookie), size, ", with Redis"))
    return rows


class Disturbed(Exception):
    """The machine was too busy with something else to give numbers."""


def _one_stream(site: Site, size: Size) -> list[Row]:
    """CPU time of a delivery, in turns, so that what else the machine does falls on both."""
    rounds: list[tuple[float, float]] = []
    for number in range(size.tries):
        say(f"one stream, {size.subscribers:,} subscribers, round {len(rounds) + 1} of {size.rounds}")
        try:
            rounds.append(_round(site, size, number))
        except Disturbed as problem:
            say(f"again: {problem}")
        else:
            say("µs of a plugin and by hand: {:.2f}, {:.2f}".format(*rounds[-1]))
        if len(rounds) == size.rounds:
            break
        # A run goes on until it is sure that nobody watches; that may not fall on what is measured next.
        time.sleep(TIMES.look * (TIMES.looks + 1))
    else:
        raise BenchError("this machine is too busy to measure one stream")
    costs = [statistics.median(each) for each in zip(*rounds, strict=True)]
    more = costs[0] / costs[1] - 1
    what = f"one stream of {RATE} frames/s, {size.subscribers:,} subscribers"
    return [
        Row(f"{what}, published by hand", f"{costs[1]:.2f} µs of CPU a delivery"),
        Row(
            f"{what}, of a plugin",
            f"{costs[0]:.2f} µs of CPU a delivery, {100 * more:+.1f} %",
            f"within {100 * MOST_MORE:.0f} %",
            more <= MOST_MORE,
        ),
    ]


def _round(site: Site, size: Size, number: int) -> tuple[float, float]:
    """The cost of a plugin's frames and of those by hand; who comes first changes from one `number` to the next."""
    if number % 2 == 0:
        by_hand = _cost(site, size, f"stream/bench/many{number}", f"many{number}")
        return _cost(site, size, f"plugin/bench/{RATE}/many{number}"), by_hand
    of_plugin = _cost(site, size, f"plugin/bench/{RATE}/many{number}")
    time.sleep(TIMES.look * (TIMES.looks + 1))
    return of_plugin, _cost(site, size, f"stream/bench/many{number}", f"many{number}")


def _cost(site: Site, size: Size, channel: str, path: str = "") -> float:
    """CPU microseconds of a delivery; with `path` the frames are published by hand."""
    load = site.load(channel, size.subscribers)
    if path:
        publish(site.port, size.seconds + 2 * MARGIN, rate=RATE, path=path)
    time.sleep(MARGIN)
    used, deliveries = site.window([load], size.seconds)
    load.report()
    time.sleep(2 * MARGIN)  # what publishes by hand goes on a little
    wanted = RATE * size.seconds * size.subscribers
    # A tenth, or a few frames where that is less than those.
    if abs(deliveries - wanted) > max(0.1 * wanted, 4 * size.subscribers):
        raise Disturbed(f"{channel}: {deliveries:,} deliveries where {wanted:,.0f} should be")
    return 1e6 * used / deliveries


def _many_streams(site: Site, size: Size, where: str, goal: float = 0.0) -> Row:
    """CPU time of many runs."""
    say(f"{size.streams:,} streams{where}")
    loads = [site.load("plugin/bench/1/%d", size.streams) for _ in range(2)]
    time.sleep(1)
    used, deliveries = site.window(loads, size.seconds)
    for load in loads:
        load.report()
    share, wanted = used / size.seconds, 2 * size.streams * size.seconds
    complete = deliveries >= wanted - 2 * size.streams
    return Row(
        f"{size.streams:,} streams of a frame/s with 2 subscribers each{where}",
        f"{100 * share:.1f} % of a core" + ("" if complete else f", {deliveries:,} of {wanted:,.0f} deliveries"),
        f"below {100 * goal:.0f} % of a core" if goal else "",
        share < goal and complete if goal else None,
    )


def _first_frames(site: Site, size: Size) -> Row:
    """From a first subscription to its first frame."""
    say("first frames")
    # The first of all imports and caches; that belongs to no stream.
    _first_frame(site, "warm")
    times = sorted(1000 * _first_frame(site, f"first{number}") for number in range(size.firsts))
    return Row(
        "from the first subscription to the first frame",
        f"p50 {statistics.median(times):.1f} ms, worst {times[-1]:.1f} ms of {len(times)}",
        f"at most {FIRST_MS:.0f} ms",
        times[-1] <= FIRST_MS,
    )


def _first_frame(site: Site, name: str) -> float:
    """Seconds from the subscribe command until a frame is there, with the reply or after it."""
    headers = {"Cookie": site.cookie}
    address = f"ws://{HOST}:{site.port}{SITE.path}"
    with connect(address, additional_headers=headers, open_timeout=ANSWER_SECONDS) as ws:
        ws.send('{"id":1,"connect":{}}')
        ws.recv(ANSWER_SECONDS)
        started = time.perf_counter()
        ws.send(json.dumps({"id": 2, "subscribe": {"channel": f"plugin/bench/1/{name}"}}))
        deadline = started + ANSWER_SECONDS
        while (left := deadline - time.perf_counter()) > 0:
            text = ws.recv(left)
            if '"error"' in text:
                raise BenchError(f"no stream: {text}")
            if '"values"' in text:
                return time.perf_counter() - started
    raise BenchError(f"no frame within {ANSWER_SECONDS:.0f} s")
