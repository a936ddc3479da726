"""Asking plugins: what they raise, how long they take, how many questions are open."""

import asyncio

import pytest

import live
from live.plugins import calls, failures
from live.plugins import watchdog as watchdog_module
from live.plugins.calls import MAX_CALLS, call, open_calls
from live.plugins.failures import PAUSE, Failures
from tests.peers import until

CHANNEL = live.Channel("plugin", "p", "path")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(calls, "_failures", Failures(calls.logger))
    # A machine that stands still in the middle of a step is no plugin that does.
    monkeypatch.setattr(watchdog_module, "STEP_SECONDS", 3600.0)


async def answers(value=None, error=None):
    if error is not None:
        raise error
    return value


async def test_the_answer_is_returned():
    assert await call("p", answers(7), channel=CHANNEL) == 7
    assert open_calls("p") == 0


@pytest.mark.parametrize("error", [live.NotFound("no path"), live.Forbidden(), live.BadData("x"), live.PluginFailed()])
async def test_what_is_meant_for_clients_goes_through(error, caplog):
    with pytest.raises(type(error)) as caught:
        await call("p", answers(error=error), channel=CHANNEL)
    assert caught.value is error
    assert not caplog.records


@pytest.mark.parametrize("error", [KeyError("secret"), live.SyncInAsync(), TimeoutError(), asyncio.CancelledError()])
async def test_everything_else_is_logged_and_told_as_a_failure(error, caplog):
    with pytest.raises(live.PluginFailed, match="plugin p failed") as caught:
        await call("p", answers(error=error), channel=CHANNEL)
    assert caught.value.temporary
    assert "secret" not in caught.value.message
    (record,) = caplog.records
    assert (record.live_plugin, record.live_channel) == ("p", "plugin/p/path")


async def test_a_plugin_that_does_not_answer_is_given_up(monkeypatch, caplog):
    monkeypatch.setattr(calls, "CALL_SECONDS", 0.01)
    ended = asyncio.Event()

    async def hangs():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(live.PluginFailed, match="did not answer"):
        await call("p", hangs(), channel=CHANNEL)
    await ended.wait()
    await until(lambda: open_calls("p") == 0)
    assert "plugin p did not answer within 0.01 s" in caplog.text


async def test_one_that_ignores_its_cancellation_is_left_behind(monkeypatch, caplog):
    monkeypatch.setattr(calls, "CALL_SECONDS", 0.01)
    gate = asyncio.Event()

    async def stubborn():
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue
        raise RuntimeError("much later")

    with pytest.raises(live.PluginFailed, match="did not answer"):
        await call("p", stubborn(), channel=CHANNEL)
    assert open_calls("p") == 1
    gate.set()
    await until(lambda: open_calls("p") == 0)
    await until(lambda: "failed after it was given up" in caplog.text)
    assert "much later" in caplog.text


async def test_whoever_asked_may_go_away():
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hangs():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(call("p", hangs(), channel=CHANNEL))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ended.wait()
    # Also before the plugin had its first step.
    task = asyncio.create_task(call("p", hangs(), channel=CHANNEL))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: open_calls("p") == 0)


async def test_the_unanswered_questions_have_a_limit(caplog):
    gate = asyncio.Event()
    asked = [asyncio.create_task(call("p", gate.wait(), channel=CHANNEL)) for _ in range(MAX_CALLS)]
    await until(lambda: open_calls("p") == MAX_CALLS)
    for _ in range(2):
        with pytest.raises(live.PluginFailed, match="busy"):
            await call("p", answers(), channel=CHANNEL)
    assert await call("q", answers(1), channel=CHANNEL) == 1
    gate.set()
    assert all(await asyncio.gather(*asked))
    assert await call("p", answers(2), channel=CHANNEL) == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"plugin p has {MAX_CALLS} unanswered calls, more are refused"
    ]


# The log


def test_the_same_failure_is_logged_once_a_minute(caplog):
    now = 0.0
    log = Failures(calls.logger, clock=lambda: now)
    for _ in range(5):
        log.report("a", "%s broke", "it", error=KeyError("x"))
    log.report("b", "other")
    now = PAUSE
    log.report("a", "%s broke", "it", error=KeyError("y"))
    now = 3 * PAUSE
    log.report("a", "%s broke", "it", error=KeyError("z"))
    assert [(record.getMessage(), record.exc_info is not None) for record in caplog.records] == [
        ("it broke", True),
        ("other", False),
        ("it broke: KeyError('y') (5 times since the last line about it)", False),
        ("it broke", True),
    ]


def test_the_failures_remembered_have_a_limit(caplog):
    log = Failures(calls.logger)
    for number in range(failures.MAX_KEYS + 1):
        log.report(number, "x")
    assert len(log._seen) == failures.MAX_KEYS
    caplog.clear()
    log.report(failures.MAX_KEYS, "known")
    assert not caplog.records
    log.report(0, "forgotten")
    assert caplog.messages == ["forgotten"]
