"""Many clients that mostly do nothing: memory, joining, pings, and what a delivery costs among so many."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.limits.deliveries import Beat, beat
from bench.limits.host import Limits
from bench.measure import LIVE, STOCK, Server, cpu_seconds
from bench.nodes import say


@dataclass(frozen=True)
class Many:
    """The numbers of one kind of server."""

    joins: float
    """Clients a second that connect; with `live` and the stock consumer they log in and subscribe too."""
    memory_kb: float
    """Resident memory for one client, in units of 1,000 bytes."""
    idle: float
    """Share of a core with nothing but pings; 0 where it was not measured."""
    beat: Beat | None = None
    beat_cpu_us: float = 0.0
    """Of a delivery, without what the same time takes while nothing is published."""


def measure(limits: Limits, kind: Server) -> Many:
    """A fresh server of that kind; only `live` publishes."""
    size = limits.size
    say(f"{limits.program}, {kind.name}, {size.many:,} clients")
    with limits.running(kind) as running:
        before = running.memory()
        with running.joined(size.many) as load:
            joins = size.many / load.ask("lap")["join_seconds"]
            if kind is STOCK:
                return Many(joins, (running.memory() - before) / size.many / 1000, 0.0)
            # Everybody has been pinged once, and all are spread over the interval; then two rounds of it.
            time.sleep(size.ping_seconds)
            idle = running.idle_share(2 * size.ping_seconds)
            memory = (running.memory() - before) / size.many / 1000
            if kind is not LIVE:
                return Many(joins, memory, idle)
            started, used = time.monotonic(), cpu_seconds(running.pid)
            measured = beat(running, load, size.many_rate, size.many_seconds)
            used, seconds = cpu_seconds(running.pid) - used, time.monotonic() - started
            beat_cpu_us = 1e6 * (used - idle * seconds) / max(1, measured.deliveries)
            return Many(joins, memory, idle, measured, beat_cpu_us)
