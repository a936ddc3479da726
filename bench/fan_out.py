"""One channel with many subscribers on two nodes: how much later it arrives than from a single node without Redis."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.handlers import HistoryHandler
from bench.measure import CLIENT_CORES, RATE, publish
from bench.nodes import Cluster, Node, node, say, wait_for
from bench.rows import Row

CHANNEL = "bench/history/burst"


@dataclass(frozen=True)
class Burst:
    """What publications on a fixed beat took."""

    reports: list[dict[str, float]]
    """Of the client of each node."""
    missing: int
    """Deliveries that never came, or not in their order."""
    commands: dict[str, float]
    """Redis commands for one publication, beyond what the nodes send when nothing is published."""


def burst(cluster: Cluster, nodes: Sequence[Node], subscribers: int) -> Burst:
    """So many subscribers on each node; publications come in on the first."""
    seconds = cluster.size.seconds
    loads = [cluster.load(node, CHANNEL, subscribers) for node in nodes]
    cluster.settle(*nodes)
    before, started = cluster.commands(), time.monotonic()
    time.sleep(seconds)
    publishing, at = cluster.commands(), time.monotonic()
    publish(nodes[0].port, seconds, channel=CHANNEL)
    time.sleep(seconds)
    publications = int(RATE * seconds)
    for load in loads:
        wait_for(load, publications * subscribers)
    after, ended = cluster.commands(), time.monotonic()
    idle = {name: (number - before.get(name, 0)) / (at - started) for name, number in publishing.items()}
    commands = {
        name: (number - publishing.get(name, 0) - idle.get(name, 0.0) * (ended - at)) / publications
        for name, number in after.items()
    }
    reports = [load.report() for load in loads]
    in_order = sum(int(report["deliveries"] - report["out_of_order"]) for report in reports)
    missing = publications * subscribers * len(nodes) - in_order
    return Burst(reports, missing, {name: number for name, number in commands.items() if number > 0.05})


def _fill_history(cluster: Cluster, node: Node) -> None:
    """A full one costs a command more each time."""
    load = cluster.load(node, CHANNEL, 1)
    publish(node.port, 1.0, rate=HistoryHandler.history_size, channel=CHANNEL)
    wait_for(load, HistoryHandler.history_size)
    load.report()


def _times(report: dict[str, float]) -> str:
    return f"p50 {report['p50_ms']:.2f} ms, p99 {report['p99_ms']:.2f} ms"


def fan_out(cluster: Cluster, memory_env: dict[str, str]) -> list[Row]:
    """Two nodes beside one node without Redis, and what Redis is asked for."""
    size = cluster.size
    say("one node without Redis")
    with node(memory_env) as alone:
        burst(cluster, [alone], 1)
        single = burst(cluster, [alone], size.subscribers).reports[0]
        double = burst(cluster, [alone], 2 * size.subscribers).reports[0]
    with node(cluster.env) as first, node(cluster.env, CLIENT_CORES) as second:
        say("two nodes")
        nodes = [first, second]
        _fill_history(cluster, first)
        few = burst(cluster, nodes, 1)
        many = burst(cluster, nodes, size.subscribers)
    limit = 2 * single["p99_ms"]
    rows = [
        Row(f"one node without Redis, {size.subscribers:,} subscribers", _times(single)),
        Row(f"one node without Redis, {2 * size.subscribers:,} subscribers", _times(double)),
    ]
    for name, report in zip(("the node that publishes", "the other node"), many.reports, strict=True):
        what = f"two nodes with Redis, {size.subscribers:,} subscribers each: {name}"
        met = report["p99_ms"] <= limit and not many.missing
        rows.append(Row(what, _times(report), f"p99 at most {limit:.2f} ms, twice the first", met))
    sums = [sum(each.commands.values()) for each in (few, many)]
    names = ", ".join(f"{name} {number:.1f}" for name, number in sorted(many.commands.items()))
    return [
        *rows,
        Row("of that, missing", f"{many.missing:,}", "none", not many.missing),
        Row(
            f"Redis commands a publication, 1 and {size.subscribers:,} subscribers a node",
            f"{sums[0]:.1f} and {sums[1]:.1f} ({names})",
            "the same",
            abs(sums[0] - sums[1]) < 0.3,
        ),
    ]
