"""Pings of all clients from one wheel: no timer for each, and no moment in which all are pinged at once."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Protocol

SLOTS = 100
"""Slots of the wheel; the clients of one are pinged in one turn of the loop."""


class Pinged(Protocol):
    """A client, as the wheel sees it."""

    def ping(self) -> None:
        """It is time for a ping."""

    def check_pong(self) -> None:
        """It is time that the last ping was answered."""


class Pings:
    """Pings each client every `interval` seconds and looks for its pong `timeout` seconds later; 0: never.

    `timeout` is less than `interval`.
    """

    def __init__(self, *, interval: float, timeout: float) -> None:
        self._interval = interval
        self._tick = interval / SLOTS
        # A tick more, so that nobody has less than the whole time; never past the next ping, whose pong it would be.
        self._late = min(math.ceil(timeout / self._tick) + 1, SLOTS) if interval else 0
        self._slots: list[set[Pinged]] = [set() for _ in range(SLOTS)]
        self._where: dict[Pinged, int] = {}
        self._now = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._where)

    def add(self, client: Pinged) -> None:
        """Begins to ping `client`, first in the second half of the interval, so that who came together is not
        pinged together (client-protocol §1.4)."""
        if not self._interval:
            return
        slot = (self._now + random.randrange(SLOTS // 2, SLOTS)) % SLOTS  # noqa: S311
        self._slots[slot].add(client)
        self._where[client] = slot
        if self._timer is None:
            self._due = asyncio.get_running_loop().time()
            self._wait()

    def remove(self, client: Pinged) -> None:
        """The client is gone; with the last one the wheel stands."""
        slot = self._where.pop(client, None)
        if slot is None:
            return
        self._slots[slot].discard(client)
        if not self._where and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        # Turns that a process missed while it was held up are not made up for: nobody would have time for a pong.
        self._due = max(self._due + self._tick, loop.time())
        self._timer = loop.call_at(self._due, self._turn)

    def _turn(self) -> None:
        self._wait()
        self._now = (self._now + 1) % SLOTS
        # Pongs first: where the timeout is nearly the interval, a ping of this turn is not theirs.
        for client in list(self._slots[(self._now - self._late) % SLOTS]):
            client.check_pong()
        for client in list(self._slots[self._now]):
            client.ping()
