"""Who is there, who comes and who goes: client-protocol §2.4, §2.5, §4.7."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

import live
from live.client import client as client_module
from live.exceptions import EngineUnavailable
from live.store import Member
from tests.client.rooms import NOTHING, subscribe
from tests.peers import until

CHANNEL = live.Channel("lobby", "a", "b")
OTHER = SimpleNamespace(pk=8, is_authenticated=True)


def info(peer):
    return {"user": peer.client.user_id, "client": peer.client.id}


async def test_who_is_there_can_be_asked_for(make_peer):
    first = await make_peer()
    node = first.client.node
    second, visitor = await make_peer(node), await make_peer(node, OTHER)
    assert await first.call("presence", CHANNEL) == {"presence": {}}
    assert await first.call("presence_stats", CHANNEL) == {"num_clients": 0, "num_users": 0}
    for peer in (first, second, visitor):
        await peer.call("subscribe", CHANNEL)
    everybody = {peer.client.id: info(peer) for peer in (first, second, visitor)}
    assert await first.call("presence", CHANNEL) == {"presence": everybody}
    assert await first.call("presence_stats", CHANNEL) == {"num_clients": 3, "num_users": 2}
    await second.call("unsubscribe", CHANNEL)
    await until(lambda: not node.stats().tasks)
    del everybody[second.client.id]
    # Also by who is not there, but may be.
    assert await second.call("presence", CHANNEL) == {"presence": everybody}
    await visitor.gone()
    assert await second.call("presence_stats", CHANNEL) == {"num_clients": 1, "num_users": 1}


async def test_who_subscribed_is_there_when_the_reply_comes(make_peer):
    peer = await make_peer()
    peer.send(subscribe(2, str(CHANNEL)), {"id": 3, "presence": {"channel": str(CHANNEL)}})
    await peer.socket.until(lambda: any(message.get("id") == 3 for message in peer.told))
    reply = next(message for message in peer.told if message.get("id") == 3)
    assert reply["presence"]["presence"] == {peer.client.id: info(peer)}


async def test_who_comes_hears_of_itself_after_its_reply_and_not_that_it_went(make_peer):
    peer = await make_peer()
    await peer.call("subscribe", CHANNEL)
    assert await peer.pushed("join") == [{"info": info(peer)}]
    assert ["subscribe" in message for message in peer.told[1:]] == [True, False]
    await peer.call("unsubscribe", CHANNEL)
    await until(lambda: not peer.client.node.stats().tasks)
    assert peer.pushes("leave") == []


async def test_the_others_hear_who_comes_and_goes(make_peer):
    first = await make_peer()
    await first.call("subscribe", CHANNEL)
    second, third = await make_peer(first.client.node, OTHER), await make_peer(first.client.node)
    await second.call("subscribe", CHANNEL)
    assert (await first.pushed("join", 2))[1] == {"info": info(second)}
    await third.call("subscribe", CHANNEL)
    await second.call("unsubscribe", CHANNEL)
    assert await first.pushed("leave") == [{"info": info(second)}]
    await third.gone()
    assert (await first.pushed("leave", 2))[1] == {"info": info(third)}
    assert second.pushes("leave") == []
    assert len(await first.pushed("join", 3)) == 3


async def test_who_is_asked_for_only_is_not_announced(make_peer):
    first = await make_peer()
    second = await make_peer(first.client.node)
    channel = live.Channel("hall", "a", "b")
    for peer in (first, second):
        await peer.call("subscribe", channel, join_leave=True)
    assert (await first.call("presence_stats", channel))["num_clients"] == 2
    await second.gone()
    assert (await first.call("presence_stats", channel))["num_clients"] == 1
    assert not first.pushes("join") + first.pushes("leave")


async def test_leaving_and_coming_at_once_is_being_there(make_peer):
    peer = await make_peer()
    for _ in range(20):
        peer.send(
            subscribe(2, str(CHANNEL)),
            {"id": 3, "unsubscribe": {"channel": str(CHANNEL)}},
            subscribe(4, str(CHANNEL)),
        )
        await peer.socket.until(lambda: any(message.get("id") == 4 for message in peer.told))
        await until(lambda: not peer.client.node.stats().tasks)
        assert (await peer.call("presence_stats", CHANNEL))["num_clients"] == 1
        await peer.call("unsubscribe", CHANNEL)


async def test_what_the_handler_tells_of_who_is_there_reaches_the_others(make_peer):
    channel = live.Channel("lobby", "a", "named")
    first = await make_peer()
    second = await make_peer(first.client.node)
    await first.call("subscribe", channel)
    await second.call("subscribe", channel)
    named = [{**info(peer), "chan_info": {"name": "ann"}} for peer in (first, second)]
    members = (await first.call("presence", channel))["presence"]
    assert members == {first.client.id: named[0], second.client.id: named[1]}
    assert await first.pushed("join", 2) == [{"info": each} for each in named]
    await second.gone()
    assert await first.pushed("leave") == [{"info": named[1]}]


@pytest.mark.parametrize("path", ["broken-initial", "broken-info", "secret"])
async def test_a_subscribe_that_fails_was_never_there(make_peer, path):
    peer = await make_peer()
    watcher = await make_peer(peer.client.node)
    channel = live.Channel("lobby", "a", path)
    assert "code" in await peer.call("subscribe", channel)
    assert await watcher.client.node.members(channel) == []
    assert peer.client.node.stats().members == 0


async def test_a_store_that_cannot_take_who_comes_is_a_temporary_error(make_peer, monkeypatch):
    peer = await make_peer()
    node = peer.client.node

    async def fail(members, ttl):
        raise EngineUnavailable

    monkeypatch.setattr(node.store, "add_members", fail)
    error = await peer.call("subscribe", CHANNEL)
    assert (error["code"], error["temporary"]) == (100, True)
    assert CHANNEL not in node.hub
    await until(lambda: not node.stats().tasks)
    assert node.stats() == NOTHING.__class__(clients=1, channels=0, joined=0, tasks=0)


async def test_who_is_cut_off_while_it_comes_does_not_stay(make_peer, room):
    peer = await make_peer()
    lobby = live.handlers.find_handler(CHANNEL)
    peer.send(subscribe(2, "lobby/a/slow"))
    await lobby.entered.wait()
    await peer.gone()
    assert await peer.client.node.members(live.Channel("lobby", "a", "slow")) == []


async def test_a_handler_that_ends_after_its_client_brings_nobody_back(make_peer, monkeypatch):
    monkeypatch.setattr(client_module, "HANDLER_GRACE", 0.01)
    peer = await make_peer()
    node, lobby = peer.client.node, live.handlers.find_handler(CHANNEL)

    async def stubborn(user, channel, data):
        while not lobby.gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                lobby.entered.set()
                await lobby.gate.wait()

    monkeypatch.setattr(lobby, "initial_data", stubborn)
    peer.send(subscribe(2, str(CHANNEL)))
    await lobby.entered.wait()
    worker = peer.client._worker
    await peer.client.closed()
    lobby.gate.set()
    await asyncio.wait([worker])
    await until(lambda: not node.stats().tasks)
    assert node.stats() == NOTHING
    assert await node.members(CHANNEL) == []


async def test_a_client_that_goes_does_not_wait_for_the_engine(make_peer, monkeypatch):
    peer = await make_peer()
    node = peer.client.node
    await peer.call("subscribe", CHANNEL)
    await peer.call("subscribe", "room/a/b")
    gate = asyncio.Event()
    remove_members, leave = node.store.remove_members, node.relay.leave

    async def hang(original, *args, **kwargs):
        await gate.wait()
        return await original(*args, **kwargs)

    monkeypatch.setattr(node.store, "remove_members", lambda *args: hang(remove_members, *args))
    monkeypatch.setattr(node.relay, "leave", lambda *args, **kwargs: hang(leave, *args, **kwargs))
    await asyncio.wait_for(peer.client.closed(), 30)
    assert len(node.hub) == 0
    assert len(node.clients) == 0
    other = await make_peer(node)
    await other.call("subscribe", "street/a/b")
    assert await other.call("unsubscribe", "street/a/b") == {}
    gate.set()
    await until(lambda: not node.stats().tasks)
    assert await node.members(CHANNEL) == []


async def test_more_than_a_reply_holds_is_not_listed_but_counted(make_peer):
    """Else whoever asks would be disconnected as one that reads too slowly, each time."""
    peer = await make_peer(client_queue_max_bytes=8192, max_publication_size=4096)
    node = peer.client.node
    await peer.call("subscribe", "hall/a/b")
    assert len((await peer.call("presence", "hall/a/b"))["presence"]) == 1
    others = [Member(f"client {number}", "8", b'{"user":"8","client":"%d"}' % number) for number in range(200)]
    await node.store.add_members([(live.Channel("hall", "a", "b"), member) for member in others], 60.0)
    error = await peer.call("presence", "hall/a/b")
    assert error == {"code": 106, "message": "too many are present to be listed, ask for presence_stats"}
    assert await peer.call("presence_stats", "hall/a/b") == {"num_clients": 201, "num_users": 2}
    await node.store.remove_members([(live.Channel("hall", "a", "b"), member.client) for member in others])
