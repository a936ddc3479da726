"""Every error of `live`, and the one table of error and disconnect codes.

::

    LiveError                      code  what happened
    ├── InvalidChannel (ValueError) 400  the channel name breaks a rule
    ├── Forbidden                   403  a handler said no
    ├── NotFound                    404  a handler knows no such thing
    ├── UnknownChannel              102  nobody handles this scope and namespace
    ├── BadData (ValueError)        107  the data cannot be published
    │   └── PublicationTooLarge     107  ... because of its size
    ├── NotAvailable                108  not offered on this channel
    ├── UnrecoverablePosition       112  a position of another epoch
    ├── LimitExceeded               106  too many subscriptions, or more than a reply holds
    ├── AlreadySubscribed           105  subscribed already
    ├── EngineUnavailable           100  the layer or the store cannot be reached; temporary
    ├── LeaseLost                   100  the lease a publication needs is held no more; temporary
    │   └── PluginFailed            100  ... or a plugin raised or did not answer
    └── SyncInAsync (RuntimeError)    -  a blocking call inside a running event loop
    Disconnect                           the connection has to end, with a `DisconnectCode`

Codes follow client-protocol §3; handlers' decisions are 400, 403 and 404 as in Grafana Live.
"""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """Codes of errors in replies; below 400 with the meaning they have in every Centrifuge client."""

    INTERNAL = 100
    UNAUTHORIZED = 101
    UNKNOWN_CHANNEL = 102
    PERMISSION_DENIED = 103
    METHOD_NOT_FOUND = 104
    ALREADY_SUBSCRIBED = 105
    LIMIT_EXCEEDED = 106
    BAD_REQUEST = 107
    NOT_AVAILABLE = 108
    TOKEN_EXPIRED = 109
    EXPIRED = 110
    TOO_MANY_REQUESTS = 111
    UNRECOVERABLE_POSITION = 112
    INVALID_CHANNEL = 400
    FORBIDDEN = 403
    NOT_FOUND = 404


class DisconnectCode(IntEnum):
    """Codes a connection is closed with; clients reconnect unless the code is 3500-3999 or 4500-4999."""

    CONNECTION_CLOSED = 3000
    SHUTDOWN = 3001
    INTERNAL = 3004
    SLOW = 3008
    WRITE_ERROR = 3009
    INSUFFICIENT_STATE = 3010
    FORCE_RECONNECT = 3011
    NO_PONG = 3012
    TOO_MANY_REQUESTS = 3013
    BAD_REQUEST = 3501
    FORCE_DISCONNECT = 3503
    INAPPROPRIATE_PROTOCOL = 3506
    NOT_AVAILABLE = 3508
    # Ours, in the range of applications, so that clients come back where Centrifuge's 3504 and 3502 are terminal.
    CONNECTION_LIMIT = 4001
    CONNECT_TIMEOUT = 4002
    NO_SUCH_PATH = 4404
    # WebSocket's own.
    MESSAGE_TOO_BIG = 1009

    @property
    def reconnect(self) -> bool:
        """Whether official clients reconnect by themselves after this code (client-protocol §3.2)."""
        terminal = 3500 <= self < 4000 or 4500 <= self < 5000
        return not terminal and self is not DisconnectCode.MESSAGE_TOO_BIG

    @property
    def reason(self) -> str:
        """The text that goes with the code when the place of use has none of its own."""
        return _REASONS[self]


_REASONS = {
    DisconnectCode.CONNECTION_CLOSED: "connection closed",
    DisconnectCode.SHUTDOWN: "shutdown",
    DisconnectCode.INTERNAL: "internal server error",
    DisconnectCode.SLOW: "slow",
    DisconnectCode.WRITE_ERROR: "write error",
    DisconnectCode.INSUFFICIENT_STATE: "insufficient state",
    DisconnectCode.FORCE_RECONNECT: "force reconnect",
    DisconnectCode.NO_PONG: "no pong",
    DisconnectCode.TOO_MANY_REQUESTS: "too many requests",
    DisconnectCode.BAD_REQUEST: "bad request",
    DisconnectCode.FORCE_DISCONNECT: "force disconnect",
    DisconnectCode.INAPPROPRIATE_PROTOCOL: "inappropriate protocol",
    DisconnectCode.NOT_AVAILABLE: "not available",
    DisconnectCode.CONNECTION_LIMIT: "connection limit",
    DisconnectCode.CONNECT_TIMEOUT: "connect timeout",
    DisconnectCode.NO_SUCH_PATH: "no such path",
    DisconnectCode.MESSAGE_TOO_BIG: "message too big",
}


class UnsubscribeCode(IntEnum):
    """Codes of unsubscribe pushes; from 2500 on clients resubscribe by themselves (client-protocol §3.3)."""

    SERVER = 2000
    INSUFFICIENT_STATE = 2500


class LiveError(Exception):
    """The base of every error of `live`; `code`, `message` and `temporary` are what a client is told."""

    code: ErrorCode = ErrorCode.INTERNAL
    default_message = "internal server error"
    temporary = False

    def __init__(self, message: str = "") -> None:
        self.message = message or self.default_message
        super().__init__(self.message)

    @property
    def is_answer(self) -> bool:
        """Whether it is for the client that asked; else it tells the author of a handler or a plugin of a mistake."""
        return type(self) is not LiveError


class InvalidChannel(LiveError, ValueError):
    """A channel name breaks a rule; the message names the part and the rule."""

    code = ErrorCode.INVALID_CHANNEL
    default_message = "invalid channel"

    def __init__(self, message: str = "") -> None:
        super().__init__(f"invalid channel: {message}" if message else "")


class Forbidden(LiveError):
    """A handler refuses this user."""

    code = ErrorCode.FORBIDDEN
    default_message = "Forbidden"


class NotFound(LiveError):
    """A handler knows nothing under this path."""

    code = ErrorCode.NOT_FOUND
    default_message = "Not Found"


class UnknownChannel(LiveError):
    """No handler is registered for the channel's scope and namespace."""

    code = ErrorCode.UNKNOWN_CHANNEL
    default_message = "unknown channel"


class BadData(LiveError, ValueError):
    """The data cannot be published: not JSON, or refused by the handler."""

    code = ErrorCode.BAD_REQUEST
    default_message = "bad request"


class PublicationTooLarge(BadData):
    """The publication is larger than ``LIVE["MAX_PUBLICATION_SIZE"]``."""

    default_message = "publication too large"


class NotAvailable(LiveError):
    """The operation is not offered, in general or on this channel."""

    code = ErrorCode.NOT_AVAILABLE
    default_message = "not available"


class UnrecoverablePosition(LiveError):
    """The position asked for belongs to another life of the stream."""

    code = ErrorCode.UNRECOVERABLE_POSITION
    default_message = "unrecoverable position"


class LimitExceeded(LiveError):
    """The client has as many subscriptions as it may have, or asks for more than one reply holds."""

    code = ErrorCode.LIMIT_EXCEEDED
    default_message = "limit exceeded"


class AlreadySubscribed(LiveError):
    """The client is subscribed to this channel already."""

    code = ErrorCode.ALREADY_SUBSCRIBED
    default_message = "already subscribed"


class EngineUnavailable(LiveError):
    """The channel layer or the store cannot be reached now; trying again later makes sense."""

    default_message = "live is not available now, try again later"
    temporary = True


class PluginFailed(EngineUnavailable):
    """A plugin raised something, or did not answer in time; the log says what."""

    default_message = "a plugin failed, try again later"


class LeaseLost(LiveError):
    """The lease that a publication was to be made under is not held any more; nothing was published under it."""

    default_message = "this run's lease was lost, another node goes on"
    temporary = True


class SyncInAsync(LiveError, RuntimeError):
    """A blocking function was called inside a running event loop, where it would stop everything."""

    default_message = "this blocks a running event loop"
    is_answer = False


class Disconnect(Exception):
    """The connection has to end: `code` and `reason` are what the client is told."""

    def __init__(self, code: DisconnectCode, reason: str = "") -> None:
        self.code = code
        self.reason = reason or code.reason
        super().__init__(f"{int(code)} {self.reason}")
