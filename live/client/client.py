"""One connection: what comes from the shell, the hub and the node, the pings, and the commands in their order.

Commands are carried out strictly in their order, one at a time, by a task that exists only while there is something
to do; reading goes on meanwhile, so a pong is seen however long a handler takes, and what waits is bounded.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import Any

from django.db import Error as DatabaseFailure

from live.channel import Channel
from live.client import answers, mistakes
from live.client.subscriptions import Subscriptions
from live.exceptions import Disconnect, DisconnectCode, NotAvailable, UnsubscribeCode
from live.logs import about
from live.node import Encoded, Node
from live.node.control import ClientReport
from live.node.outbox_binary import open_binary_outbox
from live.node.outbox_fast import open_outbox
from live.protocol import (
    Command,
    Connect,
    History,
    Malformed,
    Pong,
    Presence,
    PresenceStats,
    Publish,
    Session,
    Subscribe,
    Unavailable,
    Unsubscribe,
    decode,
    protobuf,
    replies,
)
from live.users import User, read_user, user_id

logger = logging.getLogger("live.client")

HANDLER_GRACE = 5.0
"""Seconds a handler that runs for a client may take to end after the client is gone."""

ROOM_PAUSE = 0.1
"""Seconds between looks at whether a slow client has taken enough to be told more."""

BURST_SECONDS = 5.0
"""Who was quiet may send the commands of so many seconds at once: clients come back with all their subscriptions."""

_PING = Encoded(replies.PING)

try:
    SERVER_VERSION = f"live {version('channels-live')}"
except PackageNotFoundError:
    SERVER_VERSION = "live"


_NO_COMMANDS: deque[tuple[Command | Malformed, int]] = deque(maxlen=0)
"""The commands of every client that has none waiting; a deque of their own would be large."""


class Client:
    """One connected peer with its user and its subscriptions.

    The shell around it calls `receive` for each WebSocket message and `closed` when the socket is gone; what the
    client is told goes through `outbox`. With `binary` it speaks protobuf in place of JSON; without `pings` those of
    the server have to do. `asked_at` is when the session was asked for its user, on the monotonic clock; None: now.
    """

    __slots__ = (
        "_budget",
        "_commands",
        "_decode",
        "_outbox",
        "_pending_bytes",
        "_recheck_turn",
        "_recheck_waits",
        "_spent_at",
        "_timer",
        "_worker",
        "id",
        "node",
        "session",
        "session_key",
        "since",
        "subscriptions",
        "user",
        "write",
    )

    def __init__(
        self,
        node: Node,
        user: User,
        send: Any,
        *,
        session_key: str = "",
        binary: bool = False,
        pings: bool = True,
        asked_at: float | None = None,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.since = time.time()
        self.node = node
        self.user = user
        self.session_key = session_key
        self.session = Session(pings=pings)
        self.subscriptions = Subscriptions(self)
        self._recheck_turn: asyncio.Lock | None = None
        self._recheck_waits = False
        self._commands = _NO_COMMANDS
        self._budget = node.settings.client_commands_per_second * BURST_SECONDS
        self._spent_at = 0.0
        self._pending_bytes = 0
        self._worker: asyncio.Task[None] | None = None
        self._decode = protobuf.decode if binary else decode
        self._outbox = (open_binary_outbox if binary else open_outbox)(
            send,
            limit=node.settings.client_queue_max_bytes,
            on_slow=self.overflow,
            on_error=self._write_failed,
        )
        self.write = self._outbox.deliver
        """Takes what the hub sends to many; the outbox's own, as one more call for each delivery would be felt."""
        self._timer = asyncio.get_running_loop().call_later(
            node.settings.connect_timeout, self.disconnect, DisconnectCode.CONNECT_TIMEOUT
        )
        node.expect(self, monotonic() if asked_at is None else asked_at)

    @property
    def user_id(self) -> str:
        """The user's primary key as text; "" for an anonymous one."""
        return user_id(self.user)

    @property
    def info(self) -> bytes:
        """What other clients are told of this one, as JSON."""
        return replies.client_info(self.user_id, self.id)

    @property
    def queue_bytes(self) -> int:
        """Bytes that wait for this client, as far as they can be known."""
        return self._outbox.queued_bytes + self._outbox.held_bytes()

    def report(self) -> ClientReport:
        """What an operator is told of this client."""
        return ClientReport(self.id, self.user_id, self.since, len(self.subscriptions), self.queue_bytes)

    def about(self, *, channel: Channel | str = "", code: int | None = None) -> dict[str, object]:
        """What a log record says of this client besides its text."""
        return about(client=self.id, user=self.user_id, channel=channel, node=self.node.id, code=code)

    # From the shell

    def receive(self, message: str | bytes) -> None:
        """Takes one WebSocket message; returns at once."""
        settings = self.node.settings
        size = len(message.encode()) if isinstance(message, str) else len(message)
        if size > settings.max_message_size:
            self.disconnect(DisconnectCode.MESSAGE_TOO_BIG)
            return
        commands = list(self._decode(message))
        share = size // len(commands)
        if not self._spend(len(commands)):
            self.disconnect(DisconnectCode.TOO_MANY_REQUESTS, flush=False)
            return
        for command in commands:
            if self.session.closed:
                return
            if isinstance(command, Pong):
                self._take_pong()
                continue
            if self._pending_bytes + share > settings.client_pending_max_bytes:
                self.disconnect(DisconnectCode.TOO_MANY_REQUESTS, flush=False)
                return
            if self._commands is _NO_COMMANDS:
                self._commands = deque()
            self._commands.append((command, share))
            self._pending_bytes += share
        if self._worker is None and self._commands:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    def _spend(self, commands: int) -> bool:
        """Takes so many from the bucket of commands, which fills with time; False when there are too few in it."""
        rate = self.node.settings.client_commands_per_second
        if not rate:
            return True
        now = monotonic()
        self._budget = min(rate * BURST_SECONDS, self._budget + (now - self._spent_at) * rate) - commands
        self._spent_at = now
        return self._budget >= 0

    @property
    def busy(self) -> bool:
        """Whether commands wait for their turn."""
        return self._worker is not None

    async def closed(self) -> None:
        """The socket is gone: ends everything this client had. Waits for its handlers, never for Redis."""
        self.session.close()
        self._timer.cancel()
        self._clear_commands()
        self.node.pings.remove(self)
        self.node.forget(self)
        self.subscriptions.close()
        if self._worker is not None:
            self._worker.cancel()
            _, stuck = await asyncio.wait([self._worker], timeout=HANDLER_GRACE)
            if stuck:
                text = "a handler ignores its cancellation; client %s is gone without it"
                logger.error(text, self.id, extra=self.about())
        # What the last command began before it was cancelled.
        self.subscriptions.close()
        await self._outbox.finish()

    # From the hub and the node

    def overflow(self) -> None:
        """More waits for this client than may: it reads too slowly, and may come back and recover."""
        self.disconnect(DisconnectCode.SLOW, flush=False)

    def reply(self, raw: bytes) -> None:
        """Tells this client something."""
        self._outbox.write(Encoded(raw))

    def forget(self, channel: Channel) -> None:
        """Nothing of `channel` is to follow what this client is told from now on."""
        self._outbox.forget(channel)

    def unsubscribed(self, channel: Channel) -> None:
        """The position in `channel` cannot be kept: the client is told, and subscribes again by itself."""
        self.subscriptions.end(channel, UnsubscribeCode.INSUFFICIENT_STATE, "insufficient state")

    def unsubscribe_by_server(
        self, channel: Channel, code: UnsubscribeCode = UnsubscribeCode.SERVER, reason: str = ""
    ) -> None:
        """Ends a subscription, if there is one: below code 2500 for good, else the client subscribes again."""
        self.subscriptions.end(channel, code, reason or "server unsubscribe")

    async def recheck(self) -> None:
        """Reads the user anew and asks about every subscription again; who may not any more is unsubscribed.

        A user that is gone or may not log in any more is disconnected, to come back as who it now is. One recheck at a
        time: called while another waits for its turn, it leaves the work to that one and returns at once.
        """
        if self._recheck_waits:
            return
        self._recheck_waits = True
        try:
            turn = self._recheck_turn = self._recheck_turn or asyncio.Lock()
            await turn.acquire()
        finally:
            self._recheck_waits = False
        try:
            await self._recheck()
        finally:
            turn.release()

    async def _recheck(self) -> None:
        try:
            user = await read_user(self.user)
        except DatabaseFailure as error:
            # Whoever asks for a recheck will ask again; an outage must not empty everybody's page.
            logger.warning("the user of client %s could not be read again: %r", self.id, error, extra=self.about())
            return
        if user is None:
            self.disconnect(DisconnectCode.FORCE_RECONNECT)
        elif not self.session.closed:
            await self.subscriptions.recheck(user)

    def disconnect(self, code: DisconnectCode, reason: str = "", *, flush: bool = True) -> None:
        """Ends the connection: what waits for the client (unless `flush` is False), the reason, the close frame."""
        if self.session.closed:
            return
        self.node.counters.disconnects[int(code)] += 1
        if logger.isEnabledFor(logging.DEBUG):
            text = "client %s disconnected with code %d: %s"
            logger.debug(text, self.id, code, reason or code.reason, extra=self.about(code=code))
        self.node.pings.remove(self)
        self.session.close()
        self._timer.cancel()
        self._clear_commands()
        self._outbox.close(code, reason or code.reason, flush=flush)

    def _write_failed(self, error: Exception) -> None:
        logger.debug("writing to client %s failed: %r", self.id, error, extra=self.about())
        self.disconnect(DisconnectCode.WRITE_ERROR, flush=False)

    def _clear_commands(self) -> None:
        self._commands = _NO_COMMANDS
        self._pending_bytes = 0

    # Pings

    def _take_pong(self) -> None:
        try:
            self.session.pong()
        except Disconnect as error:
            self.disconnect(error.code, error.reason)

    def ping(self) -> None:
        """Asks whether the peer is there."""
        self.session.ping()
        self.write(_PING)

    def check_pong(self) -> None:
        """Ends a connection whose last ping was not answered."""
        if self.session.awaiting_pong:
            self.disconnect(DisconnectCode.NO_PONG, flush=False)

    # Commands

    async def _work(self) -> None:
        try:
            while self._commands:
                await self._room()
                if not self._commands:
                    return
                command, share = self._commands.popleft()
                self._pending_bytes -= share
                await self._carry_out(command)
        finally:
            self._worker = None
            if not self._commands:
                self._commands = _NO_COMMANDS

    async def _room(self) -> None:
        """Waits while so much is on its way that the next answer could make this client one that reads too slowly.

        One that comes back with many subscriptions has much to be told at once.
        """
        limit = self.node.settings.client_queue_max_bytes // 4
        # Looked at, not waited for: what a server's transport holds tells nobody when it shrinks.
        while self.queue_bytes > limit and not self.session.closed:  # noqa: ASYNC110
            await asyncio.sleep(ROOM_PAUSE)

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
                    await self.subscriptions.subscribe(command)
                case Unsubscribe():
                    self.subscriptions.unsubscribe(command)
                case Publish():
                    self.reply(await answers.publish(self, command))
                case History():
                    self.reply(await answers.history(self, command))
                case Presence():
                    self.reply(await answers.presence(self, command))
                case PresenceStats():
                    self.reply(await answers.presence_stats(self, command))
                case Unavailable(id=0):
                    raise Disconnect(DisconnectCode.NOT_AVAILABLE)
                case _:
                    raise NotAvailable
        except Disconnect:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and mistakes.being_cancelled():
                raise
            self.reply(replies.error_reply(command.id, mistakes.answer(self, command, error)))

    def _connect(self, command: Connect) -> None:
        settings, refused = self.node.settings, self.node.counters.refused
        if not self.user.is_authenticated and not settings.allow_anonymous:
            refused["credentials"] += 1
            raise Disconnect(DisconnectCode.BAD_REQUEST, "no credentials")
        if self.node.draining:
            refused["draining"] += 1
            raise Disconnect(DisconnectCode.SHUTDOWN)
        if not self.node.admit(self):
            refused["limit"] += 1
            raise Disconnect(DisconnectCode.CONNECTION_LIMIT)
        self.session.connect()
        ping = settings.ping_interval if self.session.pings else 0
        self.reply(
            replies.connect_reply(command.id, client=self.id, version=SERVER_VERSION, ping=ping, pong=bool(ping))
        )
        self._timer.cancel()
        if ping:
            self.node.pings.add(self)
            self._outbox.take_over_pings()
