"""The view that Prometheus scrapes; who may is decided here, as numbers tell much about a site.

Importable without ``prometheus_client``, so that URLs can name it on sites that do not have it: it then says so.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views import View

from live.api.base import RETRY_AFTER
from live.conf import live_settings
from live.exceptions import EngineUnavailable

MISSING = "metrics need the package prometheus_client: pip install 'channels-live[metrics]'\n"

_TEXT = "text/plain; charset=utf-8"


class MetricsView(View):
    """``GET``: the metrics of the process that answers, in Prometheus' text format or OpenMetrics.

    200; 401 and 403 for whom `allows` refuses; 501 without ``prometheus_client``; 503 when the node does not answer.
    """

    http_method_names = ["get", "head"]

    def allows(self, request: HttpRequest) -> bool:
        """Whether whoever asks may read them: who has the token of ``LIVE["METRICS_TOKEN"]``, and staff."""
        return _has_token(request) or _is_staff(request)

    def get(self, request: HttpRequest) -> HttpResponse:
        """The metrics."""
        response = self._metrics(request) if self.allows(request) else _refuse(request)
        response["Cache-Control"] = "no-store"
        return response

    def _metrics(self, request: HttpRequest) -> HttpResponse:
        try:
            from live.metrics.collector import exposition
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("prometheus_client"):
                raise
            return HttpResponse(MISSING, status=501, content_type=_TEXT)
        try:
            body, content_type = exposition(request.headers.get("Accept", ""))
        except EngineUnavailable as error:
            headers = {"Retry-After": str(RETRY_AFTER)}
            return HttpResponse(f"{error}\n", status=503, content_type=_TEXT, headers=headers)
        return HttpResponse(body, content_type=content_type)


def _has_token(request: HttpRequest) -> bool:
    token = live_settings.metrics_token
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    return bool(token) and kind.lower() == "bearer" and constant_time_compare(given.strip(), token)


def _is_staff(request: HttpRequest) -> bool:
    # A site may have no users at all, or a user model without staff.
    user = getattr(request, "user", None)
    return bool(getattr(user, "is_active", False) and getattr(user, "is_staff", False))


def _refuse(request: HttpRequest) -> HttpResponse:
    if getattr(getattr(request, "user", None), "is_authenticated", False):
        return HttpResponse("metrics are for staff\n", status=403, content_type=_TEXT)
    return HttpResponse(
        "metrics need a login of the staff, or the token of LIVE['METRICS_TOKEN'] as Authorization: Bearer\n",
        status=401,
        content_type=_TEXT,
        headers={"WWW-Authenticate": 'Bearer realm="live metrics"'},
    )
