"""`make demo` for real on a free port: what it prints, and that nothing of it outlives it, however it ends."""

import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from project.bootstrap import demo
from project.bootstrap.steps import SetupError
from tests.cluster.process import uncovered_environment
from tests.site import free_port

ROOT = Path(__file__).resolve().parent.parent.parent

# Five processes are started one after the other, and how long that takes on a busy machine is not what is tested.
pytestmark = pytest.mark.timeout(180)

PATIENCE = 40
"""Seconds for what takes none on a machine that has nothing else to do."""


@dataclass
class Demo:
    """A running demo, what it printed up to its welcome, and the processes it had then."""

    process: subprocess.Popen
    text: str
    children: list[psutil.Process]

    @property
    def curl(self) -> list[str]:
        found = re.search(r"curl .*", self.text)
        assert found is not None, self.text
        return shlex.split(found[0])


def start(folder: Path, port: int, **options: object) -> subprocess.Popen:
    # Not a child of make here, even when pytest is.
    env = {key: value for key, value in uncovered_environment().items() if key not in ("MAKELEVEL", "HOST")}
    return subprocess.Popen(
        [sys.executable, "-m", "project.bootstrap", "demo"],
        cwd=ROOT,
        env=env | {"PORT": str(port), "LIVE_VAR": str(folder), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


@contextmanager
def running_demo(folder: Path) -> Iterator[Demo]:
    with start(folder, free_port()) as process:
        assert process.stdout is not None
        try:
            text = ""
            for line in process.stdout:
                text += line
                if "Ctrl-C" in line:
                    break
            else:
                pytest.fail(f"the demo did not start:\n{text}")
            children = wait_for_children(process, {"daphne", "project.agent"})
            yield Demo(process, text, children)
        finally:
            process.kill()


def wait_for_children(process: subprocess.Popen, names: set[str]) -> list[psutil.Process]:
    """The demo starts the agent right after its welcome: waits until both can be seen."""
    while True:
        children = psutil.Process(process.pid).children(recursive=True)
        if names <= {word for child in children for word in words_of(child)}:
            return children
        time.sleep(0.02)


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; nothing of one that has ended meanwhile."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    with running_demo(tmp_path) as running:
        running.process.send_signal(number)
        code = running.process.wait(PATIENCE)
        _, alive = psutil.wait_procs(running.children, timeout=PATIENCE)
        rest = running.process.stdout.read()
    assert alive == []
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert "Traceback" not in rest


def test_the_printed_curl_line_works(tmp_path: Path) -> None:
    with running_demo(tmp_path) as running:
        assert "demo / demo" in running.text
        words = running.curl
        headers = words[words.index("-H") + 1]
        body = words[words.index("--data-binary") + 1]
        assert body == "weather,city=Oslo temperature=21.5"
        assert re.fullmatch(r"Authorization: Token [0-9a-f]{40}", headers)
        # curl sends --data-binary with urllib's default type.
        request = urllib.request.Request(words[-1], data=body.encode(), headers=dict([headers.split(": ", 1)]))
        with urllib.request.urlopen(request, timeout=20) as response:
            assert (response.status, response.read()) == (200, b"")


def test_a_dead_agent_comes_back_and_a_dead_daphne_ends_the_demo(tmp_path: Path) -> None:
    with running_demo(tmp_path) as running:
        agent = next(child for child in running.children if "project.agent" in words_of(child))
        daphne = next(child for child in running.children if "daphne" in words_of(child))
        agent.kill()
        assert "The agent ended with SIGKILL; it is started again in 1 s." in next_line(running, "agent ended")
        children = wait_for_children(running.process, {"project.agent"})
        daphne.kill()
        assert "daphne ended with SIGKILL; the demo ends." in next_line(running, "daphne ended")
        assert running.process.wait(PATIENCE) == 1
        _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert alive == []


def next_line(running: Demo, words: str) -> str:
    return next(line for line in running.process.stdout if words in line)


def test_a_port_in_use_is_one_line_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with start(tmp_path / "var", port) as process:
            text, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert re.fullmatch(rf"Port {port} on 127.0.0.1 is in use; choose another: make demo PORT=\d+\n", text)
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"PORT": "http"}, "PORT=http is not a port number"),
        ({"PORT": "70000"}, "PORT=70000 is not a port number"),
        ({"PORT": "²"}, "is not a port number"),
        ({"HOST": "256.0.0.1.invalid"}, "HOST=256.0.0.1.invalid is not an address"),
    ],
)
def test_a_wrong_host_or_port_is_explained(environ: dict[str, str], words: str) -> None:
    with pytest.raises(SetupError, match=re.escape(words)):
        demo.Address(environ)


@pytest.mark.parametrize(
    ("environ", "endpoint", "url"),
    [
        ({}, "tcp:port=8000:interface=127.0.0.1:backlog=1024", "http://127.0.0.1:8000"),
        ({"HOST": "0.0.0.0", "PORT": "81"}, "tcp:port=81:interface=0.0.0.0:backlog=1024", "http://127.0.0.1:81"),
        ({"HOST": "::1", "PORT": "81"}, r"tcp:port=81:interface=\:\:1:backlog=1024", "http://[::1]:81"),
    ],
)
def test_the_address_for_twisted_and_for_people(environ: dict[str, str], endpoint: str, url: str) -> None:
    address = demo.Address(environ)
    assert (address.endpoint, address.url) == (endpoint, url)
