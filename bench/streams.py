"""The site with a plugin whose streams are as fast as their path says: `daphne bench.streams:application`.

``plugin/bench/<publications a second>/<anything>``. The same frames are published by hand into ``stream/bench/...`` by
`POST /bench/publish?rate=20&seconds=8&path=...`.
"""

import asyncio
import itertools
import os
import time
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")

import live
from bench.publisher import Publisher
from live.asgi import live_application

SCOPE = "bench"


def make_frame(name: str, number: int) -> live.Frame:
    """A row of what the plugin `testdata` sends, with what the client of the benchmark looks for."""
    sent = {"t": time.monotonic_ns(), "number": number}
    return live.Frame(
        [
            live.Field("Time", live.Kind.TIME, [time.time_ns()]),
            live.Field("Value", live.Kind.FLOAT, [number / 7]),
            live.Field("Min", live.Kind.FLOAT, [number / 7 - 25]),
            live.Field("Max", live.Kind.FLOAT, [number / 7 + 25]),
            live.Field("sent", live.Kind.JSON, [sent]),
        ],
        name=name,
    )


class BenchPlugin(live.StreamPlugin):
    """Everybody may watch every path."""

    async def subscribe_stream(self, request: live.StreamRequest) -> live.StreamAnswer:
        """Yes."""
        return live.StreamAnswer()

    async def run_stream(self, request: live.StreamRequest, sender: live.StreamSender) -> None:
        """A frame on each beat, the first at once; what is late comes late, but not less, as with `Publisher.run`."""
        loop, rate = asyncio.get_running_loop(), float(request.path.partition("/")[0])
        started = loop.time()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, started + number / rate - loop.time()))
            await sender.send(make_frame(SCOPE, number))


live.register_plugin(SCOPE, BenchPlugin)


async def publish(data: dict[str, Any], path: str) -> None:
    """The frame that the plugin would send, into a stream."""
    # It needs Django set up.
    from live.handlers.stream import push_frames

    await push_frames(SCOPE, [make_frame(path, data["number"])])


application = Publisher(live_application(), publish)
