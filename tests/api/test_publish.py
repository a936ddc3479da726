"""``POST publish``: what handlers let through is published, and the answer to everything else."""

import gzip

import orjson
import pytest
from django.urls import reverse
from rest_framework.authtoken.models import Token

import live
from live.handlers import ChannelHandler
from live.handlers.registry import unregister
from live.node.node import Node

from .conftest import channels_of, client_with, last_value, published


class ChatHandler(ChannelHandler):
    """A chat: texts only, in capitals, with a history; the pusher may."""

    history_size = 10
    keep_last = True

    async def can_publish(self, user, channel, data):
        if channel.path.endswith("gone"):
            raise live.NotFound("no such room")
        if channel.path.endswith("away"):
            raise live.EngineUnavailable("away")
        return user.is_authenticated and user.username == "pusher"

    async def clean(self, user, channel, data):
        if not isinstance(data, str):
            raise live.BadData("texts only")
        return data.upper()


@pytest.fixture(autouse=True)
def chat_scope():
    """The scope of the chat."""
    live.register("chat", None, ChatHandler)
    yield
    unregister("chat")


@pytest.fixture
def room(stream_id):
    """A room that no other test uses."""
    return f"chat/{stream_id}/room"


def publish(client, body, content_type="application/json", **extra):
    """Status and body of the answer to a publish."""
    body = body if isinstance(body, (bytes, str)) else orjson.dumps(body)
    response = client.generic("POST", "/api/live/publish", body, content_type=content_type, **extra)
    assert response["Content-Type"] == "application/json"
    return response.status_code, orjson.loads(response.content)


def refused(client, body, status, message, **extra):
    assert publish(client, body, **extra) == (status, {"message": message})


# One publication


def test_what_the_handler_makes_of_it_is_published_with_its_position(client, room):
    status, first = publish(client, {"channel": room, "data": "hello"})
    _, second = publish(client, {"channel": room, "data": "you"}, content_type="application/json; charset=utf-8")

    assert status == 200
    assert (first["offset"], second) == (1, {"offset": 2, "epoch": first["epoch"]})
    assert published(room) == ["HELLO", "YOU"]


def test_without_history_there_is_nothing_to_say(client, stream_id):
    channel = f"grafana/broadcast/{stream_id}"

    assert publish(client, {"channel": channel, "data": {"a": [1, None]}}) == (200, {})
    assert last_value(channel) == {"a": [1, None]}


@pytest.mark.parametrize("data", [None, False, 0, "", [], {}])
def test_data_may_be_empty_but_has_to_be_there(client, stream_id, data):
    assert publish(client, {"channel": f"grafana/broadcast/{stream_id}", "data": data}) == (200, {})


def test_with_bearer_and_with_a_session(pusher, token, room):
    browser = client_with()
    browser.force_login(pusher)
    body = {"channel": room, "data": "x"}

    assert publish(client_with(f"Bearer {token}"), body)[0] == 200
    status, answer = publish(browser, body)
    assert (status, answer["message"].startswith("CSRF Failed")) == (403, True)
    browser.cookies["csrftoken"] = "t" * 32
    assert publish(browser, body, HTTP_X_CSRFTOKEN="t" * 32)[0] == 200


def test_others_than_the_handler_lets_are_refused(client, user, room):
    other = client_with(f"Token {Token.objects.create(user=user).key}")

    refused(other, {"channel": room, "data": "x"}, 403, "Forbidden")
    refused(client_with(), {"channel": room, "data": "x"}, 403, "Forbidden")
    refused(client_with(), {"channel": "grafana/broadcast/x", "data": "x"}, 403, "Forbidden")
    assert published(room) == []


def test_visitors_only_where_they_are_allowed(db, settings, room):
    settings.LIVE = {"ALLOW_ANONYMOUS": False}

    assert publish(client_with(), {"channel": room, "data": "x"})[0] == 401
    assert publish(client_with("Token nonsense"), {"channel": room, "data": "x"})[0] == 401


def test_nobody_publishes_to_a_stream(client, pusher, stream_id):
    pusher.is_superuser = True
    pusher.save()

    refused(client, {"channel": f"stream/{stream_id}/cpu", "data": {}}, 403, "Forbidden")
    refused(client, [{"channel": f"stream/{stream_id}/cpu", "data": {}}], 403, "publication 1: Forbidden")
    assert channels_of(stream_id) == []


BAD_NAME = "invalid channel: path missing; a channel is scope/namespace/path"
WRONG = {
    "no name": ({"data": 1}, 400, "channel is missing"),
    "a name that is none": ({"channel": "chat/room", "data": "x"}, 400, BAD_NAME),
    "a name that is no text": ({"channel": 1, "data": "x"}, 400, "channel has to be a text"),
    "no data": ({"channel": "chat/a/b"}, 400, "data is missing"),
    "data the handler refuses": ({"channel": "chat/a/b", "data": 1}, 400, "texts only"),
    "a room that is not there": ({"channel": "chat/a/gone", "data": "x"}, 404, "no such room"),
    "no handler": ({"channel": "un/known/x", "data": 1}, 404, "unknown channel: nothing answers for un/known"),
    "the engine is down": ({"channel": "chat/a/away", "data": "x"}, 503, "away"),
}


@pytest.mark.parametrize(("body", "status", "message"), WRONG.values(), ids=WRONG)
def test_wrong_publications_are_told_why(client, room, body, status, message):
    refused(client, body, status, message)
    # The same in a list, of which nothing is published.
    good = {"channel": room, "data": "x"}
    refused(client, [good, body, good], status, f"publication 2: {message}")
    assert published(room) == []


def test_when_to_come_again_is_said(client):
    body = orjson.dumps({"channel": "chat/a/away", "data": "x"})
    response = client.generic("POST", "/api/live/publish", body, content_type="application/json")

    assert (response.status_code, response["Retry-After"]) == (503, "5")


SHAPE = 'a publication is an object: {"channel": "scope/namespace/path", "data": ...}'


@pytest.mark.parametrize("body", ["1", "null", '"x"', "true"])
def test_bodies_of_another_shape(client, body):
    refused(client, body, 400, SHAPE)
    refused(client, f"[{body}]", 400, f"publication 1: {SHAPE}")


@pytest.mark.parametrize("body", ["", "{", "nonsense", b"\xff", '{"channel": NaN}', "[" * 5000])
def test_bodies_that_are_no_json(client, body):
    status, answer = publish(client, body)

    assert (status, answer["message"].startswith("invalid json: ")) == (400, True)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_only_json(client, room, content_type):
    body = {"channel": room, "data": "x"}

    refused(client, body, 415, "send the body as application/json", content_type=content_type)
    status, answer = publish(client, body, HTTP_CONTENT_ENCODING="br")
    assert (status, answer["message"][:21]) == (415, "Content-Encoding 'br'")
    assert published(room) == []


def test_compressed_bodies(client, room):
    body = orjson.dumps({"channel": room, "data": "x"})

    assert publish(client, gzip.compress(body), HTTP_CONTENT_ENCODING="gzip")[0] == 200
    refused(client, gzip.compress(body)[:-9], 400, "the gzip body ends too early", HTTP_CONTENT_ENCODING="gzip")
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    status, answer = publish(client, bomb, HTTP_CONTENT_ENCODING="gzip")
    assert (status, answer["message"].endswith("publish less at once")) == (413, True)


def test_get_is_no_way_to_publish(client):
    assert client.get("/api/live/publish").status_code == 405


def test_large_bodies(client, room, settings):
    settings.LIVE = {**settings.LIVE, "MAX_MESSAGE_SIZE": 1024}
    most = "x" * (16 * 1024 - len(orjson.dumps({"channel": room, "data": ""})))

    assert publish(client, {"channel": room, "data": most})[0] == 200
    refused(
        client,
        {"channel": room, "data": most + "x"},
        413,
        "the body is larger than 16384 bytes; publish less at once",
    )


def test_publications_that_are_too_large_stop_their_list(client, room, settings):
    settings.LIVE = {**settings.LIVE, "MAX_PUBLICATION_SIZE": 1024}
    large = {"channel": room, "data": "x" * 1023}

    status, answer = publish(client, [{"channel": room, "data": "x"}, large])

    assert (status, answer["message"]) == (
        413,
        f"publication 2: publication to {room} has 1025 bytes, at most 1024 are allowed",
    )
    assert published(room) == []


# What is sent again


def test_what_is_sent_again_with_its_key_is_there_once(client, room):
    body = {"channel": room, "data": "a", "idempotency_key": "k" * 160}

    first = publish(client, body)
    assert first[0] == 200
    assert publish(client, body) == first
    # In a list too, and another key is another publication.
    assert publish(client, [body, {**body, "idempotency_key": "2"}])[1] == [first[1], {**first[1], "offset": 2}]
    assert published(room) == ["A", "A"]


def test_without_history_a_key_does_nothing(client, stream_id):
    body = {"channel": f"grafana/broadcast/{stream_id}", "data": 1, "idempotency_key": "k"}

    assert publish(client, body) == publish(client, body) == (200, {})


@pytest.mark.parametrize("key", [None, 1, "", "k" * 161, ["k"]])
def test_keys_that_are_none(client, room, key):
    body = {"channel": room, "data": "x", "idempotency_key": key}

    refused(client, body, 400, "idempotency_key has to be a text of 1 to 160 characters")
    refused(client, [body], 400, "publication 1: idempotency_key has to be a text of 1 to 160 characters")
    assert published(room) == []


# Lists


def test_a_list_is_answered_with_a_list(client, room, stream_id):
    broadcast = f"grafana/broadcast/{stream_id}"
    entries = [(room, "a"), (broadcast, {"x": 1}), (room, "b")]

    status, answer = publish(client, [{"channel": channel, "data": data} for channel, data in entries])

    assert status == 200
    epoch = answer[0]["epoch"]
    assert answer == [{"offset": 1, "epoch": epoch}, {}, {"offset": 2, "epoch": epoch}]
    assert published(room) == ["A", "B"]
    assert last_value(broadcast) == {"x": 1}


def test_an_empty_list_publishes_nothing(client):
    assert publish(client, []) == (200, [])


def test_at_most_a_hundred(client, room):
    entry = {"channel": room, "data": "x"}

    assert len(publish(client, [entry] * 100)[1]) == 100
    refused(client, [entry] * 101, 400, "a list holds at most 100 publications, this one 101")


def test_an_engine_that_goes_down_in_the_middle_is_told(client, room, monkeypatch):
    async def failing(self, drafts):
        raise live.EngineUnavailable("gone")

    monkeypatch.setattr(Node, "publish_many", failing)

    refused(client, [{"channel": room, "data": "x"}] * 4, 503, "some of the 4 may have been published: gone")


def test_visitors_where_the_project_says_that_they_are_none(db, settings, room):
    settings.REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}

    refused(client_with(), {"channel": room, "data": "x"}, 403, "Forbidden")


def test_the_url_has_a_name():
    assert reverse("live:publish") == "/api/live/publish"
