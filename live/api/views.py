"""The views: metrics come in by a push, and which channels there are."""

from __future__ import annotations

import time
from typing import Any

import orjson
from django.contrib.auth.models import AnonymousUser
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from live.api.base import LengthRequired, LiveAPIView, PayloadTooLarge, UnsupportedEncoding
from live.api.permissions import MayConnect, MayPush
from live.channel import Channel
from live.conf import live_settings
from live.exceptions import Forbidden, InvalidChannel, NotFound, UnknownChannel
from live.frames import DEFAULT_FORMAT, FORMATS, frames_from_lines, parse_lines
from live.handlers import User, find_handler
from live.handlers.stream import SCOPE, prepare_push, publish_prepared
from live.publishing import LiveChannel, active_channels, run

CHUNK = 64 * 1024


class PushView(LiveAPIView):
    """``POST push/<stream id>``: Influx line protocol -> one frame per measurement -> ``stream/<stream id>/...``.

    All or nothing: a push with a wrong line publishes nothing. 200 with an empty body; 400 with the wrong lines, 401,
    403, 413, 415; 503 with Retry-After when publishing failed, so that the sender keeps its batch (grafana-live §2.2).
    """

    permission_classes = [MayPush]

    def post(self, request: Request, stream_id: str) -> Response:
        """Publishes the body's lines."""
        frame_format = _frame_format(request)
        _check_stream_id(stream_id)
        body = _read_body(request._request)
        lines = parse_lines(body, stream_id=stream_id)
        prepared = prepare_push(stream_id, frames_from_lines(lines, time.time_ns(), frame_format))
        if prepared:
            run(publish_prepared, prepared)
        return Response(status=200)


class ListView(LiveAPIView):
    """``GET list``: the active channels that the caller may subscribe to, by name (grafana-live §2.5)."""

    permission_classes = [MayConnect]

    def get(self, request: Request) -> HttpResponse:
        """The list."""
        # A project may have told DRF that a visitor's user is None.
        user: User | None = request.user
        channels = [_describe(active) for active in run(_visible_channels, user or AnonymousUser())]
        return HttpResponse(orjson.dumps({"channels": channels}), content_type="application/json")


async def _visible_channels(user: User) -> list[LiveChannel]:
    return [active for active in await active_channels() if await _may_subscribe(user, active.channel)]


async def _may_subscribe(user: User, channel: Channel) -> bool:
    try:
        return await find_handler(channel).can_subscribe(user, channel, None)
    except (Forbidden, NotFound, UnknownChannel):
        return False


def _describe(active: LiveChannel) -> dict[str, Any]:
    entry = {
        "channel": str(active.channel),
        "minute_rate": active.minute_rate,
        "subscribers": active.subscribers,
    }
    if active.schema is not None:
        entry["data"] = orjson.Fragment(active.schema)
    return entry


def _frame_format(request: Request) -> str:
    name = request.query_params.get("gf_live_frame_format", "") or DEFAULT_FORMAT
    if name.lower() not in FORMATS:
        raise ParseError(f"gf_live_frame_format {name[:60]!r} is not supported; supported: {', '.join(FORMATS)}")
    return name.lower()


def _check_stream_id(stream_id: str) -> None:
    try:
        Channel(SCOPE, stream_id, "-")
    except InvalidChannel as error:
        # The rule speaks of the channel's parts; the stream id is its namespace.
        raise ParseError(f"bad stream id {stream_id[:60]!r}: {error}") from None


def _read_body(request: HttpRequest) -> bytes:
    """The raw body, whatever its type says; never more than ``LIVE["PUSH_MAX_BYTES"]`` of it in memory."""
    encoding = request.headers.get("Content-Encoding", "").strip()
    if encoding.lower() not in ("", "identity"):
        raise UnsupportedEncoding(f"Content-Encoding {encoding[:60]!r} is not supported; send the body uncompressed")
    limit = live_settings.push_max_bytes
    too_large = PayloadTooLarge(f"the body is larger than {limit} bytes; push fewer lines at once")
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isascii() and length.isdigit():
        if len(length) > 18 or int(length) > limit:
            raise too_large
    elif "Transfer-Encoding" in request.headers and not isinstance(request, ASGIRequest):
        # Django reads nothing of such a body under WSGI: better an error than lost metrics.
        raise LengthRequired("send a Content-Length")
    if hasattr(request, "_body"):
        body: bytes = request._body
    elif getattr(request, "_read_started", False):
        raise ParseError("the body was read as a form already; send it as text/plain")
    else:
        chunks, size = [], 0
        while size <= limit and (chunk := request.read(min(CHUNK, limit + 1 - size))):
            chunks.append(chunk)
            size += len(chunk)
        body = b"".join(chunks)
    if len(body) > limit:
        raise too_large
    return body
