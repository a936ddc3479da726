"""The leases of one node's entries: got, renewed, counted on no longer than is safe, and given back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from live.exceptions import EngineUnavailable
from live.logs import about
from live.plugins.entry import Entry
from live.plugins.sender import Hold
from live.plugins.times import Times
from live.store import Lease, Renewal

if TYPE_CHECKING:
    from live.node import Node

logger = logging.getLogger("live.plugins")

CLAIMS = 3
"""Attempts to get a lease that nobody has, as it changes hands."""


class Leases:
    """Those of the entries of `node`. `lost` is called at once when one cannot be counted on any more."""

    def __init__(self, node: Node, times: Times, *, lost: Callable[[Entry, Hold], None]) -> None:
        self._node = node
        self._times = times
        self._lost = lost

    async def claim(self, entry: Entry, *, start: bool) -> bool:
        """Gets the lease of the entry's channel, to start its run with `start`; else learns what its owner noted.

        Whether it was got. Raises `EngineUnavailable`; then the lease may have been got, and be nobody's until it
        expires or is claimed again.
        """
        store, channel, owner = self._node.store, entry.channel, self._node.id
        name = f"run/{channel.digest}"
        for _ in range(CLAIMS):
            began = asyncio.get_running_loop().time()
            note = entry.note(start=start)
            # Together: it costs one round trip, and who has it is asked for after it was not got.
            lease, holder = await asyncio.gather(
                store.acquire(name, owner, self._times.lease, note=note, channel=channel),
                store.holder(name, channel=channel),
            )
            if lease is not None:
                entry.take(self._hold(lease, began), unsaid=lease.note != note)
                self._set_timer(entry)
                return True
            if holder is not None and holder.owner != owner:
                entry.learn(holder)
                break
        return False

    async def renew(self, entry: Entry) -> None:
        """Keeps the lease, and writes down what is not noted yet. What fails is tried again with the next round."""
        hold = entry.hold
        if hold is None:
            return
        note = entry.note() if entry.unsaid else None
        entry.unsaid = False
        began = asyncio.get_running_loop().time()
        try:
            renewal = await self._node.store.renew(hold.lease, self._times.lease, note=note)
        except EngineUnavailable as error:
            entry.unsaid = entry.unsaid or note is not None
            logger.debug("the lease of %s was not renewed: %s", entry.channel, error)
            return
        if renewal is Renewal.LOST:
            self._lost(entry, hold)
        elif entry.hold is hold:
            hold.until = max(hold.until, self._hold(hold.lease, began).until)
            entry.wanted = renewal is Renewal.WANTED

    def let_go(self, entry: Entry) -> Hold | None:
        """The entry's hold, which it has no longer; the lease itself stays as it is."""
        hold, entry.hold = entry.hold, None
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None
        return hold

    async def release(self, holds: Iterable[Hold]) -> list[str]:
        """Gives leases back; the names of the channels where that is certain."""
        leases = [hold.lease for hold in holds]
        outcomes = await asyncio.gather(*map(self._node.store.release, leases), return_exceptions=True)
        freed = []
        for lease, outcome in zip(leases, outcomes, strict=True):
            if outcome is None:
                freed.append(str(lease.channel))
            elif not isinstance(outcome, EngineUnavailable):
                raise outcome
            else:
                extra = about(channel=str(lease.channel), node=self._node.id)
                logger.info("the lease of %s stays taken until it expires: %s", lease.channel, outcome, extra=extra)
        return freed

    def _hold(self, lease: Lease, began: float) -> Hold:
        # From before it was asked for: the store's time began later.
        return Hold(lease, began + self._times.lease - self._times.margin)

    def _set_timer(self, entry: Entry) -> None:
        if (hold := entry.hold) is not None:
            loop = asyncio.get_running_loop()
            entry.timer = loop.call_at(hold.until, self._expire, entry, hold)

    def _expire(self, entry: Entry, hold: Hold) -> None:
        # Renewing sets no timer: this one finds out, and is set again.
        if entry.hold is not hold:
            return
        if hold.valid():
            self._set_timer(entry)
        else:
            self._lost(entry, hold)
