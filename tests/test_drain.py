"""SIGTERM: a real daphne sends its clients away in time, goes on serving meanwhile, and always ends."""

import asyncio
import contextlib
import gc
import json
import re
import signal
import subprocess
import threading
import time

import pytest
import websockets
from django.contrib.auth.models import AnonymousUser

from live import drain
from live.asgi import live_application
from live.login import Logins, Visitor
from live.node import runtime
from live.node.clients import DRAIN_GRACE
from tests.cluster.process import wait_until
from tests.integration.test_fast_outbox import UvicornSite
from tests.peers import Socket, until
from tests.raw_socket import RawSocket
from tests.site import Site
from tests.stuck_handlers import ASKED, FOREVER, HANDLERS

CLIENTS = 40
SECONDS = 4
"""In which they leave; a test that does something meanwhile has that long on a machine that is busy."""
PROMPT = 2.5
"""Seconds in which a process that waits for nothing is gone, where the machine is not busy; otherwise it takes 0.1."""
LONG = 30
"""Seconds of a drain that is not waited for; `PROMPT` and half of them is what a busy machine may take."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of all sites of this module, with a database: they run one after the other."""
    folder = tmp_path_factory.mktemp("site")
    Site(folder).prepare()
    return folder


@pytest.fixture
def start(folder):
    """Starts a site; it is killed in the end if it is still there, and may not have had a traceback."""
    sites = []

    def start(kind=Site, **live):
        site = kind(folder, HANDLERS=HANDLERS, MAX_CONNECTIONS=-1, **live)
        site.log_path = folder / f"{site.port}.log"
        sites.append(site)
        site.start()
        # The node, and with it the drain, begins with the first request.
        wait_until(lambda: site.request("GET", "/readyz") == (200, b"ok\n"), lambda: site.log)
        return site

    yield start
    for site in sites:
        site.stop(signal.SIGKILL)
        assert "Traceback" not in site.log, site.log
    gc.collect()


async def gone(site):
    """The exit code, when the process has ended."""
    return await asyncio.to_thread(site.process.wait, 50)


async def asked(site):
    """Waits until a handler of `stuck_handlers` is at work."""
    while ASKED not in site.log:
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(site.process.wait, 0.05)


class Clock:
    """Seconds since a moment."""

    def __init__(self):
        self.began = time.monotonic()

    def __call__(self):
        return time.monotonic() - self.began


def assert_spread(left):
    """Nobody left before its turn, `left` seconds after the signal: a busy machine makes them late, and never early."""
    pause = SECONDS / CLIENTS
    assert len(left) == CLIENTS
    assert all(at > number * pause - 0.02 for number, at in enumerate(left)), left


async def test_clients_are_sent_away_one_after_the_other_while_the_site_is_served(start):
    site = start(DRAIN_SECONDS=SECONDS)
    left = []

    async def leave(peer):
        ended = await peer.closed()
        left.append(clock())
        return ended

    async with contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(site.connect()) for _ in range(CLIENTS)]
        clock = Clock()
        site.process.send_signal(signal.SIGTERM)
        leaving = [asyncio.create_task(leave(peer)) for peer in peers]
        await asyncio.wait(leaving, return_when=asyncio.FIRST_COMPLETED)
        status, reasons = await asyncio.to_thread(site.request, "GET", "/readyz")
        assert (status, b"draining" in reasons) == (503, True)
        assert await asyncio.to_thread(site.request, "GET", "/livez") == (200, b"ok\n")
        assert (await asyncio.to_thread(site.request, "GET", "/accounts/login/"))[0] == 200
        with pytest.raises(websockets.InvalidStatus, match="403"):
            async with site.connect(hello=False):
                pass
        assert await asyncio.gather(*leaving) == [(3001, {"code": 3001, "reason": "shutdown"})] * CLIENTS
    assert_spread(left)
    # In time: otherwise it would have been ended with another code.
    assert await gone(site) == 0
    assert "took too long" not in site.log


async def prompt(attempt):
    """Whether it takes no longer than `PROMPT`: the best of three, as a wait of its own would be in each of them."""
    for _ in range(3):
        if await attempt() < PROMPT:
            return True
    return False


@pytest.mark.parametrize("seconds", [0, LONG])
async def test_without_clients_it_ends_at_once(start, seconds):
    async def end():
        site = start(DRAIN_SECONDS=seconds)
        clock = Clock()
        site.process.send_signal(signal.SIGTERM)
        assert await gone(site) == 0
        return clock()

    assert await prompt(end)


async def test_with_no_time_all_leave_at_once(start):
    async def end():
        site = start(DRAIN_SECONDS=0)
        async with site.connect() as one, site.connect() as other:
            clock = Clock()
            site.process.send_signal(signal.SIGTERM)
            for peer in (one, other):
                assert await peer.closed() == (3001, {"code": 3001, "reason": "shutdown"})
        assert await gone(site) == 0
        return clock()

    assert await prompt(end)


async def test_a_second_signal_ends_it_at_once(start):
    site = start(DRAIN_SECONDS=LONG)
    async with contextlib.AsyncExitStack() as stack:
        # So many take six seconds: there is a drain that the signal ends, however late it comes.
        peers = [await stack.enter_async_context(site.connect()) for _ in range(60)]
        site.process.send_signal(signal.SIGTERM)
        while (await asyncio.to_thread(site.request, "GET", "/readyz"))[0] != 503:
            pass
        site.process.send_signal(signal.SIGTERM)
        clock = Clock()
        assert await gone(site) == 0
        assert clock() < LONG / 2
        codes = [(await peer.closed())[0] for peer in peers]
    # The others were not waited for.
    assert set(codes) - {3001}, codes


async def test_a_signal_before_the_first_request_is_the_server_s(folder):
    site = Site(folder)
    site.log_path = folder / f"{site.port}.log"
    site.start()
    # daphne listens before it handles signals; what it refuses by itself says that it serves, and is no request to us.
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"nonsense\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
    clock = Clock()
    site.process.send_signal(signal.SIGTERM)
    assert await gone(site) == 0
    assert clock() < LONG / 2


async def test_ctrl_c_ends_it_at_once(start):
    site = start(DRAIN_SECONDS=LONG)
    async with site.connect() as one, site.connect() as other:
        clock = Clock()
        site.process.send_signal(signal.SIGINT)
        await gone(site)
        assert clock() < LONG / 2
        # Nobody is sent away first.
        for peer in (one, other):
            assert (await peer.closed())[0] != 3001


async def test_a_request_under_way_is_answered(start):
    site = start(DRAIN_SECONDS=0)
    answer = asyncio.create_task(asyncio.to_thread(site.request, "GET", "/api/live/info/slow/a/b"))
    await asked(site)
    site.process.send_signal(signal.SIGTERM)
    assert (await answer)[0] == 200
    assert await gone(site) == 0


# Senders of metrics


def sender(site, stream_id):
    """A WebSocket that pushes, as Telegraf opens it."""
    url = f"ws://127.0.0.1:{site.port}/api/live/push/{stream_id}"
    return websockets.connect(url, additional_headers={"Authorization": f"Token {site.token}"}, open_timeout=20)


async def sent_away(ws):
    """The errors a sender was told before the end, and the close code."""
    told = []
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            told.append(json.loads(await asyncio.wait_for(ws.recv(), 20))["message"])
    return told, ws.close_code


# uvicorn ends by the signal that it was sent.
@pytest.mark.parametrize(("kind", "status"), [(Site, 0), (UvicornSite, -signal.SIGTERM)])
async def test_a_sender_gets_its_answers_and_is_sent_away(start, kind, status):
    site = start(kind, DRAIN_SECONDS=0)
    async with sender(site, "slow") as busy, sender(site, "idle") as idle:
        for body in ("first is none", "m x=1", "m x=2\nthird is none"):
            await busy.send(body)
        # The first is in work until the node drains.
        await asked(site)
        site.process.send_signal(signal.SIGTERM)
        assert await sent_away(idle) == ([], 1001)
        told, code = await sent_away(busy)
    assert [re.findall(r"line \d", message) for message in told] == [["line 1"], ["line 2"]]
    assert code == 1001
    assert await gone(site) == status


async def test_what_a_sender_sent_before_it_heard_is_published(start):
    site = start(DRAIN_SECONDS=SECONDS)
    async with contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(site.connect()) for _ in range(CLIENTS)]
        for peer in peers:
            await peer.subscribe("stream/deaf/m")
        raw = stack.enter_context(RawSocket(site.port, "/api/live/push/deaf", [f"Authorization: Token {site.token}"]))
        site.process.send_signal(signal.SIGTERM)
        goodbye = await asyncio.to_thread(raw.sock.recv, 4)
        assert goodbye == b"\x88\x02" + (1001).to_bytes(2, "big")
        raw.send(b"m x=1")
        # The last clients are still there.
        pushes = await asyncio.gather(*[publications_until_closed(peer) for peer in peers])
    assert any(pushes)
    assert await gone(site) == 0


async def publications_until_closed(peer):
    """How many there were."""
    number = 0
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            number += "pub" in (await peer.receive()).get("push", {})
    return number


async def test_many_senders_leave_one_after_the_other(start):
    site = start(DRAIN_SECONDS=SECONDS)
    left = []

    async def leave(ws):
        ended = await sent_away(ws)
        left.append(clock())
        return ended

    async with contextlib.AsyncExitStack() as stack:
        senders = [await stack.enter_async_context(sender(site, "many")) for _ in range(CLIENTS)]
        clock = Clock()
        site.process.send_signal(signal.SIGTERM)
        assert await asyncio.gather(*map(leave, senders)) == [([], 1001)] * CLIENTS
    assert_spread(left)
    assert await gone(site) == 0


async def test_a_sender_that_answers_nothing_keeps_nobody(start):
    site = start(DRAIN_SECONDS=0)
    with RawSocket(site.port, "/api/live/push/deaf", [f"Authorization: Token {site.token}"]):
        site.process.send_signal(signal.SIGTERM)
        # By itself: what is left after `GRACE` is ended with another code.
        assert await gone(site) == 0
    assert DRAIN_GRACE < drain.GRACE


# What hangs


@pytest.mark.parametrize("scope", ["stubborn", "inthread"])
async def test_a_handler_that_hangs_does_not_keep_the_process(start, scope):
    site = start(DRAIN_SECONDS=1)
    async with site.connect() as peer, site.connect():
        await peer.send({"subscribe": {"channel": f"{scope}/a/b"}})
        await asked(site)
        clock = Clock()
        site.process.send_signal(signal.SIGTERM)
        assert await peer.closed() == (3001, {"code": 3001, "reason": "shutdown"})
        await gone(site)
        assert clock() < FOREVER / 2


async def test_a_loop_that_is_blocked_does_not_keep_the_process(start):
    site = start(DRAIN_SECONDS=0)
    async with site.connect() as peer:
        await peer.send({"subscribe": {"channel": "blocking/a/b"}})
        await asked(site)
        clock = Clock()
        site.process.send_signal(signal.SIGTERM)
        assert await gone(site) == 1
        assert drain.GRACE - 0.5 < clock() < FOREVER / 2
        assert "still not ended" in site.log
        await peer.closed()


# The pieces


@pytest.fixture
def server(monkeypatch):
    """A server's handler of SIGTERM; a list of the signals it got."""
    monkeypatch.setattr(drain, "_end_after", lambda seconds: None)
    monkeypatch.setattr(drain, "_drain", None)
    monkeypatch.setattr(drain, "_loop", None)
    got = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    yield got
    signal.signal(signal.SIGTERM, before)


async def install():
    drain.install()
    return signal.getsignal(signal.SIGTERM)


async def test_it_stands_in_front_of_the_server_s_handler_once(server):
    theirs = signal.getsignal(signal.SIGTERM)
    ours = await install()
    assert ours is not theirs
    assert await install() == ours
    ours(signal.SIGTERM, None)
    ours(signal.SIGTERM, None)
    assert server == [signal.SIGTERM]


async def test_a_loop_that_follows_takes_its_place(server):
    """As where one test after the other serves: no chain of handlers grows."""
    theirs = signal.getsignal(signal.SIGTERM)
    await asyncio.to_thread(lambda: None)
    first = await install()
    drain._loop = None
    second = await install()
    assert second != first
    assert second.__self__.previous is theirs


def test_a_loop_that_is_gone_leaves_the_signal_to_the_server(server):
    ours = asyncio.run(install())
    ours(signal.SIGTERM, None)
    assert server == [signal.SIGTERM]


async def test_nothing_is_installed_in_a_thread(server):
    theirs = signal.getsignal(signal.SIGTERM)
    assert await asyncio.to_thread(lambda: asyncio.run(install())) is theirs


async def test_nothing_is_installed_where_nobody_or_only_the_loop_handles_it(server):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert await install() is signal.SIG_DFL
    drain._loop = None
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.append, 1)
    try:
        theirs = signal.getsignal(signal.SIGTERM)
        assert await install() is theirs
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def test_a_drain_that_fails_still_ends_the_process(server, monkeypatch, caplog):
    node = await runtime.serve()
    try:

        async def fail(seconds):
            raise RuntimeError("drain")

        monkeypatch.setattr(node, "drain", fail, raising=False)
        (await install())(signal.SIGTERM, None)
        await until(lambda: server)
        assert "the drain failed" in caplog.text
    finally:
        await runtime.stop_serving()


async def test_what_comes_after_the_node_left_starts_no_other(server):
    async def http(scope, receive, send):
        await send({"type": "http.response.start", "status": 204})

    application = live_application(http)
    await runtime.serve()
    (await install())(signal.SIGTERM, None)
    await until(lambda: server)
    assert runtime.current_node() is None

    request, handshake = Socket(), Socket()
    await application({"type": "http", "path": "/", "method": "GET"}, None, request.send)
    assert request.events == [{"type": "http.response.start", "status": 204}]

    probe = Socket()
    await application({"type": "http", "path": "/readyz", "method": "GET"}, None, probe.send)
    assert (probe.events[0]["status"], probe.events[1]["body"]) == (503, b"draining: this node is about to stop\n")
    assert runtime.current_node() is None

    async def receive():
        return {"type": "websocket.connect"}

    await application({"type": "websocket", "path": "/api/live/ws"}, receive, handshake.send)
    assert handshake.events == [{"type": "websocket.close", "code": 3001}]
    assert runtime.current_node() is None


async def test_who_logs_in_while_the_node_leaves_starts_no_other(server, monkeypatch):
    application = live_application()
    await runtime.serve()
    looked_up = asyncio.Event()

    async def find(logins, headers):
        await looked_up.wait()
        return Visitor(AnonymousUser())

    monkeypatch.setattr(Logins, "find", find)
    handshake = Socket()
    scope = {"type": "websocket", "path": "/api/live/ws", "headers": []}

    async def receive():
        return {"type": "websocket.connect"}

    connecting = asyncio.create_task(application(scope, receive, handshake.send))
    (await install())(signal.SIGTERM, None)
    await until(lambda: server)
    looked_up.set()
    await connecting
    assert handshake.events == [{"type": "websocket.close", "code": 3001}]
    assert runtime.current_node() is None


async def test_requests_are_counted_until_the_last_has_ended():
    requests = drain.Requests()
    await requests.ended()
    with requests.one():
        with requests.one():
            waiting = asyncio.create_task(requests.ended())
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting


def test_what_ends_the_process_runs_beside_it(monkeypatch, caplog):
    ended = threading.Event()
    monkeypatch.setattr(drain.os, "_exit", lambda code: ended.set())
    drain._end_after(0.0)
    assert ended.is_set()
    assert "something hangs" in caplog.text
