"""What a node does that may have missed control messages: it asks the database what it would have been told.

The relay is at-most-once. While it was away somebody may have logged out, lost a permission or been deactivated; so
when it is back, every client's session is looked at and its subscriptions are asked about again.
"""

from __future__ import annotations

import asyncio
import logging
from importlib import import_module
from typing import Any

from channels.auth import get_user
from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY

from live.exceptions import DisconnectCode
from live.logs import about
from live.node import Node
from live.node.clients import Peer
from live.node.control import ControlMessage
from live.users import user_id

logger = logging.getLogger("live.access")

AT_ONCE = 20
"""Sessions looked at at the same time."""


async def check_clients(node: Node) -> None:
    """Cuts the clients of `node` whose session has ended (3011), and has the permissions of the others checked."""
    sessions: dict[tuple[str, str], list[Peer]] = {}
    for peer in node.clients:
        if peer.user_id and peer.session_key:
            sessions.setdefault((peer.session_key, peer.user_id), []).append(peer)
    places = asyncio.Semaphore(AT_ONCE)

    async def check(key: str, user: str, peers: list[Peer]) -> None:
        async with places:
            if not await _counts(key, user):
                for peer in peers:
                    peer.disconnect(DisconnectCode.FORCE_RECONNECT, "session ended")

    await asyncio.gather(*(check(key, user, peers) for (key, user), peers in sessions.items()))
    node.clients.apply(ControlMessage("recheck"), node.spawn)


async def _counts(key: str, user: str) -> bool:
    """Whether the session of that key is still one of the user with that id; True where it cannot be found out."""
    session: Any = import_module(settings.SESSION_ENGINE).SessionStore(key)
    try:
        if not await database_sync_to_async(session.has_key)(SESSION_KEY):
            # A session that was not found forgets its key; one without a user means that the login came another way.
            return session.session_key is not None
        return user_id(await get_user({"session": session})) == user  # type: ignore[typeddict-item]
    except Exception as error:
        # Sessions may be anywhere, and each place fails in its own way.
        logger.warning("a session could not be looked at, its clients stay: %r", error, extra=about(user=user))
        return True
