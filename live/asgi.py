"""The ASGI application of a site with `live`, in one line: ``application = live_application()``."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.core.asgi import get_asgi_application
from django.urls import URLPattern, URLResolver, re_path

from live import drain
from live.conf import live_settings
from live.exceptions import DisconnectCode
from live.health import HEALTH_PATHS, Health
from live.node import runtime
from live.node.daphne import hide_query
from live.node.outbox import RAW_SEND

__all__ = ["PUSH_PATH", "WEBSOCKET_PATH", "live_application"]

WEBSOCKET_PATH = "api/live/ws"
"""Where clients connect, below the site's root."""

PUSH_PATH = "api/live/push"
"""Where metrics come in over WebSocket, with the stream id after it; over HTTP they do below ``live.api.urls``."""

_WITH_PASSWORDS = ("/influx/write", "/influx/query")


class LiveApplication:
    """HTTP to Django, WebSockets to Live and to the project's own routes, lifespan where a server sends it."""

    def __init__(self, http: Any, websocket: Any, health: Health | None = None) -> None:
        self._http = http
        self._websocket = websocket
        self._health = health

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serves one connection; the loop it arrives on is the one that publications are handed to."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await self._open(scope, receive, send)

    async def _answer(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serves an HTTP request."""
        drain.install()
        if self._health is not None and (probe := self._health.find(scope)) is not None:
            await self._health.answer(scope, send, probe)
            return
        with drain.requests.one():
            if not drain.has_left():
                await runtime.serve()
            if scope.get("query_string") and scope["path"].endswith(_WITH_PASSWORDS):
                hide_query(send)
            await self._http(scope, receive, send)

    async def _open(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serves a WebSocket."""
        drain.install()
        node = runtime.current_node()
        if drain.has_left() or (node is not None and node.draining):
            runtime.count_refused("draining")
            await receive()
            await send({"type": "websocket.close", "code": int(DisconnectCode.SHUTDOWN)})
            return
        await runtime.serve()
        # No copy: there are as many of these as there are clients, and the server made it for this connection.
        scope[RAW_SEND] = send
        await self._websocket(scope, receive, send)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        drain.install()
        await runtime.serve()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await runtime.stop_serving()
        await send({"type": "lifespan.shutdown.complete"})


def live_application(
    http: Any = None,
    *,
    websocket_urlpatterns: Sequence[URLPattern | URLResolver] = (),
    path: str = WEBSOCKET_PATH,
    push_path: str = PUSH_PATH,
    health_paths: tuple[str, str] | None = HEALTH_PATHS,
) -> LiveApplication:
    """The whole application: origin check, session login, Live's WebSockets at two paths, probes, Django for HTTP.

    Clients connect at `path`; senders of metrics at `push_path`, a slash and the stream id. `http` replaces Django's
    ASGI application, e.g. by one that is wrapped in middleware. `websocket_urlpatterns` are the project's own WebSocket
    routes; they get the same origin check and login. At `health_paths` load balancers ask whether the process lives and
    whether it is ready (`live.health`); None: nowhere. Call it after the settings module is named in the environment;
    it sets Django up.
    """
    if http is None:
        http = get_asgi_application()
    # These read models, so Django has to be set up first.
    from live.consumers import LiveConsumer, OriginCheck, no_such_path
    from live.login import SessionLogin
    from live.push_consumer import PushConsumer

    # Typed for views, used by Channels for applications.
    route: Any = re_path
    routes = [
        # Whatever follows: a stream id that is none is refused as such.
        route(rf"^{push_path}/(?P<stream_id>[\s\S]+)$", PushConsumer.as_asgi()),
        *websocket_urlpatterns,
        route(r"", no_such_path),
    ]
    health = None if health_paths is None else Health(*health_paths)
    clients = SessionLogin(LiveConsumer(), limit=live_settings.max_handshakes)
    sockets = _Sockets(path, clients, AuthMiddlewareStack(URLRouter(routes)))
    return LiveApplication(http, OriginCheck(sockets), health)


class _Sockets:
    """Live's clients, of which there are many, on a short way; everything else through Channels' middleware."""

    def __init__(self, path: str, clients: Any, others: Any) -> None:
        self._paths = (f"/{path}", f"/{path}/")
        self._clients = clients
        self._others = others

    def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Awaitable[None]:
        path, root = scope["path"], scope.get("root_path") or ""
        mine = path in self._paths or bool(root and path.removeprefix(root) in self._paths)
        # Handed on, not awaited: a frame here would live as long as the socket, for every one of them.
        found: Awaitable[None] = (self._clients if mine else self._others)(scope, receive, send)
        return found
