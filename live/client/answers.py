"""The answers to commands that leave nothing behind with the client: publish, history, presence.

Each function carries one command out and returns the reply; what is refused is raised as a `LiveError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from live.channel import Channel
from live.exceptions import BadData, Forbidden, LimitExceeded, NotAvailable
from live.handlers import ChannelHandler, find_handler
from live.protocol import History, Presence, PresenceStats, Publish, replies
from live.publishing import check_publication
from live.store import Position

if TYPE_CHECKING:
    from live.client.client import Client


async def _check_may_look(client: Client, channel: Channel, handler: ChannelHandler) -> None:
    """Raises `Forbidden` unless the client is subscribed to the channel or may be."""
    if channel not in client.subscriptions and not await handler.can_subscribe(client.user, channel, None):
        raise Forbidden


async def publish(client: Client, command: Publish) -> bytes:
    """Publishes what the client offers, if its handler takes it."""
    channel = Channel.parse(command.channel)
    if not command.has_data:
        raise BadData("publish without data")
    data, options = await check_publication(client.user, channel, command.data)
    await client.node.publish(channel, data, options, info=client.info)
    # A client that is subscribed itself gets the publication before the reply, where that is this node's to say.
    client.node.hub.flush()
    return replies.empty_reply(command.id, "publish")


async def history(client: Client, command: History) -> bytes:
    """Reads kept publications, where the handler offers that."""
    channel = Channel.parse(command.channel)
    handler = find_handler(channel)
    if not (handler.allow_history and handler.options.has_history):
        raise NotAvailable
    await _check_may_look(client, channel, handler)
    since = Position(*command.since) if command.since else None
    if command.reverse and since is not None and since.offset == 0:
        raise BadData("history in reverse has nothing before offset 0")
    publications, top = await client.node.history(channel, since, command.limit, reverse=command.reverse)
    return replies.history_reply(command.id, publications, offset=top.offset, epoch=top.epoch)


async def presence(client: Client, command: Presence) -> bytes:
    """Who is present, where the handler offers that."""
    channel = await _check_presence(client, command)
    reply = replies.presence_reply(command.id, await client.node.members(channel))
    if len(reply) > client.node.reply_bytes:
        # The client would be disconnected as one that reads too slowly, and ask again.
        raise LimitExceeded("too many are present to be listed, ask for presence_stats")
    return reply


async def presence_stats(client: Client, command: PresenceStats) -> bytes:
    """How many are present, where the handler offers presence."""
    stats = await client.node.presence_stats(await _check_presence(client, command))
    return replies.presence_stats_reply(command.id, clients=stats.clients, users=stats.users)


async def _check_presence(client: Client, command: Presence | PresenceStats) -> Channel:
    channel = Channel.parse(command.channel)
    handler = find_handler(channel)
    if not handler.presence:
        raise NotAvailable
    await _check_may_look(client, channel, handler)
    return channel
