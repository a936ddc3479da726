"""What a handler does wrong: told to its client as a failure that may pass, and to its author in the log.

Clients ask again, later and later but for ever, and all of them do: the same mistake is logged once with its traceback,
then at most once a minute.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from live.channel import Channel
from live.exceptions import LiveError
from live.handlers import find_handler
from live.node.relay import Body
from live.plugins.failures import Failures

if TYPE_CHECKING:
    from live.client.client import Client
    from live.node import Node
    from live.protocol import Command

logger = logging.getLogger("live.client")


class HandlerFailed(LiveError):
    """What a client is told of a mistake: nothing, but that it may try again."""

    temporary = True


class Mistakes:
    """Those of the handlers of one `node`'s clients; lives with the node, as its companion."""

    def __init__(self, node: Node) -> None:
        self.failures = Failures(logger)

    async def stop(self) -> None:
        """Nothing to end."""

    def take(self, body: Body) -> None:
        """Messages are for other companions."""


def being_cancelled() -> bool:
    """Whether somebody ends the running task: if not, a `CancelledError` is that of something a handler awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def answer(client: Client, command: Command, error: BaseException) -> LiveError:
    """What `client` is told when `command` raised `error`, which is logged unless it is meant for the client.

    Those of `live` mostly are; not that of `publish()` in place of `apublish()`.
    """
    if isinstance(error, LiveError) and error.is_answer:
        return error
    report(client, type(command).__name__.lower(), str(getattr(command, "channel", "")), error)
    return HandlerFailed()


def report(client: Client, what: str, channel: Channel | str, error: BaseException) -> None:
    """Logs that `what`, done for the client, failed; series of the same failure of the same handler are cut short."""
    try:
        handler = type(find_handler(Channel.parse(str(channel))))
    except LiveError:
        handler = None
    client.node.companion(Mistakes).failures.report(
        (what, handler, type(error)),
        "%s of client %s failed",
        what,
        client.id,
        error=error,
        extra=client.about(channel=channel),
    )
