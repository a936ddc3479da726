"""Limits of connections and time, over a real daphne."""

import asyncio
import json
import socket

import psutil
import pytest


async def test_over_the_limit_the_client_is_told_to_come_back(make_site):
    site = make_site(MAX_CONNECTIONS=2)
    async with site.connect(), site.connect() as second:
        async with site.connect(hello=False) as third:
            await third.send({"connect": {}})
            assert await third.closed() == (4001, {"code": 4001, "reason": "connection limit"})
        assert site.log.count("LIVE['MAX_CONNECTIONS']") == 1
        assert "subscribe" in await second.subscribe("stream/a/b")
    async with site.connect():
        pass


async def test_zero_turns_live_off(make_site):
    site = make_site(MAX_CONNECTIONS=0)
    async with site.connect(hello=False) as peer:
        await peer.send({"connect": {}})
        assert (await peer.closed())[0] == 4001


@pytest.fixture(scope="module")
def hasty_site(make_site):
    """A site with little patience, yet more than a busy machine needs."""
    return make_site(CONNECT_TIMEOUT=3, PING_INTERVAL=3, PONG_TIMEOUT=2.9)


async def test_a_socket_that_never_connects_is_closed(hasty_site):
    async with hasty_site.connect(hello=False) as peer:
        assert await peer.closed() == (4002, {"code": 4002, "reason": "connect timeout"})


async def test_who_answers_pings_stays(hasty_site):
    async with hasty_site.connect() as peer:
        reading = asyncio.create_task(peer.receive())
        pings = 0
        original = peer.ws.send

        async def count(message):
            nonlocal pings
            pings += message == "{}"
            await original(message)

        peer.ws.send = count
        async with asyncio.timeout(40):
            while pings < 2:
                await asyncio.wait([reading], timeout=0.1)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        peer.ws.send = original
        assert "subscribe" in await peer.subscribe("stream/a/b")


async def test_who_does_not_is_disconnected(hasty_site):
    async with hasty_site.connect() as peer:
        assert await peer.ws.recv() == "{}"
        await peer.ws.recv()
        close_code, _ = await peer.closed()
        assert close_code == 3012


async def test_who_reads_nothing_is_found_slow_and_the_others_lose_nothing(make_site):
    site = make_site(CLIENT_QUEUE_MAX_BYTES=600_000)
    body = "weather text=" + json.dumps("x" * 400_000)
    # A small window, so that what the client does not read stays with the server.
    slow_socket = socket.socket()
    slow_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow_socket.connect(("127.0.0.1", site.port))
    async with site.connect(sock=slow_socket, max_queue=1) as slow, site.connect() as healthy:
        await slow.subscribe("stream/slow/weather")
        await healthy.subscribe("stream/slow/weather")
        slow.ws.transport.pause_reading()
        for number in range(40):
            assert (await asyncio.to_thread(site.push, "slow", body))[0] == 200
            assert (await healthy.publication())["offset"] == number + 1
        slow.ws.transport.resume_reading()
        # How much of the goodbye gets through a full socket is the network's affair; that it ended is ours.
        await slow.closed()
    memory = psutil.Process(site.process.pid).memory_info().rss
    assert memory < 250 * 2**20
