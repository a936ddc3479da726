"""Who pushes metrics over WebSockets to one node: not clients, but they have to go elsewhere too when it stops."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from live.node.clients import DRAIN_GRACE, say_goodbyes


class PushSocket(Protocol):
    """One WebSocket that metrics come in by."""

    def leave(self) -> None:
        """Is to answer what it was sent and then to close; returns at once."""


class Senders:
    """Those whose handshake succeeded."""

    def __init__(self) -> None:
        self._open: set[PushSocket] = set()
        self._gone = asyncio.Event()
        self._leaving = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, sender: PushSocket) -> None:
        """Keeps a sender; one that comes while the others leave is told to leave as well."""
        self._open.add(sender)
        if self._leaving:
            sender.leave()

    def remove(self, sender: PushSocket) -> None:
        """Its socket is gone, and everything it sent is published."""
        self._open.discard(sender)
        if not self._open:
            self._gone.set()

    def leave_all(self) -> None:
        """Tells all of them to leave, also those that still come."""
        self._leaving = True
        for sender in list(self._open):
            sender.leave()

    async def drain(self, seconds: float) -> None:
        """Sends all away, spread over so many seconds; returns when they are gone, or a little later."""
        await say_goodbyes([sender.leave for sender in self._open], seconds)
        self.leave_all()
        self._gone.clear()
        if self._open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_GRACE):
                    await self._gone.wait()
