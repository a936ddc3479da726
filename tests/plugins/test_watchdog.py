"""The watchdog: names the plugin that stops the loop, while it does, once a step; no thread when nothing runs."""

import asyncio
import threading
import time

import pytest

from live.plugins import watchdog as watchdog_module
from live.plugins.watchdog import watchdog, watched
from tests.peers import eventually
from tests.plugins.conftest import CHANNEL


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(watchdog_module, "STEP_SECONDS", 0.1)
    monkeypatch.setattr(watchdog_module, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(watchdog_module, "IDLE_SECONDS", 0.1)


def blocked(caplog):
    return [record for record in caplog.records if "kept the event loop" in record.getMessage()]


def holding_the_loop_up(seen=None):
    """Longer than a step may take; with `seen` until that holds as well."""
    time.sleep(0.3)
    while seen is not None and not seen():
        time.sleep(0.01)


async def test_a_step_that_blocks_is_logged_with_the_plugin_and_the_place(caplog):
    async def step():
        # The thread that looks may be held up, on a busy machine.
        holding_the_loop_up(lambda: blocked(caplog))
        return "done"

    assert await watched("slow", step()) == "done"
    (record,) = blocked(caplog)
    assert (record.live_plugin, record.levelname) == ("slow", "ERROR")
    assert record.threadName == "live watchdog"
    assert "plugin slow has kept the event loop for" in record.getMessage()
    assert "in holding_the_loop_up" in record.getMessage()


async def test_each_step_that_blocks_is_logged_and_no_other(caplog):
    async def steps():
        holding_the_loop_up()
        await asyncio.sleep(0.2)
        holding_the_loop_up()

    await asyncio.create_task(watched("slow", steps()))
    assert len(blocked(caplog)) == 2


async def test_what_no_thread_could_see_is_logged_afterwards(caplog, monkeypatch):
    """Some code keeps the interpreter itself to itself."""
    await eventually(lambda: not watchdog.awake)
    monkeypatch.setattr(watchdog, "_look", lambda: None)

    async def step():
        holding_the_loop_up()

    await watched("slow", step())
    (record,) = blocked(caplog)
    assert record.threadName != "live watchdog"
    watchdog._thread = None


async def test_a_plugin_inside_another_is_the_one_that_is_named(caplog):
    async def inner():
        holding_the_loop_up()

    async def outer():
        await watched("inner", inner())

    await watched("outer", outer())
    (record,) = blocked(caplog)
    assert record.live_plugin == "inner"


async def test_it_is_the_coroutine_itself_to_whoever_awaits_it():
    async def coroutine(how):
        try:
            if how == "raises":
                raise ValueError("its own")
            await asyncio.sleep(60 if how == "cancelled" else 0)
        except asyncio.CancelledError:
            return "cancelled"
        async with asyncio.timeout(30):
            await asyncio.sleep(0)
        return "returned"

    assert await watched("p", coroutine("returns")) == "returned"
    assert await asyncio.wait_for(watched("p", coroutine("returns")), 30) == "returned"
    with pytest.raises(ValueError, match="its own"):
        await watched("p", coroutine("raises"))
    task = asyncio.create_task(watched("p", coroutine("cancelled")))
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cancelled"
    never = asyncio.create_task(watched("p", coroutine("never begun")))
    never.cancel()
    assert (await asyncio.gather(never, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    closed = watched("p", coroutine("closed"))
    closed.close()


async def test_its_thread_lives_while_something_runs(place, probe):
    recorder = await place.join(CHANNEL)
    await eventually(lambda: watchdog.awake)
    await probe.started(1)
    # One that has just ended may still be listed.
    await eventually(lambda: [thread.name for thread in threading.enumerate()].count("live watchdog") == 1)
    await place.leave(recorder)
    await eventually(lambda: place.at_rest)
    await eventually(lambda: not watchdog.awake)
    await place.join(CHANNEL)
    await eventually(lambda: watchdog.awake)


async def test_a_run_that_blocks_is_named(place, probe, caplog):
    async def script(record):
        holding_the_loop_up()

    probe.script = script
    await place.join(CHANNEL)
    await eventually(lambda: blocked(caplog))
    assert blocked(caplog)[0].live_plugin == "probe"
