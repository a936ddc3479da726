"""The presence of a node's clients: entered, kept alive, removed in the background."""

import asyncio

import pytest

from live.channel import Channel
from live.exceptions import EngineUnavailable
from live.store import ChannelOptions, Member
from tests.peers import Recorder, until

A = Channel("stream", "test", "a")


def member(name, user="1"):
    return Member(name, user, b'{"user":"%s","client":"%s"}' % (user.encode(), name.encode()))


async def watcher(node):
    recorder = Recorder()
    subscription, state, _ = await node.subscribe(A, recorder, ChannelOptions())
    node.release(subscription, state.position)
    return recorder


async def names(node):
    return [found.client for found in await node.members(A)]


async def test_clients_enter_and_leave(node):
    await node.enter(A, member("one"), announce=False)
    await node.enter(A, member("two", ""), announce=False)
    assert await names(node) == ["one", "two"]
    stats = await node.presence_stats(A)
    assert (stats.clients, stats.users) == (2, 2)
    node.leave(A, "one")
    node.leave(A, "one")
    node.leave(A, "unknown")
    await until(lambda: not node.stats().tasks)
    assert await names(node) == ["two"]
    assert node.stats().members == 1


async def test_subscribers_are_told_who_comes_and_goes(node):
    recorder = await watcher(node)
    await node.enter(A, member("one"), announce=True)
    node.tell_joined(A, "one")
    await recorder.wait(1)
    node.leave(A, "one")
    await recorder.wait(2)
    info = {"user": "1", "client": "one"}
    assert [message["push"] for message in recorder.messages] == [
        {"channel": str(A), "join": {"info": info}},
        {"channel": str(A), "leave": {"info": info}},
    ]


async def test_who_comes_back_at_once_is_present(node):
    await node.enter(A, member("one"), announce=False)
    node.leave(A, "one")
    await node.enter(A, member("one"), announce=False)
    await until(lambda: not node.stats().tasks)
    assert await names(node) == ["one"]


async def test_a_store_that_is_away_refuses_entering_and_leaves_nothing(node, monkeypatch):
    async def fail(*args):
        raise EngineUnavailable

    monkeypatch.setattr(node.store, "add_members", fail)
    with pytest.raises(EngineUnavailable):
        await node.enter(A, member("one"), announce=True)
    assert node.stats().members == 0


async def test_a_store_that_is_away_holds_up_nobody_who_leaves(node, monkeypatch):
    await node.enter(A, member("one"), announce=True)

    async def fail(*args):
        raise EngineUnavailable

    monkeypatch.setattr(node.store, "remove_members", fail)
    node.leave(A, "one")
    await until(lambda: not node.stats().tasks)
    monkeypatch.undo()
    await node.enter(A, member("one"), announce=False)
    assert await names(node) == ["one"]


async def test_the_heartbeat_keeps_clients_present_and_tells_of_those_a_dead_node_left(node):
    recorder = await watcher(node)
    await node.enter(A, member("mine"), announce=True)
    # What a node that died had entered: its time is over.
    await node.store.add_members([(A, member("ghost"))], 0.0)
    await node.presence.refresh()
    await recorder.wait(1)
    assert recorder.messages[0]["push"]["leave"]["info"]["client"] == "ghost"
    assert await names(node) == ["mine"]


async def test_who_leaves_during_the_heartbeat_does_not_come_back(node, monkeypatch):
    await node.enter(A, member("one"), announce=False)
    add, entered = node.store.add_members, asyncio.Event()

    async def slow(members, ttl):
        node.leave(A, "one")
        await until(lambda: not node.stats().tasks)
        await add(members, ttl)
        entered.set()

    monkeypatch.setattr(node.store, "add_members", slow)
    await node.presence.refresh()
    assert entered.is_set()
    assert await names(node) == []


async def test_who_comes_back_waits_for_its_own_removal_only(node, monkeypatch):
    """With clients that come and go all the time there is always somebody who is being removed."""
    for name in ("one", "two"):
        await node.enter(A, member(name), announce=True)
    remove, removals = node.store.remove_members, []

    async def slow(members):
        removals.append(asyncio.Event())
        await removals[-1].wait()
        await remove(members)

    monkeypatch.setattr(node.store, "remove_members", slow)
    recorder = await watcher(node)
    node.leave(A, "one")
    await until(lambda: removals)
    back = asyncio.create_task(node.enter(A, member("one"), announce=True))
    node.leave(A, "two")
    removals[0].set()
    await back
    # The other's is still under way, and a third may enter.
    await until(lambda: len(removals) == 2)
    await node.enter(A, member("three"), announce=True)
    node.tell_joined(A, "one")
    await recorder.wait(2)
    assert [kind for message in recorder.messages for kind in message["push"] if kind != "channel"] == ["leave", "join"]
    removals[1].set()
    await until(lambda: not node.stats().tasks)
    assert await names(node) == ["one", "three"]
    assert not node.presence._returning


async def test_who_comes_back_after_a_removal_that_failed_is_not_removed_by_the_next(node, monkeypatch, caplog):
    await node.enter(A, member("one"), announce=False)

    async def fail(members):
        raise RuntimeError("a mistake")

    monkeypatch.setattr(node.store, "remove_members", fail)
    node.leave(A, "one")
    await node.enter(A, member("one"), announce=False)
    await until(lambda: not node.stats().tasks)
    assert "a mistake" in caplog.text
    monkeypatch.undo()
    await node.enter(A, member("two"), announce=False)
    node.leave(A, "two")
    await until(lambda: not node.stats().tasks)
    assert await names(node) == ["one"]
