"""The outbox on daphne: whole wire frames straight to the socket. The only module that knows daphne's insides.

daphne hands applications a `functools.partial` of its server's `handle_reply` with the connection's protocol object, an
autobahn `WebSocketServerProtocol` over a Twisted transport. A wire frame is made once for a publication and is the same
for every client, so framing it again for each, and registering each socket for writing, is what most of a delivery
would cost. Frames are written whole and in order: directly while the transport holds nothing, behind what it holds
otherwise, so that none ever stands inside another. Nothing of daphne is imported; where something is missing, plain
ASGI has to do.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any

from live.exceptions import DisconnectCode
from live.node.outbox import Outbox, Send, wire_frame

logger = logging.getLogger("live.node")

_PROTOCOL_NEEDS = ("STATE_OPEN", "failByDrop", "send_queue", "sendCloseFrame", "sendData", "state", "transport")
_TRANSPORT_NEEDS = ("_tempDataLen", "connected", "dataBuffer", "offset", "writeSomeData")


class DaphneOutbox(Outbox):
    """Writes to the connection's transport, once for all messages of a turn of the loop; needs no task for it.

    What the transport holds for a slow reader counts towards the limit: daphne's own `send` takes whatever comes
    (pitfall 14). It also ends connections with a close frame where daphne by itself drops them without a word, and with
    codes that ASGI's close refuses there, like 1009.
    """

    __slots__ = ("_direct", "_protocol", "_scheduled")

    def __init__(
        self,
        send: Send,
        protocol: Any,
        *,
        limit: int,
        on_slow: Callable[[], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        super().__init__(send, limit=limit, on_slow=on_slow, on_error=on_error)
        self._protocol = protocol
        protocol.failByDrop = False
        # A TLS transport has no buffer to look at: there, everything goes through its own.
        self._direct = _has(protocol.transport, _TRANSPORT_NEEDS) and not protocol._perMessageCompress
        self._scheduled = False

    def held_bytes(self) -> int:
        """Bytes given to the transport that the client's side has not taken yet."""
        if not self._direct:
            return 0
        transport = self._protocol.transport
        return len(transport.dataBuffer) - transport.offset + transport._tempDataLen  # type: ignore[no-any-return]

    def close(self, code: DisconnectCode, reason: str, *, flush: bool = True) -> None:
        """Says goodbye: what waits (unless `flush` is False), the disconnect push, then the close frame."""
        if flush:
            self._flush()
        super().close(code, reason, flush=flush)

    def _wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        try:
            while self._queue:
                messages = self._take()
                frame = messages[0].frame if len(messages) == 1 else wire_frame(b"\n".join([m.raw for m in messages]))
                self._write_frame(frame)
        except Exception as error:
            # The transport of a connection that is gone; nobody calls this but the loop.
            self._drop()
            self._on_error(error)

    def _write_frame(self, frame: bytes) -> None:
        protocol = self._protocol
        if protocol.state != protocol.STATE_OPEN:
            return
        transport = protocol.transport
        idle = self._direct and not (transport._tempDataLen or transport.dataBuffer or protocol.send_queue)
        if idle and transport.connected:
            sent = transport.writeSomeData(frame)
            if sent == len(frame):
                return
            # Anything but a number is a lost connection: Twisted finds out by the write below.
            if isinstance(sent, int) and sent > 0:
                frame = frame[sent:]
        protocol.sendData(frame)

    async def _send_close(self) -> None:
        if self._closing is not None and self._closing[0] is DisconnectCode.MESSAGE_TOO_BIG:
            self._protocol.sendCloseFrame(code=int(DisconnectCode.MESSAGE_TOO_BIG))
        else:
            await super()._send_close()


def _has(value: Any, names: tuple[str, ...]) -> bool:
    return all(hasattr(value, name) for name in names)


_told = False


def find_protocol(send: Any) -> Any:
    """The protocol object behind a `send` of daphne's; None for other servers', and for one that is not as expected."""
    global _told
    if not isinstance(send, functools.partial) or len(send.args) != 1 or send.func.__name__ != "handle_reply":
        return None
    protocol = send.args[0]
    if _has(protocol, (*_PROTOCOL_NEEDS, "_perMessageCompress")):
        return protocol
    if not _told:
        _told = True
        missing = [name for name in _PROTOCOL_NEEDS if not hasattr(protocol, name)]
        logger.warning("this daphne is not as expected (no %s): delivering through ASGI", ", ".join(missing))
    return None


def open_outbox(
    send: Send, *, limit: int, on_slow: Callable[[], None], on_error: Callable[[Exception], None]
) -> Outbox:
    """The outbox for an accepted WebSocket: the fast one where `send` is daphne's own, else the portable one."""
    protocol = find_protocol(send)
    if protocol is None:
        return Outbox(send, limit=limit, on_slow=on_slow, on_error=on_error)
    return DaphneOutbox(send, protocol, limit=limit, on_slow=on_slow, on_error=on_error)
