"""The tasks that a node runs beside: kept, ended with it, and nobody's but its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

from live.exceptions import EngineUnavailable
from live.logs import about

logger = logging.getLogger("live.node")

T = TypeVar("T")


def start_task(coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Runs `coroutine` in a task named `name`, in an empty context; the caller keeps it.

    In the caller's, which may be a request, asgiref would run what the task asks of synchronous code in the thread of
    that request, which cannot end before that thread is idle.
    """
    return asyncio.get_running_loop().create_task(coroutine, name=name, context=Context())


class Tasks:
    """Those of one `node`, which is its id."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Runs `coroutine`; keeps its task, and logs its failure under `name`."""
        task = start_task(coroutine, name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def stop(self) -> None:
        """Cancels all of them and waits for their end."""
        pending = list(self._tasks)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, EngineUnavailable):
            logger.warning("%s: %s", task.get_name(), error, extra=about(node=self._node))
        else:
            logger.error("%s failed", task.get_name(), exc_info=error, extra=about(node=self._node))
