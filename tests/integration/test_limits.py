"""Limits of connections and time, over a real daphne."""

import asyncio

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
    return make_site(CONNECT_TIMEOUT=0.2, PING_INTERVAL=1, PONG_TIMEOUT=0.2)


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
        async with asyncio.timeout(20):
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
