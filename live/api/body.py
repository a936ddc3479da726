"""The body of a push: raw or compressed with gzip, and never more of it in memory than is allowed."""

from __future__ import annotations

import zlib

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from rest_framework.exceptions import ParseError

from live.api.base import LengthRequired, PayloadTooLarge, UnsupportedEncoding

CHUNK = 64 * 1024
MAX_MEMBERS = 1000
"""Compressed pieces in one body; writers make one, and each costs time however little is in it."""
_GZIP = 16 + zlib.MAX_WBITS


def is_gzip(request: HttpRequest) -> bool:
    """Whether the body is compressed; raises `UnsupportedEncoding` for what is neither gzip nor plain."""
    encoding = request.headers.get("Content-Encoding", "").strip()
    if encoding.lower() in ("gzip", "x-gzip"):
        return True
    if encoding.lower() in ("", "identity"):
        return False
    raise UnsupportedEncoding(f"Content-Encoding {encoding[:60]!r} is not supported; send gzip or the plain body")


def read_body(request: HttpRequest, limit: int) -> bytes:
    """The body as it came, whatever its type says.

    Raises `PayloadTooLarge` over `limit` bytes, `LengthRequired`, and `ParseError` where it was read as a form before.
    """
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isascii() and length.isdigit():
        if len(length) > 18 or int(length) > limit:
            raise too_large(limit)
    elif "Transfer-Encoding" in request.headers and not isinstance(request, ASGIRequest):
        # Django reads nothing of such a body under WSGI: better an error than lost metrics.
        raise LengthRequired("send a Content-Length")
    if hasattr(request, "_body"):
        body: bytes = request._body
    elif getattr(request, "_read_started", False):
        raise ParseError("the body was read as a form already; send it as text/plain")
    else:
        chunks, size = [], 0
        while size <= limit and (chunk := request.read(min(CHUNK, limit + 1 - size))):
            chunks.append(chunk)
            size += len(chunk)
        body = b"".join(chunks)
    if len(body) > limit:
        raise too_large(limit)
    return body


def inflate(body: bytes, limit: int) -> bytes:
    """What is in a gzip file of one or several members; not a byte more than `limit` is ever inflated.

    Raises `PayloadTooLarge` for more than that and `ParseError` for what is no gzip or not all of one.
    """
    chunks: list[bytes] = []
    room = limit + 1
    position, members = 0, 0
    rest = b""
    try:
        while rest or position < len(body):
            members += 1
            if members > MAX_MEMBERS:
                raise ParseError(f"the gzip body has more than {MAX_MEMBERS} members")
            member = zlib.decompressobj(_GZIP)
            while not member.eof:
                # In pieces: what follows a member is copied for each of them.
                piece = rest or body[position : position + CHUNK]
                if not rest:
                    if not piece:
                        raise ParseError("the gzip body ends too early")
                    position += len(piece)
                chunk = member.decompress(piece, room)
                chunks.append(chunk)
                room -= len(chunk)
                if room <= 0:
                    raise too_large(limit)
                rest = member.unconsumed_tail
            rest = member.unused_data
    except zlib.error as error:
        raise ParseError(f"the body is no sound gzip: {error}") from None
    if not members:
        raise ParseError("the gzip body is empty")
    return b"".join(chunks)


def too_large(limit: int) -> PayloadTooLarge:
    """The error for a body of more than `limit` bytes."""
    return PayloadTooLarge(f"the body is larger than {limit} bytes; push fewer lines at once")
