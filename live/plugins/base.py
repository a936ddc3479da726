"""The plugin API: what a project writes to make the frames of ``plugin/<id>/<path>`` and ``ds/<uid>/<path>``.

A plugin answers three questions (grafana-live §6): who may watch, who may publish, and what there is to see. The last
one runs as long as somebody watches, once in the whole cluster. This module holds values and a base class; it needs no
Django, and nothing of it runs anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from live.channel import Channel
from live.frames import EncodedFrame, Frame

if TYPE_CHECKING:
    from live.users import User

_NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})

Run = Awaitable[None] | Iterator[Any] | AsyncIterator[Any]
"""What `StreamPlugin.run_stream` may return: a coroutine, a generator or an async generator of frames or JSON."""


class StreamStatus(StrEnum):
    """What a plugin answers to a subscriber or a publisher."""

    OK = "ok"
    """Go on."""
    NOT_FOUND = "not found"
    """There is no such path; the client is told 404."""
    PERMISSION_DENIED = "permission denied"
    """Not this user; the client is told 403."""


@dataclass(frozen=True, slots=True)
class DataSource:
    """A configured source of data: the plugin that reads it, and with which settings."""

    uid: str
    """Names it in channels: ``ds/<uid>/<path>``."""
    plugin: str
    """The id of its plugin."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the plugin needs to reach it. For the plugin only: never told to clients."""
    name: str = ""
    """For people."""


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What a plugin is asked about."""

    channel: Channel
    data: Any = None
    """What the client sent along, any JSON or None: with subscribe, with publish, or with the subscribe that started
    the run."""
    user: User | None = None
    """Who asks; None in `StreamPlugin.run_stream`, which runs for all subscribers."""
    source: DataSource | None = None
    """The data source, in channels ``ds/...``."""

    @property
    def path(self) -> str:
        """What the channel names behind the plugin's id or the data source's uid."""
        return self.channel.path

    @property
    def settings(self) -> Mapping[str, Any]:
        """The data source's settings; empty in channels ``plugin/...``."""
        return _NO_SETTINGS if self.source is None else self.source.settings


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """A plugin's answer to a subscriber or a publisher."""

    status: StreamStatus = StreamStatus.OK
    data: Any = None
    """A `Frame` or any JSON. To a subscriber: what it gets first where the channel has no last value; a frame without
    rows goes out as its schema alone. To a publisher: what is published in place of what it sent."""
    message: str = ""
    """Why not, for the client; empty: the usual text."""


@dataclass(frozen=True, slots=True)
class StreamOffer:
    """A path that a plugin has to offer: shown in the list of channels before anybody watches it."""

    path: str
    minute_rate: int = 0
    """Publications a minute while somebody watches."""
    schema: Frame | None = None
    """A frame with the columns to expect; what is in them does not matter."""


class StreamSender(Protocol):
    """How a run gives out what it has."""

    async def send(self, value: Frame | EncodedFrame | Any) -> None:
        """Publishes a frame, or anything JSON, to all subscribers on all nodes; the schema goes out when it changed.

        Returns when the store has it, and not before the stream may send again (``PLUGIN_FRAMES_PER_SECOND``): a run
        that awaits each send can never get ahead of the site. Raises `live.BadData` for what is no JSON,
        `live.PublicationTooLarge`, `live.EngineUnavailable` while the store cannot be reached, and `live.LeaseLost`
        when another node runs the stream by now.
        """


class StreamPlugin:
    """Makes the frames of ``plugin/<id>/<path>``, and of the data sources that name it. Subclass it and register it.

    One instance a process answers for all channels of the plugin, so keep nothing about a channel or a user on
    ``self`` that another could see. The methods run on the event loop, which a method that blocks stops for everybody:
    reach the ORM with its async methods (``aget``, ``acount``...) or through ``database_sync_to_async``, and write
    `run_stream` as a plain generator where it has to wait for something synchronous. What a plugin raises is logged
    with its id; `live.NotFound`, `live.Forbidden` and other errors of `live` are told to the client as they are.
    """

    async def subscribe_stream(self, request: StreamRequest) -> StreamAnswer:
        """Whether `request.user` may watch the path, and what it gets first. Asked for every subscriber.

        Asked again when the user's permissions changed, and for the list of channels. Nobody may unless a plugin says
        so; that the user may query the data source is checked before.
        """
        return StreamAnswer(StreamStatus.PERMISSION_DENIED)

    async def publish_stream(self, request: StreamRequest) -> StreamAnswer:
        """Whether `request.user` may publish `request.data` to the path, and what is published in its place."""
        return StreamAnswer(StreamStatus.PERMISSION_DENIED)

    if TYPE_CHECKING:

        def run_stream(self, request: StreamRequest, *args: Any, **kwargs: Any) -> Run:
            """See below; this says to type checkers which three forms there are."""

    else:

        async def run_stream(self, request: StreamRequest, sender: StreamSender) -> None:
            """Makes the channel's frames, as long as somebody watches; cancelled when nobody does.

            Three forms: ``async def run_stream(self, request, sender)`` that calls ``await sender.send(frame)``; an
            async generator ``async def run_stream(self, request)`` that yields frames; a plain generator
            ``def run_stream(self, request)``, which runs in a thread of its own and may block.

            One run at a time in the whole cluster. What it raises is logged, and it is started again, after a pause
            when it fails quickly. When it returns, the stream has ended until somebody subscribes again. Without one
            of its own a plugin's stream ends at once: what there is to see is what clients publish.
            """

    def offers(self, source: DataSource | None) -> Sequence[StreamOffer]:
        """The paths worth showing before anybody watches: of ``plugin/<id>``, or of `source`. Must not block."""
        return ()
