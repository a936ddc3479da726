"""Channels to measure with: ``bench/plain/<path>`` keeps nothing, ``bench/history/<path>`` what clients may miss."""

from __future__ import annotations

from typing import Any

from live.channel import Channel
from live.handlers import ChannelHandler
from live.users import User


class PlainHandler(ChannelHandler):
    """Whoever may connect may listen."""

    async def can_subscribe(self, user: User, channel: Channel, data: Any) -> bool:
        """Everybody."""
        return True


class HistoryHandler(PlainHandler):
    """The same with offsets, and recovery of what was missed."""

    history_size = 100
