"""Publishing from anywhere: async code, views in threads, management commands, plain scripts.

Journey 1 of the design: handler's options, store, relay, hub. `publish` blocks and is for synchronous code; `apublish`
is its twin for async code.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

from live.channel import Channel
from live.exceptions import Forbidden
from live.handlers.registry import find_handler
from live.node import runtime
from live.node.control import NOBODY, ControlMessage, Survey, Wanted
from live.node.node import Node
from live.protocol import dump_json
from live.protocol.replies import client_info
from live.store import ActiveChannel, ChannelOptions, Draft, Position, Publication
from live.users import User, user_id

P = ParamSpec("P")
T = TypeVar("T")


def _as_channel(channel: Channel | str) -> Channel:
    return channel if isinstance(channel, Channel) else Channel.parse(channel)


def _position(publication: Publication) -> Position | None:
    return publication.position if publication.offset else None


def publish(channel: Channel | str, data: Any, *, idempotency_key: str = "") -> Position | None:
    """Publishes `data` (anything JSON) to `channel`; for synchronous code.

    Returns its position where the channel keeps history, else None. Raises `InvalidChannel`, `UnknownChannel`,
    `BadData` (no JSON, or too large), `EngineUnavailable`, and `SyncInAsync` inside a running event loop.
    The publisher's right to publish is the caller's to check: this is the server speaking.

    After `EngineUnavailable` nobody knows whether the publication was taken. Whoever tries again gives both attempts
    the same `idempotency_key` (any text): while the channel's history holds a publication with that key, another is
    not published, and the position of the first is returned.
    """
    draft = _draft(channel, data, idempotency_key)
    return _position(runtime.run(lambda node: node.publish_many([draft]))[0])


def publish_many(publications: Iterable[tuple[Channel | str, Any]]) -> list[Position | None]:
    """Publishes (channel, data) pairs in their order, many times faster than one by one; for synchronous code.

    Returns and raises what `publish` does. Nothing is published when one of them cannot be: a bad channel, or too
    large.
    """
    drafts = [_draft(channel, data, "") for channel, data in publications]
    return [_position(publication) for publication in runtime.run(lambda node: node.publish_many(drafts))]


async def apublish(channel: Channel | str, data: Any, *, idempotency_key: str = "") -> Position | None:
    """Publishes `data` (anything JSON) to `channel`; for async code. Like `publish`, without the blocking."""
    return (await publish_drafts([_draft(channel, data, idempotency_key)]))[0]


async def apublish_many(publications: Iterable[tuple[Channel | str, Any]]) -> list[Position | None]:
    """Publishes (channel, data) pairs in their order; for async code. Like `publish_many`, without the blocking."""
    return await publish_drafts([_draft(channel, data, "") for channel, data in publications])


def _draft(channel: Channel | str, data: Any, key: str) -> Draft:
    target = _as_channel(channel)
    return Draft(target, dump_json(data), find_handler(target).options, key=key)


def draft_encoded(
    channel: Channel,
    data: bytes,
    *,
    schema: bytes | None = None,
    short: bytes | None = None,
    info: bytes | None = None,
    key: str = "",
) -> Draft:
    """A draft of JSON that is encoded already, with what the channel's handler keeps.

    With `schema`, subscribers get `short` in place of `data` while the schema is that of the publication before; the
    store decides it in the same step in which it takes the publication. `info` says which client published, `key` is
    the `idempotency_key` of `publish`.
    """
    return Draft(channel, data, find_handler(channel).options, schema=schema, short=short, info=info, key=key)


async def publish_drafts(drafts: Sequence[Draft]) -> list[Position | None]:
    """Publishes drafts in their order; raises `PublicationTooLarge` and `EngineUnavailable`."""
    return [_position(publication) for publication in await runtime.arun(lambda node: node.publish_many(drafts))]


async def check_publication(user: User, channel: Channel, data: Any) -> tuple[bytes, ChannelOptions]:
    """What is published when `user` publishes `data`, and what the engine keeps of it.

    The channel's handler decides: raises `UnknownChannel`, `Forbidden`, `NotFound`, `BadData` or what it raises.
    """
    handler = find_handler(channel)
    if not await handler.can_publish(user, channel, data):
        raise Forbidden
    return dump_json(await handler.clean(user, channel, data)), handler.options


async def apublish_as(user: User, channel: Channel | str, data: Any, *, idempotency_key: str = "") -> Position | None:
    """Publishes `data` in the name of `user`, if the channel's handler lets this user; see `check_publication`."""
    target = _as_channel(channel)

    async def send(node: Node) -> Publication:
        payload, options = await check_publication(user, target, data)
        info = client_info(user_id(user), "")
        return await node.publish(target, payload, options, info=info, key=idempotency_key)

    return _position(await runtime.arun(send))


async def active_channels(prefix: str = "") -> list[LiveChannel]:
    """The channels something was published to lately or somebody subscribes to here, in the order of their names.

    With `prefix` only those whose name begins with it.
    """

    async def read(node: Node) -> list[LiveChannel]:
        return [
            LiveChannel(active, node.hub.subscriber_count(active.channel))
            for active in await node.active_channels()
            if str(active.channel).startswith(prefix)
        ]

    return await runtime.arun(read)


async def channel_info(channel: Channel) -> LiveChannel:
    """What is known of one channel; zeros where nobody published or subscribed."""

    async def read(node: Node) -> LiveChannel:
        found = await node.store.active(channel)
        return LiveChannel(found[0] if found else ActiveChannel(channel, 0), node.hub.subscriber_count(channel))

    return await runtime.arun(read)


class LiveChannel:
    """An active channel and the number of its subscribers on the node that was asked."""

    __slots__ = ("channel", "last_publication", "minute_rate", "schema", "subscribers")

    def __init__(self, active: ActiveChannel, subscribers: int) -> None:
        self.channel = active.channel
        self.minute_rate = active.minute_rate
        self.schema = active.schema
        self.last_publication = active.last_publication
        self.subscribers = subscribers


def run(function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a coroutine function on this process's node's loop and waits for it; for synchronous code like views.

    Raises `EngineUnavailable` when it takes longer than ``LIVE["PUBLISH_TIMEOUT"]``.
    """
    return runtime.run(lambda node: function(*args, **kwargs))


def control(message: ControlMessage) -> None:
    """Has every node do what `message` says with its clients; for synchronous code. Raises `EngineUnavailable`."""
    runtime.run(lambda node: node.control(message))


async def acontrol(message: ControlMessage) -> None:
    """Has every node do what `message` says with its clients; raises `EngineUnavailable`."""
    await runtime.arun(lambda node: node.control(message))


async def survey(channel: Channel | None = None, wanted: Wanted = NOBODY) -> Survey:
    """What every node has, and which did not answer within a second; raises `EngineUnavailable`.

    `channel`: they count its subscribers; `wanted`: which clients they list.
    """
    return await runtime.arun(lambda node: node.survey(channel, wanted=wanted))
