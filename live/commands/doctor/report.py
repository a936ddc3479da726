"""How findings are shown: lines for people, one list for programs."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable

from live.commands.base import Console
from live.commands.doctor.finding import WHY, Finding, Level

_LEVEL_WIDTH = max(map(len, Level))
_CHECK_WIDTH = max(map(len, WHY))
_INDENT = _LEVEL_WIDTH + 2
_LEAST_TEXT = 40
"""Columns for the text of a finding, however narrow the terminal."""


class Report(ABC):
    """Takes findings as they come; `levels` counts them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.levels = Counter[Level]()

    def add(self, finding: Finding) -> None:
        """Takes one."""
        self.levels[finding.level] += 1
        self._show(finding)

    @abstractmethod
    def _show(self, finding: Finding) -> None:
        """Prints it, or keeps it."""

    @abstractmethod
    def end(self) -> None:
        """All are there."""


class TextReport(Report):
    """A line each, and under it why it matters and what to do where it is not ok; one line each in a pipe."""

    def __init__(self, console: Console, paint: Callable[[Level, str], str]) -> None:
        super().__init__(console)
        self._paint = paint
        self._columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def _show(self, finding: Finding) -> None:
        level = self._paint(finding.level, f"{finding.level:<{_LEVEL_WIDTH}}")
        self._write(f"{level}  ", f"{finding.check:<{_CHECK_WIDTH}}  ", finding.found)
        if finding.fix:
            for name, text in (("why", finding.why), ("fix", finding.fix)):
                self._write(" " * _INDENT, f"{name:>{_CHECK_WIDTH}}  ", text)

    def _write(self, level: str, check: str, text: str) -> None:
        first, *rest = self._wrapped(text, _INDENT + len(check))
        self._console.line(f"{level}{check}{first}")
        for line in rest:
            self._console.line(" " * (_INDENT + len(check)) + line)

    def _wrapped(self, text: str, taken: int) -> list[str]:
        if self._columns is None:
            return [text]
        width = max(_LEAST_TEXT, self._columns - taken - 1)
        # Commands are copied: no hyphen and no long word may be broken.
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]

    def end(self) -> None:
        """Says how many there were."""
        counts = self.levels
        parts = [
            f"{counts[level]} {level}{'s' if counts[level] != 1 else ''}" for level in (Level.WARNING, Level.ERROR)
        ]
        self._console.note(", ".join([f"{counts[Level.OK]} ok", *parts]))


class JsonReport(Report):
    """One JSON list in the end, an object a line."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._findings: list[Finding] = []

    def _show(self, finding: Finding) -> None:
        self._findings.append(finding)

    def end(self) -> None:
        """Prints the list."""
        lines = [json.dumps(finding.as_dict(), ensure_ascii=False) for finding in self._findings]
        self._console.line("[\n" + ",\n".join(lines) + "\n]")
