"""What uvicorn can do that ASGI cannot say. The only module that knows uvicorn's insides; it imports nothing of it.

uvicorn hands applications the bound method `send` of the connection's protocol object. With ``--ws websockets-sansio``
that object writes whole wire frames to an asyncio transport, so others can stand between them. With its other
implementations, or where something is missing there, the caller goes on with plain ASGI.
"""

from __future__ import annotations

from typing import Any

_NEEDED = ("close_sent", "handshake_complete", "stop_keepalive", "transport")


class UvicornConnection:
    """One WebSocket of uvicorn's. Frames go behind what the transport holds, so none ever stands inside another."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def write_at_once(self, frame: bytes) -> bool:
        """Sends a whole wire frame if nothing is in its way; False when it was not sent and has to wait.

        True also when the connection is closing or closed: then nothing is to be sent any more.
        """
        transport = self._protocol.transport
        if self._protocol.close_sent or transport.is_closing():
            return True
        if transport.get_write_buffer_size():
            return False
        transport.write(frame)
        return True

    def write_frame(self, frame: bytes) -> None:
        """Sends a whole wire frame, behind what is on its way; nothing when the connection is closing or closed."""
        if not self._protocol.close_sent and not self._protocol.transport.is_closing():
            self._protocol.transport.write(frame)

    def held_bytes(self) -> int:
        """Bytes sent to a peer that has not taken them yet."""
        return int(self._protocol.transport.get_write_buffer_size())

    def close(self, code: int) -> bool:
        """False: uvicorn's ASGI carries every code."""
        return False

    def abort(self) -> None:
        """Ends the connection at once; nothing when it has ended."""
        self._protocol.transport.abort()

    def stop_pings(self) -> None:
        """Ends the server's own pings to this peer, because it gets others."""
        self._protocol.stop_keepalive()


def find_connection(send: Any) -> UvicornConnection | None:
    """The WebSocket behind a `send` of uvicorn's; None where it is another server's or another implementation's."""
    protocol: Any = getattr(send, "__self__", None)
    if type(protocol).__name__ != "WebSocketsSansIOProtocol" or not all(hasattr(protocol, name) for name in _NEEDED):
        return None
    return UvicornConnection(protocol) if hasattr(protocol.transport, "get_write_buffer_size") else None
