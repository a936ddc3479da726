"""``manage.py live push STREAM [FILE]``: line protocol from a file or a pipe to a stream."""

from __future__ import annotations

import argparse
import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Any
from urllib.parse import quote

from django.core.management.base import CommandError

from live.channel import Channel
from live.commands.base import (
    Console,
    Subcommand,
    add_site_arguments,
    positive,
    printable,
    reaches_others,
    refused,
    standard_input,
)
from live.commands.lines import MAX_LINE, Batch, LineTooLong, batches, read_lines, read_pipe
from live.commands.progress import Progress
from live.commands.site import Site
from live.exceptions import InvalidChannel
from live.frames import PRECISIONS, InvalidLineProtocol, frames_from_lines, parse_lines
from live.handlers.stream import SCOPE, prepare_push, publish_prepared
from live.publishing import run

WAIT = 1.0
"""Seconds a line from a pipe waits at most for others to be pushed with."""


class WrongLines(Exception):
    """A batch was refused for its lines: [(number in the batch from 1, reason, text)], and the message."""

    def __init__(self, message: str, lines: list[tuple[int, str, str]]) -> None:
        self.message = message
        self.lines = lines
        super().__init__(message)


class Push(Subcommand):
    """Pushes in this process, or with ``--url`` to a running site."""

    name = "push"
    help = "push Influx line protocol to a stream"
    examples = """\
examples:
  manage.py live push host metrics.txt --url http://127.0.0.1:8000
  telegraf --test | manage.py live push host --url https://live.example.com
  echo 'cpu,host=a usage=1.5' | LIVE_TOKEN=... manage.py live push host --url http://127.0.0.1:8000

A push with a wrong line publishes none of its lines. What a pipe brings goes out after a second at the latest."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Its arguments."""
        parser.add_argument("stream", metavar="STREAM", help="id of the stream: the channels are stream/STREAM/...")
        parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="file to read; - or none: stdin")
        parser.add_argument("--batch", type=positive, default=1000, metavar="N", help="lines in one push (1000)")
        parser.add_argument("--keep-going", action="store_true", help="go on after a push with a wrong line")
        parser.add_argument("--precision", choices=PRECISIONS, default="ns", help="unit of the timestamps (ns)")
        add_site_arguments(parser)

    def run(self, options: dict[str, Any], console: Console) -> None:
        """Pushes everything there is."""
        try:
            Channel(SCOPE, options["stream"], "-")
        except InvalidChannel as error:
            raise refused(f"bad stream id {options['stream'][:60]!r}: {error}") from None
        site = Site.of(options, console)
        with ExitStack() as stack:
            source = _open(options["file"], stack, console)
            if site is not None:
                stack.callback(site.close)
            Run(options, console, site).push(source)


class Run:
    """One run of the command: what was pushed so far, and what was wrong."""

    def __init__(self, options: dict[str, Any], console: Console, site: Site | None) -> None:
        self._stream: str = options["stream"]
        self._name = "stdin" if options["file"] == "-" else options["file"]
        self._size: int = options["batch"]
        self._precision: str = options["precision"]
        self._keep_going: bool = options["keep_going"]
        self._console = console
        self._site = site
        self._lines = self._pushes = self._wrong = 0

    def push(self, source: IO[bytes]) -> None:
        """Pushes what `source` has; raises `CommandError` in the end when something was wrong."""
        status = os.fstat(source.fileno())
        is_file = stat.S_ISREG(status.st_mode)
        progress = Progress(self._console.terminal, status.st_size if is_file else 0)
        lines: Iterator[bytes | None] = read_lines(source) if is_file else read_pipe(source, WAIT)
        began = time.monotonic()
        done = 0
        try:
            for batch in batches(_named(lines, self._name), self._size):
                self._push(batch, progress)
                done += len(batch.body)
                progress.show(self._lines, done)
        finally:
            progress.clear()
            self._sum_up(time.monotonic() - began)
        if self._wrong:
            raise refused("wrong lines, see above; pushes that hold one publish nothing")

    def _push(self, batch: Batch, progress: Progress) -> None:
        if not batch.entries:
            return
        try:
            if self._site is None:
                push_here(self._stream, batch.body, self._precision)
            else:
                push_there(self._site, self._stream, batch.body, self._precision)
        except WrongLines as error:
            self._wrong += 1
            progress.clear()
            for number, reason, text in error.lines:
                self._console.error(f"{self._name}:{batch.first + number - 1}: {reason}: {printable(text)}")
            if not error.lines:
                self._console.error(f"{self._name}:{batch.first}: {error.message}")
            if not self._keep_going:
                raise refused(
                    f"a wrong line: nothing from line {batch.first} on was pushed; --keep-going leaves such pushes out"
                ) from None
        except CommandError:
            self._console.note(f"nothing from line {batch.first} of {self._name} on was pushed")
            raise
        else:
            self._lines += batch.entries
            self._pushes += 1

    def _sum_up(self, seconds: float) -> None:
        where = f" of {self._site.address}" if self._site is not None else ""
        lines = f"{self._lines:,} line{'' if self._lines == 1 else 's'}"
        pushes = f"{self._pushes:,} push{'' if self._pushes == 1 else 'es'}"
        self._console.note(f"{lines} in {pushes} to {SCOPE}/{self._stream}{where} in {seconds:.1f} s")
        if self._site is None and self._pushes and not reaches_others():
            self._console.note(
                "hint: the channel layer of these settings is in-memory, so nobody outside this process got them; "
                "--url http://127.0.0.1:8000 pushes to a running site"
            )


def _open(name: str, stack: ExitStack, console: Console) -> IO[bytes]:
    if name != "-":
        try:
            return stack.enter_context(open(name, "rb"))
        except OSError as error:
            raise refused(f"{name}: {error.strerror}") from None
    stdin = standard_input()
    if stdin.isatty():
        console.note("reading line protocol from the terminal; Ctrl-D ends it")
    # Of its own, and never closed: for both, and for `sys.stdin` at the end of Python, the lock is needed that the
    # reading thread holds while it waits.
    return open(stdin.fileno(), "rb", closefd=False)


def _named(lines: Iterator[bytes | None], name: str) -> Iterator[bytes | None]:
    """The same lines, and errors of reading them with the file's name."""
    try:
        yield from lines
    except LineTooLong as error:
        raise refused(f"{name}:{error}: the line has more than {MAX_LINE} bytes") from None
    except OSError as error:
        raise refused(f"{name}: {error.strerror}") from None


def push_here(stream_id: str, body: bytes, precision: str = "ns") -> None:
    """Publishes the lines of `body` from this process. Raises `WrongLines` and `LiveError`."""
    try:
        lines = parse_lines(body, stream_id=stream_id, precision=precision)
    except InvalidLineProtocol as error:
        raise WrongLines(error.message, [(wrong.line, wrong.reason, wrong.text) for wrong in error.errors]) from None
    run(publish_prepared, prepare_push(stream_id, frames_from_lines(lines, time.time_ns())))


def push_there(site: Site, stream_id: str, body: bytes, precision: str = "ns") -> None:
    """Pushes `body` to a running site. Raises `WrongLines`, and `CommandError` for every other refusal."""
    path = f"push/{quote(stream_id)}?precision={precision}"
    answer = site.request("POST", path, body, "text/plain; charset=utf-8")
    if answer.status == 200:
        return
    value = answer.json
    errors = value.get("errors") if isinstance(value, dict) else None
    if answer.status != 400 or not isinstance(errors, list):
        raise site.refusal(answer)
    lines = [
        (error["line"], str(error.get("reason", "wrong")), str(error.get("text", "")))
        for error in errors
        if isinstance(error, dict) and isinstance(error.get("line"), int)
    ]
    raise WrongLines(answer.message, lines)
