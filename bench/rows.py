"""One line of a table of measured and promised, and the table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table; `met` is None where nothing is promised."""

    what: str
    measured: str
    promised: str = ""
    met: bool | None = None


def table(title: str, rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [f"| {title} | measured | promised | |", "|---|---:|---:|---|"]
    verdicts = {True: "met", False: "MISSED", None: ""}
    lines += [f"| {row.what} | {row.measured} | {row.promised} | {verdicts[row.met]} |" for row in rows]
    return "\n".join(lines)
