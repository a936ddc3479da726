"""The push WebSocket without a server: what it does when time passes, the engine is away, or too much comes in."""

import asyncio

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
    monkeypatch.setattr(push_consumer.time, "monotonic", lambda: now)

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
