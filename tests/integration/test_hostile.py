"""Hostile, slow, lost and restless clients on a real daphne: they cost the others nothing and leave nothing behind.

What is random here comes from a seed that a failing test prints; ``LIVE_TEST_SEED`` sets it.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import socket
import struct
import time
from dataclasses import asdict

import psutil
import pytest

import live
from live.node import current_node
from tests.integration.handlers import ROOMS
from tests.raw_socket import RawSocket

pytestmark = pytest.mark.timeout(60)

PATH = "/api/live/ws"
LIMIT = 256 * 1024
"""Bytes that may wait for one client of the sites with slow ones."""

ALONE = {"clients": 1, "channels": 1, "joined": 1, "tasks": 0, "members": 0, "subscriptions": 1, "pings": 1}
"""What a node holds when nobody is there but who asks."""


class Stats(live.ChannelHandler):
    """Tells what the node holds, and how many it disconnected for which code."""

    async def can_subscribe(self, user, channel, data):
        return True

    async def initial_data(self, user, channel, data):
        node = current_node()
        return {**asdict(node.stats()), "pings": len(node.pings), "disconnects": dict(node.counters.disconnects)}


HANDLERS = {**ROOMS, "stats": "tests.integration.test_hostile.Stats"}


@pytest.fixture
def dice():
    seed = int(os.environ.get("LIVE_TEST_SEED", "20261122"))
    print(f"LIVE_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(scope="module")
def target(make_site):
    """A site that waits for nobody for long."""
    return make_site(HANDLERS=HANDLERS, CONNECT_TIMEOUT=1, PING_INTERVAL=2, PONG_TIMEOUT=1.5)


@pytest.fixture(scope="module")
def wide_site(make_site):
    """A site with room for many, and little patience with those that read nothing."""
    return make_site(
        HANDLERS=HANDLERS, MAX_CONNECTIONS=-1, CLIENT_QUEUE_MAX_BYTES=LIMIT, MAX_PUBLICATION_SIZE=LIMIT // 2
    )


async def stats_of(site):
    """What the node holds, with the client that asks."""
    async with site.connect() as peer:
        return (await peer.subscribe("stats/of/node"))["subscribe"]["data"]


async def alone(site, seconds=15):
    """Waits until the node holds nothing but the client that asks."""
    found = {}
    try:
        async with asyncio.timeout(seconds):
            while {name: found.get(name) for name in ALONE} != ALONE:
                found = await stats_of(site)
    except TimeoutError:
        pytest.fail(f"still held: {found}")


def memory(site):
    """Bytes of the server's process in RAM."""
    return psutil.Process(site.process.pid).memory_info().rss


class Bystander:
    """Somebody who is told everything that somebody else says, and says so when something is missing."""

    def __init__(self, speaker, listener, channel):
        self.speaker, self.listener, self.channel = speaker, listener, channel
        self.said = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def on(cls, site, channel="kept/quiet/x"):
        async with site.connect() as speaker, site.connect() as listener:
            result = (await listener.subscribe(channel))["subscribe"]
            bystander = cls(speaker, listener, channel)
            bystander.said = result.get("offset", 0)
            yield bystander

    async def hears_one(self, size=20):
        """One publication from one to the other."""
        self.said += 1
        data = [self.said, "x" * size]
        assert "publish" in await self.speaker.ask({"publish": {"channel": self.channel, "data": data}})
        publication = await self.listener.publication()
        assert (publication["offset"], publication["data"]) == (self.said, data)


# Whatever comes over the wire


def junk(dice, port):
    """Bytes that are no HTTP, or its beginning."""
    handshake = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        if dice.random() < 0.5:
            sock.sendall(handshake[: dice.randrange(len(handshake))])
        else:
            sock.sendall(dice.randbytes(dice.randrange(1, 2000)))


def wrong_frames(dice, peer):
    """Wire frames that break a rule, and some that break none, with random bytes between."""
    for _ in range(dice.randrange(1, 6)):
        masked = 0x80 if dice.random() < 0.7 else 0
        first = dice.choice([0x81, 0x82, 0x80, 0x01, 0x88, 0x89, 0x8A, 0x83, 0x8F, 0xF1, 0xC1, dice.randrange(256)])
        payload = dice.randbytes(dice.choice([0, 1, 2, 20, 125]))
        told = dice.choice([len(payload), len(payload), dice.randrange(126)])
        size = dice.choice([bytes([masked | told])] * 4 + [bytes([masked | 126, 0, told]), bytes([masked | 127]) * 9])
        peer.sock.sendall(bytes([first]) + size + (b"\0\0\0\0" if masked else b"") + payload)


CHANNELS = ["kept/a/b", "hall/a/b", "lobby/a/b", "broken/a/b", "kept/a/secret", "stream/a/b", "nobody/a/b", "", "%", 5]


def command(dice):
    """A command as a client might send it, with fields that are right more often than not."""
    body = {"channel": dice.choice(CHANNELS[:3] if dice.random() < 0.7 else CHANNELS)}
    for name, values in {
        "data": [None, 1, "x" * 2000, {"a": [1]}, json.loads("[" * 100 + "]" * 100)],
        "recover": [True, True, 1],
        "offset": [0, 3, 2**64 - 1, -1],
        "epoch": ["", "other"],
        "limit": [-1, 0, 10**9],
        "since": [{}, {"offset": 1}, []],
        "reverse": [True, False],
        "flag": [0, 2, 255],
    }.items():
        if dice.random() < 0.15:
            body[name] = dice.choice(values)
    if dice.random() < 0.5:
        body.setdefault("data", 1)
    methods = ["subscribe"] * 4 + ["unsubscribe", "publish", "publish", "history", "presence", "presence_stats", "rpc"]
    return {"id": dice.randrange(1, 1000), dice.choice(methods): body}


def hostile_commands(dice, peer):
    """Valid commands at the worst of times, and now and then one that is none."""
    if dice.random() < 0.95:
        peer.send(b'{"id":1,"connect":{}}', opcode=1)
    for _ in range(dice.randrange(1, 30)):
        lines = [json.dumps(command(dice)) for _ in range(dice.randrange(1, 10))]
        if dice.random() < 0.03:
            lines.append(
                dice.choice(["{}", "hello", '{"send":{}}', '{"id":0,"rpc":{}}', "[]", '{"id":1,"connect":{}}'])
            )
        message = "\n".join(lines).encode()
        cut = dice.randrange(len(message)) if dice.random() < 0.2 else None
        if cut is None:
            peer.send(message, opcode=1)
        else:
            peer.send(message[:cut], opcode=1, final=False)
            peer.send(message[cut:], opcode=0)


def leave(dice, sock):
    """One of the ways in which a socket ends."""
    how = dice.choice(["reset", "half", "close"])
    with contextlib.suppress(OSError):
        if how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "half":
            sock.shutdown(socket.SHUT_WR)
    sock.close()


def attack(dice, port, seconds):
    """Attacks one after the other; how many there were."""
    until, count, left = time.monotonic() + seconds, 0, []
    while time.monotonic() < until:
        count += 1
        # The server may end the connection at any moment.
        with contextlib.suppress(OSError):
            if dice.random() < 0.2:
                junk(dice, port)
                continue
            peer = RawSocket(port, PATH)
            left.append(peer.sock)
            peer.sock.settimeout(0.2)
            (wrong_frames if dice.random() < 0.4 else hostile_commands)(dice, peer)
            if dice.random() < 0.5:
                peer.sock.recv(65536)
        # Some stay for a while, with nobody at the other end.
        while len(left) > 20:
            leave(dice, left.pop(dice.randrange(len(left))))
    for sock in left:
        leave(dice, sock)
    return count


async def test_whatever_comes_over_the_wire_the_others_notice_nothing(target, dice):
    async with Bystander.on(target) as bystander:
        attacking = asyncio.create_task(asyncio.to_thread(attack, dice, target.port, 4))
        heard = 0
        while not attacking.done():
            await bystander.hears_one()
            heard += 1
        count = await attacking
    print(f"{count} attacks, {heard} publications")
    assert count > 20
    assert heard > 20
    await alone(target)
    assert "Traceback" not in target.log, re.findall("Traceback.*?(?=\n\\S+ )", target.log, re.DOTALL)[:3]


# Half-open sockets


def silent(port):
    """Connects to Live and never does anything again, nor reads."""
    peer = RawSocket(port, PATH)
    peer.send(b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"lobby/a/b"}}', opcode=1)
    return peer


async def test_who_stops_answering_is_gone_after_the_pong_timeout(make_site):
    site = make_site(HANDLERS=HANDLERS, PING_INTERVAL=1, PONG_TIMEOUT=0.5)
    peers = [await asyncio.to_thread(silent, site.port) for _ in range(9)]
    try:
        for peer in peers[3:6]:
            peer.sock.shutdown(socket.SHUT_WR)
        for peer in peers[6:]:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.sock.close()
        await alone(site)
        assert (await stats_of(site))["disconnects"].get("3012", 0) >= 3
        for peer in peers[:3]:
            assert b"3012" in await asyncio.to_thread(peer.read_to_end)
    finally:
        for peer in peers:
            peer.sock.close()


# Slow readers


async def test_who_reads_nothing_costs_the_others_nothing(wide_site):
    site, count, size, ahead = wide_site, 320, 16_000, 6
    channel = "kept/slow/x"
    async with contextlib.AsyncExitStack() as stack:
        healthy = [await stack.enter_async_context(site.connect()) for _ in range(80)]
        slow = []
        for _ in range(20):
            # A small window, so that what is not read stays with the server.
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", site.port))
            slow.append(await stack.enter_async_context(site.connect(sock=sock, max_queue=1)))
        for peer in [*healthy, *slow]:
            assert "subscribe" in await peer.subscribe(channel)
        for peer in slow:
            peer.ws.transport.pause_reading()
        speaker = await stack.enter_async_context(site.connect())
        before = memory(site)
        offsets = {peer: [] for peer in healthy}
        moved = asyncio.Event()

        async def read(peer):
            while len(offsets[peer]) < count:
                offsets[peer].append((await peer.publication())["offset"])
                moved.set()

        async def speak():
            for number in range(count):
                # As fast as this process can read for so many, and no faster: none of them is to be slow.
                while min(map(len, offsets.values())) < number - ahead:
                    moved.clear()
                    await moved.wait()
                data = "x" * size
                assert "publish" in await speaker.ask({"publish": {"channel": channel, "data": data}})

        async with asyncio.timeout(40):
            await asyncio.gather(speak(), *map(read, healthy))
        grown = memory(site) - before
        print(f"{grown >> 10} KiB more")
        assert all(found == list(range(1, count + 1)) for found in offsets.values())
        found = await stats_of(site)
        assert found["disconnects"].get("3008") == len(slow)
        assert grown < len(slow) * LIMIT + 32 * 2**20, f"{grown >> 20} MiB more"
        for peer in slow:
            peer.ws.transport.resume_reading()
        # How much of the goodbye gets through a full socket is the network's affair.
        assert {(await peer.closed())[0] for peer in slow} <= {3008, 1006, None}
    await alone(site)


# Coming and going


async def visit(site, dice):
    """Comes, listens to some channels for some publications, and goes one way or the other."""
    async with site.connect() as peer:
        # Many lobbies: everybody in one is told of everybody who comes and goes there.
        lobby = f"lobby/busy/{dice.randrange(30)}"
        for name in dice.sample([lobby, "hall/busy/x", "kept/busy/x"], dice.randrange(1, 4)):
            await peer.subscribe(name)
            if dice.random() < 0.2:
                await peer.ask({"unsubscribe": {"channel": name}})
        await peer.subscribe("kept/busy/z")
        for _ in range(dice.randrange(4)):
            await peer.publication()
        if dice.random() < 0.3:
            peer.ws.transport.abort()


async def churn(site, dice, clients, seconds):
    """So many clients come and go for a while under publications; the number of visits."""
    until, visits = time.monotonic() + seconds, 0

    async def come_and_go(own):
        nonlocal visits
        while time.monotonic() < until:
            await visit(site, own)
            visits += 1

    async with Bystander.on(site, "kept/busy/z") as bystander:
        everybody = asyncio.gather(*[come_and_go(random.Random(dice.random())) for _ in range(clients)])
        while not everybody.done():
            await bystander.hears_one()
        await everybody
    return visits


async def test_coming_and_going_leaves_nothing_behind(wide_site, dice):
    await churn(wide_site, dice, 300, 2)
    await alone(wide_site)
    sizes, visits = [], []
    for _ in range(2):
        visits.append(await churn(wide_site, dice, 300, 3))
        await alone(wide_site)
        sizes.append(memory(wide_site) >> 10)
    print(f"{visits} visits, {sizes} KiB")
    assert min(visits) >= 300
    # What one visit left behind would show: a client is 20 KiB and more.
    assert sizes[1] - sizes[0] < 8 * 1024, f"{sizes} KiB"
