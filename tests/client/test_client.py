"""One client's session against a real node: the protocol's answers, the limits, and what is left afterwards."""

import asyncio
import itertools
import json

import pytest
from django.contrib.auth.models import AnonymousUser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import live
from live.client import client as client_module
from live.conf import LiveSettings
from live.handlers.registry import unregister
from live.node import node as node_module
from live.node import outbox
from live.store import ChannelOptions
from tests.client.rooms import NOTHING, Peer, Room, subscribe
from tests.peers import until


async def test_connect_tells_id_version_and_pings(make_peer):
    peer = await make_peer(connect=False)
    reply = await peer.connect()
    assert reply["connect"].pop("version").startswith("live")
    assert reply == {"id": 1, "connect": {"client": peer.client.id, "ping": 25, "pong": True}}


async def test_a_pipelined_session_is_answered_in_order(make_peer):
    peer = await make_peer(connect=False)
    replies = await peer.ask({"id": 1, "connect": {}}, subscribe(2, "room/a/b"), {"id": 3, "rpc": {}})
    assert [reply["id"] for reply in replies] == [1, 2, 3]


async def test_subscribe_publish_unsubscribe(make_peer):
    peer = await make_peer()
    (reply,) = await peer.ask(subscribe(2, "room/a/b"))
    assert set(reply["subscribe"]) == {"epoch", "positioned", "recoverable"}
    peer.send({"id": 3, "publish": {"channel": "room/a/b", "data": {"x": 1}}})
    await peer.socket.until(lambda: len(peer.socket.replies) == 4)
    push, reply = peer.socket.replies[2:]
    info = {"user": "7", "client": peer.client.id}
    assert push["push"]["channel"] == "room/a/b"
    assert push["push"]["pub"]["data"] == {"x": 1}
    assert push["push"]["pub"]["info"] == info
    assert push["push"]["pub"]["offset"] == 1
    assert reply == {"id": 3, "publish": {}}
    peer.sent = 4
    assert await peer.ask({"id": 4, "unsubscribe": {"channel": "room/a/b"}}) == [{"id": 4, "unsubscribe": {}}]
    assert peer.client.node.stats().channels == 0


async def test_initial_data_is_the_handlers_or_the_last_value(make_peer):
    peer = await make_peer()
    await peer.client.node.publish(live.Channel("room", "a", "b"), b'"last"', Room().options)
    first, second = await peer.ask(subscribe(2, "room/a/b"), subscribe(3, "room/a/c", data=[1]))
    assert (first["subscribe"]["data"], first["subscribe"]["offset"]) == ("last", 1)
    assert second["subscribe"]["data"] == {"asked": [1]}


async def test_history_tells_what_was_published(make_peer):
    peer = await make_peer()
    channel = live.Channel("room", "a", "b")
    for value in (b"1", b"2", b"3"):
        await peer.client.node.publish(channel, value, Room().options)

    async def history(**fields):
        return (await peer.ask({"id": 2, "history": {"channel": str(channel), **fields}}))[0]["history"]

    top = await history()
    assert (top["publications"], top["offset"]) == ([], 3)
    everything = await history(limit=-1)
    assert [p["data"] for p in everything["publications"]] == [1, 2, 3]
    assert everything["epoch"] == top["epoch"]
    since = {"offset": 1, "epoch": top["epoch"]}
    assert [p["offset"] for p in (await history(limit=1, since=since))["publications"]] == [2]
    assert [p["offset"] for p in (await history(limit=-1, reverse=True))["publications"]] == [3, 2, 1]
    assert [p["offset"] for p in (await history(limit=9, since={"offset": 3}, reverse=True))["publications"]] == [2, 1]
    assert peer.client.node.stats().channels == 0


async def test_a_reply_to_history_is_bounded(make_peer, monkeypatch):
    monkeypatch.setattr(node_module, "MAX_BYTES", 1000)
    monkeypatch.setattr(node_module, "MAX_PUBLICATIONS", 4)
    peer = await make_peer()
    options = ChannelOptions(history_size=100)

    async def offsets(path, size):
        channel = live.Channel("room", "a", path)
        for _ in range(9):
            await peer.client.node.publish(channel, b'"%s"' % (b"x" * size), options)
        (reply,) = await peer.ask({"id": 2, "history": {"channel": str(channel), "limit": -1}})
        return [publication["offset"] for publication in reply["history"]["publications"]]

    assert await offsets("small", 10) == [1, 2, 3, 4]
    assert await offsets("medium", 400) == [1, 2]
    assert await offsets("large", 5000) == [1]


async def test_a_handler_may_change_what_is_published(make_peer):
    peer = await make_peer()
    await peer.ask(subscribe(2, "room/a/clean"))
    peer.send({"id": 3, "publish": {"channel": "room/a/clean", "data": None}})
    await peer.socket.until(lambda: len(peer.socket.replies) == 4)
    assert peer.socket.replies[2]["push"]["pub"]["data"] == {"said": None}


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (subscribe(9, ""), 400, "name is empty"),
        (subscribe(9, "a/b"), 400, "path missing"),
        (subscribe(9, "a/b/%"), 400, "path holds '%'"),
        (subscribe(9, "a/b/" + "c" * 200), 400, "at most 160"),
        (subscribe(9, "nobody/home/x"), 102, "nobody/home"),
        (subscribe(9, "room/a/secret"), 403, "Forbidden"),
        (subscribe(9, "room/a/missing"), 404, "Not Found"),
        (subscribe(9, "room/a/broken"), 100, "internal server error"),
        (subscribe(9, "room/a/broken-initial"), 100, "internal server error"),
        (subscribe(9, "room/a/b", type=1), 107, "type 0"),
        (subscribe(9, "room/a/twice"), 105, "already subscribed"),
        ({"id": 9, "publish": {"channel": "room/a/readonly", "data": 1}}, 403, "Forbidden"),
        ({"id": 9, "publish": {"channel": "room/a/b", "data": "bad"}}, 107, "no bad words"),
        ({"id": 9, "publish": {"channel": "room/a/b"}}, 107, "without data"),
        ({"id": 9, "publish": {"channel": "%", "data": 1}}, 400, "invalid channel"),
        ({"id": 9, "presence": {"channel": "room/a/b"}}, 108, "not available"),
        ({"id": 9, "presence_stats": {"channel": "room/a/b"}}, 108, "not available"),
        ({"id": 9, "history": {"channel": "grafana/broadcast/x"}}, 108, "not available"),
        ({"id": 9, "history": {"channel": "room/a/secret"}}, 403, "Forbidden"),
        ({"id": 9, "history": {"channel": "room/a/missing"}}, 404, "Not Found"),
        ({"id": 9, "history": {"channel": "%"}}, 400, "path missing"),
        ({"id": 9, "history": {"channel": "room/a/b", "since": {"epoch": "other"}}}, 112, "unrecoverable"),
        ({"id": 9, "history": {"channel": "room/a/b", "since": {}, "reverse": True}}, 107, "before offset 0"),
        ({"id": 9, "presence": {"channel": "lobby/a/secret"}}, 403, "Forbidden"),
        ({"id": 9, "presence": {"channel": "lobby/a/missing"}}, 404, "Not Found"),
        ({"id": 9, "presence": {"channel": "lobby/a/broken"}}, 100, "internal server error"),
        ({"id": 9, "presence": {"channel": "nobody/home/x"}}, 102, "unknown channel"),
        ({"id": 9, "presence": {}}, 400, "name is empty"),
        ({"id": 9, "presence_stats": {"channel": "lobby/a/secret"}}, 403, "Forbidden"),
        ({"id": 9, "presence_stats": {"channel": "nobody/home/x"}}, 102, "unknown channel"),
        (subscribe(9, "room/a/b", recover=True, offset=5, epoch="other", flag=2), 112, "unrecoverable position"),
        (subscribe(9, "street/a/b", recover=True, flag=3), 112, "unrecoverable position"),
        (subscribe(9, "room/a/b", tf={"key": "t", "cmp": "eq", "val": "x"}), 107, "tags"),
        (subscribe(9, "room/a/b", tf={}), 107, "tags"),
        ({"id": 9, "rpc": {"method": "x"}}, 108, "not available"),
        ({"id": 9, "refresh": {}}, 108, "not available"),
        ({"id": 9, "sub_refresh": {}}, 108, "not available"),
    ],
)
async def test_errors_have_their_code_and_the_session_goes_on(make_peer, command, code, message):
    peer = await make_peer()
    await peer.ask(subscribe(2, "room/a/twice"))
    (reply,) = await peer.ask(command)
    assert reply["id"] == 9
    assert reply["error"]["code"] == code
    assert message in reply["error"]["message"]
    assert (await peer.ask({"id": 10, "unsubscribe": {"channel": "room/a/twice"}}))[0] == {"id": 10, "unsubscribe": {}}
    assert peer.client.node.stats().channels == 0


async def test_data_nested_too_deeply_leaves_nothing(make_peer):
    peer = await make_peer()
    data = json.loads("[" * 300 + "]" * 300)
    assert (await peer.call("subscribe", "room/a/b", data=data))["code"] == 107
    assert peer.client.node.stats().channels == 0
    assert "epoch" in await peer.call("subscribe", "room/a/b")


@pytest.mark.parametrize("channel", ["room/a/b", "%", ""])
async def test_unsubscribing_is_never_an_error(make_peer, channel):
    peer = await make_peer()
    assert await peer.ask({"id": 2, "unsubscribe": {"channel": channel}}) == [{"id": 2, "unsubscribe": {}}]


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("hello", 3501, "invalid json"),
        ("", 3501, "empty message"),
        ('{"id":5,"ping":{}}', 3501, "unknown command"),
        ('{"subscribe":{"channel":"room/a/b"}}', 3501, "id missing"),
        ('{"id":2,"connect":{}}', 3501, "connected already"),
        ("{}", 3501, "unexpected pong"),
        ('{"send":{}}', 3508, "not available"),
        (b"\x00\x01", 3506, "binary message"),
    ],
)
async def test_violations_end_the_connection_with_their_reason(make_peer, message, code, reason):
    peer = await make_peer()
    peer.client.receive(message)
    assert await peer.closing() == (code, reason)
    peer.client.receive('{"id":3,"rpc":{}}')
    assert not peer.client.busy


async def test_connect_comes_first(make_peer):
    peer = await make_peer(connect=False)
    peer.send(subscribe(1, "room/a/b"))
    assert await peer.closing() == (3501, "connect first")


async def test_too_large_a_message_closes_with_1009(make_peer):
    peer = await make_peer(max_message_size=1024)
    assert "error" in (await peer.ask({"id": 2, "rpc": {"data": "x" * 900}}))[0]
    peer.client.receive("é" * 600)
    await peer.socket.until(lambda: peer.socket.close)
    assert peer.socket.close["code"] == 1009


async def test_anonymous_only_where_it_is_allowed(make_peer):
    peer = await make_peer(user=AnonymousUser(), connect=False)
    peer.send({"id": 1, "connect": {}})
    assert await peer.closing() == (3501, "no credentials")
    peer = await make_peer(user=AnonymousUser(), allow_anonymous=True)
    assert peer.client.user_id == ""


async def test_over_the_limit_of_connections_clients_are_told_to_come_back(make_peer, make_node):
    node = await make_node(max_connections=1)
    first = await make_peer(node)
    second = await make_peer(node, connect=False)
    second.send({"id": 1, "connect": {}})
    assert await second.closing() == (4001, "connection limit")
    await second.client.closed()
    await first.client.closed()
    await make_peer(node)


async def test_a_node_that_is_about_to_stop_takes_nobody(make_peer, make_node):
    node = await make_node()
    node.clients.draining = True
    peer = await make_peer(node, connect=False)
    peer.send({"id": 1, "connect": {}})
    assert await peer.closing() == (3001, "shutdown")
    assert not node.clients


async def test_a_socket_that_never_connects_is_closed(make_peer):
    peer = await make_peer(connect=False, connect_timeout=0.01)
    assert await peer.closing() == (4002, "connect timeout")


async def test_subscriptions_are_limited(make_peer):
    peer = await make_peer(max_subscriptions=2)
    replies = await peer.ask(*[subscribe(n, f"room/a/{n}") for n in range(2, 6)])
    assert [reply.get("error", {}).get("code") for reply in replies] == [None, None, 106, 106]
    await peer.ask({"id": 7, "unsubscribe": {"channel": "room/a/2"}})
    assert "subscribe" in (await peer.ask(subscribe(8, "room/a/8")))[0]


async def test_pings_are_sent_and_answered(make_peer):
    # The node's own pings are far away.
    peer = await make_peer(ping_interval=3600)
    peer.client.ping()
    await peer.socket.until(lambda: peer.socket.replies[-1] == {})
    peer.client.receive("{}")
    peer.client.check_pong()
    assert peer.socket.close is None
    peer.client.ping()
    peer.client.check_pong()
    assert await peer.closing() == (3012, "no pong")


async def test_no_pings_where_they_are_turned_off(make_peer):
    peer = await make_peer(connect=False, ping_interval=0)
    assert "ping" not in (await peer.connect())["connect"]
    assert peer.client._timer.cancelled()


async def test_a_pong_is_seen_while_a_handler_takes_its_time(make_peer, room):
    peer = await make_peer()
    peer.client.ping()
    peer.send(subscribe(2, "room/a/slow"))
    await room.entered.wait()
    peer.client.receive("{}")
    assert not peer.client.session.awaiting_pong
    room.gate.set()
    await peer.socket.until(lambda: peer.socket.replies[-1].get("id") == 2)


async def test_commands_that_wait_are_bounded(make_peer, room):
    peer = await make_peer(client_pending_max_bytes=4096)
    peer.send(subscribe(2, "room/a/slow"))
    await room.entered.wait()
    for number in range(3, 100):
        peer.send({"id": number, "rpc": {"data": "x" * 100}})
    assert await peer.closing() == (3013, "too many requests")
    assert peer.client._commands == type(peer.client._commands)()


async def test_a_client_that_reads_too_slowly_is_told_so(make_peer, monkeypatch):
    # It reads again in time, however long that takes here.
    monkeypatch.setattr(outbox, "CLOSE_TIMEOUT", 3600.0)
    peer = await make_peer(client_queue_max_bytes=8192, max_publication_size=4096)
    await peer.ask(subscribe(2, "room/a/b"))
    healthy = await make_peer(peer.client.node)
    await healthy.ask(subscribe(2, "room/a/b"))
    peer.socket.free.clear()
    for number in range(20):
        await peer.client.node.publish(live.Channel("room", "a", "b"), b'"%s"' % (b"x" * 1000), Room().options)
        await healthy.socket.until(lambda n=number: len(healthy.socket.replies) == n + 3)
    assert peer.client.session.closed
    peer.socket.free.set()
    assert await peer.closing() == (3008, "slow")


async def test_a_write_that_fails_ends_the_session(make_peer):
    peer = await make_peer()
    peer.socket.error = OSError("gone")
    peer.send({"id": 2, "rpc": {}})
    await until(lambda: peer.client.session.closed)


async def test_a_stream_that_began_anew_ends_the_subscription_with_2500(make_peer):
    peer = await make_peer()
    channel = live.Channel("room", "a", "b")
    await peer.client.node.publish(channel, b"1", Room().options)
    await peer.ask(subscribe(2, "room/a/b"))
    peer.client.unsubscribed(live.Channel("room", "a", "other"))
    await peer.client.node.store.close()
    peer.client.node.store._epoch = "another"
    await peer.client.node.publish(channel, b"1", Room().options)
    await peer.socket.until(lambda: len(peer.socket.replies) == 3)
    push = peer.socket.replies[2]["push"]
    assert push == {"channel": "room/a/b", "unsubscribe": {"code": 2500, "reason": "insufficient state"}}
    peer.send(subscribe(3, "room/a/b"))
    await peer.socket.until(lambda: peer.socket.replies[-1].get("id") == 3)
    assert "subscribe" in peer.socket.replies[-1]


async def test_a_stream_that_begins_anew_during_a_subscribe_is_a_temporary_error(make_peer, room):
    peer = await make_peer()
    other = await make_peer(peer.client.node)
    channel = live.Channel("room", "a", "restart")
    peer.send(subscribe(2, str(channel), data=1))
    await room.entered.wait()
    await other.client.node.store.close()
    other.client.node.store._epoch = "another"
    await other.client.node.publish(channel, b"1", Room().options)
    await until(lambda: peer.client.subscriptions._entries[channel].subscription.ended)
    room.gate.set()
    await peer.socket.until(lambda: peer.socket.replies[-1].get("id") == 2)
    assert peer.socket.replies[-1]["error"]["code"] == 100
    assert peer.socket.replies[-1]["error"]["temporary"] is True
    assert channel not in peer.client.subscriptions


async def test_when_the_socket_is_gone_nothing_is_left(make_peer, room):
    peer = await make_peer()
    node = peer.client.node
    await peer.ask(subscribe(2, "room/a/b"), subscribe(3, "room/a/c"))
    peer.send(subscribe(4, "room/a/slow"), subscribe(5, "room/a/d"))
    await room.entered.wait()
    await peer.gone()
    assert node.stats() == NOTHING
    await peer.gone()


async def test_a_handler_that_ignores_cancellation_is_left_behind(make_peer, room, monkeypatch, caplog):
    monkeypatch.setattr(client_module, "HANDLER_GRACE", 0.01)

    async def stubborn(user, channel, data):
        while not room.gate.is_set():
            try:
                room.entered.set()
                await room.gate.wait()
            except asyncio.CancelledError:
                continue
        return True

    monkeypatch.setattr(room, "can_subscribe", stubborn)
    peer = await make_peer()
    peer.send(subscribe(2, "room/a/b"))
    await room.entered.wait()
    worker = peer.client._worker
    await peer.client.closed()
    assert "ignores its cancellation" in caplog.text
    room.gate.set()
    await asyncio.wait([worker])
    await peer.client.closed()


async def test_a_handlers_mistake_is_logged_for_its_author_only(make_peer, caplog):
    peer = await make_peer()
    (reply,) = await peer.ask(subscribe(2, "room/a/broken"))
    assert "mistake" not in json.dumps(reply)
    assert "a handler's mistake" in caplog.text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=2)
)
channels = st.sampled_from(
    ["room/a/b", "room/a/c", "room/a/secret", "nobody/home/x", "%", "room/a/readonly", "room/a/broken"]
)
commands = st.one_of(
    st.fixed_dictionaries({"subscribe": st.fixed_dictionaries({"channel": channels, "data": json_values})}),
    st.fixed_dictionaries({"unsubscribe": st.fixed_dictionaries({"channel": channels})}),
    st.fixed_dictionaries({"publish": st.fixed_dictionaries({"channel": channels, "data": json_values})}),
    st.fixed_dictionaries({"rpc": st.just({})}),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(commands, min_size=1, max_size=20))
def test_any_sequence_of_commands_gets_one_answer_each_and_leaves_nothing(room, sequence):
    from channels.layers import InMemoryChannelLayer

    from live.node import Node
    from live.store import MemoryStore

    async def play():
        node = Node(settings=LiveSettings(), layer=InMemoryChannelLayer(), store=MemoryStore(max_channels=9, ttl=9))
        await node.start()
        peer = Peer(node)
        peer.send({"id": 1, "connect": {}}, *[{"id": n, **command} for n, command in enumerate(sequence, 2)])
        await peer.socket.until(lambda: any(r.get("id") == len(sequence) + 1 for r in peer.socket.replies))
        answers = [reply["id"] for reply in peer.socket.replies if "id" in reply]
        assert answers == list(range(1, len(sequence) + 2))
        offsets = {}
        for reply in peer.socket.replies:
            if "push" in reply and (offset := reply["push"]["pub"].get("offset")):
                offsets.setdefault(reply["push"]["channel"], []).append(offset)
        assert all(found == sorted(set(found)) for found in offsets.values())
        await peer.gone()
        assert node.stats() == NOTHING
        await node.stop()

    asyncio.run(play())


async def test_a_client_may_send_a_burst_and_then_so_many_commands_a_second(make_peer, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(client_module, "monotonic", lambda: now[0])
    peer = await make_peer(client_commands_per_second=10)
    number = itertools.count(10)

    def send(count):
        peer.send(*[{"id": next(number), "unsubscribe": {"channel": "room/a/b"}} for _ in range(count)])

    # The connect was one of fifty.
    send(49)
    now[0] += 0.5
    send(5)
    assert peer.socket.close is None
    send(1)
    assert await peer.closing() == (3013, "too many requests")


async def test_without_a_limit_any_number_of_commands_is_carried_out(make_peer):
    peer = await make_peer(client_commands_per_second=0)
    peer.send(*[{"id": number, "unsubscribe": {"channel": "room/a/b"}} for number in range(10, 400)])
    await peer.socket.until(lambda: peer.socket.replies[-1].get("id") == 399)


class Meter(live.ChannelHandler):
    """A gauge of which who lags needs the newest value only."""

    keep_last = True
    latest_only = True
    join_leave = True

    async def can_subscribe(self, user, channel, data):
        return True


@pytest.fixture
def meter():
    live.register("meter", None, Meter)
    yield live.Channel("meter", "a", "b")
    unregister("meter")


async def lag(peer):
    """Lets more wait for a peer than for one that does not lag, behind what is stuck."""
    peer.socket.free.clear()
    peer.client.reply(b'{"id":98,"rpc":{}}')
    await until(lambda: not peer.client.queue_bytes)
    peer.client.reply(b'{"id":99,"rpc":{"data":"%s"}}' % (b"x" * 20_000))


async def test_who_subscribes_again_gets_nothing_older_than_it_was_told(make_peer, meter):
    peer = await make_peer()
    node, options = peer.client.node, Meter().options
    await peer.call("subscribe", meter)
    await peer.pushed("join")
    await lag(peer)
    await node.publish(meter, b"1", options)
    peer.send({"id": 50, "unsubscribe": {"channel": str(meter)}})
    await until(lambda: not peer.client.busy)
    await node.publish(meter, b"9", options)
    peer.send(subscribe(51, str(meter)))
    await until(lambda: not peer.client.busy)
    peer.socket.free.set()
    await until(lambda: not peer.client.queue_bytes)
    assert [message.get("id") for message in peer.told[-2:]] == [50, 51]
    assert peer.told[-1]["subscribe"]["data"] == 9
    await node.publish(meter, b"10", options)
    assert (await peer.pushed("pub"))[0]["data"] == 10


async def test_a_subscription_that_the_server_ends_has_no_late_values(make_peer, meter):
    peer = await make_peer()
    await peer.call("subscribe", meter)
    await lag(peer)
    await peer.client.node.publish(meter, b"1", Meter().options)
    peer.client.node.hub.flush()
    assert peer.client.queue_bytes > 20_050
    peer.client.unsubscribe_by_server(meter)
    peer.socket.free.set()
    await peer.pushed("unsubscribe")
    await until(lambda: not peer.client.queue_bytes)
    assert not peer.pushes("pub")
