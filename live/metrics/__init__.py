"""What this process does, as numbers for Prometheus; needs the extra ``metrics`` (docs/monitoring.md).

``path("metrics", MetricsView.as_view())`` in a project's URLs serves them. Nothing is counted for it: the node counts
anyway, and is read when somebody scrapes.
"""

from live.metrics.views import MetricsView

__all__ = ["MetricsView"]
