"""What the subcommands of ``manage.py live`` share: their shape, the console, exit codes."""

from __future__ import annotations

import argparse
import sys
from abc import ABC, abstractmethod
from enum import IntEnum
from typing import Any, TextIO

from django.core.management.base import CommandError

from live.node import runtime
from live.node.node import Node

DEFAULT_URL = "http://127.0.0.1:8000"
"""Where a site runs that nobody named: runserver's address."""


class Exit(IntEnum):
    """Exit codes; 2 is argparse's for wrong usage."""

    DONE = 0
    REFUSED = 1
    """The input is wrong, or the site said no: trying again does not help."""
    USAGE = 2
    UNAVAILABLE = 3
    """The site or its engine cannot be reached now."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    """Whoever read the output went away, as ``head`` does."""


def refused(message: str) -> CommandError:
    """The error of wrong input, and of a site that says no."""
    return CommandError(message, returncode=Exit.REFUSED)


def unavailable(message: str) -> CommandError:
    """The error of a site that cannot be reached."""
    return CommandError(message, returncode=Exit.UNAVAILABLE)


class Console:
    """Results go to `out`, one line at a time and at once, so that pipes work; everything else to `err`."""

    def __init__(self, out: Any, err: Any, verbosity: int = 1) -> None:
        self._out = out
        self._err = err
        self.verbosity = verbosity

    def line(self, text: str) -> None:
        """A line of the result."""
        self._out.write(text)
        self._out.flush()

    def note(self, text: str) -> None:
        """Something for people, not part of the result; silent with ``--verbosity 0``."""
        if self.verbosity:
            self.error(text)

    def error(self, text: str) -> None:
        """Something that has to be said in any case."""
        # Without Django's red: a hint is no error, and a log file no terminal.
        self._err.write(text, lambda plain: plain)
        self._err.flush()

    @property
    def terminal(self) -> TextIO | None:
        """The terminal that a progress bar may be drawn on, or None."""
        return sys.stderr if self.verbosity and sys.stderr.isatty() else None


class Subcommand(ABC):
    """One subcommand; `examples` are the end of its help."""

    name: str
    help: str
    examples: str

    @abstractmethod
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Its arguments."""

    @abstractmethod
    def run(self, options: dict[str, Any], console: Console) -> None:
        """Does it. Raises `CommandError` with one of the codes of `Exit`, and `LiveError`."""


def add_site_arguments(parser: argparse.ArgumentParser) -> None:
    """``--url``, ``--token``, ``--retries``: to work on a running site in place of this process."""
    parser.add_argument(
        "--url", metavar="URL", help="work through the site that runs there, e.g. http://127.0.0.1:8000"
    )
    parser.add_argument("--token", metavar="KEY", help="key of the API token; better in the environment as LIVE_TOKEN")
    parser.add_argument(
        "--retries", type=natural, default=5, metavar="N", help="tries after the first while the site is away (5)"
    )


def natural(text: str) -> int:
    """A whole number from 0, for argparse."""
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


# argparse names these in its errors: "invalid natural value".
natural.__name__ = "whole number"
positive.__name__ = "positive whole number"


def standard_input() -> TextIO:
    """``sys.stdin``, which is None where the shell closed it."""
    stdin: TextIO | None = sys.stdin
    if stdin is None:
        raise refused("stdin: it is closed")
    return stdin


def reaches_others() -> bool:
    """Whether publications of this process reach those who are connected to another one."""

    async def ask(node: Node) -> bool:
        return not node.relay.single_process

    return runtime.run(ask)


def shares_store() -> bool:
    """Whether this process sees the channels of the others."""

    async def ask(node: Node) -> bool:
        return node.store.shared

    return runtime.run(ask)


def printable(text: str) -> str:
    """`text` without what a terminal would obey."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
