"""What a change of a data source means for the streams of one node: they start again, or stop and say so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from django.db import Error as DatabaseFailure

from live.channel import Channel
from live.exceptions import EngineUnavailable, UnsubscribeCode
from live.logs import about
from live.plugins.base import DataSource
from live.plugins.entry import Entry
from live.plugins.run import DELETED, SOURCE_SCOPE
from live.plugins.sources import find_source_settings

if TYPE_CHECKING:
    from live.node import Node

logger = logging.getLogger("live.plugins")

Deed = Callable[[Entry], Awaitable[None]]


class SourceWatch:
    """Looks at the data sources of `entries`; `drop` and `refresh` are what the runner can do to one."""

    def __init__(self, node: Node, entries: Mapping[Channel, Entry], *, drop: Deed, refresh: Deed) -> None:
        self._node = node
        self._entries = entries
        self._drop = drop
        self._refresh = refresh

    async def look_at_all(self) -> None:
        """Compares the settings of every data source that is watched here with what runs."""
        for uid in {channel.namespace for channel in self._entries if channel.scope == SOURCE_SCOPE}:
            # One after the other: it is for what was missed, and nobody waits.
            await self.look(uid)

    async def look(self, uid: str) -> None:
        """Starts the runs of a data source again if it changed; if it is gone ends them, and tells the subscribers."""
        if not self._channels(uid) and not self._of(uid):
            return
        try:
            source = await find_source_settings(uid)
        except (EngineUnavailable, DatabaseFailure) as error:
            # The next comparison tells.
            logger.warning("data source %s could not be read again: %s", uid, error, extra=about(node=self._node.id))
            return
        if source is None:
            # At once, and again for those who were about to join.
            await self.unsubscribe(self._channels(uid), DELETED)
            await asyncio.gather(*map(self._drop, self._of(uid)))
            await self.unsubscribe(self._channels(uid), DELETED)
            return
        await asyncio.gather(*[self._refresh(entry) for entry in self._of(uid) if _runs_otherwise(entry, source)])

    async def unsubscribe(self, channels: Iterable[Channel], why: str) -> None:
        """Ends the subscriptions of this node's clients to `channels`, and tells them why."""
        for channel in channels:
            for client in self._node.clients:
                client.unsubscribe_by_server(channel, UnsubscribeCode.SERVER, why)
            await asyncio.sleep(0)

    def _channels(self, uid: str) -> list[Channel]:
        """Those with subscribers here."""
        return [each for each in self._node.hub.channels() if each.scope == SOURCE_SCOPE and each.namespace == uid]

    def _of(self, uid: str) -> list[Entry]:
        return [
            entry
            for channel, entry in self._entries.items()
            if channel.scope == SOURCE_SCOPE and channel.namespace == uid
        ]


def _runs_otherwise(entry: Entry, source: DataSource) -> bool:
    """Whether a run here is of other settings, or of settings that it could not read; its name changes nothing."""
    if entry.run is None:
        return False
    target = entry.run.target
    if target is None or target.source is None:
        return True
    return (target.source.plugin, target.source.settings) != (source.plugin, source.settings)
