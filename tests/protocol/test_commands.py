"""What clients send: client-protocol §1.2, §1.3, tested without a loop."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.exceptions import DisconnectCode
from live.protocol import (
    Command,
    Connect,
    History,
    Malformed,
    Method,
    Pong,
    Presence,
    PresenceStats,
    Publish,
    Subscribe,
    Unavailable,
    Unsubscribe,
    decode,
)
from live.protocol.commands import _FIELD_TYPES


def one(text):
    (command,) = decode(text)
    return command


def test_several_commands_come_in_one_message_in_their_order():
    text = '{"connect":{"name":"js"},"id":1}\n{"subscribe":{"channel":"a/b/c","flag":1},"id":2}\n{}\n'
    assert list(decode(text)) == [Connect(1, name="js"), Subscribe(2, "a/b/c", flag=1), Pong()]


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('{"connect":{},"id":1}', Connect(1)),
        ('{"id":4294967295,"unsubscribe":{"channel":"a/b/c"}}', Unsubscribe(4294967295, "a/b/c")),
        ('{"id":3,"publish":{"channel":"a/b/c","data":null}}', Publish(3, "a/b/c", None, has_data=True)),
        ('{"id":3,"publish":{"channel":"a/b/c"}}', Publish(3, "a/b/c")),
        ('{"id":3,"subscribe":{"channel":"a/b/c","data":[1],"type":4}}', Subscribe(3, "a/b/c", [1], 4)),
        ('{"id":3,"subscribe":{"channel":null}}', Subscribe(3, "")),
        (
            '{"id":3,"subscribe":{"channel":"a/b/c","recover":true,"offset":7,"epoch":"e"}}',
            Subscribe(3, "a/b/c", recover=True, offset=7, epoch="e"),
        ),
        # A client leaves out what is zero, and wishes for what the handler decides about.
        ('{"id":3,"subscribe":{"channel":"a/b/c","recover":true}}', Subscribe(3, "a/b/c", recover=True)),
        (
            '{"id":3,"subscribe":{"channel":"a/b/c","positioned":true,"recoverable":true,"join_leave":true}}',
            Subscribe(3, "a/b/c", positioned=True, recoverable=True, join_leave=True),
        ),
        (
            '{"id":3,"subscribe":{"channel":"a/b/c","offset":18446744073709551615}}',
            Subscribe(3, "a/b/c", offset=2**64 - 1),
        ),
        (
            '{"id":3,"subscribe":{"channel":"a/b/c","tf":{"key":"t","cmp":"eq","val":"x"}}}',
            Subscribe(3, "a/b/c", tf={"key": "t", "cmp": "eq", "val": "x"}),
        ),
        ('{"id":3,"subscribe":{"channel":"a/b/c","tf":{}}}', Subscribe(3, "a/b/c", tf={})),
        ('{"id":3,"subscribe":{"channel":"a/b/c","tf":null}}', Subscribe(3, "a/b/c")),
        ('{"id":3,"presence":{"channel":"a/b/c"}}', Presence(3, "a/b/c")),
        ('{"id":3,"presence_stats":{"channel":"a/b/c"}}', PresenceStats(3, "a/b/c")),
        ('{"id":3,"presence_stats":{}}', PresenceStats(3, "")),
        ('{"id":3,"history":{"channel":"a/b/c"}}', History(3, "a/b/c")),
        (
            '{"id":3,"history":{"channel":"a/b/c","limit":-1,"since":{"offset":5,"epoch":"e"},"reverse":true}}',
            History(3, "a/b/c", -1, (5, "e"), reverse=True),
        ),
        ('{"id":3,"history":{"channel":"a/b/c","since":{}}}', History(3, "a/b/c", 0, (0, ""))),
        ('{"send":{"data":1}}', Unavailable(0, Method.SEND)),
        ('{"id":3,"connect":null,"rpc":{"method":"x"}}', Unavailable(3, Method.RPC)),
        ('{"id":3,"connect":{"unknown":{"field":1}},"other":2}', Connect(3)),
        ("{}", Pong()),
    ],
)
def test_commands(text, command):
    assert one(text) == command


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty message"),
        ("\n", "empty message"),
        ("   ", "empty message"),
        ("hello", "invalid json"),
        ('{"id":1,"connect":{}', "invalid json"),
        ("NaN", "invalid json"),
        ("[" * 5000, "invalid json"),
        ("[]", "a command is a JSON object"),
        ("1", "a command is a JSON object"),
        ('{"id":5,"ping":{}}', "unknown command"),
        ('{"id":5}', "unknown command"),
        ('{"connect":{}}', "id missing"),
        ('{"id":0,"subscribe":{"channel":"x"}}', "id missing"),
        ('{"id":-1,"connect":{}}', "id must be"),
        ('{"id":4294967296,"connect":{}}', "id must be"),
        ('{"id":1.5,"connect":{}}', "id must be"),
        ('{"id":"1","connect":{}}', "id must be"),
        ('{"id":true,"connect":{}}', "id must be"),
        ('{"id":1,"connect":[]}', "connect must be an object"),
        ('{"id":1,"connect":{"name":5}}', "connect: name must be a text"),
        ('{"id":1,"subscribe":{"channel":["a"]}}', "subscribe: channel must be a text"),
        ('{"id":1,"subscribe":{"channel":"a","type":"x"}}', "subscribe: type must be a number"),
        ('{"id":1,"subscribe":{"channel":"a","type":true}}', "subscribe: type must be a number"),
        ('{"id":1,"subscribe":{"channel":"a","recover":1}}', "subscribe: recover must be true or false"),
        ('{"id":1,"subscribe":{"channel":"a","offset":"7"}}', "subscribe: offset must be a number"),
        ('{"id":1,"subscribe":{"channel":"a","offset":7.0}}', "subscribe: offset must be a number"),
        ('{"id":1,"subscribe":{"channel":"a","offset":18446744073709551616}}', "subscribe: offset must be a number"),
        ('{"id":1,"subscribe":{"channel":"a","offset":-1}}', "subscribe: offset must not be negative"),
        ('{"id":1,"subscribe":{"channel":"a","epoch":5}}', "subscribe: epoch must be a text"),
        ('{"id":1,"subscribe":{"channel":"a","flag":true}}', "subscribe: flag must be a number"),
        ('{"id":1,"subscribe":{"channel":"a","positioned":"yes"}}', "subscribe: positioned must be true or false"),
        ('{"id":1,"subscribe":{"channel":"a","recoverable":[]}}', "subscribe: recoverable must be true or false"),
        ('{"id":1,"subscribe":{"channel":"a","join_leave":0}}', "subscribe: join_leave must be true or false"),
        ('{"id":1,"subscribe":{"channel":"a","tf":"x"}}', "subscribe: tf must be an object"),
        ('{"id":1,"presence":{"channel":{}}}', "presence: channel must be a text"),
        ('{"id":1,"presence_stats":{"channel":1}}', "presence_stats: channel must be a text"),
        ('{"id":1,"history":{"since":5}}', "history: since must be an object"),
        ('{"id":1,"history":{"since":{"offset":-1}}}', "history: offset must not be negative"),
        ('{"id":1,"history":{"reverse":1}}', "history: reverse must be true or false"),
        ('{"id":1,"history":{"limit":1.5}}', "history: limit must be a number"),
    ],
)
def test_violations_are_named(text, reason):
    command = one(text)
    assert isinstance(command, Malformed)
    assert reason in command.reason
    assert command.code is DisconnectCode.BAD_REQUEST


@pytest.mark.parametrize(("flag", "rejects"), [(0, False), (1, False), (2, True), (3, True), (4, False)])
def test_the_second_bit_of_the_flag_asks_for_an_error_in_place_of_an_unrecovered_success(flag, rejects):
    assert Subscribe(1, "a/b/c", flag=flag).rejects_unrecovered is rejects


def test_binary_belongs_to_another_protocol():
    assert one(b"\x0a\x00") == Malformed("binary message", DisconnectCode.INAPPROPRIATE_PROTOCOL)


def test_what_comes_before_a_violation_still_counts_and_what_comes_after_does_not():
    commands = list(decode('{"id":1,"connect":{}}\nx\n{"id":2,"rpc":{}}'))
    assert commands == [Connect(1), Malformed("invalid json")]
    assert list(decode('{"id":1,"connect":{}}\n\n{"id":2,"rpc":{}}'))[1:] == [Malformed("invalid json")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
hostile = st.dictionaries(
    st.sampled_from(["id", "channel", "data", "type", *Method]),
    json_values | st.dictionaries(st.sampled_from([*_FIELD_TYPES, "data"]), json_values),
    max_size=5,
)


@given(st.text() | st.binary() | st.lists(hostile, min_size=1, max_size=4).map(lambda v: "\n".join(map(json.dumps, v))))
def test_nothing_a_client_sends_raises(message):
    commands = list(decode(message))
    assert commands
    for command in commands:
        assert isinstance(command, (Command, Pong, Malformed))
        if isinstance(command, Command) and not isinstance(command, Unavailable):
            assert command.id > 0
    assert not any(isinstance(command, Malformed) for command in commands[:-1])
