"""Two nodes on a real Redis: what one does, the other's clients see, and what Redis loses is healed."""

import asyncio

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from redis import Redis

from live.channel import Channel
from live.conf import LiveSettings
from live.exceptions import EngineUnavailable, LeaseLost
from live.node import Node
from live.node.control import ClientReport, ControlMessage, Wanted
from live.store import ChannelOptions, Draft, Member
from live.store.redis import RedisStore
from live.store.redis.topology import Topology
from tests.peers import Recorder, eventually, until
from tests.redis_server import wait_long_for_redis

A = Channel("stream", "test", "a")
HISTORY = ChannelOptions(history_size=1000)
PLAIN = ChannelOptions()


@pytest.fixture
async def make_node(redis_server, monkeypatch):
    """Makes nodes on that Redis, each with a layer and a store of its own, as in a process of its own."""
    made = []
    wait_long_for_redis(monkeypatch)

    async def make(**config):
        config = {"hosts": [redis_server.url], **config}
        layer = RedisPubSubChannelLayer(**config)
        store = RedisStore(Topology.from_layer_config(config), ttl=1000, max_channels=1000, history_max_bytes=2**20)
        node = Node(settings=LiveSettings(), layer=layer, store=store)
        made.append((node, layer, store))
        await node.start()
        # It waits for that itself, but on a busy machine not for long enough.
        await eventually(lambda: node.relay.connected)
        return node

    yield make
    for node, layer, store in made:
        await node.stop()
        await store.close()
        await layer.flush()


@pytest.fixture
async def nodes(make_node):
    return [await make_node(), await make_node()]


async def subscribe(node, options=HISTORY, channel=A, since=None):
    recorder = Recorder()
    subscription, state, recovery = await node.subscribe(channel, recorder, options, since=since)
    node.release(subscription, state.position)
    recorder.subscription, recorder.recovery = subscription, recovery
    return recorder


async def keep_trying(node, value, options=HISTORY):
    """Publishes one number, however often it takes: the same key makes it one publication."""
    while True:
        try:
            return await node.publish(A, b"%d" % value, options, key=f"number-{value}")
        except EngineUnavailable:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("options", [HISTORY, PLAIN], ids=["history", "plain"])
async def test_publications_of_every_node_reach_the_clients_of_every_node(nodes, options):
    here, there = [await subscribe(node, options) for node in nodes]
    for number in range(20):
        await nodes[number % 2].publish(A, b"%d" % number, options)
    for recorder in (here, there):
        await recorder.wait(20)
        assert recorder.data == list(range(20))


async def test_publishers_on_both_nodes_at_once_are_in_one_order(nodes):
    recorders = [await subscribe(node) for node in nodes]
    await asyncio.gather(*[nodes[number % 2].publish(A, b"%d" % number, HISTORY) for number in range(200)])
    for recorder in recorders:
        await recorder.wait(200)
        assert recorder.offsets == list(range(1, 201))
    assert recorders[0].data == recorders[1].data


async def test_a_publication_costs_one_call_of_redis_however_many_subscribers(nodes, redis_server):
    for _ in range(50):
        await subscribe(nodes[0])
    recorder = await subscribe(nodes[1])
    # The first one finds that this Redis does not know the script yet.
    await nodes[0].publish(A, b"-1", HISTORY)
    before = redis_server.info("commandstats")
    for number in range(20):
        await nodes[0].publish(A, b"%d" % number, HISTORY)
    await recorder.wait(21)
    after = redis_server.info("commandstats")

    def calls(stats, name):
        return int(stats.get(f"cmdstat_{name}", "calls=0").split(",")[0].split("=")[1])

    scripts = sum(calls(after, name) - calls(before, name) for name in ("evalsha", "eval", "fcall"))
    assert scripts == 20


async def test_what_comes_after_its_lease_was_lost_reaches_nobody(nodes):
    recorders = [await subscribe(node) for node in nodes]
    one, two = nodes
    former = await one.store.acquire("run", one.id, 60, channel=A)
    await one.publish_many([Draft(A, b"0", HISTORY, fence=former)])
    await one.store.release(former)
    present = await two.store.acquire("run", two.id, 60, channel=A)
    for value in (1, 2):
        with pytest.raises(LeaseLost):
            await one.publish_many([Draft(A, b"-1", HISTORY, fence=former)])
        await two.publish_many([Draft(A, b"%d" % value, HISTORY, fence=present)])
    for recorder in recorders:
        await recorder.wait(3)
        assert recorder.data == [0, 1, 2]
        assert recorder.offsets == [1, 2, 3]


async def test_a_layer_that_is_not_plain_is_used_as_any_layer(make_node):
    nodes = [await make_node(serializer_format="json") for _ in range(2)]
    assert nodes[0].relay.announcement(A) == ""


async def test_what_is_lost_while_a_connection_is_cut_is_read_from_the_store(nodes, redis_server):
    recorders = [await subscribe(node) for node in nodes]
    for number in range(300):
        if number % 100 == 50:
            redis_server.cli("client", "kill", "type", "pubsub")
        await keep_trying(nodes[number % 2], number)
    for recorder in recorders:
        await recorder.wait(300)
        assert recorder.data == list(range(300))
        assert recorder.ended == []


async def test_the_last_publication_before_a_silence_is_not_lost(nodes, redis_server):
    recorder = await subscribe(nodes[0])
    await nodes[1].publish(A, b"0", HISTORY)
    await recorder.wait(1)
    redis_server.cli("client", "kill", "type", "pubsub")
    # Appended and announced while nobody listens; nothing follows that would show the gap.
    await nodes[1].store.append_many([Draft(A, b"1", HISTORY)])
    await recorder.wait(2)
    assert recorder.data == [0, 1]


async def test_a_redis_that_comes_back_empty_is_told_to_every_subscriber_once(nodes, redis_server):
    recorders = [await subscribe(node) for node in nodes]
    await keep_trying(nodes[0], 0)
    redis_server.restart()
    await asyncio.gather(*[until_ended(recorder) for recorder in recorders])
    await keep_trying(nodes[0], 1)
    assert [recorder.ended for recorder in recorders] == [[A], [A]]


async def test_a_redis_that_comes_back_with_older_data_is_told_though_its_epoch_is_the_same(nodes, redis_server):
    recorder = await subscribe(nodes[0])
    for number in range(3):
        await nodes[1].publish(A, b"%d" % number, HISTORY)
    with Redis(port=redis_server.port) as redis:
        kept = {key: redis.dump(key) for key in redis.keys("*") if A.digest.encode() in key}
        for number in range(3, 5):
            await nodes[1].publish(A, b"%d" % number, HISTORY)
        await recorder.wait(5)
        # As after a crash that lost the last second: others take the offsets of the two that are gone, and go on.
        for key, value in kept.items():
            redis.restore(key, 0, value, replace=True)
    redis_server.cli("client", "kill", "type", "pubsub")
    for number in range(100, 105):
        await keep_trying(nodes[1], number)
    await until_ended(recorder)
    assert recorder.ended == [A]


async def until_ended(recorder):
    await eventually(lambda: recorder.ended)


async def test_a_client_recovers_on_the_other_node(nodes):
    recorder = await subscribe(nodes[0])
    position = (await nodes[0].publish(A, b"0", HISTORY)).position
    await recorder.wait(1)
    await nodes[0].unsubscribe(recorder.subscription)
    for number in range(1, 51):
        await nodes[0].publish(A, b"%d" % number, HISTORY)
    again = await subscribe(nodes[1], since=position)
    assert again.recovery.recovered
    assert [int(publication.data) for publication in again.recovery.publications] == list(range(1, 51))
    await nodes[0].publish(A, b"51", HISTORY)
    await again.wait(1)
    assert again.offsets == [52]


async def test_presence_is_that_of_all_nodes_and_outlives_no_dead_one(nodes):
    watcher = await subscribe(nodes[1], PLAIN)
    for node, name in zip(nodes, ("one", "two"), strict=True):
        await node.enter(A, Member(name, "7", b'{"user":"7","client":"%s"}' % name.encode()), announce=True)
        node.tell_joined(A, name)
    await watcher.wait(2)
    assert [member.client for member in await nodes[0].members(A)] == ["one", "two"]
    stats = await nodes[0].presence_stats(A)
    assert (stats.clients, stats.users) == (2, 1)
    # What a node that was killed leaves: nobody says goodbye for it, its time just ends.
    await nodes[0].store.add_members([(A, Member("ghost", "8", b'{"user":"8","client":"ghost"}'))], 0.01)
    while len(watcher.messages) < 3:
        await nodes[1].presence.refresh()
        await asyncio.sleep(0.02)
    assert watcher.messages[2]["push"]["leave"]["info"]["client"] == "ghost"


async def test_control_messages_and_surveys_reach_all_nodes(nodes):
    clients = [Recorder() for _ in nodes]
    for node, client in zip(nodes, clients, strict=True):
        client.user_id = "7"
        node.admit(client)
    await subscribe(nodes[0])
    await nodes[1].control(ControlMessage("disconnect", ("7",), code=3011))
    await until_ended(clients[0])
    await until_ended(clients[1])
    for node in nodes:
        await node.store.touch_node(node.id, 60)
    survey = await nodes[1].survey(A, seconds=30)
    assert {report.node: report.subscribers for report in survey.nodes} == {nodes[0].id: 1, nodes[1].id: 0}
    assert survey.missing == []
    await nodes[0].store.touch_node("dead", 60)
    # Who is alive has answered by then, unless the machine is busy.
    assert "dead" in (await nodes[1].survey(A, seconds=0.5)).missing


async def test_clients_of_all_nodes_are_listed_and_one_is_disconnected(nodes):
    clients = [Recorder() for _ in nodes]
    for number, (node, client) in enumerate(zip(nodes, clients, strict=True)):
        client.id, client.user_id, client.since, client.queue_bytes = f"c{number}", "7", 1234.5, number
        node.admit(client)
        await node.store.touch_node(node.id, 60)
    survey = await nodes[1].survey(wanted=Wanted(10, ("7",)), seconds=30)
    assert {report.node: report.listed for report in survey.nodes} == {
        node.id: (ClientReport(f"c{number}", "7", 1234.5, 0, number),) for number, node in enumerate(nodes)
    }
    await nodes[1].control(ControlMessage("disconnect", client="c0", code=3011))
    await until_ended(clients[0])
    assert clients[1].ended == []


async def test_without_redis_everything_is_a_temporary_error_and_then_goes_on(nodes, redis_server):
    recorder = await subscribe(nodes[0])
    redis_server.stop()
    with pytest.raises(EngineUnavailable):
        await nodes[0].publish(A, b"0", HISTORY)
    with pytest.raises(EngineUnavailable):
        await nodes[1].subscribe(A, Recorder(), HISTORY)
    await eventually(lambda: not nodes[0].relay.connected)
    assert len(await nodes[0].unready()) == 2
    assert recorder.ended == []
    redis_server.start()
    await eventually(lambda: nodes[0].relay.connected)
    assert await keep_trying(nodes[0], 1)


async def test_with_the_last_subscriber_nothing_is_left_in_redis(nodes, redis_server):
    recorders = [await subscribe(nodes[0]) for _ in range(3)]
    for recorder in recorders:
        await nodes[0].unsubscribe(recorder.subscription)
    await until(lambda: nodes[0].stats().joined == 0)
    assert f"live.{A.digest}" not in redis_server.cli("pubsub", "channels", "*")
