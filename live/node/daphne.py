"""What daphne can do that ASGI cannot say. The only module that knows daphne's insides; it imports nothing of it.

daphne hands applications a `functools.partial` of its server's `handle_reply` with the connection's protocol object,
an autobahn `WebSocketServerProtocol` over a Twisted transport. Where something is missing there, plain ASGI has to do.
"""

from __future__ import annotations

import functools
from typing import Any

_NEEDED = ("sendCloseFrame", "failByDrop", "transport")


class DaphneSocket:
    """One connection of daphne's: close frames with any code, and what its transport holds for a slow reader.

    By itself daphne drops the TCP connection of a client whose message it refuses, so that the client never learns
    why; through ASGI it sends no code below 3000, like 1009 ("message too big"); and its `send` takes whatever comes
    without an end (pitfall 14).
    """

    __slots__ = ("_protocol",)

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        protocol.failByDrop = False

    def close(self, code: int) -> None:
        """Sends a close frame."""
        self._protocol.sendCloseFrame(code=code)

    def held_bytes(self) -> int:
        """Bytes that were sent to the client and that its side has not taken yet."""
        transport = self._protocol.transport
        try:
            return len(transport.dataBuffer) - transport.offset + transport._tempDataLen  # type: ignore[no-any-return]
        except AttributeError:
            # A TLS transport, which has no such buffer of its own.
            return 0


def find_socket(send: Any) -> DaphneSocket | None:
    """The connection behind a `send` of daphne's; None for other servers' and for one that is not as expected."""
    if not isinstance(send, functools.partial) or len(send.args) != 1:
        return None
    protocol = send.args[0]
    return DaphneSocket(protocol) if all(hasattr(protocol, name) for name in _NEEDED) else None
