"""A data source that is changed or deleted while it is watched."""

import asyncio
from dataclasses import replace

import pytest
from django.db import OperationalError

from live.channel import Channel
from live.exceptions import PluginFailed
from live.plugins import run as run_module
from live.plugins import source_watch as source_watch_module
from live.plugins.base import DataSource
from live.plugins.run import Gone, find_target
from tests.peers import eventually
from tests.plugins.streams import FAST, Counting

CHANNEL = Channel("ds", "sensor", "a")
SECOND = Channel("ds", "sensor", "b")
OTHER = Channel("ds", "other", "a")


class Sources:
    """The data sources there are; `error` is what reading them raises."""

    def __init__(self):
        self.all = {uid: DataSource(uid, "probe", {"port": 1}) for uid in ("sensor", "other")}
        self.error = None

    async def find(self, uid):
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return self.all.get(uid)

    def set(self, uid, plugin="probe", name="", **settings):
        self.all[uid] = DataSource(uid, plugin, settings, name)


@pytest.fixture
def sources(monkeypatch, probe):
    made = Sources()
    monkeypatch.setattr(run_module, "find_source_settings", made.find)
    monkeypatch.setattr(source_watch_module, "find_source_settings", made.find)
    return made


def say(*places):
    for place in places:
        place.node.take_message({"kind": "plugin", "what": "source", "source": "sensor"})


async def settled(*places):
    await eventually(lambda: not any(place.runner._tasks for place in places))


async def test_a_changed_data_source_starts_its_runs_again_with_the_new_settings(make_place, probe, sources):
    here, there = await make_place(), await make_place()
    probe.script = Counting()
    recorders = [await here.join(CHANNEL, "data"), await there.join(CHANNEL)]
    await there.join(SECOND)
    await here.join(OTHER)
    await probe.started(3)
    assert {record.request.settings["port"] for record in probe.records} == {1}
    sources.set("sensor", port=2)
    say(here, there)
    await probe.started(5)
    await settled(here, there)
    again = probe.records[3:]
    assert {record.request.channel for record in again} == {CHANNEL, SECOND}
    assert [record.request.settings["port"] for record in again] == [2, 2]
    assert "data" in {record.request.data for record in again}
    assert probe.most == 1
    for recorder in recorders:
        await recorder.wait(len(recorder.data) + 3)
        seen = [data["run"] for data in recorder.data]
        assert seen == sorted(seen)
        assert recorder.ended == []


async def test_what_did_not_change_goes_on(place, probe, sources):
    await place.join(CHANNEL)
    await probe.started(1)
    sources.set("sensor", name="Another name", port=1)
    say(place)
    await settled(place)
    assert len(probe.running) == len(probe.records) == 1


async def test_a_change_is_noticed_without_a_message(make_place, probe, sources):
    place = await make_place(replace(FAST, sources=0.1))
    await place.join(CHANNEL)
    await probe.started(1)
    sources.set("sensor", port=3)
    record = await probe.started(2)
    assert record.request.settings == {"port": 3}


async def test_a_deleted_data_source_stops_and_its_subscribers_are_told(make_place, probe, sources):
    here, there = await make_place(), await make_place()
    near, far, second = await here.join(CHANNEL), await there.join(CHANNEL), await there.join(SECOND)
    other = await here.join(OTHER)
    await probe.started(3)
    del sources.all["sensor"]
    say(here, there)
    await eventually(lambda: there.at_rest and here.stats.running == 1)
    await settled(here, there)
    for recorder in (near, far, second):
        assert recorder.ended == [(recorder.subscription.channel, 2000, "data source deleted")]
    assert other.ended == []
    assert [record.request.channel for record in probe.running] == [OTHER]
    assert await here.store.holder(f"run/{CHANNEL.digest}", channel=CHANNEL) is None


async def test_a_run_that_finds_its_data_source_gone_tells_all_nodes(make_place, probe, sources):
    here, there = await make_place(), await make_place()
    failed = asyncio.Event()

    async def script(record):
        await failed.wait()
        raise ValueError

    probe.script = script
    near, far = await here.join(CHANNEL), await there.join(CHANNEL)
    await probe.started(1)
    del sources.all["sensor"]
    failed.set()
    await eventually(lambda: near.ended and far.ended)
    await eventually(lambda: here.at_rest and there.at_rest)
    assert len(probe.records) == 1


async def test_one_that_cannot_be_read_is_tried_again_and_nothing_stops(place, probe, sources, caplog):
    recorder = await place.join(CHANNEL)
    await probe.started(1)
    for sources.error in (OperationalError("no database"), PluginFailed("no settings")):
        say(place)
        await settled(place)
    assert "data source sensor could not be read again: no database" in caplog.text
    assert (len(probe.running), recorder.ended) == (1, [])
    # One that is to start meanwhile starts when it can be read.
    await place.join(SECOND)
    await eventually(lambda: "failed and starts again" in caplog.text)
    sources.error = None
    await probe.started(2)


async def test_another_plugin_may_answer_for_it_and_one_that_is_not_there_ends_it(place, probe, sources):
    recorder = await place.join(CHANNEL)
    await probe.started(1)
    sources.set("sensor", plugin="nonsense", port=1)
    say(place)
    await eventually(lambda: place.at_rest and recorder.ended)
    assert recorder.ended == [(CHANNEL, 2000, "no plugin nonsense")]


async def test_nobody_asks_for_a_data_source_that_is_not_watched(place, sources):
    sources.error = AssertionError("asked")
    say(place)
    await settled(place)


async def test_what_makes_the_frames_of_a_channel(sources, probe):
    target = await find_target(CHANNEL)
    assert (target.plugin, target.plugin_id, target.source.settings) == (probe, "probe", {"port": 1})
    assert (await find_target(Channel("plugin", "probe", "x"))).source is None
    for channel, why in ((Channel("ds", "x", "a"), "deleted"), (Channel("plugin", "x", "a"), "no plugin x")):
        with pytest.raises(Gone, match=why):
            await find_target(channel)
