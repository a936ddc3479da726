"""URLs of the HTTP API, to be included below ``api/live/``."""

from django.urls import path

from live.api.views import ListView, PushView

app_name = "live"

urlpatterns = [
    # A path, so that a slash in the stream id is answered with the rule it breaks.
    path("push/<path:stream_id>", PushView.as_view(), name="push"),
    path("list", ListView.as_view(), name="list"),
]
