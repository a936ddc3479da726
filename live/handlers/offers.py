"""Which channels there are for a user to watch: on offer by a plugin, or active (grafana-live §2.5).

A handler or a plugin that is wrong, or slow to say who may watch, costs only its own entries. One that says that it
cannot tell now, with a temporary error, is believed: then nobody knows what there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

from live.channel import Channel
from live.exceptions import LiveError, NotFound, PluginFailed, UnknownChannel
from live.handlers.base import ChannelHandler
from live.handlers.plugin import DATA_SOURCES, PLUGINS, PluginHandler, Target
from live.handlers.registry import find_handler
from live.logs import about
from live.node.tasks import start_task
from live.plugins.base import DataSource, StreamOffer, StreamPlugin
from live.plugins.calls import call, report_failure
from live.plugins.failures import Failures
from live.plugins.registry import find_plugin, plugin_ids
from live.plugins.sources import list_sources
from live.users import User

logger = logging.getLogger("live.api")

_failures = Failures(logger)

MAX_OFFERS = 100
"""Offers that are taken from one plugin or data source."""

ASKED_AT_ONCE = 20
"""Questions about who may watch that are open at the same time, to each handler."""

ASK_SECONDS = 1.5
"""How long all answers together may take; what is not answered by then is not listed."""


MAX_LATE = 5 * ASKED_AT_ONCE
"""Questions that one handler may leave unanswered for good; then it is not asked until some have come back."""

Question = Callable[[], Awaitable[bool]]
Questions = dict[type[ChannelHandler], list[tuple[Channel, Question]]]
"""By the classes of the handlers, of which there is one object each."""

_late: dict[asyncio.Task[None], type[ChannelHandler]] = {}
"""Those that were given up and have not ended yet."""


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
    questions: Questions = {}
    for channel, (target, _) in found.items():
        questions.setdefault(type(find_handler(channel)), []).append((channel, partial(_lets_watch, target, user)))
    yes = await _answered(questions)
    return [offer for channel, (_, offer) in found.items() if channel in yes]


async def watchable(user: User, channels: Collection[Channel]) -> set[Channel]:
    """Those of the `channels` that `user` may watch; of those that nobody answers for, none.

    Raises `EngineUnavailable` when a handler says so.
    """
    questions: Questions = {}
    # In order, so that where there are too many it is the same ones that are listed.
    for channel in sorted(channels, key=str):
        with contextlib.suppress(UnknownChannel):
            handler = find_handler(channel)
            question = partial(handler.can_subscribe, user, channel, None)
            questions.setdefault(type(handler), []).append((channel, question))
    return await _answered(questions)


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


async def _lets_watch(target: Target, user: User) -> bool:
    await target.may_watch(user, None)
    return True


async def _answered(questions: Questions) -> set[Channel]:
    """The channels whose question was answered with yes, and in time; raises what is temporary, except of plugins.

    No handler waits for another. One that does not even let itself be cancelled is left behind.
    """
    yes: set[Channel] = set()
    tasks: dict[asyncio.Task[None], type[ChannelHandler]] = {}
    for handler, waiting in questions.items():
        places = min(len(waiting), ASKED_AT_ONCE, MAX_LATE - list(_late.values()).count(handler))
        if places <= 0:
            text = "channels of %s are not listed, it does not come back from %d questions who may watch them"
            _failures.report(("stuck", handler), text, handler.__qualname__, MAX_LATE)
        queue = iter(waiting)
        for _ in range(places):
            task = start_task(_ask(handler, queue, yes), "live asks who may watch")
            task.add_done_callback(_ended)
            tasks[task] = handler
    if not tasks:
        return yes
    try:
        done, late = await asyncio.wait(tasks, timeout=ASK_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            # What one handler said stands for all that could not be decided.
            if not task.cancelled():
                task.result()
    finally:
        for task, handler in tasks.items():
            if not task.done():
                _late[task] = handler
                task.cancel()
    if late:
        text = "channels are not listed that did not answer within %g s"
        _failures.report("late", text, ASK_SECONDS, level=logging.WARNING)
    return set(yes)


def _ended(task: asyncio.Task[None]) -> None:
    _late.pop(task, None)
    if not task.cancelled():
        # Nobody may be left to see it.
        task.exception()


async def _ask(handler: type[ChannelHandler], queue: Iterator[tuple[Channel, Question]], yes: set[Channel]) -> None:
    """Asks one question of the queue after the other."""
    task = asyncio.current_task()
    for channel, question in queue:
        failure: BaseException | None = None
        try:
            if await question():
                yes.add(channel)
        except LiveError as error:
            if error.temporary and not issubclass(handler, PluginHandler):
                # Left out it would look as if it were refused.
                raise
            failure = None if error.is_answer else error
        except asyncio.CancelledError as error:
            if task is None or task.cancelling():
                raise
            failure = error
        except Exception as error:
            # Of a project: a rule, the database.
            failure = error
        if failure is not None:
            text = "%s is not listed, who may watch it could not be found out"
            extra = about(channel=channel)
            _failures.report((channel.scope, channel.namespace), text, channel, error=failure, extra=extra)
        if task is None or task.cancelling():
            # It was left behind, and came back from this one.
            return
        # Many of them answer without waiting for anything.
        await asyncio.sleep(0)
