"""``stream/<stream id>/<measurement>``: frames that come in by a push, one channel per measurement (grafana-live §4).

A subscriber starts from the full last frame and then gets the schema only when it changed; the store decides which,
in the same step in which it takes the frame, so that two pushes at once cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from channels.db import database_sync_to_async

from live.channel import Channel
from live.conf import live_settings
from live.frames import EncodedFrame, Frame, split
from live.handlers.base import ChannelHandler
from live.publishing import draft_encoded, publish_drafts
from live.store import ChannelOptions
from live.users import User

SCOPE = "stream"
PUSH = "live.push"
"""The permission to push, unless a handler has other rules."""


class StreamHandler(ChannelHandler):
    """Everybody who may connect may watch; nobody publishes from a client, only by a push."""

    keep_last = True
    allow_history = True

    @property
    def options(self) -> ChannelOptions:
        """The last frame, and a history as long as ``LIVE`` says."""
        return ChannelOptions(live_settings.stream_history_size, live_settings.stream_history_ttl, keep_last=True)

    async def can_subscribe(self, user: User, channel: Channel, data: Any) -> bool:
        """Whoever may connect; a stream that nobody pushed to yet is simply silent (§4.3)."""
        return True

    async def can_push(self, user: User, stream_id: str) -> bool:
        """Whether `user` may push to the stream, whatever the measurements: with the permission ``live.push``.

        Asked for every push, also of a token that pushes many times a second. Runs on an event loop, like the other
        methods of handlers.
        """
        return await has_push_permission(user)


async def has_push_permission(user: User) -> bool:
    """Whether `user` has ``live.push``. Like Django's own permissions, the answer is kept with the user object."""
    known: bool | None = getattr(user, "_live_push", None)
    if known is None and not hasattr(user, "has_perm"):
        return False
    if known is None:
        # Not `ahas_perm`: it skips authentication backends that have no async methods.
        known = await database_sync_to_async(learn_push_permission)(user)
    return known


def learn_push_permission(user: User) -> bool:
    """Like `has_push_permission`, for synchronous code: asks the database, and keeps the answer with the user."""
    # A user model without Django's permissions has none.
    has_perm = getattr(user, "has_perm", lambda permission: False)
    user._live_push = found = bool(has_perm(PUSH))  # type: ignore[union-attr]
    return found


def prepare_push(stream_id: str, frames: Sequence[Frame]) -> list[tuple[Channel, EncodedFrame]]:
    """The frames of one push with their channels, checked and encoded, ready for `publish_prepared`.

    Synchronous, so that it can run in a thread of its own. A frame larger than ``LIVE["MAX_PUBLICATION_SIZE"]``
    becomes several publications, divided by its rows. Raises `InvalidChannel` when stream id and a frame's name make
    no channel, `PublicationTooLarge` when a single row is too large.
    """
    prepared = []
    limit = live_settings.max_publication_size
    for frame in frames:
        channel = Channel(SCOPE, stream_id, frame.name or "")
        prepared += [(channel, encoded) for encoded in split(frame, limit, channel)]
    return prepared


async def publish_prepared(prepared: Sequence[tuple[Channel, EncodedFrame]]) -> None:
    """Publishes what `prepare_push` made, in its order. Raises `EngineUnavailable`."""
    await publish_drafts(
        [draft_encoded(channel, frame.full, schema=frame.schema, short=frame.data) for channel, frame in prepared]
    )


async def push_frames(stream_id: str, frames: Sequence[Frame]) -> None:
    """Publishes each frame to ``stream/<stream_id>/<frame's name>``; nothing when one of them cannot be.

    Raises what `prepare_push` and `publish_prepared` raise.
    """
    await publish_prepared(prepare_push(stream_id, frames))
