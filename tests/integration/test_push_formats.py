"""The same metrics by each of Telegraf's outputs, and by any writer of InfluxDB, become the same publications.

The requests are written out as those outputs send them, byte for byte where it matters: request line, headers, body.
"""

import asyncio
import base64
import gzip
import socket

import orjson
import pytest

from tests.raw_socket import RawSocket

# What Telegraf's serializer writes: fields sorted, nanoseconds, each line with its end.
METRICS = (
    b"cpu,cpu=cpu0,host=box usage_idle=98.5,usage_user=1.25 1616403089000000000\n"
    b"cpu,cpu=cpu1,host=box usage_idle=97,usage_user=2.5 1616403089000000000\n"
    b'mem,host=box active=1024i,note="a \\"quoted\\" word",total=18446744073709551615u 1616403089000000000\n'
    b"disk,host=box,path=/var\\ log free=12i,ok=true 1616403089000000123\n"
)
LATER = METRICS.replace(b"1616403089", b"1616403099").replace(b"98.5", b"98")
CHANNELS = ("cpu", "mem", "disk")


def request(site, target, body, *headers):
    """One request as it stands on the wire; the status line and the body of the answer."""
    head = [f"POST {target} HTTP/1.1", f"Host: 127.0.0.1:{site.port}", *headers, f"Content-Length: {len(body)}"]
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as sock:
        sock.sendall("\r\n".join([*head, "Connection: close", "", ""]).encode() + body)
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    head, _, content = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), content


def http_plain(site, stream_id, body):
    """``outputs.http``."""
    return request(
        site,
        f"/api/live/push/{stream_id}",
        body,
        "User-Agent: Telegraf/1.30.0 Go/1.22.0",
        f"Authorization: Token {site.token}",
        "Content-Type: text/plain; charset=utf-8",
        "Accept-Encoding: gzip",
    )[0]


def http_gzip(site, stream_id, body):
    """``outputs.http`` with ``content_encoding = "gzip"``."""
    return request(
        site,
        f"/api/live/push/{stream_id}",
        gzip.compress(body),
        "User-Agent: Telegraf/1.30.0 Go/1.22.0",
        f"Authorization: Bearer {site.token}",
        "Content-Encoding: gzip",
        "Content-Type: text/plain; charset=utf-8",
        "Accept-Encoding: gzip",
    )[0]


def influxdb_v2(site, stream_id, body):
    """``outputs.influxdb_v2``, which compresses unless told otherwise."""
    return request(
        site,
        f"/api/live/influx/api/v2/write?bucket={stream_id}&org=home",
        gzip.compress(body),
        "User-Agent: Telegraf/1.30.0 Go/1.22.0",
        f"Authorization: Token {site.token}",
        "Content-Encoding: gzip",
        "Content-Type: text/plain; charset=utf-8",
        "Accept-Encoding: gzip",
    )[0]


def influxdb_v1(site, stream_id, body):
    """``outputs.influxdb``: it makes its database first, and has no length where it compresses."""
    credentials = base64.b64encode(f"telegraf:{site.token}".encode()).decode()
    common = ("User-Agent: Telegraf/1.30.0 Go/1.22.0", f"Authorization: Basic {credentials}")
    status, answer = request(
        site,
        "/api/live/influx/query",
        f"q=CREATE+DATABASE+%22{stream_id}%22".encode(),
        *common,
        "Content-Type: application/x-www-form-urlencoded",
    )
    assert (status, orjson.loads(answer)) == ("HTTP/1.1 200 OK", {"results": [{"statement_id": 0}]})
    return request(
        site,
        f"/api/live/influx/write?consistency=any&db={stream_id}",
        gzip.compress(body),
        *common,
        "Content-Encoding: gzip",
        "Content-Type: text/plain; charset=utf-8",
    )[0]


def websocket(site, stream_id, body):
    """``outputs.websocket``, which sends binary messages."""
    with RawSocket(site.port, f"/api/live/push/{stream_id}", [f"Authorization: Bearer {site.token}"]) as raw:
        assert raw.status == 101
        raw.send(body)
        # A polite end; what was sent before it counts.
        raw.send(b"\x03\xe8", opcode=8)
        raw.read_to_end()
    return "sent"


def chunked(site, stream_id, body):
    """Any sender that does not know the length beforehand."""
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:100], body[100:]))
    head = f"POST /api/live/push/{stream_id} HTTP/1.1\r\nHost: x\r\nAuthorization: Token {site.token}\r\n"
    head += "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as sock:
        sock.sendall(head.encode() + pieces + b"0\r\n\r\n")
        return sock.makefile("rb").readline().decode().strip()


WAYS = {
    "http-plain": (http_plain, "HTTP/1.1 200 OK"),
    "http-gzip": (http_gzip, "HTTP/1.1 200 OK"),
    "http-chunked": (chunked, "HTTP/1.1 200 OK"),
    "websocket": (websocket, "sent"),
    "influxdb-v2": (influxdb_v2, "HTTP/1.1 204 No Content"),
    "influxdb-v1": (influxdb_v1, "HTTP/1.1 204 No Content"),
}


async def received(site, stream_id, send):
    """The bytes of each publication that a subscriber gets, by measurement."""
    got = {name: [] for name in CHANNELS}
    async with site.connect() as peer:
        for name in CHANNELS:
            await peer.subscribe(f"stream/{stream_id}/{name}")
        for count, body in enumerate((METRICS, LATER), 1):
            await send(body)
            # By WebSocket nothing says when it is published, and the next one goes another way.
            while not all(len(messages) == count for messages in got.values()):
                push = (await peer.receive())["push"]
                got[push["channel"].rsplit("/", 1)[1]].append(orjson.dumps(push["pub"]["data"]))
    return got


@pytest.fixture(scope="module")
def reference(site):
    """What plain HTTP gives."""

    async def send(body):
        status, answer = await asyncio.to_thread(site.push, "formats-reference", body)
        assert (status, answer) == (200, b"")

    return asyncio.run(received(site, "formats-reference", send))


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_in_gives_the_same_bytes(site, reference, way):
    write, status = WAYS[way]
    stream_id = f"formats-{way}"

    async def send(body):
        assert await asyncio.to_thread(write, site, stream_id, body) == status

    assert await received(site, stream_id, send) == reference


def test_the_reference_itself(reference):
    first, second = map(orjson.loads, reference["cpu"])
    assert first["data"]["values"] == [
        ["cpu=cpu0, host=box", "cpu=cpu1, host=box"],
        [1616403089000] * 2,
        [98.5, 97],
        [1.25, 2.5],
    ]
    assert list(second) == ["data"]
    assert orjson.loads(reference["mem"][0])["data"]["values"][2:] == [[1024], ['a "quoted" word'], [2**64]]
    disk = orjson.loads(reference["disk"][0])["data"]
    assert disk["values"] == [["host=box, path=/var log"], [1616403089000], [12], [True]]
    assert disk["nanos"] == [None, [123], None, None]


def test_a_password_in_the_address_is_in_no_log(site):
    target = f"/api/live/influx/write?db=formats-secret&u=telegraf&p={site.token}"

    assert request(site, target, b"m x=1")[0] == "HTTP/1.1 204 No Content"
    assert request(site, target.replace("db=", "db=a.b"), b"m x=1")[0] == "HTTP/1.1 400 Bad Request"
    assert request(site, target.replace("write", "query"), b"q=SHOW+TABLES")[0] == "HTTP/1.1 400 Bad Request"
    log = site.log
    assert log.count("/api/live/influx/write") >= 2
    assert site.token not in log
