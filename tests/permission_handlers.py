"""Handlers that ask for what a user may, for sites whose users lose it."""

import live


class MayPush(live.ChannelHandler):
    """For those with a permission."""

    async def can_subscribe(self, user, channel, data):
        return await user.ahas_perm("live.push")


class Name(live.ChannelHandler):
    """For everybody; tells who is asking."""

    async def can_subscribe(self, user, channel, data):
        return True

    async def initial_data(self, user, channel, data):
        return user.get_username()


HANDLERS = {name.__name__.lower(): f"tests.permission_handlers.{name.__name__}" for name in (MayPush, Name)}
