"""``grafana/broadcast/<path>``: whoever is logged in may say something to everybody who listens (grafana-live §7)."""

from __future__ import annotations

from typing import Any

from live.channel import Channel
from live.handlers.base import ChannelHandler
from live.users import User


class BroadcastHandler(ChannelHandler):
    """Any JSON; the last message is kept in the store and is what a new subscriber gets first."""

    keep_last = True

    async def can_subscribe(self, user: User, channel: Channel, data: Any) -> bool:
        """Whoever may connect."""
        return True

    async def can_publish(self, user: User, channel: Channel, data: Any) -> bool:
        """Whoever is logged in."""
        return user.is_authenticated
