"""The fields of the protobuf flavour by their numbers: what is read of a command, and what is written of a reply.

A field of the kind `payload` is bytes that hold one JSON value, in place of the value itself (client-protocol §1.2).
What is in neither table is not looked at, and not sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeAlias

from live.exceptions import BadData
from live.protocol.json import dump_json

VARINT, DELIMITED = 0, 2
"""How a field's value is laid out: as one number, as bytes with their length before them."""

SIZES = {1: 8, 5: 4}
"""Bytes of a value of the other layouts, which no field here has; groups (3, 4) are of another time."""


class Kind(Enum):
    """What a field that is no message holds."""

    UNSIGNED = "unsigned"
    SIGNED = "signed"
    FLAG = "flag"
    TEXT = "text"
    PAYLOAD = "payload"


MUST_BE = {
    Kind.UNSIGNED: "a number",
    Kind.SIGNED: "a number",
    Kind.FLAG: "true or false",
    Kind.TEXT: "a text",
    Kind.PAYLOAD: "JSON",
}
"""What a client is told that sent something else, as in the JSON flavour."""

Fields: TypeAlias = Mapping[int, "tuple[str, Kind | Fields]"]
"""Name and kind of each field of a message, by its number; in place of a kind, the fields of a message inside."""

_CHANNEL: Fields = {1: ("channel", Kind.TEXT)}
_NOTHING: Fields = {}

COMMAND: Fields = {
    1: ("id", Kind.UNSIGNED),
    4: (
        "connect",
        {1: ("token", Kind.TEXT), 2: ("data", Kind.PAYLOAD), 4: ("name", Kind.TEXT), 5: ("version", Kind.TEXT)},
    ),
    5: (
        "subscribe",
        {
            **_CHANNEL,
            3: ("recover", Kind.FLAG),
            6: ("epoch", Kind.TEXT),
            7: ("offset", Kind.UNSIGNED),
            8: ("data", Kind.PAYLOAD),
            9: ("positioned", Kind.FLAG),
            10: ("recoverable", Kind.FLAG),
            11: ("join_leave", Kind.FLAG),
            # A filter by tags: that there is one is enough to know.
            13: ("tf", _NOTHING),
            14: ("flag", Kind.SIGNED),
            15: ("type", Kind.SIGNED),
        },
    ),
    6: ("unsubscribe", _CHANNEL),
    7: ("publish", {**_CHANNEL, 2: ("data", Kind.PAYLOAD)}),
    8: ("presence", _CHANNEL),
    9: ("presence_stats", _CHANNEL),
    10: (
        "history",
        {
            **_CHANNEL,
            7: ("limit", Kind.SIGNED),
            8: ("since", {1: ("offset", Kind.UNSIGNED), 2: ("epoch", Kind.TEXT)}),
            9: ("reverse", Kind.FLAG),
        },
    ),
    12: ("send", _NOTHING),
    13: ("rpc", _NOTHING),
    14: ("refresh", _NOTHING),
    15: ("sub_refresh", _NOTHING),
}
"""What a client sends."""

Writer: TypeAlias = Callable[[Any], bytes]
"""Makes a whole field of a value of JSON; of one that is the field's zero value, nothing."""


def varint(number: int) -> bytes:
    """`number` in groups of seven bits, the lowest first; of a negative one the complement in 64 bits."""
    number &= 2**64 - 1
    if number < 0x80:
        return bytes((number,))
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def delimited(body: bytes) -> bytes:
    """`body` with its length before it."""
    return varint(len(body)) + body


def _number(place: int) -> Writer:
    tag = varint(place << 3 | VARINT)

    def write(value: int) -> bytes:
        return tag + varint(value) if value else b""

    return write


def _text(place: int) -> Writer:
    tag = varint(place << 3 | DELIMITED)

    def write(value: str) -> bytes:
        return tag + delimited(value.encode()) if value else b""

    return write


def _payload(place: int) -> Writer:
    tag = varint(place << 3 | DELIMITED)

    def write(value: object) -> bytes:
        return tag + delimited(dump_json(value))

    return write


def _message(place: int, **writers: Writer) -> Writer:
    tag = varint(place << 3 | DELIMITED)

    def write(value: dict[str, Any]) -> bytes:
        return tag + delimited(write_fields(writers, value))

    return write


def _messages(place: int, **writers: Writer) -> Writer:
    one = _message(place, **writers)

    def write(values: list[dict[str, Any]]) -> bytes:
        return b"".join([one(value) for value in values])

    return write


def _by_name(place: int, **writers: Writer) -> Writer:
    """Messages by texts: on the wire, a list of pairs."""
    pairs = _messages(place, name=_text(1), value=_message(2, **writers))

    def write(values: dict[str, dict[str, Any]]) -> bytes:
        return pairs([{"name": name, "value": value} for name, value in values.items()])

    return write


def write_fields(writers: Mapping[str, Writer], body: dict[str, Any]) -> bytes:
    """The fields of `body` that are in the table, each by its writer; raises `BadData` when `body` is no object."""
    try:
        return b"".join([writers[name](value) for name, value in body.items() if name in writers])
    except (AttributeError, TypeError) as error:
        raise BadData(f"cannot be said in protobuf: {error}") from error


_INFO = {"user": _text(1), "client": _text(2), "conn_info": _payload(3), "chan_info": _payload(4)}
_PUBLICATION = {"data": _payload(4), "info": _message(5, **_INFO), "offset": _number(6), "epoch": _text(14)}
_REASON = {"code": _number(2), "reason": _text(3)}

REPLY: Mapping[str, Writer] = {
    "id": _number(1),
    "error": _message(2, code=_number(1), message=_text(2), temporary=_number(3)),
    "push": _message(
        4,
        channel=_text(2),
        pub=_message(4, **_PUBLICATION),
        join=_message(5, info=_message(1, **_INFO)),
        leave=_message(6, info=_message(1, **_INFO)),
        unsubscribe=_message(7, **_REASON),
        disconnect=_message(11, code=_number(1), reason=_text(2)),
    ),
    "connect": _message(5, client=_text(1), version=_text(2), ping=_number(7), pong=_number(8)),
    "subscribe": _message(
        6,
        recoverable=_number(3),
        epoch=_text(6),
        publications=_messages(7, **_PUBLICATION),
        recovered=_number(8),
        offset=_number(9),
        positioned=_number(10),
        data=_payload(11),
        was_recovering=_number(12),
    ),
    "unsubscribe": _message(7),
    "publish": _message(8),
    "presence": _message(9, presence=_by_name(1, **_INFO)),
    "presence_stats": _message(10, num_clients=_number(1), num_users=_number(2)),
    "history": _message(11, publications=_messages(1, **_PUBLICATION), epoch=_text(2), offset=_number(3)),
}
"""What a client is told: the fields that `replies` writes."""
