"""What makes a server publish, the same for both: `POST /bench/publish?rate=20&seconds=8` starts a task in its loop.

A publication is about 200 bytes of JSON. Its `t` is the monotonic clock in nanoseconds, taken just before publishing;
the client is on the same machine and compares it with its own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

PATH = "/bench/publish"
FILLER = {"labels": "cpu=cpu-total, host=bench", "text": "x" * 100}


class Publisher:
    """An ASGI application in front of another: answers PATH itself and passes everything else on."""

    def __init__(self, application: Any, publish: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
        self.application = application
        self.publish = publish
        self.tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serves one connection."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self.application(scope, receive, send)
            return
        options = {key: float(values[0]) for key, values in parse_qs(scope["query_string"].decode()).items()}
        task = asyncio.create_task(self.run(options["rate"], options["seconds"]))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def run(self, rate: float, seconds: float) -> None:
        """Publishes on a fixed beat; a server that cannot keep up publishes late, but not less."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - loop.time()))
            await self.publish({"t": time.monotonic_ns(), "number": number, "value": number / 7, **FILLER})
