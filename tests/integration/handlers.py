"""Handlers of the sites that tests start."""

import live
from live.exceptions import UnsubscribeCode
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
        # Those before it may be just about to leave.
        newest = max(current_node().clients, key=lambda client: client.since)
        return type(newest._outbox).__name__


class Way(live.ChannelHandler):
    """Tells whether the wire frames of the newest client go straight to its socket, where daphne serves."""

    async def can_subscribe(self, user, channel, data):
        return True

    async def initial_data(self, user, channel, data):
        newest = max(current_node().clients, key=lambda client: client.since)
        return newest._outbox._connection._direct


class Kept(live.ChannelHandler):
    """Everybody may say something, and the last ten things said are kept; nobody may at `.../secret`."""

    history_size = 10
    keep_last = True
    allow_history = True

    async def can_subscribe(self, user, channel, data):
        return channel.path != "secret"

    async def can_publish(self, user, channel, data):
        return True


class Hall(Kept):
    """Who is there can be asked for."""

    presence = True


class Lobby(Hall):
    """Who comes and who goes is told."""

    join_leave = True


class Broken(Lobby):
    """Fails when it is asked for initial data."""

    async def initial_data(self, user, channel, data):
        raise live.NotFound


class Doorman(live.ChannelHandler):
    """Ends the subscriptions of everybody: of the channel and with the code it is told."""

    async def can_publish(self, user, channel, data):
        return True

    async def clean(self, user, channel, data):
        for client in current_node().clients:
            client.unsubscribe_by_server(live.Channel.parse(data["channel"]), UnsubscribeCode(data["code"]), "sent out")
        return data


ROOMS = {
    name: f"tests.integration.handlers.{handler.__name__}"
    for name, handler in {"kept": Kept, "hall": Hall, "lobby": Lobby, "broken": Broken, "doorman": Doorman}.items()
}
"""For ``LIVE["HANDLERS"]``."""
