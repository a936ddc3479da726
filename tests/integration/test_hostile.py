"""Hostile, slow and lost clients on a real daphne: they cost the others nothing and leave nothing behind.

What is random here comes from a seed that a failing test prints; ``LIVE_TEST_SEED`` sets it.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import socket
import struct
import threading
import time

import pytest

from tests.integration.crowd import Crowd
from tests.integration.held import HANDLERS, TOKEN, Bystander, alone, memory, open_files, scrape, stats_of
from tests.peers import eventually
from tests.raw_socket import RawSocket

pytestmark = pytest.mark.timeout(120)

PATH = "/api/live/ws"
LIMIT = 256 * 1024
"""Bytes that may wait for one client of the sites with slow ones."""
INTERVAL, TIMEOUT = 4, 3.8
"""PING_INTERVAL and PONG_TIMEOUT of the site that soon knows who is there, in seconds; time for a busy machine."""
LATE = 15
"""Seconds that a busy machine may be behind; daphne's own pings would take 50."""
LEAST = 21
"""Attacks, and publications meanwhile, however slow the machine."""

SLOW = "live_disconnects_total:3008"
NO_PONG = "live_disconnects_total:3012"


@pytest.fixture
def dice():
    seed = int(os.environ.get("LIVE_TEST_SEED", "20261122"))
    print(f"LIVE_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(scope="module")
def target(make_site):
    """A site that waits for nobody for long."""
    return make_site(HANDLERS=HANDLERS, CONNECT_TIMEOUT=4, PING_INTERVAL=INTERVAL, PONG_TIMEOUT=TIMEOUT)


@pytest.fixture(scope="module")
def wide_site(make_site):
    """A site with room for many, and little patience with those that read nothing."""
    return make_site(
        HANDLERS=HANDLERS,
        METRICS_TOKEN=TOKEN,
        MAX_CONNECTIONS=-1,
        CLIENT_QUEUE_MAX_BYTES=LIMIT,
        MAX_PUBLICATION_SIZE=LIMIT // 2,
    )


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


def attack(dice, port, seconds, enough):
    """Attacks one after the other, until there was enough of what happens meanwhile; how many there were."""
    until, count, left = time.monotonic() + seconds, 0, []
    while time.monotonic() < until or count < LEAST or not enough.is_set():
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
        enough = threading.Event()
        attacking = asyncio.create_task(asyncio.to_thread(attack, dice, target.port, 4, enough))
        heard = 0
        try:
            while not attacking.done():
                await bystander.hears_one()
                heard += 1
                if heard == LEAST:
                    enough.set()
        finally:
            enough.set()
        count = await attacking
    print(f"{count} attacks, {heard} publications")
    await alone(target)
    assert "Traceback" not in target.log, re.findall("Traceback.*?(?=\n\\S+ )", target.log, re.DOTALL)[:3]


# Half-open sockets


def silent(port):
    """Connects to Live and never does anything again, nor reads."""
    peer = RawSocket(port, PATH)
    peer.send(b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"lobby/a/b"}}', opcode=1)
    return peer


async def test_who_stops_answering_is_gone_after_the_pong_timeout(make_site):
    site = make_site(HANDLERS=HANDLERS, PING_INTERVAL=3, PONG_TIMEOUT=2.5)
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


@pytest.fixture(scope="module")
def attentive_site(make_site):
    """A site that soon knows who is there."""
    return make_site(
        HANDLERS=HANDLERS, METRICS_TOKEN=TOKEN, MAX_CONNECTIONS=-1, PING_INTERVAL=INTERVAL, PONG_TIMEOUT=TIMEOUT
    )


async def stay_for_a_round(site):
    """Returns when everybody was pinged and should have answered."""
    async with Bystander.on(site) as bystander:
        since = time.monotonic()
        while time.monotonic() < since + INTERVAL + TIMEOUT:
            await bystander.hears_one()


async def test_who_vanishes_without_a_word_is_found_by_its_silence(attentive_site):
    site, clients = attentive_site, 200
    files, before = open_files(site), scrape(site)[NO_PONG]
    async with Crowd.of("audience", port=site.port, channel="lobby/a/b", readers=clients) as crowd:
        assert await crowd.hear() == {"ready": clients}
        await stay_for_a_round(site)
        assert scrape(site)[NO_PONG] == before
        async with Bystander.on(site) as bystander:
            crowd.stop()
            since = time.monotonic()
            while scrape(site)[NO_PONG] - before < clients:
                await bystander.hears_one()
                took = time.monotonic() - since
                assert took < INTERVAL + TIMEOUT + LATE, scrape(site)[NO_PONG] - before
            print(f"{clients} found after {took:.2f} s")
        # They still hold their ends.
        await alone(site)
        await eventually(lambda: open_files(site) <= files)
        assert scrape(site)[NO_PONG] - before == clients
        crowd.resume()
        crowd.tell("end")
        assert await crowd.hear() == {"ended": {"3012": clients}}


async def test_a_server_that_was_held_up_does_not_take_its_own_silence_for_theirs(attentive_site):
    site, clients = attentive_site, 100
    before = scrape(site)[NO_PONG]
    async with Crowd.of("audience", port=site.port, channel="lobby/a/b", readers=clients) as crowd:
        assert await crowd.hear() == {"ready": clients}
        site.process.send_signal(signal.SIGSTOP)
        try:
            # As a machine that is moved or starved does; longer than anybody may take for a pong.
            await asyncio.sleep(INTERVAL + TIMEOUT)
        finally:
            site.process.send_signal(signal.SIGCONT)
        await stay_for_a_round(site)
        assert scrape(site)[NO_PONG] == before
        crowd.tell("end")
        assert await crowd.hear() == {"ended": {"1000": clients}}
    await alone(site)


# Slow readers


async def test_who_reads_nothing_costs_the_others_nothing(wide_site):
    site, readers, deaf = wide_site, 250, 50
    options = {"channel": "kept/slow/x", "readers": readers, "deaf": deaf, "count": 320, "size": 16_000}
    async with Crowd.of("audience", port=site.port, **options) as crowd:
        assert await crowd.hear() == {"ready": readers + deaf}
        before, files, slow = memory(site), open_files(site), scrape(site)[SLOW]
        speaking = time.monotonic()
        crowd.tell("speak")
        assert await crowd.hear() == {"heard_all": readers, "gaps": 0, "refused": 0}
        grown = memory(site) - before
        print(f"{time.monotonic() - speaking:.1f} s, {grown >> 10} KiB more")
        assert grown < deaf * LIMIT + 32 * 2**20, f"{grown >> 20} MiB more"
        assert scrape(site)[SLOW] - slow == deaf
        # What waited for them is given up while they still hold their ends, and so are their sockets.
        await eventually(lambda: scrape(site)["live_queue_bytes"] == 0)
        await eventually(lambda: scrape(site)["live_clients"] == readers)
        await eventually(lambda: open_files(site) <= files - deaf)
        crowd.tell("end")
        ended = (await crowd.hear())["ended"]
        # How much of the goodbye gets through a full socket is the network's affair.
        assert ended.pop("1000") == readers
        assert set(ended) <= {"3008", "None"}
        assert sum(ended.values()) == deaf
    await alone(site)
