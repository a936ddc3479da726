"""Which command may come when: the state machine of one connection, without I/O (client-protocol §1.3, §1.4)."""

from __future__ import annotations

from enum import Enum

from live.exceptions import Disconnect, DisconnectCode
from live.protocol.commands import Command, Connect, Malformed


class State(Enum):
    """Where a connection is: before its connect command, after it succeeded, at its end."""

    NEW = "new"
    CONNECTED = "connected"
    CLOSED = "closed"


class Session:
    """Checks each command against what came before; every violation is a `Disconnect` with a specific reason.

    `pings`: whether the connection is to have pings of the protocol.
    """

    __slots__ = ("_awaiting_pong", "pings", "state")

    def __init__(self, *, pings: bool = True) -> None:
        self.pings = pings
        self.state = State.NEW
        self._awaiting_pong = False

    @property
    def connected(self) -> bool:
        """Whether the connect command succeeded and the connection was not ended."""
        return self.state is State.CONNECTED

    @property
    def closed(self) -> bool:
        """Whether the connection was ended."""
        return self.state is State.CLOSED

    def check(self, command: Command | Malformed) -> Command:
        """The command, if it may come now; raises `Disconnect` when it may not."""
        if isinstance(command, Malformed):
            raise Disconnect(command.code, command.reason)
        if isinstance(command, Connect):
            if self.state is not State.NEW:
                raise Disconnect(DisconnectCode.BAD_REQUEST, "connected already")
        elif self.state is not State.CONNECTED:
            raise Disconnect(DisconnectCode.BAD_REQUEST, "connect first")
        return command

    def connect(self) -> None:
        """The connect command was answered with success."""
        self.state = State.CONNECTED

    def close(self) -> None:
        """The connection ends; nothing may come any more."""
        self.state = State.CLOSED

    def ping(self) -> None:
        """A ping was sent: one pong is owed."""
        self._awaiting_pong = True

    def pong(self) -> None:
        """A pong came; raises `Disconnect` when none was owed."""
        if not self._awaiting_pong:
            raise Disconnect(DisconnectCode.BAD_REQUEST, "unexpected pong")
        self._awaiting_pong = False

    @property
    def awaiting_pong(self) -> bool:
        """Whether the last ping is still unanswered."""
        return self._awaiting_pong
