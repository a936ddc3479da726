"""The clients of one node: how many there may be, what is done with those of a user, how all of them leave."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import heapq
import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

from live.channel import Channel
from live.exceptions import DisconnectCode, InvalidChannel, UnsubscribeCode
from live.logs import about
from live.node.control import ClientReport, ControlMessage, Wanted
from live.node.subscription import Subscriber

logger = logging.getLogger("live.node")

DRAIN_PAUSE = 0.1
"""Most seconds between two goodbyes: a few clients are no storm anywhere."""

DRAIN_GRACE = 2.0
"""Seconds after the last disconnect in which clients may read what they were told."""

MAX_RECENT = 1000
"""Control messages remembered for those whose session is being read."""

MAX_NAMED = 20_000
"""Ids of users that those messages name altogether: one may name a thousand."""

RECHECKS_AT_ONCE = 20
"""Clients whose permissions are asked again at the same time."""


class Peer(Subscriber, Protocol):
    """A client, as its node sees it."""

    @property
    def id(self) -> str:
        """The id it was told when it connected."""

    def report(self) -> ClientReport:
        """What an operator is told of it."""

    @property
    def user_id(self) -> str:
        """The primary key of its user as text; "" for an anonymous one."""

    @property
    def session_key(self) -> str:
        """The key of the Django session it came with; "" without one."""

    @property
    def queue_bytes(self) -> int:
        """Bytes that wait for it, as far as they can be known."""

    def disconnect(self, code: DisconnectCode, reason: str = "") -> None:
        """Ends the connection."""

    def unsubscribe_by_server(self, channel: Channel, code: UnsubscribeCode, reason: str = "") -> None:
        """Ends a subscription, if the client has it, and tells the client."""

    async def recheck(self) -> None:
        """Asks again whether its user may have the subscriptions it has; must not raise."""


class Clients:
    """Those whose connect succeeded; at most `limit`, -1: any number. `node` is the id of theirs, for the log.

    It also knows those whose connect is still to come. They count nowhere, but what is done to their user or their
    session is done to them, as nobody will say it again.
    """

    def __init__(self, limit: int, node: str = "") -> None:
        self._limit = limit
        self._node = node
        self._peers: set[Peer] = set()
        self._opening: set[Peer] = set()
        self._recent: deque[tuple[float, ControlMessage]] = deque()
        """What was asked for last, and when."""
        self._named = 0
        """Ids of users in it."""
        self._forgotten_at = -math.inf
        """When the newest of those was asked for that are not in it any more."""
        self._full = False
        self._left = asyncio.Event()
        self.draining = False
        """Whether this node is about to stop and takes nobody any more."""

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[Peer]:
        return iter(list(self._peers))

    @property
    def opening(self) -> int:
        """How many are still to connect, for which they have `CONNECT_TIMEOUT`."""
        return len(self._opening)

    def everyone(self) -> list[Peer]:
        """Those who are connected, and those who are still to connect."""
        return [*self._peers, *self._opening]

    def users(self) -> int:
        """Different users among those who are logged in."""
        return len({peer.user_id for peer in self._peers} - {""})

    def listed(self, wanted: Wanted) -> tuple[ClientReport, ...]:
        """Those that a survey asks for: those first for which most waits."""
        if not wanted.limit:
            return ()
        ids = set(wanted.ids)
        peers = [peer for peer in self._peers if not ids or peer.user_id in ids or peer.id in ids]
        return tuple(peer.report() for peer in heapq.nlargest(wanted.limit, peers, key=lambda peer: peer.queue_bytes))

    def expect(self, peer: Peer, since: float, spawn: Callable[[Any, str], None]) -> None:
        """A client that is still to connect, until `admit` or `forget`.

        `since` is when its session was asked for, on the monotonic clock: what has come from then on the answer may not
        know of, and is carried out now.
        """
        self._opening.add(peer)
        if since <= self._forgotten_at:
            # It may have been meant: it comes back with what holds by then.
            peer.disconnect(DisconnectCode.FORCE_RECONNECT)
            return
        missed = [message for _, message in itertools.takewhile(lambda each: each[0] >= since, reversed(self._recent))]
        for message in reversed(missed):
            if message.concerns(peer.user_id, peer.session_key, peer.id):
                self._carry_out(message, [peer], spawn)

    def admit(self, peer: Peer) -> bool:
        """Registers a client; False when there are as many as there may be."""
        if 0 <= self._limit <= len(self._peers):
            if not self._full:
                # Once until there is room again: clients keep trying.
                self._full = True
                logger.warning(
                    "this node has its %d clients; more are refused, see LIVE['MAX_CONNECTIONS']",
                    self._limit,
                    extra=about(client=peer.id, node=self._node, code=DisconnectCode.CONNECTION_LIMIT),
                )
            return False
        self._full = False
        self._opening.discard(peer)
        self._peers.add(peer)
        return True

    def forget(self, peer: Peer) -> None:
        """The client is gone."""
        self._opening.discard(peer)
        self._peers.discard(peer)
        if not self._peers:
            self._left.set()

    def disconnect_all(self) -> None:
        """Tells everybody to come back to another node."""
        for peer in self:
            peer.disconnect(DisconnectCode.SHUTDOWN)

    async def drain(self, seconds: float) -> None:
        """Sends everybody away, spread over so many seconds; returns when they are gone, or a little later."""
        self.draining = True
        goodbyes = [functools.partial(peer.disconnect, DisconnectCode.SHUTDOWN) for peer in self._peers]
        await say_goodbyes(goodbyes, seconds)
        # Who connected meanwhile was refused; who was between the two is told now.
        self.disconnect_all()
        self._left.clear()
        if self._peers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_GRACE):
                    await self._left.wait()

    def apply(self, message: ControlMessage, spawn: Callable[[Any, str], None]) -> None:
        """Does to the clients it concerns what a control message says; `spawn` runs what takes longer."""
        if message.action in ("disconnect", "recheck"):
            self._remember(message)
        self._carry_out(message, self._concerned(message), spawn)

    def _remember(self, message: ControlMessage) -> None:
        # No age makes one too old: nothing but the database says how long a session may take to be read.
        self._recent.append((time.monotonic(), message))
        self._named += len(message.users)
        while len(self._recent) > MAX_RECENT or self._named > MAX_NAMED:
            self._forgotten_at, forgotten = self._recent.popleft()
            self._named -= len(forgotten.users)

    def _concerned(self, message: ControlMessage) -> list[Peer]:
        everyone = itertools.chain(self._peers, self._opening)
        if message.users and not message.client and not message.session:
            # As `concerns` says it; a search through a thousand ids for each client would hold up the loop.
            users = frozenset(message.users)
            return [peer for peer in everyone if peer.user_id in users]
        return [peer for peer in everyone if message.concerns(peer.user_id, peer.session_key, peer.id)]

    def _carry_out(self, message: ControlMessage, concerned: Sequence[Peer], spawn: Callable[[Any, str], None]) -> None:
        match message.action:
            case "disconnect":
                code = _disconnect_code(message.code)
                for peer in concerned:
                    peer.disconnect(code, message.reason)
            case "unsubscribe":
                try:
                    channel = Channel.parse(message.channel)
                except InvalidChannel as error:
                    logger.warning("another node wants clients unsubscribed: %s", error, extra=about(node=self._node))
                    return
                for peer in concerned:
                    peer.unsubscribe_by_server(channel, UnsubscribeCode.SERVER, message.reason)
            case "recheck":
                _spawn_rechecks(concerned, spawn)

    def recheck(self, those: Collection[Subscriber], spawn: Callable[[Any, str], None]) -> None:
        """Asks again about the permissions of `those`, as far as they are clients of this node."""
        _spawn_rechecks([*self._peers.intersection(those), *self._opening.intersection(those)], spawn)


async def say_goodbyes(goodbyes: Sequence[Callable[[], None]], seconds: float) -> None:
    """Calls them one after the other, evenly over so many seconds or faster."""
    loop = asyncio.get_running_loop()
    pause = min(seconds / len(goodbyes), DRAIN_PAUSE) if goodbyes else 0.0
    started = loop.time()
    for number, goodbye in enumerate(goodbyes, 1):
        goodbye()
        rest = started + number * pause - loop.time()
        if rest > 0.01 and number < len(goodbyes):
            await asyncio.sleep(rest)


def _spawn_rechecks(peers: Iterable[Peer], spawn: Callable[[Any, str], None]) -> None:
    if rechecks := [peer.recheck for peer in peers]:
        spawn(_recheck(rechecks), "asking for permissions again")


async def _recheck(rechecks: Sequence[Callable[[], Awaitable[None]]]) -> None:
    places = asyncio.Semaphore(RECHECKS_AT_ONCE)

    async def one(recheck: Callable[[], Awaitable[None]]) -> None:
        async with places:
            await recheck()

    await asyncio.gather(*map(one, rechecks))


def _disconnect_code(code: int) -> DisconnectCode:
    try:
        return DisconnectCode(code)
    except ValueError:
        return DisconnectCode.FORCE_DISCONNECT
