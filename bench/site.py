"""The site as it is, with the publisher in front: `daphne bench.site:application`."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")

import live
from bench.publisher import Publisher
from live.asgi import live_application

CHANNEL = "grafana/broadcast/bench"


async def publish(data: dict[str, Any], channel: str = CHANNEL, channels: str = "") -> None:
    """Through the public API; with `channels` the same to so many of them, `channel` followed by their number."""
    if channels:
        await live.apublish_many([(f"{channel}{number}", data) for number in range(int(channels))])
    else:
        await live.apublish(channel, data)


application = Publisher(live_application(), publish)
