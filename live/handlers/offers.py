"""Which channels of plugins there are for a user to watch: on offer, or active (grafana-live §2.5).

A plugin that is wrong, or slow to say who may watch, costs only its own entries.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import islice

from live.channel import Channel
from live.exceptions import LiveError, NotFound, PluginFailed
from live.handlers.plugin import DATA_SOURCES, PLUGINS, PluginHandler, Target
from live.handlers.registry import find_handler
from live.plugins.base import DataSource, StreamOffer, StreamPlugin
from live.plugins.calls import call, report_failure
from live.plugins.failures import Failures
from live.plugins.registry import find_plugin, plugin_ids
from live.plugins.sources import list_sources
from live.users import User

_failures = Failures(logging.getLogger("live.plugins"))

MAX_OFFERS = 100
"""Offers that are taken from one plugin or data source."""

ASKED_AT_ONCE = 20
"""Questions about who may watch that are open at the same time."""

ASK_SECONDS = 1.5
"""How long all answers together may take; what is not answered by then is not listed."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A channel that could be watched."""

    channel: Channel
    minute_rate: int
    """Publications a minute it would have."""
    schema: bytes | None
    """JSON of a schema-only frame."""


def is_plugin_channel(channel: Channel) -> bool:
    """Whether a plugin answers for it."""
    try:
        return isinstance(find_handler(channel), PluginHandler)
    except LiveError:
        return False


async def visible_offers(user: User, prefix: str = "") -> list[Offer]:
    """What plugins and data sources offer that `user` may watch, of channels whose name begins with `prefix`."""
    found: dict[Channel, tuple[Target, Offer]] = {}
    for scope, namespace, plugin_id, source in await _givers(user, prefix):
        try:
            plugin = find_plugin(plugin_id)
        except NotFound:
            continue
        for offer in await _offers_of(plugin_id, plugin, scope, namespace, source):
            if str(offer.channel).startswith(prefix) and is_plugin_channel(offer.channel):
                found[offer.channel] = (Target(offer.channel, plugin_id, plugin, source), offer)
    yes = await _answered({channel: _asking(target, user) for channel, (target, _) in found.items()})
    return [offer for channel, (_, offer) in found.items() if channel in yes]


async def watchable(user: User, channels: Collection[Channel]) -> set[Channel]:
    """Those of the `channels` of plugins that `user` may watch."""

    def ask(channel: Channel) -> Callable[[], Awaitable[object]]:
        return lambda: find_handler(channel).can_subscribe(user, channel, None)

    return await _answered({channel: ask(channel) for channel in channels})


async def _givers(user: User, prefix: str) -> list[tuple[str, str, str, DataSource | None]]:
    """Scope, namespace, plugin id and data source of whatever may offer something."""
    found: list[tuple[str, str, str, DataSource | None]] = []
    if _fits(PLUGINS, prefix):
        found += [(PLUGINS, plugin_id, plugin_id, None) for plugin_id in plugin_ids()]
    if _fits(DATA_SOURCES, prefix):
        sources = await list_sources(user)
        found += [(DATA_SOURCES, source.uid, source.plugin, source) for source in sources]
    return found


def _fits(scope: str, prefix: str) -> bool:
    start = f"{scope}/"
    return start.startswith(prefix) or prefix.startswith(start)


async def _offers_of(
    plugin_id: str, plugin: StreamPlugin, scope: str, namespace: str, source: DataSource | None
) -> list[Offer]:
    async def read() -> list[Offer]:
        # All that is the plugin's happens in here, also where a schema cannot be encoded.
        offers: list[StreamOffer] = list(islice(plugin.offers(source), MAX_OFFERS))
        return [
            Offer(
                Channel(scope, namespace, offer.path),
                int(offer.minute_rate),
                None if offer.schema is None else offer.schema.schema_json(),
            )
            for offer in offers
        ]

    try:
        return await call(plugin_id, read())
    except PluginFailed:
        return []
    except LiveError as error:
        report_failure(plugin_id, "offers what cannot be", error=error)
        return []


def _asking(target: Target, user: User) -> Callable[[], Awaitable[object]]:
    return lambda: target.may_watch(user, None)


async def _answered(questions: Mapping[Channel, Callable[[], Awaitable[object]]]) -> set[Channel]:
    """The channels whose question was answered with yes, and in time."""
    places = asyncio.Semaphore(ASKED_AT_ONCE)
    yes = set()

    async def ask(channel: Channel, question: Callable[[], Awaitable[object]]) -> None:
        async with places:
            try:
                await question()
            except LiveError:
                return
            except Exception as error:
                # Of a project: the rule of a data source, the database.
                text = "%s is not listed, who may watch it could not be found out"
                _failures.report((channel.scope, channel.namespace), text, channel, error=error)
                return
            yes.add(channel)

    try:
        async with asyncio.timeout(ASK_SECONDS), asyncio.TaskGroup() as group:
            for channel, question in questions.items():
                group.create_task(ask(channel, question))
    except TimeoutError:
        text = "channels of plugins are not listed that did not answer within %g s"
        _failures.report("late", text, ASK_SECONDS, level=logging.WARNING)
    return yes
