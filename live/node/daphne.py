"""What daphne can do that ASGI cannot say. The only module that knows daphne's insides; it imports nothing of it.

daphne hands applications a `functools.partial` of its server's `handle_reply` with the connection's protocol object:
for a WebSocket an autobahn `WebSocketServerProtocol` over a Twisted transport. Where something is missing there, the
caller goes on with plain ASGI.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

logger = logging.getLogger("live.node")

_NEEDED = (
    "STATE_OPEN",
    "_perMessageCompress",
    "autoPingTimeout",
    "failByDrop",
    "send_queue",
    "sendCloseFrame",
    "sendData",
    "state",
    "transport",
)
_NEEDED_OF_SOCKET = ("_tempDataLen", "connected", "dataBuffer", "offset", "socket")

_SOCKETS = (("twisted.internet.tcp", "Server"), ("twisted.internet.unix", "Server"))
"""The transports that write to a socket what they are given, as it is. Others, such as that of TLS, stand on top of one
and pass on whatever else it has: what they seem to have says nothing."""

MAX_LAYERS = 4
"""Transports on top of each other."""


class DaphneConnection:
    """One WebSocket of daphne's.

    Wire frames are written whole and in order: straight to the socket while the transport holds nothing, behind what
    it holds otherwise, so that none ever stands inside another. With TLS everything goes through the transport. A
    message that daphne refuses by its size ends the connection with a close frame that says so; by itself daphne drops
    it without a word.
    """

    __slots__ = ("_direct", "_protocol", "_socket")

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        protocol.failByDrop = False
        self._socket = _find_socket(protocol.transport)
        self._direct = self._socket is protocol.transport and not protocol._perMessageCompress

    def write_at_once(self, frame: bytes) -> bool:
        """Sends a whole wire frame if nothing is in its way; False when it was not sent and has to wait.

        True also when the connection is closing or closed: then nothing is to be sent any more.
        """
        protocol = self._protocol
        if protocol.state != protocol.STATE_OPEN:
            return True
        transport = protocol.transport
        if not self._direct or transport._tempDataLen or transport.dataBuffer or protocol.send_queue:
            return False
        if not transport.connected:
            return False
        try:
            sent = transport.socket.send(frame)
        except BlockingIOError:
            return False
        except OSError:
            # A lost connection: Twisted finds out by the write.
            sent = 0
        if sent != len(frame):
            protocol.sendData(frame[sent:])
        return True

    def write_frame(self, frame: bytes) -> None:
        """Sends a whole wire frame, behind what is on its way; nothing when the connection is closing or closed."""
        if not self.write_at_once(frame):
            self._protocol.sendData(frame)

    def held_bytes(self) -> int:
        """Bytes sent to a peer that has not taken them yet; daphne's `send` takes whatever comes (pitfall 14).

        With TLS they are counted as they go over the wire, the last 64 kB of them in the loop's next turn only.
        """
        if (below := self._socket) is None:
            return 0
        return len(below.dataBuffer) - below.offset + below._tempDataLen  # type: ignore[no-any-return]

    def close(self, code: int) -> bool:
        """Sends a close frame, also with codes below 3000, which daphne's ASGI refuses; True: it was sent."""
        self._protocol.sendCloseFrame(code=code)
        return True

    def abort(self) -> None:
        """Ends the connection at once; nothing when it has ended."""
        # One of TLS would fall over what it has put away by then.
        if self._protocol.transport.connected:
            self._protocol.transport.abortConnection()

    def stop_pings(self) -> None:
        """Ends the server's own pings to this peer, because it gets others: two kinds tell no more than one."""
        protocol = self._protocol
        protocol.autoPingInterval = 0
        # daphne's own rounds, which look at no interval of the connection's.
        protocol._sendAutoPing = _nothing
        if (call := getattr(protocol, "autoPingPendingCall", None)) is not None:
            call.cancel()
            protocol.autoPingPendingCall = None

    def expect_no_pongs(self) -> None:
        """Keeps a peer that never reads, and so never answers a ping, as long as TCP can deliver."""
        self._protocol.autoPingTimeout = 0


def _nothing() -> None:
    """In place of what nobody needs."""


_told = False


def find_connection(send: Any) -> DaphneConnection | None:
    """The WebSocket behind a `send` of daphne's; None for other servers', and for one that is not as expected."""
    global _told
    protocol = _find_protocol(send)
    if protocol is None:
        return None
    if missing := [name for name in _NEEDED if not hasattr(protocol, name)]:
        if not _told:
            _told = True
            logger.warning("this daphne is not as expected (no %s): going on with plain ASGI", ", ".join(missing))
        return None
    return DaphneConnection(protocol)


def hide_query(send: Any) -> None:
    """Keeps the query string of an HTTP request out of daphne's access log: there is a secret in it."""
    protocol = _find_protocol(send)
    if isinstance(uri := getattr(protocol, "uri", None), bytes):
        protocol.uri = uri.split(b"?", 1)[0]


def _find_protocol(send: Any) -> Any:
    if not isinstance(send, functools.partial) or len(send.args) != 1:
        return None
    return send.args[0] if getattr(send.func, "__name__", "") == "handle_reply" else None


def _find_socket(transport: Any) -> Any:
    """The transport that writes to a socket: `transport`, or the one below it; None where there is none known here."""
    for _ in range(MAX_LAYERS):
        kind = type(transport)
        if (kind.__module__, kind.__qualname__) in _SOCKETS:
            # It would encrypt by itself (STARTTLS).
            encrypts = getattr(transport, "TLS", False)
            return transport if not encrypts and all(hasattr(transport, name) for name in _NEEDED_OF_SOCKET) else None
        transport = getattr(transport, "__dict__", {}).get("transport")
    return None
