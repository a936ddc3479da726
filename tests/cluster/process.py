"""Processes of a cluster that have neither a class of their own elsewhere nor a test framework."""

import contextlib
import os
import signal
import socket
import subprocess
import time

from tests.site import ROOT

START_SECONDS = 40
"""What a program may take to begin, on a machine that is busy."""
STOP_SECONDS = 10


def uncovered_environment():
    """This process's environment, without what makes child processes measure their coverage.

    The tracer makes a node several times slower: nothing for tests under load, nor for what others cover.
    """
    return {key: value for key, value in os.environ.items() if not key.startswith(("COVERAGE_", "COV_CORE_"))}


def listens(port):
    """Whether somebody takes connections on this port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until(condition, what, seconds=START_SECONDS, step=0.05):
    """Waits until `condition()` is true; fails with the text of `what()` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what())
        time.sleep(step)


class Process:
    """A program on a port of its own, with a folder and a log; `command` is what subclasses say."""

    name = ""
    port = 0

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.log_path = folder / f"{self.name}.log"
        self.process = None

    def command(self):
        """The command line."""
        raise NotImplementedError

    def works(self):
        """Whether it does what it is for, or at least listens."""
        return listens(self.port)

    def start(self):
        """Starts it and waits until it works."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._is_up, lambda: f"{self.name} did not start:\n{self.log}")

    def _is_up(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.log}")
        return self.works()

    def stop(self, how=signal.SIGTERM):
        """Ends it and everything it started."""
        if self.process is None:
            return
        self.process.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    @property
    def log(self):
        """What it printed so far."""
        return self.log_path.read_text(errors="replace")
