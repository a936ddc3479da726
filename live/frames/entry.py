"""One entry of Influx line protocol: the C extension's parser, put right where it deviates from grafana-live §3.1.

The extension refuses a repeated tag key, takes the first of a repeated field key, refuses numbers below the smallest
normal float, leaves ``\\"`` in keys alone, and lets a field key end in a backslash. Entries without any of this, nearly
all, cost one call and two scans for a byte. Pure.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from line_protocol_parser import LineFormatError, parse_line

MAX_TAGS = 256
"""Tags of one entry. The extension compares each with each: as many as fit into a body would take it minutes."""
_SHORT = 4 * MAX_TAGS
"""Bytes in which no more tags than that have room."""

# The extension ends measurement and tags at the first blank without a backslash right before it.
HEAD = rb"[^ \n]*+(?:(?<=\\)[ ][^ \n]*+)*+"
_KEY = rb"(?:[^=\\, \n]|\\[^\n])++"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_BARE = rb'[^", \n]++'
PAIR = rb"(?:" + _KEY + rb")=(?:" + _STRING + rb"|" + _BARE + rb")"
"""One field: the value is a whole string, or has no quote in it. For patterns with `re.DOTALL`."""

_HEAD = re.compile(HEAD)
_FIELD = re.compile(rb"(?P<key>" + _KEY + rb")=(?P<value>" + _STRING + rb"|" + _BARE + rb")", re.DOTALL)
_COMMA = re.compile(rb"(?<!\\),")
_EQUALS = re.compile(rb"(?<!\\)=")
_INTEGER = re.compile(rb"-?\d+[iu]")
_FLOAT = re.compile(rb"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")

_NO_VALUE = "Failed to parse value of field."
_BAD_VALUE = "Failed to parse type of field value."
_REASONS = {
    "Failed to parse measurement.": "expected a measurement, then a blank and a field",
    "Failed to parse key of tag.": "expected a tag key and =",
    "Failed to parse value of tag.": "expected a tag value, then a comma and a tag or a blank and a field",
    "Failed to parse key of field.": "expected a field key and =",
    _NO_VALUE: "expected a field value",
    _BAD_VALUE: "expected a number, an integer with i or u, a boolean or a quoted string",
    "Failed to parse nanoseconds integer timestamp.": "expected a timestamp: one 64-bit integer of nanoseconds",
    "Embedded NUL bytes are not supported.": "holds a NUL byte",
    "Combined measurement/tag key exceeds max key length of 65535 bytes.": "measurement and tags exceed 65535 bytes",
}


class _Pair(NamedTuple):
    key: bytes
    """Without escapes."""
    value: bytes
    raw: bytes


class _Parts(NamedTuple):
    measurement: bytes
    tags: list[_Pair]
    fields: list[_Pair]
    rest: bytes
    """The timestamp with the blanks before it."""

    def join(self, tags: list[_Pair], fields: list[_Pair]) -> bytes:
        """The entry with these tags and fields in place of its own."""
        head = b",".join([self.measurement, *[tag.raw for tag in tags]])
        return head + b" " + b",".join([field.raw for field in fields]) + self.rest


def parse_entry(entry: bytes) -> dict[str, Any]:
    """`entry`, UTF-8 without blanks around it, as ``measurement``, ``tags``, ``fields`` and ``time`` (ns or None).

    Raises `LineFormatError`; `explain` says why in our words.
    """
    if len(entry) > _SHORT:
        _check_head(entry)
    tiny: dict[bytes, float] = {}
    try:
        parsed: dict[str, Any] = parse_line(entry)
    except LineFormatError:
        repaired, tiny = _repair(entry)
        if repaired == entry:
            raise
        entry = repaired
        parsed = parse_line(entry)
    escaped = b"\\" in entry
    # An "=" more than keys: a repeated field key, or one in a name or a string, which costs only time.
    if entry.count(b"=") != len(parsed["tags"]) + len(parsed["fields"]) or (escaped and b'\\"' in entry):
        single = _keep_last(entry)
        if single != entry:
            parsed = parse_line(single)
    if escaped:
        if any(key.endswith("\\") for key in parsed["fields"]):
            # Dialects disagree whether that backslash escapes the "=" after it, and so where the value begins.
            raise LineFormatError("expected a field key that does not end in a backslash")
        parsed["tags"] = {_unquote(key): _unquote(value) for key, value in parsed["tags"].items()}
        parsed["fields"] = {_unquote(key): value for key, value in parsed["fields"].items()}
    for key, value in tiny.items():
        parsed["fields"][key.decode()] = value
    return parsed


def explain(entry: bytes, error: LineFormatError) -> str:
    """Why `parse_entry` refused `entry`; where a value is at fault, which field it is and whether it is too large."""
    message = str(error)
    reason = _REASONS.get(message, message)
    parts = _dissect(entry) if message == _BAD_VALUE else None
    for field in parts.fields if parts else ():
        try:
            parse_line(b"x x=" + field.value)
        except LineFormatError:
            if not _is_tiny(field.value):
                key = field.key.decode()[:60]
                in_form = _INTEGER.fullmatch(field.value) or _FLOAT.fullmatch(field.value)
                return f"field {key}: {'value out of range' if in_form else reason}"
    return reason


def explain_quotes(entry: bytes) -> str:
    """What is wrong with `entry`, in which a quote does not stand where quotes may."""
    try:
        parse_entry(entry)
    except LineFormatError as error:
        if str(error) not in (_NO_VALUE, _BAD_VALUE):
            return explain(entry, error)
    return 'expected a string in quotes to be the whole value and to end (a quote inside it is written \\")'


def _check_head(entry: bytes) -> None:
    head = _HEAD.match(entry)
    text = head.group() if head else b""
    if text.count(b",") - text.count(b"\\,") > MAX_TAGS:
        raise LineFormatError(f"expected at most {MAX_TAGS} tags")


def _repair(entry: bytes) -> tuple[bytes, dict[bytes, float]]:
    """`entry` without what the extension wrongly refuses, and the numbers that were replaced by 0 for that."""
    parts = _dissect(entry)
    if parts is None:
        return entry, {}
    tags = list({tag.key: tag for tag in parts.tags}.values())
    fields: list[_Pair] = []
    tiny: dict[bytes, float] = {}
    for field in parts.fields:
        tiny.pop(field.key, None)
        if _is_tiny(field.value):
            tiny[field.key] = float(field.value)
            field = field._replace(raw=field.raw[: -len(field.value)] + b"0")
        fields.append(field)
    if len(tags) == len(parts.tags) and fields == parts.fields:
        return entry, {}
    return parts.join(tags, fields), tiny


def _keep_last(entry: bytes) -> bytes:
    """`entry` with only the last of each repeated tag key and field key; unchanged where nothing repeats."""
    parts = _dissect(entry)
    if parts is None:
        return entry
    tags = {tag.key: tag for tag in parts.tags}
    fields = {field.key: field for field in parts.fields}
    if len(tags) == len(parts.tags) and len(fields) == len(parts.fields):
        return entry
    return parts.join(list(tags.values()), list(fields.values()))


def _dissect(entry: bytes) -> _Parts | None:
    """The parts of `entry`, their values unchecked; None where the shape is wrong: the extension can say how."""
    head = _HEAD.match(entry)
    position = head.end() if head else 0
    measurement, *pairs = _COMMA.split(entry[:position])
    tags = []
    for pair in pairs:
        key, *value = _EQUALS.split(pair, 1)
        if not (key and value and value[0]):
            return None
        tags.append(_Pair(_unescape(key), value[0], pair))
    while entry[position : position + 1] in (b" ", b"\t"):
        position += 1
    fields = []
    while match := _FIELD.match(entry, position):
        fields.append(_Pair(_unescape(match["key"]), match["value"], match.group()))
        position = match.end()
        if entry[position : position + 1] != b",":
            return _Parts(measurement, tags, fields, entry[position:])
        position += 1
    return None


def _is_tiny(value: bytes) -> bool:
    """Whether `value` is a number that is only too close to zero for the extension."""
    # Longer ones are no writer's; float() takes its time for them.
    return len(value) < 1100 and _FLOAT.fullmatch(value) is not None and abs(float(value)) < 2.3e-308


def _unescape(key: bytes) -> bytes:
    return re.sub(rb'\\([, ="])', rb"\1", key)


def _unquote(text: str) -> str:
    return text.replace('\\"', '"')
