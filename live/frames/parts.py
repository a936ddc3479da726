"""A frame as one publication, or as several where it is too large for one."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from live.exceptions import PublicationTooLarge
from live.frames.frame import EncodedFrame, Frame


def split(frame: Frame, limit: int, what: object) -> Iterator[EncodedFrame]:
    """`frame` encoded, divided by its rows until no part has more than `limit` bytes.

    Raises `PublicationTooLarge`, naming `what` it is a frame of, when a single row has more, or the schema alone.
    """
    encoded = frame.encode()
    size = len(encoded.full)
    if size <= limit:
        yield encoded
        return
    rows = len(frame)
    # What every part has again: the schema.
    room = limit - len(encoded.schema)
    if rows < 2 or room <= 0:
        raise PublicationTooLarge(
            f"a row of {what} has {size} bytes as a publication, at most {limit} are allowed: push fewer fields"
            if rows < 2
            else f"the schema of {what} alone has {len(encoded.schema)} bytes, at most {limit} are allowed"
        )
    parts = min(rows, max(2, ceil(size / room)))
    step = ceil(rows / parts)
    for start in range(0, rows, step):
        # Rows differ in size, so a part may have to be divided again.
        yield from split(frame.rows(start, start + step), limit, what)
