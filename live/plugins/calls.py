"""Asking plugins: with a limit in time and number, so that one that is wrong costs nobody but its own subscribers.

Every question to a plugin goes through `call`. It runs in a task of its own: one that does not answer is left behind,
also when it ignores its cancellation.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from live.channel import Channel
from live.exceptions import LiveError, PluginFailed
from live.plugins.failures import Failures, about_plugin
from live.plugins.watchdog import watched

logger = logging.getLogger("live.plugins")

T = TypeVar("T")

CALL_SECONDS = 10.0
"""How long a plugin may take to answer."""

MAX_CALLS = 1000
"""Questions one plugin may leave unanswered at once; more are refused, and clients ask again."""

_failures = Failures(logger)
_open: dict[str, set[asyncio.Task[Any]]] = {}
"""Unanswered questions by plugin id; kept here so that nothing collects a task that was left behind."""


def report_failure(
    plugin_id: str, text: str, *args: object, error: BaseException | None = None, channel: Channel | None = None
) -> None:
    """Logs that a plugin did something wrong, naming it; the same of the same plugin not more than once a minute."""
    _failures.report(
        (plugin_id, text), f"plugin %s {text}", plugin_id, *args, error=error, extra=about_plugin(plugin_id, channel)
    )


def open_calls(plugin_id: str) -> int:
    """Questions the plugin has not answered."""
    return len(_open.get(plugin_id, ()))


async def call(plugin_id: str, coroutine: Coroutine[Any, Any, T], *, channel: Channel | None = None) -> T:
    """What `coroutine`, a question to the plugin (about `channel`), returns.

    Raises errors of `live` that are meant for clients as they are (`NotFound`, `Forbidden`, `BadData`...), and
    `PluginFailed` for everything else that the plugin raises, which is logged, when it has not answered after
    `CALL_SECONDS`, and at once when `MAX_CALLS` are unanswered.
    """
    calls = _open.setdefault(plugin_id, set())
    if len(calls) >= MAX_CALLS:
        coroutine.close()
        report_failure(plugin_id, "has %d unanswered calls, more are refused", len(calls), channel=channel)
        raise PluginFailed(f"plugin {plugin_id} is busy, try again later")
    task = asyncio.get_running_loop().create_task(watched(plugin_id, coroutine), name=f"asking plugin {plugin_id}")
    calls.add(task)
    task.add_done_callback(calls.discard)
    # One that is cancelled before its first step never began.
    task.add_done_callback(lambda task: coroutine.close())
    try:
        await asyncio.wait([task], timeout=CALL_SECONDS)
    finally:
        # Also when whoever asked is gone: not waited for, as it may ignore that.
        if not task.done():
            task.cancel()
            task.add_done_callback(lambda task: _ended_late(plugin_id, task, channel))
    if not task.done():
        report_failure(plugin_id, "did not answer within %g s", CALL_SECONDS, channel=channel)
        raise PluginFailed(f"plugin {plugin_id} did not answer")
    return _result(plugin_id, task, channel)


def _result(plugin_id: str, task: asyncio.Task[T], channel: Channel | None) -> T:
    failure: BaseException | None = None
    try:
        return task.result()
    except LiveError as error:
        if error.is_answer:
            raise
        failure = error
    except asyncio.CancelledError:
        report_failure(plugin_id, "cancelled its own answer", channel=channel)
    except Exception as error:
        failure = error
    if failure is not None:
        report_failure(plugin_id, "failed to answer", error=failure, channel=channel)
    raise PluginFailed(f"plugin {plugin_id} failed, try again later") from None


def _ended_late(plugin_id: str, task: asyncio.Task[Any], channel: Channel | None) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        report_failure(plugin_id, "failed after it was given up", error=error, channel=channel)
