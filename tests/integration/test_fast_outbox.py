"""The fast outbox on real servers: which connections get it, and that frames stay whole whatever is in between."""

import asyncio
import json
import socket
import sys
import threading

import pytest
from websockets.frames import Opcode

from tests.integration.held import HANDLERS, stats_of
from tests.site import Site


async def test_daphne_gets_the_fast_outbox(make_site):
    """Fails when a version of daphne no longer is what the fast outbox needs."""
    site = make_site(HANDLERS={"inspect": "tests.integration.handlers.Inspector"})
    async with site.connect() as peer:
        assert (await peer.subscribe("inspect/outbox/x"))["subscribe"]["data"] == "FastOutbox"


class FrequentPings(Site):
    """A daphne that asks every second whether its peers are there."""

    daphne_options = ("--ping-interval", "1")


async def test_daphne_sends_no_pings_of_its_own(tmp_path):
    site = FrequentPings(tmp_path, PING_INTERVAL=5, PONG_TIMEOUT=4)
    site.prepare()
    site.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        lines = [
            "GET /api/live/ws HTTP/1.1",
            f"Host: 127.0.0.1:{site.port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
        ]
        lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""]
        writer.write("\r\n".join(lines).encode())
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        # A text frame, masked with zeros.
        command = b'{"id":1,"connect":{}}'
        writer.write(bytes([0x81, 0x80 | len(command), 0, 0, 0, 0]) + command)
        payloads = []
        while b"{}" not in payloads:
            kind, size = await reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await reader.readexactly(2))
            payload = await reader.readexactly(size)
            if kind == 0x81:
                payloads.append(payload)
            # Until it is answered the peer is daphne's.
            assert kind == 0x81 or not payloads, "a text frame, and neither a ping nor anything else"
        assert len(payloads) == 2
        writer.close()
        await writer.wait_closed()
    finally:
        site.stop()


class UvicornSite(Site):
    """The demo under uvicorn."""

    implementation = "websockets-sansio"

    def command(self):
        """What starts the server."""
        server = ["-m", "uvicorn", "--host", "127.0.0.1", "--port", str(self.port), "--ws", self.implementation]
        return [sys.executable, *server, "project.asgi:application"]


@pytest.mark.parametrize(("implementation", "outbox"), [("websockets-sansio", "FastOutbox"), ("wsproto", "Outbox")])
async def test_uvicorn_serves_too(tmp_path, implementation, outbox):
    """Fails when a version of uvicorn no longer is what the fast outbox needs."""
    site = UvicornSite(tmp_path, HANDLERS={"inspect": "tests.integration.handlers.Inspector"}, DRAIN_SECONDS=0)
    site.implementation = implementation
    site.prepare()
    site.start()
    try:
        async with site.connect() as peer:
            assert (await peer.subscribe("inspect/outbox/x"))["subscribe"]["data"] == outbox
            await peer.subscribe("stream/uvicorn/weather")
            for number in range(200):
                assert (await asyncio.to_thread(site.push, "uvicorn", f"weather number={number}"))[0] == 200
            seen = [(await peer.publication())["data"]["data"]["values"][-1] for _ in range(200)]
            assert seen == [[number] for number in range(200)]
            await peer.ws.send("x" * 100_000)
            code, _ = await peer.closed()
            assert code == 1009
    finally:
        site.stop()
    assert "Traceback" not in site.log


async def test_uvicorn_lets_go_of_who_reads_nothing(tmp_path):
    """What its transport holds for a peer is given up while the peer still holds its end."""
    site = UvicornSite(tmp_path, HANDLERS=HANDLERS, CLIENT_QUEUE_MAX_BYTES=2**18, MAX_PUBLICATION_SIZE=2**17)
    site.prepare()
    site.start()
    line = f'weather text="{"x" * 60_000}"'
    try:
        # It does not say goodbye: it could not read the answer.
        async with site.connect(max_queue=1, close_timeout=0.1) as deaf:
            await deaf.subscribe("stream/uvicorn/weather")
            for number in range(1000):
                assert (await asyncio.to_thread(site.push, "uvicorn", line))[0] == 200
                # Now and then: to look is more work than to push.
                if number % 10 == 9 and (stats := await stats_of(site))["disconnects"]:
                    break
            assert stats["disconnects"] == {"3008": 1}
            async with asyncio.timeout(30):
                while (stats := await stats_of(site))["clients"] > 1:
                    pass
            assert stats["queue_bytes"] == 0
    finally:
        site.stop()
    assert "Traceback" not in site.log


@pytest.fixture(scope="module")
def roomy_site(make_site):
    return make_site(CLIENT_QUEUE_MAX_BYTES=64 * 2**20, PING_INTERVAL=4, PONG_TIMEOUT=3.9)


async def test_frames_stay_whole_while_pings_replies_and_publications_share_a_slow_socket(roomy_site):
    site: Site = roomy_site
    sizes = [10, 200, 70_000, 400_000, 1_000, 125, 126, 127, 65_400, 65_600]
    pinged = threading.Event()
    room = threading.Semaphore(3 * len(sizes))
    """For as many as may be on their way: a ping has to come through in time."""

    def push():
        """Three times, and until a ping came in between; then a last one, and how many there were before it."""
        count = 0
        while count < 3 * len(sizes) or not pinged.is_set():
            for size in sizes:
                assert room.acquire(timeout=30)
                assert site.push("whole", f"weather number={count}i,text=" + json.dumps("x" * size))[0] == 200
                count += 1
        assert site.push("whole", 'weather number=-1i,text="over"')[0] == 200
        return count

    slow_socket = socket.socket()
    slow_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow_socket.connect(("127.0.0.1", site.port))
    async with site.connect(sock=slow_socket) as peer, asyncio.timeout(50):
        await peer.subscribe("stream/whole/weather")
        answer = peer.ws.send

        async def send(message):
            await answer(message)
            if message == "{}":
                pinged.set()

        peer.ws.send = send
        pushing = asyncio.create_task(asyncio.to_thread(push))
        asked, answered, numbers = 0, 0, []
        while -1 not in numbers[-1:] or answered < asked:
            if asked < 40:
                await peer.send({"rpc": {"data": asked}})
                asked += 1
            reply = await peer.receive()
            if "error" in reply:
                answered += 1
            elif "push" in reply:
                _, _, (number,), (text,) = reply["push"]["pub"]["data"]["data"]["values"]
                assert text == ("over" if number == -1 else "x" * sizes[int(number) % len(sizes)])
                numbers.append(number)
                room.release()
        assert numbers == [*range(await pushing), -1]


async def test_publications_of_one_push_come_in_order_however_they_are_joined(site):
    async with site.connect() as peer:
        names = [f"m{n}" for n in range(16)]
        await peer.send(*[{"subscribe": {"channel": f"stream/joined/{name}"}} for name in names])
        while (await peer.receive())["id"] != peer.last_id:
            pass
        await asyncio.to_thread(site.push, "joined", "\n".join(f"{name} v=1" for name in names))
        found = []
        while len(found) < len(names):
            found.append((await peer.receive())["push"]["channel"])
        assert found == [f"stream/joined/{name}" for name in names]


async def test_daphne_goes_on_pinging_who_wants_the_pings_of_the_websocket(tmp_path):
    site = FrequentPings(tmp_path, PING_INTERVAL=1, PONG_TIMEOUT=0.5)
    site.prepare()
    site.start()
    try:
        path = "/api/live/ws?cf_ws_frame_ping_pong=true"
        async with site.connect(path=path, hello=False, ping_interval=None) as peer:
            asked = asyncio.Semaphore(0)
            answer = peer.ws.protocol.recv_frame

            def take(frame):
                if frame.opcode is Opcode.PING:
                    asked.release()
                answer(frame)

            peer.ws.protocol.recv_frame = take
            result = (await peer.ask({"connect": {}}))["connect"]
            assert "ping" not in result
            assert "pong" not in result
            # By then the protocol would have pinged twice, and given up who never answers.
            for _ in range(3):
                await asyncio.wait_for(asked.acquire(), 20)
            await peer.send({"rpc": {}})
            assert "error" in json.loads(await peer.ws.recv())
    finally:
        site.stop()
