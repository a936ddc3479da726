"""``plugin/<id>/<path>`` and ``ds/<uid>/<path>``: what plugins make while somebody watches (grafana-live §6).

The plugin decides who may watch and publish; for a data source, whether the user may query it is asked before. The
first subscriber anywhere starts the run (`live.plugins.runner`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from live.channel import Channel
from live.conf import live_settings
from live.exceptions import EngineUnavailable, Forbidden, NotFound, PluginFailed
from live.frames import EncodedFrame, Frame
from live.handlers.base import Admission, ChannelHandler
from live.node import current_node
from live.plugins.base import DataSource, StreamAnswer, StreamPlugin, StreamRequest, StreamStatus
from live.plugins.calls import call, report_failure
from live.plugins.registry import find_plugin
from live.plugins.runner import runner_of
from live.plugins.sources import find_source
from live.protocol import dump_json
from live.store import ChannelOptions
from live.users import User

PLUGINS = "plugin"
"""The scope of channels whose namespace is the id of a plugin."""
DATA_SOURCES = "ds"
"""The scope of channels whose namespace is the uid of a data source."""

Method = Callable[[StreamRequest], Awaitable[StreamAnswer]]


class PluginHandler(ChannelHandler):
    """Asks the plugin; subscribers can see who else watches."""

    keep_last = True
    allow_history = True
    presence = True

    @property
    def options(self) -> ChannelOptions:
        """The last frame, and a history as long as ``LIVE`` says for streams."""
        return ChannelOptions(live_settings.stream_history_size, live_settings.stream_history_ttl, keep_last=True)

    async def admit(self, user: User, channel: Channel, data: Any) -> Admission:
        """The plugin's yes, and its run; its no is 404 or 403, its failure 100, after which clients ask again."""
        target = await find_target(user, channel)
        answer = await target.may_watch(user, data)
        initial = None if answer.data is None else target.encode_initial(answer.data)
        node = current_node()
        if node is None:
            raise EngineUnavailable(f"no node serves this process, nothing can run {channel}")
        await runner_of(node).watch(channel, data)
        return Admission(initial)

    async def can_subscribe(self, user: User, channel: Channel, data: Any) -> bool:
        """Whether the plugin lets the user watch; nothing starts."""
        await (await find_target(user, channel)).may_watch(user, data)
        return True

    async def can_publish(self, user: User, channel: Channel, data: Any) -> bool:
        """Everything is asked in `clean`: the plugin says in one answer whether, and what in place of the data."""
        return True

    async def clean(self, user: User, channel: Channel, data: Any) -> Any:
        """What the plugin publishes for `data`; raises where the user may not."""
        target = await find_target(user, channel)
        answer = await target.may_publish(user, data)
        return data if answer.data is None else target.encode(answer.data)


@dataclass(frozen=True, slots=True)
class Target:
    """What answers for one channel: a plugin and, in channels ``ds/...``, the data source."""

    channel: Channel
    plugin_id: str
    plugin: StreamPlugin
    source: DataSource | None = None

    async def may_watch(self, user: User, data: Any) -> StreamAnswer:
        """The plugin's yes to a subscriber; raises `NotFound`, `Forbidden` or `PluginFailed`."""
        return await self._ask(self.plugin.subscribe_stream, user, data)

    async def may_publish(self, user: User, data: Any) -> StreamAnswer:
        """The plugin's yes to a publisher; raises `NotFound`, `Forbidden` or `PluginFailed`."""
        return await self._ask(self.plugin.publish_stream, user, data)

    async def _ask(self, method: Method, user: User, data: Any) -> StreamAnswer:
        request = StreamRequest(self.channel, data, user, self.source)
        answer = await call(self.plugin_id, _answer(method, request), channel=self.channel)
        match answer.status:
            case StreamStatus.OK:
                return answer
            case StreamStatus.NOT_FOUND:
                raise NotFound(answer.message)
            case _:
                raise Forbidden(answer.message)

    def encode_initial(self, value: Any) -> orjson.Fragment:
        """What a subscriber gets first, as JSON; raises `PluginFailed` for what is no JSON or too large."""
        schema_only = isinstance(value, Frame) and not len(value)
        data = self._try(Frame.schema_json if schema_only else to_json, value)
        limit = live_settings.max_publication_size
        if len(data) > limit:
            text = "gave initial data of %d bytes, at most %d are allowed"
            report_failure(self.plugin_id, text, len(data), limit, channel=self.channel)
            raise PluginFailed(f"plugin {self.plugin_id} gave too much initial data")
        return orjson.Fragment(data)

    def encode(self, value: Any) -> orjson.Fragment:
        """A frame or other data of the plugin as JSON; raises `PluginFailed` for what is no JSON."""
        return orjson.Fragment(self._try(to_json, value))

    def _try(self, dump: Callable[[Any], bytes], value: Any) -> bytes:
        try:
            return dump(value)
        except (TypeError, ValueError) as error:
            report_failure(self.plugin_id, "gave data that is not JSON", error=error, channel=self.channel)
            raise PluginFailed(f"plugin {self.plugin_id} gave data that is not JSON") from None


async def find_target(user: User, channel: Channel) -> Target:
    """The plugin that answers for `channel`, and the data source where it names one, which `user` may query.

    Raises `NotFound`, `Forbidden`, and `PluginFailed` for a data source that cannot be read.
    """
    if channel.scope != DATA_SOURCES:
        return Target(channel, channel.namespace, find_plugin(channel.namespace))
    source = await find_source(channel.namespace, user)
    return Target(channel, source.plugin, find_plugin(source.plugin), source)


async def _answer(method: Method, request: StreamRequest) -> StreamAnswer:
    """The plugin's answer. Everything of the plugin's happens in here, where `call` has its limits around it."""
    answer: Any = await method(request)
    if not isinstance(answer, StreamAnswer) or not isinstance(answer.status, StreamStatus):
        raise TypeError(f"a StreamAnswer is expected of {getattr(method, '__qualname__', method)}, not {answer!r}")
    return answer


def to_json(value: Any) -> bytes:
    """A frame, an encoded one or anything JSON as JSON; raises `TypeError` or `ValueError`."""
    match value:
        case Frame():
            return value.full_json()
        case EncodedFrame():
            return value.full
        case _:
            return dump_json(value)
