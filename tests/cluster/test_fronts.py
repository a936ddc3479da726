"""nginx, HAProxy and Envoy with the files of deploy/ in front of two nodes."""

import asyncio
import contextlib
import http.client
import json
import signal
import time
import urllib.error
import urllib.request

import pytest
import websockets

from tests.cluster.fronts import Envoy, HAProxyWeb, Nginx
from tests.cluster.process import wait_until
from tests.site import Site

pytestmark = [pytest.mark.timeout(120)]

MEBIBYTE = 1024 * 1024
HEALTH_SECONDS = 4
"""In which a front that asks the nodes how they are has learned it, on a machine that is busy."""


class Through(Site):
    """The site as a visitor finds it: at the front's address."""

    def connect(self, **kwargs):
        # Envoy keeps a connection for a second after both sides said goodbye; a browser does not wait for that.
        return super().connect(close_timeout=0.1, **kwargs)

    def __init__(self, front, cluster):
        super().__init__(cluster.nodes.var)
        self.front = front.name
        self.port = front.port
        self.url, self.ws_url = front.url, front.ws_url
        self.env = cluster.nodes.env


@pytest.fixture(scope="module", params=[Nginx, HAProxyWeb, Envoy], ids=["nginx", "haproxy", "envoy"])
def site(request, cluster, tmp_path_factory):
    """The site behind each of them."""
    front = request.param(tmp_path_factory.mktemp("front"), cluster.nodes.ports)
    try:
        front.start()
        yield Through(front, cluster)
    finally:
        front.stop()


async def test_a_websocket_and_what_is_published_through_it(site):
    async with site.connect() as client, site.connect() as other:
        reply = await client.subscribe("test/front/room")
        assert "error" not in reply, reply
        await other.subscribe("test/front/room")
        body = json.dumps({"channel": "test/front/room", "data": {"hello": 1}})
        headers = {"Authorization": f"Token {site.token}", "Content-Type": "application/json"}
        status, answer = await asyncio.to_thread(site.request, "POST", "/api/live/publish", body, **headers)
        assert status == 200, answer
        assert (await client.publication())["data"] == {"hello": 1}
        assert (await other.publication())["data"] == {"hello": 1}


async def test_new_websockets_go_where_fewer_are(site, cluster):
    before = [node.connections() for node in cluster.nodes]
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(12):
            await stack.enter_async_context(site.connect())
        more = [node.connections() - count for node, count in zip(cluster.nodes, before, strict=True)]
    # Envoy looks at two nodes by chance, and takes the one with fewer.
    assert min(more) >= 2, more


def test_the_node_is_told_who_asks_and_no_tales(site, cluster):
    lies = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "1"}
    for headers in ({}, lies):
        status, body = site.request("GET", "/told", **headers)
        assert status == 200
        told = json.loads(body)
        assert int(told.pop("node")) in cluster.nodes.ports
        assert told == {
            "address": "127.0.0.1",
            "scheme": "http",
            "host": f"127.0.0.1:{site.port}",
            "forwarded": "127.0.0.1",
        }


def test_the_largest_push_passes_and_a_larger_one_is_refused_with_a_reason(site):
    line = b"weather,city=Oslo temperature=21.5\n"
    body = line * (3 * MEBIBYTE // len(line))
    status, answer = site.push("large", body)
    assert (status, answer) == (200, b"")
    # Live's own answer: the front lets a little more pass than Live does.
    status, answer = site.push("large", line * ((4 * MEBIBYTE + 100_000) // len(line)))
    assert status == 413
    assert "message" in json.loads(answer)


def test_a_body_far_too_large_stops_at_the_front(site, cluster):
    status, answer = refused(site, b"x" * (9 * MEBIBYTE))
    assert status == 413
    assert b'"message"' not in answer


def test_a_body_without_a_length_has_a_limit_too(site):
    if site.front == "haproxy":
        assert chunked_head(site) == (411, b"send a Content-Length")
        return
    assert chunked(site, b"weather x=1\n") == (200, b"")
    line = b"weather,city=Oslo temperature=21.5\n"
    status, answer = chunked(site, *[line * 10_000] * 30)
    assert status == 413
    assert b'"message"' not in answer


def chunked_head(site):
    """(status, body) of such a push of which nothing but the head is sent; for a front that goes by that."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    with contextlib.closing(connection):
        connection.putrequest("POST", "/api/live/push/chunked")
        connection.putheader("Authorization", f"Token {site.token}")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read()


def chunked(site, *chunks):
    """(status, body) of a push that does not say how long it is; a front may answer before it has read everything."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    with contextlib.closing(connection):
        try:
            headers = {"Authorization": f"Token {site.token}"}
            connection.request("POST", "/api/live/push/chunked", iter(chunks), headers, encode_chunked=True)
            response = connection.getresponse()
            return response.status, response.read()
        except (BrokenPipeError, ConnectionResetError):
            # It closed while the rest was sent; only a body that is too large is so long.
            assert len(chunks) > 1
            return 413, b""


def test_pages_are_served_while_redis_is_away(site, cluster):
    cluster.redis.stop()
    try:
        wait_until(lambda: all(node.readiness()[0] == 503 for node in cluster.nodes), lambda: cluster.nodes.logs)
        # Also when the front has learned that no node is ready.
        until = time.monotonic() + HEALTH_SECONDS
        while time.monotonic() < until:
            assert site.request("GET", "/accounts/login/")[0] == 200
    finally:
        cluster.redis.start()
        for node in cluster.nodes:
            node.wait_ready()


def refused(site, body):
    """Like `request`; a front may answer and close before it has read everything."""
    try:
        return site.push("large", body)
    except (BrokenPipeError, ConnectionResetError):
        # When the answer was read.
        return 413, b""
    except urllib.error.URLError as error:
        if isinstance(error.reason, (BrokenPipeError, ConnectionResetError)):
            return 413, b""
        raise


async def test_a_dead_node_is_not_missed(site, cluster):
    node = cluster.nodes[0]
    await asyncio.to_thread(node.stop, signal.SIGKILL)
    try:
        # Some fronts have to find out first; nobody is refused meanwhile.
        for _ in range(20):
            status, _ = await asyncio.to_thread(site.request, "GET", "/livez")
            assert status == 200
            async with site.connect() as client:
                assert "error" not in await client.subscribe("test/front/room")
    finally:
        await asyncio.to_thread(node.start)
    # And it is found again.
    async with contextlib.AsyncExitStack() as stack:

        async def one_more():
            await stack.enter_async_context(site.connect())

        async with asyncio.timeout(40):
            while not await asyncio.to_thread(node.connections):
                await one_more()


async def test_a_node_that_leaves_gets_no_new_clients(site, cluster):
    node = cluster.nodes[1]
    with leaving_slowly(node):
        await asyncio.to_thread(node.stop)
        await asyncio.to_thread(node.start)
        async with contextlib.AsyncExitStack() as stack:
            # So many have to be there, or it is gone at once: it sends at least ten a second away.
            for _ in range(65):
                await stack.enter_async_context(node.connect())
            node.process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            answers = []
            while node.process.poll() is None:
                answers.append((round(time.monotonic() - started, 2), await accepts(site)))
            await asyncio.to_thread(node.process.wait)
    node.process = None
    await asyncio.to_thread(node.start)
    # Until the health checks have told the front, some may be sent there, and are sent away; then nobody.
    later = [accepted for seconds, accepted in answers if seconds > HEALTH_SECONDS]
    assert later, answers
    assert all(later), answers


@contextlib.contextmanager
def leaving_slowly(node):
    """The node takes 6 s to send its clients away."""
    before = node.env["LIVE_TEST_SETTINGS"]
    node.env["LIVE_TEST_SETTINGS"] = json.dumps({**json.loads(before), "DRAIN_SECONDS": 6.0})
    try:
        yield
    finally:
        node.env["LIVE_TEST_SETTINGS"] = before


async def accepts(site):
    """Whether a new client is let in."""
    try:
        async with site.connect(hello=False) as client:
            return "connect" in await client.ask({"connect": {"name": "test"}})
    except (websockets.InvalidStatus, websockets.ConnectionClosed):
        return False
