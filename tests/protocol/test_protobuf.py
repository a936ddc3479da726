"""The protobuf flavour against the classes of the official Python client: client-protocol §1.2, without a loop.

Two fields are newer than those classes, and are looked at one by one: the type of a subscribe, a publication's epoch.
"""

import json
from types import SimpleNamespace

import pytest
from centrifuge.protocol.client_pb2 import Command as Theirs
from centrifuge.protocol.client_pb2 import Reply
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st

from live.exceptions import BadData, DisconnectCode, Forbidden, LiveError, UnsubscribeCode
from live.protocol import Command, Connect, History, Malformed, Pong, Publish, Subscribe, decode, protobuf, replies
from live.protocol.commands import _FIELD_TYPES, Method
from live.protocol.fields import COMMAND, delimited, varint
from live.protocol.json import dump_json, load_json
from live.protocol.protobuf import MAX_FIELDS, transcode

PAYLOADS = ("data", "conn_info", "chan_info")


def theirs(*commands):
    """One message of these commands, given as in JSON, as the official client would send it."""
    found = b""
    for command in commands:
        message = Theirs()
        for name, value in command.items():
            if name == "id":
                message.id = value
                continue
            body = dict(value)
            data = body.pop("data", ...)
            ParseDict(body, getattr(message, name))
            getattr(message, name).SetInParent()
            if data is not ...:
                getattr(message, name).data = json.dumps(data).encode()
        found += delimited(message.SerializeToString())
    return found


def read(data):
    """The replies in a message, as in JSON."""
    found = []
    while data:
        size = shift = at = 0
        while True:
            byte = data[at]
            size |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
        assert at + size <= len(data)
        reply = Reply.FromString(data[at : at + size])
        found.append(plain(reply))
        data = data[at + size :]
    return found


def plain(message):
    """A message of theirs, as JSON has it: without zeros, JSON inside as it is, 64 bits as a number."""
    found = {}
    for field, value in message.ListFields():
        entry = field.message_type and field.message_type.GetOptions().map_entry
        if entry:
            found[field.name] = {key: plain(value[key]) for key in value}
        elif isinstance(value, bytes):
            found[field.name] = json.loads(value)
        elif field.message_type and not hasattr(value, "ListFields"):
            found[field.name] = [plain(each) for each in value]
        else:
            found[field.name] = plain(value) if field.message_type else value
    return found


def without_zeros(value):
    """As `plain` gives it: JSON says some zeros and empty lists too; what is in a payload is let be."""
    if not isinstance(value, dict):
        return [without_zeros(each) for each in value] if isinstance(value, list) else value
    if value == {"presence": {}}:
        return {}
    return {
        name: each if name in PAYLOADS else without_zeros(each)
        for name, each in value.items()
        if name in PAYLOADS or isinstance(each, dict) or each
    }


def one(message):
    (command,) = protobuf.decode(message)
    return command


def field(number, value):
    """One field, with the layout that its value has."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + delimited(value)


def command(*fields):
    return delimited(b"".join(fields))


FIELDS_OF = {
    Method.CONNECT: ("token", "name", "version"),
    Method.SUBSCRIBE: (
        "channel",
        "recover",
        "offset",
        "epoch",
        "flag",
        "positioned",
        "recoverable",
        "join_leave",
    ),
    Method.HISTORY: ("channel", "limit", "since", "reverse"),
}
VALUES = {
    "since": st.fixed_dictionaries({}, optional={"offset": st.integers(0, 2**64 - 1), "epoch": st.text(max_size=5)}),
    "offset": st.integers(0, 2**64 - 1),
    "flag": st.integers(-(2**63), 2**63 - 1),
    "limit": st.integers(-(2**31), 2**31 - 1),
}
payloads = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
texts = st.text(max_size=20)
ids = st.integers(1, 2**32 - 1)


@st.composite
def commands(draw):
    """A command as in JSON, as the official clients may send it."""
    method = draw(st.sampled_from(Method))
    names = FIELDS_OF.get(method, () if method in ("rpc", "send", "refresh", "sub_refresh") else ("channel",))
    kinds = {str: texts, bool: st.booleans()}
    body = {
        name: draw(VALUES[name] if name in VALUES else kinds[_FIELD_TYPES[name]])
        for name in names
        if draw(st.booleans())
    }
    if method in ("connect", "subscribe", "publish") and draw(st.booleans()):
        body["data"] = draw(payloads)
    return {method.value: body} | ({} if method == "send" else {"id": draw(ids)})


@given(st.lists(commands(), min_size=1, max_size=4))
def test_commands_mean_what_they_mean_in_json(sent):
    text = "\n".join(map(json.dumps, sent))
    assert list(protobuf.decode(theirs(*sent))) == list(decode(text))


def test_several_commands_come_in_one_message_in_their_order():
    message = theirs({"id": 1, "connect": {"name": "dart"}}, {"id": 2, "subscribe": {"channel": "a/b/c", "flag": 1}})
    assert list(protobuf.decode(message + b"\x00")) == [
        Connect(1, name="dart"),
        Subscribe(2, "a/b/c", flag=1),
        Pong(),
    ]


def test_a_field_that_comes_twice_takes_the_place_of_the_first_and_messages_are_joined():
    since = field(8, field(1, 1) + field(1, 7)) + field(8, field(2, b"e"))
    message = command(field(1, 9), field(10, field(1, b"a/b/c")), field(1, 3), field(10, since))
    assert one(message) == History(3, "a/b/c", since=(7, "e"))


def test_what_is_not_known_is_skipped_whatever_its_layout():
    unknown = (
        field(999, 2**64 - 1) + field(98, b"\xff") + varint(97 << 3 | 1) + b"\x00" * 8 + varint(96 << 3 | 5) + b"abcd"
    )
    assert one(command(unknown, field(1, 3), field(7, unknown + field(1, b"a/b/c")))) == Publish(3, "a/b/c")


def test_no_bytes_are_no_data_and_null_is():
    assert one(command(field(1, 3), field(7, field(2, b"")))) == Publish(3, "")
    assert one(command(field(1, 3), field(7, field(2, b"1") + field(2, b"")))) == Publish(3, "")
    assert one(command(field(1, 3), field(7, field(2, b"null")))) == Publish(3, "", None, has_data=True)
    assert one(command(field(1, 3), field(5, field(8, b"")))) == Subscribe(3, "")


SUBSCRIBE = field(1, 3)
INVALID = {
    "empty message": (b"", "empty message"),
    "no length": (b"\x80", "invalid protobuf"),
    "cut short": (b"\x05\x08\x01", "invalid protobuf"),
    "cut inside a field": (command(field(1, 3), b"\x2a\x05ab"), "invalid protobuf"),
    "cut inside a number": (command(b"\x08\x80"), "invalid protobuf"),
    "cut inside eight bytes": (command(varint(97 << 3 | 1) + b"1234567"), "invalid protobuf"),
    "cut after a tag": (command(b"\x08"), "invalid protobuf"),
    "a length of 2**63": (command(field(1, 3), b"\x2a" + varint(2**63)), "invalid protobuf"),
    "a message of 2**64 - 1": (varint(2**64 - 1), "invalid protobuf"),
    "a number of eleven bytes": (command(b"\x08" + b"\x80" * 10 + b"\x00"), "invalid protobuf"),
    "a number of 65 bits": (command(b"\x08" + b"\xff" * 9 + b"\x02"), "invalid protobuf"),
    "a group": (command(field(1, 3), b"\x2b\x2c"), "invalid protobuf"),
    "a layout of another time": (command(b"\x0e"), "invalid protobuf"),
    "field 0": (command(b"\x00\x00"), "invalid protobuf"),
    "field 2**29": (command(varint(2**29 << 3) + b"\x00"), "invalid protobuf"),
    "no command": (command(field(1, 3)), "unknown command"),
    "ping command": (command(field(1, 3), field(11, b"")), "unknown command"),
    "what nobody knows": (command(field(99, 1)), "unknown command"),
    "id 0": (command(field(1, 0), field(13, b"")), "id missing"),
    "no id": (command(field(4, b"")), "id missing"),
    "a large id": (command(field(1, 2**32), field(4, b"")), "id must be a whole number from 1 to 4294967295"),
    "an id of text": (command(field(1, b"3"), field(4, b"")), "id must be a number"),
    "a number for a command": (command(SUBSCRIBE, field(5, 1)), "subscribe must be an object"),
    "a number for a text": (command(SUBSCRIBE, field(5, field(1, 1))), "subscribe: channel must be a text"),
    "a text for a number": (command(SUBSCRIBE, field(5, field(7, b"7"))), "subscribe: offset must be a number"),
    "a text for a flag": (command(SUBSCRIBE, field(5, field(3, b"1"))), "subscribe: recover must be true or false"),
    "eight bytes for a number": (command(varint(1 << 3 | 1) + b"\x00" * 8), "id must be a number"),
    "no UTF-8": (command(SUBSCRIBE, field(5, field(1, b"\xff"))), "subscribe: channel must be a text"),
    "no JSON": (command(SUBSCRIBE, field(7, field(2, b"hello"))), "publish: data must be JSON"),
    "deep JSON": (command(SUBSCRIBE, field(7, field(2, b"[" * 10_000))), "publish: data must be JSON"),
    "a number for since": (command(SUBSCRIBE, field(10, field(8, 1))), "history: since must be an object"),
    "a number inside since": (command(SUBSCRIBE, field(10, field(8, field(2, 1)))), "history: epoch must be a text"),
    "many fields": (command(SUBSCRIBE, field(99, 1) * MAX_FIELDS), "too many fields"),
    "many fields inside": (command(SUBSCRIBE, field(5, field(99, 1) * MAX_FIELDS)), "too many fields"),
    "many fields in many": (command(SUBSCRIBE, field(5, field(99, 1) * 9) * (MAX_FIELDS // 10)), "too many fields"),
}


@pytest.mark.parametrize("case", INVALID)
def test_what_is_wrong_with_a_command(case):
    message, reason = INVALID[case]
    assert one(message) == Malformed(reason)


def test_as_many_fields_as_may_be():
    fields = field(99, 1) * (MAX_FIELDS - 2)
    assert one(command(field(1, 3), field(13, b""), fields)).id == 3


def test_text_belongs_to_another_flavour():
    assert one('{"id":1,"connect":{}}') == Malformed("text message", DisconnectCode.INAPPROPRIATE_PROTOCOL)


def test_what_comes_before_a_violation_still_counts_and_what_comes_after_does_not():
    first = theirs({"id": 1, "connect": {}})
    assert list(protobuf.decode(first + command(field(99, 1)) + first)) == [Connect(1), Malformed("unknown command")]


def hostile_fields(table):
    """Bytes that look like a message, more or less."""
    inside = [st.binary(max_size=8), st.integers(0, 2**64 - 1)]
    inside += [hostile_fields(kind) for _, kind in table.values() if isinstance(kind, dict)]
    pair = st.builds(field, st.sampled_from([*table, 99]), st.one_of(inside))
    return st.lists(pair | st.binary(max_size=3), max_size=4).map(b"".join)


@given(st.binary() | st.lists(hostile_fields(COMMAND).map(delimited), min_size=1, max_size=3).map(b"".join) | st.text())
def test_nothing_a_client_sends_raises(message):
    found = list(protobuf.decode(message))
    assert found
    assert all(isinstance(each, (Command, Pong, Malformed)) for each in found)
    assert not any(isinstance(each, Malformed) for each in found[:-1])


def publication(data, offset, info):
    return SimpleNamespace(data=dump_json(data), offset=offset, info=info)


offsets = st.integers(0, 2**64 - 1)
infos = st.builds(replies.client_info, texts, texts, payloads)
publications = st.lists(st.builds(publication, payloads, offsets, st.none() | infos), max_size=3)
members = st.lists(
    st.builds(SimpleNamespace, client=st.uuids().map(str), info=infos), max_size=3, unique_by=lambda each: each.client
)
results = st.builds(
    replies.SubscribeResult,
    st.none() | payloads.map(dump_json),
    offsets,
    texts,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    publications,
)
channels = st.just("stream/a/b")
EVERY_REPLY = st.one_of(
    st.builds(replies.connect_reply, ids, client=texts, version=texts, ping=st.integers(0, 99), pong=st.booleans()),
    st.builds(replies.subscribe_reply, ids, results),
    st.builds(replies.history_reply, ids, publications, offset=offsets, epoch=texts),
    st.builds(replies.presence_reply, ids, members),
    st.builds(replies.presence_stats_reply, ids, clients=st.integers(0, 9), users=st.integers(0, 9)),
    st.builds(replies.empty_reply, ids, st.sampled_from(["unsubscribe", "publish"])),
    st.builds(replies.error_reply, ids, st.sampled_from([Forbidden(), LiveError()])),
    st.builds(
        replies.publication_push,
        channels,
        payloads.map(dump_json),
        offset=offsets,
        epoch=texts,
        info=st.none() | infos,
    ),
    st.builds(replies.member_push, channels, infos, joined=st.booleans()),
    st.builds(replies.unsubscribe_push, channels, st.sampled_from(UnsubscribeCode), texts),
    st.builds(replies.disconnect_push, st.sampled_from(DisconnectCode), texts),
)


@given(EVERY_REPLY)
def test_every_reply_says_what_it_says_in_json(reply):
    (found,) = read(transcode(reply))
    wanted = load_json(reply)
    wanted.get("push", {}).get("pub", {}).pop("epoch", None)
    assert found == without_zeros(wanted)


def test_the_data_is_the_very_json():
    data = dump_json({"values": [1.5, 2**63, -0.0, 'é\n"', None, True], "schema": {}, "": [1e300]})
    message = Reply.FromString(transcode(replies.publication_push("a/b/c", data, offset=3))[1:])
    assert message.push.pub.data == data


def test_what_is_newer_than_the_classes():
    message = command(field(1, 3), field(5, field(1, b"a/b/c") + field(15, 2**64 - 1)))
    assert one(message) == Subscribe(3, "a/b/c", type=-1)
    told = transcode(replies.publication_push("a/b/c", b"1", offset=1, epoch="e"))
    publication = field(4, b"1") + field(6, 1) + field(14, b"e")
    assert told == command(field(4, field(2, b"a/b/c") + field(4, publication)))


def test_a_ping_is_an_empty_reply():
    assert transcode(replies.PING) == b"\x00"


def test_an_empty_result_is_there():
    message = Reply.FromString(transcode(replies.empty_reply(3, "publish"))[1:])
    assert message.HasField("publish")


@pytest.mark.parametrize(
    "reply",
    [b"", b"no json", b"[]", b'{"push":[]}', b'{"id":"x"}', b'{"push":{"channel":1}}', b'{"push":{"pub":{"info":1}}}'],
)
def test_what_is_no_reply_raises_one_error(reply):
    with pytest.raises(BadData):
        transcode(reply)


def test_numbers_that_are_none_of_the_protocol_end():
    assert varint(-1) == b"\xff" * 9 + b"\x01"
    assert MessageToDict(Theirs.FromString(field(1, 300))) == {"id": 300}


def test_a_filter_by_tags_is_seen_whatever_is_in_it():
    filters = [{"key": "t", "cmp": "eq", "val": "x"}, {"op": "not", "nodes": [{"key": "t", "cmp": "ex"}]}, {}]
    for each in filters:
        message = Theirs(id=3)
        message.subscribe.channel = "a/b/c"
        ParseDict(each, message.subscribe.tf)
        message.subscribe.tf.SetInParent()
        assert one(delimited(message.SerializeToString())).tf is not None
    assert one(theirs({"id": 3, "subscribe": {"channel": "a/b/c"}})).tf is None
    wrong = one(command(field(1, 3), field(5, field(13, 1))))
    assert wrong == Malformed("subscribe: tf must be an object")
