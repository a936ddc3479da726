"""Clients that speak protobuf, the official ones and by hand, over a real daphne: everything that JSON clients get."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import pytest
import websockets
from centrifuge.protocol.client_pb2 import Command, Reply
from google.protobuf.json_format import MessageToDict

from live.protocol.fields import delimited
from live.protocol.protobuf import read_delimited
from tests.integration.cable import Cable
from tests.integration.handlers import ROOMS
from tests.integration.held import HANDLERS, stats_of
from tests.integration.official import NodeProtobufClient, PythonProtobufClient, starter
from tests.integration.test_fast_outbox import UvicornSite

SUBPROTOCOL = "centrifuge-protobuf"
CONNECT = Command(id=1)
CONNECT.connect.SetInParent()
PONG = b"\x00"


@pytest.fixture(scope="module")
def rooms(make_site):
    return make_site(
        HANDLERS={**ROOMS, **HANDLERS, "inspect": "tests.integration.handlers.Inspector"},
        CLIENT_QUEUE_MAX_BYTES=2**18,
        MAX_PUBLICATION_SIZE=2**17,
    )


@pytest.fixture(params=[PythonProtobufClient, NodeProtobufClient], ids=["python", "javascript"])
async def make_client(request):
    """Starts official clients; all are stopped in the end."""
    async with starter(request.param) as start:
        yield start


@pytest.fixture
def channel(request):
    """A name of the test's own; the part before it says what the room offers."""
    return f"protobuf/{request.node.callspec.id}-{request.function.__name__}"


async def test_a_whole_session_beside_a_json_client(rooms, make_client, channel):
    channel = f"lobby/{channel}"
    async with rooms.connect() as peer:
        assert (await peer.ask({"publish": {"channel": channel, "data": {"n": 1, "text": "é\n"}}}))["publish"] == {}
        await peer.subscribe(channel)
        mine = (await peer.receive())["push"]["join"]["info"]
        client = await make_client(rooms.ws_url, channel)
        me = (await client.log.wait("connected"))["client"]
        first = await client.log.wait("subscribed")
        assert first["data"] == {"n": 1, "text": "é\n"}
        assert (first["recoverable"], first["positioned"], first["position"]["offset"]) == (True, True, 1)
        await client.log.wait("join", client=me, user="")
        assert (await peer.receive())["push"] == {"channel": channel, "join": {"info": {"user": "", "client": me}}}

        assert await client.publish([1.5, None, {"a": True}]) == {}
        seen = await client.log.wait("publication")
        assert (seen["data"], seen["offset"]) == ([1.5, None, {"a": True}], 2)
        found = await peer.publication()
        assert (found["data"], found["offset"], found["info"]["client"]) == ([1.5, None, {"a": True}], 2, me)
        # Many at once: joined on their way.
        await peer.send(*[{"publish": {"channel": channel, "data": n}} for n in range(40)])
        await client.log.wait("publication", 41)
        assert [each["data"] for each in client.log.found("publication")[1:]] == list(range(40))
        assert client.log.offsets == list(range(2, 43))

        assert await client.presence() == {me: "", mine["client"]: ""}
        assert await client.presence_stats() == (2, 1)
        history = await client.call("history", limit=2)
        assert [each["data"] for each in history["publications"]] == [30, 31]
        assert [each["data"] for each in (await client.call("history", limit=-1))["publications"]] == list(
            range(30, 40)
        )
        assert (await client.call("history", limit=0))["offset"] == 42
        assert await client.call("history", limit=5, since={"offset": 1, "epoch": "_"}) == {"error": 112}

        end = {"channel": channel, "code": 2000}
        await peer.ask({"publish": {"channel": "doorman/x/y", "data": end}})
        assert await client.log.wait("unsubscribed") == {"event": "unsubscribed", "code": 2000, "reason": "sent out"}


async def test_leaving_is_told(rooms, make_client, channel):
    channel = f"lobby/{channel}"
    stays = await make_client(rooms.ws_url, channel)
    await stays.log.wait("subscribed")
    goes = await make_client(rooms.ws_url, channel)
    left = (await goes.log.wait("connected"))["client"]
    await stays.log.wait("join", client=left)
    await goes.unsubscribe()
    await stays.log.wait("leave", client=left, user="")


async def test_a_cut_connection_gets_exactly_what_was_missed(rooms, make_client, channel):
    channel = f"kept/{channel}"

    async def say(*numbers):
        for number in numbers:
            assert "publish" in await peer.ask({"publish": {"channel": channel, "data": {"n": number}}})

    async with Cable(rooms.port) as cable, rooms.connect() as peer:
        client = await make_client(cable.ws_url, channel)
        await client.log.wait("subscribed")
        await say(1, 2)
        await client.log.wait("publication", 2)
        cable.cut()
        await client.log.wait("connecting", 2)
        await say(3, 4, 5)
        cable.mend()
        back = await client.log.wait("subscribed", 2)
        assert (back["wasRecovering"], back["recovered"], back["position"]["offset"]) == (True, True, 2)
        await say(6)
        await client.log.wait("publication", 6)
        assert client.log.offsets == [1, 2, 3, 4, 5, 6]
        assert [each["data"]["n"] for each in client.log.found("publication")] == client.log.offsets
        # More than is kept.
        cable.cut()
        await client.log.wait("connecting", 3)
        await say(*range(7, 20))
        cable.mend()
        back = await client.log.wait("subscribed", 3)
        assert (back["wasRecovering"], back["recovered"], back["data"]) == (True, False, {"n": 19})


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ("kept/protobuf/secret", 403),
        ("grafana/dashboard/uid/nobody", 404),
        ("nobody/home/x", 102),
        ("kept/protobuf/%", 400),
    ],
)
async def test_what_is_refused_is_final_for_the_clients(rooms, make_client, wanted, code):
    client = await make_client(rooms.ws_url, wanted)
    assert (await client.log.wait("unsubscribed"))["code"] == code


async def test_who_may_not_connect_is_told_why(make_site, make_client):
    site = make_site(ALLOW_ANONYMOUS=False)
    client = await make_client(site.ws_url, "stream/a/b")
    assert await client.log.wait("disconnected") == {
        "event": "disconnected",
        "code": 3501,
        "reason": "no credentials",
    }


class Peer:
    """The client's end of a connection by hand."""

    def __init__(self, ws):
        self.ws = ws
        self.waiting = []

    async def send(self, *commands):
        await self.ws.send(b"".join(delimited(command.SerializeToString()) for command in commands))

    async def receive(self):
        """The next reply or push; pings are answered on the way."""
        while not self.waiting:
            message = await asyncio.wait_for(self.ws.recv(), 20)
            assert isinstance(message, bytes)
            at = 0
            while at < len(message):
                body, at = read_delimited(message, at)
                if body:
                    self.waiting.append(Reply.FromString(body))
                else:
                    await self.ws.send(PONG)
        return self.waiting.pop(0)

    async def subscribe(self, channel):
        command = Command(id=2)
        command.subscribe.channel = channel
        await self.send(command)
        reply = await self.receive()
        assert reply.HasField("subscribe"), reply
        return reply.subscribe

    async def closed(self):
        """Waits for the end; (close code, the disconnect push before it)."""
        push = None
        try:
            while True:
                reply = await self.receive()
                if reply.push.HasField("disconnect"):
                    push = MessageToDict(reply.push.disconnect)
        except websockets.ConnectionClosed:
            return self.ws.close_code, push


@asynccontextmanager
async def connected(site, *, query="", subprotocols=(SUBPROTOCOL,), **options):
    """A connection by hand."""
    url = site.ws_url + query
    async with websockets.connect(url, subprotocols=subprotocols or None, max_size=None, **options) as ws:
        peer = Peer(ws)
        await peer.send(CONNECT)
        reply = await peer.receive()
        assert (reply.id, len(reply.connect.client)) == (1, 36)
        yield peer


@pytest.mark.parametrize(
    ("query", "offered", "chosen"),
    [
        ("", [SUBPROTOCOL], SUBPROTOCOL),
        ("", ["something", SUBPROTOCOL], SUBPROTOCOL),
        ("?format=protobuf", [], None),
        ("?a=b&cf_protocol=protobuf", [], None),
        ("?format=protobuf", ["centrifuge-json"], "centrifuge-json"),
    ],
)
async def test_who_speaks_protobuf(rooms, query, offered, chosen):
    async with connected(rooms, query=query, subprotocols=offered) as peer:
        assert peer.ws.subprotocol == chosen
        outbox = await peer.subscribe("inspect/outbox/x")
        # The one by which a slow client is found on daphne.
        assert json.loads(outbox.data) == "FastBinaryOutbox"


@pytest.mark.parametrize(
    ("offered", "query"), [(["centrifuge-protobuf", "centrifuge-json"], ""), ([], "?format=json&x=%ff")]
)
async def test_json_is_spoken_where_both_are_offered_or_none(rooms, offered, query):
    async with rooms.connect(path="/api/live/ws" + query, subprotocols=offered) as peer:
        assert peer.ws.subprotocol == ("centrifuge-json" if offered else None)


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ('{"id":1,"connect":{}}', 3506, "text message"),
        (b"", 3501, "empty message"),
        (b"\xff\xfe", 3501, "invalid protobuf"),
        (b"hello", 3501, "invalid protobuf"),
        (delimited(b"\x08\x05"), 3501, "unknown command"),
        (PONG, 3501, "unexpected pong"),
        (delimited(CONNECT.SerializeToString()), 3501, "connected already"),
        (PONG * 65_537, 1009, None),
        (PONG * 65_536, 3013, "too many requests"),
    ],
)
async def test_bad_input_is_answered_and_disturbs_nobody(rooms, message, code, reason):
    async with rooms.connect() as bystander:
        await bystander.subscribe("kept/protobuf/bystander")
        async with connected(rooms) as peer:
            await peer.ws.send(message)
            closed, push = await peer.closed()
            assert closed == code
            assert (push or {}).get("reason") == reason
        data = {"channel": "kept/protobuf/bystander", "data": 1}
        await bystander.send({"publish": data})
        assert (await bystander.publication())["data"] == 1


async def test_pings_are_answered_and_who_does_not_is_let_go(make_site):
    site = make_site(PING_INTERVAL=3, PONG_TIMEOUT=2.9)
    clients = [which(site.ws_url, "stream/protobuf/pings") for which in (PythonProtobufClient, NodeProtobufClient)]
    for client in clients:
        await client.start()
        await client.log.wait("subscribed")
    # Two, one after the other: by then each of the others was asked, and given up if it had not answered.
    for _ in range(2):
        async with connected(site) as silent:
            while await silent.ws.recv() != PONG:
                pass
            assert await silent.closed() == (3012, {"code": 3012, "reason": "no pong"})
    for client in clients:
        assert [each["event"] for each in client.log.events].count("connected") == 1
        assert not client.log.found("disconnected")
        await client.stop()


async def test_a_slow_client_is_cut_and_others_are_not_disturbed(rooms):
    channel = "kept/protobuf/slow"
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.connect(("127.0.0.1", rooms.port))
    async with (
        connected(rooms, sock=small, max_queue=1, close_timeout=0.1) as slow,
        connected(rooms) as other,
        rooms.connect() as peer,
    ):
        await slow.subscribe(channel)
        await other.subscribe(channel)
        before = (await stats_of(rooms))["disconnects"].get("3008", 0)
        for number in range(300):
            data = {"n": number, "text": "x" * 60_000}
            await peer.ask({"publish": {"channel": channel, "data": data}})
            push = (await other.receive()).push
            assert json.loads(push.pub.data) == data
            # Now and then: to look is more work than to publish.
            if number % 10 == 9 and (await stats_of(rooms))["disconnects"].get("3008", 0) > before:
                break
        assert (await stats_of(rooms))["disconnects"]["3008"] == before + 1


@pytest.mark.parametrize(
    ("implementation", "outbox"), [("websockets-sansio", "FastBinaryOutbox"), ("wsproto", "BinaryOutbox")]
)
async def test_uvicorn_serves_too(tmp_path, implementation, outbox):
    site = UvicornSite(tmp_path, HANDLERS={**ROOMS, "inspect": "tests.integration.handlers.Inspector"}, DRAIN_SECONDS=0)
    site.implementation = implementation
    site.prepare()
    site.start()
    try:
        async with connected(site) as peer:
            assert json.loads((await peer.subscribe("inspect/outbox/x")).data) == outbox
            await peer.subscribe("kept/protobuf/uvicorn")
            async with site.connect() as other:
                await other.send(*[{"publish": {"channel": "kept/protobuf/uvicorn", "data": n}} for n in range(50)])
                assert [json.loads((await peer.receive()).push.pub.data) for _ in range(50)] == list(range(50))
            await peer.ws.send(b"\xff")
            assert await peer.closed() == (3501, {"code": 3501, "reason": "invalid protobuf"})
    finally:
        site.stop()
    assert "Traceback" not in site.log
