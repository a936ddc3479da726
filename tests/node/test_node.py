"""A node: journeys 1 and 2 over a real in-memory layer and store."""

import asyncio

import pytest
from channels.layers import InMemoryChannelLayer

from live.channel import Channel
from live.exceptions import EngineUnavailable, PublicationTooLarge
from live.node import gaps as gaps_module
from live.node import node as node_module
from live.node.node import NodeStats
from live.signals import relay_connected, relay_disconnected
from live.store import ChannelOptions, Draft, MemoryStore, Position
from tests.peers import Recorder, until

A = Channel("stream", "test", "a")
HISTORY = ChannelOptions(history_size=100)
PLAIN = ChannelOptions()
NOTHING = NodeStats(clients=0, channels=0, joined=0, tasks=0)


async def subscribe(node, options=HISTORY):
    recorder = Recorder()
    subscription, state, _ = await node.subscribe(A, recorder, options)
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
        subscription, state, _ = await node.subscribe(A, recorder, HISTORY)
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
    assert node.stats() == NodeStats(clients=0, channels=1, joined=1, tasks=0, subscriptions=2)
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


async def test_first_subscribers_that_read_different_streams_agree_in_the_end(node, monkeypatch):
    """The stream began anew between their questions, and the answers came in the other order."""
    answers, read = [], node.store.state

    async def state(channel, options):
        found, gate = await read(channel, options), asyncio.Event()
        answers.append(gate)
        await gate.wait()
        return found

    monkeypatch.setattr(node.store, "state", state)
    one, other = Recorder(), Recorder()
    old = asyncio.create_task(node.subscribe(A, one, HISTORY))
    await until(lambda: len(answers) == 1)
    await node.store.close()
    node.store._epoch = "another"
    new = asyncio.create_task(node.subscribe(A, other, HISTORY))
    await until(lambda: len(answers) == 2)
    answers[1].set()
    _, found, _ = await new
    answers[0].set()
    with pytest.raises(EngineUnavailable, match="began anew"):
        await old
    monkeypatch.undo()
    _, again, _ = await node.subscribe(A, one, HISTORY)
    assert node.hub.positions()[A] == found.position == again.position
    assert other.ended == []


async def test_a_layer_that_fails_does_not_hold_up_a_client_that_leaves(node, caplog, monkeypatch):
    caplog.set_level("INFO")
    _, subscription = await subscribe(node)

    async def fail(channel, *, unless):
        raise EngineUnavailable("down")

    monkeypatch.setattr(node.relay, "leave", fail)
    await node.unsubscribe(subscription)
    assert len(node.hub) == 0
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


async def recovered(node, since, options=HISTORY):
    """What a client that comes back with that position is told."""
    recorder = Recorder()
    subscription, state, recovery = await node.subscribe(A, recorder, options, since=since)
    node.release(subscription, state.position)
    return recorder, state, recovery


async def test_a_client_that_comes_back_gets_what_it_missed_and_then_what_is_new(node):
    await publish(node, 1, 2, 3)
    first = (await node.store.state(A, HISTORY)).position
    await publish(node, 4, 5)
    recorder, state, recovery = await recovered(node, first)
    assert [publication.data for publication in recovery.publications] == [b"4", b"5"]
    assert (recovery.recovered, state.position.offset) == (True, 5)
    await publish(node, 6)
    await recorder.wait(1)
    assert recorder.offsets == [6]


async def test_recovering_in_the_middle_of_publications_gets_each_once(node):
    await publish(node, 0)
    since = (await node.store.state(A, HISTORY)).position
    other, _ = await subscribe(node)

    async def feed():
        for value in range(1, 90):
            await publish(node, value)
            await asyncio.sleep(0)

    feeding = asyncio.create_task(feed())
    await other.wait(20)
    recorder, _, recovery = await recovered(node, since)
    await feeding
    told = [publication.offset for publication in recovery.publications]
    assert told + recorder.offsets == list(range(2, 91))


async def test_a_position_of_another_life_is_not_recovered(node):
    await publish(node, 1, 2)
    recorder, state, recovery = await recovered(node, Position(1, "otherlif"))
    assert not recovery.recovered
    assert state.position.offset == 2
    await publish(node, 3)
    await recorder.wait(1)


async def test_without_history_nothing_is_recovered(node):
    _, _, recovery = await recovered(node, Position(1, ""), options=PLAIN)
    assert recovery is None


async def test_what_the_relay_lost_is_found_when_positions_are_compared(node):
    recorder, _ = await subscribe(node)
    await publish(node, 1)
    await node.store.append(A, b"2", HISTORY)
    node.relay_returned()
    await recorder.wait(2)
    assert recorder.data == [1, 2]


async def test_a_store_that_lost_publications_is_told_to_the_subscribers(node):
    recorder, _ = await subscribe(node)
    await publish(node, 1, 2)
    node.store._streams.clear()
    await node.gaps.check()
    assert recorder.ended == [A]


async def test_comparing_positions_waits_for_the_store(node, monkeypatch):
    monkeypatch.setattr(gaps_module, "RETRY", 0.001)
    recorder, _ = await subscribe(node)
    await publish(node, 1)
    await node.store.append(A, b"2", HISTORY)
    positions, asked = node.store.positions, 0

    async def fail_twice(channels):
        nonlocal asked
        asked += 1
        if asked < 3:
            raise EngineUnavailable
        return await positions(channels)

    monkeypatch.setattr(node.store, "positions", fail_twice)
    node.relay_returned()
    await recorder.wait(2)
    assert asked == 3


async def test_a_gap_that_cannot_be_read_now_is_filled_later(node, monkeypatch):
    monkeypatch.setattr(gaps_module, "RETRY", 0.001)
    recorder, _ = await subscribe(node)
    await node.store.append(A, b"1", HISTORY)
    history, asked = node.store.history, 0

    async def fail_once(channel, **kwargs):
        nonlocal asked
        asked += 1
        if asked == 1:
            raise EngineUnavailable
        return await history(channel, **kwargs)

    monkeypatch.setattr(node.store, "history", fail_once)
    await publish(node, 2)
    await recorder.wait(2)
    assert recorder.data == [1, 2]


async def test_signals_tell_when_the_other_nodes_are_lost_and_found(node):
    seen = []

    def lost(sender, node, **kwargs):
        seen.append(("lost", node))

    async def found(sender, node, **kwargs):
        seen.append(("found", node))

    def broken(sender, **kwargs):
        raise RuntimeError("mine")

    relay_disconnected.connect(lost)
    relay_connected.connect(found)
    relay_connected.connect(broken)
    try:
        node.relay_lost()
        node.relay_returned()
        await until(lambda: not node.stats().tasks)
    finally:
        relay_disconnected.disconnect(lost)
        relay_connected.disconnect(found)
        relay_connected.disconnect(broken)
    assert seen == [("lost", node.id), ("found", node.id)]


async def test_a_node_is_ready_when_layer_and_store_are_and_it_does_not_drain(node, monkeypatch):
    assert await node.unready() == []

    async def down():
        raise EngineUnavailable("down")

    monkeypatch.setattr(node.store, "ping", down)
    await node.drain(0)
    await node.relay.stop()
    reasons = " ".join(await node.unready())
    for word in ("draining", "layer", "store"):
        assert word in reasons


async def test_many_publications_go_in_order_and_all_or_none_when_one_is_too_large(make_node):
    node = await make_node(max_publication_size=1024)
    recorder, _ = await subscribe(node)
    drafts = [Draft(A, b"%d" % value, HISTORY) for value in range(130)]
    taken = await node.publish_many(drafts)
    assert [publication.offset for publication in taken] == list(range(1, 131))
    await recorder.wait(130)
    assert recorder.data == list(range(130))
    with pytest.raises(PublicationTooLarge):
        await node.publish_many([drafts[0], Draft(A, b"x" * 2000, HISTORY)])
    assert (await node.store.state(A, HISTORY)).position.offset == 130
