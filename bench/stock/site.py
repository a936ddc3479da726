"""The same site with the stock consumer for WebSockets: `daphne bench.stock.site:application`."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")

from channels.auth import AuthMiddlewareStack
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

from bench.publisher import Publisher

django_application = get_asgi_application()

from bench.stock.consumers import GROUP, StockConsumer  # noqa: E402  (models are read once Django is set up)


async def publish(data: dict[str, Any]) -> None:
    """To everybody in the group."""
    await get_channel_layer().group_send(GROUP, {"type": "bench.message", "data": data})


router = URLRouter([path("bench/stock", StockConsumer.as_asgi())])
application = Publisher(
    ProtocolTypeRouter({"http": django_application, "websocket": AuthMiddlewareStack(router)}), publish
)
