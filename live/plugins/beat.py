"""The beat that the built-in plugins send on. Never waits for work: what took too long costs beats, not the rhythm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator


async def beat(seconds: float) -> AsyncIterator[int]:
    """The time in nanoseconds since the epoch, now and then every `seconds`; beats that were missed are left out."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        yield time.time_ns()
        late = loop.time() - due
        due += seconds * max(1, 1 + late // seconds)
        await asyncio.sleep(max(0.0, due - loop.time()))
