"""The push over WebSocket on a real daphne: who may, what comes back, and that a sender who never reads stays."""

import asyncio
import contextlib
import json
import socket

import pytest
import websockets

from tests.raw_socket import RawSocket
from tests.site import Site

LINE = "weather,city=Oslo temperature=21.5"


def sender(site, stream_id, query="", token=None, **headers):
    """A connection to the push WebSocket, as Telegraf opens it."""
    headers.setdefault("Authorization", f"Token {token or site.token}")
    url = f"ws://127.0.0.1:{site.port}/api/live/push/{stream_id}{query}"
    return websockets.connect(url, additional_headers=headers, open_timeout=20)


async def told(ws):
    """The next error line."""
    line = await asyncio.wait_for(ws.recv(), 20)
    assert "\n" not in line
    return json.loads(line)


async def closed(ws):
    """Waits for the end; the close code."""
    await asyncio.wait_for(ws.wait_closed(), 20)
    return ws.close_code


@pytest.mark.parametrize("binary", [True, False])
async def test_each_message_is_a_body(site, binary):
    stream_id = f"ws-bodies-{binary}"
    async with site.connect() as peer, sender(site, stream_id) as ws:
        await peer.subscribe(f"stream/{stream_id}/weather")
        for number in range(50):
            body = f"weather,city=Oslo temperature={number} {number}\n"
            await ws.send(body.encode() if binary else body)
        first, *others = [(await peer.publication())["data"] for _ in range(50)]
    assert list(first) == ["schema", "data"]
    assert [message["data"]["values"][2] for message in (first, *others)] == [[number] for number in range(50)]


async def test_large_and_small_bodies_stay_in_order(site):
    async with site.connect() as peer, sender(site, "ws-order") as ws:
        await peer.subscribe("stream/ws-order/m")
        # The large ones are parsed in a thread, the small ones are not.
        for number in range(10):
            await ws.send(f"m x={number}\n" * (2000 if number % 2 else 1))
        rows = [(await peer.publication())["data"]["data"]["values"][2] for _ in range(10)]
    assert [values[0] for values in rows] == list(range(10))


async def test_what_is_on_its_way_is_published_after_the_sender_left(site):
    async with site.connect() as peer:
        await peer.subscribe("stream/ws-leaves/m")
        async with sender(site, "ws-leaves") as ws:
            for number in range(20):
                await ws.send(f"m x={number}\n" * 1000)
        last = [(await peer.publication())["data"]["data"]["values"][2][0] for _ in range(20)][-1]
    assert last == 19


async def test_the_query_string_says_how_to_read_the_bodies(site):
    query = "?precision=s&gf_live_frame_format=wide"
    async with site.connect() as peer, sender(site, "ws-query", query) as ws:
        await peer.subscribe("stream/ws-query/weather")
        await ws.send(LINE + " 1616403089")
        frame = (await peer.publication())["data"]
    assert frame["data"]["values"] == [[1616403089000], [21.5]]
    assert frame["schema"]["fields"][1]["labels"] == {"city": "Oslo"}


async def test_errors_come_back_as_one_line_and_the_socket_stays(site):
    async with site.connect() as peer, sender(site, "ws-errors") as ws:
        await peer.subscribe("stream/ws-errors/weather")
        await ws.send(f"{LINE}\nweather x\n")
        wrong = await told(ws)
        await ws.send(b"\xff")
        binary = await told(ws)
        await ws.send("")
        await ws.send(LINE)
        assert (await peer.publication())["data"]["data"]["values"][2] == [21.5]
    assert wrong == {
        "message": "invalid line protocol: line 2: expected a field key and =",
        "errors": [{"line": 2, "reason": "expected a field key and =", "text": "weather x"}],
    }
    assert "not UTF-8" in binary["message"]


async def test_the_good_lines_where_they_are_asked_for(site):
    async with site.connect() as peer, sender(site, "ws-partial", "?partial=1") as ws:
        await peer.subscribe("stream/ws-partial/weather")
        await ws.send(f"{LINE}\nweather x\n")
        answer = await told(ws)
        assert (await peer.publication())["data"]["data"]["values"][2] == [21.5]
    assert answer["message"] == "1 of 2 lines are wrong, the others are published"
    assert [error["line"] for error in answer["errors"]] == [2]


@pytest.mark.parametrize(
    ("stream_id", "query", "headers"),
    [
        ("ok", "", {"Authorization": "Token 0123456789"}),
        ("ok", "", {"Authorization": "Basic ZGVtbzpkZW1v"}),
        ("ok", "", {"Authorization": ""}),
        ("ok", "", {"Origin": "http://evil.example"}),
        ("a.b", "", {}),
        ("a/b", "", {}),
        ("ok", "?precision=h", {}),
        ("ok", "?gf_live_frame_format=prometheus", {}),
        ("ok", "?partial=2", {}),
        ("ok", "?" + "a&" * 2000, {}),
    ],
)
async def test_what_cannot_be_is_refused_before_the_upgrade(site, stream_id, query, headers):
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with sender(site, stream_id, query, **headers):
            pass
    assert caught.value.response.status_code == 403


async def test_a_session_may_push_too(site, login):
    async with site.connect() as peer, sender(site, "ws-session", Authorization="", Cookie=login(site)) as ws:
        await peer.subscribe("stream/ws-session/weather")
        await ws.send(LINE)
        assert await peer.publication()


async def test_a_message_over_the_limit_of_a_push_is_answered(make_site):
    site = make_site(PUSH_MAX_BYTES=100)
    async with sender(site, "ws-large") as ws:
        await ws.send("x" * 101)
        assert await told(ws) == {"message": "the body is larger than 100 bytes; push fewer lines at once"}
        await ws.send("bad")
        assert "errors" in await told(ws)


async def test_a_message_over_daphnes_limit_closes_with_1009(site):
    async with sender(site, "ws-too-large") as ws:
        # The server may close before it has read all of it.
        with contextlib.suppress(websockets.ConnectionClosed):
            await ws.send("#" * (2**20 + 1))
        assert await closed(ws) == 1009


async def test_a_sender_that_is_too_fast_is_closed_and_nothing_of_it_is_lost(make_site):
    site = make_site(PUSH_MAX_BYTES=20_000)
    async with site.connect() as peer:
        await peer.subscribe("stream/ws-fast/m")
        with RawSocket(site.port, "/api/live/push/ws-fast", [f"Authorization: Token {site.token}"]) as raw:
            assert raw.status == 101
            # In one piece, so that all of it waits at once.
            sent = b"".join(_frame(f"m x={number}\n".encode() * 1500) for number in range(20))
            raw.sock.sendall(sent)
            ended = await asyncio.to_thread(raw.read_to_end)
        assert (1013).to_bytes(2, "big") in ended
        assert b"bytes wait to be published" in ended
        assert (await peer.publication())["data"]["data"]["values"][2][0] == 0


def _frame(payload):
    assert 126 <= len(payload) < 65536
    return b"\x82\xfe" + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload


class HastySite(Site):
    """A site whose daphne pings every second and drops who does not answer within one more."""

    daphne_options = ("--ping-interval", "1", "--ping-timeout", "1")


async def test_a_sender_that_never_answers_pings_is_not_cut_off(tmp_path):
    site = HastySite(tmp_path)
    site.prepare()
    site.start()
    try:
        headers = [f"Authorization: Token {site.token}"]
        with (
            RawSocket(site.port, "/api/live/push/ws-silent", headers) as quiet,
            RawSocket(site.port, "/api/live/push/ws-silent", headers) as busy,
            RawSocket(site.port, "/api/live/ws") as control,
        ):
            quiet.send(b"m x=1 1")
            # daphne cuts this one off for not answering its pings: so it does ping, and means it.
            control.sock.settimeout(20)
            assert b"\x89\x0c" in await asyncio.to_thread(control.read_to_end)
            busy.send(b"m x=2 2")
            quiet.send(b"m x=3 3")
            async with site.connect() as peer:
                reply = await peer.subscribe("stream/ws-silent/m")
                values = [reply["subscribe"]["data"]["data"]["values"][2][0]]
                while values[-1] != 3:
                    values.append((await peer.publication())["data"]["data"]["values"][2][0])
            # Pings arrived, and the server has not closed.
            quiet.sock.setblocking(False)
            assert b"\x89\x0c" in quiet.sock.recv(65536)
            # Nothing to read, or the next ping; at the end it would be b"".
            with contextlib.suppress(BlockingIOError):
                assert quiet.sock.recv(1, socket.MSG_PEEK) == b"\x89"
    finally:
        site.stop()
