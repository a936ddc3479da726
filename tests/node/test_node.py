"""A node: journeys 1 and 2 over a real in-memory layer and store."""

import asyncio

import pytest
from channels.layers import InMemoryChannelLayer

from live.channel import Channel
from live.exceptions import EngineUnavailable, PublicationTooLarge
from live.node import node as node_module
from live.node.node import NodeStats
from live.store import ChannelOptions, MemoryStore
from tests.peers import Recorder, until

A = Channel("stream", "test", "a")
HISTORY = ChannelOptions(history_size=100)
PLAIN = ChannelOptions()
NOTHING = NodeStats(clients=0, channels=0, joined=0, tasks=0)


async def subscribe(node, options=HISTORY):
    recorder = Recorder()
    subscription, state = await node.subscribe(A, recorder, options)
    node.release(subscription, state.position)
    return recorder, subscription


async def publish(node, *values, options=HISTORY):
    for value in values:
        await node.publish(A, b"%d" % value, options)


async def test_a_publication_reaches_the_subscribers_in_order_with_offsets(node):
    recorder, _ = await subscribe(node)
    await publish(node, *range(250))
    await recorder.wait(250)
    assert recorder.data == list(range(250))
    assert recorder.offsets == list(range(1, 251))


async def test_publishers_at_once_are_delivered_in_the_order_of_offsets(node):
    recorder, _ = await subscribe(node)
    await asyncio.gather(*[publish(node, value) for value in range(300)])
    await recorder.wait(300)
    assert recorder.offsets == list(range(1, 301))


async def test_two_nodes_share_publications_through_the_layer(make_node):
    layer = InMemoryChannelLayer()
    one, two = await make_node(layer), await make_node(layer)
    here, _ = await subscribe(one, PLAIN)
    there, _ = await subscribe(two, PLAIN)
    await publish(one, 1, options=PLAIN)
    await publish(two, 2, options=PLAIN)
    await here.wait(2)
    await there.wait(2)
    assert here.data == there.data == [1, 2]


async def test_subscribing_in_the_middle_of_publications_misses_none(node):
    first, _ = await subscribe(node)

    async def feed():
        for value in range(200):
            await publish(node, value)

    feeding = asyncio.create_task(feed())
    joined = []
    for count in (20, 50, 90):
        await first.wait(count)
        recorder = Recorder()
        subscription, state = await node.subscribe(A, recorder, HISTORY)
        # The handler takes its time; publications go on meanwhile.
        await first.wait(count + 10)
        node.release(subscription, state.position)
        joined.append((recorder, state.position.offset))
    await feeding
    await first.wait(200)
    for recorder, start in joined:
        assert recorder.offsets == list(range(start + 1, 201))


async def test_a_message_lost_by_the_layer_is_read_from_the_store(node):
    recorder, _ = await subscribe(node)
    await publish(node, 1)
    await node.store.append(A, b"2", HISTORY)
    await node.store.append(A, b"3", HISTORY)
    await publish(node, 4)
    await recorder.wait(4)
    assert recorder.data == [1, 2, 3, 4]
    await until(lambda: not node.stats().tasks)


async def test_a_loss_the_store_cannot_heal_is_told(node):
    options = ChannelOptions(history_size=1)
    recorder, _ = await subscribe(node, options)
    for value in (b"1", b"2"):
        await node.store.append(A, value, options)
    await publish(node, 3, options=options)
    await until(lambda: recorder.ended)
    assert recorder.ended == [A]
    assert recorder.messages == []


async def test_with_the_last_subscriber_nothing_is_left(node):
    (_, first), (_, second) = await subscribe(node), await subscribe(node)
    assert node.stats() == NodeStats(clients=0, channels=1, joined=1, tasks=0)
    await node.unsubscribe(first)
    assert node.stats().joined == 1
    await node.unsubscribe(second)
    assert node.stats() == NOTHING


async def test_joins_and_leaves_at_once_end_in_the_right_state(node):
    async def visit(stay):
        _, subscription = await subscribe(node)
        await asyncio.sleep(0)
        if not stay:
            await node.unsubscribe(subscription)
        return subscription

    subscriptions = await asyncio.gather(*[visit(number == 20) for number in range(40)])
    assert node.stats().joined == 1
    await node.unsubscribe(subscriptions[20])
    assert node.stats() == NOTHING


class Failing(MemoryStore):
    async def state(self, channel, options):
        raise EngineUnavailable


async def test_a_subscribe_that_fails_leaves_nothing(node):
    node.store = Failing(max_channels=1, ttl=1)
    with pytest.raises(EngineUnavailable):
        await node.subscribe(A, Recorder(), HISTORY)
    assert node.stats() == NOTHING


async def test_a_layer_that_fails_does_not_hold_up_a_client_that_leaves(node, caplog):
    caplog.set_level("INFO")
    _, subscription = await subscribe(node)

    async def fail(group, channel):
        raise OSError("down")

    node.relay._layer.group_discard = fail
    await node.unsubscribe(subscription)
    assert node.stats() == NOTHING
    assert "could not leave stream/test/a" in caplog.text


async def test_too_large_a_publication_is_refused_to_its_publisher(make_node):
    node = await make_node(max_publication_size=1024)
    with pytest.raises(PublicationTooLarge, match="1025 bytes, at most 1024"):
        await node.publish(A, b"x" * 1025, HISTORY)
    assert await node.store.active() == []


async def test_the_limit_of_clients(make_node, caplog):
    node = await make_node(max_connections=2)
    clients = [Recorder() for _ in range(4)]
    assert [node.admit(client) for client in clients] == [True, True, False, False]
    assert caplog.text.count("MAX_CONNECTIONS") == 1
    node.forget(clients[0])
    assert node.admit(clients[2])
    assert not (await make_node(max_connections=0)).admit(clients[0])
    unlimited = await make_node(max_connections=-1)
    assert all(unlimited.admit(Recorder()) for _ in range(500))


async def test_stop_disconnects_the_clients_and_ends_the_tasks(make_node):
    node = await make_node()
    client = Recorder()
    node.admit(client)

    async def forever():
        await asyncio.Event().wait()

    node.spawn(forever(), "forever")
    await node.start()
    await node.stop()
    assert client.ended == [3001]
    assert node.stats().tasks == 0


async def test_a_background_failure_is_logged_under_its_name(node, caplog):
    async def fail():
        raise RuntimeError("boom")

    node.spawn(fail(), "the thing")
    await until(lambda: not node.stats().tasks)
    assert "the thing failed" in caplog.text
    assert "boom" in caplog.text


async def test_the_heartbeat_renews_and_expires_and_survives_failures(make_node, monkeypatch, caplog):
    monkeypatch.setattr(node_module, "HEARTBEAT", 0.001)
    expired = asyncio.Event()
    node = await make_node()
    rounds = 0

    async def expire():
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise EngineUnavailable("down")
        expired.set()

    monkeypatch.setattr(node.store, "expire", expire)
    await expired.wait()
    assert "heartbeat: down" in caplog.text


async def test_a_shared_layer_without_a_shared_store_keeps_no_history(node, monkeypatch):
    monkeypatch.setattr(type(node.relay), "single_process", property(lambda self: False))
    publication = await node.publish(A, b"1", HISTORY)
    assert publication.offset == 0


async def test_active_channels_are_those_published_to_or_subscribed_to(node):
    other = Channel("stream", "test", "b")
    await node.publish(other, b"1", PLAIN)
    await subscribe(node)
    assert [(str(a.channel), a.minute_rate) for a in await node.active_channels()] == [
        ("stream/test/a", 0),
        ("stream/test/b", 1),
    ]
