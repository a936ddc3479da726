"""``GET list``: the active channels, only those the caller may subscribe to."""

import asyncio
import contextlib
import threading

import orjson
import pytest
from django.core.management import call_command
from django.urls import reverse
from rest_framework.authtoken.models import Token

import live
from live.handlers import ChannelHandler, offers
from live.handlers.registry import unregister
from live.models import Permissions
from live.plugins.failures import Failures
from live.publishing import run
from tests.peers import eventually

from .conftest import client_with, push


def listed(client, stream_id):
    """The entries of this test's channels."""
    response = client.get("/api/live/list")
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    return [entry for entry in orjson.loads(response.content)["channels"] if stream_id in entry["channel"]]


def test_streams_are_listed_with_rate_and_schema(client, stream_id):
    for body in ("mem used=1", "mem used=1\ncpu x=1", "mem used=3"):
        push(client, stream_id, body)

    assert listed(client_with(), stream_id) == [
        {
            "channel": f"stream/{stream_id}/{path}",
            "minute_rate": rate,
            "subscribers": 0,
            "data": {
                "schema": {
                    "name": path,
                    "fields": [
                        {"name": "labels", "type": "string", "typeInfo": {"frame": "string"}},
                        {"name": "time", "type": "time", "typeInfo": {"frame": "time.Time"}},
                        {"name": field, "type": "number", "typeInfo": {"frame": "float64", "nullable": True}},
                    ],
                }
            },
        }
        for path, rate, field in (("cpu", 1, "x"), ("mem", 3, "used"))
    ]


def test_the_whole_list_is_sorted(client, stream_id):
    push(client, stream_id, "b x=1\na x=1\nc x=1\nB x=1")

    names = [entry["channel"] for entry in orjson.loads(client.get("/api/live/list").content)["channels"]]
    assert names == sorted(names)
    assert len(names) >= 4


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("stream/{}/", ["stream/{}/a", "stream/{}/b/c"]),
        ("stream/{}/b", ["stream/{}/b/c"]),
        ("stream/{}/b/c", ["stream/{}/b/c"]),
        ("", ["stream/{}/a", "stream/{}/b/c"]),
        ("tream/{}/a", []),
        ("no channel begins so%00\u00e9", []),
        ("x" * 500, []),
    ],
)
def test_only_those_with_the_prefix(client, stream_id, prefix, expected):
    push(client, stream_id, "a x=1\nb/c x=1")

    response = client.get("/api/live/list", {"prefix": prefix.format(stream_id)})

    assert response.status_code == 200
    names = [entry["channel"] for entry in orjson.loads(response.content)["channels"]]
    assert [name for name in names if stream_id in name] == [name.format(stream_id) for name in expected]
    assert prefix == "" or len(names) == len(expected)


def test_channels_without_frames_have_no_data(db, stream_id):
    live.publish(f"grafana/broadcast/{stream_id}", {"hello": "world"})

    assert listed(client_with(), stream_id) == [
        {"channel": f"grafana/broadcast/{stream_id}", "minute_rate": 1, "subscribers": 0}
    ]


class StaffHandler(ChannelHandler):
    """Channels for the staff; some do not exist."""

    keep_last = True

    async def can_subscribe(self, user, channel, data):
        if channel.path.endswith("gone"):
            raise live.NotFound
        return user.is_authenticated and user.username == "pusher"


@pytest.fixture
def staff_scope(stream_id):
    """A scope that only the pusher may subscribe to."""
    live.register("staff", None, StaffHandler)
    yield "staff"
    unregister("staff")


def test_only_what_the_caller_may_subscribe_to(client, user, stream_id, staff_scope):
    live.publish(f"staff/room/{stream_id}", 1)
    live.publish(f"staff/room/{stream_id}/gone", 1)
    other = client_with(f"Token {Token.objects.create(user=user).key}")

    assert [entry["channel"] for entry in listed(client, stream_id)] == [f"staff/room/{stream_id}"]
    assert listed(other, stream_id) == []
    assert listed(client_with(), stream_id) == []


class DownHandler(ChannelHandler):
    """Cannot say who may."""

    async def can_subscribe(self, user, channel, data):
        raise live.EngineUnavailable("away")


def test_what_cannot_be_decided_now_is_not_left_out(client, stream_id):
    live.register("down", None, DownHandler)
    channel = f"down/room/{stream_id}"
    try:
        assert client.get("/api/live/list").status_code == 200
        live.publish(channel, 1)
        response = client.get("/api/live/list")
        assert (response.status_code, response["Retry-After"]) == (503, "5")
        assert client.get(f"/api/live/list?prefix=stream/{stream_id}").status_code == 200
    finally:
        unregister("down")


class RoomHandler(ChannelHandler):
    """Answers as the end of the path says."""

    async def can_subscribe(self, user, channel, data):
        match channel.path.rpartition("/")[2]:
            case "raises":
                return int(channel.path) > 0
            case "cancels":
                raise asyncio.CancelledError
            case "blocks":
                live.publish(channel, "in place of apublish")
            case "hangs":
                await asyncio.Event().wait()
            case "waits":
                ASKED.append(ASKED[-1] + 1 if ASKED else 1)
                await asyncio.sleep(0.001)
                ASKED.append(ASKED[-1] - 1)
            case "stubborn":
                while not FREE.is_set():
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.sleep(0.01)
        return True


FREE = threading.Event()
ASKED = []
"""How many questions were open, each time that changed."""


@pytest.fixture
def rooms(stream_id, monkeypatch):
    """Makes channels of that handler active, by the ends of their paths; gives the beginning of their names."""
    live.register("rooms", None, RoomHandler)
    monkeypatch.setattr(offers, "_failures", Failures(offers.logger))
    FREE.clear()

    def make(*ends):
        live.publish_many([(f"rooms/{stream_id}/{end}", 1) for end in ends])
        return f"rooms/{stream_id}/"

    yield make
    FREE.set()
    run(no_question_open)
    unregister("rooms")


async def no_question_open():
    await eventually(lambda: not offers._late)


def ends(client, prefix):
    response = client.get("/api/live/list", {"prefix": prefix})
    assert response.status_code == 200, response.content
    return [entry["channel"].removeprefix(prefix) for entry in orjson.loads(response.content)["channels"]]


@pytest.mark.parametrize("wrong", ["raises", "cancels", "blocks"])
def test_a_mistake_of_a_handler_costs_only_its_channel(client, rooms, wrong, caplog):
    prefix = rooms("a", "z", *[f"{number}/{wrong}" for number in range(3 * offers.ASKED_AT_ONCE)])
    assert ends(client, prefix) == ["a", "z"]
    assert "could not be found out" in caplog.text
    assert len([record for record in caplog.records if record.name == "live.api"]) == 1


@pytest.mark.parametrize("slow", ["hangs", "stubborn"])
def test_a_handler_that_does_not_answer_holds_nobody_up(client, rooms, stream_id, slow, monkeypatch, caplog):
    monkeypatch.setattr(offers, "ASK_SECONDS", 1.0)
    live.publish(f"stream/{stream_id}/x", 1)
    prefix = rooms("a", slow)
    assert ends(client, prefix) == ["a"]
    assert "channels are not listed that did not answer within 1 s" in caplog.text
    live.publish_many([(f"{prefix}{number}/{slow}", 1) for number in range(3 * offers.ASKED_AT_ONCE)])
    assert f"stream/{stream_id}/x" in ends(client, "")


def test_so_many_questions_are_open_at_once(client, rooms):
    ASKED.clear()
    prefix = rooms(*[f"{number}/waits" for number in range(200)])
    assert len(ends(client, prefix)) == 200
    assert max(ASKED) == offers.ASKED_AT_ONCE


def test_of_too_many_channels_the_first_are_listed(client, rooms, monkeypatch):
    monkeypatch.setattr(offers, "ASK_SECONDS", 0.5)
    monkeypatch.setattr(offers, "ASKED_AT_ONCE", 1)
    prefix = rooms(*[f"{number:04}/waits" for number in range(2000)])
    found = ends(client, prefix)
    assert 0 < len(found) < 2000
    assert found == [f"{number:04}/waits" for number in range(len(found))]


def test_a_handler_that_never_comes_back_is_not_asked_for_ever(client, rooms, monkeypatch, caplog):
    monkeypatch.setattr(offers, "ASK_SECONDS", 0.5)
    monkeypatch.setattr(offers, "MAX_LATE", 3)
    prefix = rooms("a", "0/stubborn", "1/stubborn", "2/stubborn", "3/stubborn")
    ends(client, prefix)
    assert len(offers._late) == 3
    assert ends(client, prefix) == []
    assert "RoomHandler are not listed, it does not come back from 3 questions" in caplog.text
    FREE.set()
    run(no_question_open)
    assert len(ends(client, prefix)) == 5


def test_channels_nobody_answers_for_any_more(client, stream_id):
    live.register("staff", None, StaffHandler)
    live.publish(f"staff/room/{stream_id}", 1)
    unregister("staff")

    assert listed(client, stream_id) == []


def test_visitors_only_where_they_are_allowed(db, settings):
    settings.LIVE = {"ALLOW_ANONYMOUS": False}

    response = client_with().get("/api/live/list")

    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Token ")
    assert orjson.loads(response.content) == {"message": "Authentication credentials were not provided."}


def test_users_may_always(client, user, settings):
    settings.LIVE = {"ALLOW_ANONYMOUS": False}
    browser = client_with()
    browser.force_login(user)

    assert client.get("/api/live/list").status_code == 200
    assert browser.get("/api/live/list").status_code == 200


def test_visitors_where_the_project_says_that_they_are_none(db, settings):
    settings.REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}

    assert client_with().get("/api/live/list").status_code == 200


def test_the_url_has_a_name():
    assert reverse("live:list") == "/api/live/list"


# The holder of the permission


@pytest.mark.django_db
def test_the_holder_of_permissions_has_no_rows_and_no_table():
    assert list(Permissions.objects.all()) == []
    assert str(Permissions()) == "permissions of live"


@pytest.mark.django_db
def test_dumpdata_does_not_look_for_its_table(capsys):
    call_command("dumpdata", "live")

    assert capsys.readouterr().out.strip() == "[]"


@pytest.mark.django_db
def test_the_migration_is_complete():
    call_command("makemigrations", "live", check=True, dry_run=True, verbosity=0)


def test_the_permission_comes_with_migrate(pusher, user):
    assert pusher.has_perm("live.push")
    assert not user.has_perm("live.push")
