"""The outboxes of protobuf clients: what the others get, transcoded once, never where nobody needs it."""

import asyncio
import functools

import pytest

from live.channel import Channel
from live.exceptions import BadData, DisconnectCode
from live.node import Encoded
from live.node import outbox as outbox_module
from live.node.hub import Hub
from live.node.outbox import BINARY_FRAME, joined, wire_frame
from live.node.outbox_binary import BinaryOutbox, FastBinaryOutbox, open_binary_outbox
from live.node.outbox_fast import open_outbox
from live.protocol.protobuf import transcode
from live.protocol.replies import disconnect_push, error_reply, publication_push
from live.store import Position, Publication
from tests.node.test_outbox_fast import Protocol
from tests.peers import Socket, until


def push(data, offset=0):
    return publication_push("a/b/c", data, offset=offset)


def bytes_of(*raw):
    return b"".join(map(transcode, raw))


@pytest.fixture
def transcoded(monkeypatch):
    """What is transcoded while the test runs."""
    found = []

    def count(raw):
        found.append(raw)
        return transcode(raw)

    monkeypatch.setattr(outbox_module, "transcode", count)
    return found


class Case:
    """A portable one (`room` None), or one whose transport takes so much at once."""

    def __init__(self, room=None, limit=1000):
        self.socket, self.slow, self.errors = Socket(), [], []
        send = self.socket.send
        if room is not None:
            self.protocol = Protocol(room)
            send = functools.partial(self.protocol.handle_reply, self.protocol)
        self.outbox = open_binary_outbox(send, limit=limit, on_slow=self.on_slow, on_error=self.errors.append)

    def on_slow(self):
        self.slow.append(1)
        self.outbox.close(DisconnectCode.SLOW, "slow", flush=False)

    @property
    def sent(self):
        return [event.get("bytes") for event in self.socket.events]


async def test_which_one_a_client_gets():
    assert type(Case().outbox) is BinaryOutbox
    assert type(Case(room=1).outbox) is FastBinaryOutbox


async def test_messages_of_one_turn_are_one_binary_message():
    case = Case()
    raw = [push(b"%d" % n) for n in range(5)]
    for each in raw:
        case.outbox.write(Encoded(each))
    await case.socket.until(lambda: case.socket.events)
    assert case.sent == [bytes_of(*raw)]
    assert case.outbox.queued_bytes == 0


async def test_the_same_on_the_fast_path():
    case = Case(room=10**9)
    raw = [push(b"%d" % n) for n in range(5)]
    case.outbox.deliver(Encoded(raw[0]))
    assert case.protocol.transport.wire == wire_frame(bytes_of(raw[0]), BINARY_FRAME)
    for each in raw[1:]:
        case.outbox.write(Encoded(each))
    await asyncio.sleep(0)
    wanted = wire_frame(bytes_of(raw[0]), BINARY_FRAME) + wire_frame(bytes_of(*raw[1:]), BINARY_FRAME)
    assert case.protocol.transport.wire == wanted


async def test_a_message_that_waits_alone_has_a_frame_of_its_own():
    case = Case(room=10**9)
    case.outbox.write(Encoded(push(b"1")))
    await asyncio.sleep(0)
    assert case.protocol.transport.wire == wire_frame(bytes_of(push(b"1")), BINARY_FRAME)


@pytest.mark.parametrize("room", [0, 1, 5, 12])
async def test_what_the_socket_does_not_take_follows_in_order(room):
    case = Case(room)
    raw = [push(b"%d" % n) for n in range(3)]
    for each in raw:
        case.outbox.deliver(Encoded(each))
        await asyncio.sleep(0)
    case.protocol.transport.drain()
    assert case.protocol.transport.wire == b"".join(wire_frame(bytes_of(each), BINARY_FRAME) for each in raw)


class Subscriber:
    """A subscriber of the hub with an outbox."""

    def __init__(self, outbox):
        self.write = outbox.deliver

    def unsubscribed(self, channel):
        raise AssertionError


@pytest.mark.parametrize("binary", [0, 1, 50])
async def test_a_publication_is_transcoded_once_however_many_there_are_and_not_at_all_for_none(transcoded, binary):
    hub = Hub(on_gap=print, hold_limit=1000)
    channel = Channel("a", "b", "c")
    cases = [Case(room=10**9) for _ in range(binary)]
    other = Protocol()
    plain = open_outbox(
        functools.partial(other.handle_reply, other), limit=1000, on_slow=lambda: None, on_error=lambda error: None
    )
    for outbox in [plain, *[case.outbox for case in cases]]:
        hub.release(hub.add(channel, Subscriber(outbox)), Position())
    for number in range(3):
        hub.deliver(channel, Publication(b"%d" % number, 0, ""))
    hub.deliver(channel, Publication(b'"alone"', 0, ""))
    hub.flush()
    raw = [push(b"%d" % n) for n in range(3)] + [push(b'"alone"')]
    assert transcoded == (raw if binary else [])
    assert other.transport.wire == wire_frame(b"\n".join(raw))
    assert {case.protocol.transport.wire for case in cases} <= {wire_frame(bytes_of(*raw), BINARY_FRAME)}


async def test_of_several_joined_the_newest_is_not_transcoded_again(transcoded):
    messages = [Encoded(push(b"%d" % n)) for n in range(3)]
    for message in messages:
        message.channel = Channel("a", "b", "c")
    (together,) = joined(messages)
    binary = together.binary
    assert (binary.count, binary.channel) == (3, Channel("a", "b", "c"))
    assert binary.raw == bytes_of(*[message.raw for message in messages])
    assert binary.newest is messages[-1].binary
    assert binary.newest.raw == bytes_of(messages[-1].raw)
    assert len(transcoded) == 3


async def test_a_client_that_lags_gets_the_newest_only():
    case = Case(limit=10_000)
    case.socket.free.clear()
    case.outbox.write(Encoded(push(b'"%s"' % (b"x" * 200))))
    await until(lambda: not case.outbox._queue)
    case.outbox.write(Encoded(push(b'"%s"' % (b"y" * 200))))
    for number in range(9):
        message = Encoded(push(b"%d" % number))
        message.channel = Channel("a", "b", "c")
        case.outbox.deliver(message)
    case.socket.free.set()
    await case.socket.until(lambda: len(case.socket.events) == 3)
    assert case.sent[-1] == bytes_of(push(b"8"))


@pytest.mark.parametrize("room", [None, 0])
async def test_what_waits_is_bounded_by_the_bytes_that_would_be_sent(room):
    raw = push(b'"%s"' % (b"x" * 100))
    size = len(transcode(raw))
    case = Case(room, limit=3 * size)
    case.socket.free.clear()
    for _ in range(3):
        case.outbox.write(Encoded(raw))
    assert (case.outbox.queued_bytes, case.slow) == (3 * size, [])
    case.outbox.write(Encoded(raw))
    assert (case.outbox.queued_bytes, case.slow) == (0, [1])
    case.socket.free.set()
    if room is None:
        await case.socket.until(lambda: case.socket.close)
        assert case.sent[0] == transcode(disconnect_push(DisconnectCode.SLOW, "slow"))
        assert case.socket.close["code"] == 3008
    await case.outbox.finish()


async def test_what_waits_goes_out_before_the_goodbye():
    case = Case()
    error = error_reply(3, BadData("no"))
    case.outbox.write(Encoded(error))
    case.outbox.close(DisconnectCode.SHUTDOWN, "shutdown")
    case.outbox.write(Encoded(push(b"1")))
    case.outbox.deliver(Encoded(push(b"2")))
    await case.socket.until(lambda: case.socket.close)
    assert b"".join(case.sent[:-1]) == bytes_of(error, disconnect_push(DisconnectCode.SHUTDOWN, "shutdown"))


@pytest.mark.parametrize("room", [None, 10**9])
@pytest.mark.parametrize("way", ["write", "deliver"])
async def test_data_that_only_claims_to_be_json_ends_that_client_and_raises_nothing(room, way):
    case = Case(room)
    getattr(case.outbox, way)(Encoded(push(b"no json")))
    (error,) = case.errors
    assert isinstance(error, BadData)
    assert case.outbox.queued_bytes == 0


@pytest.mark.parametrize("room", [None, 0])
async def test_what_is_newer_never_passes_what_was_kept_and_that_is_forgotten_with_its_subscription(room):
    """By the portable outbox and by the fast one."""
    channel = Channel("a", "b", "c")

    def gauge(number):
        message = Encoded(push(b"%d" % number))
        message.channel = channel
        return message

    case = Case(room, limit=64 * 100)
    case.socket.free.clear()
    for _ in range(2):
        case.outbox.write(Encoded(push(b'"%s"' % (b"x" * 100))))
        await asyncio.sleep(0)
    case.outbox.deliver(gauge(1))
    case.outbox.forget(channel)
    case.outbox.deliver(gauge(2))
    case.outbox.deliver(gauge(3))
    if room is None:
        case.socket.free.set()
    else:
        case.protocol.transport.drain()
        case.protocol.transport.room = 10**9
    case.outbox.deliver(gauge(4))
    await until(lambda: case.outbox.queued_bytes == 0)
    await until(lambda: case.outbox._task is None)
    sent = b"".join(case.sent) if room is None else case.protocol.transport.wire
    for number, there in enumerate([False, False, False, True], start=1):
        assert (transcode(push(b"%d" % number)) in sent) is there
