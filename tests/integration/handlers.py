"""Handlers of the sites that tests start."""

import live
from live.node import current_node


class StaffOnly(live.ChannelHandler):
    """For staff."""

    async def can_subscribe(self, user, channel, data):
        return user.is_staff


class Inspector(live.ChannelHandler):
    """Tells which outbox the newest client got."""

    async def can_subscribe(self, user, channel, data):
        return True

    async def initial_data(self, user, channel, data):
        (client,) = current_node()._clients
        return type(client._outbox).__name__
