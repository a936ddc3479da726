"""What a client sends: one WebSocket message is one or more commands, one JSON object a line.

`decode` never raises: what is wrong with a message becomes a `Malformed` in its place, so that the commands before it
are answered first, as a client that pipelines expects (client-protocol §1.2, §1.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from live.exceptions import BadData, DisconnectCode
from live.protocol.json import load_json

MAX_ID = 2**32 - 1

REJECT_UNRECOVERED = 2
"""Bit of a subscribe command's `flag`; the others (1: channel ids in pushes) are offers that nobody has to take."""


class Method(StrEnum):
    """The names of commands, in the order in which the server looks for them."""

    CONNECT = "connect"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    PUBLISH = "publish"
    PRESENCE = "presence"
    PRESENCE_STATS = "presence_stats"
    HISTORY = "history"
    RPC = "rpc"
    SEND = "send"
    REFRESH = "refresh"
    SUB_REFRESH = "sub_refresh"


@dataclass(frozen=True, slots=True)
class Command:
    """A command with the id its reply will carry."""

    id: int


@dataclass(frozen=True, slots=True)
class Connect(Command):
    """The first command of every connection; `name` and `version` tell which client library speaks."""

    name: str = ""
    version: str = ""
    token: str = ""
    data: Any = None


@dataclass(frozen=True, slots=True)
class Subscribe(Command):
    """Asks for the publications of `channel`; `data` is handed to its handler.

    With `recover` it also asks for what was missed since the position (`offset`, `epoch`). `positioned`, `recoverable`
    and `join_leave` are wishes: the channel's handler decides. `tf` is a filter by tags as it came, or None.
    """

    channel: str
    data: Any = None
    type: int = 0
    recover: bool = False
    offset: int = 0
    epoch: str = ""
    flag: int = 0
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    tf: dict[str, Any] | None = None

    @property
    def rejects_unrecovered(self) -> bool:
        """Whether error 112 is wanted where what was missed cannot be told (bit 2 of `flag`)."""
        return bool(self.flag & REJECT_UNRECOVERED)


@dataclass(frozen=True, slots=True)
class Unsubscribe(Command):
    """Ends the subscription of `channel`."""

    channel: str


@dataclass(frozen=True, slots=True)
class Publish(Command):
    """Offers `data` to `channel`; `has_data` tells a null from nothing."""

    channel: str
    data: Any = None
    has_data: bool = False


@dataclass(frozen=True, slots=True)
class History(Command):
    """Asks for kept publications of `channel`: after `since` (offset, epoch), or before it with `reverse`.

    `limit` 0 asks for the top position only, -1 for all there is (up to the server's cap).
    """

    channel: str
    limit: int = 0
    since: tuple[int, str] | None = None
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Presence(Command):
    """Asks who is present in `channel`."""

    channel: str


@dataclass(frozen=True, slots=True)
class PresenceStats(Command):
    """Asks how many are present in `channel`."""

    channel: str


@dataclass(frozen=True, slots=True)
class Unavailable(Command):
    """A command of the protocol that this server does not offer; `method` says which."""

    method: Method


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping: the bare object ``{}``."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A violation of the protocol: the connection ends with `code` and `reason`."""

    reason: str
    code: DisconnectCode = DisconnectCode.BAD_REQUEST


_FIELD_TYPES: dict[str, type] = {
    "token": str,
    "name": str,
    "version": str,
    "channel": str,
    "type": int,
    "limit": int,
    "since": dict,
    "offset": int,
    "epoch": str,
    "reverse": bool,
    "recover": bool,
    "flag": int,
    "positioned": bool,
    "recoverable": bool,
    "join_leave": bool,
    "tf": dict,
}
_TYPE_NAMES = {str: "a text", int: "a number", dict: "an object", bool: "true or false"}
"""Fields whose type is checked; the value `null` counts as absent, as everywhere in this protocol."""


class WrongFieldError(Exception):
    """A command cannot be read; the text says what is wrong with which field."""


def _take(method: Method, body: dict[str, Any], field: str, default: Any) -> Any:
    value = body.get(field)
    if value is None:
        return default
    wanted = _FIELD_TYPES[field]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise WrongFieldError(f"{method}: {field} must be {_TYPE_NAMES[wanted]}")
    return value


def _command(method: Method, command_id: int, body: dict[str, Any]) -> Command:
    match method:
        case Method.CONNECT:
            texts = {name: _take(method, body, name, "") for name in ("name", "version", "token")}
            return Connect(command_id, data=body.get("data"), **texts)
        case Method.SUBSCRIBE:
            return _subscribe(command_id, body)
        case Method.UNSUBSCRIBE:
            return Unsubscribe(command_id, _take(method, body, "channel", ""))
        case Method.PUBLISH:
            channel = _take(method, body, "channel", "")
            return Publish(command_id, channel, body.get("data"), "data" in body)
        case Method.HISTORY:
            return _history(command_id, body)
        case Method.PRESENCE:
            return Presence(command_id, _take(method, body, "channel", ""))
        case Method.PRESENCE_STATS:
            return PresenceStats(command_id, _take(method, body, "channel", ""))
        case _:
            return Unavailable(command_id, method)


def _position(method: Method, body: dict[str, Any]) -> tuple[int, str]:
    offset: int = _take(method, body, "offset", 0)
    if offset < 0:
        raise WrongFieldError(f"{method}: offset must not be negative")
    return offset, _take(method, body, "epoch", "")


def _subscribe(command_id: int, body: dict[str, Any]) -> Subscribe:
    method = Method.SUBSCRIBE
    offset, epoch = _position(method, body)
    return Subscribe(
        command_id,
        _take(method, body, "channel", ""),
        body.get("data"),
        _take(method, body, "type", 0),
        offset=offset,
        epoch=epoch,
        flag=_take(method, body, "flag", 0),
        tf=_take(method, body, "tf", None),
        **{name: _take(method, body, name, False) for name in ("recover", "positioned", "recoverable", "join_leave")},
    )


def _history(command_id: int, body: dict[str, Any]) -> History:
    method = Method.HISTORY
    since = _take(method, body, "since", None)
    if since is not None:
        since = _position(method, since)
    channel, limit = _take(method, body, "channel", ""), _take(method, body, "limit", 0)
    return History(command_id, channel, limit, since, _take(method, body, "reverse", False))


def _decode_line(line: str) -> Command | Pong | Malformed:
    try:
        value = load_json(line)
    except BadData:
        return Malformed("invalid json")
    if not isinstance(value, dict):
        return Malformed("a command is a JSON object")
    return read_command(value) if value else Pong()


def read_command(value: dict[str, Any]) -> Command | Malformed:
    """The command that an object with its `id` and the object of its method stands for."""
    command_id = value.get("id") or 0
    if not isinstance(command_id, int) or isinstance(command_id, bool) or not 0 <= command_id <= MAX_ID:
        return Malformed("id must be a whole number from 1 to 4294967295")
    method = next((name for name in Method if value.get(name) is not None), None)
    if method is None:
        return Malformed("unknown command")
    if not command_id and method is not Method.SEND:
        return Malformed("id missing")
    body = value[method]
    if not isinstance(body, dict):
        return Malformed(f"{method} must be an object")
    try:
        return _command(method, command_id, body)
    except WrongFieldError as error:
        return Malformed(str(error))


def decode(message: str | bytes) -> Iterator[Command | Pong | Malformed]:
    """The commands in one WebSocket message, in order; stops after the first `Malformed`.

    A text message is JSON objects joined by newlines, one trailing newline is tolerated. A binary message belongs to
    the protobuf flavour.
    """
    if isinstance(message, (bytes, bytearray)):
        yield Malformed("binary message", DisconnectCode.INAPPROPRIATE_PROTOCOL)
        return
    text = message.removesuffix("\n")
    if not text.strip():
        yield Malformed("empty message")
        return
    for line in text.split("\n"):
        command = _decode_line(line)
        yield command
        if isinstance(command, Malformed):
            return
