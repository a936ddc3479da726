"""`make cluster` for real: what it prints, that a node is not missed, and that nothing of it outlives it."""

import http.client
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.bootstrap.test_demo import words_of
from tests.cluster.process import uncovered_environment

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = {"redis-server", "nginx", "daphne", "project.agent"}
HARDLY_KILLS = """
import sys
from project.bootstrap import __main__, cluster
cluster.STOP_SECONDS = 30.0
sys.exit(__main__.main())
"""
"""The program, which kills who does not end in longer than a busy machine stands still."""
PATIENCE = 40
"""Seconds for what takes few on a machine that has nothing else to do."""

pytestmark = pytest.mark.timeout(240)


@dataclass
class Cluster:
    """A running cluster, what it printed up to its welcome, and the processes it had then."""

    process: subprocess.Popen
    text: str
    children: list[psutil.Process]

    def found(self, pattern: str) -> str:
        found = re.search(pattern, self.text)
        assert found is not None, self.text
        return found[1]

    def next_line(self, words: str) -> str:
        return next(line for line in self.process.stdout if words in line)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    # Not a child of make here, even when pytest is.
    env = {key: value for key, value in uncovered_environment().items() if key not in ("MAKELEVEL", "HOST", "PORT")}
    command = [sys.executable, "-c", HARDLY_KILLS, "cluster"]
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    env |= {"LIVE_VAR": str(folder), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=env, **options) as process:
        try:
            text = ""
            for line in process.stdout:
                text += line
                if "Ctrl-C" in line:
                    break
            else:
                pytest.fail(f"the cluster did not start:\n{text}")
            yield Cluster(process, text, wait_for_children(process))
        finally:
            process.kill()


def wait_for_children(process: subprocess.Popen) -> list[psutil.Process]:
    """The agent is started right after the welcome: waits until all can be seen."""
    while True:
        children = psutil.Process(process.pid).children(recursive=True)
        words = {Path(word.split(" ")[0].rstrip(":")).name for child in children for word in words_of(child)}
        if words >= PROGRAMS:
            return children
        time.sleep(0.02)


def get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        return response.status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_leaves_no_process_and_no_folder(tmp_path: Path, number: signal.Signals) -> None:
    with running_cluster(tmp_path) as running:
        folder = Path(running.found(r"logs +(\S+)"))
        assert (folder / "nginx.conf").exists()
        running.process.send_signal(number)
        code = running.process.wait(PATIENCE)
        _, alive = psutil.wait_procs(running.children, timeout=PATIENCE)
        assert alive == []
        rest = running.process.stdout.read()
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert "Traceback" not in rest
    assert "killed" not in rest
    if number != signal.SIGKILL:
        assert not folder.exists()


def test_what_is_killed_comes_back_and_a_node_is_not_missed(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as running:
        url = running.found(r"behind nginx at (\S+)")
        assert "demo / demo" in running.text
        assert re.fullmatch(r"[0-9a-f]{40}", running.found(r"push token +(\S+)"))
        children = [*running.children]
        for name in ("node 1", "Redis", "nginx"):
            psutil.Process(int(running.found(rf"{name} .*pid (\d+)"))).kill()
            if name != "nginx":
                for _ in range(5):
                    assert get(url) == 200
            assert f"The {name} ended with SIGKILL; it is started again in 1 s." in running.next_line("ended")
            back = running.next_line(f"{name} runs again")
            children.append(psutil.Process(int(re.search(r"pid (\d+)", back)[1])))
        for address in (url, running.found(r"node 1 +(\S+),")):
            wait_for_answer(address)
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(PATIENCE)
        _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert alive == []


def wait_for_answer(url: str) -> None:
    while True:
        try:
            assert get(url) == 200
            return
        except urllib.error.HTTPError as error:
            error.close()
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.02)
