"""What a node knows of one channel of a plugin that is watched: whose lease it is, what runs, what was noted of it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from live.channel import Channel
from live.exceptions import BadData
from live.plugins.run import MAX_STARTS, Run
from live.plugins.sender import Hold
from live.protocol import dump_json, load_json
from live.store import Lease


class Entry:
    """One channel. With a `hold` this node runs it; without one another node does, and this one waits.

    The lease's note tells the other nodes what they need of it: the data of the first subscriber, how many times
    subscribers have started it, and whether it has ended since.
    """

    __slots__ = (
        "asked",
        "channel",
        "data",
        "ended",
        "hold",
        "idle",
        "leaving",
        "number",
        "retry",
        "run",
        "starts",
        "stopping",
        "timer",
        "trying",
        "unsaid",
        "unwatched",
        "wanted",
    )

    def __init__(self, channel: Channel, data: Any) -> None:
        self.channel = channel
        self.data = data
        """What the first subscriber sent along; every run gets it."""
        self.number = 0
        """How many times a subscriber started it."""
        self.ended = False
        """Whether it returned, and nobody subscribed since."""

        self.hold: Hold | None = None
        self.timer: asyncio.TimerHandle | None = None
        """Goes off when the lease cannot be counted on any more."""
        self.run: Run | None = None
        self.leaving: Run | None = None
        """One that was cancelled when the lease was lost: no other starts here before it is over."""
        self.starts: deque[float] = deque(maxlen=MAX_STARTS)
        self.unsaid = False
        """Whether the note in the store is not what it should be."""
        self.unwatched = 0
        """Looks in a row that found nobody watching."""
        self.wanted = False
        """Whether another node asked for the lease lately, when it was renewed last."""
        self.stopping = False

        self.idle = 0
        """Rounds in a row, while waiting, without a subscriber here."""
        self.asked: int | None = None
        """The start that ended and that a subscriber here wants again, while another node has the lease."""
        self.trying = False
        self.retry = False

    @property
    def held(self) -> bool:
        """Whether this node has the lease."""
        return self.hold is not None

    @property
    def runs(self) -> bool:
        """Whether a run of this node is going on, for all that is known."""
        return self.run is not None and not self.run.cancelled and self.hold is not None and self.hold.valid()

    def take(self, hold: Hold, *, unsaid: bool) -> None:
        """The lease is this node's; `unsaid`: the note that goes with it is not the entry's."""
        self.hold, self.unsaid = hold, unsaid
        self.wanted, self.unwatched, self.asked = False, 0, None

    # The note

    def note(self, *, start: bool = False) -> bytes:
        """What the store is to keep beside the lease; with `start` as it will be when a subscriber has started it."""
        ended = self.ended and not start
        return dump_json({"data": self.data, "ended": ended, "start": self.number + start})

    def learn(self, lease: Lease) -> None:
        """Takes over what the lease's owner noted; one that noted nothing that can be read changes nothing."""
        try:
            note = load_json(lease.note)
            number = int(note["start"])
            self.data, self.ended, self.number = note["data"], bool(note["ended"]), number
        except (BadData, KeyError, TypeError, ValueError):
            # Of another version: the data of this node's first subscriber has to do.
            return
        if self.asked is not None and (number != self.asked or not self.ended):
            self.asked = None

    def compare(self, data: Any) -> None:
        """Raises `BadData` when a subscriber's data is not that of the run; None goes with any."""
        if data is not None and data != self.data:
            raise BadData(
                f"{self.channel} runs with the data of its first subscriber, which is not yours: "
                "subscribe without data, or to another path"
            )
