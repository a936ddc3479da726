"""Lines -> frames: the formats a push may ask for (grafana-live §3.2 to §3.4). Pure.

Works column by column: a column whose values all have one type, which is nearly every one, costs a few loops in C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any

from live.frames.frame import Field, Frame, Kind
from live.frames.influx import MAX_TEXT, InvalidLineProtocol, Line, LineError

MAX_CELLS = 1_000_000
"""Rows times columns of one push. Padding could otherwise turn a small hostile body into gigabytes of nulls."""
MAX_WIDE_COLUMNS = 50_000
"""Columns of one push in `wide`, where each takes a hundred bytes of schema, and each time is a publication."""

Converter = Callable[[Sequence[Line], int], list[Frame]]


def labels_column(lines: Sequence[Line], now_ns: int) -> list[Frame]:
    """One frame per measurement, in order of first appearance, one row per line: labels, time, then the fields (§3.4).

    `now_ns` is the time of lines that have none, in nanoseconds since the epoch. Raises `InvalidLineProtocol` when the
    frames would exceed `MAX_CELLS`.
    """
    groups: dict[str, list[Line]] = {}
    for line in lines:
        group = groups.get(line.measurement)
        if group is None:
            groups[line.measurement] = [line]
        else:
            group.append(line)
    frames = []
    cells = 0
    for measurement, group in groups.items():
        rows = [line.fields for line in group]
        names, complete = _column_names(rows)
        cells += len(names) * len(rows)
        if cells > MAX_CELLS:
            reason = f"{len(names)} fields over {len(rows)} lines of one measurement: push fewer lines at once"
            raise InvalidLineProtocol([LineError(group[0].number, reason, measurement[:MAX_TEXT])])
        labels = _label_texts(group)
        times = [now_ns if line.time is None else line.time for line in group]
        frame = Frame(name=measurement)
        frame.fields.append(Field("labels", Kind.STRING, labels))
        frame.fields.append(Field("time", Kind.TIME, times))
        for name in names:
            values = [row[name] for row in rows] if complete else [row.get(name) for row in rows]
            kind, typed = _type_column(values)
            frame.fields.append(Field(name, kind, typed, nullable=True))
        frames.append(frame)
    return frames


def wide(lines: Sequence[Line], now_ns: int) -> list[Frame]:
    """One frame of one row per measurement and time, in order of first appearance, a column per field (§3.3).

    The tags are the columns' labels. Arguments and errors as of `labels_column`; the limit is `MAX_WIDE_COLUMNS`.
    """
    frames: dict[tuple[str, int], Frame] = {}
    columns = 0
    for number, measurement, tags, fields, own_time in lines:
        time = now_ns if own_time is None else own_time
        frame = frames.get((measurement, time))
        if frame is None:
            frame = Frame([Field("time", Kind.TIME, [time])], name=measurement)
            frames[measurement, time] = frame
            columns += 1
        columns += len(fields)
        if columns > MAX_WIDE_COLUMNS:
            reason = f"more than {MAX_WIDE_COLUMNS} columns in one push: push fewer lines at once"
            raise InvalidLineProtocol([LineError(number, reason, measurement[:MAX_TEXT])])
        for name in sorted(fields):
            kind, values = _type_column([fields[name]])
            frame.fields.append(Field(name, kind, values, nullable=True, labels=tags))
    return list(frames.values())


DEFAULT_FORMAT = "labels_column"
FORMATS: dict[str, Converter] = {"labels_column": labels_column, "wide": wide}
"""The formats by name, in lower case (§3.2)."""


def frames_from_lines(lines: Sequence[Line], now_ns: int, frame_format: str = DEFAULT_FORMAT) -> list[Frame]:
    """The frames of one push's lines. `frame_format` is a key of `FORMATS`; see there for what else may be raised."""
    return FORMATS[frame_format](lines, now_ns)


def _label_texts(lines: Iterable[Line]) -> list[str]:
    """Each line's tags as "k=v, k2=v2", sorted by key."""
    texts = []
    # Lines of one measurement have the same tag keys, nearly always: for each set of them one template.
    templates: dict[tuple[str, ...], tuple[str, Callable[[dict[str, str]], Any]]] = {(): ("", lambda tags: ())}
    for _, _, tags, _, _ in lines:
        keys = tuple(tags)
        try:
            template, values = templates[keys]
        except KeyError:
            ordered = sorted(keys)
            template = ", ".join([f"{key.replace('%', '%%')}=%s" for key in ordered])
            templates[keys] = template, values = (template, itemgetter(*ordered))
        texts.append(template % values(tags))
    return texts


def _column_names(rows: Iterable[dict[str, Any]]) -> tuple[list[str], bool]:
    """Field names by first appearance, within a line sorted by bytes; and whether every row has all of them."""
    names: dict[str, None] = {}
    known = names.keys()
    complete, first = True, True
    for row in rows:
        keys = row.keys()
        if keys == known:
            continue
        # Code point order is the byte order of UTF-8.
        # Not `keys - known`, which walks through all that is known.
        names.update(dict.fromkeys(sorted([key for key in row if key not in names])))
        complete = complete and first
        first = False
    return list(names), complete


def _type_column(values: list[Any]) -> tuple[Kind, list[Any]]:
    """The column's kind and its values in that kind (§3.2): every number is a float64, "NaN" a number without value."""
    types = set(map(type, values))
    if types == {float}:
        return Kind.FLOAT, values
    if types == {int} or types == {int, float}:
        return Kind.FLOAT, list(map(float, values))
    if types == {bool}:
        return Kind.BOOL, values
    if types == {str} and "NaN" not in values:
        return Kind.STRING, values
    # The first value decides; what has another type becomes text in a text column and null in any other (§3.4).
    kind = next(_kind_of(value) for value in values if value is not None)
    if kind is Kind.FLOAT:
        return kind, [float(v) if type(v) is float or type(v) is int else None for v in values]
    if kind is Kind.BOOL:
        return kind, [v if type(v) is bool else None for v in values]
    return kind, [None if v is None or v == "NaN" else _text_of(v) for v in values]


def _kind_of(value: Any) -> Kind:
    if type(value) is str:
        return Kind.FLOAT if value == "NaN" else Kind.STRING
    return Kind.BOOL if type(value) is bool else Kind.FLOAT


def _text_of(value: Any) -> str:
    """A value as text, in the form of the default formatting of Go, which other senders of such frames use."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    return _float_text(float(value))


def _float_text(value: float) -> str:
    """The shortest digits that read back equal, with an exponent below 1e-4 and from 1e+06 on: 0.5, 1, 1e+06."""
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    if not text:
        return "-0" if sign else "0"
    point = len(text) + int(exponent)  # the value is 0.text * 10**point
    text = text.rstrip("0")
    prefix = "-" if sign else ""
    if not -4 <= point - 1 < 6:
        mantissa = text[0] + ("." + text[1:] if len(text) > 1 else "")
        return f"{prefix}{mantissa}e{point - 1:+03d}"
    if point <= 0:
        return f"{prefix}0.{'0' * -point}{text}"
    if len(text) <= point:
        return prefix + text.ljust(point, "0")
    return f"{prefix}{text[:point]}.{text[point:]}"
