"""Data frames: named columns of equal length, and their JSON (Grafana's frame format, grafana-live §4.1).

A frame says what its columns are (the schema) and what they hold (the data); a stream sends the schema only when it
changed, so both can be encoded apart. Pure: no Django, no I/O. Infinity and NaN never reach the wire as numbers: the
value is null and ``entities`` says what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf, isfinite, isnan
from typing import Any, NamedTuple

import orjson

NS_PER_MS = 1_000_000
_SORTED = orjson.OPT_SORT_KEYS
_JS_TYPES = {
    "time.Time": "time",
    "float64": "number",
    "bool": "boolean",
    "string": "string",
    "json.RawMessage": "other",
}


class Kind(StrEnum):
    """What a column holds; the value is ``typeInfo.frame`` on the wire."""

    TIME = "time.Time"
    """Nanoseconds since the epoch, integers; the wire has milliseconds and the rest in ``nanos``."""
    FLOAT = "float64"
    BOOL = "bool"
    STRING = "string"
    JSON = "json.RawMessage"
    """Any value that JSON can hold."""


@dataclass(slots=True)
class Field:
    """One column. `values` holds what `kind` says, or None where `nullable` is true."""

    name: str
    kind: Kind
    values: list[Any]
    nullable: bool = False
    labels: Mapping[str, str] | None = None
    """What tells this column from others of its name; None is "has no labels", which is not the same as empty."""
    config: Mapping[str, Any] | None = None
    """Display settings (unit, display name ...), part of the schema."""

    def schema(self) -> dict[str, Any]:
        """The column's entry in the schema, keys in wire order, labels sorted."""
        type_info: dict[str, Any] = {"frame": self.kind.value}
        if self.nullable:
            type_info["nullable"] = True
        entry: dict[str, Any] = {"name": self.name, "type": _JS_TYPES[self.kind], "typeInfo": type_info}
        if self.labels is not None:
            entry["labels"] = {key: self.labels[key] for key in sorted(self.labels)}
        if self.config:
            # Sorted at every depth, so that equal settings are equal bytes.
            entry["config"] = orjson.Fragment(orjson.dumps(self.config, option=_SORTED))
        return entry


class EncodedFrame(NamedTuple):
    """A frame's three encodings, all UTF-8 JSON."""

    schema: bytes
    """``{"schema":{...}}``: what a column is; equal frames of a stream have equal bytes here."""
    data: bytes
    """``{"data":{...}}``: what is sent while the schema stays."""
    full: bytes
    """``{"schema":{...},"data":{...}}``: what a new subscriber needs."""


@dataclass(slots=True)
class Frame:
    """Columns of equal length with a name. Raises `ValueError` where the lengths differ."""

    fields: list[Field] = field(default_factory=list)
    name: str | None = None
    ref_id: str | None = None
    meta: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        lengths = {len(column.values) for column in self.fields}
        if len(lengths) > 1:
            raise ValueError(f"columns of a frame have one length, not {sorted(lengths)}")

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.fields[0].values) if self.fields else 0

    def rows(self, start: int, stop: int) -> Frame:
        """The frame with only these rows; the same schema, whatever they hold."""
        fields = [replace(column, values=column.values[start:stop]) for column in self.fields]
        return replace(self, fields=fields)

    def schema_json(self) -> bytes:
        """``{"schema":{...}}``; the same bytes for the same columns, whatever they hold."""
        return b'{"schema":' + self._schema() + b"}"

    def data_json(self) -> bytes:
        """``{"data":{...}}``."""
        return b'{"data":' + self._data() + b"}"

    def full_json(self) -> bytes:
        """``{"schema":{...},"data":{...}}``."""
        return self.encode().full

    def encode(self) -> EncodedFrame:
        """All three encodings, each value serialized once."""
        schema, data = self._schema(), self._data()
        return EncodedFrame(
            schema=b'{"schema":' + schema + b"}",
            data=b'{"data":' + data + b"}",
            full=b'{"schema":' + schema + b',"data":' + data + b"}",
        )

    def _schema(self) -> bytes:
        schema: dict[str, Any] = {}
        if self.name:
            schema["name"] = self.name
        if self.ref_id:
            schema["refId"] = self.ref_id
        if self.meta:
            schema["meta"] = orjson.Fragment(orjson.dumps(self.meta, option=_SORTED))
        schema["fields"] = [column.schema() for column in self.fields]
        return orjson.dumps(schema)

    def _data(self) -> bytes:
        columns: list[bytes] = []
        entities: list[dict[str, list[int]] | None] = []
        nanos: list[list[int] | None] = []
        for column in self.fields:
            entity, rest = None, None
            if column.kind is Kind.TIME:
                encoded, rest = _encode_time(column.values)
            elif column.kind is Kind.FLOAT:
                encoded, entity = _encode_floats(column.values)
            else:
                encoded = orjson.dumps(column.values)
            columns.append(encoded)
            entities.append(entity)
            nanos.append(rest)
        data = b'{"values":[' + b",".join(columns) + b"]"
        if any(entities):
            data += b',"entities":' + orjson.dumps(entities)
        if any(nanos):
            data += b',"nanos":' + orjson.dumps(nanos)
        return data + b"}"


def _encode_time(values: list[int | None]) -> tuple[bytes, list[int] | None]:
    """Nanoseconds -> JSON milliseconds, and the remainders (0 to 999,999, also before 1970) where there is one."""
    milliseconds = [None if value is None else value // NS_PER_MS for value in values]
    rest = [0 if value is None else value % NS_PER_MS for value in values]
    return orjson.dumps(milliseconds), rest if any(rest) else None


def _encode_floats(values: list[float | None]) -> tuple[bytes, dict[str, list[int]] | None]:
    """Floats -> JSON numbers, and at which rows a null stands for what JSON has no number for."""
    encoded = orjson.dumps(values)
    # 98.0 goes out as 98. In an array of numbers ".0" before a comma or the end is only ever a whole number's.
    encoded = encoded.replace(b".0,", b",")
    if encoded.endswith(b".0]"):
        encoded = encoded[:-3] + b"]"
    if b"null" not in encoded:
        return encoded, None
    entities: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        if value is not None and not isfinite(value):
            key = "NaN" if isnan(value) else "Inf" if value == inf else "NegInf"
            entities.setdefault(key, []).append(row)
    return encoded, {key: entities[key] for key in ("NaN", "Inf", "NegInf") if key in entities} or None
