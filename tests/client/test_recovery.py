"""What a client that comes back is told: client-protocol §4.2, §4.3."""

import asyncio

import pytest

import live
from live.node import recovery
from tests.client.rooms import Room, Stage, Street, subscribe
from tests.peers import until

CHANNEL = live.Channel("room", "a", "b")


async def publish(peer, *values, channel=CHANNEL, handler=Room):
    for value in values:
        await peer.client.node.publish(channel, b"%d" % value, handler().options)


def publications(*numbers):
    return [{"data": number, "offset": number} for number in numbers]


async def test_a_first_subscribe_tells_the_top_and_no_publications(make_peer):
    peer = await make_peer()
    await publish(peer, 1, 2)
    reply = await peer.call("subscribe", CHANNEL)
    epoch = reply.pop("epoch")
    assert reply == {"positioned": True, "recoverable": True, "offset": 2, "data": 2}
    assert len(epoch) == 8


async def test_who_comes_back_is_told_exactly_what_was_missed_and_then_what_comes(make_peer):
    peer = await make_peer()
    epoch = (await peer.call("subscribe", CHANNEL))["epoch"]
    await publish(peer, 1, 2)
    await peer.pushed("pub", 2)
    await peer.gone()
    other = await make_peer(peer.client.node)
    await publish(other, 3, 4, 5)
    reply = await other.call("subscribe", CHANNEL, recover=True, offset=2, epoch=epoch)
    assert reply == {
        "positioned": True,
        "recoverable": True,
        "was_recovering": True,
        "recovered": True,
        "epoch": epoch,
        # The position asked with: clients count on from it with every publication.
        "offset": 2,
        "publications": publications(3, 4, 5),
    }
    await publish(other, 6)
    assert (await other.pushed("pub"))[0]["offset"] == 6


async def test_nothing_missed_is_recovered_without_publications_or_data(make_peer):
    peer = await make_peer()
    empty = await peer.call("subscribe", CHANNEL)
    await peer.call("unsubscribe", CHANNEL)
    reply = await peer.call("subscribe", CHANNEL, recover=True, epoch=empty["epoch"])
    assert reply == {**empty, "was_recovering": True, "recovered": True}
    await peer.call("unsubscribe", CHANNEL)
    await publish(peer, 1)
    reply = await peer.call("subscribe", CHANNEL, recover=True, offset=1, epoch=empty["epoch"])
    assert reply == {**empty, "was_recovering": True, "recovered": True, "offset": 1}


async def test_initial_data_of_the_handler_is_told_after_a_recovery_too(make_peer):
    peer = await make_peer()
    epoch = (await peer.call("subscribe", CHANNEL))["epoch"]
    await peer.call("unsubscribe", CHANNEL)
    await publish(peer, 1)
    reply = await peer.call("subscribe", CHANNEL, recover=True, epoch=epoch, data="x")
    assert reply["publications"] == publications(1)
    assert reply["data"] == {"asked": "x"}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"offset": 3, "epoch": "another"}, id="another epoch"),
        pytest.param({"offset": 1}, id="more than the history holds"),
        pytest.param({"offset": 99}, id="a position that never was"),
        pytest.param({"offset": 2**64 - 1}, id="the largest position"),
    ],
)
async def test_who_cannot_be_told_what_was_missed_starts_as_a_new_one(make_peer, fields):
    peer = await make_peer()
    await publish(peer, *range(1, 14))
    as_new = await peer.call("subscribe", CHANNEL)
    await peer.call("unsubscribe", CHANNEL)
    fields = {"epoch": as_new["epoch"], **fields}
    assert await peer.call("subscribe", CHANNEL, recover=True, **fields) == {**as_new, "was_recovering": True}
    assert as_new["data"] == 13
    await peer.call("unsubscribe", CHANNEL)
    error = await peer.call("subscribe", CHANNEL, recover=True, flag=2, **fields)
    assert error == {"code": 112, "message": "unrecoverable position"}
    assert CHANNEL not in peer.client.subscriptions
    assert CHANNEL not in peer.client.node.hub
    # It is as if it had never been asked.
    assert await peer.call("subscribe", CHANNEL) == as_new


async def test_the_flag_changes_nothing_for_who_recovers_or_does_not_ask(make_peer):
    peer = await make_peer()
    first = await peer.call("subscribe", CHANNEL, flag=3)
    await peer.call("unsubscribe", CHANNEL)
    assert (await peer.call("subscribe", CHANNEL, flag=3, recover=True, epoch=first["epoch"]))["recovered"]


async def test_more_missed_than_one_reply_may_hold_is_not_recovered(make_peer, monkeypatch):
    peer = await make_peer()
    epoch = (await peer.call("subscribe", CHANNEL))["epoch"]
    await peer.call("unsubscribe", CHANNEL)
    await publish(peer, *range(1, 10))
    monkeypatch.setattr(recovery, "MAX_PUBLICATIONS", 8)
    assert "recovered" not in await peer.call("subscribe", CHANNEL, recover=True, epoch=epoch)
    await peer.call("unsubscribe", CHANNEL)
    reply = await peer.call("subscribe", CHANNEL, recover=True, epoch=epoch, offset=1)
    assert reply["publications"] == publications(*range(2, 10))


async def test_what_is_published_while_the_reply_is_prepared_comes_once_after_it(make_peer, room):
    peer = await make_peer()
    channel = live.Channel("room", "a", "waits")
    epoch = (await peer.client.node.store.state(channel, Room().options)).position.epoch
    await publish(peer, 1, 2, channel=channel)
    peer.send(subscribe(2, str(channel), recover=True, epoch=epoch))
    await room.entered.wait()
    await publish(peer, 3, 4, channel=channel)
    room.gate.set()
    await peer.pushed("pub", 2)
    reply, *pushes = peer.told[1:]
    assert reply["subscribe"]["publications"] == publications(1, 2)
    assert [message["push"]["pub"]["offset"] for message in pushes] == [3, 4]


async def test_a_handler_that_offers_no_recovery_promises_none(make_peer):
    peer = await make_peer()
    channel = live.Channel("stage", "a", "b")
    await publish(peer, 1, channel=channel, handler=Stage)
    first = await peer.call("subscribe", channel)
    assert set(first) == {"epoch", "offset", "data"}
    await peer.call("unsubscribe", channel)
    await publish(peer, 2, channel=channel, handler=Stage)
    reply = await peer.call("subscribe", channel, recover=True, epoch=first["epoch"], offset=1)
    assert reply == {**first, "offset": 2, "data": 2, "was_recovering": True}


async def test_without_history_there_is_no_position(make_peer):
    peer = await make_peer()
    channel = live.Channel("street", "a", "b")
    await publish(peer, 1, channel=channel, handler=Street)
    assert await peer.call("subscribe", channel, positioned=True, recoverable=True, join_leave=True) == {}
    await peer.call("unsubscribe", channel)
    assert await peer.call("subscribe", channel, recover=True, offset=7, epoch="e") == {"was_recovering": True}
    await publish(peer, 2, channel=channel, handler=Street)
    assert await peer.pushed("pub") == [{"data": 2}]


async def test_who_reads_slowly_is_told_much_at_its_own_pace(make_peer):
    """A client that comes back with many subscriptions must not be found slow because of what it asked for."""
    peer = await make_peer(client_queue_max_bytes=400_000, max_publication_size=100_000)
    node = peer.client.node
    for path in range(20):
        channel = live.Channel("room", "a", str(path))
        await node.store.state(channel, Room().options)
        await node.publish(channel, b'"%s"' % (b"x" * 90_000), Room().options)
    peer.socket.free.clear()
    peer.send(*[subscribe(2 + path, f"room/a/{path}", recover=True) for path in range(20)])
    await until(lambda: peer.client._outbox.queued_bytes > 50_000)
    # Others wait for their turn, not for this one.
    other = await make_peer(node)
    assert "epoch" in await other.call("subscribe", "room/a/0")
    assert peer.client._outbox.queued_bytes < 300_000
    peer.socket.free.set()
    await peer.socket.until(lambda: len(peer.told) == 21)
    assert [len(reply["subscribe"]["publications"]) for reply in peer.told[1:]] == [1] * 20
    assert peer.socket.close is None


async def test_who_goes_while_it_is_waited_for_is_not_waited_for(make_peer):
    peer = await make_peer(client_queue_max_bytes=8192, max_publication_size=4096)
    await publish(peer, *range(1000, 1010))
    peer.socket.free.clear()
    peer.send(*[{"id": 2 + n, "history": {"channel": str(CHANNEL), "limit": -1}} for n in range(100)])
    await until(lambda: peer.client._outbox.queued_bytes > 2048)
    worker = peer.client._worker
    await asyncio.wait_for(peer.client.closed(), 30)
    assert worker.done()


async def test_who_comes_back_while_the_stream_cannot_be_continued_is_told_to_ask_again(make_peer, monkeypatch):
    """Its reply would tell a position that the next publication does not follow."""
    first = await make_peer()
    node, store = first.client.node, first.client.node.store
    await publish(first, 1)
    epoch = (await first.call("subscribe", CHANNEL))["epoch"]
    # The relay loses some; the one that comes back reads its position behind them.
    for _ in range(3):
        await store.append(CHANNEL, b"0", Room().options)
    second = await make_peer(node)
    history, asked, gate = store.history, asyncio.Event(), asyncio.Event()

    async def slow(channel, *, limit=-1, **kwargs):
        if limit == recovery.MAX_PUBLICATIONS + 1:
            asked.set()
            await gate.wait()
        return await history(channel, limit=limit, **kwargs)

    monkeypatch.setattr(store, "history", slow)
    again = {"recover": True, "offset": 1, "epoch": "gone"}
    second.send(subscribe(2, str(CHANNEL), **again))
    await asked.wait()
    # More than the history keeps: the gap cannot be filled.
    for _ in range(Room.history_size + 1):
        await store.append(CHANNEL, b"0", Room().options)
    await publish(first, 16)
    await first.pushed("unsubscribe")
    gate.set()
    await second.socket.until(lambda: len(second.told) == 2)
    error = second.told[1]["error"]
    assert (error["code"], error["temporary"]) == (100, True)
    assert CHANNEL not in node.hub
    reply = await second.call("subscribe", CHANNEL, **again)
    assert (reply["offset"], reply["epoch"]) == (16, epoch)
    await publish(first, 17)
    assert [pub["offset"] for pub in await second.pushed("pub")] == [17]
