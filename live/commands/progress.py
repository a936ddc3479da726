"""A progress bar for people: on a terminal only, rewritten a few times a second, gone when the work is done."""

from __future__ import annotations

import time
from typing import TextIO

WIDTH = 24
EVERY = 0.1
"""Seconds between two drawings."""


class Progress:
    """Lines pushed so far, with a bar where `total` (bytes) is known; does nothing where `terminal` is None."""

    def __init__(self, terminal: TextIO | None, total: int = 0) -> None:
        self._terminal = terminal
        self._total = total
        self._began = time.monotonic()
        self._drawn = 0.0

    def show(self, lines: int, done: int) -> None:
        """`lines` were pushed, `done` bytes of the total."""
        now = time.monotonic()
        if self._terminal is None or now - self._drawn < EVERY:
            return
        self._drawn = now
        text = f"{lines:,} lines  {lines / max(now - self._began, 0.001):,.0f}/s"
        if self._total:
            share = min(done / self._total, 1.0)
            filled = int(share * WIDTH)
            text = f"[{'#' * filled}{'.' * (WIDTH - filled)}] {share:4.0%}  {text}"
        self._write(f"\r{text}\x1b[K")

    def clear(self) -> None:
        """Takes the bar away, so that something else can be written."""
        if self._drawn:
            self._drawn = 0.0
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        if self._terminal is not None:
            self._terminal.write(text)
            self._terminal.flush()
