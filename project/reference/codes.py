"""docs/reference/codes.md: the codes of errors, disconnects and unsubscribes, and the exceptions of Python code."""

from __future__ import annotations

import inspect

from live import exceptions, push_consumer
from live.api.base import _STATUS
from live.exceptions import DisconnectCode, ErrorCode, LiveError, UnsubscribeCode
from project.reference.text import attributes, code, line, page, summary, table

ERRORS = """
## Errors in replies

A command that fails is answered `{"id": 7, "error": {"code": 403, "message": "Forbidden"}}`. With `"temporary": true`
official clients subscribe again by themselves, later and later; any other error ends the subscription it was for.

Over HTTP the same errors have the status of the last column and `{"message": "..."}` as their body.
"""

NOT_SENT = "a code of the protocol that this server does not send"

DISCONNECTS = """
## Disconnects

The connection is closed with the code, after a push `{"push": {"disconnect": {"code": 3001, "reason": "shutdown"}}}`
with the same: servers do not all pass the reason of a close on. Clients come back by themselves after every code but
those of 3500 to 3999 and of 4500 to 4999, and 1009.
"""

WHEN = {
    DisconnectCode.CONNECTION_CLOSED: "never sent: the peer went away",
    DisconnectCode.SHUTDOWN: "the process drains and ends",
    DisconnectCode.INTERNAL: "reserved for a failure of the server",
    DisconnectCode.SLOW: 'more than `LIVE["CLIENT_QUEUE_MAX_BYTES"]` wait for the client',
    DisconnectCode.WRITE_ERROR: "writing to the socket failed",
    DisconnectCode.INSUFFICIENT_STATE: "reserved; a gap in a channel ends its subscription with 2500",
    DisconnectCode.FORCE_RECONNECT: "a session's end, a new password, a deactivated user, or an operator: come back",
    DisconnectCode.NO_PONG: 'a ping was not answered within `LIVE["PONG_TIMEOUT"]`',
    DisconnectCode.TOO_MANY_REQUESTS: (
        'faster than `LIVE["CLIENT_COMMANDS_PER_SECOND"]`, or more than `LIVE["CLIENT_PENDING_MAX_BYTES"]` of commands'
    ),
    DisconnectCode.BAD_REQUEST: "the protocol was broken, or nobody is logged in; the reason says which",
    DisconnectCode.FORCE_DISCONNECT: "`live.disconnect_user`, or an operator: do not come back",
    DisconnectCode.INAPPROPRIATE_PROTOCOL: "a binary message, or a text message of a client that speaks protobuf",
    DisconnectCode.NOT_AVAILABLE: "a `send` command, which has no reply to say no with",
    DisconnectCode.CONNECTION_LIMIT: 'the process has `LIVE["MAX_CONNECTIONS"]` clients; the client tries again',
    DisconnectCode.CONNECT_TIMEOUT: 'no connect command within `LIVE["CONNECT_TIMEOUT"]`',
    DisconnectCode.NO_SUCH_PATH: "no WebSocket is served at this path",
    DisconnectCode.MESSAGE_TOO_BIG: 'a message is larger than `LIVE["MAX_MESSAGE_SIZE"]`',
}

UNSUBSCRIBES = """
## Unsubscribes

The server ends one subscription with `{"push": {"channel": "...", "unsubscribe": {"code": 2000, "reason": "..."}}}`.
"""

UNSUBSCRIBED_WHEN = {
    UnsubscribeCode.SERVER: ("no", "the right was taken away, `live.unsubscribe_user`, or the data source was deleted"),
    UnsubscribeCode.INSUFFICIENT_STATE: ("yes", "publications are missing that the history cannot give any more"),
}

PUSHES = """
## Closes of push WebSockets

A socket that metrics come in by ([Getting metrics in](../ingest.md)) speaks no protocol above WebSocket;
it is closed with:
"""

TOO_BIG = "The server itself closes with 1009 what sends larger messages than it takes (daphne: 1 MiB)."

EXCEPTIONS = """
## Exceptions

What Python code catches and handlers raise. All derive from `live.LiveError`; those named without a module are names of
`live`, [part of the API](python.md).
"""


def codes_page() -> str:
    """The page."""
    parts = [ERRORS, _errors(), DISCONNECTS, _disconnects(), UNSUBSCRIBES, _unsubscribes()]
    return page("Codes and errors", *parts, PUSHES, _pushes(), TOO_BIG, EXCEPTIONS, _exceptions())


def _classes() -> list[type[LiveError]]:
    found = [each for _, each in inspect.getmembers(exceptions, inspect.isclass) if issubclass(each, LiveError)]
    return sorted(found, key=lambda each: (each.code, len(each.__mro__), each.__name__))


def _errors() -> str:
    return table(["code", "name", "when", "HTTP"], [_error(error) for error in ErrorCode])


def _error(error: ErrorCode) -> list[str]:
    raised = [each for each in _classes() if each.code is error]
    if error is ErrorCode.INTERNAL:
        when = f"a handler failed (the log says how), or {_said(raised[1])}; on the WebSocket always with `temporary`"
        return [str(int(error)), code(error.name), when, "500; 503 where trying again makes sense"]
    if not raised:
        return [str(int(error)), code(error.name), NOT_SENT, ""]
    return [str(int(error)), code(error.name), _said(raised[0]), str(_STATUS.get(error, ""))]


def _said(error: type[LiveError]) -> str:
    text = summary(error.__doc__).rstrip(".")
    return text[0].lower() + text[1:]


def _disconnects() -> str:
    head = ["code", "name", "reason", "clients come back", "when"]
    rows = [
        [str(int(each)), code(each.name), code(each.reason), "yes" if each.reconnect else "no", WHEN[each]]
        for each in DisconnectCode
    ]
    return table(head, rows)


def _unsubscribes() -> str:
    rows = [[str(int(each)), code(each.name), *UNSUBSCRIBED_WHEN[each]] for each in UnsubscribeCode]
    return table(["code", "name", "clients subscribe again", "when"], rows)


def _pushes() -> str:
    said = attributes(push_consumer)
    codes = {name: getattr(push_consumer, name) for name, (_, text) in said.items() if text.startswith("Close code: ")}
    ordered = sorted(codes, key=lambda name: codes[name])
    return table(
        ["code", "when"], [[str(codes[name]), line(said[name][1]).removeprefix("Close code: ")] for name in ordered]
    )


def _exceptions() -> str:
    return table(
        ["exception", "code", "temporary", "what it means"],
        [
            [
                code(_name(each)),
                str(int(each.code)),
                "yes" if each.temporary else "",
                line(each.__doc__),
            ]
            for each in _classes()
        ],
    )


def _name(error: type[LiveError]) -> str:
    import live

    return error.__name__ if error.__name__ in live.__all__ else f"live.exceptions.{error.__name__}"
