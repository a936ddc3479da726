"""One cheap client: a WebSocket by hand over asyncio's transports, with wire frames that are prepared once."""

import asyncio
import resource
import socket
import struct

import orjson

PATH = "/api/live/ws"
HOST = "127.0.0.1"

HANDSHAKE = (
    f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: bGl2ZSBsaXZlIGxpdmUgIQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def handshake(cookie=""):
    """The request that opens a WebSocket."""
    return f"{HANDSHAKE}Cookie: {cookie}\r\n\r\n".encode() if cookie else f"{HANDSHAKE}\r\n".encode()


def masked(payload, opcode=1):
    """A client's wire frame; a mask of zeros leaves the payload as it is."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + struct.pack(">H", size)
    return bytes((0x80 | opcode,)) + length + b"\0\0\0\0" + payload


PONG = masked(b"{}")
GOODBYE = masked(struct.pack(">H", 1000), opcode=8)


def command(number, method, **body):
    """A line of a message."""
    return orjson.dumps({"id": number, method: body})


def allow_many_sockets(wanted):
    """Raises this process's own limit of open files as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(wanted, hard), hard))


class Peer(asyncio.Protocol):
    """A client of Live: keeps the last offset of each channel, and counts those that do not follow the one before."""

    def __init__(self):
        self.transport = None
        self.open = False
        self.gone = False
        self.when_gone = None
        """Called, where it is set, when the connection is gone."""
        self.answers_pings = True
        self.code = self.error = None
        """That of the close frame that the server sent, and what ended the connection, where something did."""
        self.status = 0
        self.waits = {}
        """Commands that are not answered, by id: the channel, or None."""
        self.refused = 0
        self.offsets = {}
        self.publications = 0
        self.gaps = 0
        self._buffer = bytearray()
        self._event = asyncio.Event()
        self._number = 0

    @classmethod
    async def connect(cls, port, first, *, window=None):
        """Connects and sends `first`; `window`: bytes that the kernel takes for a peer that does not read."""
        sock = socket.socket()
        sock.setblocking(False)
        if window is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(sock, (HOST, port))
            _, peer = await loop.create_connection(cls, sock=sock)
        except BaseException:
            sock.close()
            raise
        peer.transport.write(first)
        return peer

    async def until(self, condition):
        """Waits until `condition()` holds or the connection is gone."""
        while not condition() and not self.gone:
            self._event.clear()
            await self._event.wait()

    def ask(self, method, **body):
        """Sends a command; its reply is waited for with `answered`."""
        self._number += 1
        self.waits[self._number] = body.get("channel") if method == "subscribe" else None
        self.transport.write(masked(command(self._number, method, **body)))

    async def answered(self):
        """Waits until every command has its reply."""
        await self.until(lambda: not self.waits)

    def reset(self):
        """Leaves with a RST, unless it is leaving already."""
        if not self.transport.is_closing():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    def leave(self):
        """Leaves with a close frame, which the server answers with its own."""
        if not self.transport.is_closing():
            self.transport.write(GOODBYE)

    # asyncio's side

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, error):
        self.gone = True
        self.error = error
        self._event.set()
        if self.when_gone is not None:
            self.when_gone()

    def data_received(self, data):
        self._buffer += data
        if not self.open and not self._read_head():
            return
        buffer, start = self._buffer, 0
        while len(buffer) - start >= 2:
            size, head = buffer[start + 1], 2
            if size >= 126:
                head = 4 if size == 126 else 10
                size = int.from_bytes(buffer[start + 2 : start + head])
                if len(buffer) - start < head:
                    break
            end = start + head + size
            if len(buffer) < end:
                break
            self._take_frame(buffer[start] & 15, bytes(buffer[start + head : end]))
            start = end
        del buffer[:start]

    def _read_head(self):
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        self.status = int(self._buffer.split(b" ", 2)[1])
        del self._buffer[: end + 4]
        self.open = self.status == 101
        self._event.set()
        return self.open

    def _take_frame(self, opcode, payload):
        if opcode == 1:
            for line in payload.split(b"\n"):
                self._take(line)
        elif opcode == 8:
            self.code = int.from_bytes(payload[:2])
            self.transport.write(masked(payload[:2], opcode=8))
            self.transport.close()
        elif opcode == 9 and self.answers_pings:
            self.transport.write(masked(payload, opcode=10))

    def _take(self, line):
        if line == b"{}":
            if self.answers_pings:
                self.transport.write(PONG)
            return
        message = orjson.loads(line)
        if (push := message.get("push")) is not None:
            if (publication := push.get("pub")) is not None:
                self.take_publication(push["channel"], publication["offset"])
            elif "unsubscribe" in push:
                # The server lost its place in the channel.
                self.gaps += 1
            return
        channel = self.waits.pop(message["id"])
        if "error" in message:
            self.refused += 1
        elif channel is not None:
            self.offsets[channel] = message["subscribe"].get("offset", 0)
        self._event.set()

    def take_publication(self, channel, offset):
        """One of a channel came."""
        self.publications += 1
        if offset != self.offsets.get(channel, -1) + 1:
            self.gaps += 1
        self.offsets[channel] = offset
        self._event.set()
