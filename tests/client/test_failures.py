"""A handler that does something wrong: its client is told to try again, its author reads it once, others nothing."""

import asyncio
import logging

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError

import live
from live.node.control import ControlMessage
from live.plugins import failures
from tests.client.rooms import subscribe
from tests.peers import until

FAILED = {"code": 100, "message": "internal server error", "temporary": True}

CHANNEL = live.Channel("room", "a", "fails")


def tracebacks(caplog):
    return [record for record in caplog.records if record.levelno >= logging.ERROR and record.exc_info]


@pytest.mark.parametrize(
    "error",
    [RuntimeError("a mistake"), OperationalError("away"), live.SyncInAsync(), live.LiveError("ours")],
    ids=lambda error: type(error).__name__,
)
async def test_clients_are_told_to_try_again(make_peer, room, caplog, error):
    """Else one hiccup of the database would end the subscriptions of every page for good (client-protocol §3.1)."""
    peer = await make_peer()
    room.error = error
    assert await peer.call("subscribe", CHANNEL) == FAILED
    assert len(tracebacks(caplog)) == 1
    room.error = None
    assert "epoch" in await peer.call("subscribe", CHANNEL)


@pytest.mark.parametrize("error", [live.NotFound(), live.EngineUnavailable("away")], ids=["NotFound", "away"])
async def test_what_a_handler_says_is_told_as_it_is(make_peer, room, caplog, error):
    peer = await make_peer()
    room.error = error
    expected = {"code": int(error.code), "message": error.message}
    assert await peer.call("subscribe", CHANNEL) == expected | ({"temporary": True} if error.temporary else {})
    assert not tracebacks(caplog)


async def test_one_that_fails_for_ever_does_not_fill_the_log(make_peer, room, caplog, monkeypatch):
    """Every page asks again, later and later, but for ever."""
    peer = await make_peer()
    room.error = RuntimeError("a mistake")
    for _ in range(20):
        assert await peer.call("subscribe", CHANNEL) == FAILED
    assert len(caplog.records) == 1
    # Another mistake, and the same of another handler, are not hidden by it.
    room.error = ValueError("another")
    await peer.call("subscribe", CHANNEL)
    await peer.call("subscribe", "lobby/a/broken")
    assert len(tracebacks(caplog)) == 3
    monkeypatch.setattr(failures, "PAUSE", 0.0)
    room.error = RuntimeError("a mistake")
    await peer.call("subscribe", CHANNEL)
    assert "a mistake" in caplog.records[-1].getMessage()
    assert "20 times" in caplog.records[-1].getMessage()
    assert caplog.records[-1].live_client == peer.client.id


@pytest.mark.django_db(transaction=True)
async def test_a_recheck_that_fails_for_everybody_does_not_fill_the_log(make_peer, make_node, room, caplog):
    user, node = await User.objects.acreate(username="ann"), await make_node()
    peers = [await make_peer(node, user) for _ in range(10)]
    for peer in peers:
        await peer.call("subscribe", CHANNEL)
    room.error = RuntimeError("a mistake")
    await node.control(ControlMessage("recheck"))
    for peer in peers:
        assert await peer.pushed("unsubscribe") == [{"code": 2500, "reason": "permission not known"}]
    assert len(caplog.records) == 1
    # They ask again by themselves, and are let in when the mistake is mended.
    room.error = None
    assert "epoch" in await peers[0].call("subscribe", CHANNEL)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [live.LiveError(), live.SyncInAsync()], ids=["bare", "sync"])
async def test_a_mistake_at_a_recheck_is_logged_as_one(make_peer, make_node, room, caplog, error):
    user, node = await User.objects.acreate(username="ann"), await make_node()
    peer = await make_peer(node, user)
    await peer.call("subscribe", CHANNEL)
    room.error = error
    await node.control(ControlMessage("recheck"))
    assert await peer.pushed("unsubscribe") == [{"code": 2500, "reason": "permission not known"}]
    assert "recheck of client" in caplog.text


class QuotaReached(live.LiveError):
    """An answer of a project's own."""

    default_message = "your plan has no more rooms"


async def test_an_error_of_a_project_is_an_answer(make_peer, room, caplog):
    peer = await make_peer()
    room.error = QuotaReached()
    assert await peer.call("subscribe", CHANNEL) == {"code": 100, "message": "your plan has no more rooms"}
    assert not caplog.records


async def cancelled():
    """What awaiting something raises that somebody else has cancelled."""
    task = asyncio.create_task(asyncio.Event().wait())
    asyncio.get_running_loop().call_soon(task.cancel)
    await task


async def test_a_handler_that_awaits_what_was_cancelled_has_failed(make_peer, room, monkeypatch, caplog):
    peer = await make_peer()

    async def can_subscribe(user, channel, data):
        if channel.path == "fails":
            await cancelled()
        return True

    monkeypatch.setattr(room, "can_subscribe", can_subscribe)
    peer.send(subscribe(2, str(CHANNEL)), subscribe(3, "room/a/b"))
    await peer.socket.until(lambda: len(peer.told) == 3)
    assert peer.told[1] == {"id": 2, "error": FAILED}
    # Nobody has to send something more for what came behind it.
    assert "subscribe" in peer.told[2]
    assert len(tracebacks(caplog)) == 1


@pytest.mark.django_db(transaction=True)
async def test_a_recheck_goes_on_after_a_handler_that_awaits_the_cancelled(make_peer, make_node, room, monkeypatch):
    user, node = await User.objects.acreate(username="ann"), await make_node()
    peers = [await make_peer(node, user) for _ in range(3)]
    for peer in peers:
        for path in ("fails", "b"):
            await peer.call("subscribe", f"room/a/{path}")

    async def can_subscribe(user, channel, data):
        if channel.path == "fails":
            await cancelled()
        return False

    monkeypatch.setattr(room, "can_subscribe", can_subscribe)
    await node.control(ControlMessage("recheck"))
    for peer in peers:
        await peer.pushed("unsubscribe", 2)
        assert len(peer.client.subscriptions) == 0


async def test_a_client_that_goes_still_ends_the_handler_it_waits_for(make_peer, room, caplog):
    peer = await make_peer()
    peer.send(subscribe(2, "room/a/slow"), subscribe(3, "room/a/b"))
    await room.entered.wait()
    worker = peer.client._worker
    await peer.gone()
    assert worker.done()
    assert not caplog.records
    await until(lambda: not peer.client.busy)
