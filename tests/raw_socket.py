"""A WebSocket by hand, for what no client library does: never reading, never answering a ping."""

import base64
import contextlib
import os
import socket
import struct


class RawSocket:
    """The client's end of one WebSocket: nothing is read and nothing answered unless a test asks for it."""

    def __init__(self, port, path, headers=()):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: 127.0.0.1",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
            *headers,
        ]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.sock.recv(1)
            if not byte:
                self.sock.close()
                raise ConnectionResetError(f"the server left in the middle of its answer: {head!r}")
            head += byte
        self.status = int(head.split()[1])

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.sock.close()

    def send(self, payload, opcode=2, final=True):
        """One masked wire frame: 1 text, 2 binary, 0 the continuation of a message."""
        size = len(payload)
        head = bytes([(0x80 if final else 0) | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        else:
            head += bytes([0x80 | 126]) + struct.pack(">H", size) if size < 65536 else b"\xff" + struct.pack(">Q", size)
        # A mask of zeros leaves the payload as it is.
        self.sock.sendall(head + b"\0\0\0\0" + payload)

    def read_to_end(self):
        """Everything until the server ends the connection."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := self.sock.recv(65536):
                data += chunk
        return data
