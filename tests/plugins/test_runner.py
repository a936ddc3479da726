"""The runner: one run for each watched channel, on one of the nodes, whatever comes between two things."""

import asyncio
import random
from contextvars import ContextVar
from dataclasses import replace

import pytest

from live.channel import Channel
from live.exceptions import BadData, EngineUnavailable, LeaseLost, LimitExceeded
from live.plugins import runner as runner_module
from live.plugins import runs as runs_module
from live.store import Lease, presence
from tests.peers import eventually, until
from tests.plugins.conftest import CHANNEL
from tests.plugins.streams import FAST, NOTHING, Counting, Ignoring, forever

request = ContextVar("request", default=None)

OTHER = Channel("plugin", "probe", "b")
NAME = f"run/{CHANNEL.digest}"
SHORT = replace(FAST, lease=0.4, margin=0.1)
"""For a lease that is to be lost."""
PATIENT = replace(FAST, cancel=3600.0)
"""No run is left behind."""


def runs_of(recorder):
    """The runs that a subscriber has seen, in the order of their publications."""
    return [data["run"] for data in recorder.data]


def holder(place):
    return place.store.holder(NAME, channel=CHANNEL)


# Starting


async def test_the_first_subscriber_starts_the_run_with_its_data_and_others_join(place, probe):
    await place.join(CHANNEL, {"unit": "C"})
    record = await probe.started(1)
    assert (record.request.data, record.request.user, record.request.path) == ({"unit": "C"}, None, "a")
    await place.join(CHANNEL)
    await place.join(CHANNEL, {"unit": "C"})
    assert (len(probe.records), place.stats.running) == (1, 1)


async def test_other_data_than_the_first_is_told(make_place, probe):
    here, there = await make_place(), await make_place()
    await here.join(CHANNEL, {"unit": "C"})
    for place in (here, there):
        with pytest.raises(BadData, match="data of its first subscriber"):
            await place.runner.watch(CHANNEL, {"unit": "F"})
    assert there.stats == NOTHING
    await there.join(CHANNEL, {"unit": "C"})
    await there.join(CHANNEL)
    with pytest.raises(BadData):
        await there.runner.watch(CHANNEL, {"unit": "F"})
    assert len(probe.records) == 1


async def test_the_first_without_data_is_the_first(place, probe):
    await place.join(CHANNEL)
    with pytest.raises(BadData):
        await place.runner.watch(CHANNEL, {"unit": "F"})
    await place.join(OTHER, {"unit": "F"})
    assert (await probe.started(2)).request.data == {"unit": "F"}


async def test_many_at_once_start_one_run(make_place, probe):
    places = [await make_place() for _ in range(3)]
    await asyncio.gather(*[place.join(CHANNEL) for place in places for _ in range(10)])
    assert sorted(place.stats.running for place in places) == [0, 0, 1]
    assert sorted(place.stats.waiting for place in places) == [0, 1, 1]
    assert len(probe.records) == 1


async def test_what_it_sends_reaches_the_subscribers_of_all_nodes(make_place, probe):
    places = [await make_place(), await make_place()]
    probe.script = Counting()
    recorders = [await place.join(CHANNEL) for place in places]
    for recorder in recorders:
        await recorder.wait(5)
    assert {run for recorder in recorders for run in runs_of(recorder)} == {1}


async def test_there_is_a_limit_to_the_channels_of_a_node(place, probe, monkeypatch):
    monkeypatch.setattr(runner_module, "MAX_ENTRIES", 1)
    await place.join(CHANNEL)
    await place.join(CHANNEL)
    with pytest.raises(LimitExceeded, match="1 streams"):
        await place.runner.watch(OTHER, None)


async def test_without_a_store_nobody_is_told_that_there_is_a_run(place, probe, gated_store):
    gated_store.down = True
    with pytest.raises(EngineUnavailable):
        await place.runner.watch(CHANNEL, None)
    assert place.stats == NOTHING
    gated_store.down = False
    await place.join(CHANNEL)
    await probe.started(1)


# Stopping


async def test_a_run_that_nobody_watches_is_stopped_and_leaves_nothing(place, probe):
    recorder = await place.join(CHANNEL)
    await probe.started(1)
    await place.leave(recorder)
    await eventually(lambda: place.at_rest)
    assert probe.running == []
    assert await holder(place) is None
    await eventually(lambda: place.runner._keeper.done() and not place.runner._tasks)
    # And all begins anew.
    await place.join(CHANNEL)
    await probe.started(2)


async def test_whoever_comes_back_in_time_finds_it_running(make_place, probe):
    # No look but those of the test: the last one before the end must not come too late.
    place = await make_place(replace(FAST, look=3600.0))
    recorder = await place.join(CHANNEL)
    for _ in range(3):
        await place.leave(recorder)
        entry = place.runner._entries[CHANNEL]
        for _ in range(FAST.looks - 1):
            await place.runner._look()
        assert entry.unwatched == 2
        recorder = await place.join(CHANNEL)
        assert entry.unwatched == 0
        await place.runner._look()
        assert not entry.stopping
    assert (len(probe.running), len(probe.records)) == (1, 1)


async def test_a_subscriber_of_another_node_keeps_it_running(make_place, probe, gated_store, monkeypatch):
    here, there = await make_place(), await make_place()
    # Longer than a machine that is held up takes for a round.
    monkeypatch.setattr(presence, "WANTED_SECONDS", 2.0)
    recorder = await here.join(CHANNEL)
    far = await there.join(CHANNEL)
    await here.leave(recorder)
    calls = len(gated_store.calls)
    # Many times as long as it would go on without.
    await eventually(lambda: gated_store.calls[calls:].count("renew") > 30)
    assert here.runner._entries[CHANNEL].unwatched < 3
    assert (here.stats.running, there.stats.waiting, len(probe.records)) == (1, 1, 1)
    await there.leave(far)
    await eventually(lambda: here.at_rest and there.at_rest)


async def test_watching_while_it_is_stopped_starts_another_after_it(make_place, probe):
    """The run takes its time to end; whoever comes meanwhile gets a new one, and never are there two."""
    place = await make_place(PATIENT)
    ending, may_end = asyncio.Event(), asyncio.Event()

    async def slow(record):
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ending.set()
            await may_end.wait()

    probe.script = slow
    await place.leave(await place.join(CHANNEL))
    await ending.wait()
    joining = asyncio.create_task(place.join(CHANNEL))
    await until(lambda: place.runner._turns._locks[CHANNEL][1] == 2)
    assert len(probe.records) == 1
    may_end.set()
    await joining
    await probe.started(2)
    assert (probe.most, place.stats.running) == (1, 1)


async def test_watching_while_the_lease_is_given_back_starts_another_after_it(place, probe, gated_store):
    recorder = await place.join(CHANNEL)
    with gated_store.hold("release") as releasing:
        await place.leave(recorder)
        await releasing.wait()
        joining = asyncio.create_task(place.join(CHANNEL))
        await until(lambda: place.runner._turns._locks[CHANNEL][1] == 2)
        assert len(probe.records) == 1
    await joining
    await probe.started(2)
    assert probe.most == 1


async def test_the_lease_is_kept_while_a_run_takes_long_to_end(make_place, probe):
    here, there = await make_place(PATIENT), await make_place()
    script = probe.script = Ignoring()
    recorder = await here.join(CHANNEL)
    await probe.started(1)
    await here.leave(recorder)
    await eventually(lambda: script.cancelled)
    probe.script = Counting()
    await there.join(CHANNEL)
    # In two steps as long as the lease lasts: who is about to end still has it.
    for _ in range(2):
        calls = len(here.store.calls)
        here.store.ahead += FAST.lease / 2
        await eventually(lambda calls=calls: here.store.calls[calls:].count("renew") > 2)
    assert (there.stats.waiting, len(probe.records)) == (1, 1)
    script.free.set()
    await probe.started(2)
    assert probe.most == 1


async def test_whoever_comes_between_the_last_look_and_the_stop_keeps_it(place, probe):
    recorder = await place.join(CHANNEL)
    async with place.runner._turns.of(CHANNEL):
        await place.leave(recorder)
        entry = place.runner._entries[CHANNEL]
        await eventually(lambda: entry.stopping)
        await asyncio.wait_for(place.join(CHANNEL), 30)
    await eventually(lambda: not entry.stopping)
    assert (len(probe.running), len(probe.records)) == (1, 1)


async def test_a_run_goes_on_for_many_leases(place, probe):
    probe.script = Counting()
    recorder = await place.join(CHANNEL)
    entry = place.runner._entries[CHANNEL]
    for _ in range(5):
        calls, until_then = len(place.store.calls), entry.hold.until
        # Its time passes in the store, and here the timer goes off that was set for the end of it.
        place.store.ahead += FAST.lease / 2
        await eventually(lambda calls=calls: place.store.calls[calls:].count("renew") > 2)
        place.runner._leases._expire(entry, entry.hold)
        assert entry.timer.when() == entry.hold.until > until_then
    await recorder.wait(len(recorder.data) + 3)
    assert set(runs_of(recorder)) == {1}


async def test_a_run_that_ignores_its_cancellation_is_left_behind_and_can_send_nothing(place, probe, caplog):
    script = probe.script = Ignoring()
    recorder = await place.join(CHANNEL)
    await probe.started(1)
    await place.leave(recorder)
    await eventually(lambda: place.stats.abandoned == 1)
    assert (place.stats.running, place.stats.waiting) == (0, 0)
    (record,) = [record for record in caplog.records if "ignores its cancellation" in record.message]
    assert (record.live_plugin, record.live_channel, record.levelname) == ("probe", str(CHANNEL), "ERROR")
    assert "plugin probe on plugin/probe/a" in record.message
    probe.script = Counting()
    recorder = await place.join(CHANNEL)
    await recorder.wait(3)
    script.free.set()
    await eventually(lambda: place.stats.abandoned == 0)
    assert isinstance(script.failure, asyncio.CancelledError)
    await recorder.wait(6)
    assert "last" not in recorder.data


async def test_a_plugin_of_which_many_runs_were_left_behind_gets_no_more(place, probe, monkeypatch, caplog):
    monkeypatch.setattr(runs_module, "MAX_LEFT", 1)
    script = probe.script = Ignoring()
    await place.leave(await place.join(CHANNEL))
    await eventually(lambda: place.stats.abandoned == 1)
    await place.join(OTHER)
    await eventually(lambda: "1 runs of it ignore their cancellation" in caplog.text)
    assert len(probe.records) == 1
    script.free.set()
    await probe.started(2)


# Handing over


async def test_a_node_that_stops_hands_over_at_once_with_the_data(make_place, probe):
    # The round of the waiting node is far away: it is told.
    here, there = await make_place(), await make_place(replace(FAST, round=30.0, look=30.0))
    await here.join(CHANNEL, {"unit": "C"})
    await there.join(CHANNEL)
    await here.node.stop()
    record = await probe.started(2)
    assert record.request.data == {"unit": "C"}
    assert (here.stats, there.stats.running, probe.most) == (NOTHING, 1, 1)
    with pytest.raises(EngineUnavailable, match="about to stop"):
        await here.runner.watch(CHANNEL, None)


async def test_a_node_that_dies_is_replaced_when_its_lease_is_over(make_place, probe, gated_store):
    here, there = await make_place(), await make_place()
    await here.join(CHANNEL, "data")
    await there.join(CHANNEL)
    await probe.started(1)
    await here.crash()
    calls = len(gated_store.calls)
    await eventually(lambda: gated_store.calls[calls:].count("acquire") > 3)
    assert len(probe.records) == 1
    gated_store.ahead = FAST.lease
    record = await probe.started(2)
    assert (record.request.data, there.stats.running) == ("data", 1)


async def test_a_stopping_node_does_not_wait_for_a_run_that_ignores_it(make_place, probe):
    here, there = await make_place(replace(FAST, stop=1.0)), await make_place()
    script = probe.script = Ignoring()
    await here.join(CHANNEL)
    await there.join(CHANNEL)
    await probe.started(1)
    probe.script = Counting()
    # The run itself would go on for ever.
    await asyncio.wait_for(here.runner.stop(), 30)
    assert here.stats.abandoned == 1
    await probe.started(2)
    script.free.set()
    await eventually(lambda: not here.stats.abandoned)


async def test_what_is_freed_while_a_node_asks_for_it_is_asked_for_again(make_place, probe, gated_store):
    here, there = await make_place(), await make_place(replace(FAST, round=30.0, look=30.0))
    await here.join(CHANNEL)
    await there.join(CHANNEL)
    await probe.started(1)
    entry = there.runner._entries[CHANNEL]
    with gated_store.hold("holder") as asking:
        there.runner._try_soon(entry)
        await asking.wait()
        # It was told already that it cannot have it.
        await here.node.stop()
        assert entry.retry
    await probe.started(2)
    assert there.stats.running == 1


async def test_a_waiting_node_waits_no_longer_than_somebody_watches(make_place, probe):
    here, there = await make_place(), await make_place()
    await here.join(CHANNEL)
    recorder = await there.join(CHANNEL)
    await there.leave(recorder)
    await eventually(lambda: there.at_rest)
    await here.node.stop()
    assert len(probe.records) == 1


async def test_a_draining_node_does_not_take_over(make_place, probe):
    here, there = await make_place(), await make_place()
    await here.join(CHANNEL)
    await there.join(CHANNEL)
    there.node.clients.draining = True
    await here.node.stop()
    for _ in range(3):
        before = there.store.calls.count("acquire")
        await eventually(lambda: not there.runner._tasks)
        assert there.store.calls.count("acquire") == before
    assert len(probe.records) == 1


# Losing the lease


async def test_a_lost_lease_ends_the_run_before_anything_of_it_is_heard(make_place, probe, gated_store):
    # No round of the one that has the lease: it finds out when it publishes next.
    here, there = await make_place(replace(FAST, round=3600.0)), await make_place()
    probe.script = Counting()
    near, far = await here.join(CHANNEL), await there.join(CHANNEL)
    await near.wait(3)
    with gated_store.hold("append_many") as publishing:
        await publishing.wait()
        # As a Redis that lost its data: the lease is another's, and nobody was told.
        lease = await holder(here)
        await gated_store.release(lease)
        await there.runner._try(there.runner._entries[CHANNEL])
        assert (there.stats.running, here.stats.running) == (1, 1)
    await eventually(lambda: here.stats.waiting == 1)
    await eventually(lambda: len(probe.running) == 1)
    count = len(far.data)
    await far.wait(count + 10)
    await near.wait(len(near.data) + 10)
    for recorder in (near, far):
        seen = runs_of(recorder)
        assert seen == sorted(seen), "two runs were heard at once"
        assert set(seen) == {1, 2}


async def test_a_lease_that_cannot_be_renewed_is_not_counted_on(make_place, probe, gated_store):
    place = await make_place(SHORT)
    probe.script = Counting()
    recorder = await place.join(CHANNEL)
    await recorder.wait(3)
    gated_store.down = True
    await eventually(lambda: (place.stats.running, place.stats.waiting, probe.running) == (0, 1, []))
    gated_store.down = False
    await probe.started(2)
    await eventually(lambda: runs_of(recorder)[-1] > 1)


async def test_a_run_that_sends_nothing_is_cancelled_as_well_when_its_lease_is_over(make_place, probe, gated_store):
    place = await make_place(SHORT)
    await place.join(CHANNEL)
    await probe.started(1)
    gated_store.down = True
    await eventually(lambda: probe.running == [] and place.stats.waiting == 1)


async def test_no_other_run_starts_here_before_the_one_that_lost_its_lease_is_over(make_place, probe, gated_store):
    place = await make_place(replace(SHORT, cancel=PATIENT.cancel))
    script = probe.script = Ignoring()
    await place.join(CHANNEL)
    await probe.started(1)
    probe.script = Counting()
    gated_store.down = True
    await eventually(lambda: script.cancelled)
    gated_store.down = False
    joining = asyncio.create_task(place.join(CHANNEL))
    await until(lambda: place.runner._turns._locks[CHANNEL][1] == 2)
    assert len(probe.records) == 1
    script.free.set()
    await joining
    await probe.started(2)
    assert probe.most == 1


async def test_a_subscriber_that_comes_when_the_lease_is_just_over_waits_for_the_next_run(make_place, probe):
    # No round of its own comes first and renews the lease.
    place = await make_place(replace(FAST, round=3600.0))
    await place.join(CHANNEL)
    await probe.started(1)
    place.runner._entries[CHANNEL].hold.until = 0
    await place.join(CHANNEL)
    await probe.started(2)
    assert (probe.most, len(probe.running)) == (1, 1)


async def test_a_store_that_is_away_for_a_moment_costs_no_run(make_place, probe, gated_store):
    place = await make_place()
    await place.join(CHANNEL)
    await probe.started(1)
    gated_store.down = True
    calls = len(gated_store.calls)
    await eventually(lambda: gated_store.calls[calls:].count("renew") > 3)
    gated_store.down = False
    calls = len(gated_store.calls)
    await eventually(lambda: gated_store.calls[calls:].count("renew") > 3)
    assert (len(probe.records), place.stats.running) == (1, 1)


async def test_what_a_run_sends_after_its_lease_is_over_is_refused(make_place, probe, gated_store):
    """Its process was stopped for a while, say: the clock is looked at before anything is sent."""
    # No round comes first and renews the lease.
    place = await make_place(replace(FAST, round=3600.0))
    refused = asyncio.get_running_loop().create_future()
    go = asyncio.Event()

    async def script(record):
        await go.wait()
        try:
            await record.sender.send(1)
        except LeaseLost as error:
            refused.set_result(error)
            raise

    probe.script = script
    await place.join(CHANNEL)
    await probe.started(1)
    place.runner._entries[CHANNEL].hold.until = 0
    go.set()
    await refused
    assert "append_many" not in gated_store.calls
    probe.script = Counting()
    # Nobody else wanted it: it goes on here.
    await probe.started(2)


async def test_what_the_store_refuses_ends_the_run_at_once(make_place, probe, gated_store):
    """The lease was lost without this node's clock telling: as after the sleep of a virtual machine."""
    place = await make_place(replace(FAST, round=30.0))
    probe.script = Counting()
    await place.join(CHANNEL)
    await probe.started(1)
    lease = await holder(place)
    await gated_store.release(lease)
    taken = await gated_store.acquire(NAME, "another", 60, channel=CHANNEL)
    assert isinstance(taken, Lease)
    await eventually(lambda: place.stats.waiting == 1 and probe.running == [])
    assert len(probe.records) == 1


# A run that ends


async def test_a_run_that_returns_is_started_by_the_next_subscriber(place, probe):
    async def script(record):
        await record.sender.send(len(probe.records))

    probe.script = script
    recorder = await place.join(CHANNEL)
    await eventually(lambda: place.stats.ended == 1)
    assert (place.stats.running, len(probe.records)) == (0, 1)
    await place.join(CHANNEL)
    await eventually(lambda: place.stats.ended == 1 and recorder.data[-1:] == [2])
    assert len(probe.records) == 2


async def test_the_next_subscriber_may_be_of_another_node(make_place, probe):
    here, there = await make_place(), await make_place()

    async def script(record):
        await record.sender.send(len(probe.records))

    probe.script = script
    recorder = await here.join(CHANNEL)
    await eventually(lambda: here.stats.ended == 1)
    await there.join(CHANNEL)
    await probe.started(2)
    await eventually(lambda: here.stats.ended == 1)
    # Many at once: one run after the other at most.
    await asyncio.gather(*[place.join(CHANNEL) for place in (here, there) for _ in range(3)])
    await probe.started(3)
    await eventually(lambda: here.stats.ended == 1 and recorder.data[-1] == len(probe.records))
    assert probe.most == 1
    assert there.stats.waiting == 1


async def test_the_wish_is_repeated_when_it_was_not_heard(make_place, probe, monkeypatch):
    here, there = await make_place(), await make_place()

    async def script(record):
        pass

    probe.script = script
    await here.join(CHANNEL)
    await eventually(lambda: here.stats.ended == 1)
    taken = []
    monkeypatch.setattr(here.runner, "take", taken.append)
    await there.join(CHANNEL)
    await until(lambda: taken)
    assert len(probe.records) == 1
    monkeypatch.undo()
    await probe.started(2)
    await eventually(lambda: here.stats.ended == 1)
    await eventually(lambda: there.runner._entries[CHANNEL].asked is None)
    # Said twice, done once.
    here.runner.take(taken[0])
    await eventually(lambda: not here.runner._tasks)
    assert len(probe.records) == 2


async def test_a_run_that_has_ended_stays_so_when_it_changes_hands(make_place, probe):
    here, there = await make_place(), await make_place()
    release = asyncio.Event()

    async def script(record):
        await release.wait()

    probe.script = script
    await here.join(CHANNEL)
    await there.join(CHANNEL)
    release.set()
    await eventually(lambda: there.runner._entries[CHANNEL].ended)
    await here.node.stop()
    await eventually(lambda: there.stats.ended == 1)
    assert len(probe.records) == 1
    await there.join(CHANNEL)
    await probe.started(2)


async def test_that_a_run_has_ended_is_noted_as_soon_as_it_can_be(make_place, probe, gated_store):
    here, there = await make_place(), await make_place()
    release = asyncio.Event()

    async def script(record):
        await release.wait()
        gated_store.down = True

    probe.script = script
    await here.join(CHANNEL)
    await there.join(CHANNEL)
    release.set()
    await eventually(lambda: here.stats.ended == 1)
    assert not there.runner._entries[CHANNEL].ended
    gated_store.down = False
    await eventually(lambda: there.runner._entries[CHANNEL].ended)
    assert len(probe.records) == 1


# Things that come between


async def test_a_subscriber_that_does_not_wait_leaves_a_run_that_somebody_owns(place, probe, gated_store):
    running = []

    async def script(record):
        # Asked here: as nobody watches, it is over soon.
        running.append(place.stats.running)
        await forever(record)

    probe.script = script
    with gated_store.hold("acquire") as acquiring:
        joining = asyncio.create_task(place.join(CHANNEL))
        await acquiring.wait()
        joining.cancel()
        await asyncio.gather(joining, return_exceptions=True)
    await probe.started(1)
    assert running == [1]
    await eventually(lambda: place.at_rest)
    assert await holder(place) is None


async def test_a_node_that_stops_gives_back_what_it_gets_meanwhile(place, probe, gated_store):
    with gated_store.hold("acquire") as acquiring:
        joining = asyncio.create_task(place.join(CHANNEL))
        await acquiring.wait()
        stopping = asyncio.create_task(place.runner.stop())
        await until(lambda: place.runner._closed)
    await stopping
    with pytest.raises(EngineUnavailable, match="about to stop"):
        await joining
    assert await holder(place) is None
    assert (probe.records, place.stats) == ([], NOTHING)


async def test_a_node_that_stops_does_not_wait_for_a_store_that_does_not_answer(make_place, probe, gated_store):
    place = await make_place(replace(FAST, stop=0.2))
    await place.join(OTHER)
    with gated_store.hold("acquire") as acquiring, gated_store.hold("release"):
        joining = asyncio.create_task(place.join(CHANNEL))
        await acquiring.wait()
        await asyncio.wait_for(place.runner.stop(), 30)
        with pytest.raises(EngineUnavailable, match="about to stop"):
            await joining
    assert place.stats == NOTHING


async def test_a_node_stops_without_a_store(place, probe, gated_store):
    await place.join(CHANNEL)
    gated_store.down = True
    await place.runner.stop()
    assert (place.stats, probe.running) == (NOTHING, [])
    await place.runner.stop()


async def test_cancelled_while_it_publishes_it_ends_and_the_next_goes_on(place, probe, gated_store):
    probe.script = Counting()
    recorder = await place.join(CHANNEL)
    await recorder.wait(2)
    with gated_store.hold("append_many") as publishing:
        await publishing.wait()
        await place.leave(recorder)
        await eventually(lambda: place.at_rest)
    recorder = await place.join(CHANNEL)
    await recorder.wait(3)
    assert set(runs_of(recorder)) == {2}


async def test_messages_that_come_too_late_do_nothing(place, probe):
    recorder = await place.join(CHANNEL)
    await place.leave(recorder)
    await eventually(lambda: place.at_rest)
    for body in (
        {"kind": "plugin", "what": "again", "channel": str(CHANNEL), "start": 1},
        {"kind": "plugin", "what": "freed", "channels": [str(CHANNEL), str(OTHER)]},
        {"kind": "plugin", "what": "source", "source": "nobody"},
    ):
        place.node.take_message(body)
    await eventually(lambda: not place.runner._tasks)
    assert (place.stats, len(probe.records)) == (NOTHING, 1)
    await place.runner.stop()
    place.node.take_message({"kind": "plugin", "what": "freed", "channels": [str(CHANNEL)]})


@pytest.mark.parametrize(
    "body", [{}, {"what": "nonsense"}, {"what": "again", "channel": "x"}, {"what": "again", "channel": str(CHANNEL)}]
)
async def test_a_message_that_is_none_is_logged(place, caplog, body):
    place.node.take_message({"kind": "plugin", **body})
    assert "cannot be read" in caplog.text


async def test_an_older_lease_with_a_note_that_is_none_is_waited_for(place, probe, gated_store):
    lease = await gated_store.acquire(NAME, "another", 60, note=b"?", channel=CHANNEL)
    await place.join(CHANNEL, "data")
    assert place.stats.waiting == 1
    await gated_store.release(lease)
    assert (await probe.started(1)).request.data == "data"


async def test_a_mistake_in_a_round_costs_no_lease(place, probe, monkeypatch, caplog):
    await place.join(CHANNEL)
    monkeypatch.setattr(place.node.hub, "subscriber_count", lambda channel: 1 / 0)
    await eventually(lambda: caplog.text.count("a round of the runner failed") > 2)
    monkeypatch.undo()
    calls = len(place.store.calls)
    await eventually(lambda: place.store.calls[calls:].count("renew") > 2)
    assert (place.stats.running, len(probe.records)) == (1, 1)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_comes_between_there_is_one_run_while_somebody_watches(make_place, probe, gated_store, seed):
    """Three nodes, subscribers that come and go, a store that hesitates and fails, a node that stops."""
    chance = random.Random(seed)
    # What fails leaves leases that nobody knows of: they have to expire, and not while the machine is held up.
    places = [await make_place(replace(FAST, lease=6.0)) for _ in range(3)]
    watchers = []
    usual = gated_store._pass

    async def hesitating(method, call):
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        if chance.random() < 0.03:
            raise EngineUnavailable("the store is away for a moment")
        return await usual(method, call)

    gated_store._pass = hesitating
    probe.script = Counting(0.001)

    async def visit():
        visits = 0
        # How many starts and failures there are is left to chance, and to the machine.
        while (visits := visits + 1) <= 15 or len(watchers) <= 50 or len(probe.records) <= 2:
            place = chance.choice(places)
            try:
                recorder = await place.join(CHANNEL)
            except EngineUnavailable:
                continue
            watchers.append(recorder)
            await asyncio.sleep(chance.random() * 0.03)
            await place.leave(recorder)
            await asyncio.sleep(chance.random() * chance.choice([0.01, 0.3]))

    visits = [asyncio.create_task(visit()) for _ in range(8)]
    await asyncio.sleep(0.3)
    stopping = places.pop(chance.randrange(3))
    await stopping.node.stop()
    await asyncio.gather(*visits)
    assert probe.most == 1
    for recorder in watchers:
        seen = runs_of(recorder)
        assert seen == sorted(seen)
    gated_store._pass = usual
    last = await places[0].join(CHANNEL)
    await last.wait(3)
    await eventually(lambda: len(probe.running) == 1)
    await places[0].leave(last)
    await eventually(lambda: all(place.at_rest for place in places))
    assert await holder(places[0]) is None
    assert probe.most == 1


async def test_a_run_has_nothing_of_the_request_that_began_it(place, probe):
    """It lives longer, and so would the thread and the values of that request."""
    seen = []

    async def look(record):
        seen.append(request.get())

    probe.script = look
    request.set("the first subscriber's")
    await place.join(CHANNEL)
    await eventually(lambda: seen)
    assert seen == [None]
