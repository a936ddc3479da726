"""docs/reference/protocol.md: which part of the Centrifuge protocol is spoken, asked of the code that reads it."""

from __future__ import annotations

from dataclasses import fields

from live.exceptions import DisconnectCode, ErrorCode
from live.protocol import Malformed, Pong, decode
from live.protocol.commands import Command, Method, Unavailable
from live.protocol.protobuf import MAX_FIELDS
from project.reference.text import choices, code, page, table

INTRO = """
The wire is the Centrifuge client protocol, version 2, as JSON over WebSocket at `/api/live/ws`: text messages of one or
more JSON objects, one a line. [asyncapi.yaml](asyncapi.yaml) has every message with its schema, for tools that read
[AsyncAPI](https://www.asyncapi.com/) 3; [codes](codes.md) has what goes wrong. The official clients for JavaScript,
Python and Go (`NewJsonClient`) work unchanged.

Protobuf is spoken too, [below](#protobuf): those for Dart, Swift and Java speak nothing else.
"""

WHAT = {
    Method.CONNECT: "always first. The session cookie says who it is; `token` and `data` are not looked at",
    Method.SUBSCRIBE: "the handler decides; the answer carries the last value or what was missed, and the position",
    Method.UNSUBSCRIBE: "always succeeds",
    Method.PUBLISH: "the handler decides, and may change the data",
    Method.PRESENCE: "where the handler has `presence`",
    Method.PRESENCE_STATS: "where the handler has `presence`",
    Method.HISTORY: "where the handler has `allow_history`; at most 300 publications or 512 KiB a reply",
    Method.RPC: "a Django view does what this would",
    Method.SEND: "a Django view does what this would",
    Method.REFRESH: "there are no tokens that expire; the session is looked at instead",
    Method.SUB_REFRESH: "as `refresh`",
}

PUSHES = """
## Pushes

| push | sent |
|---|---|
| `pub` | a publication; `offset` where there is a history, `epoch` at offset 1, `info` where a client published it |
| `join`, `leave` | to every subscriber of a channel whose handler has `join_leave` |
| `unsubscribe` | the server ended the subscription: [codes](codes.md#unsubscribes) |
| `disconnect` | before the connection is closed: [codes](codes.md#disconnects) |
| `subscribe`, `message`, `connect`, `refresh` | never: there are no subscriptions by the server and no tokens |

The empty object `{}` is a ping; the client answers with the same. How often is said in the reply to `connect`
(`ping`, seconds; `LIVE["PING_INTERVAL"]`), and the answer is due within `LIVE["PONG_TIMEOUT"]`. A client with
`cf_ws_frame_ping_pong=true` in the address, for tools that know nothing of this, gets none: the server's own pings of
the WebSocket have to do, which daphne and uvicorn send.
"""

FEATURES = """
## Features of the protocol

| feature | here |
|---|---|
| several commands in a message, and several replies | yes |
| recovery (`recover`, `offset`, `epoch`), positions | yes, where there is a history and the handler has `recover` |
| error 112 in place of an unrecovered answer (bit 2 of `flag`) | yes |
| join and leave, presence | yes, where the handler says so |
| history forward, in reverse, since a position, with a limit | yes, where the handler says so |
| initial data in the reply to `subscribe` | yes |
| tokens for connections or subscriptions (JWT) | no: session and handlers decide |
| subscriptions by the server | no |
| protobuf | yes, for clients that ask for it |
| delta compression, channel ids in pushes | no: offers that nobody has to take are ignored |
| filters by tags (`tf`) | no: error 107 |
| subscriptions of another `type` than 0 (map, shared poll) | no: error 107 |
| SSE, HTTP streaming, SockJS, WebTransport | no |
"""

PROTOBUF = """
## Protobuf

A client speaks protobuf when it offers the subprotocol `centrifuge-protobuf` and not `centrifuge-json`, or has
`format=protobuf` or `cf_protocol=protobuf` in the address. Its messages are binary, and text messages are refused
(3506); all else is the same: commands, fields, codes, limits. A ping and its answer are a message of length 0. What is
`bytes` there (`data`, `chan_info`) holds JSON: a program encodes what it sends and decodes what it gets, and data that
is no JSON ends the connection with 3501. A command has at most {MAX_FIELDS} fields.

JSON is the faster way: a publication is made for it, and is transcoded for the clients of a process that speak
protobuf, once however many they are. Both flavours are tested with the official clients for JavaScript and Python.
Those for Dart, Swift and Java were not run against this server.
"""


def protocol_page() -> str:
    """The page."""
    head = ["command", "offered", "fields", "what"]
    rows = [[code(method), *_offer(method), WHAT[method]] for method in Method]
    protobuf = PROTOBUF.format(MAX_FIELDS=MAX_FIELDS)
    return page("The WebSocket protocol", INTRO, "## Commands", table(head, rows), PUSHES, FEATURES, protobuf)


def read_fields(method: Method) -> list[str]:
    """The fields of the command's object that the server looks at."""
    command = _command(method)
    own = {field.name for field in fields(Command)} | {"has_data", "method"}
    return [field.name for field in fields(command) if field.name not in own]


def _command(method: Method) -> Command:
    (command,) = decode(f'{{"id": 1, "{method}": {{}}}}')
    if isinstance(command, (Malformed, Pong)):
        raise TypeError(f"an empty {method} should be a command, not {command!r}")
    return command


def is_offered(method: Method) -> bool:
    """Whether the server carries the command out."""
    return not isinstance(_command(method), Unavailable)


def _offer(method: Method) -> tuple[str, str]:
    if is_offered(method):
        return "yes", choices(read_fields(method))
    no = f"no: closed with {int(DisconnectCode.NOT_AVAILABLE)}" if method is Method.SEND else ""
    return no or f"no: error {int(ErrorCode.NOT_AVAILABLE)}", ""
