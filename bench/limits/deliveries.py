"""Many subscribers of one channel: how fast they join, what a delivery costs, how late it is, what a burst takes."""

from __future__ import annotations

import json
import statistics
import time
import urllib.request
from dataclasses import dataclass

from bench.limits.host import Limits, Running
from bench.measure import HOST, LIVE, RATE, Load, Server, cpu_seconds, publish, tell_failed_publications
from bench.nodes import say, wait_for
from bench.publisher import CHANNEL, message

FAST = 100
"""Publications a second of the second beat; the first is RATE."""
HTTP_BATCH = 100
"""Publications of one request of a burst over HTTP."""


@dataclass(frozen=True)
class Beat:
    """What publications on a fixed beat took."""

    cpu_us: float
    """Server CPU time for one delivery: all of it from the first publication to the last delivery, idle work too."""
    p50_ms: float
    p99_ms: float
    deliveries: int
    missing: int
    """Deliveries that never came, or not in their order."""


@dataclass(frozen=True)
class Deliveries:
    """The numbers of one kind of server; those of bursts are 0 where none was measured."""

    joins: float
    """Clients a second that connect, log in and subscribe."""
    beats: dict[int, Beat]
    """By publications a second."""
    burst: float = 0.0
    """Deliveries a second, publications from inside."""
    burst_http: float = 0.0
    """The same with publications over HTTP."""
    rare: Beat | None = None
    """At the rate at which many clients are published to."""


def beat(running: Running, load: Load, rate: float, seconds: float, **options: object) -> Beat:
    """Publications on a fixed beat to everybody of `load`, none of whom is slow."""
    started, publications = cpu_seconds(running.pid), int(rate * seconds)
    publish(running.port, seconds, rate=rate, **options)
    # Asking the client again and again would take time from it.
    time.sleep(seconds)
    # The stock consumer loses some: there is no use in waiting long for them.
    impatient = {} if running.server.name == LIVE.name else {"stalled": 5.0}
    wait_for(load, publications * load.subscribers, **impatient)
    used = cpu_seconds(running.pid) - started
    report = load.ask("lap")
    tell_failed_publications(running.port)
    deliveries = int(report["deliveries"])
    return Beat(
        cpu_us=1e6 * used / max(1, deliveries),
        p50_ms=report["p50_ms"],
        p99_ms=report["p99_ms"],
        deliveries=deliveries,
        missing=max(publications * load.subscribers - deliveries, int(report["gaps"])),
    )


def burst(running: Running, load: Load, publications: int) -> float:
    """Deliveries a second of so many publications at once: from just before the first to the last delivery."""
    publish(running.port, 1, rate=1, batch=publications)
    return _burst_rate(load, publications)


def burst_http(running: Running, load: Load, publications: int, token: str) -> float:
    """The same with publications in as few requests as may be, which another process sends one after the other."""
    for first in range(0, publications, HTTP_BATCH):
        numbers = range(first, min(first + HTTP_BATCH, publications))
        body = json.dumps([{"channel": CHANNEL, "data": message(number)} for number in numbers]).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Token {token}"}
        url = f"http://{HOST}:{running.port}/api/live/publish"
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60).close()
    return _burst_rate(load, publications)


def _burst_rate(load: Load, publications: int) -> float:
    wait_for(load, publications * load.subscribers)
    report = load.ask("lap")
    complete = report["deliveries"] == publications * load.subscribers and not report["gaps"]
    # A burst that lost something is no burst.
    return report["deliveries"] / report["seconds_from_publishing"] if complete else 0.0


def measure(limits: Limits, kind: Server, token: str) -> Deliveries:
    """Fresh servers of that kind, and the middle one of their numbers; only `live` gets bursts and the other beats.

    One process differs from the next by where its memory lies: by a quarter and more.
    """
    size = limits.size
    found = []
    servers = size.servers if kind is LIVE else 1
    for number in range(servers):
        say(f"{limits.program}, {kind.name}, {size.subscribers:,} subscribers, server {number + 1} of {servers}")
        with limits.running(kind) as running, running.joined(size.subscribers) as load:
            found.append(_measure_once(running, load, token))
    return _middle(found)


def _measure_once(running: Running, load: Load, token: str) -> Deliveries:
    size = running.limits.size
    joins = size.subscribers / load.ask("lap")["join_seconds"]
    if running.server.name != LIVE.name:
        return Deliveries(joins, {RATE: beat(running, load, RATE, size.stock_seconds)})
    rare = beat(running, load, size.many_rate, size.many_seconds)
    beats = {rate: beat(running, load, rate, size.seconds) for rate in (RATE, FAST)}
    bursts, over_http = [], []
    for _ in range(size.bursts):
        bursts.append(burst(running, load, size.burst))
        time.sleep(0.2)
        over_http.append(burst_http(running, load, size.burst, token))
        time.sleep(0.2)
    return Deliveries(joins, beats, statistics.median(bursts), statistics.median(over_http), rare)


def _middle(found: list[Deliveries]) -> Deliveries:
    """The middle one of each number, and all that was lost."""
    return Deliveries(
        joins=statistics.median(each.joins for each in found),
        beats={rate: _middle_beat([each.beats[rate] for each in found]) for rate in found[0].beats},
        burst=statistics.median(each.burst for each in found),
        burst_http=statistics.median(each.burst_http for each in found),
        rare=_middle_beat(rare) if (rare := [each.rare for each in found if each.rare is not None]) else None,
    )


def _middle_beat(beats: list[Beat]) -> Beat:
    return Beat(
        cpu_us=statistics.median(each.cpu_us for each in beats),
        p50_ms=statistics.median(each.p50_ms for each in beats),
        p99_ms=statistics.median(each.p99_ms for each in beats),
        deliveries=sum(each.deliveries for each in beats),
        missing=sum(each.missing for each in beats),
    )
