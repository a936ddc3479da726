"""What a node has done so far, counted where it happens; nothing here waits, locks or names a channel."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the histogram's buckets in seconds; one more holds what is over the last."""


class Histogram:
    """Counts durations by size."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        """Durations in each bucket, not added up."""
        self.total = 0.0
        """Sum of all durations in seconds."""

    def observe(self, seconds: float) -> None:
        """One duration more."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Counters:
    """Totals since the node began; by scope, code, reason or result, which are few."""

    __slots__ = (
        "deliveries",
        "delivery_seconds",
        "disconnects",
        "plugin_restarts",
        "publications",
        "push_lines",
        "refused",
    )

    def __init__(self) -> None:
        self.publications: defaultdict[str, int] = defaultdict(int)
        """Publications taken by this node from its publishers, by scope."""
        self.deliveries: defaultdict[str, int] = defaultdict(int)
        """Publications handed to clients, by scope."""
        self.delivery_seconds = Histogram()
        """From the publication, on this node, until it was handed to the sockets of its subscribers."""
        self.disconnects: defaultdict[int, int] = defaultdict(int)
        """Clients disconnected by the server, by code."""
        self.refused: defaultdict[str, int] = defaultdict(int)
        """Handshakes and connects refused, by reason: origin, path, limit, draining, credentials, busy."""
        self.push_lines: defaultdict[str, int] = defaultdict(int)
        """Lines of pushes, by result: accepted (published), rejected (not published)."""
        self.plugin_restarts: defaultdict[str, int] = defaultdict(int)
        """Runs of plugins that failed and were started again, by plugin id; "" for data sources that were not found."""
