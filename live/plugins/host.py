"""``plugin/host/metrics``: what the machine does whose node runs the stream, one frame a second.

Needs psutil (``channels-live[host]``); without it there is no such stream. Everybody who may connect may watch, as with
streams that are pushed; ``LIVE["PLUGINS"]`` takes it away or puts a stricter subclass in its place.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from live.exceptions import NotFound
from live.frames import Field, Frame, Kind
from live.plugins.base import (
    DataSource,
    StreamAnswer,
    StreamOffer,
    StreamPlugin,
    StreamRequest,
    StreamSender,
    StreamStatus,
)
from live.plugins.beat import beat

PATH = "metrics"
SECONDS = 1.0
FIRST_SECONDS = 0.1
"""From the start to the first frame: shares and rates need a while to be of."""
UNITS = {
    "cpu_percent": "percent",
    "memory_percent": "percent",
    "load1": "short",
    "net_recv_rate": "Bps",
    "net_sent_rate": "Bps",
    "disk_used_percent": "percent",
}
"""The columns after Time, and the unit each is shown with. Rates are bytes a second over all interfaces."""


def find_psutil() -> Any:
    """The module psutil, or None where it is not installed."""
    try:
        return importlib.import_module("psutil")
    except ImportError:
        return None


class Readings:
    """Reads the machine; shares and rates are over the time since the reading before. Not for several threads at once.

    `psutil` is the module, `clock` counts seconds.
    """

    def __init__(self, psutil: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._psutil = psutil
        self._clock = clock
        self._cpu = self._cpu_times()
        self._net = self._net_bytes()
        self._at = clock()

    def read(self) -> dict[str, float | None]:
        """The columns of `UNITS`; None where the machine does not tell."""
        cpu, net, at = self._cpu_times(), self._net_bytes(), self._clock()
        busy, total, seconds = cpu[0] - self._cpu[0], cpu[1] - self._cpu[1], at - self._at
        received, sent = _rates(self._net, net, seconds)
        self._cpu, self._net, self._at = cpu, net, at
        return {
            # Counters of containers step back at times.
            "cpu_percent": min(100.0, max(0.0, 100 * busy / total)) if total > 0 else 0.0,
            "memory_percent": float(self._psutil.virtual_memory().percent),
            "load1": float(self._psutil.getloadavg()[0]),
            "net_recv_rate": received,
            "net_sent_rate": sent,
            "disk_used_percent": self._disk(),
        }

    def _cpu_times(self) -> tuple[float, float]:
        """Busy and all seconds of all cores. psutil's own percentages are kept by thread, and ours change."""
        times = self._psutil.cpu_times()._asdict()
        # A guest's time is in its host's user time already.
        total = sum(seconds for kind, seconds in times.items() if kind not in ("guest", "guest_nice"))
        return total - times["idle"] - times.get("iowait", 0.0), total

    def _net_bytes(self) -> tuple[int, int] | None:
        counters = self._psutil.net_io_counters()
        return None if counters is None else (counters.bytes_recv, counters.bytes_sent)

    def _disk(self) -> float | None:
        try:
            return float(self._psutil.disk_usage("/").percent)
        except OSError:  # not ours to look at
            return None


def _rates(
    before: tuple[int, int] | None, after: tuple[int, int] | None, seconds: float
) -> tuple[float | None, float | None]:
    if before is None or after is None or seconds <= 0:
        return None, None
    # A counter that went back was reset.
    return max(0, after[0] - before[0]) / seconds, max(0, after[1] - before[1]) / seconds


def _frame(host: str, times: list[int], readings: Sequence[dict[str, float | None]]) -> Frame:
    fields = [
        Field(name, Kind.FLOAT, [each[name] for each in readings], True, {"host": host}, {"unit": unit})
        for name, unit in UNITS.items()
    ]
    return Frame([Field("Time", Kind.TIME, times), *fields], name="host")


class HostPlugin(StreamPlugin):
    """The stream of this module; nobody publishes to it."""

    def __init__(self, beat: Callable[[float], AsyncIterator[int]] = beat) -> None:
        self._beat = beat
        self._psutil = find_psutil()
        self._host = socket.gethostname()

    async def subscribe_stream(self, request: StreamRequest) -> StreamAnswer:
        """Everybody may. What comes first is the last frame, or nothing: another node's machine has another name."""
        problem = self._problem(request.path)
        return StreamAnswer(StreamStatus.NOT_FOUND, message=problem) if problem else StreamAnswer()

    async def run_stream(self, request: StreamRequest, sender: StreamSender) -> None:
        """Sends for ever. Raises `NotFound` where there is no such stream, OSError when the machine is mute."""
        problem = self._problem(request.path)
        if problem:
            raise NotFound(problem)
        readings = await asyncio.to_thread(Readings, self._psutil)
        await asyncio.sleep(FIRST_SECONDS)
        async for now in self._beat(SECONDS):
            await sender.send(_frame(self._host, [now], [await asyncio.to_thread(readings.read)]))

    def offers(self, source: DataSource | None) -> Sequence[StreamOffer]:
        """The stream, where psutil is there."""
        if self._psutil is None:
            return ()
        return [StreamOffer(PATH, int(60 / SECONDS), _frame(self._host, [], []))]

    def _problem(self, path: str) -> str:
        if path != PATH:
            return f"host has no stream {path!r}; it has {PATH}"
        if self._psutil is None:
            return 'the host\'s metrics need psutil: pip install "channels-live[host]"'
        return ""
