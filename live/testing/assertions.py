"""That a block of a test publishes what it should, and no more."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from live.channel import Channel
from live.testing.recorder import Recorder
from live.testing.values import Publication

SHOWN = 10
"""Publications, or channels, that the message of a failure shows."""


_ANYTHING: Any = object()


class assert_publishes:
    """``with assert_publishes(channel):`` or ``async with``: fails unless the block publishes to `channel`.

    `data`, where it is given, is what a publication has to be equal to, as JSON gives it back; others in the channel do
    not count. `count` is how many there have to be, exactly; None: one at least; 0: none. The block's end waits up to
    `timeout` seconds for those that come later, from a task or a thread; ``with`` inside a running event loop, which
    waiting would stop, and ``count=0`` look once. The value of ``with`` is the `Recorder`, with all channels in it.

    Inside a transaction nothing is published that waits for ``transaction.on_commit``: use Django's
    ``captureOnCommitCallbacks(execute=True)`` there, or pytest-django's fixture of that name.
    """

    def __init__(
        self,
        channel: Channel | str,
        data: Any = _ANYTHING,
        *,
        count: int | None = None,
        timeout: float = 5.0,
    ) -> None:
        self._channel = str(channel if isinstance(channel, Channel) else Channel.parse(channel))
        self._data = data
        self._count = count
        self._timeout = timeout
        self._recorder = Recorder()

    def __enter__(self) -> Recorder:
        self._recorder.start()
        return self._recorder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                if not _in_loop():
                    self._recorder.wait_until(self._enough, self._timeout)
                self._check()
        finally:
            self._recorder.stop()

    async def __aenter__(self) -> Recorder:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._recorder.await_until(self._enough, self._timeout)
                self._check()
        finally:
            self._recorder.stop()

    def _matching(self) -> list[Publication]:
        found = self._recorder.of(self._channel)
        if self._data is _ANYTHING:
            return found
        return [publication for publication in found if publication.data == self._data]

    def _enough(self) -> bool:
        return len(self._matching()) >= (1 if self._count is None else self._count)

    def _check(self) -> None:
        found = len(self._matching())
        if found == self._count or (self._count is None and found):
            if self._recorder.dropped:
                raise AssertionError(
                    f"{self._recorder.dropped} publications more than can be kept: count fewer at once"
                )
            return
        wanted = "at least 1" if self._count is None else str(self._count)
        what = "" if self._data is _ANYTHING else f" of {self._data!r}"
        raise AssertionError(
            f"{found} publications{what} to {self._channel}, {wanted} should have been; {self._describe()}"
        )

    def _describe(self) -> str:
        mine, counts = self._recorder.of(self._channel), self._recorder.counts()
        del counts[self._channel]
        parts = [f"published to it: {', '.join(repr(each.data) for each in mine[:SHOWN]) or 'nothing'}"]
        if counts:
            parts.append("elsewhere: " + ", ".join(f"{name} ({n})" for name, n in counts.most_common(SHOWN)))
        return "; ".join(parts)


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
