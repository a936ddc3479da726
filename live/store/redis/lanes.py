"""Queues before a connection: what is asked for while a round trip is under way goes out together in the next."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from live.exceptions import EngineUnavailable
from live.store.redis.connection import Connection, Unreachable, unavailable
from live.store.redis.scripts import Command
from live.store.redis.topology import Host

MAX_COMMANDS = 50
"""Commands of one round trip."""

MAX_WAITING = 20_000
"""Commands that may wait; one more is refused."""


def refused(what: str, answer: ResponseError) -> EngineUnavailable:
    """The error for an answer that is one; only its first word is told, as the rest may hold values."""
    word = next(iter(str(answer).split()), "")
    code = word if word.isupper() else type(answer).__name__
    return unavailable(f"refused {what} ({code})", answer)


class Lane(ABC):
    """A queue with a connection and a task that lives while something waits.

    `failed` is told when the host cannot be reached; then everything that waits fails.
    """

    def __init__(self, host: Host, failed: Callable[[BaseException], None]) -> None:
        self._connection = Connection(host)
        self._failed = failed
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def _check(self) -> None:
        """Raises `EngineUnavailable` when nothing more is taken."""
        if self._closed:
            raise unavailable("is closed")

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="live store")

    async def _run(self) -> None:
        try:
            while self._waiting():
                await self._turn()
        except Unreachable as error:
            cause = error.__cause__ or error
            self._failed(cause)
            self._fail(lambda: unavailable(f"cannot be reached ({type(cause).__name__})", cause))
        except asyncio.CancelledError:
            self._fail(lambda: unavailable("is closed"))
            raise
        except Exception as error:
            # A mistake of ours: told to whoever waits.
            mistake = error
            self._fail(lambda: mistake)
        finally:
            self._task = None

    @abstractmethod
    def _waiting(self) -> bool:
        """Whether something waits."""

    @abstractmethod
    async def _turn(self) -> None:
        """One round trip with what waits. What it took counts as waiting until it is answered."""

    @abstractmethod
    def _fail(self, failure: Callable[[], BaseException]) -> None:
        """Answers everything that waits with an error."""

    async def close(self) -> None:
        """Ends what is under way, and the connection."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._fail(lambda: unavailable("is closed"))
        await self._connection.close()


class _Asked(NamedTuple):
    command: Command
    answer: asyncio.Future[Any]
    read: Callable[[Any], Any]
    key: Hashable


class CommandLane(Lane):
    """Single commands, in their order."""

    def __init__(self, host: Host, failed: Callable[[BaseException], None]) -> None:
        super().__init__(host, failed)
        self._queue: deque[_Asked] = deque()
        # Questions that are not under way yet: whoever asks the same may have the same answer.
        self._shared: dict[Hashable, asyncio.Future[Any]] = {}

    async def ask(self, command: Command, read: Callable[[Any], Any], *, key: Hashable = None) -> Any:
        """What `read` makes of the answer; those with the same `key` may get one answer together."""
        self._check()
        if key is not None and (shared := self._shared.get(key)) is not None:
            return await asyncio.shield(shared)
        if len(self._queue) >= MAX_WAITING:
            raise unavailable("has too much to do")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        # Nobody may be left to see how it ends.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._queue.append(_Asked(command, answer, read, key))
        if key is not None:
            self._shared[key] = answer
        self._start()
        # Whoever shares it goes on waiting when this caller does not.
        return await (answer if key is None else asyncio.shield(answer))

    def _waiting(self) -> bool:
        return bool(self._queue)

    async def _turn(self) -> None:
        asked = [self._queue[place] for place in range(min(MAX_COMMANDS, len(self._queue)))]
        for one in asked:
            self._shared.pop(one.key, None)
        answers = await self._connection.ask([one.command for one in asked])
        for one, answer in zip(asked, answers, strict=True):
            self._queue.popleft()
            if one.answer.done():
                continue
            if isinstance(answer, ResponseError):
                one.answer.set_exception(refused(one.command.name, answer))
                continue
            try:
                one.answer.set_result(one.read(answer))
            except Exception as error:
                one.answer.set_exception(error)

    def _fail(self, failure: Callable[[], BaseException]) -> None:
        self._shared.clear()
        while self._queue:
            answer = self._queue.popleft().answer
            if not answer.done():
                answer.set_exception(failure())
