"""What the HTTP API looks like to OpenAPI, for projects with drf-spectacular (the extra ``schema``).

Imported by `live.api.urls` where ``drf_spectacular`` is among the installed apps. The views stay free of it: each is
named here by its dotted path and replaced, for the document only, by a subclass with a description.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiViewExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.permissions import IsAuthenticated

from live.api.authentication import LiveTokenAuthentication
from live.api.schema_bodies import (
    CHANNEL,
    INFLUX_V1_ERROR,
    INFLUX_V2_ERROR,
    INFO,
    LIST,
    NODES,
    PARTIAL_RESULT,
    PUBLICATION,
    PUSH_ERROR,
    RESULT,
    RETRY_AFTER,
    WRITE_REFUSALS,
    Schema,
    answers,
    json_object,
    json_text,
    or_list,
    refusals,
)
from live.frames import FORMATS, PRECISIONS

Describe = Callable[..., Any]

TAG = "live"

# Operations

STREAM_ID = OpenApiParameter(
    "stream_id",
    OpenApiTypes.STR,
    OpenApiParameter.PATH,
    description="Letters, digits, `_` and `-`. A measurement becomes the channel `stream/<stream_id>/<measurement>`.",
)


FORMAT = OpenApiParameter("gf_live_frame_format", enum=sorted(FORMATS), description="How lines become frames.")
PRECISION = OpenApiParameter("precision", enum=list(PRECISIONS), description="Unit of the timestamps (`ns`).")
PARTIAL = OpenApiParameter("partial", enum=["0", "1"], description="`1`: the good lines count where others are wrong.")
LINES = "cpu,host=a usage=1.5 1616403089000000000\nmem,host=a used=7i 1616403089000000000\n"


def _writes(operation_id: str, summary: str, description: str, **more: Any) -> Describe:
    """An operation that takes line protocol."""
    return extend_schema(
        operation_id=operation_id,
        tags=[TAG],
        summary=summary,
        description=f"{description} Needs the permission `live.push`. The body may be compressed with gzip.",
        request={"text/plain": OpenApiTypes.STR, "application/octet-stream": OpenApiTypes.BINARY},
        examples=[OpenApiExample("two lines", LINES, media_type="text/plain", request_only=True)],
        **more,
    )


def _push() -> Describe:
    return _writes(
        "live_push",
        "Push Influx line protocol",
        "All or nothing, unless with `partial=1`: a push with a wrong line publishes none. As a WebSocket (GET), each "
        "message is such a body.",
        parameters=[STREAM_ID, FORMAT, PRECISION, PARTIAL, RETRY_AFTER],
        responses=answers(
            200,
            PARTIAL_RESULT,
            "Published. The body is empty, except with `partial=1`.",
            refusals(*WRITE_REFUSALS, _400=PUSH_ERROR),
        ),
    )


def _write_v2() -> Describe:
    return _writes(
        "live_influx_v2_write",
        "Write as to InfluxDB 2",
        "A push for whatever writes to InfluxDB 2: the bucket is the stream id, any organisation will do.",
        parameters=[
            OpenApiParameter("bucket", str, required=True, description="The stream id."),
            OpenApiParameter("org", str, description="Not looked at."),
            PRECISION,
            PARTIAL,
            RETRY_AFTER,
        ],
        responses=answers(204, None, "Published.", refusals(*WRITE_REFUSALS, error=INFLUX_V2_ERROR)),
    )


def _write_v1() -> Describe:
    return _writes(
        "live_influx_v1_write",
        "Write as to InfluxDB 1",
        "A push for whatever writes to InfluxDB 1: the database is the stream id. The token may be the password, of "
        "whatever user.",
        parameters=[
            OpenApiParameter("db", str, required=True, description="The stream id."),
            PRECISION,
            PARTIAL,
            RETRY_AFTER,
        ],
        responses=answers(204, None, "Published.", refusals(*WRITE_REFUSALS, error=INFLUX_V1_ERROR)),
    )


def _query(method: str) -> Describe:
    return extend_schema(
        operation_id=f"live_influx_query_{method}",
        tags=[TAG],
        summary="Answer `CREATE DATABASE`",
        description="What Telegraf sends when it starts; nothing is stored here that could be asked for.",
        parameters=[OpenApiParameter("q", str, description="The query.")],
        request={"application/x-www-form-urlencoded": json_object("Query", {"q": json_text("The query.")}, "q")},
        responses=answers(
            200,
            json_object("QueryResult", {"results": {"type": "array", "items": {"type": "object"}}}),
            "Done, which is nothing.",
            refusals(400, 401, error=INFLUX_V1_ERROR),
        ),
    )


def _ping() -> Describe:
    return extend_schema(
        operation_id="live_influx_ping",
        tags=[TAG],
        summary="Whether the server is there",
        responses={204: OpenApiResponse(None, "It is; headers name the InfluxDB it stands for.")},
    )


def _health() -> Describe:
    health = {name: json_text(f"Always {value}.") for name, value in (("name", "live"), ("status", "pass"))}
    return extend_schema(
        operation_id="live_influx_health",
        tags=[TAG],
        summary="Whether writes are taken",
        responses={200: OpenApiResponse(json_object("Health", health), "They are.")},
    )


def _list() -> Describe:
    return extend_schema(
        operation_id="live_list",
        tags=[TAG],
        summary="Channels",
        description="The channels that something was published to lately, that somebody subscribes to, or that a "
        "plugin or data source offers, by name; only those that the caller may subscribe to. Anonymous where "
        "`LIVE['ALLOW_ANONYMOUS']`.",
        parameters=[
            OpenApiParameter("prefix", str, description="Only channels whose name begins so, as `stream/host/`."),
            RETRY_AFTER,
        ],
        responses=answers(200, LIST, "The channels.", refusals(401, 503)),
    )


def _info() -> Describe:
    return extend_schema(
        operation_id="live_info",
        tags=[TAG],
        summary="One channel",
        description="Needs the right to subscribe to it. Zeros where nobody published yet. All nodes are asked for "
        "their subscribers, and have a second to answer.",
        parameters=[OpenApiParameter("channel", CHANNEL, OpenApiParameter.PATH), RETRY_AFTER],
        responses=answers(200, INFO, "What is known of it.", refusals(400, 401, 403, 404, 503)),
    )


def _nodes() -> Describe:
    return extend_schema(
        operation_id="live_nodes",
        tags=[TAG],
        summary="The processes that serve this site",
        description="For staff. All nodes are asked and have a second to answer; those that did not are named.",
        parameters=[RETRY_AFTER],
        responses=answers(200, NODES, "The nodes.", refusals(401, 403, 503)),
    )


def _publish() -> Describe:
    return extend_schema(
        operation_id="live_publish",
        tags=[TAG],
        summary="Publish",
        description="One publication, or a list of them which are published all or not at all. The channels' handlers "
        "decide; `stream/…` takes pushes only.",
        parameters=[RETRY_AFTER],
        request={"application/json": or_list(PUBLICATION)},
        examples=[
            OpenApiExample("one", {"channel": "grafana/broadcast/hall", "data": {"say": "hello"}}, request_only=True)
        ],
        responses=answers(
            200,
            or_list(RESULT),
            "Published; with a position where the channel keeps history. A list for a list.",
            refusals(400, 401, 403, 404, 411, 413, 415, 503),
        ),
    )


VIEWS: dict[str, dict[str, Describe]] = {
    "live.api.push.PushView": {"post": _push()},
    "live.api.influx.WriteV2View": {"post": _write_v2()},
    "live.api.influx.WriteV1View": {"post": _write_v1()},
    "live.api.influx.QueryView": {"get": _query("get"), "post": _query("post")},
    "live.api.influx.PingView": {"get": _ping()},
    "live.api.influx.HealthView": {"get": _health()},
    "live.api.channels.ListView": {"get": _list()},
    "live.api.channels.InfoView": {"get": _info()},
    "live.api.nodes.NodesView": {"get": _nodes()},
    "live.api.channels.PublishView": {"post": _publish()},
}
"""Every view by its dotted path, and what is said about its methods."""


def _describe(path: str, methods: dict[str, Describe]) -> type[OpenApiViewExtension]:
    """Registers the description of a view: defining the class is what drf-spectacular goes by."""

    class Described(OpenApiViewExtension):
        target_class = path

        def view_replacement(self) -> Any:
            """The view with its methods described."""
            # One class for all that take tokens: the document has their scheme once.
            authentication = [
                LiveTokenAuthentication if issubclass(each, LiveTokenAuthentication) else each
                for each in self.target.authentication_classes
            ]
            # Pushes ask the stream's handler in place of a permission class.
            permission = [IsAuthenticated] if authentication else []
            attributes = {"authentication_classes": authentication, "permission_classes": permission}
            return extend_schema_view(**methods)(type(self.target.__name__, (self.target,), attributes))

    return Described


for _path, _methods in VIEWS.items():
    _describe(_path, _methods)


# Security


class TokenScheme(OpenApiAuthenticationExtension):
    """DRF's tokens, with either of two words before them."""

    target_class = "live.api.authentication.LiveTokenAuthentication"
    match_subclasses = True
    name = ["liveToken", "liveBearer"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[Schema]:
        """Either; in one object they would be needed both."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[Schema]:
        """One for each word."""
        return [
            {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "`Token <key>`, with a token of Django REST framework.",
            },
            {"type": "http", "scheme": "bearer", "description": "The same token as `Bearer <key>`."},
        ]


class SessionScheme(OpenApiAuthenticationExtension):
    """Django's session."""

    target_class = "live.api.authentication.LiveSessionAuthentication"
    match_subclasses = True
    name = "liveSession"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        """The cookie."""
        header = settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-").title()
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": settings.SESSION_COOKIE_NAME,
            "description": f"Changing requests also need the CSRF token in {header}.",
        }
