"""One HTTP connection to a site, as a browser's: a GET, or a WebSocket up to the answer to `connect`.

On the standard library, so that what a proxy does to the handshake is seen as it is. Nothing secret is sent: no cookie,
no token. Blocks; every wait ends at the deadline.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from live.commands.base import printable
from live.commands.site import API, Site
from live.exceptions import BadData
from live.protocol import dump_json, load_json

PATIENCE = 4.0
"""Seconds for all that one connection is asked; shorter than a check may take, so that the check can say what hung."""
MOST_BODY = 4096
MOST_MESSAGE = 1024 * 1024
"""Bytes read of a body, and of a WebSocket message."""
MOST_MESSAGES = 50

_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE = 0, 1, 2, 8


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; header names in lower case, texts without what a terminal would obey."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def elsewhere(self) -> str:
        """Where a redirect leads, without user, query and fragment; "" for other answers."""
        if not 300 <= self.status < 400:
            return ""
        try:
            parts = urlsplit(self.headers.get("location", ""))
        except ValueError:
            return ""
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()[:200]

    def __str__(self) -> str:
        return f"{self.status} {self.reason}".strip()


class Foreign(Exception):
    """What came is not what the protocol says; the text is for the finding."""


class Wire:
    """A connection to `site`; with a `context` other than the usual one for TLS."""

    def __init__(self, site: Site, context: ssl.SSLContext | None = None) -> None:
        self._deadline = time.monotonic() + PATIENCE
        self._root = site.root
        options: dict[str, Any] = {"timeout": PATIENCE}
        if site.scheme == "https":
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                site.host, site.port, context=context or ssl.create_default_context(), **options
            )
        else:
            self._connection = http.client.HTTPConnection(site.host, site.port, **options)
        self._response: http.client.HTTPResponse | None = None

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._response is not None:
            self._response.close()
        self._connection.close()

    def open(self) -> dict[str, Any]:
        """Connects; the certificate of the other end, {} without TLS. Raises OSError, `ssl.SSLError` among them."""
        self._connection.connect()
        peer = self._connection.sock
        return dict(peer.getpeercert() or {}) if isinstance(peer, ssl.SSLSocket) else {}

    def get(self, path: str) -> Answer:
        """What is answered to a GET; raises OSError and `http.client.HTTPException`."""
        return self._ask(path, {"Connection": "close"})

    def upgrade(self, origin: str) -> Answer:
        """What is answered to the handshake of Live's WebSocket; raises as `get` does, and `Foreign`."""
        key = base64.b64encode(os.urandom(16))
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key.decode(),
        }
        answer = self._ask(f"{API}/ws", {**headers, **({"Origin": origin} if origin else {})})
        if answer.status == 101:
            expected = base64.b64encode(hashlib.sha1(key + _ACCEPT, usedforsecurity=False).digest()).decode()
            if answer.headers.get("sec-websocket-accept") != expected:
                raise Foreign("the answer to the handshake belongs to another one (Sec-WebSocket-Accept)")
        return answer

    def _ask(self, path: str, headers: dict[str, str]) -> Answer:
        self._hurry()
        everywhere = {"User-Agent": "manage.py live doctor", "Accept": "*/*", "Cache-Control": "no-cache"}
        self._connection.request("GET", self._root + path, headers={**everywhere, **headers})
        response = self._response = self._connection.getresponse()
        found = {name.lower(): printable(value)[:500] for name, value in response.headers.items()}
        body = b"" if response.status == 101 else response.read(MOST_BODY)
        return Answer(response.status, printable(response.reason)[:100], found, body)

    # WebSocket

    def connect_command(self) -> dict[str, Any]:
        """Connects to Live as a visitor: the value of the reply, or of the disconnect that came in place of it.

        Raises TimeoutError when neither comes, `Foreign`, and OSError.
        """
        self._send(_TEXT, dump_json({"id": 1, "connect": {"name": "manage.py live doctor"}}))
        for _ in range(MOST_MESSAGES):
            opcode, payload = self._message()
            if opcode == _CLOSE:
                code = int.from_bytes(payload[:2]) if len(payload) > 1 else 1005
                return {"disconnect": {"code": code, "reason": payload[2:].decode(errors="replace")}}
            for line in payload.splitlines() if opcode in (_TEXT, _BINARY) else ():
                if found := _read(line):
                    self._send(_CLOSE, struct.pack(">H", 1000))
                    return found
        raise Foreign("what answers on the WebSocket does not speak Live's protocol")

    def _send(self, opcode: int, payload: bytes) -> None:
        self._hurry()
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        # Longer payloads would need another head.
        assert len(payload) < 126  # noqa: S101
        self._socket().sendall(bytes((0x80 | opcode, 0x80 | len(payload))) + mask + masked)

    def _message(self) -> tuple[int, bytes]:
        """The next message, or wire frame of control; fragments are put together."""
        kind, whole = _CONTINUATION, b""
        while True:
            first, second = self._read(2)
            size = second & 0x7F
            if size > 125:
                size = int.from_bytes(self._read(2 if size == 126 else 8))
            if size + len(whole) > MOST_MESSAGE or second & 0x80:
                raise Foreign("what answers on the WebSocket sends no sound wire frames")
            payload = self._read(size)
            opcode = first & 0x0F
            if opcode >= _CLOSE:
                return opcode, payload
            kind, whole = opcode or kind, whole + payload
            if first & 0x80:
                return kind, whole

    def _read(self, size: int) -> bytes:
        self._hurry()
        assert self._response is not None  # noqa: S101
        data = self._response.fp.read(size)
        if len(data) < size:
            raise ConnectionResetError("the connection ended without a word")
        return data

    def _socket(self) -> socket.socket:
        assert self._connection.sock is not None  # noqa: S101
        return self._connection.sock

    def _hurry(self) -> None:
        """Whatever comes next may take what is left of the time."""
        if self._connection.sock is not None:
            self._connection.sock.settimeout(max(0.01, self._deadline - time.monotonic()))


def _read(line: bytes) -> dict[str, Any] | None:
    """The reply to connect or the disconnect in this line; None when it is something else."""
    try:
        value = load_json(line)
    except BadData:
        return None
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("push"), dict) and isinstance(value["push"].get("disconnect"), dict):
        return {"disconnect": value["push"]["disconnect"]}
    return value if isinstance(value.get("connect"), dict) or isinstance(value.get("error"), dict) else None
