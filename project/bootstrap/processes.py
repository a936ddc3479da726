"""Child processes that never outlive the program that started them, however it ends."""

import contextlib
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from project.bootstrap.steps import ROOT, error

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int, number: signal.Signals) -> Callable[[], None]:
    """What a process calls to be sent this signal by the kernel when its parent ends. Does nothing but on Linux."""
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None).prctl  # looked up here: after a fork only the call itself is safe

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it ended before the kernel was told
            os.kill(os.getpid(), number)

    return arm


def end_with_parent(number: signal.Signals) -> None:
    """Sends this process a signal when its parent ends, so that `kill -9` of make ends the demo too."""
    die_with_parent(os.getppid(), number)()


class Child:
    """One process in a group of its own: the terminal's Ctrl-C reaches only the program that watches over it.

    `at_end` is what the kernel sends it when this program is killed: SIGTERM where it has processes of its own to end.
    """

    def __init__(
        self,
        name: str,
        args: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        at_end: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [str(arg) for arg in args],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=die_with_parent(os.getpid(), at_end),
        )

    def code(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs."""
        return self.process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


class Service:
    """A child that is started again when it ends, later each time while it keeps ending early."""

    def __init__(self, name: str, start: Callable[[], Child]) -> None:
        self.name = name
        self.child: Child | None = None
        self._start = start
        self._pause = FIRST_PAUSE
        self._due = 0.0

    def tend(self) -> bool:
        """Does what is due, and says what it does; True when it started the child."""
        if self.child is None:
            if time.monotonic() < self._due:
                return False
            self.child = self._start()
            return True
        if (code := self.child.code()) is not None:
            # What it has started would stand in the way of the next one.
            self.child.signal(signal.SIGKILL)
            if time.monotonic() - self.child.started > 2 * LONGEST_PAUSE:
                self._pause = FIRST_PAUSE
            error(f"The {self.name} ended with {describe(code)}; it is started again in {self._pause:.0f} s.")
            self.child, self._due = None, time.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return False


def catch_stops() -> list[int]:
    """Makes the signals that end a program be noted in the list returned, and do nothing else."""
    stops: list[int] = []
    for number in STOPPING:
        signal.signal(number, lambda received, _frame: stops.append(received))
    return stops


def answers(host: str, port: int, path: str = "/", most: int = 499) -> bool:
    """Whether a site answers a GET there, with a status no higher than `most`."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status <= most
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def describe(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def end(children: Iterable[Child], patience: float, hurry: Callable[[], bool] = lambda: False) -> list[str]:
    """Ends children with SIGTERM and, `patience` seconds later or when `hurry` says so, with SIGKILL.

    Returns the names of those that had to be killed. No group has a process left afterwards.
    """
    children = list(children)
    for child in children:
        child.signal(signal.SIGTERM)
    deadline = time.monotonic() + patience
    while any(child.code() is None for child in children) and time.monotonic() < deadline and not hurry():
        time.sleep(0.02)
    killed = [child.name for child in children if child.code() is None]
    for child in children:
        child.signal(signal.SIGKILL)
        child.process.wait()
    return killed
