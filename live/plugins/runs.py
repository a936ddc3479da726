"""The runs of one node: started, ended, and left behind where they ignore that they are to end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from live.exceptions import LimitExceeded
from live.plugins.entry import Entry
from live.plugins.failures import Failures, about_plugin
from live.plugins.run import End, Run
from live.plugins.sender import Hold

if TYPE_CHECKING:
    from live.node import Node

logger = logging.getLogger("live.plugins")

MAX_LEFT = 20
"""Runs of one plugin that ignore their cancellation; while there are so many, no other of that plugin starts."""


class Runs:
    """What `node` runs; a cancelled run may take `patience` seconds to end.

    `ended` is called when an entry's run ended by itself, `lost` when its lease turns out to be lost.
    """

    def __init__(
        self,
        node: Node,
        patience: float,
        *,
        ended: Callable[[Entry, Run, End, str], None],
        lost: Callable[[Entry, Hold], None],
    ) -> None:
        self._node = node
        self._patience = patience
        self._ended = ended
        self._lost = lost
        self._failures = Failures(logger)
        self.left: set[Run] = set()
        """Those that ignore their cancellation."""

    def start(self, entry: Entry, hold: Hold) -> None:
        """Starts the entry's run under that hold."""
        entry.run = Run(
            self._node,
            entry.channel,
            hold,
            entry.data,
            starts=entry.starts,
            failures=self._failures,
            ended=lambda run, end, why: self._ended(entry, run, end, why),
            lost=lambda: self._lost(entry, hold),
            may_start=self._may_start,
        )

    async def end(self, entry: Entry) -> None:
        """Cancels the entry's run, if there is one, and waits until it is over or left behind.

        Also for one that was cancelled before, when the lease was lost.
        """
        if (run := entry.run) is not None:
            run.cancel()
            await self.wait(run, self._patience)
            if entry.run is run:
                entry.run = None
        if (run := entry.leaving) is not None:
            await self.wait(run, self._patience)
            if entry.leaving is run:
                entry.leaving = None

    async def wait(self, run: Run, seconds: float) -> None:
        """Waits until a cancelled run is over, or leaves it behind after so many seconds."""
        if await run.gone(seconds) or run in self.left:
            return
        logger.error(
            "the run of plugin %s on %s ignores its cancellation and is left behind after %g s; it can send no more",
            run.plugin_id,
            run.channel,
            seconds,
            extra=about_plugin(run.plugin_id, run.channel),
        )
        self.left.add(run)
        run.when_over(lambda: self.left.discard(run))

    def _may_start(self, plugin_id: str) -> None:
        left = sum(run.plugin_id == plugin_id for run in self.left)
        if left >= MAX_LEFT:
            raise LimitExceeded(
                f"{left} runs of it ignore their cancellation, and no other starts before one of them has ended"
            )
