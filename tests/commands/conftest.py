"""A running site, and ``manage.py live`` in processes of its own beside it."""

import contextlib
import queue
import signal
import subprocess
import sys
import threading

import pytest

from tests.commands.doctor_patience import lengthen
from tests.integration.conftest import login, make_site, nothing_left_open, settled, site  # noqa: F401
from tests.site import ROOT

SECONDS = 40


@pytest.fixture
def patience(monkeypatch):
    """`doctor` waits long for what answers; tests of what does not make that short."""
    lengthen(monkeypatch.setattr)


class Done:
    """How a command ended."""

    def __init__(self, process):
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr

    def __repr__(self):
        return f"exit {self.code}\n{self.out}\n{self.err}"


@pytest.fixture
def run(site):  # noqa: F811
    """Runs ``manage.py live`` beside the site; a `Done`."""

    def run(*arguments, stdin="", token=True, env=None, **kwargs):
        command = [sys.executable, "manage.py", "live", *arguments]
        variables = {**site.env, **({"LIVE_TOKEN": site.token} if token else {}), **(env or {})}
        return Done(
            subprocess.run(
                command,
                cwd=ROOT,
                env=variables,
                input=stdin,
                check=False,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                **kwargs,
            )
        )

    return run


class Running:
    """A command that goes on: its lines as they come, None at the end."""

    def __init__(self, process):
        self.process = process
        self.out, self.err = queue.Queue(), queue.Queue()
        self._threads = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((process.stdout, self.out), (process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(pipe, lines):
        for line in pipe:
            lines.put(line.rstrip("\n"))
        lines.put(None)

    def line(self):
        """The next line of the output."""
        return self.out.get(timeout=SECONDS)

    def note(self, text):
        """Waits for a line with `text` on stderr; the line."""
        while (line := self.err.get(timeout=SECONDS)) is not None:
            if text in line:
                return line
        raise AssertionError(f"{text!r} was never said")

    def end(self, how=None):
        """The exit code, after sending the signal `how`."""
        if how is not None:
            self.process.send_signal(how)
        code = self.process.wait(SECONDS)
        for thread in self._threads:
            thread.join(SECONDS)
        return code


@pytest.fixture
def start(site):  # noqa: F811
    """Starts ``manage.py live`` beside the site; a `Running`. What still runs in the end is killed."""
    with contextlib.ExitStack() as stack:

        def start(*arguments, stdin=subprocess.DEVNULL, env=None):
            process = subprocess.Popen(
                [sys.executable, "manage.py", "live", *arguments],
                cwd=ROOT,
                env={**site.env, "LIVE_TOKEN": site.token, **(env or {})},
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(lambda: process.poll() is None and process.send_signal(signal.SIGKILL))
            return Running(process)

        yield start


@pytest.fixture
def listen(start, site):  # noqa: F811
    """Starts ``manage.py live listen`` and waits until it is subscribed."""

    def listen(*arguments):
        running = start("listen", *arguments, "--url", site.url)
        running.note("listening to")
        return running

    return listen
