"""Influx line protocol -> lines: splitting, parsing, and exact errors (grafana-live §3.1).

Here the entries are found (a quoted string may hold newlines), their quotes and measurements checked, and the sender
is told which line is wrong and why; `live.frames.entry` parses each of them. Whatever the bytes, nothing but
`InvalidLineProtocol` is raised. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from line_protocol_parser import LineFormatError

from live.channel import Channel
from live.exceptions import ErrorCode, InvalidChannel, LiveError
from live.frames.entry import HEAD, PAIR, explain, explain_quotes, parse_entry

MAX_ERRORS = 10
"""Errors reported for one body; parsing stops at the last of them, which also bounds the work on a hostile body."""
MAX_TEXT = 120
"""Characters of a wrong line that its error quotes."""
MAX_MEASUREMENTS = 5_000
"""Different measurements in one body; each becomes a channel with a kept last frame."""

# A whole entry in which a quote appears: a string is the whole value of a field, and only in one may a newline stand.
_QUOTED = re.compile(
    rb"[ \t\v\f\r]*+" + HEAD + rb"[ ][ \t]*+" + PAIR + rb"(?:," + PAIR + rb')*+(?:[ \t\v\f\r][^"\n]*+)?(?=\n|\Z)',
    re.DOTALL,
)


class Line(NamedTuple):
    """One entry of a body."""

    number: int
    """The physical line where it starts, from 1."""
    measurement: str
    tags: dict[str, str]
    fields: dict[str, Any]
    """Field key -> float, int, bool or str, in no particular order."""
    time: int | None
    """Nanoseconds since the epoch, None where the line has none."""


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong with one line: its number from 1, why, and its beginning."""

    line: int
    reason: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        """The error as the answer to a push lists it."""
        return asdict(self)


class InvalidLineProtocol(LiveError, ValueError):
    """A body breaks the line protocol or a limit; `errors` are its first faults, at most `MAX_ERRORS`, by line."""

    code = ErrorCode.BAD_REQUEST

    def __init__(self, errors: list[LineError]) -> None:
        self.errors = errors
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"invalid line protocol: line {first.line}: {first.reason}{more}")


def parse_lines(body: bytes, *, stream_id: str = "-") -> list[Line]:
    """The entries of `body` in its order; blank lines and comments are none.

    `stream_id` is the stream the lines are for: with each measurement it must make a valid channel (grafana-live §1.1).
    Raises `InvalidLineProtocol` naming every wrong line (all or nothing), `InvalidChannel` when the stream id itself
    breaks a rule.
    """
    Channel("stream", stream_id, "-")
    _check_utf8(body)
    lines: list[Line] = []
    errors: list[LineError] = []
    measurements: set[str] = set()
    for number, entry, fault in _split(body):
        if not entry or entry[0] == 0x23:  # '#'
            continue
        reason = fault
        if not reason:
            try:
                parsed = parse_entry(entry)
            except LineFormatError as error:
                reason = explain(entry, error)
            else:
                measurement = parsed["measurement"]
                if measurement not in measurements:
                    reason = _check_measurement(stream_id, measurement, len(measurements))
                if not reason:
                    measurements.add(measurement)
                    lines.append(Line(number, measurement, parsed["tags"], parsed["fields"], parsed["time"]))
        if reason:
            errors.append(LineError(number, reason, _cut(entry.decode(), MAX_TEXT)))
            if len(errors) == MAX_ERRORS:
                break
    if errors:
        raise InvalidLineProtocol(errors)
    return lines


def _check_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        start = body.rfind(b"\n", 0, error.start) + 1
        text = body[start : start + 4 * MAX_TEXT].split(b"\n", 1)[0].decode(errors="replace")
        reason = f"not UTF-8: byte 0x{body[error.start]:02x} at offset {error.start} of the body"
        line = body.count(b"\n", 0, error.start) + 1
        raise InvalidLineProtocol([LineError(line, reason, _cut(text, MAX_TEXT))]) from None


def _split(body: bytes) -> Iterator[tuple[int, bytes, str]]:
    """(line number, entry without blanks around it, what is wrong with its quotes or "") for each entry of `body`."""
    if b'"' not in body:
        for number, line in enumerate(body.split(b"\n"), 1):
            yield number, line.strip(), ""
        return
    position, number = 0, 1
    while position < len(body):
        end = body.find(b"\n", position)
        end = len(body) if end < 0 else end
        entry, fault, newlines = body[position:end].strip(), "", 0
        if b'"' in entry and entry[0] != 0x23:
            match = _QUOTED.match(body, position)
            if match is None:
                # Go on with the next physical line: a forgotten quote must not swallow the rest.
                fault = explain_quotes(entry)
            elif match.end() > end:
                end = match.end()
                entry = body[position:end].strip()
                newlines = entry.count(b"\n")
        yield number, entry, fault
        number += 1 + newlines
        position = end + 1


def _check_measurement(stream_id: str, measurement: str, already: int) -> str:
    """Why `measurement` cannot be a channel of the stream; "" when it can."""
    if already >= MAX_MEASUREMENTS:
        return f"more than {MAX_MEASUREMENTS} different measurements in one push"
    try:
        Channel("stream", stream_id, measurement)
    except InvalidChannel as error:
        return f"measurement {_cut(ascii(measurement), 60)} is no channel path: {error}"
    return ""


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
