"""What clients are told: the shapes of client-protocol §2, one JSON object without a newline each."""

import datetime
import json
import math

import pytest
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from live.exceptions import (
    BadData,
    DisconnectCode,
    EngineUnavailable,
    Forbidden,
    LiveError,
    UnrecoverablePosition,
    UnsubscribeCode,
)
from live.protocol import dump_json, load_json, replies
from live.store import Member, Publication


def test_connect_tells_pings_only_where_there_are_some():
    reply = replies.connect_reply(1, client="c", version="live 1", ping=25, pong=True)
    assert json.loads(reply) == {"id": 1, "connect": {"client": "c", "version": "live 1", "ping": 25, "pong": True}}
    reply = replies.connect_reply(1, client="c", version="v", ping=0, pong=False)
    assert json.loads(reply) == {"id": 1, "connect": {"client": "c", "version": "v"}}


def test_subscribe_leaves_zero_values_out_and_embeds_data_raw():
    assert replies.subscribe_reply(2, replies.SubscribeResult()) == b'{"id":2,"subscribe":{}}'
    result = replies.SubscribeResult(b'{"a":[1]}', 7, "abc")
    assert replies.subscribe_reply(2, result) == b'{"id":2,"subscribe":{"epoch":"abc","offset":7,"data":{"a":[1]}}}'


def test_subscribe_tells_the_position_and_what_became_of_a_recovery():
    def told(**fields):
        return json.loads(replies.subscribe_reply(2, replies.SubscribeResult(**fields)))["subscribe"]

    kept = {"positioned": True, "recoverable": True, "epoch": "e"}
    assert told(**kept) == kept
    assert told(**kept, offset=7, was_recovering=True) == {**kept, "offset": 7, "was_recovering": True}
    found = [Publication(b"1", 8, "e"), Publication(b'{"a":2}', 9, "e", b'{"user":"1"}')]
    assert told(**kept, offset=7, was_recovering=True, recovered=True, publications=found) == {
        **kept,
        "offset": 7,
        "was_recovering": True,
        "recovered": True,
        "publications": [{"data": 1, "offset": 8}, {"data": {"a": 2}, "info": {"user": "1"}, "offset": 9}],
    }
    # Nothing was missed: no list at all, and no offset where nothing was ever published.
    assert told(**kept, was_recovering=True, recovered=True) == {**kept, "was_recovering": True, "recovered": True}


def test_presence_has_its_fields_also_when_nobody_is_there():
    assert json.loads(replies.presence_reply(5, [])) == {"id": 5, "presence": {"presence": {}}}
    members = [Member(name, "7", replies.client_info("7", name)) for name in ("c1", "c2")]
    assert json.loads(replies.presence_reply(5, members))["presence"]["presence"] == {
        "c1": {"user": "7", "client": "c1"},
        "c2": {"user": "7", "client": "c2"},
    }
    assert json.loads(replies.presence_stats_reply(6, clients=0, users=0)) == {
        "id": 6,
        "presence_stats": {"num_clients": 0, "num_users": 0},
    }
    assert json.loads(replies.presence_stats_reply(6, clients=3, users=2))["presence_stats"]["num_clients"] == 3


def test_a_member_carries_what_its_handler_tells():
    told = json.loads(replies.client_info("7", "c", {"name": "Ann"}))
    assert told == {"user": "7", "client": "c", "chan_info": {"name": "Ann"}}


def test_who_comes_and_goes_is_told_with_both_ids():
    info = {"user": "7", "client": "c"}
    raw = replies.client_info("7", "c")
    join, leave = (json.loads(replies.member_push("a/b/c", raw, joined=joined)) for joined in (True, False))
    assert join == {"push": {"channel": "a/b/c", "join": {"info": info}}}
    assert leave == {"push": {"channel": "a/b/c", "leave": {"info": info}}}


def test_empty_results_are_still_there():
    assert replies.empty_reply(4, "unsubscribe") == b'{"id":4,"unsubscribe":{}}'


def test_errors_say_temporary_only_when_they_are():
    assert json.loads(replies.error_reply(3, Forbidden())) == {"id": 3, "error": {"code": 403, "message": "Forbidden"}}
    error = json.loads(replies.error_reply(3, EngineUnavailable()))["error"]
    assert error["code"] == 100
    assert error["temporary"] is True
    assert LiveError("own text").message == "own text"
    error = json.loads(replies.error_reply(3, UnrecoverablePosition()))["error"]
    assert error == {"code": 112, "message": "unrecoverable position"}


def test_publications_carry_offset_and_tell_the_epoch_with_the_first():
    push = replies.publication_push("a/b/c", b"1")
    assert push == b'{"push":{"channel":"a/b/c","pub":{"data":1}}}'
    push = replies.publication_push("a/b/c", b"1", offset=1, epoch="e", info=b'{"user":"1"}')
    pub = {"data": 1, "info": {"user": "1"}, "offset": 1, "epoch": "e"}
    assert json.loads(push) == {"push": {"channel": "a/b/c", "pub": pub}}
    assert b"epoch" not in replies.publication_push("a/b/c", b"1", offset=2, epoch="e")


def test_history_has_all_its_fields_also_when_they_are_empty():
    assert json.loads(replies.history_reply(5, [], offset=0, epoch="")) == {
        "id": 5,
        "history": {"publications": [], "epoch": "", "offset": 0},
    }
    found = [Publication(b"1", 1, "e"), Publication(b'{"a":2}', 2, "e", b'{"user":"1"}')]
    assert json.loads(replies.history_reply(5, found, offset=7, epoch="e"))["history"] == {
        "publications": [{"data": 1, "offset": 1}, {"data": {"a": 2}, "info": {"user": "1"}, "offset": 2}],
        "epoch": "e",
        "offset": 7,
    }


def test_endings_carry_code_and_reason():
    push = json.loads(replies.unsubscribe_push("a/b/c", UnsubscribeCode.INSUFFICIENT_STATE, "gone"))
    assert push == {"push": {"channel": "a/b/c", "unsubscribe": {"code": 2500, "reason": "gone"}}}
    push = json.loads(replies.disconnect_push(DisconnectCode.SLOW, "slow"))
    assert push == {"push": {"disconnect": {"code": 3008, "reason": "slow"}}}


def test_who_published_is_told_with_both_ids():
    assert json.loads(replies.client_info("", "c")) == {"user": "", "client": "c"}


def test_json_has_no_nan_and_knows_what_django_projects_put_in():
    assert dump_json([math.nan, math.inf]) == b"[null,null]"
    assert dump_json({1: gettext_lazy("Live")}) == b'{"1":"Live"}'
    assert dump_json(datetime.date(2026, 1, 2)) == b'"2026-01-02"'
    with pytest.raises(BadData, match="object"):
        dump_json(object())
    with pytest.raises(BadData, match="invalid json"):
        load_json("{")


@given(st.text())
def test_text_never_puts_a_newline_on_the_wire(text):
    encoded = dump_json({"text": text}) if text.isprintable() else dump_json({"text": repr(text)})
    assert b"\n" not in encoded


@pytest.mark.parametrize("code", list(DisconnectCode))
def test_every_disconnect_has_a_reason_that_fits_a_close_frame(code):
    assert 0 < len(code.reason.encode()) <= 123


def test_clients_come_back_after_limits_and_not_after_violations():
    again = {code for code in DisconnectCode if code.reconnect}
    assert {DisconnectCode.CONNECTION_LIMIT, DisconnectCode.CONNECT_TIMEOUT, DisconnectCode.SLOW} <= again
    assert {DisconnectCode.SHUTDOWN, DisconnectCode.FORCE_RECONNECT, DisconnectCode.INSUFFICIENT_STATE} <= again
    assert not again & {DisconnectCode.BAD_REQUEST, DisconnectCode.NOT_AVAILABLE, DisconnectCode.MESSAGE_TOO_BIG}
