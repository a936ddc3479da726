"""``plugin/testdata/...``: made-up frames on a fixed beat, to try pages and clients with (grafana-live §6).

| path | beat | dropped | frame |
|---|---|---|---|
| random-20Hz-stream | 50 ms | none | Time, Value, Min, Max; one row |
| random-2s-stream | 2 s | none | the same |
| random-flakey-stream | 100 ms | 75 % | the same |
| random-labeled-stream | 200 ms | 20 % | labels, Time, Value; two rows |
| flight-5hz-stream | 200 ms | none | where an aeroplane is that flies in circles; one row |
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from math import cos, degrees, pi, radians, sin
from random import Random

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

NS_PER_SECOND = 1_000_000_000

Maker = Callable[[int], Frame]
"""Makes the frame of a moment, in nanoseconds since the epoch."""


def _walk(random: Random, start: float) -> Callable[[], float]:
    """A random walk that begins at `start`: each call goes a step of at most a half up or down."""
    value = start

    def step() -> float:
        nonlocal value
        value += random.uniform(-0.5, 0.5)
        return value

    return step


def _numbers_frame(times: list[int], values: list[float], low: list[float], high: list[float]) -> Frame:
    return Frame(
        [
            Field("Time", Kind.TIME, times),
            Field("Value", Kind.FLOAT, values),
            Field("Min", Kind.FLOAT, low),
            Field("Max", Kind.FLOAT, high),
        ],
        name="testdata",
    )


def _numbers(random: Random) -> Maker:
    step = _walk(random, random.uniform(0, 100))

    def make(now: int) -> Frame:
        value = step()
        low, high = value - random.uniform(0.01, 50.01), value + random.uniform(0.01, 50.01)
        return _numbers_frame([now], [value], [low], [high])

    return make


def _labeled_frame(labels: list[str], times: list[int], values: list[float]) -> Frame:
    fields = [
        Field("labels", Kind.STRING, labels),
        Field("Time", Kind.TIME, times),
        Field("Value", Kind.FLOAT, values),
    ]
    return Frame(fields, name="labeled")


def _labeled(random: Random) -> Maker:
    step = _walk(random, random.uniform(0, 100))

    def make(now: int) -> Frame:
        value, second = step(), now // NS_PER_SECOND % 60
        labels = [f"s=A,s=p{second // 3},x=X", f"s=B,s=p{second // 7},x=X"]
        return _labeled_frame(labels, [now, now], [value, value + 10])

    return make


def _flight_frame(times: list[int], numbers: dict[str, list[float]]) -> Frame:
    fields = [Field(name, Kind.FLOAT, values) for name, values in numbers.items()]
    return Frame([Field("Time", Kind.TIME, times), *fields], name="flight")


def _flight(random: Random) -> Maker:
    """A circle of half a degree around Oslo's airport in four minutes, at a height that wanders."""
    start = random.uniform(0, 2 * pi)
    step = _walk(random, 0.0)

    def make(now: int) -> Frame:
        angle = start + 2 * pi * (now % (240 * NS_PER_SECOND)) / (240 * NS_PER_SECOND)
        latitude = 60.2 + 0.5 * sin(angle)
        # The circle is one on the ground: a degree of longitude is shorter there.
        longitude = 11.1 + 0.5 * cos(angle) / cos(radians(60.2))
        numbers = {
            "lat": [latitude],
            "lng": [longitude],
            "heading": [degrees(-angle) % 360],
            "altitude": [3000 + 20 * step()],
        }
        return _flight_frame([now], numbers)

    return make


@dataclass(frozen=True, slots=True)
class _Stream:
    """One path: how often it sends, how many frames it leaves out, and what they look like."""

    seconds: float
    dropped: float
    maker: Callable[[Random], Maker]
    """Begins a new run."""
    empty: Frame
    """A frame without rows."""
    minute_rate: int | None = None
    """What the list says of it; None: it is not in the list."""


_NO_NUMBERS = _numbers_frame([], [], [], [])
_NO_FLIGHT = _flight_frame([], {"lat": [], "lng": [], "heading": [], "altitude": []})
STREAMS = {
    "random-20Hz-stream": _Stream(0.05, 0.0, _numbers, _NO_NUMBERS, 1200),
    "random-2s-stream": _Stream(2.0, 0.0, _numbers, _NO_NUMBERS, 30),
    "random-flakey-stream": _Stream(0.1, 0.75, _numbers, _NO_NUMBERS, 150),
    "random-labeled-stream": _Stream(0.2, 0.2, _labeled, _labeled_frame([], [], []), 250),
    "flight-5hz-stream": _Stream(0.2, 0.0, _flight, _NO_FLIGHT),
}


class TestDataPlugin(StreamPlugin):
    """The streams of this module for everybody who may connect; nobody publishes to them.

    `random` and `beat` are what a test puts in their place: a seeded generator, and times that pass at once.
    """

    __test__ = False  # no test, whatever its name begins with

    def __init__(self, random: Random | None = None, beat: Callable[[float], AsyncIterator[int]] = beat) -> None:
        # Nothing secret is made of these numbers.
        self._random = random or Random()  # noqa: S311
        self._beat = beat

    async def subscribe_stream(self, request: StreamRequest) -> StreamAnswer:
        """Everybody may; the columns of the stream come first."""
        stream = STREAMS.get(request.path)
        if stream is None:
            return StreamAnswer(StreamStatus.NOT_FOUND, message=_unknown(request.path))
        return StreamAnswer(data=stream.empty)

    async def run_stream(self, request: StreamRequest, sender: StreamSender) -> None:
        """Sends for ever, the first frame at once. Raises `NotFound` where there is no such stream."""
        stream = STREAMS.get(request.path)
        if stream is None:
            raise NotFound(_unknown(request.path))
        make = stream.maker(self._random)
        async for now in self._beat(stream.seconds):
            frame = make(now)
            if self._random.random() >= stream.dropped:
                await sender.send(frame)

    def offers(self, source: DataSource | None) -> Sequence[StreamOffer]:
        """All but the flight."""
        return [
            StreamOffer(path, stream.minute_rate, stream.empty)
            for path, stream in STREAMS.items()
            if stream.minute_rate is not None
        ]


def _unknown(path: str) -> str:
    return f"testdata has no stream {path!r}; it has {', '.join(STREAMS)}"
