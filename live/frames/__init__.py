"""Data frames and how lines of Influx line protocol become them. Pure: no Django, no I/O."""

from live.frames.convert import DEFAULT_FORMAT, FORMATS, frames_from_lines
from live.frames.frame import EncodedFrame, Field, Frame, Kind
from live.frames.influx import (
    PRECISIONS,
    InvalidLineProtocol,
    Line,
    LineError,
    ParsedBody,
    parse_good_lines,
    parse_lines,
)
from live.frames.parts import split

__all__ = [
    "DEFAULT_FORMAT",
    "FORMATS",
    "PRECISIONS",
    "EncodedFrame",
    "Field",
    "Frame",
    "InvalidLineProtocol",
    "Kind",
    "Line",
    "LineError",
    "ParsedBody",
    "frames_from_lines",
    "parse_good_lines",
    "parse_lines",
    "split",
]
