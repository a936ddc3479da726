"""The handler whose channels the cluster's tests count in."""

import live


class NumbersHandler(live.ChannelHandler):
    """Everybody may read; who is logged in may publish. Keeps more than any outage of these tests lasts."""

    history_size = 2000
    history_ttl = 300.0

    async def can_subscribe(self, user, channel, data):
        return True

    async def can_publish(self, user, channel, data):
        return user.is_authenticated
