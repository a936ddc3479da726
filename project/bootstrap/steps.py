"""Progress lines for a person, commands whose output matters only when they fail, and stamps of what is done.

A step prints `2/5 Python packages … 3.1 s`. A command's output is kept back and shown when the command fails. A stamp
is a file that holds a hash of what a step depends on: the step is skipped while the hash is the same.
"""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TAIL_LINES = 40


class SetupError(Exception):
    """The set-up cannot go on; the message tells the user why and what to do."""


class Steps:
    """Numbers and times the steps of one run."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.count = 0

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """Prints the step's line; words appended to the yielded list stand behind the time."""
        self.count += 1
        remarks: list[str] = []
        print(f"{self.count}/{self.total} {title} … ", end="", flush=True)
        started = time.monotonic()
        try:
            yield remarks
        except BaseException:
            print("failed", flush=True)
            raise
        remark = f" ({', '.join(remarks)})" if remarks else ""
        print(f"{time.monotonic() - started:.1f} s{remark}", flush=True)


def run(args: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Runs a command to its end and returns its output; raises SetupError with the output's tail when it fails.

    The command has a process group of its own, so that an interrupted set-up ends the command's children as well.
    """
    words = [str(arg) for arg in args]
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        tail = "\n".join(output.rstrip().splitlines()[-TAIL_LINES:])
        raise SetupError(f"`{' '.join(words)}` ended with code {process.returncode}:\n{tail}")
    return output


def digest(*parts: str | Path) -> str:
    """A hash of texts and of the contents of files; a missing file counts as such."""
    result = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            content = part.read_bytes() if part.is_file() else b"(no such file)"
        else:
            content = part.encode()
        result.update(len(content).to_bytes(8, "big") + content)
    return result.hexdigest()


def is_stamped(stamp: Path, key: str) -> bool:
    """Whether the stamp's step was done with this key."""
    return stamp.is_file() and stamp.read_text() == key


def interrupted(number: int, frame: object) -> None:
    """Signal handler while nothing runs yet: ends the set-up as Ctrl-C would."""
    raise KeyboardInterrupt


def end_by_interrupt_on(*signals: signal.Signals) -> None:
    """Makes SIGTERM and the like end the set-up as Ctrl-C does, with everything it started."""
    for number in signals:
        signal.signal(number, interrupted)


def error(message: str) -> None:
    """One message to the user, on stderr and after everything printed so far."""
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)
