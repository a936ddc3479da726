"""URLs of the HTTP API, to be included below ``api/live/``."""

from django.apps import apps
from django.urls import path, re_path

from live.api.channels import InfoView, ListView, PublishView
from live.api.influx import HealthView, PingView, QueryView, WriteV1View, WriteV2View
from live.api.nodes import NodesView
from live.api.push import PushView

if apps.is_installed("drf_spectacular"):
    # Describes the views for OpenAPI; an extra, and only where the project uses it.
    from live.api import schema  # noqa: F401

app_name = "live"

urlpatterns = [
    # A path, so that a slash in the stream id is answered with the rule it breaks.
    path("push/<path:stream_id>", PushView.as_view(), name="push"),
    path("influx/api/v2/write", WriteV2View.as_view(), name="influx-v2-write"),
    path("influx/write", WriteV1View.as_view(), name="influx-v1-write"),
    path("influx/query", QueryView.as_view(), name="influx-query"),
    path("influx/ping", PingView.as_view(), name="influx-ping"),
    path("influx/health", HealthView.as_view(), name="influx-health"),
    path("list", ListView.as_view(), name="list"),
    # Everything, also what no path may hold: the answer names the rule that a bad name breaks.
    re_path(r"^info/(?P<channel>[\s\S]*)$", InfoView.as_view(), name="info"),
    path("nodes", NodesView.as_view(), name="nodes"),
    path("publish", PublishView.as_view(), name="publish"),
]
