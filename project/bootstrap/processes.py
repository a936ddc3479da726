"""Child processes that never outlive the program that started them, however it ends."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from project.bootstrap.steps import ROOT

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
    """One process in a group of its own: the terminal's Ctrl-C reaches only the program that watches over it."""

    def __init__(self, name: str, args: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [str(arg) for arg in args],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=die_with_parent(os.getpid(), signal.SIGKILL),
        )

    def code(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs."""
        return self.process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


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
