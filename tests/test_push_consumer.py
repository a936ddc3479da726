"""The push WebSocket without a server: what it does when time passes, the engine is away, or too much comes in."""

import asyncio
from types import SimpleNamespace

import orjson
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.backends.db import SessionStore
from rest_framework.authtoken.models import Token

import live
from live import push_consumer
from live.api.authentication import recent_tokens
from live.asgi import live_application
from live.handlers.registry import unregister
from live.handlers.stream import StreamHandler
from live.node import runtime
from tests.test_asgi import CONNECT, DISCONNECT, Connection, scope

pytestmark = pytest.mark.django_db(transaction=True)

LINE = "cpu x=1"


@pytest.fixture(autouse=True)
async def clean():
    recent_tokens.clear()
    yield
    recent_tokens.clear()
    await runtime.stop_serving()


@pytest.fixture
def pusher():
    user = User.objects.create_user("pusher")
    user.user_permissions.add(Permission.objects.get(codename="push", content_type__app_label="live"))
    return user


@pytest.fixture
def token(pusher):
    return Token.objects.create(user=pusher)


def message(body):
    return {"type": "websocket.receive", "bytes": body.encode()}


def connect(stream_id, *bodies, token=None, headers=(), query=b""):
    """A connection that sends these bodies first."""
    headers = [*headers, *([(b"authorization", f"Bearer {token.key}".encode())] if token else [])]
    handshake = scope(f"/api/live/push/{stream_id}", headers=headers, query_string=query)
    return Connection(live_application(), handshake, CONNECT, *map(message, bodies))


async def told(connection, count):
    """The error lines, when there are `count`."""
    await connection.socket.until(lambda: len(connection.socket.events) > count)
    return [orjson.loads(event["text"]) for event in connection.socket.events[1 : count + 1]]


async def end(connection):
    connection.events.put_nowait(DISCONNECT)
    await connection.task


class DownHandler(StreamHandler):
    """The engine cannot be reached, until it can."""

    @property
    def options(self):
        raise live.EngineUnavailable


async def test_an_engine_that_is_away_is_told_and_the_socket_stays(token):
    live.register("stream", "away", DownHandler)
    try:
        connection = connect("away", LINE, LINE, token=token)
        assert await told(connection, 2) == [{"message": "live is not available now, try again later"}] * 2
        await end(connection)
    finally:
        unregister("stream", "away")


async def test_a_limit_of_the_project_counts_here_too(token, settings):
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"live-push": "2/min"}}
    connection = connect("often", LINE, LINE, LINE, token=token)
    (line,) = await told(connection, 1)
    assert "throttled" in line["message"]
    await end(connection)


async def test_a_token_that_is_gone_ends_the_connection(token, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(recent_tokens, "_clock", lambda: now)
    connection = connect("revoked", "bad", token=token)
    await told(connection, 1)
    await token.adelete()
    now += 5
    connection.events.put_nowait(message(LINE))
    await connection.socket.until(lambda: connection.socket.close)
    assert connection.socket.close["code"] == 4403
    assert "token" in orjson.loads(connection.socket.events[-2]["text"])["message"].lower()
    await end(connection)


async def test_a_session_that_is_logged_out_ends_the_connection(pusher, monkeypatch):
    now = 1000.0
    # Its own clock: everybody else's goes on.
    monkeypatch.setattr(push_consumer, "time", SimpleNamespace(monotonic=lambda: now))

    def log_in():
        session = SessionStore()
        session["_auth_user_id"] = str(pusher.pk)
        session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
        session["_auth_user_hash"] = pusher.get_session_auth_hash()
        session.create()
        return session

    session = await sync_to_async(log_in)()
    connection = connect("session", "bad", headers=[(b"cookie", f"sessionid={session.session_key}".encode())])
    await told(connection, 1)
    now += 5
    connection.events.put_nowait(message("bad"))
    assert len(await told(connection, 2)) == 2
    await sync_to_async(session.flush)()
    now += 4
    connection.events.put_nowait(message("bad"))
    assert len(await told(connection, 3)) == 3
    now += 1
    connection.events.put_nowait(message("bad"))
    await connection.socket.until(lambda: connection.socket.close)
    assert connection.socket.close["code"] == 4403
    await end(connection)


async def test_too_much_that_waits_ends_the_connection_with_1013(token, settings):
    settings.LIVE = {"PUSH_MAX_BYTES": 2000}
    # Nothing is given a chance to be published before all of it is there.
    connection = connect("fast", *[f"cpu x={number}\n" * 20 for number in range(20)], token=token)
    await connection.socket.until(lambda: connection.socket.close)
    assert connection.socket.close["code"] == 1013
    await connection.task


# A node that stops


@pytest.fixture
def held(monkeypatch):
    """Publishing waits for `held.go`; `held.begun` says that it does. Who leaves has time for all that waits."""
    monkeypatch.setattr(push_consumer, "LEAVE_SECONDS", 60.0)
    held = SimpleNamespace(begun=asyncio.Event(), go=asyncio.Event())
    publish = push_consumer.publish_push

    async def wait(push):
        held.begun.set()
        await held.go.wait()
        await publish(push)

    monkeypatch.setattr(push_consumer, "publish_push", wait)
    return held


def codes(connection):
    return [event["code"] for event in connection.socket.events if event["type"] == "websocket.close"]


async def accepted(connection):
    """The node, when the connection is open."""
    await connection.types(1)
    return runtime.current_node()


async def test_a_sender_that_sends_nothing_is_closed_at_once(token):
    connection = connect("idle", token=token)
    node = await accepted(connection)
    assert len(node.senders) == 1
    node.senders.leave_all()
    await connection.socket.until(lambda: connection.socket.close)
    assert codes(connection) == [1001]
    await end(connection)
    assert len(node.senders) == 0


async def test_what_came_before_is_answered_and_what_comes_after_published(token, held):
    connection = connect("busy", LINE, "bad", LINE, "worse", token=token)
    node = await accepted(connection)
    await held.begun.wait()
    node.senders.leave_all()
    node.senders.leave_all()
    held.go.set()
    await connection.socket.until(lambda: connection.socket.close)
    kinds = [event["type"] for event in connection.socket.events]
    assert kinds == ["websocket.accept", "websocket.send", "websocket.send", "websocket.close"]
    assert codes(connection) == [1001]
    # It was on its way when the close was; an error finds nobody to tell.
    connection.events.put_nowait(message("m x=1\nm x=2"))
    connection.events.put_nowait(message("bad"))
    await end(connection)
    assert node.counters.push_lines == {"accepted": 4, "rejected": 3}
    assert len(connection.socket.events) == len(kinds)


async def test_a_sender_that_never_pauses_is_closed_all_the_same(token, held, monkeypatch):
    monkeypatch.setattr(push_consumer, "LEAVE_SECONDS", 0.0)
    connection = connect("restless", LINE, LINE, "bad", token=token)
    node = await accepted(connection)
    await held.begun.wait()
    node.senders.leave_all()
    held.go.set()
    await connection.socket.until(lambda: connection.socket.close)
    assert codes(connection) == [1001]
    await end(connection)
    assert node.counters.push_lines == {"accepted": 2, "rejected": 1}


async def test_a_sender_whose_login_ends_with_the_drain_hears_one_code(token, held):
    connection = connect("both", LINE, LINE, token=token)
    node = await accepted(connection)
    await held.begun.wait()
    recent_tokens.clear()
    await token.adelete()
    node.senders.leave_all()
    held.go.set()
    await connection.socket.until(lambda: connection.socket.close)
    assert codes(connection) == [4403]
    await end(connection)


@pytest.mark.parametrize("gone", [False, True])
async def test_a_handshake_that_outlasts_the_node_is_refused(token, monkeypatch, gone):
    check = push_consumer.may_push

    async def slow(user, stream_id):
        node = runtime.current_node()
        await (runtime.stop_serving() if gone else node.drain(0))
        return await check(user, stream_id)

    monkeypatch.setattr(push_consumer, "may_push", slow)
    connection = connect("late", token=token)
    await connection.socket.until(lambda: connection.socket.close)
    await end(connection)
    assert [event["type"] for event in connection.socket.events] == (
        ["websocket.accept", "websocket.close"] if gone else ["websocket.close"]
    )
    assert (runtime.current_node() is None) == gone


async def test_an_engine_that_is_away_counts_the_lines_as_not_published(token):
    live.register("stream", "lost", DownHandler)
    try:
        connection = connect("lost", "a x=1\nb x=1\n\n# three\nc x=1", token=token)
        node = await accepted(connection)
        await told(connection, 1)
        assert node.counters.push_lines["rejected"] == 3
        await end(connection)
    finally:
        unregister("stream", "lost")


async def test_a_failure_of_ours_is_not_hidden(token, monkeypatch):
    async def broken(push):
        raise RuntimeError("ours")

    monkeypatch.setattr(push_consumer, "publish_push", broken)
    connection = connect("broken", LINE, token=token)
    with pytest.raises(ExceptionGroup) as caught:
        await connection.task
    assert caught.group_contains(RuntimeError, match="ours")


async def test_a_failure_of_ours_in_the_handshake_is_not_hidden(token, monkeypatch):
    async def broken(user, stream_id):
        raise RuntimeError("ours")

    monkeypatch.setattr(push_consumer, "may_push", broken)
    with pytest.raises(RuntimeError, match="ours"):
        await connect("broken", LINE, token=token).task


async def test_a_server_that_ends_the_application_ends_its_work(token):
    connection = connect("cancelled", "bad", token=token)
    await told(connection, 1)
    connection.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connection.task
