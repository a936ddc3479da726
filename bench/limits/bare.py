"""The server by itself: `daphne bench.limits.bare:application` accepts every WebSocket, holds it and sends what it is
told to, one socket after the other, in the way that ASGI has for it."""

from __future__ import annotations

import json
from typing import Any

from bench.publisher import Publisher

_sockets: set[Any] = set()


async def hold(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serves one connection."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    _sockets.add(send)
    try:
        while (await receive())["type"] != "websocket.disconnect":
            pass
    finally:
        _sockets.discard(send)


async def publish(data: dict[str, Any]) -> None:
    """To everybody."""
    text = json.dumps(data)
    for send in list(_sockets):
        await send({"type": "websocket.send", "text": text})


application = Publisher(hold, publish)
