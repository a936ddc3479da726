"""The outbox on servers whose sockets can be reached: whole wire frames straight to the socket, without a task.

A wire frame is made once for a publication and is the same for every client; framing it again for each, and
registering each socket for writing, is what most of a delivery would cost. What is known of each server is in a module
of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from live.exceptions import DisconnectCode
from live.node import daphne, uvicorn
from live.node.outbox import CLOSE_TIMEOUT, Encoded, Outbox, Send, wire_frame

RETRY = 0.05
"""Seconds after which a client that lags is looked at again."""


class Connection(Protocol):
    """One WebSocket of a server, as this outbox sees it."""

    def write_at_once(self, frame: bytes) -> bool:
        """Sends a whole wire frame if nothing is in its way; False when it was not sent and has to wait."""

    def write_frame(self, frame: bytes) -> None:
        """Sends a whole wire frame, behind what is on its way."""

    def held_bytes(self) -> int:
        """Bytes sent to a peer that has not taken them yet."""

    def stop_pings(self) -> None:
        """Ends the server's own pings to this peer."""

    def close(self, code: int) -> bool:
        """Sends a close frame with a code that ASGI cannot carry there; False where it can."""

    def abort(self) -> None:
        """Ends the connection at once, and with it what the transport still holds."""


class FastOutbox(Outbox):
    """Writes once for all messages of a turn of the loop; what the transport holds counts towards the limit."""

    __slots__ = ("_connection", "_retry", "_scheduled")

    def __init__(
        self,
        send: Send,
        connection: Connection,
        *,
        limit: int,
        on_slow: Callable[[], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        super().__init__(send, limit=limit, on_slow=on_slow, on_error=on_error)
        self._connection = connection
        self._scheduled = False
        self._retry: asyncio.TimerHandle | None = None

    def deliver(self, message: Encoded) -> None:
        """Writes at once where nothing waits; else like `write`."""
        if self._closing is None and not self._queue and not (self._latest and message.channel in self._latest):
            try:
                if self._connection.write_at_once(message.frame):
                    return
            except Exception as error:
                # The transport of a connection that is gone.
                self._drop()
                self._on_error(error)
                return
        self.write(message)

    def take_over_pings(self) -> None:
        """Ends the server's pings to this client."""
        self._connection.stop_pings()

    def held_bytes(self) -> int:
        """Bytes given to the transport that the client's side has not taken yet."""
        return self._connection.held_bytes()

    def close(self, code: DisconnectCode, reason: str, *, flush: bool = True) -> None:
        """Says goodbye: what waits (unless `flush` is False), the disconnect push, then the close frame."""
        if flush:
            self._flush()
        elif self._closing is None:
            # A transport keeps what its peer does not take for as long as the peer is there.
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._connection.abort)
        super().close(code, reason, flush=flush)

    def _wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _look_again(self) -> None:
        self._retry = None
        self._wake()

    def _flush(self) -> None:
        self._scheduled = False
        if self._caught_up():
            self._queue_latest()
        elif self._latest and not self._queue:
            # What the transport holds tells nobody when it shrinks.
            if self._retry is None:
                self._retry = asyncio.get_running_loop().call_later(RETRY, self._look_again)
            return
        try:
            while self._queue:
                messages = self._take()
                self._connection.write_frame(messages[0].frame if len(messages) == 1 else self._frame(messages))
        except Exception as error:
            # The transport of a connection that is gone; nobody calls this but the loop.
            self._drop()
            self._on_error(error)
        if self._latest:
            self._wake()

    def _frame(self, messages: list[Encoded]) -> bytes:
        """One wire frame with all these messages in it."""
        return wire_frame(b"\n".join([message.raw for message in messages]))

    def _drop(self) -> None:
        super()._drop()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    async def _send_close(self) -> None:
        odd = self._closing is not None and self._closing[0] is DisconnectCode.MESSAGE_TOO_BIG
        if not (odd and self._connection.close(DisconnectCode.MESSAGE_TOO_BIG)):
            await super()._send_close()


def find_connection(send: Send) -> Connection | None:
    """The WebSocket behind a server's own `send`; None where it cannot be reached."""
    return daphne.find_connection(send) or uvicorn.find_connection(send)


def open_outbox(
    send: Send, *, limit: int, on_slow: Callable[[], None], on_error: Callable[[Exception], None]
) -> Outbox:
    """The outbox for an accepted WebSocket: the fast one where `send` is a server's own, else the portable one."""
    connection = find_connection(send)
    if connection is None:
        return Outbox(send, limit=limit, on_slow=on_slow, on_error=on_error)
    return FastOutbox(send, connection, limit=limit, on_slow=on_slow, on_error=on_error)
