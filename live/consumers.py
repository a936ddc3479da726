"""The WebSocket end: thin shells around `Client`, and the answers to sockets that lead nowhere.

No layer channel for each socket, no `dispatch`: Channels would check database connections for every message
(pitfall 25). Publications reach the client through its outbox, not through the consumer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from channels.consumer import AsyncConsumer

from live.client import Client
from live.conf import live_settings
from live.exceptions import DisconnectCode
from live.login import ASKED_AT, SESSION, refuse
from live.logs import about
from live.node import runtime
from live.node.outbox import RAW_SEND
from live.origin import origin_allowed

logger = logging.getLogger("live.request")

JSON, PROTOBUF = "centrifuge-json", "centrifuge-protobuf"
"""Subprotocols, the one that is chosen first where both are offered; JSON is spoken where none is."""

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def header(scope: dict[str, Any], name: bytes) -> str | None:
    """The last value of an HTTP header of the handshake, or None."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[-1].decode("latin-1") if values else None


class OriginCheck:
    """Refuses handshakes of other sites' pages before anything else is done for them (grafana-live §8)."""

    def __init__(self, application: Any) -> None:
        self.application = application

    def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> Awaitable[None]:
        """Passes the handshake on, or answers it with 403."""
        origin = header(scope, b"origin")
        host = header(scope, b"host") or ""
        if origin_allowed(origin, host=host, root_url=live_settings.root_url, patterns=live_settings.allowed_origins):
            passed_on: Awaitable[None] = self.application(scope, receive, send)
            return passed_on
        runtime.count_refused("origin")
        logger.warning(
            "WebSocket refused: origin %.200r is not allowed for host %.200r; "
            "if it should be, add it to LIVE['ALLOWED_ORIGINS'] or pass the Host header through your proxy",
            origin,
            host,
            extra=about(node=runtime.node_id()),
        )
        return refuse(receive, send)


def choose_subprotocol(scope: dict[str, Any]) -> str | None:
    """Of what a handshake offers, what is spoken here; None when nothing is.

    Some clients offer an empty name, which must not be echoed (§0.2).
    """
    offered = scope.get("subprotocols") or []
    return next((name for name in (JSON, PROTOBUF) if name in offered), None)


def read_address(scope: dict[str, Any]) -> tuple[bool, bool]:
    """What the address of a handshake asks for (§1.1): protobuf, whatever subprotocol was chosen; no pings but those of
    the WebSocket."""
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    protobuf = any(query.get(name, [""])[0] == "protobuf" for name in ("format", "cf_protocol"))
    return protobuf, query.get("cf_ws_frame_ping_pong", [""])[0] == "true"


class LiveConsumer(AsyncConsumer):
    """One WebSocket speaking the Centrifuge protocol, as JSON or as protobuf."""

    channel_layer_alias = None  # type: ignore[assignment]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves the socket until it is gone."""
        await receive()
        node = runtime.current_node()
        if node is None:
            # It left while the login was waiting, and nobody is to start another.
            runtime.count_refused("draining")
            await send({"type": "websocket.close", "code": int(DisconnectCode.SHUTDOWN)})
            return
        chosen = choose_subprotocol(scope)
        await send({"type": "websocket.accept", "subprotocol": chosen})
        # Publications need nothing of what middleware does to `send`; for each delivery it would cost.
        send = scope.get(RAW_SEND, send)
        protobuf, own_pings = read_address(scope)
        client = Client(
            node,
            scope["user"],
            send,
            session_key=scope.get(SESSION, ""),
            binary=protobuf or chosen == PROTOBUF,
            pings=not own_pings,
            asked_at=scope.get(ASKED_AT),
        )
        try:
            while True:
                event = await receive()
                if event["type"] == "websocket.disconnect":
                    return
                text = event.get("text")
                client.receive(text if text is not None else event.get("bytes") or b"")
                if client.busy:
                    # Whoever sends without a pause must not starve its own commands.
                    await asyncio.sleep(0)
        finally:
            await client.closed()


async def no_such_path(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The end of every WebSocket to a path that nothing serves: 4404, no traceback."""
    await receive()
    runtime.count_refused("path")
    code = DisconnectCode.NO_SUCH_PATH
    extra = about(node=runtime.node_id(), code=code)
    logger.info("WebSocket to unknown path %.200r", scope.get("path", ""), extra=extra)
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": int(code), "reason": code.reason})
