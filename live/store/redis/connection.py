"""One connection to one Redis, for one event loop: made when it is needed, and made anew when it was lost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from redis import exceptions as redis_errors

from live.exceptions import EngineUnavailable
from live.store.redis.scripts import Command
from live.store.redis.topology import Host
from live.waiting import within

IDLE_SECONDS = 60.0
"""Seconds after which a connection that nobody used is replaced: firewalls forget them without telling."""


class Unreachable(Exception):
    """A host did not answer; `__cause__` is the reason."""


def unavailable(what: str, cause: BaseException | None = None) -> EngineUnavailable:
    """The error callers get: it names what failed and how, and neither addresses nor values."""
    failure = EngineUnavailable(f"the store {what}, try again later")
    failure.__cause__ = cause
    return failure


class Connection:
    """Asks one host; not for two tasks at once."""

    def __init__(self, host: Host) -> None:
        self._pool = host.pool()
        self._connection: Any = None
        self._used = 0.0

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The answers in their order; one that is an error is a `ResponseError` in the list.

        Where the connection is lost, or Redis is not the primary any more or not yet, what has no answer is given once
        more, at once: commands must bear being done twice. Raises `Unreachable` when that fails too or time runs out.
        """
        answers: list[Any] = [None] * len(commands)
        lost: BaseException | None = None
        for _ in range(2):
            try:
                await self._round_trip(commands, answers)
                if any(isinstance(answer, redis_errors.NoScriptError) for answer in answers):
                    await self._round_trip(commands, answers, load=True)
            except (TimeoutError, redis_errors.TimeoutError) as error:
                # Not once more: everybody would wait twice as long.
                await self._drop()
                raise Unreachable from error
            except (redis_errors.RedisError, OSError) as error:
                lost = error
            else:
                lost = next((answer for answer in answers if _is_not_now(answer)), None)
            if lost is None:
                return answers
            await self._drop()
        raise Unreachable from lost

    async def _round_trip(self, commands: Sequence[Command], answers: list[Any], *, load: bool = False) -> None:
        """Gives the commands that have no valid answer yet."""
        places = [place for place, answer in enumerate(answers) if answer is None or _is_refused(answer)]
        packed = [commands[place].packed for place in places]
        scripts = {command.script for command in commands if load and command.script is not None}
        connection = await self._connected()
        async with within(self._pool.socket_timeout):
            await connection.send_packed_command([*(script.loading() for script in scripts), *packed])
            for _ in scripts:
                await connection.read_response()
            for place in places:
                try:
                    answer = await connection.read_response()
                except redis_errors.ResponseError as error:
                    answer = error
                answers[place] = b"" if answer is None else answer
        self._used = time.monotonic()

    async def _connected(self) -> Any:
        if self._connection is not None and time.monotonic() - self._used > IDLE_SECONDS:
            await self.close()
        if self._connection is None:
            connection = self._pool.connection()
            try:
                # Sentinels are asked first, of which some may not answer.
                async with within(self._pool.connect_timeout + self._pool.socket_timeout):
                    await connection.connect()
            except BaseException:
                await _disconnect(connection, nowait=True)
                raise
            # One limit for the whole round trip; redis-py's own, for each answer, costs more than the answer.
            connection.socket_timeout = None
            self._connection = connection
        return self._connection

    async def _drop(self) -> None:
        """Leaves a connection that something is wrong with; nobody waits for the other end to notice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await _disconnect(connection, nowait=True)

    async def close(self) -> None:
        """Closes the connection; the next command makes another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await _disconnect(connection, nowait=False)
        await self._pool.close()


async def _disconnect(connection: Any, *, nowait: bool) -> None:
    try:
        await connection.disconnect(nowait=nowait)
    except (redis_errors.RedisError, OSError):
        pass


def _is_not_now(answer: Any) -> bool:
    """Whether Redis is not the primary, so that nothing was done; Redis 6 says it within a text on the script."""
    return isinstance(answer, (redis_errors.ReadOnlyError, redis_errors.MasterDownError)) or (
        isinstance(answer, redis_errors.ResponseError) and "READONLY" in str(answer)
    )


def _is_refused(answer: Any) -> bool:
    return isinstance(answer, redis_errors.NoScriptError) or _is_not_now(answer)
