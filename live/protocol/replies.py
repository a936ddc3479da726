"""What a client is told: replies, errors and pushes as bytes of one JSON object each, without a newline.

Payloads (`data`, `info`) come in as JSON bytes and are embedded as they are: they were encoded once, where they
entered. Fields with their zero value are left out, except those that clients read unguarded (client-protocol §2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from live.exceptions import DisconnectCode, LiveError, UnsubscribeCode
from live.protocol.json import dump_json

PING = b"{}"
"""A ping of the server; a client answers with the same."""


class Publication(Protocol):
    """What a list of publications is made of; `data` and `info` are JSON bytes."""

    @property
    def data(self) -> bytes:
        """The payload."""

    @property
    def offset(self) -> int:
        """Its offset."""

    @property
    def info(self) -> bytes | None:
        """Which client published it, if one did."""


class Member(Protocol):
    """Who is present: `client` is the connection's id, `info` the JSON bytes of a ClientInfo (§2.6)."""

    @property
    def client(self) -> str:
        """The connection's id."""

    @property
    def info(self) -> bytes:
        """What others are told of it."""


@dataclass(frozen=True, slots=True)
class SubscribeResult:
    """What a subscriber is told at the start: position where the channel keeps history, initial data if there is some.

    `data` is JSON bytes. Clients keep the position, and ask for what they missed since, only where it is `recoverable`.
    After a recovery it is the one they asked with, and `publications` follow it; else the top (§4.3).
    """

    data: bytes | None = None
    offset: int = 0
    epoch: str = ""
    positioned: bool = False
    recoverable: bool = False
    was_recovering: bool = False
    recovered: bool = False
    publications: Sequence[Publication] = ()


def connect_reply(command_id: int, *, client: str, version: str, ping: int, pong: bool) -> bytes:
    """The answer to connect: the id of this client, and how often it is pinged (seconds, 0: never)."""
    result: dict[str, object] = {"client": client, "version": version}
    if ping:
        result["ping"] = ping
        if pong:
            result["pong"] = True
    return dump_json({"id": command_id, "connect": result})


def subscribe_reply(command_id: int, result: SubscribeResult) -> bytes:
    """The answer to subscribe."""
    flags = ("positioned", "recoverable", "was_recovering", "recovered")
    parts = [b'"%s":true' % name.encode() for name in flags if getattr(result, name)]
    if result.epoch:
        parts.append(b'"epoch":' + dump_json(result.epoch))
    if result.offset:
        parts.append(b'"offset":%d' % result.offset)
    if result.publications:
        parts.append(b'"publications":[%s]' % _publications(result.publications))
    if result.data is not None:
        parts.append(b'"data":' + result.data)
    return b'{"id":%d,"subscribe":{%s}}' % (command_id, b",".join(parts))


def history_reply(command_id: int, publications: Sequence[Publication], *, offset: int, epoch: str) -> bytes:
    """The answer to history: publications, and the top position of the stream; all three fields always (§2.4)."""
    found, top = _publications(publications), (dump_json(epoch), offset)
    return b'{"id":%d,"history":{"publications":[%s],"epoch":%s,"offset":%d}}' % (command_id, found, *top)


def presence_reply(command_id: int, members: Iterable[Member]) -> bytes:
    """The answer to presence: the ClientInfo of each member by its client id; the field always (§2.4)."""
    present = b",".join(dump_json(member.client) + b":" + member.info for member in members)
    return b'{"id":%d,"presence":{"presence":{%s}}}' % (command_id, present)


def presence_stats_reply(command_id: int, *, clients: int, users: int) -> bytes:
    """The answer to presence_stats: both numbers always, also when they are 0."""
    return b'{"id":%d,"presence_stats":{"num_clients":%d,"num_users":%d}}' % (command_id, clients, users)


def empty_reply(command_id: int, method: str) -> bytes:
    """The answer to a command whose success has nothing to say; the empty object is still needed."""
    return b'{"id":%d,"%s":{}}' % (command_id, method.encode())


def error_reply(command_id: int, error: LiveError) -> bytes:
    """The answer to a command that failed."""
    body: dict[str, object] = {"code": int(error.code), "message": error.message}
    if error.temporary:
        body["temporary"] = True
    return dump_json({"id": command_id, "error": body})


def client_info(user: str, client: str, more: object = None) -> bytes:
    """Who published or is present: `user` is the user's id ("" for an anonymous one), `client` the connection's.

    `more` is what the channel's handler tells of a member, as ``chan_info`` (§2.6); None: nothing.
    """
    info: dict[str, object] = {"user": user, "client": client}
    if more is not None:
        info["chan_info"] = more
    return dump_json(info)


def publication_push(
    channel: str, data: bytes, *, offset: int = 0, epoch: str = "", info: bytes | None = None
) -> bytes:
    """A publication on its way to a subscriber.

    `epoch` is told with offset 1 only, so that whoever subscribed to an empty channel learns it (§2.7).
    """
    body = publication_body(data, offset=offset, epoch=epoch if offset == 1 else "", info=info)
    # A channel's characters need no escaping (live.channel).
    return b'{"push":{"channel":"%s","pub":%s}}' % (channel.encode(), body)


def publication_body(data: bytes, *, offset: int = 0, epoch: str = "", info: bytes | None = None) -> bytes:
    """A publication as an object: in pushes, and in lists of them."""
    parts = [b'"data":' + data]
    if info is not None:
        parts.append(b'"info":' + info)
    if offset:
        parts.append(b'"offset":%d' % offset)
    if epoch:
        parts.append(b'"epoch":' + dump_json(epoch))
    return b"{" + b",".join(parts) + b"}"


def _publications(entries: Iterable[Publication]) -> bytes:
    return b",".join(publication_body(entry.data, offset=entry.offset, info=entry.info) for entry in entries)


def member_push(channel: str, info: bytes, *, joined: bool) -> bytes:
    """A client came (`joined`) or left; `info` is the JSON bytes of its ClientInfo (§2.6)."""
    what = b"join" if joined else b"leave"
    return b'{"push":{"channel":"%s","%s":{"info":%s}}}' % (channel.encode(), what, info)


def unsubscribe_push(channel: str, code: UnsubscribeCode, reason: str) -> bytes:
    """The server ends a subscription; from code 2500 on the client subscribes again by itself."""
    return dump_json({"push": {"channel": channel, "unsubscribe": {"code": int(code), "reason": reason}}})


def disconnect_push(code: DisconnectCode, reason: str) -> bytes:
    """The server is about to close; sent before the close frame, whose reason daphne drops (§0.1)."""
    return dump_json({"push": {"disconnect": {"code": int(code), "reason": reason}}})
