"""The outboxes of clients that speak protobuf: what the others send, in the other flavour and as binary messages.

A message is transcoded once, whoever of these clients comes first, and never where there is none (`Encoded.binary`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from live.exceptions import BadData
from live.node.outbox import BINARY_FRAME, Encoded, Outbox, Send, wire_frame
from live.node.outbox_fast import FastOutbox, find_connection


class BinaryOutbox(Outbox):
    """The portable one; what waits is counted as it will be sent."""

    __slots__ = ()

    def write(self, message: Encoded) -> None:
        """Takes `message` for delivery; returns at once. After `close` it does nothing."""
        if (binary := self._transcode(message)) is not None:
            super().write(binary)

    def deliver(self, message: Encoded) -> None:
        """Like `write`, for what the hub sends to many."""
        if (binary := self._transcode(message)) is not None:
            super().deliver(binary)

    def _transcode(self, message: Encoded) -> Encoded | None:
        if self._closing is None:
            try:
                return message.binary
            except BadData as error:
                # A handler's data that claims to be JSON: nobody else is to be held up by it.
                self._drop()
                self._on_error(error)
        return None

    def _event(self, messages: list[Encoded]) -> dict[str, Any]:
        return {"type": "websocket.send", "bytes": b"".join([message.binary.raw for message in messages])}


class FastBinaryOutbox(BinaryOutbox, FastOutbox):
    """The one for servers whose sockets can be reached."""

    __slots__ = ()

    def _frame(self, messages: list[Encoded]) -> bytes:
        return wire_frame(b"".join([message.raw for message in messages]), BINARY_FRAME)


def open_binary_outbox(
    send: Send, *, limit: int, on_slow: Callable[[], None], on_error: Callable[[Exception], None]
) -> Outbox:
    """As `open_outbox`, for a client that speaks protobuf."""
    connection = find_connection(send)
    if connection is None:
        return BinaryOutbox(send, limit=limit, on_slow=on_slow, on_error=on_error)
    return FastBinaryOutbox(send, connection, limit=limit, on_slow=on_slow, on_error=on_error)
