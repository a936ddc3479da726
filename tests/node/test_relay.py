"""The relay over a real channel layer, and over layers that fail."""

import asyncio
import logging

import pytest
from channels.layers import InMemoryChannelLayer

from live.channel import Channel
from live.exceptions import EngineUnavailable
from live.node import Relay
from live.node import relay as relay_module
from live.node.relay import find_layer, group_name
from live.store import Publication
from tests.peers import until

A = Channel("stream", "test", "a")
LONGEST = Channel.parse("a/b/" + "=/" * 78)


class Inbox:
    def __init__(self):
        self.publications = []
        self.changed = asyncio.Event()

    def __call__(self, channel, publication):
        self.publications.append((channel, publication))
        self.changed.set()

    async def wait(self, count):
        while len(self.publications) < count:
            self.changed.clear()
            await self.changed.wait()


@pytest.fixture
async def layer():
    return InMemoryChannelLayer()


@pytest.fixture
async def make_relay(layer):
    relays = []

    async def make(layer=layer):
        inbox = Inbox()
        relay = Relay(layer, inbox)
        relays.append(relay)
        await relay.start()
        return relay, inbox

    yield make
    for relay in relays:
        await relay.stop()


def test_group_names_fit_every_layer():
    layer = InMemoryChannelLayer()
    for channel in (A, LONGEST):
        assert layer.require_valid_group_name(group_name(channel))
    assert group_name(A) != group_name(LONGEST)


async def test_publications_reach_every_node_that_joined_and_no_other(make_relay):
    (one, inbox_one), (two, inbox_two), (_, inbox_three) = [await make_relay() for _ in range(3)]
    await one.join(A)
    await two.join(A)
    publication = Publication(b'{"x":1}', 3, "epoch", b"{}")
    await one.send(A, publication)
    await one.send(LONGEST, publication)
    await inbox_one.wait(1)
    await inbox_two.wait(1)
    assert inbox_one.publications == inbox_two.publications == [(A, publication)]
    assert inbox_three.publications == []


async def test_a_burst_larger_than_the_layers_capacity_loses_nothing(make_relay):
    relay, inbox = await make_relay()
    await relay.join(A)
    await asyncio.gather(*[relay.send(A, Publication(b"%d" % n)) for n in range(1000)])
    await inbox.wait(1000)
    assert [publication.data for _, publication in inbox.publications] == [b"%d" % n for n in range(1000)]


async def test_leaving_leaves_nothing_in_the_layer(make_relay, layer):
    relay, inbox = await make_relay()
    await relay.join(A)
    await relay.join(A)
    await relay.leave(A, unless=lambda: True)
    assert relay.joined == {A}
    await relay.leave(A)
    await relay.leave(A)
    assert relay.joined == frozenset()
    assert layer.groups == {}
    assert relay._locks == {}
    await relay.send(A, Publication(b"1"))
    assert inbox.publications == []


async def test_stop_leaves_every_group(make_relay, layer):
    relay, _ = await make_relay()
    await relay.join(A)
    await relay.stop()
    assert layer.groups == {}


async def test_memberships_are_renewed_before_the_layer_expires_them(make_relay, layer):
    relay, _ = await make_relay()
    await relay.join(A)
    (members,) = layer.groups.values()
    members[relay._name] = 0.0
    await relay.refresh()
    assert members[relay._name] == 0.0
    layer.group_expiry = 1e-9
    await relay.refresh()
    assert members[relay._name] > 0
    layer.group_expiry = None
    await relay.refresh()


async def test_what_is_no_publication_is_logged_and_skipped(make_relay, layer, caplog):
    relay, inbox = await make_relay()
    await relay.join(A)
    for message in (
        {"type": "other"},
        {"type": "live.publication"},
        {"type": "live.publication", "channel": "x", "data": b""},
    ):
        await layer.group_send(group_name(A), message)
    await relay.send(A, Publication(b"1"))
    await inbox.wait(1)
    assert caplog.text.count("is not a publication") == 3


class FailingLayer(InMemoryChannelLayer):
    error = None

    async def _maybe(self):
        if self.error:
            raise self.error

    async def group_add(self, group, channel):
        await self._maybe()
        await super().group_add(group, channel)

    async def group_send(self, group, message):
        await self._maybe()
        await super().group_send(group, message)

    async def receive(self, channel):
        await self._maybe()
        return await super().receive(channel)


@pytest.mark.parametrize("error", [ConnectionRefusedError("no"), TimeoutError(), RuntimeError("odd")])
async def test_a_layer_that_fails_is_one_error_the_caller_knows(make_relay, error):
    layer = FailingLayer()
    relay, _ = await make_relay(layer)
    layer.error = error
    with pytest.raises(EngineUnavailable, match="channel layer"):
        await relay.join(A)
    assert relay.joined == frozenset()
    with pytest.raises(EngineUnavailable):
        await relay.send(A, Publication(b"1"))


async def test_the_receiving_task_survives_a_layer_that_fails_and_says_so_once(make_relay, caplog, monkeypatch):
    monkeypatch.setattr(relay_module, "_RETRY_FIRST", 0.001)
    monkeypatch.setattr(relay_module, "_RETRY_MAX", 0.002)
    caplog.set_level(logging.INFO, "live.node")
    layer = FailingLayer()
    relay, inbox = await make_relay(layer)
    await relay.join(A)
    layer.error = OSError("down")
    # Wakes the receiver, whose next receive then fails.
    await InMemoryChannelLayer.group_send(layer, group_name(A), {"type": "other"})
    await until(lambda: "the channel layer fails" in caplog.text)
    layer.error = None
    await relay.send(A, Publication(b"1"))
    await inbox.wait(1)
    assert caplog.text.count("the channel layer fails") == 1
    assert caplog.text.count("works again") == 1


async def test_a_join_that_is_cancelled_leaves_no_lock(make_relay):
    layer = FailingLayer()
    relay, _ = await make_relay(layer)
    held = asyncio.Event()

    async def blocked(group, channel):
        await held.wait()

    layer.group_add = blocked
    first = asyncio.create_task(relay.join(A))
    await asyncio.sleep(0)
    second = asyncio.create_task(relay.join(A))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    held.set()
    await first
    assert relay._locks == {}


def test_a_project_without_layers_gets_one_of_one_process(settings):
    settings.CHANNEL_LAYERS = {}
    assert isinstance(find_layer("default"), InMemoryChannelLayer)
