"""From the body of a push to its publications, the same for every door it may come in by (HTTP, WebSocket, InfluxDB).

`prepare` is pure work for the processor, which `prepare_aside` keeps off the event loop; `publish_push` is the rest.
For the metrics, every line of a body that was read is counted in one of the two, once: as published or as not.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from rest_framework.exceptions import ParseError

from live.api.body import inflate
from live.channel import Channel
from live.conf import live_settings
from live.exceptions import EngineUnavailable, InvalidChannel, PublicationTooLarge
from live.frames import (
    DEFAULT_FORMAT,
    FORMATS,
    PRECISIONS,
    EncodedFrame,
    InvalidLineProtocol,
    LineError,
    frames_from_lines,
    parse_good_lines,
    parse_lines,
)
from live.frames.influx import MAX_LINES
from live.handlers.stream import SCOPE, prepare_push, publish_prepared
from live.node import Node, runtime

INLINE_BYTES = 8 * 1024
"""Bodies up to here are parsed where they arrive: within half a millisecond, less than it costs to involve a thread."""

# The first character of a line that says something: neither blank nor a comment.
_LINE = re.compile(rb"^[ \t\v\f\r]*+[^#\s]", re.MULTILINE)

# As InfluxDB's own APIs call them; both characters that look like a micro sign.
_ALIASES = {"": "ns", "n": "ns", "u": "us", "µ": "us", "\u03bc": "us", "µs": "us", "\u03bcs": "us"}


@dataclass(frozen=True, slots=True)
class PushOptions:
    """What a sender says about its bodies."""

    stream_id: str
    frame_format: str = DEFAULT_FORMAT
    """A key of `FORMATS`."""
    precision: str = "ns"
    """A key of `PRECISIONS`."""
    partial: bool = False
    """Whether the good lines count where others are wrong; else it is all or nothing."""

    @classmethod
    def read(cls, stream_id: str, query: Mapping[str, str]) -> PushOptions:
        """From a query string's parameters; raises `ParseError` saying which is wrong."""
        check_stream_id(stream_id)
        name = query.get("gf_live_frame_format", "") or DEFAULT_FORMAT
        if name.lower() not in FORMATS:
            raise ParseError(f"gf_live_frame_format {name[:60]!r} is not supported; supported: {', '.join(FORMATS)}")
        unit = query.get("precision", "")
        precision = _ALIASES.get(unit, unit)
        if precision not in PRECISIONS:
            raise ParseError(f"precision {unit[:60]!r} is not known; known: {', '.join(PRECISIONS)}")
        partial = query.get("partial", "0")
        if partial not in ("0", "1"):
            raise ParseError(f"partial is 0 or 1, not {partial[:60]!r}")
        return cls(stream_id, name.lower(), precision, partial == "1")


class Push(NamedTuple):
    """A push that is ready to be published."""

    publications: list[tuple[Channel, EncodedFrame]]
    accepted: int
    """Lines that are published."""
    rejected: int = 0
    """Lines that were left out because they are wrong."""
    errors: list[LineError] = []
    """The first of these."""


def check_stream_id(stream_id: str) -> None:
    """Raises `ParseError` with the rule that the stream id breaks."""
    try:
        Channel(SCOPE, stream_id, "-")
    except InvalidChannel as error:
        # The rule speaks of the channel's parts; the stream id is its namespace.
        raise ParseError(f"bad stream id {stream_id[:60]!r}: {error}") from None


def count_body(body: bytes) -> int:
    """The lines of `body` that say something; a string over several of them counts as it stands there.

    In a body of more lines than may be, blank ones and comments count too: nobody looks at each.
    """
    number = body.count(b"\n")
    return number if number > MAX_LINES else sum(1 for _ in _LINE.finditer(body))


def prepare(body: bytes, options: PushOptions) -> Push:
    """Parses, converts and encodes `body`; nothing is published yet.

    Raises `InvalidLineProtocol` and `PublicationTooLarge`.
    """
    rejected, errors = 0, list[LineError]()
    if options.partial:
        lines, rejected, errors = parse_good_lines(body, stream_id=options.stream_id, precision=options.precision)
    else:
        lines = parse_lines(body, stream_id=options.stream_id, precision=options.precision)
    frames = frames_from_lines(lines, time.time_ns(), options.frame_format)
    return Push(prepare_push(options.stream_id, frames), len(lines), rejected, errors)


def _prepare(body: bytes, options: PushOptions, gzip: bool, refused: list[int]) -> Push:
    """Like `prepare`; leaves in `refused` how many lines nothing came of."""
    if gzip:
        body = inflate(body, live_settings.push_max_bytes)
    try:
        return prepare(body, options)
    except (InvalidLineProtocol, PublicationTooLarge):
        refused.append(count_body(body))
        raise


async def prepare_aside(body: bytes, options: PushOptions, *, gzip: bool = False) -> Push:
    """Like `prepare`, in a thread where it takes long: everybody else's messages go on meanwhile.

    With `gzip` also raises `PayloadTooLarge` and `ParseError`. Counts the lines of what cannot be published.
    """
    refused: list[int] = []
    try:
        if gzip or len(body) > INLINE_BYTES:
            return await asyncio.to_thread(_prepare, body, options, gzip, refused)
        return _prepare(body, options, gzip, refused)
    finally:
        # Not in the thread: counters belong to the loop.
        if refused:
            _count_lines(rejected=refused[0])


async def publish_push(push: Push) -> None:
    """Publishes, and counts the lines.

    Raises `EngineUnavailable`, also when it takes longer than ``LIVE["PUBLISH_TIMEOUT"]``; then all lines count as
    not published, as the sender is told.
    """
    if not push.publications:
        return
    seconds = live_settings.publish_timeout
    accepted = 0
    try:
        async with asyncio.timeout(seconds):
            await publish_prepared(push.publications)
        accepted = push.accepted
    except TimeoutError:
        raise EngineUnavailable(f"publishing took longer than {seconds:g} s, try again later") from None
    finally:
        _count_lines(accepted=accepted, rejected=push.accepted + push.rejected - accepted)


def _count_lines(*, accepted: int = 0, rejected: int = 0) -> None:
    """Counts lines of pushes for the metrics; under WSGI on the node that only publishes."""

    def count(node: Node) -> None:
        node.counters.push_lines["accepted"] += accepted
        node.counters.push_lines["rejected"] += rejected

    runtime.tell(count)
