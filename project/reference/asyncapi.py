"""docs/reference/asyncapi.yaml: the WebSocket of clients and that of senders of metrics, as an AsyncAPI 3 document."""

from __future__ import annotations

from typing import Any

import yaml

import live
from live.asgi import PUSH_PATH, WEBSOCKET_PATH
from live.protocol.commands import Method
from project.reference.schemas import all_schemas, closed, offered, ref, title

HEAD = "# Written by `python -m project.reference` from the code, which is the place to change what it says.\n"

DESCRIPTION = """\
The Centrifuge client protocol, version 2, JSON flavour, as far as it is spoken here. A text message of a WebSocket
holds one or more of these messages, one a line. The operations are the server's: it receives commands and sends replies
and pushes. The protobuf flavour (subprotocol centrifuge-protobuf) has the same messages and fields in the layout of
https://github.com/centrifugal/protocol, and is not described here.
"""

WHO = "The session cookie of the handshake; without one, where LIVE['ALLOW_ANONYMOUS'] lets visitors connect."

CHANNEL = "grafana/broadcast/hall"
EXAMPLES: dict[Method, Any] = {
    Method.CONNECT: {"id": 1, "connect": {"name": "js"}},
    Method.SUBSCRIBE: {"id": 2, "subscribe": {"channel": CHANNEL}},
    Method.UNSUBSCRIBE: {"id": 3, "unsubscribe": {"channel": CHANNEL}},
    Method.PUBLISH: {"id": 4, "publish": {"channel": CHANNEL, "data": {"say": "hello"}}},
    Method.PRESENCE: {"id": 5, "presence": {"channel": CHANNEL}},
    Method.PRESENCE_STATS: {"id": 6, "presence_stats": {"channel": CHANNEL}},
    Method.HISTORY: {"id": 7, "history": {"channel": "stream/host/cpu", "limit": 100}},
}


class _Dumper(yaml.SafeDumper):
    """Without aliases, which not every tool reads."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


def asyncapi_yaml() -> str:
    """The document as text."""
    return HEAD + yaml.dump(document(), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def document() -> dict[str, Any]:
    """The document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "live",
            "version": live.__version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "site": {
                "host": "example.com",
                "protocol": "wss",
                "security": [{"$ref": "#/components/securitySchemes/session"}],
            }
        },
        "channels": {"client": _client(), "push": _push()},
        "operations": _operations(),
        "components": {
            "securitySchemes": {
                "session": {"type": "httpApiKey", "in": "cookie", "name": "sessionid", "description": WHO},
                "token": {"type": "http", "scheme": "bearer", "description": "A token of Django REST framework."},
            },
            "messages": _messages(),
            "schemas": all_schemas() | {"PushError": _push_error()},
        },
    }


def _names() -> dict[str, list[str]]:
    schemas = all_schemas()
    return {
        "commands": [f"{title(method)}Command" for method in offered()],
        "replies": [name for name in schemas if name.endswith("Reply") and name != "Reply"],
        "pushes": [name for name in schemas if name.endswith("Push") and name != "Push"],
    }


def _client() -> dict[str, Any]:
    names = [name for group in _names().values() for name in group]
    return {
        "address": f"/{WEBSOCKET_PATH}",
        "description": "One WebSocket a browser tab; all its channels on it.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in [*names, "Ping"]},
    }


def _push() -> dict[str, Any]:
    return {
        "address": f"/{PUSH_PATH}/{{stream_id}}",
        "description": "Metrics come in: each message one body of Influx line protocol.",
        "parameters": {"stream_id": {"description": "Letters, digits, _ and -."}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in ("Lines", "PushError")},
    }


def _operations() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for method in offered():
        found[method.value] = {
            "action": "receive",
            "channel": {"$ref": "#/channels/client"},
            "messages": [_message("client", f"{title(method)}Command")],
            "reply": {
                "channel": {"$ref": "#/channels/client"},
                "messages": [_message("client", f"{title(method)}Reply"), _message("client", "ErrorReply")],
            },
        }
    pushes = [_message("client", name) for name in _names()["pushes"]]
    send = {"action": "send", "channel": {"$ref": "#/channels/client"}}
    ping = [_message("client", "Ping")]
    found["push"] = send | {"messages": pushes}
    found["ping"] = send | {"messages": ping, "reply": {"channel": {"$ref": "#/channels/client"}, "messages": ping}}
    found["lines"] = {
        "action": "receive",
        "channel": {"$ref": "#/channels/push"},
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in ("token", "session")],
        "messages": [_message("push", "Lines")],
    }
    found["lineErrors"] = {
        "action": "send",
        "channel": {"$ref": "#/channels/push"},
        "messages": [_message("push", "PushError")],
    }
    return found


def _message(channel: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{channel}/messages/{name}"}


def _messages() -> dict[str, Any]:
    examples = {f"{title(method)}Command": EXAMPLES[method] for method in offered()}
    found: dict[str, Any] = {}
    for name in [*(name for group in _names().values() for name in group), "Ping"]:
        found[name] = {"name": name, "payload": ref(name)}
        if name in examples:
            found[name]["examples"] = [{"payload": examples[name]}]
    found["Lines"] = {
        "name": "Lines",
        "contentType": "text/plain",
        "payload": {"type": "string"},
        "examples": [{"payload": "weather,city=Oslo temperature=21.5"}],
    }
    found["PushError"] = {"name": "PushError", "payload": ref("PushError")}
    return found


def _push_error() -> dict[str, Any]:
    error = closed({"line": {"type": "integer"}, "reason": {"type": "string"}, "text": {"type": "string"}}, "reason")
    return {
        "type": "object",
        "properties": {"message": {"type": "string"}, "errors": {"type": "array", "items": error}},
        "description": "What was wrong with one body; the socket stays. Success is silent.",
    }
