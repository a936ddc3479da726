"""The beat keeps its rhythm."""

import asyncio
import time

from live.plugins.beat import beat


async def test_the_first_beat_is_at_once_and_the_others_follow(monkeypatch):
    slept = []

    class Clock:
        now = 100.0

        def time(self):
            return self.now

    clock = Clock()

    async def sleep(seconds):
        slept.append(round(seconds, 6))
        clock.now += seconds

    monkeypatch.setattr("live.plugins.beat.asyncio.get_running_loop", lambda: clock)
    monkeypatch.setattr("live.plugins.beat.asyncio.sleep", sleep)
    beats = beat(0.5)
    before = time.time_ns()
    assert before <= await anext(beats) <= time.time_ns()
    assert slept == []
    clock.now += 0.2  # work
    await anext(beats)
    assert slept == [0.3]
    clock.now += 1.3  # more than two beats: those are left out
    await anext(beats)
    assert slept == [0.3, 0.2]
    assert clock.now == 102.0
    await beats.aclose()


async def test_a_beat_can_be_cancelled():
    async def run():
        async for _ in beat(3600):
            pass

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
