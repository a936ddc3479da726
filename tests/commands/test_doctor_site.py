"""`doctor --url`: real handshakes through proxies that are set up right and wrong, and what is made of each failure."""

import base64
import hashlib
import ssl
import struct
import time

import pytest

from live.commands.base import Console
from live.commands.doctor import finding as findings
from live.commands.doctor import site as doctor_site
from live.commands.doctor import wire
from live.commands.doctor.refusals import explain_failure
from live.commands.doctor.site import check_site
from live.commands.site import Site
from tests.commands.doctor_fronts import HOST, UPGRADE, Odd, answering, make_certificate, nginx
from tests.redis_server import RedisServer
from tests.site import free_port

pytestmark = pytest.mark.usefixtures("patience")

PATIENCE, SECONDS = wire.PATIENCE, findings.SECONDS
"""As users have them."""
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


async def look(url, origin=""):
    """The findings by check."""
    found = await check_site(Site(url, Console(None, None), token="none"), origin)
    for one in found:
        assert (one.fix == "") == (one.level == "ok"), one
        assert one.found, one
        assert one.why, one
    by_check = {one.check: one for one in found}
    assert len(by_check) == len(found)
    return by_check


def levels(found):
    return {check: str(one.level) for check, one in found.items()}


async def test_a_site_that_is_well(site):
    found = await look(site.url)

    assert levels(found) == dict.fromkeys(
        ["site", "site-livez", "site-readyz", "site-pages", "site-websocket", "site-origin"], "ok"
    )
    assert "pings every 25 s" in found["site-websocket"].found
    assert found["site-origin"].found.endswith("are answered 403")


@pytest.mark.parametrize("path", ["/", "/api/live", "/api/live/ws"])
async def test_every_way_to_name_a_site(site, path):
    assert (await look(site.url + path))["site-websocket"].level == "ok"


async def test_behind_a_proxy_that_is_set_up(site, tmp_path):
    with nginx(tmp_path, site.port, UPGRADE + HOST) as front:
        found = await look(front.url)

    assert set(levels(found).values()) == {"ok"}


async def test_a_proxy_that_drops_upgrade(site, tmp_path):
    with nginx(tmp_path, site.port, HOST) as front:
        found = await look(front.url)

    problem = found.pop("site-websocket")
    assert problem.level == "error"
    assert "is answered 404" in problem.found
    assert "drops the header Upgrade" in problem.why
    assert "proxy_set_header Upgrade $http_upgrade" in problem.fix
    assert set(levels(found).values()) == {"ok"}


async def test_a_proxy_that_passes_upgrade_without_connection(site, tmp_path):
    directives = HOST + "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;"
    with nginx(tmp_path, site.port, directives) as front:
        problem = (await look(front.url))["site-websocket"]

    assert problem.level == "error"
    assert 'Connection "upgrade"' in problem.fix


async def test_a_proxy_that_changes_host(site, tmp_path):
    with nginx(tmp_path, site.port, UPGRADE) as front:
        found = await look(front.url)

    problem = found["site-websocket"]
    assert problem.level == "error"
    assert f"a page of {front.url} is answered 403" in problem.found
    assert "sees another host" in problem.why
    assert "proxy_set_header Host" in problem.fix
    assert "site-origin" not in found


async def test_pages_of_an_origin_that_is_not_allowed(site):
    problem = (await look(site.url, "https://app.example.com"))["site-websocket"]

    assert problem.level == "error"
    assert "a page of https://app.example.com is answered 403" in problem.found
    assert problem.fix == "Add 'https://app.example.com' to LIVE['ALLOWED_ORIGINS']."


async def test_a_proxy_that_takes_origin_away(site, tmp_path):
    with nginx(tmp_path, site.port, UPGRADE + HOST + 'proxy_set_header Origin "";') as front:
        found = await look(front.url)

    assert found["site-websocket"].level == "ok"
    assert found["site-origin"].level == "error"
    assert "Origin does not reach the server" in found["site-origin"].why


async def test_a_proxy_without_a_server(tmp_path):
    with nginx(tmp_path, free_port(), UPGRADE + HOST) as front:
        found = await look(front.url)

    assert found["site-websocket"].level == "error"
    assert "502" in found["site-websocket"].found
    assert found["site-pages"].level == "error"
    assert found["site-livez"].level == "warning"


@pytest.mark.parametrize(
    ("directives", "text"),
    [
        ("return 301 https://user:secret@elsewhere.example/api/live/ws?token=secret;", "https://elsewhere.example/api"),
        ("return 403;", "also without an Origin"),
        ("return 401;", "is answered 401"),
        ("return 426;", "is answered 426"),
        ("return 429;", "is answered 429"),
        ("return 200 page;", "is answered 200"),
        ("return 404;", "is answered 404"),
        ("return 418;", "is answered 418"),
        ("return 505;", "is answered 505"),
    ],
)
async def test_a_proxy_that_answers_itself(tmp_path, directives, text):
    with nginx(tmp_path, 0, directives) as front:
        found = await look(front.url)

    assert found["site-websocket"].level == "error"
    assert text in found["site-websocket"].found
    assert not any("secret" in str(one) for one in found.values())


async def test_a_certificate_of_ones_own(site, tmp_path, monkeypatch):
    files = make_certificate(tmp_path)
    with nginx(tmp_path, site.port, UPGRADE + HOST, tls=files) as front:
        untrusted = await look(front.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
        trusted = await look(front.url)

    assert "site" not in untrusted
    problem = untrusted.pop("site-tls")
    assert problem.level == "error"
    assert "self-signed certificate" in problem.found
    # What lies behind is looked at in spite of it.
    assert untrusted["site-websocket"].level == "ok"
    assert set(levels(untrusted).values()) == {"ok"}
    assert set(levels(trusted).values()) == {"ok"}
    assert "trusted, until" in trusted["site-tls"].found


@pytest.mark.parametrize(
    ("certificate", "level", "text"),
    [
        ({"days": 5}, "warning", "days"),
        ({"days": -1, "since": -9}, "error", "expired"),
        ({"name": "127.0.0.2"}, "error", "mismatch"),
    ],
)
async def test_certificates_that_are_wrong(site, tmp_path, monkeypatch, certificate, level, text):
    files = make_certificate(tmp_path, **certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    with nginx(tmp_path, site.port, UPGRADE + HOST, tls=files) as front:
        found = await look(front.url)

    assert found["site-tls"].level == level
    assert text in found["site-tls"].found
    assert found["site-websocket"].level == "ok"


async def test_tls_where_there_is_none_and_none_where_there_is(site, tmp_path, monkeypatch):
    with nginx(tmp_path, site.port, UPGRADE + HOST, tls=make_certificate(tmp_path)) as front:
        plain = await look(front.url.replace("https", "http"))
    # daphne waits for the end of a line, others answer in plain HTTP, or would after the end of a request.
    monkeypatch.setattr(wire, "PATIENCE", 1.0)
    silent = await look(site.url.replace("http", "https"))
    with Odd(lambda connection, head: None) as server, answering(PAGE) as other:
        ended = await look(server.url.replace("http", "https"))
        answered = await look(other.url.replace("http", "https"))

    assert "Use https://" in plain["site-websocket"].fix
    for found in (silent, ended, answered):
        assert levels(found) == {"site": "error"}
        assert "no TLS" in found["site"].found
        assert "plain HTTP" in found["site"].why


async def test_pages_that_lead_back_to_http(tmp_path, monkeypatch):
    files = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    with nginx(tmp_path, 0, "return 302 http://127.0.0.1/login;", tls=files) as front:
        problem = (await look(front.url))["site-pages"]

    assert problem.level == "error"
    assert "X-Forwarded-Proto" in problem.fix


# Who does not answer, or not as it should


async def test_nobody_there():
    url = f"http://127.0.0.1:{free_port()}"
    found = await look(url)

    assert levels(found) == {"site": "error"}
    assert found["site"].found == f"{url}: nobody listens there"


async def test_a_name_that_nobody_knows():
    found = await look("http://nobody.invalid")

    assert levels(found) == {"site": "error"}
    assert "name is not known" in found["site"].found
    assert "getent hosts nobody.invalid" in found["site"].fix


async def test_who_takes_connections_and_never_answers(monkeypatch):
    monkeypatch.setattr(wire, "PATIENCE", 0.3)
    with Odd(lambda connection, head: server.done.wait(20)) as server:
        found = await look(server.url)

    assert levels(found) == {
        "site": "ok",
        "site-livez": "error",
        "site-readyz": "error",
        "site-pages": "error",
        "site-websocket": "error",
    }
    assert "no answer in time" in found["site-websocket"].found


async def test_who_answers_a_letter_a_time(monkeypatch):
    async def hurried(check, looking):
        # Who comes first only connects, which may take its time.
        monkeypatch.setattr(findings, "SECONDS", 40 if check == "site" else 0.5)
        return await findings.bounded(check, looking)

    monkeypatch.setattr(doctor_site, "bounded", hurried)

    def drip(connection, head):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not server.done.wait(0.05):
            connection.sendall(b"y")

    with Odd(drip) as server:
        found = await look(server.url)

    assert "no answer within 0.5 s" in found["site-websocket"].found


def switching(head):
    """The answer 101 to the handshake with this head."""
    lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    key = lines.get(b"Sec-WebSocket-Key", b"") + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


async def test_who_buffers_what_follows_the_handshake(monkeypatch):
    ask = wire.Wire.connect_command

    def ask_in_a_hurry(asking):
        # The handshake may take its time.
        asking._deadline = time.monotonic() + 0.3
        return ask(asking)

    monkeypatch.setattr(wire.Wire, "connect_command", ask_in_a_hurry)

    def serve(connection, head):
        connection.sendall(switching(head) if b"Upgrade" in head else PAGE)
        server.done.wait(20)

    with Odd(serve) as server:
        problem = (await look(server.url))["site-websocket"]

    assert problem.found == "the handshake passes, and then nothing comes through"
    assert "buffers" in problem.why


def frame(payload, opcode=1, final=True):
    size = len(payload)
    head = bytes([(0x80 if final else 0) | opcode])
    return head + (bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size)) + payload


@pytest.mark.parametrize(
    ("answer", "level", "text"),
    [
        (b"", "error", "and then the connection is cut"),
        (frame(b""), "error", "and then the connection is cut"),
        (frame(b"hello") * 60, "error", "does not speak Live's protocol"),
        (b"\x81\xff" + b"\0" * 12, "error", "no sound wire frames"),
        (b"\x81\x7f" + struct.pack(">Q", 2**40), "error", "no sound wire frames"),
        (frame(struct.pack(">H", 4404) + b"no such path", 8), "error", "4404 no such path"),
        (frame(b"", 8), "error", "1005"),
        (frame(b'{"push":{"disconnect":{"code":4001,"reason":"connection limit"}}}'), "error", "4001 connection"),
        (frame(b'{"push":{"disconnect":{"code":3001,"reason":"shutdown"}}}'), "error", "3001 shutdown"),
        (frame(b'{"push":{"disconnect":{"code":3501,"reason":"bad request"}}}'), "error", "3501 bad request"),
        (frame(b'{"push":{"disconnect":{"code":3501,"reason":"no credentials"}}}'), "ok", "wants a login"),
        (frame(b'{"id":1,"error":{"code":100,"message":"no"}}'), "error", "connect is refused"),
        (frame(b"", 9) + frame(b"{}") + frame(b'{"id":1,"connect":{"version":"live 1"}}'), "ok", "live 1"),
        (frame(b'{"id":1,', final=False) + frame(b'"connect":{"ping":25}}', 0), "ok", "every 25 s"),
        (frame(b'{"id":1,"connect":{"version":"' + b"v\\u001b" * 300 + b'"}}'), "ok", "v\ufffdv"),
    ],
)
async def test_what_comes_over_the_websocket(answer, level, text):
    def serve(connection, head):
        if b"Upgrade" not in head:
            connection.sendall(PAGE)
            return
        connection.sendall(switching(head))
        if answer:
            connection.recv(4096)
            connection.sendall(answer)

    with Odd(serve) as server:
        found = (await look(server.url))["site-websocket"]

    assert found.level == level
    assert text in found.found
    assert "\x1b" not in found.found


async def test_an_answer_out_of_a_cache():
    with answering(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: old\r\n\r\n") as server:
        problem = (await look(server.url))["site-websocket"]

    assert "belongs to another one" in problem.found


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH_9.2p1\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"]
)
async def test_what_is_not_http(answer):
    with answering(answer) as server:
        found = await look(server.url)

    assert found["site-websocket"].level == "error"


@pytest.mark.parametrize(
    ("status", "level"), [("200 OK", "ok"), ("302 Found", "ok"), ("400 Bad Request", "error"), ("500 Oops", "error")]
)
async def test_pages(status, level):
    with answering(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as server:
        found = await look(server.url)

    assert found["site-pages"].level == level
    assert status in found["site-pages"].found


# What cannot be had from a server of this machine


def certificate_error(code):
    failure = ssl.SSLCertVerificationError(1, "text")
    failure.verify_code, failure.verify_message = code, "no trust"
    return failure


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (certificate_error(20), "fullchain.pem"),
        (certificate_error(23), "openssl s_client"),
        (OSError(113, "No route to host"), "no route to host"),
        (OSError("text"), "OSError"),
    ],
)
def test_failures_have_a_way_out(failure, text):
    reason = explain_failure(failure, "https://live.example.com")

    assert text.lower() in f"{reason.found} {reason.fix}".lower()
    assert reason.why


@pytest.mark.parametrize("location", ["http://[", ""])
def test_redirects_that_lead_nowhere(location):
    assert wire.Answer(302, "Found", {"location": location}).elsewhere == ""


# The site itself


async def test_a_site_that_wants_a_login_and_one_that_is_full(make_site):
    private = make_site(ALLOW_ANONYMOUS=False)
    full = make_site(MAX_CONNECTIONS=0)

    assert (await look(private.url))["site-websocket"].level == "ok"
    problem = (await look(full.url))["site-websocket"]
    assert "4001" in problem.found
    assert "MAX_CONNECTIONS" in problem.fix


async def test_every_origin(site, make_site, settings):
    settings.LIVE = {"ALLOWED_ORIGINS": ["*"]}
    found = await look(make_site(ALLOWED_ORIGINS=["*"]).url)

    assert found["site-origin"].level == "warning"


async def test_a_site_without_redis(tmp_path, make_site):
    from tests.site import Site as RunningSite

    redis = RedisServer(tmp_path / "redis")
    running = RunningSite(tmp_path)
    running.env["LIVE_REDIS_URL"] = redis.url
    running.prepare()
    try:
        running.start()
        problem = (await look(running.url))["site-readyz"]
    finally:
        running.stop()

    assert problem.level == "error"
    assert problem.found.startswith("not ready: ")


def test_what_is_asked_stays_below_what_a_check_may_take():
    assert PATIENCE < SECONDS
    assert doctor_site.FOREIGN_ORIGIN.endswith(".invalid")
