"""The portable outbox: bounded, joined, never blocking its writer, and gone when its client is."""

import asyncio

import pytest

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


async def test_a_client_that_does_not_read_is_found_slow_and_others_are_not_held_up(case):
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
