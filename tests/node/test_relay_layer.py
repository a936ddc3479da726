"""The relay over a channel layer: over Redis, real and restarted, and over layers that fail."""

import asyncio
import logging

import pytest
from channels.layers import InMemoryChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from live.channel import Channel
from live.exceptions import EngineUnavailable
from live.node import relay_layer
from live.node.relay_layer import LayerRelay
from live.store import Publication
from tests.peers import Listener

A = Channel("stream", "test", "a")
LONGEST = Channel.parse("a/b/" + "=/" * 78)


@pytest.fixture
async def make_relay(redis_server):
    relays, layers = [], []

    async def make(layer=None, hosts=None, *, connected=True):
        if layer is None:
            layer = RedisPubSubChannelLayer(hosts=hosts or [redis_server.url])
            layers.append(layer)
        listener = Listener()
        relay = LayerRelay(layer, listener)
        relays.append(relay)
        await relay.start()
        if connected:
            # The start waits for that, too, but on a busy machine not for long enough.
            await listener.until(lambda: relay.connected)
        return relay, listener

    yield make
    for relay in relays:
        await relay.stop()
    for layer in layers:
        await layer.flush()


def test_group_names_fit_every_layer():
    layer = InMemoryChannelLayer()
    for channel in (A, LONGEST):
        assert layer.require_valid_group_name(channel.group)
    assert A.group != LONGEST.group


async def test_publications_reach_every_node_that_joined_and_no_other(make_relay):
    (one, first), (two, second), (three, third) = [await make_relay() for _ in range(3)]
    await one.join(A)
    await two.join(A)
    publication = Publication(b'{"x":1}', 3, "epoch", b"{}")
    await three.send(A, publication)
    await one.send(LONGEST, publication)
    for listener in (first, second):
        await listener.until(lambda listener=listener: listener.publications)
        assert listener.publications == [(A, publication)]
    assert third.publications == []


async def test_joins_leaves_and_messages_travel_too(make_relay):
    (one, first), (two, second) = await make_relay(), await make_relay()
    await two.join(A)
    await one.send_member(A, b"{}", joined=True)
    await one.broadcast({"kind": "x"})
    await one.send_to(two.name, {"kind": "y"})
    await second.until(lambda: len(second.messages) == 2 and second.members)
    await first.until(lambda: first.messages)
    assert second.members == [(A, b"{}", True)]
    assert (first.messages, second.messages) == ([{"kind": "x"}], [{"kind": "x"}, {"kind": "y"}])


async def test_leaving_leaves_nothing_in_redis(make_relay, redis_server):
    relay, listener = await make_relay()
    await relay.join(A)
    await relay.join(A)
    await relay.leave(A, unless=lambda: True)
    assert relay.joined == {A}
    await relay.leave(A)
    await relay.leave(A)
    assert relay.joined == frozenset()
    assert len(relay._turns) == 0
    await relay.send(A, Publication(b"1"))
    await relay.broadcast({"kind": "x"})
    await listener.until(lambda: listener.messages)
    assert listener.publications == []
    await relay.stop()
    assert redis_server.cli("pubsub", "channels", "*").strip() == ""


async def test_a_connection_that_is_cut_is_noticed_though_the_layer_tells_nobody(make_relay, redis_server):
    relay, listener = await make_relay()
    await relay.join(A)
    before = len(listener.states)
    redis_server.cli("client", "kill", "type", "pubsub")
    await listener.until(lambda: len(listener.states) > before and relay.connected)
    assert listener.states[-1] == "returned"
    await relay.send(A, Publication(b"1"))
    await listener.until(lambda: listener.publications)


async def test_redis_that_goes_and_returns_is_told_once_each(make_relay, redis_server, caplog):
    caplog.set_level(logging.INFO, "live.node")
    relay, listener = await make_relay()
    await relay.join(A)
    redis_server.stop()
    await listener.until(lambda: "lost" in listener.states)
    assert not relay.connected
    with pytest.raises(EngineUnavailable):
        await relay.join(LONGEST)
    with pytest.raises(EngineUnavailable):
        await relay.broadcast({})
    redis_server.start()
    await listener.until(lambda: listener.states[-1] == "returned")
    assert relay.connected
    await relay.send(A, Publication(b"1"))
    await listener.until(lambda: listener.publications)
    assert caplog.text.count("cannot be reached") == 1
    assert "Traceback" not in caplog.text
    assert listener.states.count("lost") == 1


async def test_a_node_that_starts_without_redis_is_connected_when_redis_comes(make_relay, redis_server):
    redis_server.stop()
    try:
        relay, listener = await make_relay(connected=False)
        assert not relay.connected
        with pytest.raises(EngineUnavailable):
            await relay.join(A)
        channels = relay._layer._get_layer().channels
        assert len(channels) <= 1
    finally:
        redis_server.start()
    await listener.until(lambda: "returned" in listener.states)
    await relay.join(A)
    assert relay.connected


async def test_every_server_of_a_layer_is_watched(make_relay, redis_server, second_redis_server):
    relay, listener = await make_relay(hosts=[redis_server.url, second_redis_server.url])
    assert len(relay._echo_groups) == 2
    assert relay.connected
    before = len(listener.states)
    second_redis_server.cli("client", "kill", "type", "pubsub")
    await listener.until(lambda: len(listener.states) > before and relay.connected)
    channels = [Channel("stream", "test", str(number)) for number in range(20)]
    for channel in channels:
        await relay.join(channel)
        await relay.send(channel, Publication(b"1"))
    await listener.until(lambda: len(listener.publications) == len(channels))


async def test_what_waits_in_the_layer_is_bounded_and_its_loss_is_said(make_relay, caplog, monkeypatch):
    monkeypatch.setattr(relay_layer, "MAX_WAITING", 100)
    monkeypatch.setattr(relay_layer, "TURN", 1)
    relay, listener = await make_relay()
    queue = relay._layer._get_layer().channels[relay.name]
    message = relay._layer.serialize({"type": "live.message", "body": b"{}"})
    for _ in range(200):
        queue.put_nowait(message)
    await listener.until(lambda: listener.states.count("returned") >= 2)
    assert relay.dropped >= 100
    assert "were dropped" in caplog.text


async def test_a_store_may_announce_where_the_layer_is_plain(make_relay, redis_server):
    relay, _ = await make_relay()
    assert relay.announcement(A) == f"asgi__group__live.{A.digest}"
    other, _ = await make_relay(RedisPubSubChannelLayer(hosts=[redis_server.url], serializer_format="json"))
    assert other.announcement(A) == ""
    await other.stop()
    await other._layer.flush()


async def test_what_is_not_ours_is_logged_and_skipped(make_relay, caplog):
    relay, listener = await make_relay()
    await relay.join(A)
    for message in (
        {"type": "other"},
        {"no": "type"},
        {"type": "live.publication"},
        {"type": "live.publication", "channel": "x", "data": b""},
        {"type": "live.message", "body": b"no json"},
    ):
        await relay._layer.group_send(A.group, message)
    await relay.send(A, Publication(b"1"))
    await listener.until(lambda: listener.publications)
    assert caplog.text.count("is not one of Live's") == 5


class FailingLayer(InMemoryChannelLayer):
    """A layer of another make, which fails when told to."""

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


async def test_memberships_are_renewed_before_a_layer_expires_them(make_relay):
    layer = FailingLayer()
    relay, _ = await make_relay(layer)
    await relay.join(A)
    members = layer.groups[A.group]
    members[relay.name] = 0.0
    await relay.refresh()
    assert members[relay.name] == 0.0
    layer.group_expiry = 1e-9
    await relay.refresh()
    assert members[relay.name] > 0
    layer.group_expiry = None
    await relay.refresh()


async def test_a_join_that_is_cancelled_leaves_no_lock(make_relay):
    layer = FailingLayer()
    relay, _ = await make_relay(layer)
    held, add = asyncio.Event(), layer.group_add

    async def blocked(group, channel):
        await held.wait()
        await add(group, channel)

    layer.group_add = blocked
    first = asyncio.create_task(relay.join(A))
    await asyncio.sleep(0)
    second = asyncio.create_task(relay.join(A))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    held.set()
    await first
    assert len(relay._turns) == 0
