"""The relay of one process: nothing between a publisher and the nodes of the process."""

import asyncio
import threading

import pytest
from channels.layers import InMemoryChannelLayer

from live.channel import Channel
from live.node.relay import find_layer
from live.node.relay_local import LocalRelay
from live.store import Publication
from tests.peers import Listener, until

A = Channel("stream", "test", "a")
B = Channel("stream", "test", "b")


@pytest.fixture
async def make_relay():
    layer, relays = InMemoryChannelLayer(), []

    async def make():
        listener = Listener()
        relay = LocalRelay(layer, listener)
        await relay.start()
        relays.append(relay)
        return relay, listener

    yield make
    for relay in relays:
        await relay.stop()


async def test_publications_reach_every_node_that_joined_at_once_and_no_other(make_relay):
    (one, first), (two, second), (_, third) = [await make_relay() for _ in range(3)]
    await one.join(A)
    await two.join(A)
    publication = Publication(b'{"x":1}', 3, "epoch", b"{}")
    await one.send(A, publication)
    await one.send(B, publication)
    assert first.publications == second.publications == [(A, publication)]
    assert third.publications == []


async def test_leaving_ends_it_unless_somebody_wants_it_after_all(make_relay):
    relay, listener = await make_relay()
    await relay.join(A)
    await relay.leave(A, unless=lambda: True)
    assert relay.joined == {A}
    await relay.leave(A)
    await relay.send(A, Publication(b"1"))
    assert relay.joined == frozenset()
    assert listener.publications == []


async def test_joins_leaves_and_messages_travel_too(make_relay):
    (one, first), (two, second) = await make_relay(), await make_relay()
    await two.join(A)
    await one.send_member(A, b"{}", joined=True)
    await one.broadcast({"kind": "x"})
    await one.send_to(two.name, {"kind": "y"})
    assert second.members == [(A, b"{}", True)]
    assert (first.messages, second.messages) == ([{"kind": "x"}], [{"kind": "x"}, {"kind": "y"}])


async def test_a_publisher_on_another_loop_reaches_the_node_on_its_own(make_relay):
    relay, listener = await make_relay()
    await relay.join(A)
    threads = []
    listener.deliver = lambda channel, publication: threads.append(threading.current_thread())
    await asyncio.to_thread(asyncio.run, relay.send(A, Publication(b"1")))
    await until(lambda: threads)
    assert threads == [threading.current_thread()]


async def test_a_relay_that_stopped_gets_nothing(make_relay):
    relay, listener = await make_relay()
    await relay.join(A)
    assert relay.connected
    await relay.stop()
    await relay.send(A, Publication(b"1"))
    assert not relay.connected
    assert listener.publications == []


def test_a_project_without_layers_gets_one_of_one_process(settings):
    settings.CHANNEL_LAYERS = {}
    assert isinstance(find_layer("default"), InMemoryChannelLayer)
