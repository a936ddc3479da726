"""Servers that end TLS themselves: everything goes through it, and who reads too slowly is found all the same."""

import asyncio
import socket
import ssl

import pytest
import websockets

from tests.commands.doctor_fronts import make_certificate
from tests.integration.cable import Cable
from tests.integration.held import HANDLERS, memory, stats_of
from tests.integration.test_fast_outbox import UvicornSite
from tests.site import Site, WirePeer

LIMIT = 2**18
"""Bytes that may wait for a client of these sites."""

RECORDS = range(20, 24)
"""The kinds of records of TLS (RFC 8446 §5.1): all that goes over the wire begins with one of these."""


class Encrypted:
    """A site with a certificate of its own, which its clients know."""

    def __init__(self, var, **live):
        super().__init__(var, **live)
        self.certificate, self.key = make_certificate(var)
        self.ws_url = self.ws_url.replace("ws:", "wss:")
        self.context = ssl.create_default_context(cafile=self.certificate)

    def connect(self, **kwargs):
        """A raw WebSocket to the site."""
        return super().connect(ssl=self.context, **kwargs)


class TlsDaphne(Encrypted, Site):
    """The demo under a daphne with an ``ssl:`` endpoint."""

    def command(self):
        """What starts the server."""
        command = super().command()
        place = command.index("-e") + 1
        files = f"privateKey={self.key}:certKey={self.certificate}"
        command[place] = f"ssl:port={self.port}:interface=127.0.0.1:backlog=1024:{files}"
        return command


class TlsUvicorn(Encrypted, UvicornSite):
    """The demo under a uvicorn with a certificate."""

    def command(self):
        """What starts the server."""
        return [*super().command(), "--ssl-keyfile", str(self.key), "--ssl-certfile", str(self.certificate)]


@pytest.fixture(scope="module", params=[TlsDaphne, TlsUvicorn], ids=["daphne", "uvicorn"])
def site(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    limits = {"CLIENT_QUEUE_MAX_BYTES": LIMIT, "MAX_PUBLICATION_SIZE": 2**17, "DRAIN_SECONDS": 0}
    site = request.param(folder, HANDLERS=HANDLERS, **limits)
    site.prepare()
    site.start()
    yield site
    site.stop()
    assert "Traceback" not in site.log, site.log


class Tap(Cable):
    """A cable that keeps what the site sends."""

    def __init__(self, port):
        super().__init__(port)
        self.sent = bytearray()

    async def _pass(self, reader, writer):
        original = writer.write

        def write(data):
            if writer.get_extra_info("sockname")[1] == self.port:
                self.sent += data
            original(data)

        writer.write = write
        await super()._pass(reader, writer)


def records(data):
    """The kinds of the records of TLS in what was sent; fails where something is between them."""
    kinds, at = [], 0
    while at + 5 <= len(data):
        assert data[at] in RECORDS, bytes(data[at : at + 60])
        assert data[at + 1] == 3, bytes(data[at : at + 60])
        kinds.append(data[at])
        at += 5 + int.from_bytes(data[at + 3 : at + 5])
    return kinds


async def test_publications_of_any_size_come_in_order_and_nothing_of_them_can_be_read_on_the_way(site):
    async with Tap(site.port) as tap, site.connect() as speaker:
        here = socket.create_connection(("127.0.0.1", tap.port))
        async with site.connect(sock=here) as peer:
            assert "subscribe" in await peer.subscribe("kept/tls/room")
            sent = ["secret" * times for times in (1, 20, 100, 10_000, 3) * 4]
            for data in sent:
                assert "publish" in await speaker.ask({"publish": {"channel": "kept/tls/room", "data": data}})
            assert [(await peer.publication())["data"] for _ in sent] == sent
            # Many at once, and replies among them.
            await speaker.send(*[{"publish": {"channel": "kept/tls/room", "data": n}} for n in range(60)])
            await peer.send(*[{"rpc": {}} for _ in range(20)])
            seen = [await peer.receive() for _ in range(80)]
            assert [reply["push"]["pub"]["data"] for reply in seen if "push" in reply] == list(range(60))
    assert len(tap.sent) > sum(map(len, sent))
    assert set(records(tap.sent)) <= set(RECORDS)
    for text in (b"secret", b"connect", b"subscribe"):
        assert text not in tap.sent


async def test_who_reads_nothing_is_cut_and_the_server_keeps_little_for_it(site):
    channel, text = "kept/tls/slow", "x" * 60_000
    small = socket.socket()
    # A small window, so that what the client does not read stays with the server.
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.connect(("127.0.0.1", site.port))
    before = memory(site)
    async with site.connect(sock=small, max_queue=1, close_timeout=0.1) as deaf, site.connect() as speaker:
        await deaf.subscribe(channel)
        deaf.ws.transport.pause_reading()
        for number in range(1000):
            assert "publish" in await speaker.ask({"publish": {"channel": channel, "data": [number, text]}})
            # Now and then: to look is more work than to publish.
            if number % 10 == 9 and (stats := await stats_of(site))["disconnects"]:
                break
        assert stats["disconnects"] == {"3008": 1}
        # 60 MB would have waited for it else.
        assert number < 500
        assert memory(site) - before < 30 * 2**20
        async with asyncio.timeout(30):
            while (stats := await stats_of(site))["clients"] > 2:
                pass
        assert stats["queue_bytes"] == 0


class Reached(Site):
    """A daphne that listens on a port and on a file."""

    @property
    def daphne_options(self):
        """Its second endpoint."""
        return "-e", f"unix:{self.var}/live"


async def test_daphne_writes_straight_to_the_socket_only_where_nothing_is_in_between(tmp_path_factory):
    """Fails when a version of daphne or Twisted no longer is what the fast outbox needs."""
    handlers = {"way": "tests.integration.handlers.Way"}
    for kind in (Reached, TlsDaphne):
        site = kind(tmp_path_factory.mktemp("way"), HANDLERS=handlers)
        site.prepare()
        site.start()
        try:
            async with site.connect() as peer:
                assert (await peer.subscribe("way/of/frames"))["subscribe"]["data"] is (kind is Reached)
            if kind is Reached:
                async with websockets.unix_connect(str(site.var / "live"), "ws://localhost/api/live/ws") as ws:
                    peer = WirePeer(ws)
                    await peer.ask({"connect": {}})
                    assert (await peer.subscribe("way/of/frames"))["subscribe"]["data"] is True
        finally:
            site.stop()
