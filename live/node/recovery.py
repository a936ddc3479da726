"""What a client that comes back missed, and whether it can be told (client-protocol §4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from live.store import Position, Publication

MAX_PUBLICATIONS = 300
MAX_BYTES = 512 * 1024
"""Limits of one reply; clients refuse messages above 1 MiB (client-protocol §0)."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """The verdict: with `recovered`, `publications` are all that the client missed, in their order."""

    recovered: bool
    publications: list[Publication] = field(default_factory=list)


def judge(since: Position, found: Sequence[Publication], top: Position, *, max_bytes: int = MAX_BYTES) -> Recovery:
    """Whether `found`, what the history has after `since`, leads without a gap to `top`, and fits into a reply."""
    if since.epoch and since.epoch != top.epoch:
        return Recovery(False)
    if not found:
        return Recovery(since.offset == top.offset)
    complete = found[0].offset == since.offset + 1 and found[-1].offset == top.offset
    few = len(found) <= MAX_PUBLICATIONS and sum(len(publication.data) for publication in found) <= max_bytes
    return Recovery(True, list(found)) if complete and few else Recovery(False)


def fitting(found: list[Publication], *, max_bytes: int = MAX_BYTES) -> list[Publication]:
    """As many of `found` as fit into one reply, but one at least."""
    size = 0
    for number, publication in enumerate(found):
        size += len(publication.data)
        if number and size > max_bytes:
            return found[:number]
    return found
