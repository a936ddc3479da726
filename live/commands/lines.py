"""Line protocol from a file or a pipe, in batches that can be pushed: no entry is cut in two, and nobody waits long.

An entry is one line, unless a string in it holds newlines. Whether the lines are any good is not looked at here.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Iterator
from typing import IO, NamedTuple

MAX_LINE = 1024 * 1024
"""Bytes of one line; a longer one is no line protocol but a file of another kind."""
MAX_BATCH = 1024 * 1024
"""Bytes after which a batch goes out, however few lines it has."""
MAX_STRING = 1000
"""Lines that a string may go on for; one that is never closed must not swallow the rest of the file."""
_AHEAD = 1000
"""Lines read from a pipe before they are asked for."""

PROMPT = b"> "
"""What ``telegraf --test`` writes before each entry; no measurement that a channel can have begins so."""

# What stands before the fields: up to the first blank that no backslash escapes.
_HEAD = re.compile(rb"[ \t]*+(?:[^\\ \n]|\\.)*+ ", re.DOTALL)
_QUOTE = re.compile(rb'\\.|(")', re.DOTALL)


class LineTooLong(ValueError):
    """A line has more than `MAX_LINE` bytes; the argument is its number."""


class Batch(NamedTuple):
    """Lines to be pushed in one go."""

    body: bytes
    first: int
    """Number of the first line, from 1."""
    entries: int
    """How many of them say something: neither blank nor a comment, nor in a string."""


def read_lines(source: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file, with their ends. Raises `LineTooLong`."""
    number = 0
    while line := source.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise LineTooLong(number)
        yield line


def read_pipe(source: IO[bytes], wait: float) -> Iterator[bytes | None]:
    """Like `read_lines`, but yields None every `wait` seconds, also when nothing comes: time to push what is there."""
    arrived: queue.Queue[bytes | Exception | None] = queue.Queue(_AHEAD)

    def read() -> None:
        try:
            for line in read_lines(source):
                arrived.put(line)
            arrived.put(None)
        except Exception as error:
            # Raised again by the reader of the queue.
            arrived.put(error)

    threading.Thread(target=read, name="live push reader", daemon=True).start()
    due = time.monotonic() + wait
    while True:
        now = time.monotonic()
        if now >= due:
            due = now + wait
            yield None
        try:
            line = arrived.get(timeout=max(0.0, due - now))
        except queue.Empty:
            continue
        if line is None:
            return
        if isinstance(line, Exception):
            raise line
        yield line


def batches(lines: Iterator[bytes | None], size: int) -> Iterator[Batch]:
    """Batches of `size` lines, fewer where a None says that it is time; a string's lines stay together."""
    held: list[bytes] = []
    first = number = 1
    entries = length = open_for = 0
    for line in lines:
        if line is not None:
            line = line if open_for else line.removeprefix(PROMPT)
            held.append(line)
            number += 1
            length += len(line)
            if open_for:
                open_for = 0 if _odd_quotes(line) or open_for == MAX_STRING else open_for + 1
            elif (text := line.strip()) and not text.startswith(b"#"):
                entries += 1
                head = _HEAD.match(line)
                open_for = 1 if head and _odd_quotes(line[head.end() :]) else 0
        if held and not open_for and (line is None or len(held) >= size or length >= MAX_BATCH):
            yield Batch(b"".join(held), first, entries)
            held, first, entries, length = [], number, 0, 0
    if held:
        yield Batch(b"".join(held), first, entries)


def _odd_quotes(text: bytes) -> bool:
    """Whether a string begins or ends in `text` and does not do the other as well."""
    return b'"' in text and sum(1 for quote in _QUOTE.finditer(text) if quote[1]) % 2 == 1
