"""What one client is subscribed to: how each subscription begins and ends, and whether it may go on.

A subscription ends for the client in the moment it is decided; what that needs of the store and of other nodes happens
beside, so that nobody waits for Redis because a client went away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import Error as DatabaseFailure

from live.channel import Channel
from live.client import mistakes
from live.exceptions import (
    AlreadySubscribed,
    BadData,
    EngineUnavailable,
    Forbidden,
    InvalidChannel,
    LimitExceeded,
    LiveError,
    UnrecoverablePosition,
    UnsubscribeCode,
)
from live.handlers import Admission, ChannelHandler, find_handler
from live.node import Subscription
from live.node.recovery import Recovery
from live.protocol import Subscribe, Unsubscribe, dump_json, load_json, replies
from live.store import ChannelState, Member, Position
from live.users import User

if TYPE_CHECKING:
    from live.client.client import Client

logger = logging.getLogger("live.client")

DENIED = UnsubscribeCode.SERVER, "permission denied"
FAILED = UnsubscribeCode.INSUFFICIENT_STATE, "permission not known"


@dataclass(slots=True, eq=False)
class _Entry:
    """One subscription with what is needed to ask about it again."""

    handler: ChannelHandler
    subscription: Subscription
    data: bytes | None
    """What the client sent along, as JSON."""
    answered: bool = False
    """Whether the client was told that it is subscribed."""
    present: bool = False
    refusal: LiveError | None = None
    """Why it ended before it was answered."""


class Subscriptions:
    """The subscriptions of one `client`."""

    __slots__ = ("_checks", "_client", "_entries")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._entries: dict[Channel, _Entry] = {}
        self._checks = 0
        """Number of rechecks so far: tells a subscribe under way that the user may have changed."""

    def __contains__(self, channel: Channel) -> bool:
        return channel in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    # Beginning

    async def subscribe(self, command: Subscribe) -> None:
        """Subscribes, and writes the reply; raises a `LiveError` when it cannot be, and then nothing is left."""
        client = self._client
        if command.type:
            raise BadData("only subscriptions of type 0 (stream) are offered")
        if command.tf is not None:
            # Who asks for a part must not get all.
            raise BadData("filters by tags are not offered")
        channel = Channel.parse(command.channel)
        if channel in self._entries:
            raise AlreadySubscribed
        if len(self._entries) >= client.node.settings.max_subscriptions:
            raise LimitExceeded
        handler = find_handler(channel)
        checks = self._checks
        admission = await handler.admit(client.user, channel, command.data)
        if admission is None:
            raise Forbidden
        options = handler.options
        since = None
        if command.recover and handler.recover and options.has_history:
            since = Position(command.offset, command.epoch)
        data = None if command.data is None else dump_json(command.data)
        subscription, state, recovery = await client.node.subscribe(channel, client, options, since=since)
        entry = self._entries[channel] = _Entry(handler, subscription, data)
        try:
            result = await self._prepare(command, channel, entry, state, recovery, admission)
            await self._check_still_wanted(command, channel, entry, checks)
        except BaseException:
            self._remove(channel, entry)
            raise
        client.reply(replies.subscribe_reply(command.id, result))
        entry.answered = True
        client.node.release(subscription, state.position)
        if entry.present and handler.join_leave:
            client.node.tell_joined(channel, client.id)

    async def _prepare(
        self,
        command: Subscribe,
        channel: Channel,
        entry: _Entry,
        state: ChannelState,
        recovery: Recovery | None,
        admission: Admission,
    ) -> replies.SubscribeResult:
        """What the client is told at the start."""
        client, handler = self._client, entry.handler
        recovered = recovery is not None and recovery.recovered
        if command.recover and not recovered and command.rejects_unrecovered:
            raise UnrecoverablePosition
        initial = await handler.initial_data(client.user, channel, command.data)
        if handler.presence or handler.join_leave:
            more = await handler.member_info(client.user, channel)
            info = client.info if more is None else replies.client_info(client.user_id, client.id, more)
            member = Member(client.id, client.user_id, info)
            await client.node.enter(channel, member, announce=handler.join_leave)
            entry.present = True
        data = None if recovered else state.last
        if data is None and not recovered and admission.initial is not None:
            data = dump_json(admission.initial)
        keeps_position = handler.recover and bool(state.position.epoch)
        return replies.SubscribeResult(
            data if initial is None else dump_json(initial),
            # Clients count on from the position they asked with.
            command.offset if recovered else state.position.offset,
            state.position.epoch,
            positioned=keeps_position,
            recoverable=keeps_position,
            was_recovering=command.recover,
            recovered=recovered,
            publications=recovery.publications if recovery is not None else (),
        )

    async def _check_still_wanted(self, command: Subscribe, channel: Channel, entry: _Entry, checks: int) -> None:
        """Raises what became of the subscription while it was prepared, if it is not to be."""
        while checks != self._checks:
            checks = self._checks
            if not await entry.handler.can_subscribe(self._client.user, channel, command.data):
                raise Forbidden
        if entry.refusal is not None:
            raise entry.refusal
        if entry.subscription.ended or self._client.session.closed:
            raise EngineUnavailable("the subscription ended while it began, subscribe again")

    # The end

    def unsubscribe(self, command: Unsubscribe) -> None:
        """Ends the subscription the client names; never an error, as clients reconnect over one (§2.4)."""
        with contextlib.suppress(InvalidChannel):
            channel = Channel.parse(command.channel)
            if (entry := self._entries.get(channel)) is not None:
                self._remove(channel, entry)
        self._client.reply(replies.empty_reply(command.id, "unsubscribe"))

    def end(self, channel: Channel, code: UnsubscribeCode, reason: str) -> None:
        """The server ends a subscription, and the client is told; nothing happens when there is none."""
        entry = self._entries.get(channel)
        if entry is None:
            return
        if entry.answered:
            self._remove(channel, entry)
            self._client.reply(replies.unsubscribe_push(str(channel), code, reason))
            return
        # The reply to its subscribe is still to come, and will say so.
        self._client.node.hub.remove(entry.subscription)
        entry.refusal = Forbidden(reason) if code < UnsubscribeCode.INSUFFICIENT_STATE else EngineUnavailable(reason)

    def close(self) -> None:
        """The client is gone."""
        for channel, entry in list(self._entries.items()):
            self._remove(channel, entry)

    def _remove(self, channel: Channel, entry: _Entry) -> None:
        node = self._client.node
        if self._entries.get(channel) is entry:
            del self._entries[channel]
            self._client.forget(channel)
        # Now, so that nothing follows; leaving the channel's group takes its time.
        node.hub.remove(entry.subscription)
        if entry.present:
            entry.present = False
            node.leave(channel, self._client.id)
        if channel not in node.hub:
            node.spawn(node.unsubscribe(entry.subscription), f"leaving {channel}")

    # Whether it may go on

    async def recheck(self, user: User) -> None:
        """The client's user is `user` from now on: each handler is asked again, and who says no ends it (2000)."""
        self._client.user = user
        self._checks += 1
        # What is not answered yet sees the count and asks by itself.
        answered = [(channel, entry) for channel, entry in self._entries.items() if entry.answered]
        for channel, entry in answered:
            if self._client.session.closed:
                return
            end = await self._objection(channel, entry, user)
            if end is not None and self._entries.get(channel) is entry:
                self.end(channel, *end)

    async def _objection(self, channel: Channel, entry: _Entry, user: User) -> tuple[UnsubscribeCode, str] | None:
        """Why `user` must not go on, or None. A handler that fails keeps nobody in, and its client asks again."""
        data = None if entry.data is None else load_json(entry.data)
        try:
            return None if await entry.handler.can_subscribe(user, channel, data) else DENIED
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and mistakes.being_cancelled():
                raise
            if isinstance(error, LiveError) and error.is_answer:
                if not error.temporary:
                    return DENIED
            elif not isinstance(error, DatabaseFailure):
                mistakes.report(self._client, "recheck", channel, error)
                return FAILED
            logger.warning(
                "client %s keeps %s, its permission could not be checked: %r",
                self._client.id,
                channel,
                error,
                extra=self._client.about(channel=channel),
            )
            return None
