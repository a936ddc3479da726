"""One run: its three forms, when it is started again, and what becomes of whatever a plugin may do wrong."""

import asyncio
import contextlib
import functools
import itertools
import logging
import threading
import time

import pytest

import live
from live.channel import Channel
from live.exceptions import EngineUnavailable, PublicationTooLarge
from live.plugins import run as run_module
from live.plugins import threads as threads_module
from live.plugins.registry import register_plugin, unregister_plugin
from live.plugins.run import pause_after
from live.plugins.threads import thread_count
from tests.peers import eventually
from tests.plugins.conftest import CHANNEL
from tests.plugins.streams import Counting

pytestmark = pytest.mark.usefixtures("probe")


@pytest.fixture(autouse=True)
async def no_threads():
    """Those that the test before left behind have ended."""
    await eventually(lambda: not thread_count())


@pytest.fixture
def slept(monkeypatch):
    """The seconds of every pause between two starts, which is made all the same."""
    seconds = []

    class Noted:
        def __getattr__(self, name):
            return getattr(asyncio, name)

        async def sleep(self, pause):
            seconds.append(pause)
            await asyncio.sleep(pause)

    monkeypatch.setattr(run_module, "asyncio", Noted())
    return seconds


@contextlib.contextmanager
def plugin(run_stream, **attributes):
    """The plugin "probe" with another `run_stream`; gives the list of times at which it was called."""

    starts = []

    class Other(live.StreamPlugin):
        pass

    @functools.wraps(run_stream)
    def noted(*args):
        starts.append(time.monotonic())
        return run_stream(*args)

    Other.run_stream = noted
    register_plugin("probe", Other)
    try:
        yield starts
    finally:
        unregister_plugin("probe")


def lines(caplog, text):
    return [record for record in caplog.records if text in record.getMessage()]


def started_at(place):
    """When the run under way was started, as the product counts it."""
    return place.runner._entries[CHANNEL].starts[-1]


def at_most_ten_a_second(times):
    # Of more than ten: with fewer there is nothing to see.
    return all(after - before >= 0.999 for before, after in zip(times, times[10:], strict=False))


# Forms


async def test_a_plain_generator_runs_in_a_thread_and_is_closed_when_nobody_watches(place):
    closed = []

    def run_stream(self, request):
        try:
            for n in range(1000):
                yield {"n": n, "data": request.data}
                time.sleep(0.001)
        finally:
            closed.append(n)

    with plugin(run_stream):
        recorder = await place.join(CHANNEL, "data")
        await recorder.wait(3)
        assert thread_count() == 1
        await place.leave(recorder)
        await eventually(lambda: place.at_rest and not thread_count())
    numbers = [data["n"] for data in recorder.data]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert recorder.data[0]["data"] == "data"
    assert len(closed) == 1


async def test_an_async_generator_is_closed_when_nobody_watches(place):
    closed = []

    async def run_stream(self, request):
        try:
            n = 0
            while True:
                yield n
                n += 1
                await asyncio.sleep(0.001)
        finally:
            closed.append(n)

    with plugin(run_stream):
        recorder = await place.join(CHANNEL)
        await recorder.wait(3)
        await place.leave(recorder)
        await eventually(lambda: place.at_rest)
    assert len(closed) == 1


@pytest.mark.parametrize("kind", ["coroutine", "async generator", "generator"])
async def test_what_cannot_be_sent_is_raised_where_it_was_sent(place, kind):
    """One that catches it goes on."""
    caught = []

    async def coroutine(self, request, sender):
        for value in ("x" * 2000, "y"):
            try:
                await sender.send(value)
            except PublicationTooLarge as error:
                caught.append(error)
        await sender.send("z")

    async def async_generator(self, request):
        for value in ("x" * 2000, "y"):
            try:
                yield value
            except PublicationTooLarge as error:
                caught.append(error)
        yield "z"

    def generator(self, request):
        for value in ("x" * 2000, "y"):
            try:
                yield value
            except PublicationTooLarge as error:
                caught.append(error)
        yield "z"

    place.node._publisher._max_size = 1024
    form = {"coroutine": coroutine, "async generator": async_generator, "generator": generator}[kind]
    with plugin(form) as starts:
        await place.join(CHANNEL)
        await eventually(lambda: place.stats.ended == 1)
        assert (len(starts), len(caught)) == (1, 1)
        publications, _ = await place.node.history(CHANNEL, None, -1)
        assert [publication.data for publication in publications] == [b'"y"', b'"z"']


@pytest.mark.parametrize("kind", ["coroutine", "async generator", "generator"])
async def test_what_a_run_does_not_catch_starts_it_again(place, caplog, kind):
    async def coroutine(self, request, sender):
        await sender.send(object())

    async def async_generator(self, request):
        yield object()

    def generator(self, request):
        yield object()

    form = {"coroutine": coroutine, "async generator": async_generator, "generator": generator}[kind]
    with plugin(form) as starts:
        await place.join(CHANNEL)
        await eventually(lambda: len(starts) >= 3)
    (record,) = lines(caplog, "failed and starts again")
    assert "not JSON serializable" in str(record.exc_info[1])


async def test_iterators_that_are_no_generators_will_do(place):
    class Async:
        def __init__(self):
            self.n = 0

        def __aiter__(self):
            return self

        async def __anext__(self):
            self.n += 1
            if self.n > 2:
                raise StopAsyncIteration
            return self.n

    made = []

    def run_stream(self, request):
        made.append(iter([1, 2]) if not made else Async())
        return made[-1]

    with plugin(run_stream):
        for count in (2, 4):
            await place.join(CHANNEL)
            await eventually(lambda: place.stats.ended == 1)
            publications, _ = await place.node.history(CHANNEL, None, -1)
            assert [int(publication.data) for publication in publications] == [1, 2] * (count // 2)


@pytest.mark.parametrize("made", [None, 1, [1, 2]])
async def test_what_is_none_of_the_forms_is_said(place, caplog, made):
    with plugin(lambda self, request, sender: made):
        await place.join(CHANNEL)
        await eventually(lambda: lines(caplog, "failed"))
    (record,) = lines(caplog, "failed and starts again")
    assert "a coroutine function, a generator or an async generator" in str(record.exc_info[1])


# Starting again


def test_the_pauses_after_fast_failures():
    assert [pause_after(failures) for failures in range(10)] == [0, 0, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5]
    assert pause_after(10_000) == 5


async def test_one_that_raises_at_once_waits_longer_each_time_and_is_logged_once(place, monkeypatch, slept, caplog):
    # However long the machine takes for it.
    monkeypatch.setattr(run_module, "FAST_SECONDS", 3600.0)

    async def run_stream(self, request, sender):
        raise ValueError("no such sensor")

    with plugin(run_stream) as starts:
        await place.join(CHANNEL)
        await eventually(lambda: len(starts) >= 4)
        assert slept[:3] == [0, 0.2, 0.4]
        pauses = [after - before for before, after in itertools.pairwise(starts)]
        assert pauses[1] >= 0.199
        assert pauses[2] >= 0.399
        assert place.stats.running == 1
        assert place.node.counters.plugin_restarts["probe"] == len(starts) - 1
    (record,) = lines(caplog, "failed and starts again")
    assert (record.live_plugin, record.live_channel) == ("probe", str(CHANNEL))
    assert "plugin probe on plugin/probe/a" in record.getMessage()
    assert record.exc_info[0] is ValueError


async def test_one_that_ran_for_a_while_starts_again_at_once_but_not_for_ever_so_often(place, monkeypatch, slept):
    monkeypatch.setattr(run_module, "FAST_SECONDS", 0.001)
    times = []

    async def run_stream(self, request, sender):
        times.append(started_at(place))
        await asyncio.sleep(0.01)
        raise ValueError

    with plugin(run_stream):
        await place.join(CHANNEL)
        await eventually(lambda: len(times) >= 21)
    assert slept[:9] == [0] * 9
    assert at_most_ten_a_second(times)


async def test_subscribers_cannot_start_it_more_often_either(place):
    times = []

    async def run_stream(self, request, sender):
        times.append(started_at(place))

    with plugin(run_stream):
        # More of them than may be started meanwhile, however long they take.
        while len(times) <= 10:
            await place.join(CHANNEL)
            await asyncio.sleep(0)
        await eventually(lambda: place.stats.ended == 1)
    assert at_most_ten_a_second(times)


class Own(BaseException):
    """No Exception."""


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError(), StopIteration(), MemoryError()])
async def test_whatever_it_raises_is_its_own_business(place, error):
    async def run_stream(self, request, sender):
        raise error

    with plugin(run_stream) as starts:
        await place.join(CHANNEL)
        await eventually(lambda: len(starts) >= 3)
        assert place.stats.running == 1


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError(), Own(), MemoryError()])
async def test_whatever_a_generator_raises_is_its_own_business(place, error):
    def run_stream(self, request):
        yield 1
        raise error

    with plugin(run_stream) as starts:
        await place.join(CHANNEL)
        await eventually(lambda: len(starts) >= 3)
        assert place.stats.running == 1


async def test_one_that_cancels_itself_starts_again_and_is_not_cancelled_any_more(place):
    groups = []

    async def fail():
        raise ValueError

    async def run_stream(self, request, sender):
        if len(starts) == 1:
            asyncio.current_task().cancel()
            await asyncio.sleep(60)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.sleep(60)
        except* ValueError as error:
            groups.append(error)

    with plugin(run_stream) as starts:
        await place.join(CHANNEL)
        await eventually(lambda: place.stats.ended == 1)
    assert (len(starts), len(groups)) == (2, 1)


async def test_a_store_that_is_away_is_a_warning_without_a_traceback(place, gated_store, caplog):
    async def run_stream(self, request, sender):
        gated_store.down = True
        await sender.send(1)

    with plugin(run_stream) as starts:
        await place.join(CHANNEL)
        await eventually(lambda: len(starts) >= 2)
        gated_store.down = False
    (record,) = lines(caplog, "failed and starts again")
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert "the store is down" in record.getMessage()


async def test_one_may_catch_that_the_store_is_away(place, gated_store):
    async def run_stream(self, request, sender):
        gated_store.down = True
        try:
            await sender.send(1)
        except EngineUnavailable:
            gated_store.down = False
        await sender.send(2)
        await asyncio.sleep(60)

    with plugin(run_stream) as starts:
        await place.join(CHANNEL)
        await eventually(lambda: "append_many" in gated_store.calls and not gated_store.down)
        await eventually(lambda: place.node.counters.publications["plugin"] == 1)
        assert len(starts) == 1


async def test_tasks_that_a_failed_start_left_running_can_send_nothing_more(place, probe):
    left = []

    async def again_and_again(sender):
        while True:
            await sender.send({"run": 0, "n": 0})
            await asyncio.sleep(0)

    async def script(record):
        if not left:
            left.append(asyncio.create_task(again_and_again(record.sender)))
            await asyncio.sleep(0.02)
            raise ValueError
        await Counting()(record)

    probe.script = script
    recorder = await place.join(CHANNEL)
    await probe.started(2)
    (task,) = left
    await asyncio.wait([task], timeout=10)
    assert task.cancelled()
    await recorder.wait(len(recorder.data) + 5)
    seen = [data["run"] for data in recorder.data]
    assert seen == sorted(seen)


# Threads


async def test_a_generator_that_never_yields_is_left_behind(place, caplog):
    free = []

    def run_stream(self, request):
        while not free:
            time.sleep(0.01)
        yield "last"

    with plugin(run_stream):
        recorder = await place.join(CHANNEL)
        await eventually(lambda: thread_count() == 1)
        await place.leave(recorder)
        await eventually(lambda: place.stats.abandoned == 1)
        assert lines(caplog, "ignores its cancellation")
        assert thread_count() == 1
        free.append(True)
        await eventually(lambda: not thread_count() and not place.stats.abandoned)
    assert recorder.data == []
    publications, _ = await place.node.history(CHANNEL, None, -1)
    assert publications == []


async def test_there_is_a_limit_to_the_threads(place, monkeypatch, caplog):
    monkeypatch.setattr(threads_module, "MAX_THREADS", 1)
    free = []

    def run_stream(self, request):
        while not free:
            yield 1
            time.sleep(0.01)

    with plugin(run_stream):
        await place.join(CHANNEL)
        await eventually(lambda: thread_count() == 1)
        await place.join(Channel("plugin", "probe", "b"))
        await eventually(lambda: lines(caplog, "1 plain generators already"))
        assert thread_count() == 1
        free.append(True)
        await eventually(lambda: place.stats.ended == 2)


async def test_a_thread_that_cannot_be_started_is_not_counted(place, monkeypatch, slept, caplog):
    starts = []

    def run_stream(self, request):
        yield "at last"
        while True:
            time.sleep(0.01)
            yield "more"

    def start(thread):
        starts.append(thread)
        if len(starts) <= 3:
            raise RuntimeError("can't start new thread")
        threading.Thread.start(thread)

    # However long the machine takes for it.
    monkeypatch.setattr(run_module, "FAST_SECONDS", 3600.0)
    monkeypatch.setattr(threads_module._Thread, "start", start, raising=False)
    monkeypatch.setattr(threads_module, "MAX_THREADS", 1)
    with plugin(run_stream):
        recorder = await place.join(CHANNEL)
        await recorder.wait(1)
        assert recorder.data[0] == "at last"
        assert thread_count() == 1
        # It is tried again as after any failure, later each time.
        assert [round(pause, 1) for pause in slept[:3]] == [0.0, 0.2, 0.4]
        assert lines(caplog, "can't start new thread")
        await place.leave(recorder)
        await eventually(lambda: place.at_rest and not thread_count())


# Speed


async def test_one_that_sends_without_end_is_held_up(make_place):
    place = await make_place(plugin_frames_per_second=200)

    async def run_stream(self, request, sender):
        n = 0
        while True:
            await sender.send(n)
            n += 1

    with plugin(run_stream):
        recorder = await place.join(CHANNEL)
        await recorder.wait(1)
        began, first = time.monotonic(), len(recorder.data)
        await recorder.wait(first + 100)
        took = time.monotonic() - began
        count = len(recorder.data) - first
    # What it may send at once after a pause is used up soon.
    assert count / took < 200 * 1.1 + 20 / took
    assert recorder.data == list(range(recorder.data[0], recorder.data[0] + len(recorder.data)))


# What there is to run


async def test_a_plugin_that_is_not_there_any_more_stops_and_says_so(place, caplog):
    caplog.set_level(logging.INFO)

    async def run_stream(self, request, sender):
        unregister_plugin("probe")
        raise ValueError

    with plugin(run_stream):
        recorder = await place.join(CHANNEL)
        await eventually(lambda: place.at_rest and recorder.ended)
    assert recorder.ended == [(CHANNEL, 2000, "no plugin probe")]
    assert lines(caplog, "no plugin probe")


async def test_a_mistake_of_ours_in_a_run_is_logged_and_ends_it(place, monkeypatch, caplog):
    monkeypatch.setattr(run_module, "pause_after", lambda failures: 1 / 0)

    async def run_stream(self, request, sender):
        raise ValueError

    with plugin(run_stream):
        await place.join(CHANNEL)
        await eventually(lambda: place.stats.ended == 1)
    assert lines(caplog, "broke")
