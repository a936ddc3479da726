"""The site as it is, with the publisher in front: `daphne bench.site:application`."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")

import live
from bench.publisher import CHANNEL, Publisher, message
from live.asgi import live_application


async def publish(
    data: dict[str, Any], channel: str = CHANNEL, channels: str = "", batch: str = "", size: str = ""
) -> None:
    """Through the public API; with `channels` the same to so many of them, `channel` followed by their number.

    With `batch` it is so many at once, made now; with `size` a publication is about so many bytes larger.
    """
    if size:
        data["text"] = "x" * int(size)
    if batch:
        await live.apublish_many([(channel, message(number)) for number in range(int(batch))])
    elif channels:
        await live.apublish_many([(f"{channel}{number}", data) for number in range(int(channels))])
    else:
        await live.apublish(channel, data)


application = Publisher(live_application(), publish)
