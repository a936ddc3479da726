"""The node's counters as Prometheus' metrics: read when somebody scrapes, at no other time.

Imported only where ``prometheus_client`` is installed. No metric has a label whose values come from visitors or grow
with the site; a channel's name above all, as each value is a series that Prometheus keeps.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from itertools import accumulate
from weakref import WeakSet

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from live.exceptions import DisconnectCode
from live.handlers.registry import known_scopes
from live.node import Node, current_node, runtime
from live.node.counters import BUCKETS, Counters, Histogram
from live.plugins.registry import plugin_ids
from live.plugins.runner import runner_of

OPENMETRICS = "application/openmetrics-text"

GAUGES = {
    "live_clients": "Clients connected to this process.",
    "live_clients_opening": "Sockets of this process whose connect command is still to come.",
    "live_subscriptions": "Subscriptions of the clients of this process.",
    "live_channels": "Channels with a subscriber on this process.",
    "live_queue_bytes": "Bytes on their way to clients that these have not taken yet.",
    "live_plugin_runs": "Streams of plugins that this process runs.",
    "live_relay_up": "Whether what other processes publish arrives here: 1 yes, 0 no.",
}

COUNTERS = {
    "live_publications": "Publications taken from publishers of this process.",
    "live_deliveries": "Publications handed to clients of this process.",
    "live_disconnects": "Clients this process disconnected.",
    "live_refused": "Handshakes and connects this process refused.",
    "live_push_lines": "Lines of pushes to this process: published (accepted) or not (rejected).",
    "live_plugin_restarts": "Runs of plugins that failed in this process and were started again.",
    "live_delivery_seconds": (
        "From a publication of this process until it was handed to the sockets of its subscribers here."
    ),
}

REASONS = ("origin", "path", "limit", "draining", "credentials", "busy")
RESULTS = ("accepted", "rejected")


class LiveCollector:
    """Gives the metrics of this process's node to a registry of ``prometheus_client``.

    To be collected in a thread without a running event loop, as ``prometheus_client`` does it in its own servers:
    it waits for the node's loop, where alone the numbers fit together.
    """

    def describe(self) -> Iterable[Metric]:
        """The metrics without their values: what a registry compares names by."""
        return _metrics(Counters(), dict.fromkeys(GAUGES, 0))

    def collect(self) -> Iterable[Metric]:
        """The metrics now; raises `EngineUnavailable` when the node does not answer in ``LIVE["PUBLISH_TIMEOUT"]``."""
        return runtime.run(_read)


async def _read(node: Node) -> list[Metric]:
    stats = node.stats()
    gauges = {
        "live_clients": stats.clients,
        "live_clients_opening": stats.opening,
        "live_subscriptions": stats.subscriptions,
        "live_channels": stats.channels,
        "live_queue_bytes": stats.queue_bytes,
        "live_plugin_runs": runner_of(node).stats().running,
    }
    # A process that serves nobody (WSGI, Celery) only publishes: nothing is to arrive there.
    if node is current_node():
        gauges["live_relay_up"] = int(node.relay.connected)
    return _metrics(node.counters, gauges, known_scopes(), plugin_ids())


def _metrics(
    counters: Counters, gauges: Mapping[str, int], scopes: Iterable[str] = (), plugins: Iterable[str] = ()
) -> list[Metric]:
    return [
        *(GaugeMetricFamily(name, GAUGES[name], value) for name, value in gauges.items()),
        _counter("live_publications", "scope", counters.publications, scopes),
        _counter("live_deliveries", "scope", counters.deliveries, scopes),
        _counter("live_disconnects", "code", counters.disconnects, DisconnectCode),
        _counter("live_refused", "reason", counters.refused, REASONS),
        _counter("live_push_lines", "result", counters.push_lines, RESULTS),
        _counter("live_plugin_restarts", "plugin", counters.plugin_restarts, plugins),
        _histogram("live_delivery_seconds", counters.delivery_seconds),
    ]


def _counter(
    name: str, label: str, totals: Mapping[str, int] | Mapping[int, int], known: Iterable[str | int] = ()
) -> Metric:
    """The totals by `label`. What is `known` to come is there with 0 from the start, so that a rate sees the first."""
    metric = CounterMetricFamily(name, COUNTERS[name], labels=[label])
    values = dict.fromkeys(map(str, known), 0) | {str(key): total for key, total in totals.items()}
    for value in sorted(values):
        metric.add_metric([value], values[value])
    return metric


def _histogram(name: str, histogram: Histogram) -> Metric:
    bounds = [*map(str, BUCKETS), "+Inf"]
    buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
    return HistogramMetricFamily(name, COUNTERS[name], buckets, histogram.total)


_registered: WeakSet[CollectorRegistry] = WeakSet()
_lock = threading.Lock()


def register(registry: CollectorRegistry = REGISTRY) -> None:
    """Adds the metrics to `registry`, once; for exporters other than `MetricsView`."""
    with _lock:
        if registry not in _registered:
            registry.register(LiveCollector())
            _registered.add(registry)


def exposition(accept: str) -> tuple[bytes, str]:
    """Everything in ``prometheus_client``'s own registry, Live's metrics with it: the text and its content type.

    OpenMetrics where the header `accept` names it, else the plain format. Raises `EngineUnavailable`.
    """
    register()
    kinds = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    # Not what the header says word for word: versions that do not exist would be an error or end up in the answer.
    encoder, content_type = choose_encoder(OPENMETRICS if OPENMETRICS in kinds else "")
    return encoder(REGISTRY), content_type
