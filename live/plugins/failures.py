"""What is logged of handlers and plugins that fail again and again: a traceback, then a line a minute."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable

from live.channel import Channel
from live.logs import about

PAUSE = 60.0
"""Seconds between two lines about the same."""

MAX_KEYS = 1000
"""Things whose failures are remembered; the one that failed the longest ago is forgotten first."""


def about_plugin(plugin_id: str, channel: Channel | None = None) -> dict[str, object]:
    """For ``extra=`` of a log call: ``live_plugin`` and, where there is one, ``live_channel``."""
    return {**about(channel=channel or ""), "live_plugin": plugin_id}


class Failures:
    """Says to `logger` what goes wrong, by key; `clock` counts seconds."""

    def __init__(self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[Hashable, tuple[float, int]] = {}
        """When it was logged last, and how often it failed since."""

    def report(
        self,
        key: Hashable,
        text: str,
        *args: object,
        error: BaseException | None = None,
        level: int = logging.ERROR,
        extra: dict[str, object] | None = None,
    ) -> None:
        """Logs `text` % `args`, with the traceback of `error` unless it is one of a series."""
        left_out = self._turn(key)
        if left_out is None:
            return
        if not left_out:
            self._logger.log(level, text, *args, exc_info=error, extra=extra)
            return
        if error is not None:
            text, args = f"{text}: %r", (*args, error)
        self._logger.log(level, f"{text} (%d times since the last line about it)", *args, left_out + 1, extra=extra)

    def _turn(self, key: Hashable) -> int | None:
        """How often it failed without a line since the last one; None: this time is not said either."""
        now = self._clock()
        # Some failures are those of threads.
        with self._lock:
            logged_at, left_out = self._seen.pop(key, (None, 0))
            if logged_at is not None and now - logged_at < PAUSE:
                self._seen[key] = (logged_at, left_out + 1)
                return None
            self._seen[key] = (now, 0)
            if len(self._seen) > MAX_KEYS:
                del self._seen[next(iter(self._seen))]
        return left_out
