"""docs/reference/asyncapi.yaml describes what goes over the WebSockets: what the code reads and writes fits into it."""

import inspect
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

import live
from live.asgi import live_application
from live.exceptions import BadData, DisconnectCode, EngineUnavailable, UnsubscribeCode
from live.protocol import Malformed, Unavailable, decode, replies
from live.protocol.commands import Method
from live.store import Member, Publication
from live.testing import CommandFailed, LiveCommunicator
from project.reference.asyncapi import document
from project.reference.schemas import offered

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = yaml.safe_load((ROOT / "docs/reference/asyncapi.yaml").read_text())
CHANNEL = "stream/host/cpu"
HALL = "grafana/broadcast/hall"
MESSAGES = ("websocket.receive", "websocket.send")
INFO = replies.client_info("7", "c", {"name": "Ann"})
PUBLICATIONS = [Publication(b'{"a":1}', 8, "abc"), Publication(b"null", 9, "abc", INFO)]
RESULT = replies.SubscribeResult(b"[1]", 9, "abc", True, True, True, True, PUBLICATIONS)

TOLD = {
    "connect_reply": [
        replies.connect_reply(1, client="c", version="v", ping=25, pong=True),
        replies.connect_reply(1, client="c", version="v", ping=0, pong=False),
    ],
    "subscribe_reply": [replies.subscribe_reply(2, RESULT), replies.subscribe_reply(2, replies.SubscribeResult())],
    "history_reply": [
        replies.history_reply(3, PUBLICATIONS, offset=9, epoch="abc"),
        replies.history_reply(3, [], offset=0, epoch=""),
    ],
    "presence_reply": [replies.presence_reply(4, [Member("c", "7", INFO)]), replies.presence_reply(4, [])],
    "presence_stats_reply": [replies.presence_stats_reply(5, clients=2, users=1)],
    "empty_reply": [replies.empty_reply(6, "publish"), replies.empty_reply(6, "unsubscribe")],
    "error_reply": [replies.error_reply(7, BadData("no")), replies.error_reply(7, EngineUnavailable())],
    "publication_push": [
        replies.publication_push(CHANNEL, b"{}"),
        replies.publication_push(CHANNEL, b'"x"', offset=1, epoch="abc", info=INFO),
    ],
    "member_push": [replies.member_push(CHANNEL, INFO, joined=joined) for joined in (True, False)],
    "unsubscribe_push": [replies.unsubscribe_push(CHANNEL, UnsubscribeCode.SERVER, "gone")],
    "disconnect_push": [replies.disconnect_push(DisconnectCode.SHUTDOWN, "shutdown")],
}


def check(name, value):
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def test_the_file_is_what_the_code_makes():
    assert document() == DOCUMENT


def test_everything_that_is_told_is_tried():
    makers = {name for name, _ in inspect.getmembers(replies, inspect.isfunction) if name.endswith(("_reply", "_push"))}
    assert makers == set(TOLD)


@pytest.mark.parametrize("maker", TOLD)
def test_what_clients_are_told_is_described(maker):
    for message in TOLD[maker]:
        check("FromServer", json.loads(message))


def test_a_ping_is_described():
    check("FromServer", json.loads(replies.PING))


@pytest.mark.parametrize(
    "message",
    [
        {"id": 1, "connect": {"client": "c", "version": "v", "session": "new"}},
        {"id": 1, "publish": {}, "error": {"code": 100, "message": "x"}},
        {"id": 1, "error": {"code": 100}},
        {"push": {"channel": "no channel", "pub": {"data": 1}}},
        {"push": {"channel": CHANNEL, "message": {"data": 1}}},
    ],
)
def test_what_is_not_told_is_not_described(message):
    with pytest.raises(jsonschema.ValidationError):
        check("FromServer", message)


def test_the_examples_are_commands_that_are_understood():
    for method in Method:
        name = f"{method.title().replace('_', '')}Command"
        if method not in offered():
            assert name not in DOCUMENT["components"]["messages"]
            continue
        (example,) = DOCUMENT["components"]["messages"][name]["examples"]
        check(name, example["payload"])
        check("Command", example["payload"])
        (command,) = decode(json.dumps(example["payload"]))
        assert not isinstance(command, (Malformed, Unavailable))


async def test_a_whole_visit_is_described(live_node):
    """As it goes over the wire: what a client sends, and what it is told."""
    sent, told = [], []
    application = live_application()

    async def listening(scope, receive, send):
        async def receive_and_keep():
            event = await receive()
            sent.extend(lines(event))
            return event

        async def keep_and_send(event):
            told.extend(lines(event))
            await send(event)

        await application(scope, receive_and_keep, keep_and_send)

    async with LiveCommunicator(listening) as client:
        await live.apublish(CHANNEL, {"x": 1})
        await client.subscribe(CHANNEL)
        await client.subscribe(HALL)
        await live.apublish_many([(CHANNEL, {"x": 2}), (HALL, "hello")])
        assert len(await client.publications()) == 2
        await client.history(CHANNEL)
        for refused in (client.publish(HALL, "no"), client.presence(HALL), client.subscribe("nobody/is/there")):
            with pytest.raises(CommandFailed):
                await refused
        await client.unsubscribe(HALL)
        # What is no command ends the connection.
        await client.send({"id": 99, "nothing": {}})
        assert (await client.disconnected()).code == DisconnectCode.BAD_REQUEST
    assert {name for message in told for name in message} >= {"connect", "subscribe", "history", "error", "push"}
    for message in told:
        check("FromServer", message)
    assert len(sent) > 7
    for message in sent[:-1]:
        check("Command", message)


def lines(event):
    """The messages in a WebSocket event of ASGI."""
    raw = event.get("text") or (event.get("bytes") or b"").decode()
    return [json.loads(line) for line in raw.split("\n")] if event["type"] in MESSAGES else []


def test_references_lead_somewhere_and_schemas_are_schemas():
    def walk(value):
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            for each in value.values():
                yield from walk(each)
        elif isinstance(value, list):
            for each in value:
                yield from walk(each)

    references = set(walk(DOCUMENT))
    assert references
    for reference in references:
        found = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_each_operation_is_about_messages_of_its_channel():
    assert DOCUMENT["asyncapi"] == "3.0.0"
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in {"send", "receive"}
        channel = operation["channel"]["$ref"]
        for message in operation["messages"] + operation.get("reply", {}).get("messages", []):
            assert message["$ref"].startswith(f"{channel}/messages/")
