"""The clients of a node: control messages, draining, the limit."""

import asyncio
import time

import pytest

from live.channel import Channel
from live.exceptions import DisconnectCode, UnsubscribeCode
from live.node import clients as clients_module
from live.node.clients import MAX_NAMED, MAX_RECENT, RECHECKS_AT_ONCE, Clients
from live.node.control import ControlMessage, Wanted, session_digest
from tests.peers import Recorder, until

A = Channel("stream", "test", "a")


def peer(user="", session=""):
    recorder = Recorder()
    recorder.user_id, recorder.session_key, recorder.id = user, session, f"id of {session}"
    return recorder


@pytest.fixture
def people():
    clients = Clients(-1)
    peers = {"ann": peer("1", "s1"), "ann's phone": peer("1", "s2"), "bob": peer("2", "s3"), "nobody": peer()}
    for one in peers.values():
        clients.admit(one)
    return clients, peers


def told(peers):
    return {name for name, one in peers.items() if one.ended}


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        (ControlMessage("disconnect", ("1",)), {"ann", "ann's phone"}),
        (ControlMessage("disconnect", session=session_digest("s2")), {"ann's phone"}),
        (ControlMessage("disconnect"), set()),
        (ControlMessage("disconnect", client="id of s2"), {"ann's phone"}),
        (ControlMessage("disconnect", ("2",), client="id of s2"), {"ann's phone"}),
        (ControlMessage("disconnect", client="id of nobody"), set()),
        (ControlMessage("unsubscribe", ("2", "3"), channel="stream/test/a"), {"bob"}),
    ],
)
def test_a_message_concerns_the_clients_it_names(people, message, meant):
    clients, peers = people
    clients.apply(message, lambda *_: None)
    assert told(peers) == meant


@pytest.mark.parametrize(
    ("wanted", "listed"),
    [
        (Wanted(), []),
        (Wanted(10), ["id of s2", "id of s1", "id of ", "id of s3"]),
        (Wanted(2), ["id of s2", "id of s1"]),
        (Wanted(10, ("1",)), ["id of s2", "id of s1"]),
        (Wanted(10, ("2", "id of s1")), ["id of s1", "id of s3"]),
        (Wanted(10, ("3",)), []),
    ],
)
def test_those_are_listed_first_for_which_most_waits(people, wanted, listed):
    clients, peers = people
    for size, name in enumerate(("bob", "nobody", "ann", "ann's phone")):
        peers[name].queue_bytes = size
    assert [report.client for report in clients.listed(wanted)] == listed


async def test_a_recheck_may_concern_everybody(people, node):
    clients, peers = people
    clients.apply(ControlMessage("recheck"), node.spawn)
    await until(lambda: told(peers) == set(peers))


async def test_rechecks_run_a_few_at_a_time(node):
    clients, running, most = Clients(-1), 0, 0
    free = asyncio.Event()

    class Slow(Recorder):
        async def recheck(self):
            nonlocal running, most
            running += 1
            most = max(most, running)
            await free.wait()
            running -= 1
            self.ended.append("recheck")

    peers = [Slow() for _ in range(RECHECKS_AT_ONCE * 3)]
    for one in peers:
        clients.admit(one)
    clients.apply(ControlMessage("recheck"), node.spawn)
    await until(lambda: running == RECHECKS_AT_ONCE)
    free.set()
    await until(lambda: all(one.ended for one in peers))
    assert most == RECHECKS_AT_ONCE


class Watched(Recorder):
    """A client that counts how often a walk over all clients comes by."""

    looks = 0

    def __init__(self, user):
        super().__init__()
        self.user = user

    @property
    def user_id(self):
        self.looks += 1
        return self.user

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        self.looks += 1
        return id(self)


def test_each_client_is_looked_at_once_for_a_message_and_not_at_all_for_a_handshake():
    clients, spawned = Clients(-1), []
    peers = [Watched(str(number)) for number in range(10)]
    for one in peers:
        clients.admit(one)
    for one in peers:
        one.looks = 0
    clients.apply(ControlMessage("recheck", ("x", "y")), lambda *_: spawned.append(1))
    assert {one.looks for one in peers} == {1}
    clients.expect(peer("1"), 0.0, lambda *_: spawned.append(1))
    assert {one.looks for one in peers} == {1}
    assert not spawned


async def test_those_of_some_subscribers_are_asked_again_that_are_clients_here(node):
    clients, here, opening, elsewhere, beside = Clients(-1), peer(), peer(), peer(), peer()
    clients.admit(here)
    clients.expect(opening, 0.0, node.spawn)
    clients.admit(beside)
    clients.recheck({here, opening, elsewhere}, node.spawn)
    await until(lambda: here.ended and opening.ended)
    assert elsewhere.ended == beside.ended == []


@pytest.mark.parametrize(
    ("each", "kept"),
    [(1, MAX_RECENT), (1000, MAX_NAMED // 1000), (0, MAX_RECENT), (MAX_NAMED, 1), (MAX_NAMED + 1, 0)],
)
def test_what_is_remembered_is_bounded_and_who_asked_before_comes_back(each, kept):
    clients, names = Clients(-1), tuple(map(str, range(each)))
    times = []
    for _ in range(kept + 2):
        clients.apply(ControlMessage("recheck", names), lambda *_: None)
        times.append(time.monotonic())
    assert len(clients._recent) == kept
    assert clients._named == sum(len(message.users) for _, message in clients._recent) <= MAX_NAMED
    # The second was forgotten too: whoever asked before it may have been meant.
    before, after, spawned = peer("0"), peer("0"), []
    clients.expect(before, times[0], lambda *_: spawned.append(1))
    assert (before.ended, spawned) == ([DisconnectCode.FORCE_RECONNECT], [])
    clients.expect(after, times[1], lambda recheck, _: spawned.append(recheck.close()))
    assert after.ended == []
    assert len(spawned) == kept


def test_codes_and_channels_of_another_version_do_no_harm(people, caplog):
    clients, peers = people
    clients.apply(ControlMessage("disconnect", ("1",), code=9999), lambda *_: None)
    assert peers["ann"].ended == [DisconnectCode.FORCE_DISCONNECT]
    clients.apply(ControlMessage("unsubscribe", ("2",), channel="x"), lambda *_: None)
    assert peers["bob"].ended == []
    assert "invalid channel" in caplog.text


def test_messages_survive_their_travel():
    message = ControlMessage("unsubscribe", ("1",), "digest", "stream/test/a", 2000, "why")
    assert ControlMessage.read(message.body()) == message
    with pytest.raises(ValueError, match="unknown action"):
        ControlMessage.read({**message.body(), "action": "explode"})


def test_unsubscribing_tells_the_code(people):
    clients, peers = people
    clients.apply(ControlMessage("unsubscribe", ("2",), channel=str(A)), lambda *_: None)
    assert peers["bob"].ended == [(A, UnsubscribeCode.SERVER)]


def test_a_session_key_does_not_travel():
    assert "s1" not in session_digest("s1")
    assert session_digest("") == ""
    assert not ControlMessage("disconnect", session=session_digest("s1")).concerns("1", "")


def test_there_is_a_limit_which_is_logged_once(caplog):
    clients = Clients(1)
    first = peer()
    assert clients.admit(first)
    assert not clients.admit(peer())
    assert not clients.admit(peer())
    assert caplog.text.count("MAX_CONNECTIONS") == 1
    clients.forget(first)
    assert clients.admit(peer())
    assert len(clients) == 1


class Leaver(Recorder):
    """A client that goes when it is told to."""

    def __init__(self, clients):
        super().__init__()
        self.clients = clients

    def disconnect(self, code, reason=""):
        self.ended.append((code, asyncio.get_running_loop().time()))
        self.clients.forget(self)


async def test_draining_spreads_the_goodbyes():
    clients = Clients(-1)
    peers = [Leaver(clients) for _ in range(10)]
    for one in peers:
        clients.admit(one)
    await asyncio.wait_for(clients.drain(0.5), 30)
    assert clients.draining
    times = sorted(when for one in peers for _, when in one.ended)
    assert {code for one in peers for code, _ in one.ended} == {DisconnectCode.SHUTDOWN}
    assert times[-1] - times[0] > 0.3
    assert len(clients) == 0


async def test_draining_nobody_or_few_takes_no_time():
    clients = Clients(-1)
    for one in (Leaver(clients), Leaver(clients)):
        clients.admit(one)
    started = asyncio.get_running_loop().time()
    await clients.drain(100)
    assert asyncio.get_running_loop().time() - started < 50


async def test_who_does_not_go_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(clients_module, "DRAIN_GRACE", 0.05)
    clients = Clients(-1)
    stuck = peer()
    clients.admit(stuck)
    await clients.drain(0)
    assert stuck.ended
