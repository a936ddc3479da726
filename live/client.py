"""One client's session: commands in, replies out. No WebSocket in it.

Commands are carried out strictly in their order, one at a time, by a task that exists only while there is something
to do; reading goes on meanwhile, so a pong is seen however long a handler takes, and what waits is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import uuid
from collections import deque
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from live.channel import Channel
from live.exceptions import (
    AlreadySubscribed,
    BadData,
    Disconnect,
    DisconnectCode,
    EngineUnavailable,
    Forbidden,
    InvalidChannel,
    LimitExceeded,
    LiveError,
    NotAvailable,
    UnsubscribeCode,
)
from live.handlers import User, find_handler
from live.handlers.base import user_id
from live.node import Encoded, Node, Subscription
from live.node.outbox_daphne import open_outbox
from live.protocol import (
    Command,
    Connect,
    History,
    Malformed,
    Pong,
    Publish,
    Session,
    Subscribe,
    Unavailable,
    Unsubscribe,
    decode,
    dump_json,
    replies,
)
from live.publishing import check_publication
from live.store import Position

logger = logging.getLogger("live.client")

HANDLER_GRACE = 5.0
"""Seconds a handler that runs for a client may take to end after the client is gone."""

_PING = Encoded(replies.PING)

try:
    SERVER_VERSION = f"live {version('channels-live')}"
except PackageNotFoundError:
    SERVER_VERSION = "live"


class Client:
    """One connected peer with its user and its subscriptions.

    The shell around it calls `receive` for each WebSocket message and `closed` when the socket is gone; what the
    client is told goes through `outbox`.
    """

    __slots__ = (
        "_commands",
        "_outbox",
        "_pending_bytes",
        "_subscriptions",
        "_timer",
        "_worker",
        "id",
        "node",
        "session",
        "user",
    )

    def __init__(self, node: Node, user: User, send: Any) -> None:
        self.id = str(uuid.uuid4())
        self.node = node
        self.user = user
        self.session = Session()
        self._subscriptions: dict[Channel, Subscription] = {}
        self._commands: deque[tuple[Command | Malformed, int]] = deque()
        self._pending_bytes = 0
        self._worker: asyncio.Task[None] | None = None
        self._outbox = open_outbox(
            send,
            limit=node.settings.client_queue_max_bytes,
            on_slow=self.overflow,
            on_error=self._write_failed,
        )
        self._timer = asyncio.get_running_loop().call_later(
            node.settings.connect_timeout, self.disconnect, DisconnectCode.CONNECT_TIMEOUT
        )

    @property
    def user_id(self) -> str:
        """The user's primary key as text; "" for an anonymous one."""
        return user_id(self.user)

    # From the shell

    def receive(self, message: str | bytes) -> None:
        """Takes one WebSocket message; returns at once."""
        settings = self.node.settings
        size = len(message.encode()) if isinstance(message, str) else len(message)
        if size > settings.max_message_size:
            self.disconnect(DisconnectCode.MESSAGE_TOO_BIG)
            return
        commands = list(decode(message))
        share = size // len(commands)
        for command in commands:
            if self.session.closed:
                return
            if isinstance(command, Pong):
                self._take_pong()
                continue
            if self._pending_bytes + share > settings.client_pending_max_bytes:
                self.disconnect(DisconnectCode.TOO_MANY_REQUESTS, flush=False)
                return
            self._commands.append((command, share))
            self._pending_bytes += share
        if self._worker is None and self._commands:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    @property
    def busy(self) -> bool:
        """Whether commands wait for their turn."""
        return self._worker is not None

    async def closed(self) -> None:
        """The socket is gone: ends everything this client had."""
        self.session.close()
        self._timer.cancel()
        self._clear_commands()
        if self._worker is not None:
            self._worker.cancel()
            _, stuck = await asyncio.wait([self._worker], timeout=HANDLER_GRACE)
            if stuck:
                logger.error("a handler ignores its cancellation; client %s is gone without it", self.id)
        self.node.forget(self)
        subscriptions, self._subscriptions = list(self._subscriptions.values()), {}
        for subscription in subscriptions:
            await self.node.unsubscribe(subscription)
        await self._outbox.finish()

    # From the hub and the node

    def write(self, message: Encoded) -> None:
        """Hands a message to the outbox."""
        self._outbox.write(message)

    def overflow(self) -> None:
        """More waits for this client than may: it reads too slowly, and may come back and recover."""
        self.disconnect(DisconnectCode.SLOW, flush=False)

    def unsubscribed(self, channel: Channel) -> None:
        """The position in `channel` cannot be kept: the client is told, and subscribes again by itself."""
        subscription = self._subscriptions.get(channel)
        if subscription is None:
            return
        answered = not subscription.holding
        self.node.hub.remove(subscription)
        if answered:
            del self._subscriptions[channel]
            push = replies.unsubscribe_push(str(channel), UnsubscribeCode.INSUFFICIENT_STATE, "insufficient state")
            self.write(Encoded(push))
            self.node.spawn(self.node.unsubscribe(subscription), f"leaving {channel}")

    def disconnect(self, code: DisconnectCode, reason: str = "", *, flush: bool = True) -> None:
        """Ends the connection: what waits for the client (unless `flush` is False), the reason, the close frame."""
        if self.session.closed:
            return
        self.session.close()
        self._timer.cancel()
        self._clear_commands()
        self._outbox.close(code, reason or code.reason, flush=flush)

    def _write_failed(self, error: Exception) -> None:
        logger.debug("writing to client %s failed: %r", self.id, error)
        self.disconnect(DisconnectCode.WRITE_ERROR, flush=False)

    def _clear_commands(self) -> None:
        self._commands.clear()
        self._pending_bytes = 0

    # Pings

    def _take_pong(self) -> None:
        try:
            self.session.pong()
        except Disconnect as error:
            self.disconnect(error.code, error.reason)

    def _start_pings(self) -> None:
        self._timer.cancel()
        interval = self.node.settings.ping_interval
        if interval:
            # Somewhere in the second half, so that clients that came together are not pinged together.
            self._later(interval * random.uniform(0.5, 1.0), self._ping)  # noqa: S311

    def _later(self, seconds: float, callback: Any) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, callback)

    def _ping(self) -> None:
        settings = self.node.settings
        self.session.ping()
        self.write(_PING)
        self._later(settings.pong_timeout, self._check_pong)

    def _check_pong(self) -> None:
        if self.session.awaiting_pong:
            self.disconnect(DisconnectCode.NO_PONG, flush=False)
            return
        settings = self.node.settings
        self._later(settings.ping_interval - settings.pong_timeout, self._ping)

    # Commands

    async def _work(self) -> None:
        try:
            while self._commands:
                command, share = self._commands.popleft()
                self._pending_bytes -= share
                await self._carry_out(command)
        finally:
            self._worker = None

    async def _carry_out(self, command: Command | Malformed) -> None:
        try:
            await self._answer(self.session.check(command))
        except Disconnect as error:
            self.disconnect(error.code, error.reason)

    async def _answer(self, command: Command) -> None:
        try:
            match command:
                case Connect():
                    self._connect(command)
                case Subscribe():
                    await self._subscribe(command)
                case Unsubscribe():
                    await self._unsubscribe(command)
                case Publish():
                    await self._publish(command)
                case History():
                    await self._history(command)
                case Unavailable(id=0):
                    raise Disconnect(DisconnectCode.NOT_AVAILABLE)
                case _:
                    raise NotAvailable
        except LiveError as error:
            self._reply(replies.error_reply(command.id, error))
        except Disconnect:
            raise
        except Exception:
            # A handler's mistake: logged for its author, told as an internal error, and nobody else's business.
            logger.exception("%s of client %s failed", type(command).__name__.lower(), self.id)
            self._reply(replies.error_reply(command.id, LiveError()))

    def _reply(self, raw: bytes) -> None:
        self.write(Encoded(raw))

    def _connect(self, command: Connect) -> None:
        settings = self.node.settings
        if not self.user.is_authenticated and not settings.allow_anonymous:
            raise Disconnect(DisconnectCode.BAD_REQUEST, "no credentials")
        if not self.node.admit(self):
            raise Disconnect(DisconnectCode.CONNECTION_LIMIT)
        self.session.connect()
        ping = settings.ping_interval
        self._reply(
            replies.connect_reply(command.id, client=self.id, version=SERVER_VERSION, ping=ping, pong=bool(ping))
        )
        self._start_pings()

    async def _subscribe(self, command: Subscribe) -> None:
        if command.type:
            raise BadData("only subscriptions of type 0 (stream) are offered")
        channel = Channel.parse(command.channel)
        if channel in self._subscriptions:
            raise AlreadySubscribed
        if len(self._subscriptions) >= self.node.settings.max_subscriptions:
            raise LimitExceeded
        handler = find_handler(channel)
        if not await handler.can_subscribe(self.user, channel, command.data):
            raise Forbidden
        subscription, state = await self.node.subscribe(channel, self, handler.options)
        self._subscriptions[channel] = subscription
        try:
            initial = await handler.initial_data(self.user, channel, command.data)
            data = state.last if initial is None else dump_json(initial)
            if subscription.ended:
                # The stream began anew meanwhile; what was read of it is of no use.
                raise EngineUnavailable("the channel began anew, subscribe again")
        except BaseException:
            self._subscriptions.pop(channel, None)
            await self.node.unsubscribe(subscription)
            raise
        result = replies.SubscribeResult(data, state.position.offset, state.position.epoch)
        self._reply(replies.subscribe_reply(command.id, result))
        self.node.release(subscription, state.position)

    async def _unsubscribe(self, command: Unsubscribe) -> None:
        # Never an error: clients reconnect over one (client-protocol §2.4), and what is no channel is not subscribed.
        with contextlib.suppress(InvalidChannel):
            subscription = self._subscriptions.pop(Channel.parse(command.channel), None)
            if subscription is not None:
                await self.node.unsubscribe(subscription)
        self._reply(replies.empty_reply(command.id, "unsubscribe"))

    async def _publish(self, command: Publish) -> None:
        channel = Channel.parse(command.channel)
        if not command.has_data:
            raise BadData("publish without data")
        data, options = await check_publication(self.user, channel, command.data)
        info = replies.client_info(self.user_id, self.id)
        await self.node.publish(channel, data, options, info=info)
        self._reply(replies.empty_reply(command.id, "publish"))

    async def _history(self, command: History) -> None:
        channel = Channel.parse(command.channel)
        handler = find_handler(channel)
        if not (handler.allow_history and handler.options.has_history):
            raise NotAvailable
        if channel not in self._subscriptions and not await handler.can_subscribe(self.user, channel, None):
            raise Forbidden
        since = Position(*command.since) if command.since else None
        if command.reverse and since is not None and since.offset == 0:
            raise BadData("history in reverse has nothing before offset 0")
        publications, top = await self.node.history(channel, since, command.limit, reverse=command.reverse)
        self._reply(replies.history_reply(command.id, publications, offset=top.offset, epoch=top.epoch))
