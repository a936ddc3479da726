"""What a test is told: publications, answers to commands, and how a connection or a command can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from live.exceptions import DisconnectCode
from live.store import Position


@dataclass(frozen=True, slots=True)
class Publication:
    """One message in a channel."""

    channel: str
    data: Any
    """As JSON gives it back: lists, not tuples; keys that are texts."""
    offset: int = 0
    """Counts from 1 where the channel keeps history, else 0."""
    info: Any = None
    """Which client published it, as ``{"user": ..., "client": ...}``; None: the server did."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The answer to a subscribe."""

    data: Any = None
    """What the subscriber gets first: the handler's initial data, or the channel's last value; None: nothing."""
    position: Position | None = None
    """Where the channel's history stands, to come back with as ``since``; None where clients keep no position."""
    recovered: bool = False
    """Whether everything since the position asked with is in `publications`."""
    publications: tuple[Publication, ...] = ()
    """What was missed, in its order."""


@dataclass(frozen=True, slots=True)
class History:
    """The answer to a history command."""

    publications: tuple[Publication, ...]
    position: Position
    """The channel's newest."""


@dataclass(frozen=True, slots=True)
class Present:
    """Who is present in a channel."""

    client: str
    """The id of the connection."""
    user: str
    """The user's primary key as text; "" for an anonymous one."""
    info: Any = None
    """What the handler's `member_info` tells of it."""


class CommandFailed(Exception):
    """The server answered a command with an error: `code`, `message`, and whether trying again later makes sense."""

    def __init__(self, command: str, code: int, message: str, *, temporary: bool = False) -> None:
        self.code = code
        self.message = message
        self.temporary = temporary
        super().__init__(f"{command} was answered with error {code}: {message}")


class Disconnected(Exception):
    """The server ended the connection: `code` and `reason` are what it said."""

    def __init__(self, code: int, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"the server ended the connection with code {code}: {reason or 'no reason given'}")

    @property
    def reconnect(self) -> bool:
        """Whether official clients reconnect by themselves after this code."""
        try:
            return DisconnectCode(self.code).reconnect
        except ValueError:
            return not (3500 <= self.code < 4000 or 4500 <= self.code < 5000)


class HandshakeRefused(Disconnected):
    """The server answered the handshake with 403: another site's origin, or too many handshakes at once."""

    def __init__(self, code: int) -> None:
        super().__init__(code, "the handshake was refused")
