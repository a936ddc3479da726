"""Which outbox a `send` gets, and the fast one over a transport that takes only part of what it is given."""

import asyncio
import functools
import logging

import pytest
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from live.channel import Channel
from live.exceptions import DisconnectCode
from live.node import Encoded, Outbox, daphne, outbox_fast
from live.node.outbox import wire_frame
from live.node.outbox_fast import FastOutbox, open_outbox
from tests.peers import until


class Transport:
    """A Twisted transport as far as the outbox knows one: takes `room` bytes at once, buffers the rest."""

    def __init__(self, room):
        self.room = room
        self.wire = b""
        self.dataBuffer = b""
        self.offset = 0
        self._tempDataLen = 0
        self.connected = 1

    @property
    def socket(self):
        return self

    def send(self, data):
        if isinstance(self.room, Exception):
            raise self.room
        if not self.room:
            raise BlockingIOError
        taken, self.room = data[: self.room], max(0, self.room - len(data))
        self.wire += taken
        return len(taken)

    def write(self, data):
        self.dataBuffer += data

    def drain(self):
        self.wire += self.dataBuffer
        self.dataBuffer = b""


# What goes straight to the socket is told by these.
Transport.__module__, Transport.__qualname__ = "twisted.internet.tcp", "Server"


class Protocol:
    """An autobahn protocol as far as the outbox knows one."""

    STATE_OPEN = 3
    _perMessageCompress = None
    autoPingTimeout = 30

    def __init__(self, room=10**9):
        self.state = self.STATE_OPEN
        self.failByDrop = True
        self.send_queue = []
        self.transport = Transport(room)
        self.closed_with = None

    def sendData(self, data):
        if isinstance(getattr(self.transport, "room", 0), Exception):
            raise self.transport.room
        self.transport.write(data)

    def sendCloseFrame(self, code):
        self.closed_with = code

    async def handle_reply(self, protocol, message):
        if message["type"] == "websocket.send":
            self.sendData(wire_frame(message["text"].encode()))
        else:
            self.closed_with = message["code"]


class Case:
    def __init__(self, room=10**9, limit=1000):
        self.protocol = Protocol(room)
        self.slow, self.errors = [], []
        send = functools.partial(self.protocol.handle_reply, self.protocol)
        self.outbox = open_outbox(send, limit=limit, on_slow=lambda: self.slow.append(1), on_error=self.errors.append)

    async def write(self, *texts):
        for text in texts:
            self.outbox.write(Encoded(text.encode()))
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 300_000])
def test_wire_frames_have_the_length_their_header_says(size):
    frame = wire_frame(b"x" * size)
    assert frame[0] == 0x81
    short = frame[1]
    head, length = (
        (2, short)
        if short < 126
        else (4, int.from_bytes(frame[2:4]))
        if short == 126
        else (10, int.from_bytes(frame[2:10]))
    )
    assert (length, frame[head:]) == (size, b"x" * size)


async def test_a_frame_is_made_once_and_goes_straight_to_an_idle_socket():
    one, two = Case(), Case()
    message = Encoded(b"[1]")
    one.outbox.write(message)
    two.outbox.write(message)
    await asyncio.sleep(0)
    assert one.protocol.transport.wire == two.protocol.transport.wire == wire_frame(b"[1]")
    assert message.frame is message.frame
    assert one.outbox.queued_bytes == one.outbox.held_bytes() == 0


async def test_messages_of_one_turn_are_joined():
    case = Case()
    await case.write("1", "2", "3")
    assert case.protocol.transport.wire == wire_frame(b"1\n2\n3")


@pytest.mark.parametrize("room", [0, 1, 5, 12])
async def test_what_the_socket_does_not_take_follows_in_order(room):
    case = Case(room)
    await case.write("[1]")
    await case.write("[2]")
    case.protocol.transport.room = 10**9
    await case.write("[3]")
    assert case.outbox.held_bytes() == len(case.protocol.transport.dataBuffer)
    case.protocol.transport.drain()
    assert case.protocol.transport.wire == wire_frame(b"[1]") + wire_frame(b"[2]") + wire_frame(b"[3]")


async def test_what_many_get_goes_at_once_but_never_past_what_waits():
    case = Case()
    case.outbox.deliver(Encoded(b"[1]"))
    assert case.protocol.transport.wire == wire_frame(b"[1]")
    case.outbox.write(Encoded(b"[2]"))
    case.outbox.deliver(Encoded(b"[3]"))
    assert case.protocol.transport.wire == wire_frame(b"[1]")
    await asyncio.sleep(0)
    assert case.protocol.transport.wire == wire_frame(b"[1]") + wire_frame(b"[2]\n[3]")


async def test_deliveries_to_a_socket_that_is_full_wait_and_count():
    case = Case(room=0, limit=100)
    for _ in range(2):
        case.outbox.deliver(Encoded(b"x" * 60))
        await asyncio.sleep(0)
    assert case.slow == [1]
    case = Case(room=OSError("gone"))
    case.outbox.deliver(Encoded(b"[1]"))
    assert [str(error) for error in case.errors] == ["gone"]


def gauge(text):
    message = Encoded(text.encode())
    message.channel = Channel("stream", "test", "gauge")
    return message


async def test_a_client_that_lags_gets_the_newest_of_a_gauge_when_it_has_caught_up(monkeypatch):
    monkeypatch.setattr(outbox_fast, "RETRY", 0.001)
    case = Case(room=0, limit=64 * 10)
    await case.write("x" * 20)
    for number in range(100):
        case.outbox.deliver(gauge(f"[{number}]"))
        await asyncio.sleep(0)
    assert case.slow == []
    assert case.outbox.queued_bytes == len("[99]")
    case.protocol.transport.drain()
    case.protocol.transport.room = 10**9
    await until(lambda: case.outbox.queued_bytes == 0)
    assert case.protocol.transport.wire == wire_frame(b"x" * 20) + wire_frame(b"[99]")
    case.outbox.deliver(gauge("[100]"))
    assert case.protocol.transport.wire.endswith(wire_frame(b"[100]"))


async def test_frames_queued_by_autobahn_go_first():
    case = Case()
    case.protocol.send_queue.append(b"something")
    await case.write("[1]")
    assert case.protocol.transport.wire == b""
    assert case.protocol.transport.dataBuffer == wire_frame(b"[1]")


async def test_what_the_transport_holds_counts_towards_the_limit():
    case = Case(room=0, limit=100)
    await case.write("x" * 60)
    assert case.slow == []
    await case.write("x" * 60)
    assert case.slow == [1]


async def test_a_goodbye_comes_after_what_waits():
    case = Case()
    case.outbox.write(Encoded(b"[1]"))
    case.outbox.close(DisconnectCode.SHUTDOWN, "shutdown")
    assert case.protocol.transport.wire == wire_frame(b"[1]")
    await until(lambda: case.protocol.closed_with)
    assert case.protocol.closed_with == 3001
    assert b"shutdown" in case.protocol.transport.dataBuffer


async def test_codes_that_asgi_refuses_are_sent_all_the_same():
    case = Case()
    assert case.protocol.failByDrop is False
    case.outbox.close(DisconnectCode.MESSAGE_TOO_BIG, "message too big")
    await until(lambda: case.protocol.closed_with)
    assert case.protocol.closed_with == 1009


async def test_a_connection_that_is_gone_is_reported_or_silent():
    case = Case()
    case.protocol.state = 1
    await case.write("[1]")
    assert case.protocol.transport.wire == case.protocol.transport.dataBuffer == b""
    case = Case(room=OSError("gone"))
    await case.write("[1]")
    assert [str(error) for error in case.errors] == ["gone"]
    assert case.outbox.queued_bytes == 0


@implementer(IOpenSSLServerConnectionCreator)
class Unfinished:
    """For TLS connections that wait for the client's first word."""

    def serverConnectionForTLS(self, protocol):
        return SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)


class Below(Transport):
    """What is below a TLS transport."""

    disconnecting = False
    aborted = 0

    def loseConnection(self):
        self.disconnecting = True

    def abortConnection(self):
        self.aborted += 1


Below.__module__, Below.__qualname__ = Transport.__module__, Transport.__qualname__


def over_tls():
    """An outbox over a real TLS transport of Twisted's; that, what is below it, and the clock it has."""
    clock, below, protocol = Clock(), Below(10**9), Protocol()
    factory = TLSMemoryBIOFactory(Unfinished(), False, Factory.forProtocol(TwistedProtocol), clock)
    protocol.transport = factory.buildProtocol(None)
    protocol.transport.makeConnection(below)
    send = functools.partial(protocol.handle_reply, protocol)
    outbox = open_outbox(send, limit=1000, on_slow=list, on_error=errors_raised)
    return outbox, protocol.transport, below, clock


def errors_raised(error):
    raise error


async def test_tls_goes_through_its_own_transport_which_shows_what_the_socket_has():
    outbox, tls, below, clock = over_tls()
    assert tls.socket is below
    before = len(below.dataBuffer)
    outbox.deliver(Encoded(b"[1]"))
    outbox.write(Encoded(b"[2]"))
    await asyncio.sleep(0)
    clock.advance(0)
    assert below.wire == b""
    assert b"".join(tls._appSendBuffer) == wire_frame(b"[1]\n[2]")
    assert outbox.held_bytes() == len(below.dataBuffer) == before
    below.write(b"x" * 100)
    assert outbox.held_bytes() == before + 100


async def test_an_end_to_a_tls_connection_that_has_ended_is_none():
    outbox, tls, below, _ = over_tls()
    outbox._connection.abort()
    assert below.aborted == 1
    tls.connectionLost(Failure(ConnectionDone()))
    outbox._connection.abort()
    assert below.aborted == 1


@pytest.mark.parametrize("own", [{"TLS": True}, {"__module__": "elsewhere"}])
async def test_what_is_not_known_to_be_a_plain_socket_gets_nothing_but_writes(own):
    protocol = Protocol()
    transport = type("Server", (Transport,), {"__qualname__": "Server", "__module__": Transport.__module__, **own})
    protocol.transport = transport(10**9)
    send = functools.partial(protocol.handle_reply, protocol)
    outbox = open_outbox(send, limit=1000, on_slow=list, on_error=errors_raised)
    outbox.deliver(Encoded(b"[1]"))
    await asyncio.sleep(0)
    assert (protocol.transport.wire, protocol.transport.dataBuffer) == (b"", wire_frame(b"[1]"))
    assert outbox.held_bytes() == 0


async def test_other_servers_get_the_portable_outbox_and_a_changed_daphne_says_so_once(caplog, monkeypatch):
    monkeypatch.setattr(daphne, "_told", False)
    caplog.set_level(logging.INFO)

    async def send(event):
        raise AssertionError(event)

    async def handle_reply(protocol, message):
        raise AssertionError(message)

    changed = functools.partial(handle_reply, object())
    for candidate in (send, functools.partial(send), changed, changed):
        outbox = open_outbox(candidate, limit=1, on_slow=list, on_error=list)
        assert type(outbox) is Outbox
    assert caplog.text.count("this daphne is not as expected") == 1
    assert isinstance(Case().outbox, FastOutbox)


class AsyncioTransport:
    """An asyncio transport as far as the outbox knows one: buffers while `full`."""

    def __init__(self):
        self.full = False
        self.closing = False
        self.wire = self.buffer = b""

    def write(self, data):
        if self.full:
            self.buffer += data
        else:
            self.wire += data

    def get_write_buffer_size(self):
        return len(self.buffer)

    def is_closing(self):
        return self.closing


class WebSocketsSansIOProtocol:
    """Uvicorn's protocol of that name as far as the outbox knows it."""

    def __init__(self):
        self.transport = AsyncioTransport()
        self.close_sent = False
        self.handshake_complete = True
        self.pinging = True
        self.events = []

    def stop_keepalive(self):
        self.pinging = False

    async def send(self, event):
        self.events.append(event)


def uvicorn_case(limit=1000):
    protocol = WebSocketsSansIOProtocol()
    slow = []
    outbox = open_outbox(protocol.send, limit=limit, on_slow=lambda: slow.append(1), on_error=slow.append)
    return protocol, outbox, slow


async def test_uvicorn_gets_whole_frames_in_order():
    protocol, outbox, slow = uvicorn_case(limit=100)
    outbox.deliver(Encoded(b"[1]"))
    outbox.write(Encoded(b"[2]"))
    await asyncio.sleep(0)
    assert protocol.transport.wire == wire_frame(b"[1]") + wire_frame(b"[2]")
    protocol.transport.full = True
    for _ in range(2):
        outbox.deliver(Encoded(b"x" * 60))
        await asyncio.sleep(0)
    assert protocol.transport.buffer == wire_frame(b"x" * 60)
    assert slow == [1]
    outbox.take_over_pings()
    assert not protocol.pinging


async def test_uvicorn_closes_by_itself_and_gets_nothing_afterwards():
    protocol, outbox, _ = uvicorn_case()
    outbox.close(DisconnectCode.MESSAGE_TOO_BIG, "message too big")
    await until(lambda: protocol.events)
    assert protocol.events == [{"type": "websocket.close", "code": 1009, "reason": "message too big"}]
    protocol, outbox, _ = uvicorn_case()
    protocol.close_sent = True
    outbox.deliver(Encoded(b"[1]"))
    outbox.write(Encoded(b"[2]"))
    await asyncio.sleep(0)
    assert protocol.transport.wire == b""


async def lagging_case(limit=64 * 10):
    """One with more in its transport than a client has that does not lag, and the newest of a gauge kept."""
    case = Case(room=0, limit=limit)
    await case.write("x" * 20)
    case.outbox.deliver(gauge("[1]"))
    # It was looked at, and will be again.
    await until(lambda: case.outbox._retry is not None)
    return case


def taken(case):
    """The client takes all there is, and goes on."""
    case.protocol.transport.drain()
    case.protocol.transport.room = 10**9


async def test_what_is_newer_never_passes_what_was_kept():
    case = await lagging_case()
    taken(case)
    case.outbox.deliver(gauge("[2]"))
    case.outbox.deliver(Encoded(b'"join"'))
    await until(lambda: case.outbox.queued_bytes == 0)
    frames = [wire_frame(text) for text in (b"x" * 20, b'"join"', b"[2]")]
    assert case.protocol.transport.wire == b"".join(frames)
    case.outbox.deliver(gauge("[3]"))
    assert case.protocol.transport.wire == b"".join([*frames, wire_frame(b"[3]")])


async def test_what_was_kept_is_forgotten_with_its_subscription():
    case = await lagging_case()
    case.outbox.forget(Channel("stream", "test", "gauge"))
    assert case.outbox.queued_bytes == 0
    taken(case)
    await case.write("[9]")
    await until(lambda: case.outbox._retry is None)
    case.outbox.deliver(gauge("[10]"))
    await asyncio.sleep(0)
    assert case.protocol.transport.wire == b"".join(map(wire_frame, (b"x" * 20, b"[9]", b"[10]")))


async def test_who_is_told_something_in_each_turn_still_gets_the_newest():
    case = await lagging_case()
    taken(case)
    async with asyncio.timeout(20):
        while wire_frame(b"[1]") not in case.protocol.transport.wire and b"0\n[1]" not in case.protocol.transport.wire:
            await case.write("0")
    assert case.outbox.queued_bytes == 0
