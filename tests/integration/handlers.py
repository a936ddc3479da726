"""Handlers of the sites that tests start."""

import live


class StaffOnly(live.ChannelHandler):
    """For staff."""

    async def can_subscribe(self, user, channel, data):
        return user.is_staff
