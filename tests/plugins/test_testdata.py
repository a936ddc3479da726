"""The plugin `testdata` makes what the reference's does."""

import asyncio
import json
from itertools import pairwise
from math import isclose
from random import Random

import pytest

import live
from live.plugins.testdata import STREAMS, TestDataPlugin
from tests.plugins.senders import collect, columns, request

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND - 20 * SECOND  # a full minute


def make(start=START):
    """The plugin with a seed and with time that passes by itself, and the beats it asked for."""
    asked = []

    async def beat(seconds):
        asked.append(seconds)
        now = start
        while True:
            yield now
            await asyncio.sleep(0)
            now += int(seconds * SECOND)

    return TestDataPlugin(Random(7), beat), asked


async def run(path, wanted, start=START):
    plugin, asked = make(start)
    frames = await collect(plugin, request(f"plugin/testdata/{path}"), wanted)
    return frames, asked


@pytest.mark.parametrize(("path", "seconds"), [("random-20Hz-stream", 0.05), ("random-2s-stream", 2.0)])
async def test_a_walk_with_its_lower_and_upper_bounds(path, seconds):
    frames, asked = await run(path, 2000)
    assert asked == [seconds]
    values = [columns(frame) for frame in frames]
    assert {frame.name for frame in frames} == {"testdata"}
    assert [list(each) for each in values[:1]] == [["Time", "Value", "Min", "Max"]]
    times = [each["Time"][0] for each in values]
    assert times == [START + n * int(seconds * SECOND) for n in range(2000)]
    walk = [each["Value"][0] for each in values]
    steps = [after - before for before, after in pairwise(walk)]
    assert -0.5 <= walk[0] <= 100.5
    assert -0.5 <= min(steps) < -0.45
    assert 0.45 < max(steps) <= 0.5
    assert abs(sum(steps) / len(steps)) < 0.03
    below = [w - each["Min"][0] for w, each in zip(walk, values, strict=True)]
    assert 0.01 <= min(below) < 0.5
    assert 49.5 < max(below) <= 50.02
    above = [each["Max"][0] - w for w, each in zip(walk, values, strict=True)]
    assert 0.01 <= min(above) < 0.5
    assert 49.5 < max(above) <= 50.02


async def test_each_run_begins_somewhere_from_0_to_100():
    plugin, _ = make()
    starts = [
        columns((await collect(plugin, request("plugin/testdata/random-2s-stream"), 1))[0])["Value"][0]
        for _ in range(300)
    ]
    assert -0.5 <= min(starts) < 5
    assert 95 < max(starts) <= 100.5


async def test_the_flakey_stream_drops_three_of_four():
    frames, asked = await run("random-flakey-stream", 1000)
    assert asked == [0.1]
    beats = (columns(frames[-1])["Time"][0] - START) / (0.1 * SECOND)
    assert 0.22 < 1000 / beats < 0.28


async def test_the_labeled_stream_has_two_rows_whose_labels_change_with_the_second():
    frames, asked = await run("random-labeled-stream", 1000)
    assert asked == [0.2]
    assert {frame.name for frame in frames} == {"labeled"}
    for frame in frames:
        values = columns(frame)
        assert list(values) == ["labels", "Time", "Value"]
        (time, same), (first, second) = values["Time"], values["Value"]
        assert time == same
        assert isclose(second, first + 10)
        at = time // SECOND % 60
        assert values["labels"] == [f"s=A,s=p{at // 3},x=X", f"s=B,s=p{at // 7},x=X"]
    labels = {label for frame in frames for label in columns(frame)["labels"]}
    assert {"s=A,s=p0,x=X", "s=A,s=p19,x=X", "s=B,s=p0,x=X", "s=B,s=p8,x=X"} <= labels
    assert len(labels) == 20 + 9
    beats = (columns(frames[-1])["Time"][0] - START) / (0.2 * SECOND)
    assert 0.77 < 1000 / beats < 0.83


async def test_the_flight_is_a_circle_in_the_air():
    frames, asked = await run("flight-5hz-stream", 1200)
    assert asked == [0.2]
    values = [columns(frame) for frame in frames]
    assert {frame.name for frame in frames} == {"flight"}
    assert list(values[0]) == ["Time", "lat", "lng", "heading", "altitude"]
    latitudes = [each["lat"][0] for each in values]
    assert (round(min(latitudes), 2), round(max(latitudes), 2)) == (59.7, 60.7)
    for before, after in pairwise(values):
        north = after["lat"][0] > before["lat"][0]
        heading = before["heading"][0]
        if 5 < heading < 85 or 275 < heading < 355:
            assert north
        if 95 < heading < 265:
            assert not north
        assert 0 <= heading < 360
        assert abs(after["altitude"][0] - before["altitude"][0]) <= 10


@pytest.mark.parametrize("path", STREAMS)
async def test_who_subscribes_gets_the_columns(path):
    plugin, _ = make()
    answer = await plugin.subscribe_stream(request(f"plugin/testdata/{path}"))
    assert answer.status is live.StreamStatus.OK
    assert len(answer.data) == 0
    frames, _ = await run(path, 1)
    # What follows fits what came first.
    assert answer.data.schema_json() == frames[0].schema_json()


async def test_an_unknown_path_is_not_found():
    plugin, _ = make()
    asked = request("plugin/testdata/random-3Hz-stream")
    answer = await plugin.subscribe_stream(asked)
    assert answer.status is live.StreamStatus.NOT_FOUND
    assert "random-20Hz-stream" in answer.message
    with pytest.raises(live.NotFound):
        await collect(plugin, asked, 1)


async def test_nobody_publishes():
    plugin, _ = make()
    answer = await plugin.publish_stream(request("plugin/testdata/random-20Hz-stream", data={}))
    assert answer.status is live.StreamStatus.PERMISSION_DENIED


def test_four_streams_are_offered_with_their_columns():
    plugin, _ = make()
    assert {offer.path: offer.minute_rate for offer in plugin.offers(None)} == {
        "random-20Hz-stream": 1200,
        "random-2s-stream": 30,
        "random-flakey-stream": 150,
        "random-labeled-stream": 250,
    }
    schemas = {offer.path: json.loads(offer.schema.schema_json())["schema"] for offer in plugin.offers(None)}
    for path in ("random-20Hz-stream", "random-2s-stream", "random-flakey-stream"):
        assert schemas[path]["name"] == "testdata"
        fields = [(each["name"], each["type"]) for each in schemas[path]["fields"]]
        assert fields == [("Time", "time"), ("Value", "number"), ("Min", "number"), ("Max", "number")]


async def test_a_run_of_its_own_beat_sends_at_once():
    frames = await collect(TestDataPlugin(), request("plugin/testdata/random-20Hz-stream"), 3)
    times = [columns(frame)["Time"][0] for frame in frames]
    assert times == sorted(times)
