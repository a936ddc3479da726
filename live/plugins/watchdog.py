"""Says which plugin it is that stops the event loop.

Every step that a plugin's coroutine makes on the loop is noted; a thread beside looks whether one lasts too long, and
logs where it stands. Tasks that a plugin starts by itself are not seen.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

logger = logging.getLogger("live.plugins")

T = TypeVar("T")

STEP_SECONDS = 1.0
"""How long a plugin may keep the event loop to itself."""

LOOK_SECONDS = 0.25
"""Seconds between two looks at the step under way."""

IDLE_SECONDS = 5.0
"""Seconds that the thread goes on when no plugin runs any more."""

MAX_LINES = 12
"""Calls that are logged of where a plugin stands, the innermost ones."""


class _Step:
    """One step under way."""

    __slots__ = ("plugin_id", "reported", "since", "thread")

    def __init__(self, plugin_id: str) -> None:
        self.plugin_id = plugin_id
        self.since = time.monotonic()
        self.thread = threading.get_ident()
        self.reported = False


class Watchdog:
    """Looks after the steps of plugins on one event loop at a time; its thread lives while there are any to come."""

    def __init__(self) -> None:
        self._step: _Step | None = None
        self._users = 0
        # The garbage collector may come in between, and end something.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._idle_since = 0.0

    @property
    def awake(self) -> bool:
        """Whether its thread is there."""
        return self._thread is not None

    def begin(self) -> None:
        """A coroutine of a plugin begins."""
        with self._lock:
            self._users += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="live watchdog", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """It has ended."""
        with self._lock:
            self._users -= 1
            self._idle_since = time.monotonic()

    def enter(self, plugin_id: str) -> _Step | None:
        """A step of the plugin begins; to be given to `leave`: the step it is part of."""
        outer, self._step = self._step, _Step(plugin_id)
        return outer

    def leave(self, outer: _Step | None) -> None:
        """The step has ended."""
        step = self._step
        # What keeps the interpreter itself to itself was seen by no thread.
        if step is not None and time.monotonic() - step.since > STEP_SECONDS:
            self._report(step, None)
            if outer is not None:
                # Before the thread sees it: it lasted as long.
                outer.reported = True
        self._step = outer

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            step = self._step
            if step is not None and time.monotonic() - step.since > STEP_SECONDS:
                self._report(step, sys._current_frames().get(step.thread))
            with self._lock:
                if not self._users and time.monotonic() - self._idle_since > IDLE_SECONDS:
                    self._thread = None
                    return

    def _report(self, step: _Step, frame: Any) -> None:
        with self._lock:
            if step.reported:
                return
            step.reported = True
        where = "" if frame is None else "; it is at\n" + "".join(traceback.format_stack(frame)[-MAX_LINES:]).rstrip()
        logger.error(
            "plugin %s has kept the event loop for %.1f s, and nobody is served meanwhile: "
            "what blocks belongs in a thread, or in a plain generator%s",
            step.plugin_id,
            time.monotonic() - step.since,
            where,
            extra={"live_plugin": step.plugin_id},
        )


watchdog = Watchdog()
"""That of this process."""


class _Watched(Coroutine[Any, Any, T]):
    """A coroutine of a plugin, each step of it noted; for tasks and for ``await`` as the coroutine itself is."""

    __slots__ = ("_coroutine", "_ended", "_plugin_id")

    def __init__(self, plugin_id: str, coroutine: Coroutine[Any, Any, T]) -> None:
        self._plugin_id = plugin_id
        self._coroutine = coroutine
        self._ended = False
        watchdog.begin()

    def send(self, value: Any) -> Any:
        outer = watchdog.enter(self._plugin_id)
        try:
            return self._coroutine.send(value)
        except BaseException:
            # Also its result comes as one.
            self._end()
            raise
        finally:
            watchdog.leave(outer)

    def throw(self, error: Any, *args: Any) -> Any:
        outer = watchdog.enter(self._plugin_id)
        try:
            return self._coroutine.throw(error, *args)
        except BaseException:
            self._end()
            raise
        finally:
            watchdog.leave(outer)

    def close(self) -> None:
        self._end()
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def __del__(self) -> None:
        self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            watchdog.end()


def watched(plugin_id: str, coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """`coroutine`, something of that plugin, as it is; but a step of it that blocks the loop is logged, once each."""
    return _Watched(plugin_id, coroutine)
