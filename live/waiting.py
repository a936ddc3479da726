"""Waiting for others no longer than so long."""

from __future__ import annotations

import asyncio
from types import TracebackType

HELD_UP = 0.1
"""Seconds by which a timer must be late to show that the event loop was held up."""

EXTENSIONS = 3
"""How often the time is given anew at most, however often the loop is held up."""


class within:
    """`asyncio.timeout(seconds)` that blames nobody else when the event loop of this process stood still.

    Code that blocks the loop makes every answer late that came meanwhile: it lies in the socket, and a plain timeout
    ends the waiting before it can be read. Here a timer that is itself late gives the time once more, at most
    `EXTENSIONS` times. Raises `TimeoutError`.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._left = EXTENSIONS
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._set_timer()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _set_timer(self) -> None:
        self._timer = self._loop.call_later(self._seconds, self._end)

    def _end(self) -> None:
        now = self._loop.time()
        if self._left > 0 and now - self._timer.when() > HELD_UP:
            self._left -= 1
            self._set_timer()
        else:
            self._limit.reschedule(now)
