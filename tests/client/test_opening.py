"""Between the handshake and the connect command: what is done to a user, or to a session, concerns its sockets too."""

import asyncio
import json
import time

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from live import login
from live.asgi import live_application
from live.client import Client
from live.node import clients as clients_module
from live.node import runtime
from live.node.control import ControlMessage, session_digest
from live.session_checks import check_clients
from tests.client.rooms import NOTHING, USER, Peer
from tests.peers import Socket, until

CONNECT = {"id": 1, "connect": {}}

LOGGED_OUT = ControlMessage("disconnect", session=session_digest("s"), code=3011, reason="logged out")
THROWN_OUT = ControlMessage("disconnect", ("7",), code=3503, reason="go")
OTHERS = [
    ControlMessage("disconnect", ("8",), code=3503),
    ControlMessage("disconnect", session=session_digest("other"), code=3011),
    ControlMessage("unsubscribe", ("7",), channel="room/a/b"),
]


class Late(Peer):
    """A client that is made when its session was read a while ago."""

    def __init__(self, node, asked_at, user=USER):
        self.socket = Socket()
        self.client = Client(node, user, self.socket.send, session_key="s", asked_at=asked_at)
        self.sent = 0


@pytest.mark.parametrize(("message", "end"), [(LOGGED_OUT, (3011, "logged out")), (THROWN_OUT, (3503, "go"))])
async def test_who_is_ended_before_it_connects_never_connects(make_peer, message, end):
    peer = await make_peer(connect=False)
    node = peer.client.node
    await node.control(message)
    peer.send(CONNECT)
    assert await peer.closing() == end
    assert not any("connect" in told for told in peer.told)
    assert len(node.clients) == 0
    await peer.gone()
    assert node.stats() == NOTHING


async def test_who_is_not_meant_connects(make_peer):
    peer = await make_peer(connect=False)
    for message in OTHERS:
        await peer.client.node.control(message)
    assert "connect" in await peer.connect()


async def test_only_who_has_connected_counts(make_peer, make_node):
    node = await make_node(max_connections=1)
    first, second = await make_peer(node, connect=False), await make_peer(node, connect=False)
    assert (len(node.clients), node.stats().clients, node.stats().opening) == (0, 0, 2)
    assert node.report().clients == 0
    assert "connect" in await first.connect()
    assert (node.stats().clients, node.stats().opening) == (1, 1)
    second.send(CONNECT)
    assert await second.closing() == (4001, "connection limit")
    await second.gone()
    assert (node.stats().clients, node.stats().opening) == (1, 0)
    # Draining waits for those who are connected, and the others are told when they try.
    third = await make_peer(node, connect=False)
    await first.gone()
    await node.drain(0)
    assert third.socket.close is None
    third.send(CONNECT)
    assert await third.closing() == (3001, "shutdown")


@pytest.mark.django_db(transaction=True)
async def test_a_recheck_reads_the_user_of_who_is_about_to_connect(make_peer):
    user = await User.objects.acreate(username="ann")
    peer, other = await make_peer(user=user, connect=False), await make_peer(connect=False)
    await sync_to_async(User.objects.filter(pk=user.pk).update)(is_active=False)
    await peer.client.node.control(ControlMessage("recheck", (str(user.pk),)))
    assert await peer.closing() == (3011, "force reconnect")
    assert other.socket.close is None


@pytest.mark.django_db(transaction=True)
async def test_a_session_that_is_found_to_have_ended_ends_who_is_about_to_connect(make_peer):
    peer = await make_peer(connect=False)
    await check_clients(peer.client.node)
    assert await peer.closing() == (3011, "session ended")


@pytest.mark.django_db(transaction=True)
async def test_a_logout_while_the_session_is_read_counts(monkeypatch):
    """As the application passes it on: from before the lookup until there is a client."""
    node, loop = await runtime.serve(), asyncio.get_running_loop()

    def read(keys):
        asyncio.run_coroutine_threadsafe(node.control(LOGGED_OUT), loop).result(30)
        return dict.fromkeys(keys, USER)

    monkeypatch.setattr(login, "read_users", read)
    socket, events = Socket(), asyncio.Queue()
    for event in ({"type": "websocket.connect"}, {"type": "websocket.receive", "text": json.dumps(CONNECT)}):
        events.put_nowait(event)
    scope = {"type": "websocket", "path": "/api/live/ws", "headers": [(b"cookie", b"sessionid=s")], "query_string": b""}
    task = asyncio.create_task(live_application()(scope, events.get, socket.send))
    try:
        await socket.until(lambda: socket.close)
        assert (socket.close["code"], socket.close["reason"]) == (3011, "logged out")
        assert not any("connect" in told for told in socket.replies)
    finally:
        events.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await task
        assert node.stats() == NOTHING
        await runtime.stop_serving()


@pytest.mark.parametrize("message", [LOGGED_OUT, THROWN_OUT])
async def test_a_message_that_came_while_the_session_was_read_counts(node, room, message):
    asked_at = time.monotonic()
    await node.control(message)
    peer = Late(node, asked_at)
    peer.send(CONNECT)
    assert (await peer.closing())[0] == message.code
    await peer.gone()
    # One from before: the database had said it all.
    back = Late(node, time.monotonic())
    assert "connect" in await back.connect()
    await back.gone()
    assert node.stats() == NOTHING


@pytest.mark.django_db(transaction=True)
async def test_a_recheck_that_came_while_the_session_was_read_counts(node, room):
    asked_at = time.monotonic()
    user = await User.objects.acreate(username="ann")
    await sync_to_async(User.objects.filter(pk=user.pk).update)(is_active=False)
    await node.control(ControlMessage("recheck"))
    peer = Late(node, asked_at, user)
    await peer.connect()
    assert await peer.closing() == (3011, "force reconnect")
    await peer.gone()


async def test_others_messages_meanwhile_do_no_harm_and_too_many_to_remember_are_not_ignored(node, room):
    asked_at = time.monotonic()
    for message in OTHERS:
        await node.control(message)
    peer = Late(node, asked_at)
    assert "connect" in await peer.connect()
    for _ in range(clients_module.MAX_RECENT + 1):
        await node.control(OTHERS[0])
    assert peer.socket.close is None
    late = Late(node, asked_at)
    assert await late.closing() == (3011, "force reconnect")
    for each in (peer, late):
        await each.gone()
    await until(lambda: node.stats() == NOTHING)
