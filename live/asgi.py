"""The ASGI application of a site with `live`, in one line: ``application = live_application()``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.core.asgi import get_asgi_application
from django.urls import URLPattern, URLResolver, re_path

from live.node import runtime
from live.node.outbox import RAW_SEND

__all__ = ["WEBSOCKET_PATH", "live_application"]

WEBSOCKET_PATH = "api/live/ws"
"""Where clients connect, below the site's root."""


class LiveApplication:
    """HTTP to Django, WebSockets to Live and to the project's own routes, lifespan where a server sends it."""

    def __init__(self, http: Any, websocket: Any) -> None:
        self._http = http
        self._websocket = websocket

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serves one connection; the loop it arrives on is the one that publications are handed to."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        await runtime.serve()
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._websocket({**scope, RAW_SEND: send}, receive, send)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        await runtime.serve()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await runtime.stop_serving()
        await send({"type": "lifespan.shutdown.complete"})


def live_application(
    http: Any = None, *, websocket_urlpatterns: Sequence[URLPattern | URLResolver] = (), path: str = WEBSOCKET_PATH
) -> LiveApplication:
    """The whole application: origin check, session login and Live's WebSocket at `path`, Django for HTTP.

    `http` replaces Django's ASGI application, e.g. by one that is wrapped in middleware. `websocket_urlpatterns` are
    the project's own WebSocket routes; they get the same origin check and login. Call it after the settings module is
    named in the environment; it sets Django up.
    """
    if http is None:
        http = get_asgi_application()
    # These read models, so Django has to be set up first.
    from live.consumers import LiveConsumer, OriginCheck, no_such_path

    # Typed for views, used by Channels for applications.
    route: Any = re_path
    routes = [route(rf"^{path}/?$", LiveConsumer.as_asgi()), *websocket_urlpatterns, route(r"", no_such_path)]
    return LiveApplication(http, OriginCheck(AuthMiddlewareStack(URLRouter(routes))))
