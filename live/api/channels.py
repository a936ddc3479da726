"""The views about channels: which there are, what is known of one, and publishing to them over HTTP.

They decide nothing themselves: the channels' handlers do, with the same methods that answer clients on the WebSocket.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import orjson
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.request import Request

from live.api.base import LiveAPIView, PayloadTooLarge
from live.api.body import inflate, is_gzip, read_body
from live.api.permissions import MayConnect
from live.channel import Channel
from live.conf import live_settings
from live.exceptions import EngineUnavailable, Forbidden, LiveError, PublicationTooLarge
from live.handlers import find_handler
from live.handlers.offers import Offer, visible_offers, watchable
from live.node.control import Survey
from live.protocol import load_json
from live.protocol.replies import client_info
from live.publishing import (
    LiveChannel,
    active_channels,
    apublish_as,
    channel_info,
    check_publication,
    draft_encoded,
    publish_drafts,
    run,
    survey,
)
from live.store import ActiveChannel, Position
from live.users import User, user_id

MAX_BATCH = 100
"""Publications in one request."""
MAX_KEY_LENGTH = 160
"""Characters of an idempotency key: as many as a channel's name may have."""
BODY_MESSAGES = 16
"""A request's body may be as large as so many of a client's largest messages."""


class ListView(LiveAPIView):
    """``GET list``: the channels that the caller may subscribe to, by name (grafana-live §2.5).

    Those that are active, and those that plugins offer; while nobody watches one of these, its ``minute_rate`` is the
    one it would have. ``?prefix=`` names the beginning of the channels wanted. Left out is what its handler does not
    answer for within `live.handlers.offers.ASK_SECONDS`. 200, 401, 503.
    """

    permission_classes = [MayConnect]

    def get(self, request: Request) -> HttpResponse:
        """The list."""
        prefix = request.query_params.get("prefix", "")
        channels = [_describe(active) for active in run(_visible_channels, _user(request), prefix)]
        return _json({"channels": channels})


class InfoView(LiveAPIView):
    """``GET info/<channel>``: subscribers, rate, time of the last publication, and the schema in channels of frames.

    The subscribers are those on all ``nodes``; ``missing`` counts the nodes that did not answer in time, whose
    subscribers are not among them. A channel that the caller may subscribe to and that nobody published to is answered
    with zeros. 200, 400, 401, 403, 404, 503.
    """

    permission_classes = [MayConnect]

    def get(self, request: Request, channel: str) -> HttpResponse:
        """What is known of the channel."""
        found, everywhere = run(_channel_info, _user(request), Channel.parse(channel))
        return _json(
            {
                **_describe(found),
                "subscribers": sum(report.subscribers for report in everywhere.nodes),
                "last_publication": _time(found.last_publication),
                "nodes": len(everywhere.nodes),
                "missing": len(everywhere.missing),
            }
        )


class PublishView(LiveAPIView):
    """``POST publish``: ``{"channel", "data"}``, or a list of at most `MAX_BATCH` of them (grafana-live §2.4).

    With ``idempotency_key`` what is sent again is there once, where the channel keeps history; see `live.publish`.
    The answer is ``{}``, with ``offset`` and ``epoch`` where the channel keeps history, and a list of those for a list.
    Each entry of a list is checked before any is published: one that is refused refuses all. 200, 400, 401, 403, 404,
    411, 413, 415; 503 with Retry-After, which for a list says how many were published.
    """

    permission_classes = [MayConnect]

    def post(self, request: Request) -> HttpResponse:
        """Publishes."""
        body = _read_json(request._request)
        if not isinstance(body, list):
            channel, data, key = _publication(body)
            position = run(apublish_as, _user(request), channel, data, idempotency_key=key)
            return _json(_result(position))
        if len(body) > MAX_BATCH:
            raise ParseError(f"a list holds at most {MAX_BATCH} publications, this one {len(body)}")
        return _json([_result(position) for position in run(_publish_all, _user(request), body)])


def _user(request: Request) -> User:
    # A project may have told DRF that a visitor's user is None.
    user: User | None = request.user
    return user or AnonymousUser()


def _json(value: Any) -> HttpResponse:
    return HttpResponse(orjson.dumps(value), content_type="application/json")


# What there is


async def _visible_channels(user: User, prefix: str) -> list[LiveChannel]:
    active = {each.channel: each for each in await active_channels(prefix)}
    offers = {offer.channel: offer for offer in await visible_offers(user, prefix)}
    visible = offers.keys() | await watchable(user, active.keys() - offers.keys())
    found = [_with_offer(channel, active.get(channel), offers.get(channel)) for channel in visible]
    return sorted(found, key=lambda each: str(each.channel))


def _with_offer(channel: Channel, active: LiveChannel | None, offer: Offer | None) -> LiveChannel:
    """What is said of a channel that is active, or on offer, or both."""
    found = active or LiveChannel(ActiveChannel(channel, 0), 0)
    if offer is not None:
        found.minute_rate = found.minute_rate or offer.minute_rate
        found.schema = found.schema or offer.schema
    return found


async def _channel_info(user: User, channel: Channel) -> tuple[LiveChannel, Survey]:
    if not await find_handler(channel).can_subscribe(user, channel, None):
        raise Forbidden
    return await channel_info(channel), await survey(channel)


def _describe(active: LiveChannel) -> dict[str, Any]:
    entry = {
        "channel": str(active.channel),
        "minute_rate": active.minute_rate,
        "subscribers": active.subscribers,
    }
    if active.schema is not None:
        entry["data"] = orjson.Fragment(active.schema)
    return entry


def _time(seconds: float | None) -> str | None:
    """Unix seconds as ISO 8601 in UTC with milliseconds."""
    if seconds is None:
        return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Publishing


def _read_json(request: HttpRequest) -> Any:
    """The body's value; never more of it in memory than may come."""
    if request.content_type != "application/json":
        raise UnsupportedMediaType(str(request.content_type)[:60], "send the body as application/json")
    limit = BODY_MESSAGES * live_settings.max_message_size
    gzip = is_gzip(request)
    try:
        body = read_body(request, limit)
        return load_json(inflate(body, limit) if gzip else body)
    except PayloadTooLarge:
        raise PayloadTooLarge(f"the body is larger than {limit} bytes; publish less at once") from None


def _publication(entry: Any) -> tuple[Channel, Any, str]:
    """The channel, the data and the idempotency key ("": none) that `entry` of a request names.

    Raises `ParseError` and `InvalidChannel`.
    """
    if not isinstance(entry, dict):
        raise ParseError('a publication is an object: {"channel": "scope/namespace/path", "data": ...}')
    name = entry.get("channel")
    if not isinstance(name, str):
        raise ParseError("channel has to be a text" if "channel" in entry else "channel is missing")
    if "data" not in entry:
        raise ParseError("data is missing")
    key = entry.get("idempotency_key", "")
    if "idempotency_key" in entry and not (isinstance(key, str) and 0 < len(key) <= MAX_KEY_LENGTH):
        raise ParseError(f"idempotency_key has to be a text of 1 to {MAX_KEY_LENGTH} characters")
    return Channel.parse(name), entry["data"], key


async def _publish_all(user: User, entries: Sequence[Any]) -> list[Position | None]:
    """Publishes all `entries` or, when one of them is refused, none."""
    checked = []
    for number, entry in enumerate(entries, 1):
        try:
            channel, data, key = _publication(entry)
            payload, _ = await check_publication(user, channel, data)
            _check_size(channel, payload)
        except ParseError as error:
            raise ParseError(f"publication {number}: {error.detail}") from None
        except LiveError as error:
            error.message = f"publication {number}: {error.message}"
            raise
        checked.append((channel, payload, key))
    info = client_info(user_id(user), "")
    try:
        return await publish_drafts(
            [draft_encoded(channel, payload, info=info, key=key) for channel, payload, key in checked]
        )
    except EngineUnavailable as error:
        error.message = f"some of the {len(checked)} may have been published: {error.message}"
        raise


def _check_size(channel: Channel, payload: bytes) -> None:
    # The node would refuse it too, but only after those before it went out.
    limit = live_settings.max_publication_size
    if len(payload) > limit:
        raise PublicationTooLarge(f"publication to {channel} has {len(payload)} bytes, at most {limit} are allowed")


def _result(position: Position | None) -> dict[str, Any]:
    return {} if position is None else {"offset": position.offset, "epoch": position.epoch}
