"""What must be reached, beside what was measured: one table for each server."""

from __future__ import annotations

from dataclasses import dataclass

from bench.limits.deliveries import FAST, Beat, Deliveries
from bench.limits.host import Size
from bench.limits.many import Many
from bench.limits.slow import Slow
from bench.measure import RATE
from bench.rows import Row

CPU_US = 8.0
CHEAPER = 25
"""Times less CPU for a delivery than the stock consumer takes."""
BURST = 1_000_000
P99_MS = 20.0
MEMORY_KB = 28.0
JOINS = 900
IDLE = 1.5
"""Times what bare daphne takes for its own pings."""
AMONG_MANY = 1.3
"""Times what a delivery costs with few subscribers."""
LATER = 2.0
"""Times the p99 latency without slow subscribers; below that."""


@dataclass(frozen=True)
class Results:
    """Everything measured of one program; `by_kind` has "live", "stock" and "bare"."""

    program: str
    deliveries: dict[str, Deliveries]
    many: dict[str, Many]
    slow: Slow
    overflow: Slow


def rows(results: Results, size: Size, daphne_idle: float, queue_max: int) -> list[Row]:
    """The table; `daphne_idle` is bare daphne's share of a core, `queue_max` what may wait for a client, in bytes."""
    return [
        *_delivery_rows(results, size),
        *_many_rows(results, size, daphne_idle),
        *_slow_rows(results.slow, size, queue_max, overflow=False),
        *_slow_rows(results.overflow, size, queue_max, overflow=True),
    ]


def _at_most(measured: float, limit: float) -> bool:
    # A number that was not measured is 0.
    return 0 < measured <= limit


def _delivery_rows(results: Results, size: Size) -> list[Row]:
    live, stock, bare = (results.deliveries[name] for name in ("live", "stock", "bare"))
    subscribers, stock_beat, bare_beat = f"{size.subscribers:,} subscribers", stock.beats[RATE], bare.beats[RATE]
    found = [
        Row(
            f"{subscribers}, {RATE}/s: CPU per delivery, stock consumer",
            f"{stock_beat.cpu_us:,.1f} µs, {stock_beat.missing:,} of {_wanted(stock_beat):,} lost",
        ),
        Row(f"{subscribers}, {RATE}/s: CPU per delivery, bare server's `send`", f"{bare_beat.cpu_us:,.1f} µs"),
    ]
    for rate, each in live.beats.items():
        what = f"{subscribers}, {rate}/s: CPU per delivery"
        saving = stock_beat.cpu_us / each.cpu_us if each.cpu_us else 0.0
        met = _at_most(each.cpu_us, CPU_US) and not each.missing
        found.append(Row(what, f"{each.cpu_us:.1f} µs, {each.missing:,} lost", f"at most {CPU_US:g} µs", met))
        against = f"{what}, stock consumer against it"
        found.append(Row(against, f"{saving:.0f} times", f"at least {CHEAPER} times", saving >= CHEAPER))
    fast = live.beats[FAST]
    latency = f"p50 {fast.p50_ms:.1f} ms, p99 {fast.p99_ms:.1f} ms"
    burst = f"burst of {size.burst} publications to {subscribers}"
    return [
        *found,
        Row(
            f"latency at {FAST * size.subscribers:,} deliveries/s",
            latency,
            f"p99 at most {P99_MS:g} ms",
            _at_most(fast.p99_ms, P99_MS) and not fast.missing,
        ),
        Row(
            f"{burst}, one `apublish_many`",
            f"{live.burst:,.0f} deliveries/s",
            f"{BURST:,} deliveries/s",
            live.burst >= BURST,
        ),
        Row(f"{burst}, over HTTP in requests of 100", f"{live.burst_http:,.0f} deliveries/s"),
        Row(
            f"connect, log in and subscribe, {size.subscribers:,} clients",
            f"{live.joins:,.0f} clients/s",
            f"{JOINS} clients/s",
            live.joins >= JOINS,
        ),
        Row("the same, stock consumer", f"{stock.joins:,.0f} clients/s"),
        Row("the same, bare server (only connects)", f"{bare.joins:,.0f} clients/s"),
    ]


def _wanted(beat: Beat) -> int:
    return beat.deliveries + beat.missing


def _many_rows(results: Results, size: Size, daphne_idle: float) -> list[Row]:
    live, stock, bare = (results.many[name] for name in ("live", "stock", "bare"))
    clients = f"{size.many:,} clients"
    few = results.deliveries["live"]
    rare = few.rare.cpu_us if few.rare else 0.0
    among = live.beat_cpu_us / rare if rare else 0.0
    beat = live.beat
    others = ", ".join(
        f"{live.beat_cpu_us / each.cpu_us:.2f} times what it takes at {rate}/s"
        for rate, each in few.beats.items()
        if each.cpu_us
    )
    return [
        Row(
            f"{clients}: memory of each",
            f"{live.memory_kb:.1f} KB",
            f"at most {MEMORY_KB:g} KB",
            live.memory_kb <= MEMORY_KB,
        ),
        Row("the same, stock consumer", f"{stock.memory_kb:.1f} KB"),
        Row("the same, bare server", f"{bare.memory_kb:.1f} KB"),
        Row(
            f"{clients} connect, log in and subscribe",
            f"{live.joins:,.0f} clients/s",
            f"{JOINS} clients/s",
            live.joins >= JOINS,
        ),
        Row("the same, stock consumer", f"{stock.joins:,.0f} clients/s"),
        Row("the same, bare server (only connects)", f"{bare.joins:,.0f} clients/s"),
        Row(
            f"{clients} idle, with pings",
            f"{100 * live.idle:.1f} % of a core",
            f"at most {100 * IDLE * daphne_idle:.1f} %, {IDLE:g} times bare daphne",
            live.idle <= IDLE * daphne_idle,
        ),
        Row("the same, bare server with its own pings", f"{100 * bare.idle:.1f} % of a core"),
        Row(
            f"{clients}, {size.many_rate:g}/s: CPU per delivery without what idling takes, "
            f"against {size.subscribers:,} at the same rate",
            f"{live.beat_cpu_us:.1f} µs, {rare:.1f} µs: {among:.2f} times; {beat.missing if beat else 0:,} lost",
            f"at most {AMONG_MANY:g} times",
            _at_most(among, AMONG_MANY) and beat is not None and not beat.missing,
        ),
        Row(f"of that, against {size.subscribers:,} at other rates", others),
        Row("the same, idling included", f"{beat.cpu_us if beat else 0:.1f} µs"),
    ]


def _slow_rows(slow: Slow, size: Size, queue_max: int, *, overflow: bool) -> list[Row]:
    without, run = slow.without, slow.with_slow
    rate = size.large_rate if overflow else size.small_rate
    owed = rate * slow.bytes_each
    each = f"{owed / 1000:,.0f} KB/s" if owed >= 1000 else f"{owed:,.0f} B/s"
    what = (
        f"{size.listeners:,} subscribers, {each} to each ({owed * size.listeners / 1e6:,.1f} MB/s in all), "
        f"{size.not_reading} read nothing for {size.slow_seconds:.0f} s"
    )
    times = run.p99_ms / without.p99_ms if without.p99_ms else 0.0
    grown, limit = run.growth - without.growth, size.not_reading * queue_max
    found = [
        Row(f"{what}: lost by the others", f"{run.missing:,}", "none", run.missing == 0),
        Row(
            "of that, p99 latency of the others, and without the slow",
            f"{run.p99_ms:.1f} ms, {without.p99_ms:.1f} ms: {times:.2f} times",
            f"below {LATER:g} times",
            0 < times < LATER,
        ),
        Row(
            "of that, memory it grew by at the most, beyond what it grew without the slow",
            f"{grown / 1e6:+.1f} MB",
            f"at most {limit / 1e6:.1f} MB, {size.not_reading} times the limit",
            grown <= limit,
        ),
    ]
    closed = f"{run.too_slow} with 3008, {run.no_pong} with 3012; {run.held:,} bytes held for clients afterwards"
    if overflow:
        promised, met = f"{size.not_reading} with 3008, 0 bytes", run.too_slow == size.not_reading and not run.held
        return [*found, Row("of that, slow clients closed", closed, promised, met)]
    return [*found, Row("of that, slow clients closed", closed)]
