"""``GET info/<channel>``: what is known of one channel, and to whom it is told."""

import datetime as dt

import orjson
import pytest
from django.urls import reverse
from rest_framework.authtoken.models import Token

import live
from live.handlers import ChannelHandler
from live.handlers.registry import unregister
from live.node.control import NodeReport, Survey

from .conftest import client_with, push


class PrivateHandler(ChannelHandler):
    """Channels for the pusher; some do not exist."""

    async def can_subscribe(self, user, channel, data):
        if channel.path.startswith("gone"):
            raise live.NotFound("no such room")
        if channel.path.startswith("away"):
            raise live.EngineUnavailable("away")
        return user.is_authenticated and user.username == "pusher"


@pytest.fixture(autouse=True)
def private_scope():
    """A scope that only the pusher may subscribe to."""
    live.register("private", None, PrivateHandler)
    yield
    unregister("private")


def info(client, channel):
    """Status and body of the answer."""
    response = client.get(f"/api/live/info/{channel}")
    assert response["Content-Type"] == "application/json"
    return response.status_code, orjson.loads(response.content)


def test_a_stream_tells_rate_schema_and_time(client, stream_id):
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    push(client, stream_id, "cpu x=1")
    push(client, stream_id, "cpu x=2")

    status, answer = info(client_with(), f"stream/{stream_id}/cpu")

    assert status == 200
    when = answer.pop("last_publication")
    assert when.endswith("Z")
    assert before <= dt.datetime.fromisoformat(when) <= dt.datetime.now(dt.UTC)
    assert [field["name"] for field in answer["data"].pop("schema")["fields"]] == ["labels", "time", "x"]
    assert answer == {
        "channel": f"stream/{stream_id}/cpu",
        "minute_rate": 2,
        "subscribers": 0,
        "data": {},
        "nodes": 1,
        "missing": 0,
    }


def test_channels_without_frames_have_no_data(db, stream_id):
    live.publish(f"grafana/broadcast/{stream_id}", 1)

    status, answer = info(client_with(), f"grafana/broadcast/{stream_id}")

    assert status == 200
    assert set(answer) == {"channel", "minute_rate", "subscribers", "last_publication", "nodes", "missing"}
    assert answer["last_publication"]


def test_a_channel_nobody_published_to_is_silent(db, stream_id):
    assert info(client_with(), f"stream/{stream_id}/a/b=c.d") == (
        200,
        {
            "channel": f"stream/{stream_id}/a/b=c.d",
            "minute_rate": 0,
            "subscribers": 0,
            "last_publication": None,
            "nodes": 1,
            "missing": 0,
        },
    )


REFUSED = {
    "": (400, "invalid channel: name is empty; a channel is scope/namespace/path"),
    "stream": (400, "invalid channel: namespace and path missing; a channel is scope/namespace/path"),
    "stream/host": (400, "invalid channel: path missing; a channel is scope/namespace/path"),
    "stream//cpu": (400, "invalid channel: namespace is empty; a channel is scope/namespace/path"),
    "stream/ho%20st/cpu": (
        400,
        "invalid channel: namespace holds ' ': only letters, digits, '_' and '-' are allowed",
    ),
    "stream/host/cpu%0A": (
        400,
        "invalid channel: path holds '\\n': only letters, digits, '_', '-', '/', '=' and '.' are allowed",
    ),
    "stream/host/" + "x" * 200: (400, "invalid channel: name is 212 characters long, at most 160 are allowed"),
    "nobody/answers/here": (404, "unknown channel: nothing answers for nobody/answers"),
    "private/room/1": (403, "Forbidden"),
    "private/room/gone": (404, "no such room"),
    "private/room/": (400, "invalid channel: path is empty; a channel is scope/namespace/path"),
}


@pytest.mark.parametrize("channel", REFUSED)
def test_what_is_no_channel_or_not_theirs_is_refused(db, channel):
    status, message = REFUSED[channel]

    assert info(client_with(), channel) == (status, {"message": message})


def test_the_subscribers_of_all_nodes_are_counted_and_those_that_did_not_answer_said(db, stream_id, monkeypatch):
    async def survey(channel):
        assert channel.namespace == stream_id
        return Survey([NodeReport("a", 9, 1, 9, subscribers=2), NodeReport("b", 9, 1, 9, subscribers=3)], ["c"])

    monkeypatch.setattr("live.api.channels.survey", survey)
    status, answer = info(client_with(), f"stream/{stream_id}/cpu")

    assert status == 200
    assert (answer["subscribers"], answer["nodes"], answer["missing"]) == (5, 2, 1)


def test_the_handler_decides(client, user):
    other = client_with(f"Token {Token.objects.create(user=user).key}")

    assert info(client, "private/room/1")[0] == 200
    assert info(other, "private/room/1") == (403, {"message": "Forbidden"})
    assert info(client, "private/room/gone") == (404, {"message": "no such room"})
    assert info(client, "private/room/away") == (503, {"message": "away"})
    assert client.get("/api/live/info/private/room/away")["Retry-After"] == "5"


def test_visitors_only_where_they_are_allowed(db, settings):
    settings.LIVE = {"ALLOW_ANONYMOUS": False}

    assert info(client_with(), "stream/host/cpu")[0] == 401


def test_it_is_only_read(client):
    assert client.post("/api/live/info/stream/host/cpu").status_code == 405


def test_the_url_has_a_name():
    assert reverse("live:info", args=["stream/host/cpu"]) == "/api/live/info/stream/host/cpu"
