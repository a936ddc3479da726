"""Every kind of bad input gets the answer named in the specs, over a real daphne, and leaves the others undisturbed."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress

import pytest
import websockets

LINE = "weather,city=Oslo temperature=21.5"


@pytest.fixture(scope="module")
def strict_site(make_site):
    """A site for logged-in users only."""
    return make_site(ALLOW_ANONYMOUS=False)


@asynccontextmanager
async def bystander(site):
    """A client with a live subscription; at the end it must still get the next publication."""
    async with site.connect() as peer:
        await peer.subscribe("stream/bystander/weather")
        yield
        status, body = await asyncio.to_thread(site.push, "bystander", LINE)
        assert (status, body) == (200, b"")
        publication = await peer.publication()
        assert publication["data"]["data"]["values"][2] == [21.5]


def error_of(code, text):
    async def play(peer, command):
        reply = await peer.ask(command)
        assert reply["error"]["code"] == code, reply
        assert text in reply["error"]["message"]
        # The session goes on.
        assert "subscribe" in await peer.subscribe("stream/alive/x")

    return play


def closes_with(code, reason=None):
    async def play(peer, message):
        # The server may close before it has read all of a large one.
        with suppress(websockets.ConnectionClosed):
            await (peer.send(message) if isinstance(message, dict) else peer.ws.send(message))
        close_code, push = await peer.closed()
        assert close_code == code
        assert (push or {}).get("reason") == reason
        if reason is not None:
            assert push["code"] == code

    return play


async def twice(peer, channel):
    assert "subscribe" in await peer.subscribe(channel)
    await error_of(105, "already subscribed")(peer, {"subscribe": {"channel": channel}})


async def ten_thousand_subscribes(peer, _):
    for start in range(0, 10_000, 500):
        await peer.send(*[{"subscribe": {"channel": f"stream/many/{n}"}} for n in range(start, start + 500)])
    first_id = peer.last_id - 9_999
    codes = []
    for number in range(10_000):
        reply = await peer.receive()
        assert reply["id"] == first_id + number
        codes.append(reply.get("error", {}).get("code"))
    assert codes == [None] * 128 + [106] * 9_872


SOCKET_CASES = {
    "non-JSON text": (closes_with(3501, "invalid json"), "hello"),
    "empty": (closes_with(3501, "empty message"), "\n"),
    "binary": (closes_with(3506, "binary message"), b"\x00\x01"),
    "invalid UTF-8 bytes as binary": (closes_with(3506, "binary message"), b"\xff\xfe"),
    "65537 bytes": (closes_with(1009), "x" * 65_537),
    "10 MB message": (closes_with(1009), "x" * 10_000_000),
    "unknown command": (closes_with(3501, "unknown command"), '{"id":5,"dance":{}}'),
    "ping command": (closes_with(3501, "unknown command"), '{"id":5,"ping":{}}'),
    "missing id": (closes_with(3501, "id missing"), '{"subscribe":{"channel":"stream/a/b"}}'),
    "negative id": (closes_with(3501, "id must be a whole number from 1 to 4294967295"), '{"id":-1,"rpc":{}}'),
    "second connect": (closes_with(3501, "connected already"), '{"id":5,"connect":{}}'),
    "unsolicited pong": (closes_with(3501, "unexpected pong"), "{}"),
    "send": (closes_with(3508, "not available"), '{"send":{"data":1}}'),
    "wrong type of a field": (
        closes_with(3501, "subscribe: channel must be a text"),
        '{"id":5,"subscribe":{"channel":1}}',
    ),
    "duplicate subscribe": (twice, "stream/twice/x"),
    "10,000 subscribe commands": (ten_thousand_subscribes, None),
    "empty channel": (error_of(400, "name is empty"), {"subscribe": {"channel": ""}}),
    "no namespace": (error_of(400, "namespace and path missing"), {"subscribe": {"channel": "stream"}}),
    "no path": (error_of(400, "path missing"), {"subscribe": {"channel": "stream/a"}}),
    "empty scope": (error_of(400, "scope is empty"), {"subscribe": {"channel": "/a/b"}}),
    "empty namespace": (error_of(400, "namespace is empty"), {"subscribe": {"channel": "stream//b"}}),
    "empty path": (error_of(400, "path is empty"), {"subscribe": {"channel": "stream/a/"}}),
    "bad scope": (error_of(400, "scope holds '='"), {"subscribe": {"channel": "str=eam/a/b"}}),
    "dot in the namespace": (error_of(400, "namespace holds '.'"), {"subscribe": {"channel": "stream/a.b/c"}}),
    "bad path": (error_of(400, "path holds '%'"), {"subscribe": {"channel": "stream/a/%"}}),
    "trailing newline": (error_of(400, "path holds '\\n'"), {"subscribe": {"channel": "stream/a/b\n"}}),
    "161 bytes": (error_of(400, "at most 160"), {"subscribe": {"channel": "stream/a/" + "b" * 152}}),
    "unknown scope": (error_of(102, "unknown channel"), {"subscribe": {"channel": "nobody/home/x"}}),
    "unknown dashboard": (error_of(404, "Not Found"), {"subscribe": {"channel": "grafana/dashboard/uid/nobody"}}),
    "another type of subscription": (error_of(107, "type 0"), {"subscribe": {"channel": "stream/a/b", "type": 4}}),
    "publish to a stream": (error_of(403, "Forbidden"), {"publish": {"channel": "stream/a/b", "data": 1}}),
    "publish without data": (error_of(107, "without data"), {"publish": {"channel": "stream/a/b"}}),
    "publish without login": (error_of(403, "Forbidden"), {"publish": {"channel": "grafana/broadcast/x", "data": 1}}),
    "presence where it is not offered": (error_of(108, "not available"), {"presence": {"channel": "stream/a/b"}}),
    "presence_stats where it is not offered": (
        error_of(108, "not available"),
        {"presence_stats": {"channel": "grafana/broadcast/x"}},
    ),
    "presence of an unknown scope": (error_of(102, "unknown channel"), {"presence": {"channel": "nobody/home/x"}}),
    "presence_stats of an unknown scope": (
        error_of(102, "unknown channel"),
        {"presence_stats": {"channel": "nobody/home/x"}},
    ),
    "presence of no channel": (error_of(400, "name is empty"), {"presence": {}}),
    "presence of a bad path": (error_of(400, "path holds '%'"), {"presence_stats": {"channel": "stream/a/%"}}),
    "presence of a wrong type": (
        closes_with(3501, "presence: channel must be a text"),
        '{"id":5,"presence":{"channel":["stream/a/b"]}}',
    ),
    **{
        f"subscribe with {field} {value}": (
            closes_with(3501, f"subscribe: {field} must {rule}"),
            f'{{"id":5,"subscribe":{{"channel":"stream/a/b","{field}":{value}}}}}',
        )
        for field, value, rule in (
            ("recover", '"yes"', "be true or false"),
            ("recover", "1", "be true or false"),
            ("offset", "-1", "not be negative"),
            ("offset", '"7"', "be a number"),
            ("offset", "1.5", "be a number"),
            ("offset", "1e30", "be a number"),
            ("offset", "18446744073709551616", "be a number"),
            ("epoch", "5", "be a text"),
            ("flag", '"2"', "be a number"),
            ("flag", "true", "be a number"),
            ("positioned", "0", "be true or false"),
            ("recoverable", "{}", "be true or false"),
            ("join_leave", "[]", "be true or false"),
        )
    },
    "the largest offset": (
        error_of(112, "unrecoverable position"),
        {"subscribe": {"channel": "stream/a/b", "recover": True, "offset": 2**64 - 1, "flag": 2}},
    ),
    "recovery of another life": (
        error_of(112, "unrecoverable position"),
        {"subscribe": {"channel": "stream/a/b", "recover": True, "offset": 1, "epoch": "_" * 60_000, "flag": 2}},
    ),
    "recovery where there is no history": (
        error_of(112, "unrecoverable position"),
        {"subscribe": {"channel": "grafana/broadcast/x", "recover": True, "flag": 2}},
    ),
    "history where there is none": (error_of(108, "not available"), {"history": {"channel": "grafana/broadcast/x"}}),
    "history of a wrong type": (
        closes_with(3501, "history: limit must be a number"),
        '{"id":5,"history":{"channel":"stream/a/b","limit":"all"}}',
    ),
    "history of another life": (
        error_of(112, "unrecoverable position"),
        {"history": {"channel": "stream/a/b", "since": {"offset": 1, "epoch": "_"}}},
    ),
    "not built yet: rpc": (error_of(108, "not available"), {"rpc": {"method": "grafana.query"}}),
}


@pytest.mark.parametrize("case", SOCKET_CASES)
async def test_what_a_client_sends(site, case):
    play, message = SOCKET_CASES[case]
    async with bystander(site), site.connect() as peer:
        await play(peer, message)


async def test_connect_comes_first(site):
    async with bystander(site), site.connect(hello=False) as peer:
        await closes_with(3501, "connect first")(peer, {"subscribe": {"channel": "stream/a/b"}})


async def test_a_subscribe_without_permission(make_site, login):
    site = make_site(HANDLERS={"staff": "tests.integration.handlers.StaffOnly"})
    async with bystander(site), site.connect() as peer:
        await error_of(403, "Forbidden")(peer, {"subscribe": {"channel": "staff/room/x"}})
    async with site.connect(cookie=login(site)) as peer:
        await error_of(403, "Forbidden")(peer, {"subscribe": {"channel": "staff/room/x"}})


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1.evil.example"])
async def test_a_wrong_origin_is_refused_before_the_upgrade(site, origin):
    async with bystander(site):
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with site.connect(headers={"Origin": origin}):
                pass
    assert caught.value.response.status_code == 403
    assert origin in site.log
    assert "LIVE['ALLOWED_ORIGINS']" in site.log


async def test_the_right_origin_and_none_pass(site):
    for headers in ({"Origin": site.url}, {}):
        async with site.connect(headers=headers):
            pass


async def test_no_cookie(strict_site, login):
    async with strict_site.connect(hello=False) as peer:
        await closes_with(3501, "no credentials")(peer, {"connect": {}})
    async with strict_site.connect(hello=False, cookie="sessionid=forged") as peer:
        await closes_with(3501, "no credentials")(peer, {"connect": {}})
    async with strict_site.connect(cookie=login(strict_site)) as peer:
        assert "subscribe" in await peer.subscribe("stream/a/b")


async def test_an_unknown_path_is_closed_cleanly(site):
    async with bystander(site), site.connect(hello=False, path="/nowhere") as peer:
        assert (await peer.closed())[0] == 4404


async def test_subprotocols_that_are_not_spoken_are_not_chosen(site):
    async with site.connect(subprotocols=["unheard-of"]) as peer:
        assert peer.ws.subprotocol is None


async def test_the_json_subprotocol_is_chosen_where_it_is_offered(site):
    async with site.connect(subprotocols=["centrifuge-protobuf", "centrifuge-json"]) as peer:
        assert peer.ws.subprotocol == "centrifuge-json"


PUSH_CASES = {
    "wrong token": (401, "token", {"token": "0" * 40}, LINE),
    "no line protocol": (400, "line", {}, "hello"),
    "not UTF-8": (400, "UTF-8", {}, b"weather,city=\xff t=1"),
    "a broken line in the middle": (400, '"line":2', {}, f"{LINE}\nweather,city=Oslo temperature=\n{LINE}"),
    "a measurement that is no path": (400, "wea ther", {}, "wea\\ ther t=1"),
    "too large": (413, "bytes", {}, LINE.ljust(2**22 + 1)),
}


@pytest.mark.parametrize("case", PUSH_CASES)
async def test_what_a_push_sends(site, case):
    status, text, extra, body = PUSH_CASES[case]
    stream_id = "refused-" + case.replace(" ", "-")
    async with bystander(site), site.connect() as peer:
        await peer.subscribe(f"stream/{stream_id}/weather")
        got, answer = await asyncio.to_thread(site.push, stream_id, body, **extra)
        assert got == status, answer
        assert text in answer.decode()
        assert "message" in json.loads(answer)
        # Nothing of it was published: the next push is the first thing to arrive.
        await asyncio.to_thread(site.push, stream_id, "weather good=1")
        assert (await peer.publication())["data"]["schema"]["fields"][-1]["name"] == "good"


async def test_an_empty_push_is_no_error(site):
    assert await asyncio.to_thread(site.push, "empty", "") == (200, b"")
    assert await asyncio.to_thread(site.push, "empty", "# nothing\n\n") == (200, b"")


async def test_a_push_to_an_invalid_stream_id(site):
    status, answer = await asyncio.to_thread(site.push, "a.b", LINE)
    assert status == 400
    assert b"namespace" in answer or b"stream id" in answer
