"""What the server does to subscriptions: ending them, and asking again whether they may go on."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from django.db import OperationalError

import live
from live.client import client as client_module
from live.exceptions import EngineUnavailable, UnsubscribeCode
from tests.client.rooms import Room, subscribe
from tests.peers import until

CHANNEL = live.Channel("room", "a", "b")


async def publish(node, value, channel=CHANNEL):
    await node.publish(channel, b"%d" % value, Room().options)


async def test_the_server_ends_a_subscription(make_peer):
    peer = await make_peer()
    node = peer.client.node
    other = await make_peer(node)
    for each in (peer, other):
        await each.call("subscribe", CHANNEL)
    peer.client.unsubscribe_by_server(CHANNEL, UnsubscribeCode.SERVER, "no more")
    peer.client.unsubscribe_by_server(live.Channel("room", "a", "nothing"))
    await publish(node, 1)
    assert [pub["data"] for pub in await other.pushed("pub")] == [1]
    assert await peer.pushed("unsubscribe") == [{"code": 2000, "reason": "no more"}]
    assert peer.pushes("pub") == []
    assert "offset" in await peer.call("subscribe", CHANNEL)
    peer.client.unsubscribe_by_server(CHANNEL)
    assert (await peer.pushed("unsubscribe", 2))[1] == {"code": 2000, "reason": "server unsubscribe"}


async def test_who_is_ended_by_the_server_is_not_there_any_more(make_peer):
    peer = await make_peer()
    channel = live.Channel("lobby", "a", "b")
    other = await make_peer(peer.client.node)
    for each in (peer, other):
        await each.call("subscribe", channel)
    peer.client.unsubscribe_by_server(channel)
    assert (await other.pushed("leave"))[0]["info"]["client"] == peer.client.id
    assert (await other.call("presence_stats", channel))["num_clients"] == 1
    assert peer.pushes("leave") == []


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (UnsubscribeCode.SERVER, {"code": 403, "message": "why"}),
        (UnsubscribeCode.INSUFFICIENT_STATE, {"code": 100, "message": "why", "temporary": True}),
    ],
)
async def test_a_subscription_that_is_ended_before_its_reply_gets_an_error(make_peer, room, code, error):
    peer = await make_peer()
    peer.send(subscribe(2, "room/a/waits"))
    await room.entered.wait()
    peer.client.unsubscribe_by_server(live.Channel("room", "a", "waits"), code, "why")
    room.gate.set()
    await peer.socket.until(lambda: len(peer.told) == 2)
    assert peer.told[1] == {"id": 2, "error": error}
    assert len(peer.client.subscriptions) == 0
    assert len(peer.client.node.hub) == 0


@pytest.fixture
def user(transactional_db):
    return User.objects.create_user("ann", is_staff=True)


def change(user, **fields):
    return sync_to_async(User.objects.filter(pk=user.pk).update)(**fields)


async def test_a_recheck_ends_what_is_not_allowed_any_more(make_peer, user, room):
    peer = await make_peer(user=user)
    await peer.call("subscribe", "room/a/staff", data={"asked": "with"})
    await peer.call("subscribe", CHANNEL)
    await peer.client.recheck()
    assert peer.pushes("unsubscribe") == []
    await change(user, is_staff=False)
    await peer.client.recheck()
    await peer.pushed("unsubscribe")
    assert peer.told[-1] == {
        "push": {"channel": "room/a/staff", "unsubscribe": {"code": 2000, "reason": "permission denied"}}
    }
    assert len(peer.client.subscriptions) == 1
    assert await peer.call("subscribe", "room/a/staff") == {"code": 403, "message": "Forbidden"}
    # Asked as at first, each time with a user read anew.
    users, paths, data = zip(*room.asked, strict=True)
    assert list(zip(paths, data, strict=True)) == [("staff", {"asked": "with"}), ("b", None)] * 3 + [("staff", None)]
    assert len(set(map(id, users))) == 3


@pytest.mark.parametrize("how", ["gone", "inactive"])
async def test_a_user_that_is_no_more_comes_back_as_who_it_now_is(make_peer, user, how):
    peer = await make_peer(user=user)
    await peer.call("subscribe", CHANNEL)
    await (change(user, is_active=False) if how == "inactive" else user.adelete())
    await peer.client.recheck()
    assert await peer.closing() == (3011, "force reconnect")
    assert peer.pushes("unsubscribe") == []


async def test_who_is_anonymous_is_asked_about_as_well(make_peer, room):
    peer = await make_peer(user=AnonymousUser(), allow_anonymous=True)
    await peer.call("subscribe", "room/a/fails")
    await peer.call("subscribe", CHANNEL)
    room.error = live.NotFound()
    await peer.client.recheck()
    assert await peer.pushed("unsubscribe") == [{"code": 2000, "reason": "permission denied"}]
    assert len(peer.client.subscriptions) == 1


@pytest.mark.parametrize("error", [EngineUnavailable("away"), OperationalError("away")], ids=["engine", "database"])
async def test_an_outage_ends_nothing(make_peer, user, room, caplog, error):
    peer = await make_peer(user=user)
    await peer.call("subscribe", "room/a/fails")
    room.error = error
    await peer.client.recheck()
    assert peer.pushes("unsubscribe") == []
    assert "keeps room/a/fails" in caplog.text
    assert "away" in caplog.text


async def test_a_database_that_is_away_ends_nothing(make_peer, user, room, caplog, monkeypatch):
    peer = await make_peer(user=user)
    await peer.call("subscribe", CHANNEL)

    async def fail(user):
        raise OperationalError("away")

    monkeypatch.setattr(client_module, "read_user", fail)
    await peer.client.recheck()
    assert len(room.asked) == 1
    assert len(peer.client.subscriptions) == 1
    assert "could not be read again" in caplog.text


async def test_a_handlers_mistake_ends_the_subscription(make_peer, user, room, caplog):
    peer = await make_peer(user=user)
    await peer.call("subscribe", "room/a/fails")
    room.error = RuntimeError("a handler's mistake")
    await peer.client.recheck()
    assert await peer.pushed("unsubscribe") == [{"code": 2500, "reason": "permission not known"}]
    assert "a handler's mistake" in caplog.text


async def test_a_subscribe_under_way_is_asked_about_with_the_user_of_now(make_peer, user, room):
    peer = await make_peer(user=user)
    peer.send(subscribe(2, "room/a/waits"))
    await room.entered.wait()
    await change(user, first_name="Ann")
    await peer.client.recheck()
    room.gate.set()
    await peer.socket.until(lambda: len(peer.told) == 2)
    assert "subscribe" in peer.told[1]
    assert [asked.first_name for asked, _, _ in room.asked] == ["", "Ann"]


async def test_a_recheck_does_not_wait_for_a_handler(make_peer, user, room):
    """Who may not any more is not let go on by a command that takes its time."""
    peer = await make_peer(user=user)
    await peer.call("subscribe", "room/a/staff")
    peer.send(subscribe(2, "room/a/slow"))
    await room.entered.wait()
    await change(user, is_staff=False)
    await peer.client.recheck()
    assert await peer.pushed("unsubscribe") == [{"code": 2000, "reason": "permission denied"}]
    room.gate.set()
    await peer.socket.until(lambda: peer.told[-1].get("id") == 2)
    # Asked once more: the first answer was about another user.
    assert [path for _, path, _ in room.asked].count("slow") == 2


async def test_one_recheck_at_a_time_and_one_that_waits(make_peer, user, room):
    peer = await make_peer(user=user)
    room.gate.set()
    await peer.call("subscribe", "room/a/slow")
    room.gate.clear()
    room.entered.clear()
    rechecks = [asyncio.create_task(peer.client.recheck())]
    await room.entered.wait()
    rechecks += [asyncio.create_task(peer.client.recheck()) for _ in range(5)]
    await asyncio.wait(rechecks, return_when=asyncio.FIRST_COMPLETED)
    assert len(room.asked) == 2
    room.gate.set()
    await asyncio.gather(*rechecks)
    # The subscribe, the one under way, and one for all that came meanwhile.
    assert len(room.asked) == 3


async def test_a_recheck_of_a_client_that_goes_does_nothing(make_peer, user, room):
    peer = await make_peer(user=user)
    await peer.call("subscribe", CHANNEL)
    await peer.gone()
    await peer.client.recheck()
    assert len(room.asked) == 1
    await until(lambda: not peer.client.node.stats().tasks)


async def test_unsubscribing_during_a_recheck_is_no_news(make_peer, user, room):
    peer = await make_peer(user=user)
    room.gate.set()
    await peer.call("subscribe", "room/a/slow")
    room.gate.clear()
    room.entered.clear()
    recheck = asyncio.create_task(peer.client.recheck())
    await room.entered.wait()
    assert await peer.call("unsubscribe", "room/a/slow") == {}
    room.gate.set()
    await recheck
    assert peer.pushes("unsubscribe") == []
