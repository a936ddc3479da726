"""InfluxDB's own endpoints below ``influx/``, so that whatever writes to InfluxDB needs only another URL.

Version 2's ``api/v2/write`` with the stream id as bucket, version 1's ``write`` with it as database, ``ping`` and
``health``; the same push as `live.api.push`, answered in the words of those APIs. Nothing is stored here, so nothing
can be asked: of the queries only ``CREATE DATABASE`` is answered, which Telegraf sends when it starts.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson
from django.http import HttpRequest, HttpResponse, QueryDict
from rest_framework.exceptions import ParseError
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from live.api.authentication import LiveTokenAuthentication
from live.api.base import LiveAPIView, Refusal
from live.api.body import read_body
from live.api.ingest import Push, PushOptions
from live.api.push import PushView

VERSION = "1.8.10"
"""The InfluxDB whose set of endpoints this is: the one that takes both kinds of writes. Clients look at it."""

MAX_QUERY_BYTES = 64 * 1024
_CREATE_DATABASE = re.compile(r"\s*CREATE\s+DATABASE\s+[^;]+;?\s*", re.IGNORECASE)
_CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not found",
    405: "method not allowed",
    413: "request too large",
    415: "unsupported media type",
    429: "too many requests",
    503: "unavailable",
}
_SECRET = "p"  # noqa: S105


class WriteV2View(PushView):
    """``POST api/v2/write?bucket=<stream id>&org=...&precision=...``: 204, errors ``{"code", "message"}``."""

    authentication_classes = [LiveTokenAuthentication]

    def read_target(self, request: Request, **kwargs: Any) -> tuple[str, Mapping[str, str]]:
        """The bucket; any organisation will do."""
        return request.query_params.get("bucket", ""), request.query_params

    def answer(self, push: Push, options: PushOptions) -> HttpResponse:
        """204, as InfluxDB; with ``?partial=1``, which it does not have, as any push."""
        return super().answer(push, options) if options.partial else _no_content()

    def error_body(self, refusal: Refusal) -> dict[str, Any]:
        """The error with InfluxDB's name for it."""
        return {"code": _CODES.get(refusal.status, "invalid"), "message": refusal.message}


class V1View(LiveAPIView):
    """Version 1's way to say who one is, and its errors, ``{"error": ...}``."""

    authentication_classes = [LiveTokenAuthentication]

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """The request with its token where every view looks for it.

        The token is the password, of whatever user: in a Basic header, or as the parameter ``p``, which is then taken
        out of the request, so that no report of an error shows it.
        """
        header = request.META.get("HTTP_AUTHORIZATION", "")
        password = _hide_password(request)
        if header[:6].lower() == "basic ":
            password = _basic_password(header[6:])
            header = ""
        if password and not header:
            # A header has no other characters, and neither has a token.
            password = password.encode("ascii", "replace").decode()
            request.META["HTTP_AUTHORIZATION"] = f"Token {password}"
        return super().initialize_request(request, *args, **kwargs)

    def error_body(self, refusal: Refusal) -> dict[str, Any]:
        """The error; a wrong line in the words by which Telegraf knows that sending it again is of no use."""
        return {"error": f"unable to parse: {refusal.message}" if refusal.errors else refusal.message}


class WriteV1View(V1View, PushView):
    """``POST write?db=<stream id>&precision=...``: 204, errors ``{"error": ...}``."""

    def read_target(self, request: Request, **kwargs: Any) -> tuple[str, Mapping[str, str]]:
        """The database; retention policy and consistency mean nothing here."""
        return request.query_params.get("db", ""), request.query_params

    def answer(self, push: Push, options: PushOptions) -> HttpResponse:
        """204, as InfluxDB; with ``?partial=1``, which it does not have, as any push."""
        return super().answer(push, options) if options.partial else _no_content()


class QueryView(V1View):
    """``query``: 200 to ``CREATE DATABASE``, for streams come into being by themselves; 400 to anything else."""

    permission_classes = [IsAuthenticated]
    http_method_names = ["get", "post"]

    def get(self, request: Request) -> HttpResponse:
        """The query is a parameter."""
        return self._answer(request.query_params.get("q", ""))

    def post(self, request: Request) -> HttpResponse:
        """The query is a parameter or in the form of the body."""
        form = parse_qs(read_body(request._request, MAX_QUERY_BYTES).decode("utf-8", "replace"))
        return self._answer(request.query_params.get("q", "") or form.get("q", [""])[0])

    def _answer(self, query: str) -> HttpResponse:
        if not _CREATE_DATABASE.fullmatch(query):
            raise ParseError("queries are not served here: only writes are taken, and CREATE DATABASE does nothing")
        return _json({"results": [{"statement_id": 0}]})


class PingView(LiveAPIView):
    """``GET|HEAD ping``: 204 with the version; for everybody."""

    authentication_classes = []
    permission_classes = []
    http_method_names = ["get", "head"]

    def get(self, request: Request) -> HttpResponse:
        """204."""
        return _no_content()


class HealthView(LiveAPIView):
    """``GET health``: that writes are taken; for everybody."""

    authentication_classes = []
    permission_classes = []
    http_method_names = ["get", "head"]

    def get(self, request: Request) -> HttpResponse:
        """The check's result, always "pass": whether the engine is there, the write itself says."""
        return _json(
            {"name": "live", "message": "ready for writes", "status": "pass", "checks": [], "version": VERSION}
        )


def _no_content() -> HttpResponse:
    response = HttpResponse(status=204, headers={"X-Influxdb-Version": VERSION, "X-Influxdb-Build": "live"})
    # There is none.
    del response["Content-Type"]
    return response


def _json(body: dict[str, Any]) -> HttpResponse:
    headers = {"X-Influxdb-Version": VERSION}
    return HttpResponse(orjson.dumps(body), content_type="application/json", headers=headers)


def _hide_password(request: HttpRequest) -> str:
    """The parameter ``p``, which the request has no more afterwards."""
    if _SECRET not in request.GET:
        return ""
    parameters: QueryDict = request.GET.copy()
    password = parameters.pop(_SECRET)[-1]
    request.GET = parameters  # type: ignore[assignment]
    request.META["QUERY_STRING"] = parameters.urlencode()
    scope = getattr(request, "scope", None)
    if scope is not None:
        scope["query_string"] = request.META["QUERY_STRING"].encode()
    return str(password)


def _basic_password(credentials: str) -> str:
    """What follows the colon; the whole where there is no colon, and the text itself where it cannot be read."""
    try:
        text = base64.b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return credentials
    return text.split(":", 1)[-1]
