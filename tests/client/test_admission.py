"""What a handler's admission gives a subscriber first, and when it is asked."""

import pytest

import live
from live.handlers.registry import unregister
from tests.client.rooms import USER
from tests.peers import until


class Gate(live.ChannelHandler):
    """Counts who is let in; the path says what with."""

    history_size = 10
    keep_last = True

    def __init__(self):
        self.admitted = []
        self.asked = 0

    async def admit(self, user, channel, data):
        self.admitted.append((user, channel.path, data))
        return {"shut": None, "plain": live.Admission(), "zero": live.Admission(0)}.get(
            channel.path, live.Admission({"begin": data})
        )

    async def can_subscribe(self, user, channel, data):
        self.asked += 1
        return True

    async def initial_data(self, user, channel, data):
        return "own" if channel.path == "own" else None


@pytest.fixture
def gate():
    live.register("gate", None, Gate)
    yield live.handlers.find_handler(live.Channel("gate", "a", "b"))
    unregister("gate")


async def test_the_admission_gives_what_a_subscriber_gets_first(make_peer, gate):
    peer = await make_peer()
    assert (await peer.call("subscribe", "gate/a/b", data=7))["data"] == {"begin": 7}
    assert (await peer.call("subscribe", "gate/a/zero"))["data"] == 0
    assert "data" not in await peer.call("subscribe", "gate/a/plain")
    assert gate.admitted == [(USER, "b", 7), (USER, "zero", None), (USER, "plain", None)]
    assert gate.asked == 0


async def test_none_refuses(make_peer, gate):
    peer = await make_peer()
    assert (await peer.call("subscribe", "gate/a/shut"))["code"] == 403
    assert (await peer.call("subscribe", "gate/a/shut"))["code"] == 403


async def test_the_handlers_own_and_the_last_value_go_first(make_peer, gate):
    peer = await make_peer()
    assert (await peer.call("subscribe", "gate/a/own"))["data"] == "own"
    channel = live.Channel("gate", "a", "last")
    await peer.client.node.publish(channel, b"1", gate.options)
    assert (await peer.call("subscribe", channel))["data"] == 1


async def test_who_recovers_gets_no_beginning(make_peer, gate):
    peer = await make_peer()
    node, channel = peer.client.node, live.Channel("gate", "a", "b")
    epoch = (await node.store.state(channel, gate.options)).position.epoch
    reply = await peer.call("subscribe", channel, recover=True, offset=0, epoch=epoch)
    assert reply["recovered"]
    assert "data" not in reply


async def test_rechecks_ask_only_whether_it_may_go_on(make_peer, gate, monkeypatch):
    peer = await make_peer()
    await peer.call("subscribe", "gate/a/b")
    await peer.client.subscriptions.recheck(USER)
    await until(lambda: gate.asked == 1)
    assert len(gate.admitted) == 1


async def test_by_default_it_is_who_may_subscribe(gate):
    class Plain(live.ChannelHandler):
        async def can_subscribe(self, user, channel, data):
            return user

    channel = live.Channel("gate", "a", "b")
    assert await Plain().admit(True, channel, None) == live.Admission(None)
    assert await Plain().admit(False, channel, None) is None
