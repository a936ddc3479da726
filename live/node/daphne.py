"""What daphne can do that ASGI cannot say. The only module that knows daphne's insides; it imports nothing of it.

daphne hands applications a `functools.partial` of its server's `handle_reply` with the connection's protocol object,
an autobahn `WebSocketServerProtocol`. Where something is missing there, plain ASGI has to do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def use_close_frames(send: Any) -> Callable[[int], None] | None:
    """Makes daphne end connections with a close frame; None where `send` is not daphne's.

    By itself daphne drops the TCP connection of a client whose message it refuses, so that the client never learns
    why. And through ASGI it sends no code below 3000, like 1009 ("message too big"): the function returned does.
    """
    protocol = send.args[0] if isinstance(send, functools.partial) and len(send.args) == 1 else None
    write = getattr(protocol, "sendCloseFrame", None)
    if protocol is None or not callable(write) or not hasattr(protocol, "failByDrop"):
        return None
    protocol.failByDrop = False

    def close(code: int) -> None:
        write(code=code)

    return close
