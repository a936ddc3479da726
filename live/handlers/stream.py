"""``stream/<stream id>/<measurement>``: frames that come in by a push, one channel per measurement (grafana-live §4).

A subscriber starts from the full last frame and then gets the schema only when it changed; the store decides which,
in the same step in which it takes the frame, so that two pushes at once cannot disagree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from live.channel import Channel
from live.conf import live_settings
from live.exceptions import PublicationTooLarge
from live.frames import EncodedFrame, Frame
from live.handlers.base import ChannelHandler, User
from live.publishing import apublish_encoded
from live.store import ChannelOptions

SCOPE = "stream"

_TURN = 50
"""Frames published before other work of the loop gets its turn: the memory store and layer never wait."""


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


def prepare_push(stream_id: str, frames: Sequence[Frame]) -> list[tuple[Channel, EncodedFrame]]:
    """The frames of one push with their channels, checked and encoded, ready for `publish_prepared`.

    Synchronous, so that a view can do this work in its own thread. Raises `InvalidChannel` when stream id and a
    frame's name make no channel, `PublicationTooLarge` when a frame is over ``LIVE["MAX_PUBLICATION_SIZE"]``.
    """
    prepared = []
    for frame in frames:
        channel = Channel(SCOPE, stream_id, frame.name or "")
        encoded = frame.encode()
        # The node would refuse it too, but only after the frames before it went out.
        if len(encoded.full) > live_settings.max_publication_size:
            raise PublicationTooLarge(
                f"the frame of {channel} has {len(encoded.full)} bytes, at most {live_settings.max_publication_size} "
                "are allowed: push fewer lines at once"
            )
        prepared.append((channel, encoded))
    return prepared


async def publish_prepared(prepared: Sequence[tuple[Channel, EncodedFrame]]) -> None:
    """Publishes what `prepare_push` made, in its order. Raises `EngineUnavailable`."""
    for number, (channel, encoded) in enumerate(prepared, 1):
        await apublish_encoded(channel, encoded.full, schema=encoded.schema, short=encoded.data)
        if number % _TURN == 0:
            await asyncio.sleep(0)


async def push_frames(stream_id: str, frames: Sequence[Frame]) -> None:
    """Publishes each frame to ``stream/<stream_id>/<frame's name>``; nothing when one of them cannot be.

    Raises what `prepare_push` and `publish_prepared` raise.
    """
    await publish_prepared(prepare_push(stream_id, frames))
