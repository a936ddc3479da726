"""JSON Schemas of what goes over the WebSocket; what the server says is closed, so that a new field is noticed."""

from __future__ import annotations

from typing import Any

from live.channel import MAX_LENGTH
from live.exceptions import DisconnectCode, ErrorCode, UnsubscribeCode
from live.protocol.commands import _FIELD_TYPES, MAX_ID, Method
from project.reference.protocol import is_offered, read_fields

Schema = dict[str, Any]

ID: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": MAX_ID,
    "description": "Chosen by the client; the reply has it.",
}
CHANNEL: Schema = {
    "type": "string",
    "maxLength": MAX_LENGTH,
    "pattern": r"^[A-Za-z0-9_-]+/[A-Za-z0-9_-]+/[A-Za-z0-9_\-/=.]+$",
    "description": "scope/namespace/path",
}
ANY: Schema = {"description": "Any JSON."}
OFFSET: Schema = {"type": "integer", "minimum": 0, "description": "Place in the channel's history, counted from 1."}
EPOCH: Schema = {"type": "string", "description": "Names this life of the history; offsets of others mean nothing."}

_KINDS = {str: "string", int: "integer", bool: "boolean", dict: "object"}
_SAID = {
    "recover": "Ask for what was missed since `offset` and `epoch`.",
    "flag": "Bits; 2: answer error 112 in place of an unrecovered success. Others are ignored.",
    "type": "0; nothing else is offered.",
    "positioned": "A wish; the channel's handler decides.",
    "recoverable": "A wish; the channel's handler decides.",
    "join_leave": "A wish; the channel's handler decides.",
    "tf": "A filter by tags; refused with error 107.",
    "limit": "Publications wanted; 0: only the top position, -1: as many as there are.",
    "reverse": "The newest first.",
    "token": "Not looked at: the session says who connects.",
    "name": "Name of the client library.",
    "version": "Version of the client library.",
}
_FIXED = {
    "channel": {"$ref": "#/components/schemas/Channel"},
    "data": {"$ref": "#/components/schemas/Any"},
    "offset": {"$ref": "#/components/schemas/Offset"},
    "epoch": {"$ref": "#/components/schemas/Epoch"},
    "since": {"$ref": "#/components/schemas/Position"},
}


def ref(name: str) -> Schema:
    """The schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def closed(properties: Schema, *required: str) -> Schema:
    """An object with these fields and no others."""
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": list(required)} if required else {})


def command_schema(method: Method) -> Schema:
    """What a client sends for `method`; fields that are not looked at may be there too."""
    required = ["channel"] if "channel" in read_fields(method) else []
    if method is Method.PUBLISH:
        required.append("data")
    properties = {field: _field(field) for field in read_fields(method)}
    body: Schema = {"type": "object", "properties": properties} | ({"required": required} if required else {})
    return {"type": "object", "properties": {"id": ref("Id"), method.value: body}, "required": ["id", method.value]}


def _field(name: str) -> Schema:
    if name in _FIXED:
        return dict(_FIXED[name])
    said = {"description": _SAID[name]} if name in _SAID else {}
    return {"type": _KINDS[_FIELD_TYPES[name]], **said}


def offered() -> list[Method]:
    """The commands that the server carries out."""
    return [method for method in Method if is_offered(method)]


def title(method: Method) -> str:
    """The method as part of a schema's name."""
    return method.value.title().replace("_", "")


def _code(codes: type[ErrorCode] | type[DisconnectCode] | type[UnsubscribeCode], more: str = "") -> Schema:
    names = ", ".join(f"{int(each)} {each.name.lower().replace('_', ' ')}" for each in codes)
    return {"type": "integer", "description": f"{names}{more}"}


def _results() -> dict[str, Schema]:
    flags = ("positioned", "recoverable", "was_recovering", "recovered")
    position = {"epoch": ref("Epoch"), "offset": ref("Offset")}
    publications = {"publications": {"type": "array", "items": ref("Publication")}}
    ping = {"type": "integer", "description": "Seconds between pings; without it there are none."}
    numbers = {name: {"type": "integer", "minimum": 0} for name in ("num_clients", "num_users")}
    members = {"type": "object", "additionalProperties": ref("ClientInfo")}
    return {
        "connect": closed(
            {"client": {"type": "string"}, "version": {"type": "string"}, "ping": ping, "pong": {"type": "boolean"}},
            "client",
            "version",
        ),
        "subscribe": closed({name: {"const": True} for name in flags} | position | publications | {"data": ref("Any")}),
        "unsubscribe": closed({}),
        "publish": closed({}),
        "presence": closed({"presence": members}, "presence"),
        "presence_stats": closed(numbers, *numbers),
        "history": closed(publications | position, "publications", "epoch", "offset"),
    }


def _pushes() -> dict[str, Schema]:
    reason = {"reason": {"type": "string"}}
    ended = closed(
        {"code": _code(UnsubscribeCode, "; from 2500 on clients subscribe again")} | reason, "code", "reason"
    )
    closes = closed({"code": _code(DisconnectCode)} | reason, "code", "reason")
    info = closed({"info": ref("ClientInfo")}, "info")
    in_channel = {"pub": ref("Publication"), "join": info, "leave": info, "unsubscribe": ended}
    found = {
        name: closed({"push": closed({"channel": ref("Channel"), name: body}, "channel", name)}, "push")
        for name, body in in_channel.items()
    }
    return found | {"disconnect": closed({"push": closed({"disconnect": closes}, "disconnect")}, "push")}


def all_schemas() -> dict[str, Schema]:
    """The schemas by name; `Reply` and `Push` are what the server may say, `Command` what a client may."""
    commands = {f"{title(method)}Command": command_schema(method) for method in offered()}
    results = _results()
    replies = {
        f"{title(method)}Reply": closed({"id": ref("Id"), method.value: results[method]}, "id", method.value)
        for method in offered()
    }
    error = {"code": _code(ErrorCode), "message": {"type": "string"}, "temporary": {"const": True}}
    replies["ErrorReply"] = closed({"id": ref("Id"), "error": closed(error, "code", "message")}, "id", "error")
    pushes = {f"{name.title()}Push": schema for name, schema in _pushes().items()}
    publication = {"data": ref("Any"), "info": ref("ClientInfo"), "offset": ref("Offset"), "epoch": ref("Epoch")}
    user = {"type": "string", "description": 'Primary key of the user; "" for an anonymous one.'}
    info = {"user": user, "client": {"type": "string"}, "chan_info": ref("Any")}
    return {
        "Id": ID,
        "Channel": CHANNEL,
        "Any": ANY,
        "Offset": OFFSET,
        "Epoch": EPOCH,
        "Position": {"type": "object", "properties": {"offset": ref("Offset"), "epoch": ref("Epoch")}},
        "Publication": closed(publication, "data"),
        "ClientInfo": closed(info, "user", "client"),
        "Ping": closed({})
        | {"maxProperties": 0, "description": "A ping of the server, and the client's answer to it."},
        **commands,
        **replies,
        **pushes,
        "Command": {"anyOf": [ref(name) for name in commands]},
        "Reply": {"oneOf": [ref(name) for name in replies]},
        "Push": {"oneOf": [ref(name) for name in pushes]},
        "FromServer": {"oneOf": [ref("Ping"), ref("Reply"), ref("Push")]},
    }
