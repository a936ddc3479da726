"""The Lua scripts beside this module, and commands in the form they go over the wire."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Script:
    """One script, by its text and by the name that Redis gives it."""

    name: str
    text: bytes
    sha: bytes

    def loading(self) -> bytes:
        """The command that makes Redis know it, as Redis reads it."""
        return _pack((b"SCRIPT", b"LOAD", self.text))


_SHARED = {"members": "presence", "lease": "lease", "append": "lease"}
"""What scripts share, by the first word of their names."""


@cache
def load(name: str) -> Script:
    """The script of that name, with what stands before it."""
    shared = _SHARED.get(name.partition("_")[0])
    parts = ["channel", shared, name] if shared else ["channel", name]
    folder = resources.files(__package__)
    text = b"\n".join((folder / f"{part}.lua").read_bytes() for part in parts)
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


class Command:
    """One command: a script with its arguments, or without a script plain words. Raises TypeError for other words."""

    __slots__ = ("name", "packed", "script")

    def __init__(self, words: tuple[bytes, ...], script: Script | None = None) -> None:
        self.script = script
        self.name = script.name if script else words[0].decode()
        # The scripts make the names of their keys themselves: none is named here.
        self.packed = _pack(words if script is None else (b"EVALSHA", script.sha, b"0", *words))


def _pack(words: tuple[bytes, ...]) -> bytes:
    """A command as Redis reads it."""
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


def unpack(lengths: bytes, joined: bytes) -> Iterator[bytes]:
    """The values that a script packed into two texts."""
    place = 0
    for length in map(int, lengths.split()):
        yield joined[place : place + length]
        place += length


def minute_rate(counts: bytes, second: int, now: float) -> int:
    """Events of the 60 seconds before `now`, of counts that end at `second`."""
    passed = max(0, int(now) - second)
    return sum(struct.unpack(f">{len(counts) // 4}I", counts)[passed:])
