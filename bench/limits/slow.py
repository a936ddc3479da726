"""Subscribers of which some read nothing: what the others notice of it, and what the server keeps for the slow."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from bench.limits.host import Limits, Peak, Running
from bench.measure import LIVE, publish, tell_failed_publications
from bench.nodes import say, wait_for

SMALL_BYTES = 270
"""Size of a publication of `bench.publisher` on the wire."""


@dataclass(frozen=True)
class Run:
    """One run."""

    p50_ms: float
    p99_ms: float
    missing: int
    """Deliveries to those who read that never came, or not in their order."""
    growth: int
    """Bytes by which the server's memory grew at the most after everybody had joined."""
    too_slow: int
    """Clients that it disconnected with 3008, as it counts them."""
    no_pong: int
    """The same with 3012."""
    held: int
    """Bytes still held for clients at the end."""


@dataclass(frozen=True)
class Slow:
    """The same publications with and without clients that read nothing."""

    without: Run
    with_slow: Run
    bytes_each: int
    """Size of a publication on the wire."""


def measure(limits: Limits, *, overflow: bool) -> Slow:
    """Small publications that fit into the kernel's buffers, or with `overflow` such that the limit is exceeded."""
    size = limits.size
    rate = size.large_rate if overflow else size.small_rate
    options = {"size": size.large} if overflow else {}
    if overflow:
        # It is the queue that is to fill up: with pings, who reads nothing is closed before for not answering them.
        limits = replace(limits, env={**limits.env, "BENCH_PING_INTERVAL": "600"})
    what = f"{limits.program}, {size.listeners:,} subscribers at {rate:g}/s of {'large' if overflow else 'small'} ones"
    say(what)
    without = _run(limits, 0, rate, size.without_slow_seconds, options)
    say(f"{what}, {size.not_reading} of them reading nothing")
    with_slow = _run(limits, size.not_reading, rate, size.slow_seconds, options)
    return Slow(without, with_slow, size.large if overflow else SMALL_BYTES)


def _run(limits: Limits, slow: int, rate: float, seconds: float, options: dict[str, int]) -> Run:
    size = limits.size
    with limits.running(LIVE) as running, running.joined(size.listeners, slow) as load:
        load.ask("lap")
        before, publications = running.memory(), int(rate * seconds)
        with Peak(running) as peak:
            publish(running.port, seconds, rate=rate, **options)
            # Asking the client again and again would take time from it.
            time.sleep(seconds)
            wanted = publications * (size.listeners - slow)
            wait_for(load, wanted)
        report = load.ask("lap")
        tell_failed_publications(running.port)
        held = _held(running)
        return Run(
            p50_ms=report["p50_ms"],
            p99_ms=report["p99_ms"],
            missing=max(wanted - int(report["deliveries"]), int(report["gaps"])),
            growth=max(0, peak.bytes - before),
            too_slow=int(running.metric('live_disconnects_total{code="3008"}')),
            no_pong=int(running.metric('live_disconnects_total{code="3012"}')),
            held=held,
        )


def _held(running: Running) -> int:
    """Bytes held for clients, when they are none or do not get fewer."""
    deadline = time.monotonic() + running.limits.size.freed_seconds
    while (held := int(running.metric("live_queue_bytes"))) and time.monotonic() < deadline:
        time.sleep(0.2)
    return held
