"""What makes a server publish, the same for all: `POST /bench/publish?rate=20&seconds=8` starts a task in its loop.

`GET /bench/publish` says how many publications failed so far, and how the last did: `{"failed": 0, "error": ""}`.

What else the query says is handed to the server's own function, as the channel where it has several.

A publication is about 200 bytes of JSON. Its `t` is the monotonic clock in nanoseconds, taken just before publishing;
the client is on the same machine and compares it with its own.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

PATH = "/bench/publish"
CHANNEL = "grafana/broadcast/bench"
"""Where nothing else is said, what is published goes here."""
FILLER = {"labels": "cpu=cpu-total, host=bench", "text": "x" * 100}


def message(number: int) -> dict[str, Any]:
    """The data of one publication, made now."""
    return {"t": time.monotonic_ns(), "number": number, "value": number / 7, **FILLER}


class Publisher:
    """An ASGI application in front of another: answers PATH itself and passes everything else on."""

    def __init__(self, application: Any, publish: Callable[..., Awaitable[object]]) -> None:
        self.application = application
        self.publish = publish
        self.tasks: set[asyncio.Task[None]] = set()
        self.failed = 0
        self.error = ""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serves one connection."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self.application(scope, receive, send)
            return
        if scope["method"] == "GET":
            said = json.dumps({"failed": self.failed, "error": self.error}).encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": said})
            return
        options = {key: values[0] for key, values in parse_qs(scope["query_string"].decode()).items()}
        rate, seconds = float(options.pop("rate")), float(options.pop("seconds"))
        task = asyncio.create_task(self.run(rate, seconds, options))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def run(self, rate: float, seconds: float, options: dict[str, str]) -> None:
        """Publishes on a fixed beat; a server that cannot keep up publishes late, but not less."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - loop.time()))
            try:
                await self.publish(message(number), **options)
            except Exception as error:
                # Told to whoever measures, who misses it; the others are published all the same.
                self.failed += 1
                self.error = repr(error)
