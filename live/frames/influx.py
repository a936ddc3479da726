"""Influx line protocol -> lines: splitting, parsing, and exact errors (grafana-live §3.1).

Here the entries are found (a quoted string may hold newlines), their quotes and measurements checked, and the sender
is told which line is wrong and why; `live.frames.entry` parses each of them. Whatever the bytes, nothing but
`InvalidLineProtocol` is raised. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count, repeat
from typing import Any, NamedTuple

from line_protocol_parser import LineFormatError

from live.channel import Channel
from live.exceptions import ErrorCode, InvalidChannel, LiveError
from live.frames.entry import HEAD, PAIR, explain, explain_quotes, parse_entry

MAX_ERRORS = 10
"""Errors reported for one body; parsing stops at the last of them, which also bounds the work on a hostile body."""
MAX_TEXT = 120
"""Characters of a wrong line that its error quotes."""
MAX_LINES = 200_000
"""Lines of one body, also blank ones. A parsed line takes half a kilobyte, however short it is."""
MAX_MEASUREMENTS = 5_000
"""Different measurements in one body; each becomes a channel with a kept last frame."""

PRECISIONS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
"""Units of timestamps, in nanoseconds."""

_BAD_QUOTES = "a quote where none may be"

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


class ParsedBody(NamedTuple):
    """What became of a body of which only the good lines count."""

    lines: list[Line]
    rejected: int
    """How many lines are wrong."""
    errors: list[LineError]
    """The first of them, at most `MAX_ERRORS`."""


def parse_lines(body: bytes, *, stream_id: str = "-", precision: str = "ns") -> list[Line]:
    """The entries of `body` in its order; blank lines and comments are none.

    `stream_id` is the stream the lines are for: with each measurement it must make a valid channel (grafana-live §1.1).
    `precision` is a key of `PRECISIONS`, the unit of the body's timestamps. Raises `InvalidLineProtocol` naming the
    first wrong lines (all or nothing), `InvalidChannel` when the stream id itself breaks a rule.
    """
    return _parse(body, stream_id, PRECISIONS[precision], partial=False).lines


def parse_good_lines(body: bytes, *, stream_id: str = "-", precision: str = "ns") -> ParsedBody:
    """Like `parse_lines`, but wrong lines are left out and counted; raises when all of them are wrong."""
    return _parse(body, stream_id, PRECISIONS[precision], partial=True)


def _parse(body: bytes, stream_id: str, scale: int, *, partial: bool) -> ParsedBody:
    Channel("stream", stream_id, "-")
    if body.count(b"\n") > MAX_LINES:
        raise InvalidLineProtocol([LineError(MAX_LINES + 1, f"more than {MAX_LINES} lines: push fewer at once", "")])
    utf8 = _is_utf8(body)
    lines: list[Line] = []
    errors: list[LineError] = []
    rejected = 0
    measurements: set[str] = set()
    for number, entry, well_quoted in _split(body):
        if not entry or entry[0] == 0x23:  # '#'
            continue
        try:
            if not utf8:
                _check_utf8(entry)
            if not well_quoted:
                raise LineFormatError(_BAD_QUOTES)
            parsed = parse_entry(entry)
            measurement, time = parsed["measurement"], parsed["time"]
            if measurement not in measurements:
                _check_measurement(stream_id, measurement, len(measurements))
                measurements.add(measurement)
            if scale != 1 and time is not None:
                time = _scale_time(time, scale)
        except LineFormatError as error:
            rejected += 1
            if len(errors) < MAX_ERRORS:
                # To explain takes longer than to refuse: only what the sender is told.
                reason = explain_quotes(entry) if str(error) == _BAD_QUOTES else explain(entry, error)
                errors.append(LineError(number, reason, _cut(entry.decode(errors="replace"), MAX_TEXT)))
            if len(errors) == MAX_ERRORS and not partial:
                break
        else:
            # The class's own constructor is a Python function; for each line it would cost as much as the splitting.
            lines.append(tuple.__new__(Line, (number, measurement, parsed["tags"], parsed["fields"], time)))
    if errors and not (partial and lines):
        raise InvalidLineProtocol(errors)
    return ParsedBody(lines, rejected, errors)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_utf8(entry: bytes) -> None:
    try:
        entry.decode()
    except UnicodeDecodeError as error:
        raise LineFormatError(
            f"not UTF-8: byte 0x{entry[error.start]:02x} at offset {error.start} of the line"
        ) from None


def _split(body: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """(line number, entry without blanks around it, whether quotes stand only where they may) for each entry."""
    if b'"' in body:
        return _split_quoted(body)
    return zip(count(1), map(bytes.strip, body.split(b"\n")), repeat(True))


def _split_quoted(body: bytes) -> Iterator[tuple[int, bytes, bool]]:
    position, number = 0, 1
    while position < len(body):
        end = body.find(b"\n", position)
        end = len(body) if end < 0 else end
        entry, well_quoted, newlines = body[position:end].strip(), True, 0
        if b'"' in entry and entry[0] != 0x23:
            match = _QUOTED.match(body, position)
            if match is None:
                # Go on with the next physical line: a forgotten quote must not swallow the rest.
                well_quoted = False
            elif match.end() > end:
                end = match.end()
                entry = body[position:end].strip()
                newlines = entry.count(b"\n")
        yield number, entry, well_quoted
        number += 1 + newlines
        position = end + 1


def _check_measurement(stream_id: str, measurement: str, already: int) -> None:
    """Raises `LineFormatError` when `measurement` cannot be a channel of the stream."""
    if already >= MAX_MEASUREMENTS:
        raise LineFormatError(f"more than {MAX_MEASUREMENTS} different measurements in one push")
    try:
        Channel("stream", stream_id, measurement)
    except InvalidChannel as error:
        text = f"measurement {_cut(ascii(measurement), 60)} is no channel path: {error}"
        raise LineFormatError(text) from None


def _scale_time(time: int, scale: int) -> int:
    """`time` in nanoseconds; raises `LineFormatError` when it is beyond what 64 bits hold."""
    time *= scale
    if not -(2**63) <= time < 2**63:
        raise LineFormatError("timestamp out of range: in nanoseconds it exceeds 64 bits (is the precision right?)")
    return time


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
