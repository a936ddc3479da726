"""What this process publishes, written down: whatever published it, whether somebody is subscribed or not."""

# As of `live.testing.communicator`: what is told is that too little came, not that something was cancelled.
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from live import store
from live.channel import Channel
from live.node.publisher import observers
from live.protocol import load_json
from live.testing.values import Publication


class Recorder:
    """The publications of this process while ``with Recorder() as recorder:`` lasts, in `publications`.

    `channel` is one channel, or what their names begin with when it ends with a slash (``"stream/host/"``); None: all.
    Everything counts: `live.publish`, saved dashboards, pushed metrics, what clients and plugins publish. Of streams of
    frames the whole frame is recorded, also where subscribers get a shorter form of it. At most `limit` are kept;
    older ones go, and `dropped` counts them. To be used from one thread; what it records may come from any.
    """

    def __init__(self, channel: Channel | str | None = None, *, limit: int = 10_000) -> None:
        self.dropped = 0
        """Publications that were recorded and are not kept any more."""
        self._wanted = None if channel is None else str(channel)
        self._kept: deque[Publication] = deque(maxlen=limit)
        self._lock = threading.Lock()
        self._wake: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Records from now on."""
        if self._observe not in observers:
            observers.append(self._observe)

    def stop(self) -> None:
        """Records no more; what was recorded stays."""
        if self._observe in observers:
            observers.remove(self._observe)

    def clear(self) -> None:
        """Forgets what was recorded."""
        with self._lock:
            self._kept.clear()
            self.dropped = 0

    @property
    def publications(self) -> list[Publication]:
        """What was published, in its order."""
        with self._lock:
            return list(self._kept)

    def of(self, channel: Channel | str) -> list[Publication]:
        """What was published to `channel`."""
        name = str(channel)
        return [publication for publication in self.publications if publication.channel == name]

    def data(self, channel: Channel | str) -> list[Any]:
        """What was published to `channel`, only the data."""
        return [publication.data for publication in self.of(channel)]

    def counts(self) -> Counter[str]:
        """How many publications each channel had."""
        return Counter(publication.channel for publication in self.publications)

    def wait_for(self, count: int = 1, *, timeout: float = 5.0) -> list[Publication]:
        """Waits until so many were recorded, and returns all; for synchronous code. Raises `TimeoutError`."""
        if not self.wait_until(lambda: len(self.publications) >= count, timeout):
            raise TimeoutError(self._say_missing(count, timeout))
        return self.publications

    async def await_for(self, count: int = 1, *, timeout: float = 5.0) -> list[Publication]:
        """Waits until so many were recorded, and returns all; for async code. Raises `TimeoutError`."""
        if not await self.await_until(lambda: len(self.publications) >= count, timeout):
            raise TimeoutError(self._say_missing(count, timeout))
        return self.publications

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Waits for `timeout` seconds at most until `condition()` holds, looked at whenever something is recorded.

        Whether it holds in the end. For synchronous code: inside a running event loop it would stop everything.
        """
        deadline = time.monotonic() + timeout
        changed = threading.Event()
        self._listen(changed.set)
        try:
            while not condition():
                if not changed.wait(max(0.0, deadline - time.monotonic())):
                    return condition()
                changed.clear()
            return True
        finally:
            self._ignore(changed.set)

    async def await_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """The same as `wait_until`, for async code."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(changed.set)

        self._listen(wake)
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            return condition()
        finally:
            self._ignore(wake)
        return True

    def _listen(self, wake: Callable[[], None]) -> None:
        with self._lock:
            self._wake.append(wake)

    def _ignore(self, wake: Callable[[], None]) -> None:
        with self._lock:
            self._wake.remove(wake)

    def _say_missing(self, count: int, timeout: float) -> str:
        where = "" if self._wanted is None else f" to {self._wanted}"
        return f"{len(self.publications)} publications{where} within {timeout:g} s, {count} were waited for"

    def _covers(self, name: str) -> bool:
        wanted = self._wanted
        return wanted is None or name == wanted or (wanted.endswith("/") and name.startswith(wanted))

    def _observe(self, drafts: Sequence[store.Draft], taken: Sequence[store.Publication]) -> None:
        with self._lock:
            for draft, publication in zip(drafts, taken, strict=True):
                name = str(draft.channel)
                if self._covers(name) and not (draft.key and self._has(name, publication.offset)):
                    self._keep(name, draft, publication)
            wake = list(self._wake)
        for each in wake:
            each()

    def _has(self, name: str, offset: int) -> bool:
        """Whether a draft was answered with a publication that is recorded already: its idempotency key was known."""
        return bool(offset) and any(each.channel == name and each.offset == offset for each in self._kept)

    def _keep(self, name: str, draft: store.Draft, publication: store.Publication) -> None:
        if len(self._kept) == self._kept.maxlen:
            self.dropped += 1
        info = None if draft.info is None else load_json(draft.info)
        self._kept.append(Publication(name, load_json(draft.data), publication.offset, info))
