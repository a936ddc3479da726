"""Plain generators of plugins: each runs in a thread of its own, and may block there as it likes.

A thread cannot be ended from outside. One whose generator does not come back is left behind: its next value goes
nowhere, and then it ends. So there is a limit to how many there are, those included.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from django.db import Error as DatabaseFailure
from django.db import connections

from live.exceptions import LimitExceeded

logger = logging.getLogger("live.plugins")

MAX_THREADS = 100
"""Generators that run in this process at once."""

Send = Callable[[Any], Coroutine[Any, Any, None]]

_threads: set[_Thread] = set()
_lock = threading.Lock()


def thread_count() -> int:
    """Threads of generators in this process, also those left behind."""
    return len(_threads)


async def run_in_thread(values: Iterator[Any], send: Send, name: str) -> None:
    """Gives each of `values`, which are made in a thread, to the coroutine function `send`, which runs here.

    The next value is asked for when `send` has returned. What `send` raises is raised in the generator where it
    yielded. Raises what the generator raises, and `LimitExceeded` when there are `MAX_THREADS` already or the system
    gives no more. Cancelled, it waits for the generator to come back, as long as nobody cancels it again.
    """
    with _lock:
        if len(_threads) >= MAX_THREADS:
            raise LimitExceeded(f"this process runs {MAX_THREADS} plain generators already, which is the limit")
        thread = _Thread(values, send, name)
        _threads.add(thread)
    try:
        thread.start()
    except (RuntimeError, MemoryError) as error:
        with _lock:
            _threads.discard(thread)
        raise LimitExceeded(f"this process can start no more threads: {error}") from error
    try:
        await asyncio.shield(thread.ended)
    except asyncio.CancelledError:
        thread.stop()
        await asyncio.wait([thread.ended])
        raise


class _Thread(threading.Thread):
    """Runs one generator."""

    def __init__(self, values: Iterator[Any], send: Send, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._values = values
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._given_up = threading.Event()
        self._sending: concurrent.futures.Future[None] | None = None
        self.ended: asyncio.Future[None] = self._loop.create_future()
        # Nobody may be left to see how it ends.
        self.ended.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    def stop(self) -> None:
        """Nothing it yields from now on is sent."""
        self._given_up.set()
        if self._sending is not None:
            self._sending.cancel()

    def run(self) -> None:
        failure: BaseException | None = None
        try:
            self._give()
        except BaseException as error:
            # Also SystemExit: this is a thread of ours, not the plugin's process.
            failure = error
        finally:
            with _lock:
                _threads.discard(self)
            try:
                # Those that the generator opened in this thread.
                connections.close_all()
            except DatabaseFailure as error:
                logger.warning("a generator's connection to the database could not be closed: %r", error)
        with contextlib.suppress(RuntimeError):
            # The loop may be closed by now.
            self._loop.call_soon_threadsafe(self._settle, failure)

    def _give(self) -> None:
        values = self._values
        try:
            value = next(values)
            while not self._given_up.is_set():
                error = self._sent(value)
                if self._given_up.is_set():
                    return
                if error is None:
                    value = next(values)
                    continue
                throw = getattr(values, "throw", None)
                if throw is None:
                    raise error
                value = throw(error)
        except StopIteration:
            return
        finally:
            if (close := getattr(values, "close", None)) is not None:
                close()

    def _sent(self, value: Any) -> Exception | None:
        """Sends it; what `send` raised. Cancelled, the generator is stopped."""
        coroutine = self._send(value)
        try:
            sending = self._sending = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            # The loop is closed: nobody is there any more.
            coroutine.close()
            self._given_up.set()
            return None
        if self._given_up.is_set():
            sending.cancel()
        try:
            sending.result()
        except concurrent.futures.CancelledError:
            self._given_up.set()
        except Exception as error:
            return error
        return None

    def _settle(self, failure: BaseException | None) -> None:
        if self.ended.done():
            return
        if failure is None:
            self.ended.set_result(None)
        elif isinstance(failure, Exception):
            self.ended.set_exception(failure)
        else:
            self.ended.set_exception(RuntimeError(f"a generator raised {type(failure).__name__}"))
