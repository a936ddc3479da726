"""The site as it is, with the publisher in front: `daphne bench.site:application`."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")

import live
from bench.publisher import Publisher
from live.asgi import live_application

CHANNEL = "grafana/broadcast/bench"


async def publish(data: dict[str, Any]) -> None:
    """Through the public API, to the handler of broadcasts."""
    await live.apublish(CHANNEL, data)


application = Publisher(live_application(), publish)
