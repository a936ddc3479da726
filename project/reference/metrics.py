"""docs/reference/metrics.md: every metric with its type, labels and the values known beforehand."""

from __future__ import annotations

from live.exceptions import DisconnectCode
from live.metrics.collector import REASONS, RESULTS, LiveCollector
from live.node.counters import BUCKETS
from project.reference.text import choices, code, line, page, table

INTRO = """
With the extra `metrics`; [Monitoring](../monitoring.md) says how to scrape them, who may, and which are worth an alert.
Names of counters end with `_total` where they are scraped. No metric has a label whose values come from visitors.
"""

VALUES = {
    "scope": "the scopes that have a handler: `grafana`, `stream`, `plugin`, `ds`, and the project's own",
    "code": "[the codes of disconnects](codes.md#disconnects): " + choices([int(each) for each in DisconnectCode]),
    "reason": choices(REASONS),
    "result": choices(RESULTS),
    "plugin": "the ids of the plugins, and the empty one where the data source could not be read",
}


def metrics_page() -> str:
    """The page."""
    metrics = list(LiveCollector().describe())
    labels = {metric.name: list(getattr(metric, "_labelnames", ())) for metric in metrics}
    rows = [
        [
            code(_scraped(metric.name, metric.type)),
            metric.type,
            choices(labels[metric.name]),
            line(metric.documentation),
        ]
        for metric in metrics
    ]
    used = {label for names in labels.values() for label in names}
    values = table(["label", "values"], [[code(label), VALUES[label]] for label in sorted(used)])
    buckets = f"The buckets of `live_delivery_seconds`, in seconds: {choices(BUCKETS)} and `+Inf`."
    return page("Metrics", INTRO, table(["metric", "type", "labels", "what"], rows), "## Labels", values, buckets)


def _scraped(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name
