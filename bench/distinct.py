"""Many channels with one subscriber each: how many publications one node takes from Redis and delivers."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.feed import Feed, feeding
from bench.measure import CLIENT_CORES, Load, cpu_seconds, publish
from bench.nodes import Cluster, Node, wait_for
from bench.rows import Row

WINDOW = 4000
"""Publications under way at most while the node's limit is looked for: far below what its relay lets wait."""
BEATS = 1000
"""A second, in each of which a node is to publish to every channel."""


@dataclass(frozen=True)
class Flood:
    """How many publications were delivered in a second, and how many were not, or not in their order."""

    rate: float
    lost: int
    disordered: int
    share: float
    """CPU time of the node, of one core."""

    def row(self, what: str, goal: int = 0) -> Row:
        """As a line of the table; `goal` is 0 where none is set."""
        text = f"{self.rate:,.0f} publications/s, {self.lost:,} lost, node at {100 * self.share:.0f} % of a core"
        if self.disordered:
            text += f", {self.disordered:,} NOT in order"
        met = self.rate >= goal and not self.lost and not self.disordered
        return Row(what, text, f"{goal:,} publications/s, none lost" if goal else "", met if goal or not met else None)


def distinct_channels(cluster: Cluster, node: Node) -> list[Row]:
    """How much one node takes from Redis and delivers."""
    rows = []
    with feeding(cluster.env, CLIENT_CORES) as feed:
        for kind, words in (("plain", "without history"), ("history", "with history")):
            what = f"{cluster.size.channels:,} channels with a subscriber each, {words}, published by"
            channel = f"bench/{kind}/distinct"
            rows.append(_relayed(cluster, node, feed, channel).row(f"{what} another process", 15_000))
            rows.append(_own(cluster, node, channel).row(f"{what} the node"))
    return rows


def _relayed(cluster: Cluster, node: Node, feed: Feed, channel: str) -> Flood:
    """Publications of another process, as fast as all is delivered."""
    size = cluster.size
    load = cluster.load(node, channel + "%d", size.channels)
    cluster.settle(node)
    sent = 0
    cpu, started = cpu_seconds(node.pid), time.monotonic()
    while sent < size.publications:
        sent += feed.publish("many", channel, channels=size.channels, count=1000)[0]
        if wait_for(load, sent - WINDOW) < sent - WINDOW:
            break
    wait_for(load, sent)
    share = (cpu_seconds(node.pid) - cpu) / (time.monotonic() - started)
    return _delivered(load, sent, share)


def _own(cluster: Cluster, node: Node, channel: str) -> Flood:
    """Publications that the node makes itself, and which come back to it over Redis."""
    size = cluster.size
    load = cluster.load(node, channel + "%d", size.channels)
    cluster.settle(node)
    beats = size.publications // size.channels
    cpu, started = cpu_seconds(node.pid), time.monotonic()
    # Far more in a second than it can: each beat waits for the one before.
    publish(node.port, (beats + 0.5) / BEATS, rate=BEATS, channel=channel, channels=size.channels)
    sent = beats * size.channels
    wait_for(load, sent)
    share = (cpu_seconds(node.pid) - cpu) / (time.monotonic() - started)
    return _delivered(load, sent, share)


def _delivered(load: Load, sent: int, share: float) -> Flood:
    report = load.report()
    deliveries = int(report["deliveries"])
    disordered = int(report["out_of_order"] + report["ended"])
    return Flood(deliveries / max(report["seconds"], 0.001), sent - deliveries, disordered, share)
