"""Clients that come back: all connections of a node are cut at once, and what was published meanwhile is recovered."""

from __future__ import annotations

from bench.feed import Feed, feeding
from bench.measure import CLIENT_CORES
from bench.nodes import Cluster, Node
from bench.rows import Row


def reconnects(cluster: Cluster, node: Node) -> list[Row]:
    """Subscribers of one channel, and of a channel each."""
    goal = "all of them within 3 s"
    with feeding(cluster.env, CLIENT_CORES) as feed:
        return [_reconnect(cluster, node, feed, 0, goal), _reconnect(cluster, node, feed, cluster.size.clients, "")]


def _reconnect(cluster: Cluster, node: Node, feed: Feed, channels: int, promised: str) -> Row:
    """With so many `channels`, one for each client; 0: one for all."""
    size, channel = cluster.size, "bench/history/back"
    # The first publication gives the channels a position.
    feed.publish("many", channel, channels=channels, count=max(1, channels))
    load = cluster.load(node, channel + "%d" * bool(channels), size.clients)
    cluster.settle(node)
    load.ask("close")
    cluster.settle(node)
    feed.publish("many", channel, channels=channels, count=size.missed * max(1, channels))
    back = load.ask("reopen")
    load.report()
    complete = (
        back["recovered"] == size.clients and back["least"] == back["most"] == size.missed and not back["out_of_order"]
    )
    seconds = back["max_ms"] / 1000
    text = f"{seconds:.2f} s, half of them within {back['p50_ms'] / 1000:.2f} s"
    if not complete:
        text += f"; NOT all: {back['recovered']:,.0f} clients, {back['least']:.0f} to {back['most']:.0f} publications"
    words = "a channel each" if channels else "one channel"
    return Row(
        f"{size.clients:,} clients of one node return at once and recover {size.missed} publications, {words}",
        text,
        promised,
        complete and seconds <= 3 if promised or not complete else None,
    )
