"""Nodes in one loop that share a store and a layer, with short times, and a plugin that does what the test says."""

import pytest
from channels.layers import InMemoryChannelLayer

from live.channel import Channel
from live.conf import LiveSettings
from live.plugins import times
from live.plugins.registry import find_plugin, register_plugin, unregister_plugin
from live.store import presence
from tests.plugins.streams import FAST, NOTHING, GatedStore, Ignoring, Place, Probe

CHANNEL = Channel("plugin", "probe", "a")


@pytest.fixture
def probe():
    """The plugin "probe", and the one object of it there is."""
    register_plugin("probe", Probe)
    yield find_plugin("probe")
    unregister_plugin("probe")


@pytest.fixture
async def gated_store():
    return GatedStore()


@pytest.fixture
async def make_place(gated_store, monkeypatch):
    """Makes nodes; every one is stopped in the end, and must have nothing left then."""
    layer = InMemoryChannelLayer()
    places = []
    monkeypatch.setattr(presence, "WANTED_SECONDS", 0.25)

    async def make(fast=FAST, **settings):
        monkeypatch.setattr(times, "TIMES", fast)
        place = Place(LiveSettings(**settings), layer, gated_store)
        places.append(place)
        await place.node.start()
        # With the times of now.
        assert place.stats == NOTHING
        return place

    yield make
    gated_store.down = False
    while Ignoring.made:
        Ignoring.made.pop().free.set()
    for place in places:
        await place.node.stop()
        assert place.stats.running == place.stats.waiting == place.stats.ended == 0
        assert not place.runner._tasks
        assert not place.runner._turns


@pytest.fixture
async def place(make_place):
    return await make_place()
