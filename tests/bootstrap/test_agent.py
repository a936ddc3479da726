"""The agent against a real HTTP server: what it sends, and what it does when the site is away or refuses."""

import http.server
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from line_protocol_parser import parse_line

from project import agent
from tests.cluster.process import uncovered_environment

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 20
WAITS = "import sys; from project import agent; agent.TIMEOUT = 50.0; sys.exit(agent.main())"
"""The agent, waiting longer for an answer than a busy machine stands still: a push that is tried again is another."""


@dataclass
class Push:
    """One request as the server saw it."""

    path: str
    headers: dict[str, str]
    body: str
    peer: tuple[str, int]

    @property
    def lines(self) -> list[dict]:
        return [parse_line(line) for line in self.body.splitlines()]


@dataclass
class Site:
    """A server that notes every push and answers what the test put into `answers` (status, body), else 200.

    Its port is its own from the beginning, but nobody is there before `open`. It answers while `free` is set.
    """

    server: http.server.ThreadingHTTPServer
    pushes: queue.Queue = field(default_factory=queue.Queue)
    answers: queue.Queue = field(default_factory=queue.Queue)
    free: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def open(self) -> None:
        self.server.server_activate()
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/api/live/push/host"

    def next(self) -> Push:
        return self.pushes.get(timeout=PATIENCE)


@contextmanager
def closed_site() -> Iterator[Site]:
    """A site that the test opens."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            try:
                status, answer = site.answers.get_nowait()
            except queue.Empty:
                status, answer = 200, b""
            # Before the answer: who has it may push again, over a connection that another thread serves.
            site.pushes.put(Push(self.path, dict(self.headers), body, self.client_address))
            site.free.wait()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    site = Site(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False))
    site.server.daemon_threads = True
    site.server.server_bind()
    site.free.set()
    try:
        yield site
    finally:
        site.free.set()
        if site.thread is not None:
            site.server.shutdown()
            site.thread.join()
        site.server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    with closed_site() as made:
        made.open()
        yield made


@contextmanager
def running_agent(url: str, *options: str) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-c", WAITS, "--url", url, "--interval", "0.2", *options]
    env = uncovered_environment() | {"LIVE_TOKEN": "secret-token"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_pushes_telegrafs_measurements_with_one_time_stamp(site: Site) -> None:
    with running_agent(site.url):
        push = site.next()
    assert push.path == "/api/live/push/host"
    assert push.headers["Authorization"] == "Token secret-token"
    lines = push.lines
    assert {line["measurement"] for line in lines} == {"cpu", "mem", "disk", "net", "system"}
    assert len({line["time"] for line in lines}) == 1
    assert abs(lines[0]["time"] / 1e9 - time.time()) < PATIENCE
    assert {line["tags"]["host"] for line in lines} == {socket.gethostname()}
    by_name = {line["measurement"]: line for line in reversed(lines)}
    assert by_name["cpu"]["tags"]["cpu"] == "cpu-total"
    assert set(by_name["cpu"]["fields"]) == {"usage_user", "usage_system", "usage_idle", "usage_iowait"}
    assert isinstance(by_name["mem"]["fields"]["used"], int)
    assert 0 < by_name["mem"]["fields"]["used_percent"] < 100
    assert set(by_name["disk"]["fields"]) == {"used_percent", "free", "total"}
    assert set(by_name["system"]["fields"]) == {"load1", "load5", "load15", "uptime"}
    loopback = next(line for line in lines if line["tags"].get("interface") == "lo")
    assert loopback["fields"]["bytes_recv"] > 0
    assert isinstance(loopback["fields"]["bytes_recv_rate"], float)


def test_keeps_its_connection_and_its_beat(site: Site) -> None:
    with running_agent(site.url):
        pushes = [site.next() for _ in range(6)]
        # A machine that is busy leaves out beats: until five of them follow each other.
        while seconds(pushes[-6:]) > 1.5:
            pushes.append(site.next())
    assert len({push.peer for push in pushes}) == 1
    # A push may be late, but none is before its beat.
    assert all(seconds(pushes[first : first + 6]) > 0.75 for first in range(len(pushes) - 5))


def seconds(pushes: list[Push]) -> float:
    """From the first one to the last, by their time stamps."""
    return (pushes[-1].lines[0]["time"] - pushes[0].lines[0]["time"]) / 1e9


def test_waits_for_a_site_that_is_not_there_yet() -> None:
    with closed_site() as site, running_agent(site.url) as process:
        assert process.stderr is not None
        assert "away" in process.stderr.readline()
        site.open()
        assert site.next().lines
        assert process.stderr.readline() == "agent: pushing\n"


def test_survives_a_site_in_trouble(site: Site) -> None:
    site.answers.put((503, b'{"message": "engine unavailable"}'))
    with running_agent(site.url) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "agent: the site refuses the push: 503: engine unavailable\n"
        site.next()
        assert site.next().lines
        assert process.stderr.readline() == "agent: pushing\n"


def test_says_once_what_the_server_refuses(site: Site) -> None:
    for _ in range(2):
        site.answers.put((400, b'{"message": "line 1: no fields", "errors": []}'))
    with running_agent(site.url) as process:
        assert process.stderr is not None
        for _ in range(3):
            site.next()
        assert process.stderr.readline() == "agent: the site refuses the push: 400: line 1: no fields\n"
        assert process.stderr.readline() == "agent: pushing\n"


def test_opens_a_new_connection_when_the_kept_one_was_closed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "TIMEOUT", 50.0)
    pusher = agent.Pusher(site.url, "t")
    pusher.push(b"m f=1 1")
    pusher.connection.sock.shutdown(socket.SHUT_RDWR)
    pusher.push(b"m f=2 2")
    pusher.connection.close()
    assert [site.next().body, site.next().body] == ["m f=1 1", "m f=2 2"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once(site: Site, number: signal.Signals) -> None:
    site.free.clear()
    with running_agent(site.url) as process:
        # It waits for the answer, much longer than the test for its end.
        site.next()
        process.send_signal(number)
        assert process.wait(15) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_escapes_what_line_protocol_gives_a_meaning() -> None:
    text = agent.line("m", {"path": "/a b,c=d", "host": "back\\"}, {"n": 1, "x": 0.5}, 5)
    parsed = parse_line(text)
    assert parsed["tags"] == {"path": "/a b,c=d", "host": "back"}
    assert parsed["fields"] == {"n": 1, "x": 0.5}
    assert parsed["time"] == 5


def test_missed_beats_are_left_out_and_the_beat_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    class Stop:
        waits: list[float] = []

        def wait(self, seconds: float) -> bool:
            self.waits.append(round(seconds, 3))
            clock.now += seconds
            return len(self.waits) == 4

    clock, stop = Clock(), Stop()
    durations = iter([0.25, 2.5, 0.25])

    def push_once(self: agent.Agent) -> float:
        clock.now += next(durations)
        return 0.0

    monkeypatch.setattr(agent, "time", clock)
    monkeypatch.setattr(agent.Agent, "push_once", push_once)
    agent.Agent(None, None, 1.0, stop).run()
    # Due at 1, 2 and, after a push from 2 to 4.5, at 5 and 6.
    assert stop.waits == [1.0, 0.75, 0.5, 0.75]


def test_the_token_of_the_environment_goes_before_the_argument(site: Site) -> None:
    with running_agent(site.url, "--token", "seen-by-ps"):
        assert site.next().headers["Authorization"] == "Token secret-token"


@pytest.mark.parametrize(
    ("options", "env", "words"),
    [
        (["--url", "http://127.0.0.1:1/"], {}, "no token"),
        (["--url", "ftp://127.0.0.1/"], {"LIVE_TOKEN": "t"}, "not an http(s) address"),
        (["--url", "http://127.0.0.1:1/", "--interval", "0"], {"LIVE_TOKEN": "t"}, "--interval"),
    ],
)
def test_a_wrong_command_line_is_explained(options: list[str], env: dict[str, str], words: str) -> None:
    clean = {key: value for key, value in os.environ.items() if key != "LIVE_TOKEN"}
    command = [sys.executable, "-m", "project.agent", *options]
    result = subprocess.run(command, cwd=ROOT, env=clean | env, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert words in result.stderr


def test_the_message_of_an_answer_is_found() -> None:
    assert agent.message(b'{"message": "m"}') == "m"
    assert agent.message(b'{"detail": "d"}') == "d"
    assert agent.message(b"[1]") == "[1]"
    assert agent.message(b"<h1>Bad\n gateway</h1>" + b"x" * 500).startswith("<h1>Bad gateway</h1>")
