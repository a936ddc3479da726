"""The commands' HTTP client: what it tries again, for how long, and what it makes of every answer."""

import contextlib
import http.server
import json
import threading

import pytest
from django.core.management.base import CommandError

from live.commands.base import Exit
from live.commands.publish import PublishCommand
from live.commands.site import LONGEST_PAUSE, Site
from tests.site import free_port


class Console:
    def __init__(self):
        self.notes = []
        self.lines = []

    def note(self, text):
        self.notes.append(text)

    def line(self, text):
        self.lines.append(text)


class Server(http.server.ThreadingHTTPServer):
    """Answers what it is told to, one after the other: (status, body, headers) or None to close without a word."""

    def __init__(self, *answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        answer = self.server.answers.pop(0)
        if answer is None:
            self.close_connection = True
            return
        status, text, headers = answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = handle_any

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serve(*answers, **kwargs):
    """(server, site, pauses) with a site that never really waits."""
    pauses = []
    with Server(*answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        site = Site(server.url + kwargs.pop("path", ""), Console(), pause=pauses.append, **kwargs)
        try:
            yield server, site, pauses
        finally:
            site.close()
            server.shutdown()
            thread.join()


OK = (200, b'{"ok": 1}', {})


def failure(action):
    with pytest.raises(CommandError) as caught:
        action()
    return caught.value.returncode, str(caught.value)


def test_a_request_is_what_the_api_expects(monkeypatch):
    monkeypatch.setenv("LIVE_TOKEN", "of-the-environment")
    with serve(OK, OK) as (server, site, pauses):
        assert site.post_json("publish", {"a": 1}) == {"ok": 1}
        assert site.get("list") == {"ok": 1}
    method, path, headers, body = server.requests[0]
    assert (method, path, body) == ("POST", "/api/live/publish", b'{"a":1}')
    assert headers["Authorization"] == "Token of-the-environment"
    assert headers["Content-Type"] == "application/json"
    assert pauses == []


def test_the_token_of_the_arguments_comes_first(monkeypatch):
    monkeypatch.setenv("LIVE_TOKEN", "of-the-environment")
    with serve(OK, token="own") as (server, site, _):
        site.get("list")
    assert server.requests[0][2]["Authorization"] == "Token own"


def test_a_site_that_is_away_is_asked_again():
    away = (503, b'{"message": "engine"}', {"Retry-After": "7"})
    with serve(away, (502, b"", {}), None, OK) as (server, site, pauses):
        assert site.get("list") == {"ok": 1}
    assert pauses == [7.0, 1.0, 2.0]
    assert len(server.requests) == 4
    assert "answers 503: engine; trying again in 7 s (1 of 5)" in site._console.notes[0]


def test_but_not_for_ever():
    away = (503, b'{"message": "engine"}', {"Retry-After": "3600"})
    with serve(away, away, away, retries=2) as (server, site, pauses):
        code, text = failure(lambda: site.get("list"))
    assert (code, text) == (Exit.UNAVAILABLE, f"{server.url} answers 503: engine")
    assert pauses == [LONGEST_PAUSE] * 2


def test_a_site_that_stays_away_for_days_is_asked_every_half_minute():
    pauses = []
    site = Site(f"http://127.0.0.1:{free_port()}", Console(), retries=1100, pause=pauses.append)

    assert failure(lambda: site.get("list"))[0] == Exit.UNAVAILABLE
    assert (len(pauses), pauses[-1]) == (1100, LONGEST_PAUSE)


def test_a_publication_that_is_sent_again_has_the_same_key_and_another_has_another():
    away = (503, b"", {"Retry-After": "0"})
    console = Console()
    with serve(away, away, OK, OK) as (server, *_):
        options = {"url": server.url, "token": "t", "retries": 5, "json": False, "channel": "a/b/c", "data": "1"}
        PublishCommand().run(options, console)
        PublishCommand().run(options, console)
    bodies = [json.loads(body) for *_, body in server.requests]
    keys = [body.pop("idempotency_key") for body in bodies]
    assert bodies == [{"channel": "a/b/c", "data": 1}] * 4
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert len(keys[0]) == 32
    assert console.lines == ["published to a/b/c"] * 2


def test_nobody_there():
    pauses = []
    site = Site(f"http://127.0.0.1:{free_port()}", Console(), retries=3, pause=pauses.append)

    code, text = failure(lambda: site.get("list"))

    assert code == Exit.UNAVAILABLE
    assert "cannot be reached" in text
    assert pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((400, b'{"message": "bad name"}', {}), "answers 400: bad name"),
        ((403, b'{"message": "Forbidden"}', {}), "answers 403: Forbidden (no token was given"),
        ((404, b"<html>", {}), "answers 404: Not Found; are live's URLs included below /api/live/ there?"),
        ((404, b'{"message": "nothing answers"}', {}), "answers 404: nothing answers"),
        ((500, b"<html>", {}), "answers 500: Internal Server Error"),
        ((301, b"", {"Location": "https://elsewhere/"}), "is elsewhere: https://elsewhere/"),
        ((200, b"<html>", {}), "answered no JSON"),
    ],
)
def test_refusals_are_told_at_once(answer, text, monkeypatch):
    monkeypatch.delenv("LIVE_TOKEN", raising=False)
    with serve(answer) as (_, site, pauses):
        code, message = failure(lambda: site.get("list"))
    assert code == Exit.REFUSED
    assert text in message
    assert pauses == []


@pytest.mark.parametrize(
    ("url", "address", "websocket"),
    [
        ("http://a:8000", "http://a:8000", "ws://a:8000/api/live/ws"),
        ("http://a:8000/", "http://a:8000", "ws://a:8000/api/live/ws"),
        ("ws://a:8000/api/live/ws", "http://a:8000", "ws://a:8000/api/live/ws"),
        ("wss://a", "https://a", "wss://a/api/live/ws"),
        ("https://a/sub/api/live/", "https://a/sub", "wss://a/sub/api/live/ws"),
        ("http://[::1]:80/", "http://[::1]:80", "ws://[::1]:80/api/live/ws"),
    ],
)
def test_urls_of_a_site(url, address, websocket):
    site = Site(url, Console())

    assert (site.address, site.websocket) == (address, websocket)


@pytest.mark.parametrize("url", ["a:8000", "ftp://a", "http://", "http://a:nonsense", "/path", "http://[::1"])
def test_urls_of_none(url):
    assert failure(lambda: Site(url, Console()))[0] == Exit.REFUSED


def test_a_token_that_would_be_another_header():
    assert failure(lambda: Site("http://a", Console(), token="x\r\nHost: b"))[0] == Exit.REFUSED


def test_a_name_nobody_knows_is_not_tried_again():
    pauses = []
    site = Site("http://nobody.invalid", Console(), pause=pauses.append)

    assert failure(lambda: site.get("list"))[0] == Exit.UNAVAILABLE
    assert pauses == []
