"""The protobuf flavour of the protocol, at the edge: bytes to the same commands, replies in JSON to bytes.

Everything behind it speaks JSON. A command is read into what the JSON flavour would have read, and goes the same way
from there; a reply is made of the very JSON that other clients get.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from live.exceptions import BadData, DisconnectCode
from live.protocol.commands import Command, Malformed, Pong, WrongFieldError, read_command
from live.protocol.fields import (
    COMMAND,
    DELIMITED,
    MUST_BE,
    REPLY,
    SIZES,
    VARINT,
    Fields,
    Kind,
    delimited,
    write_fields,
)
from live.protocol.json import load_json

MAX_FIELDS = 100
"""Fields of one command, known or not: each is work, and a message of the largest size has room for many."""

MAX_NUMBER = 2**29 - 1
"""Of a field."""

_INVALID = "invalid protobuf"


def decode(message: str | bytes) -> Iterator[Command | Pong | Malformed]:
    """The commands in one WebSocket message, in order; stops after the first `Malformed`.

    A binary message is commands with the length of each before it; one of length 0 is a pong. A text message belongs to
    the JSON flavour.
    """
    if isinstance(message, str):
        yield Malformed("text message", DisconnectCode.INAPPROPRIATE_PROTOCOL)
        return
    if not message:
        yield Malformed("empty message")
        return
    at = 0
    command: Command | Pong | Malformed
    while at < len(message):
        try:
            body, at = read_delimited(message, at)
            command = _read(body) if body else Pong()
        except WrongFieldError as error:
            command = Malformed(str(error))
        yield command
        if isinstance(command, Malformed):
            return


def transcode(reply: bytes) -> bytes:
    """A reply, a push or a ping in JSON, as the protobuf flavour says it, with its length before it.

    Raises `BadData` when it is not what `replies` makes: data that a handler gave as JSON and that is none.
    """
    return delimited(write_fields(REPLY, load_json(reply)))


def _read(body: bytes) -> Command | Malformed:
    found: dict[str, Any] = {}
    _Reader().read(COMMAND, body, found)
    return read_command(found)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends; at most 64 bits in ten bytes."""
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    number = 0
    for shift, byte in zip(range(0, 70, 7), data[at : at + 10], strict=False):
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if number >> 64:
                break
            return number, at + shift // 7 + 1
    raise WrongFieldError(_INVALID)


def read_delimited(data: bytes, at: int) -> tuple[bytes, int]:
    """The bytes whose length stands at `at`, and where they end."""
    size, at = _read_varint(data, at)
    if size > len(data) - at:
        raise WrongFieldError(_INVALID)
    return data[at : at + size], at + size


class _Reader:
    """Reads the messages of one command, and counts their fields."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def read(self, fields: Fields, body: bytes, found: dict[str, Any], owner: str = "") -> None:
        """Puts what `body` holds of `fields` into `found`; what comes again takes the place of what was there.

        `owner` is put before the field's name in what is said of one that is wrong.
        """
        at = 0
        while at < len(body):
            self._left -= 1
            if self._left < 0:
                raise WrongFieldError("too many fields")
            tag, at = _read_varint(body, at)
            value, at = _read_value(body, at, tag & 7)
            if not 0 < tag >> 3 <= MAX_NUMBER:
                raise WrongFieldError(_INVALID)
            if (known := fields.get(tag >> 3)) is None:
                continue
            name, kind = known
            if kind is Kind.PAYLOAD and value == b"":
                # No JSON has no bytes: as if it were not there.
                found.pop(name, None)
            elif isinstance(kind, Kind):
                try:
                    found[name] = _as(kind, value)
                except ValueError:
                    raise WrongFieldError(f"{owner}{name} must be {MUST_BE[kind]}") from None
            elif isinstance(value, bytes):
                self.read(kind, value, found.setdefault(name, {}), owner or f"{name}: ")
            else:
                raise WrongFieldError(f"{owner}{name} must be an object")


def _read_value(body: bytes, at: int, layout: int) -> tuple[int | bytes | None, int]:
    """The value that begins at `at`, and where it ends; None for one of a layout that no known field has."""
    if layout == VARINT:
        return _read_varint(body, at)
    if layout == DELIMITED:
        return read_delimited(body, at)
    end = at + SIZES.get(layout, len(body) + 1)
    if end > len(body):
        raise WrongFieldError(_INVALID)
    return None, end


def _as(kind: Kind, value: int | bytes | None) -> Any:
    """`value` as a field of this kind; raises `ValueError` where it is none."""
    match kind, value:
        case Kind.UNSIGNED, int():
            return value
        case Kind.SIGNED, int():
            return value - 2**64 if value >> 63 else value
        case Kind.FLAG, int():
            return bool(value)
        case Kind.TEXT, bytes():
            return value.decode()
        case Kind.PAYLOAD, bytes():
            try:
                return load_json(value)
            except BadData as error:
                raise ValueError from error
    raise ValueError
