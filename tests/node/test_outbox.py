"""The portable outbox: bounded, joined, never blocking its writer, and gone when its client is."""

import asyncio
import json

import pytest

from live.channel import Channel
from live.exceptions import DisconnectCode
from live.node import Encoded, Outbox
from live.node import outbox as outbox_module
from tests.peers import Socket, until


class Case:
    def __init__(self, limit=1000):
        self.socket = Socket()
        self.slow = 0
        self.errors = []
        self.outbox = Outbox(self.socket.send, limit=limit, on_slow=self.on_slow, on_error=self.errors.append)

    def on_slow(self):
        self.slow += 1
        self.outbox.close(DisconnectCode.SLOW, "slow", flush=False)

    def write(self, *texts):
        for text in texts:
            self.outbox.write(Encoded(text.encode()))


@pytest.fixture
async def case():
    case = Case()
    yield case
    await case.outbox.finish()


async def test_messages_of_one_turn_are_joined_in_wire_frames_of_sixteen(case):
    case.write(*[str(n) for n in range(20)])
    await case.socket.until(lambda: len(case.socket.events) == 2)
    assert case.socket.events[0]["text"] == "\n".join(str(n) for n in range(16))
    assert case.socket.replies == list(range(20))
    assert case.outbox.queued_bytes == 0


async def test_joined_messages_stay_below_the_size_that_peers_refuse():
    case = Case(limit=10**7)
    case.write(*["1" * 100_000 for _ in range(6)])
    await case.socket.until(lambda: len(case.socket.events) == 3)
    assert all(len(event["text"]) <= outbox_module.WIRE_FRAME_MAX_BYTES for event in case.socket.events)


async def test_a_client_that_does_not_read_is_found_slow_and_others_are_not_held_up(case, monkeypatch):
    # It reads again in time, however long that takes here.
    monkeypatch.setattr(outbox_module, "CLOSE_TIMEOUT", 3600.0)
    case.socket.free.clear()
    other = Case()
    for n in range(50):
        case.write(str(n) + "x" * 40)
        other.write(str(n))
    assert case.slow == 1
    assert case.outbox.queued_bytes == 0
    await other.socket.until(lambda: len(other.socket.replies) == 50)
    case.socket.free.set()
    await case.socket.until(lambda: case.socket.close)
    assert case.socket.close["code"] == 3008
    assert case.socket.replies[-1] == {"push": {"disconnect": {"code": 3008, "reason": "slow"}}}


async def test_a_goodbye_comes_after_what_waits(case):
    case.write("1", "2")
    case.outbox.close(DisconnectCode.SHUTDOWN, "shutdown")
    case.write("3")
    case.outbox.close(DisconnectCode.SLOW, "slow")
    await case.socket.until(lambda: case.socket.close)
    assert case.socket.replies == [1, 2, {"push": {"disconnect": {"code": 3001, "reason": "shutdown"}}}]
    assert case.socket.close == {"type": "websocket.close", "code": 3001, "reason": "shutdown"}


async def test_a_goodbye_needs_nothing_to_wait(case):
    case.outbox.close(DisconnectCode.BAD_REQUEST, "why")
    await case.socket.until(lambda: case.socket.close)
    assert case.socket.close["code"] == 3501


async def test_an_oversized_message_is_answered_with_the_close_frame_only(case):
    case.outbox.close(DisconnectCode.MESSAGE_TOO_BIG, "message too big")
    await case.socket.until(lambda: case.socket.close)
    assert case.socket.replies == []


async def test_a_goodbye_does_not_wait_for_a_stuck_socket(case, monkeypatch):
    monkeypatch.setattr(outbox_module, "CLOSE_TIMEOUT", 0.01)
    monkeypatch.setattr(outbox_module, "FLUSH_TIMEOUT", 0.01)
    case.socket.free.clear()
    case.write("1")
    case.outbox.close(DisconnectCode.SHUTDOWN, "shutdown")
    await until(lambda: case.outbox._task is None)
    assert case.socket.events == []


async def test_a_dead_socket_is_reported_once(case):
    case.socket.error = OSError("gone")
    case.write("1", "2")
    await until(lambda: case.errors)
    assert [str(error) for error in case.errors] == ["gone"]
    assert case.outbox.queued_bytes == 0


async def test_finish_leaves_no_task(case):
    case.socket.free.clear()
    case.write("1")
    await asyncio.sleep(0)
    await case.outbox.finish()
    assert case.outbox._task is None
    await case.outbox.finish()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def gauge(number, path="gauge", size=0):
    """A publication of a channel of which a client that lags needs the newest only."""
    message = Encoded(json.dumps([path, number, "x" * size]).encode())
    message.channel = Channel("stream", "test", path)
    return message


BACKLOG = json.dumps("x" * 200)


def lagging_case():
    """One with more than a sixty-fourth of its limit in it, which goes no further than a socket that is stuck."""
    case = Case(limit=64 * 30)
    case.socket.free.clear()
    case.write(BACKLOG)
    return case


async def test_what_is_newer_never_passes_what_was_kept_of_the_same_channel():
    case = lagging_case()
    case.outbox.deliver(gauge(1))
    # What it lags behind with is on its way: there is room again, and the first is still kept.
    await until(lambda: case.outbox.queued_bytes == len(gauge(1).raw))
    case.outbox.deliver(gauge(2))
    case.outbox.deliver(gauge(1, "other"))
    case.socket.free.set()
    await until(lambda: case.outbox._task is None)
    assert case.socket.replies == ["x" * 200, ["other", 1, ""], ["gauge", 2, ""]]
    assert case.outbox.queued_bytes == 0


async def test_what_was_kept_is_forgotten_with_its_subscription():
    case = lagging_case()
    waiting = case.outbox.queued_bytes
    case.outbox.forget(Channel("stream", "test", "gauge"))
    case.outbox.deliver(gauge(1))
    case.outbox.deliver(gauge(1, "other"))
    kept = case.outbox.queued_bytes - waiting
    case.outbox.forget(Channel("stream", "test", "gauge"))
    assert case.outbox.queued_bytes - waiting == kept - len(gauge(1).raw)
    case.outbox.forget(Channel("stream", "test", "gauge"))
    case.write('"subscribed again"')
    case.socket.free.set()
    await until(lambda: case.outbox._task is None)
    assert case.socket.replies == ["x" * 200, "subscribed again", ["other", 1, ""]]
    assert case.outbox.queued_bytes == 0


async def test_who_is_told_something_all_the_time_still_gets_the_newest():
    case = Case(limit=100_000)
    case.socket.free.clear()
    case.write(BACKLOG)
    await until(lambda: case.outbox.queued_bytes == 0)
    case.write(*[BACKLOG] * 20)
    # More than a client may have waiting that does not lag.
    for number in range(2):
        case.outbox.deliver(gauge(number, size=3_000))
    send = case.socket.send

    async def send_and_say_more(event):
        await send(event)
        if len(case.socket.events) < 100:
            case.write('"more"')

    case.outbox._send = send_and_say_more
    case.socket.free.set()
    await until(lambda: case.outbox._task is None)
    assert len(case.socket.events) == 100
    assert json.loads(gauge(1, size=3_000).raw) in case.socket.replies[:50]
    assert case.outbox.queued_bytes == 0


def test_what_must_not_be_lost_is_not_joined_with_what_may_be():
    """Of several joined a client that lags gets the last: who joined a channel is told to it all the same."""
    join = Encoded(b'"join"')
    groups = list(outbox_module.joined([gauge(1), gauge(2), join, join, gauge(3), gauge(4)]))
    assert [group.count for group in groups] == [2, 2, 2]
    assert [group.channel is None for group in groups] == [False, True, False]
    assert b"\n".join(group.raw for group in groups) == b"\n".join(
        each.raw for each in [gauge(1), gauge(2), join, join, gauge(3), gauge(4)]
    )


async def test_who_lags_is_told_who_came_between_two_publications():
    case = lagging_case()
    for message in outbox_module.joined([gauge(1), Encoded(b'"join"'), gauge(2)]):
        case.outbox.deliver(message)
    case.socket.free.set()
    await until(lambda: case.outbox._task is None)
    assert case.socket.replies == ["x" * 200, "join", ["gauge", 2, ""]]
