"""The one-line application: what goes where, own routes, the server's lifespan, paths that lead nowhere."""

import asyncio
import json

import pytest
from centrifuge.protocol.client_pb2 import Reply
from django.urls import re_path

from live.asgi import live_application
from live.node import current_node, runtime
from tests.peers import Socket

# Channels' login looks at the database's connections for every WebSocket.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def stop_node():
    yield
    await runtime.stop_serving()


def scope(path="/api/live/ws", **fields):
    return {"type": "websocket", "path": path, "headers": [], "query_string": b"", "subprotocols": [], **fields}


class Connection:
    """One ASGI connection played by hand."""

    def __init__(self, application, scope, *events):
        self.socket = Socket()
        self.events = asyncio.Queue()
        for event in events:
            self.events.put_nowait(event)
        self.task = asyncio.create_task(application(scope, self.events.get, self.socket.send))

    async def types(self, count):
        await self.socket.until(lambda: len(self.socket.events) >= count)
        return [event["type"] for event in self.socket.events]


CONNECT = {"type": "websocket.connect"}
DISCONNECT = {"type": "websocket.disconnect", "code": 1000}


async def test_lifespan_starts_and_stops_the_node():
    connection = Connection(live_application(), {"type": "lifespan"}, {"type": "lifespan.startup"})
    assert await connection.types(1) == ["lifespan.startup.complete"]
    assert current_node() is not None
    connection.events.put_nowait({"type": "lifespan.shutdown"})
    await connection.task
    assert await connection.types(2) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert current_node() is None


async def test_http_goes_to_the_application_given():
    async def http(scope, receive, send):
        await send({"type": "http.response.start", "status": 204})

    connection = Connection(live_application(http), {"type": "http", "path": "/"})
    await connection.task
    assert await connection.types(1) == ["http.response.start"]
    assert current_node() is not None


async def test_own_routes_get_the_origin_check_and_the_login():
    seen = {}

    async def own(scope, receive, send):
        seen.update(scope)
        await send({"type": "websocket.accept"})

    application = live_application(websocket_urlpatterns=[re_path("^chat$", own)])
    await Connection(application, scope("/chat"), CONNECT).task
    assert "user" in seen
    refused = Connection(application, scope("/chat", headers=[(b"origin", b"http://evil.example")]), CONNECT)
    await refused.task
    assert await refused.types(1) == ["websocket.close"]


async def test_paths_that_lead_nowhere_are_closed():
    connection = Connection(live_application(), scope("/nowhere"), CONNECT)
    await connection.task
    assert connection.socket.close == {"type": "websocket.close", "code": 4404, "reason": "no such path"}


@pytest.mark.parametrize("event", [{"text": '{"id":1,"connect":{}}'}, {"bytes": b"x"}, {"text": None}])
async def test_a_socket_on_a_server_that_is_not_daphne(event):
    application = live_application(path="own/path")
    connection = Connection(application, scope("/own/path"), CONNECT, {"type": "websocket.receive", **event})
    assert (await connection.types(2))[0] == "websocket.accept"
    connection.events.put_nowait(DISCONNECT)
    await connection.task
    assert current_node().stats().clients == 0


async def test_too_large_a_message_on_a_server_that_is_not_daphne():
    message = {"type": "websocket.receive", "text": "x" * 70_000}
    connection = Connection(live_application(), scope(), CONNECT, message)
    await connection.socket.until(lambda: connection.socket.close)
    assert connection.socket.close["code"] == 1009
    connection.events.put_nowait(DISCONNECT)
    await connection.task


PROTOBUF = "centrifuge-protobuf"


@pytest.mark.parametrize(
    ("fields", "chosen", "binary"),
    [
        ({}, None, False),
        ({"subprotocols": [""]}, None, False),
        ({"subprotocols": ["centrifuge-json"]}, "centrifuge-json", False),
        ({"subprotocols": [PROTOBUF]}, PROTOBUF, True),
        ({"subprotocols": [PROTOBUF, "centrifuge-json"]}, "centrifuge-json", False),
        ({"query_string": b"format=protobuf"}, None, True),
        ({"query_string": b"cf_protocol=protobuf", "subprotocols": ["centrifuge-json"]}, "centrifuge-json", True),
        ({"query_string": b"format=json&%ff=\xff&=&&format"}, None, False),
    ],
)
async def test_a_client_speaks_the_flavour_it_asks_for(fields, chosen, binary):
    message = {"bytes": b"\x04\x08\x01\x22\x00"} if binary else {"text": '{"id":1,"connect":{}}'}
    connection = Connection(live_application(), scope(**fields), CONNECT, {"type": "websocket.receive", **message})
    assert await connection.types(2) == ["websocket.accept", "websocket.send"]
    accept, reply = connection.socket.events
    assert accept["subprotocol"] == chosen
    assert ("bytes" in reply, "text" in reply) == (binary, not binary)
    connection.events.put_nowait(DISCONNECT)
    await connection.task


@pytest.mark.parametrize(
    ("query", "pinged"),
    [
        (b"", True),
        (b"cf_ws_frame_ping_pong=true", False),
        (b"format=json&cf_ws_frame_ping_pong=true", False),
        (b"format=protobuf&cf_ws_frame_ping_pong=true", False),
        (b"cf_ws_frame_ping_pong=false", True),
        (b"cf_ws_frame_ping_pong", True),
        (b"cf_ws_frame_ping_pong=1", True),
    ],
)
async def test_a_client_that_asks_for_the_pings_of_the_websocket_gets_no_others(query, pinged):
    binary = b"protobuf" in query
    message = {"bytes": b"\x04\x08\x01\x22\x00"} if binary else {"text": '{"id":1,"connect":{}}'}
    connection = Connection(
        live_application(), scope(query_string=query), CONNECT, {"type": "websocket.receive", **message}
    )
    await connection.types(2)
    reply = connection.socket.events[1]
    if binary:
        result = Reply.FromString(reply["bytes"][1:]).connect
        assert (result.ping, result.pong) == (0, False)
    else:
        result = json.loads(reply["text"])["connect"]
        assert ("ping" in result, "pong" in result) == (pinged, pinged)
    assert len(current_node().pings) == pinged
    connection.events.put_nowait(DISCONNECT)
    await connection.task
    assert len(current_node().pings) == 0
