"""Journey 1 on the publisher's node: into the store, and from there or through the relay to every node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from live.exceptions import PublicationTooLarge
from live.node.counters import Counters
from live.node.hub import Hub
from live.node.relay import Relay
from live.store import ChannelOptions, Draft, Publication, Store

TURN = 50
"""Publications sent in a row before others have their turn."""

ANNOUNCED_TURN = 200
"""The same where the store announces them: as many as it takes in one call."""

observers: list[Callable[[Sequence[Draft], Sequence[Publication]], None]] = []
"""Told of whatever this process took into its store, and what became of each; for tests (`live.testing`)."""


class Publisher:
    """Publishes for one node; a publication may have `max_size` bytes."""

    def __init__(self, store: Store, relay: Relay, hub: Hub, counters: Counters, *, max_size: int) -> None:
        self._store = store
        self._relay = relay
        self._hub = hub
        self._counters = counters
        self._max_size = max_size

    async def publish(self, drafts: Sequence[Draft]) -> list[Publication]:
        """What became of the drafts, in their order; see `Node.publish_many`."""
        for draft in drafts:
            if len(draft.data) > self._max_size:
                raise PublicationTooLarge(
                    f"publication to {draft.channel} has {len(draft.data)} bytes, at most {self._max_size} are allowed"
                )
        taken: list[Publication] = []
        turn = ANNOUNCED_TURN if self._store.announces else TURN
        for start in range(0, len(drafts), turn):
            if start:
                await asyncio.sleep(0)
            taken += await self._take_turn([self._prepared(draft) for draft in drafts[start : start + turn]])
        return taken

    def possible(self, options: ChannelOptions) -> ChannelOptions:
        """What can be kept of what the handler asks for."""
        if self._relay.single_process or self._store.shared:
            return options
        # Offsets of one process mean nothing to another: without a shared store there is no history.
        return ChannelOptions(keep_last=options.keep_last, latest_only=options.latest_only)

    def _prepared(self, draft: Draft) -> Draft:
        announce = self._relay.announcement(draft.channel) if self._store.announces else ""
        options = self.possible(draft.options)
        if not announce and options is draft.options:
            return draft
        return Draft(
            draft.channel, draft.data, options, draft.schema, draft.short, draft.info, draft.key, announce, draft.fence
        )

    async def _take_turn(self, drafts: Sequence[Draft]) -> list[Publication]:
        began = time.monotonic()
        publications = await self._store.append_many(drafts)
        for observe in observers:
            observe(drafts, publications)
        for draft, publication in zip(drafts, publications, strict=True):
            self._counters.publications[draft.channel.scope] += 1
            if publication.offset or not draft.announce:
                self._hub.expect(draft.channel, publication, began)
            if not draft.announce:
                await self._relay.send(draft.channel, publication)
        return publications
