"""The bodies of the HTTP API as OpenAPI describes them: what is sent, what is answered, and every refusal.

Like `live.api.schema`, which makes operations of them, only imported where drf-spectacular is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.settings import spectacular_settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from live.api.channels import MAX_BATCH, MAX_KEY_LENGTH
from live.channel import MAX_LENGTH

Schema = dict[str, Any]


def json_object(title: str, properties: Mapping[str, Schema], *optional: str) -> Schema:
    """An object whose properties are all there, except the optional ones."""
    schema: Schema = {"title": title, "type": "object", "properties": dict(properties)}
    # An empty list is no valid one.
    if required := [name for name in properties if name not in optional]:
        schema["required"] = required
    return schema


def json_integer(description: str) -> Schema:
    """A whole number from 0."""
    return {"type": "integer", "minimum": 0, "description": description}


def json_text(description: str, **more: Any) -> Schema:
    """A text."""
    return {"type": "string", "description": description, **more}


def or_null(schema: Schema) -> Schema:
    """The same, or null."""
    # OpenAPI 3.1 is JSON Schema, which has no word for it but a type.
    if spectacular_settings.OAS_VERSION.startswith("3.0"):
        return {**schema, "nullable": True}
    return {**schema, "type": [schema["type"], "null"]}


# Bodies

ERROR = json_object("Error", {"message": json_text("What is wrong, for people.")})

LINE_ERROR = json_object(
    "LineError",
    {
        "line": {"type": "integer", "minimum": 1, "description": "Number of the line in the body."},
        "reason": json_text("What is wrong with it."),
        "text": json_text("The line, cut.", maxLength=120),
    },
)

PUSH_ERROR = json_object(
    "PushError",
    {**ERROR["properties"], "errors": {"type": "array", "items": LINE_ERROR, "maxItems": 10}},
    "errors",
)

PARTIAL_RESULT = json_object(
    "PartialPush",
    {
        "accepted": json_integer("Lines that were published."),
        "rejected": json_integer("Lines that are wrong."),
        "errors": PUSH_ERROR["properties"]["errors"],
    },
)

INFLUX_V2_ERROR = json_object("InfluxError", {"code": json_text("InfluxDB's name of it."), **ERROR["properties"]})
INFLUX_V1_ERROR = json_object("InfluxV1Error", {"error": ERROR["properties"]["message"]})

CHANNEL = json_text("`scope/namespace/path`.", maxLength=MAX_LENGTH, example="stream/host/cpu")

LISTED = {
    "channel": CHANNEL,
    "minute_rate": json_integer("Publications in the last 60 seconds."),
    "subscribers": json_integer("Subscriptions on the node that answers."),
    "data": json_object(
        "SchemaOnlyFrame",
        {"schema": {"type": "object", "additionalProperties": {}, "description": "Name and fields of the frames."}},
    ),
}

LISTED_CHANNEL = json_object(
    "ListedChannel",
    {
        **LISTED,
        "minute_rate": json_integer(
            "Publications in the last 60 seconds; where a plugin offers the channel and there "
            "were none, how many there are while somebody watches."
        ),
    },
    "data",
)

NODE_ID = json_text("The id of a process; a new one with every start.")

NODES = json_object(
    "Nodes",
    {
        "nodes": {
            "type": "array",
            "items": json_object(
                "Node",
                {
                    "node": NODE_ID,
                    "clients": json_integer("Connected clients."),
                    "users": json_integer("Different users among those who are logged in."),
                    "channels": json_integer("Channels with a subscriber there."),
                },
            ),
        },
        "missing": {"type": "array", "items": NODE_ID, "description": "Those that did not answer in time."},
    },
)

LIST = json_object("ChannelList", {"channels": {"type": "array", "items": LISTED_CHANNEL}})

INFO = json_object(
    "ChannelInfo",
    {
        **LISTED,
        "subscribers": json_integer("Subscriptions on all nodes that answered."),
        "nodes": json_integer("Nodes that answered."),
        "missing": json_integer("Nodes that did not answer in time."),
        "last_publication": or_null(json_text("When the last publication came.", format="date-time")),
    },
    "data",
)

PUBLICATION = json_object(
    "Publication",
    {
        "channel": CHANNEL,
        "data": {"description": "Any JSON."},
        "idempotency_key": json_text(
            "Any text, the same for each attempt: while the channel's history holds a publication with it, no other is "
            "made.",
            minLength=1,
            maxLength=MAX_KEY_LENGTH,
        ),
    },
    "idempotency_key",
)

RESULT = json_object(
    "Published",
    {"offset": json_integer("Its place in the channel's history."), "epoch": json_text("The life of that history.")},
    "offset",
    "epoch",
)


def or_list(schema: Schema) -> Schema:
    """One, or a list of them."""
    return {"oneOf": [schema, {"type": "array", "items": schema, "maxItems": MAX_BATCH}]}


# Answers

REFUSALS = {
    400: "The request breaks a rule; the message names it.",
    401: "Not authenticated.",
    403: "Not allowed, or no CSRF token with a session.",
    404: "Nothing answers for this channel.",
    411: "The server needs a Content-Length.",
    413: "The body or a publication is too large.",
    415: "The media type or the encoding is not understood.",
    429: "Too many requests; see Retry-After.",
    503: "Live cannot be reached now; try again after Retry-After seconds.",
}

RETRY_AFTER = OpenApiParameter(
    "Retry-After",
    OpenApiTypes.INT,
    OpenApiParameter.HEADER,
    description="Seconds after which to try again.",
    response=[429, 503],
)


WRITE_REFUSALS = (400, 401, 403, 411, 413, 415, 429, 503)


def refusals(*codes: int, error: Schema = ERROR, **schemas: Schema) -> dict[Any, OpenApiResponse]:
    """The answers of these status codes with the body `error`, and others of `schemas`, by ``_<code>``."""
    return {
        (code, "application/json"): OpenApiResponse(schemas.get(f"_{code}", error), REFUSALS[code]) for code in codes
    }


def answers(status: int, schema: Schema | None, description: str, others: Mapping[Any, Any]) -> dict[Any, Any]:
    """What an operation answers: when all went well, and otherwise."""
    return {status: OpenApiResponse(schema, description), **others}
