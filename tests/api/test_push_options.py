"""What a push may say besides its lines: compression, precision, partial acceptance; and how often it may come."""

import gzip
import random
import tracemalloc
import zlib

import orjson
import pytest
from django.core.cache import cache

from live.api import body as body_module
from live.api.authentication import recent_tokens
from live.api.base import PayloadTooLarge
from live.api.body import inflate

from .conftest import channels_of, client_with, published, push

LINE = "cpu,host=a usage=1.5 1616403089000000000"


@pytest.fixture(autouse=True)
def nothing_remembered():
    """No test knows a token of another."""
    recent_tokens.clear()
    cache.clear()
    yield
    recent_tokens.clear()
    cache.clear()


def refused(response, status, message):
    assert response.status_code == status
    answer = orjson.loads(response.content)
    assert message in answer["message"]
    return answer


def values(stream_id, measurement="cpu", column=2):
    return [message["data"]["values"][column] for message in published(f"stream/{stream_id}/{measurement}")]


# gzip


def push_gzip(client, stream_id, body, **extra):
    return push(client, stream_id, body, HTTP_CONTENT_ENCODING=extra.pop("encoding", "gzip"), **extra)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_a_compressed_body(client, stream_id, encoding):
    assert push_gzip(client, stream_id, gzip.compress(LINE.encode()), encoding=encoding).status_code == 200
    assert values(stream_id) == [[1.5]]


def test_several_members_are_one_body(client, stream_id):
    body = gzip.compress(b"cpu x=1\nc") + gzip.compress(b"") + gzip.compress(b"pu x=2\n")

    assert push_gzip(client, stream_id, body).status_code == 200
    assert values(stream_id) == [[1, 2]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the gzip body is empty"),
        (LINE.encode(), "no sound gzip"),
        (gzip.compress(LINE.encode())[:-1], "ends too early"),
        (gzip.compress(LINE.encode())[:5], "ends too early"),
        (gzip.compress(LINE.encode()) + b"rest", "no sound gzip"),
        (gzip.compress(LINE.encode())[:-8] + bytes(8), "no sound gzip"),
        (zlib.compress(LINE.encode()), "no sound gzip"),
        (gzip.compress(b"cpu x"), "line 1: "),
        (gzip.compress(b"") * 1001, "more than 1000 members"),
    ],
    ids=[
        "empty",
        "not gzip",
        "cut",
        "cut in the header",
        "more behind",
        "wrong checksum",
        "zlib",
        "bad line",
        "members",
    ],
)
def test_a_broken_compressed_body(client, stream_id, body, message):
    refused(push_gzip(client, stream_id, body), 400, message)
    assert channels_of(stream_id) == []


def test_the_limit_counts_what_was_inflated(client, stream_id, settings):
    settings.LIVE = {"PUSH_MAX_BYTES": 1000}

    assert push_gzip(client, stream_id, gzip.compress(LINE.encode().ljust(1000))).status_code == 200
    refused(push_gzip(client, stream_id, gzip.compress(LINE.encode().ljust(1001))), 413, "larger than 1000 bytes")
    refused(
        push_gzip(client, stream_id, gzip.compress(b" " * 600) + gzip.compress(b" " * 600)), 413, "larger than 1000"
    )
    refused(push_gzip(client, stream_id, gzip.compress(random.Random(1).randbytes(1100))), 413, "larger than 1000")


def test_a_bomb_is_not_inflated():
    member = gzip.compress(bytes(64 * 1024 * 1024))
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge):
            inflate(member * 4, 100_000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_long_body_is_inflated_in_pieces(monkeypatch):
    monkeypatch.setattr(body_module, "CHUNK", 7)
    text = random.Random(1).randbytes(5000)

    assert inflate(gzip.compress(text[:2000]) + gzip.compress(text[2000:]), 5000) == text


# precision


@pytest.mark.parametrize(
    ("unit", "time", "milliseconds"),
    [
        ("", 1_616_403_089_123_000_000, 1_616_403_089_123),
        ("ns", 1_616_403_089_123_000_000, 1_616_403_089_123),
        ("n", 1_616_403_089_123_000_000, 1_616_403_089_123),
        ("us", 1_616_403_089_123_000, 1_616_403_089_123),
        ("u", 1_616_403_089_123_000, 1_616_403_089_123),
        ("%C2%B5", 1_616_403_089_123_000, 1_616_403_089_123),
        ("%CE%BCs", 1_616_403_089_123_000, 1_616_403_089_123),
        ("ms", 1_616_403_089_123, 1_616_403_089_123),
        ("s", 1_616_403_089, 1_616_403_089_000),
        ("s", -1, -1000),
    ],
)
def test_what_a_timestamp_counts(client, stream_id, unit, time, milliseconds):
    response = push(client, stream_id, f"cpu x=1 {time}", query=f"?precision={unit}")

    assert response.status_code == 200
    assert values(stream_id, column=1) == [[milliseconds]]


def test_a_line_without_time_has_that_of_the_push_in_any_precision(client, stream_id):
    push(client, stream_id, "cpu x=1", query="?precision=s")

    assert 1_700_000_000_000 < values(stream_id, column=1)[0][0] < 4_000_000_000_000


@pytest.mark.parametrize("unit", ["h", "NS", "1", "nano", "x" * 5000])
def test_an_unknown_precision(client, stream_id, unit):
    answer = refused(push(client, stream_id, LINE, query=f"?precision={unit}"), 400, "known: ns, us, ms, s")

    assert len(answer["message"]) < 200


def test_a_time_beyond_64_bits(client, stream_id):
    answer = refused(push(client, stream_id, f"cpu x=1\n{LINE}", query="?precision=s"), 400, "is the precision right?")

    assert [error["line"] for error in answer["errors"]] == [2]


# partial


def push_partly(client, stream_id, body, query=""):
    response = push(client, stream_id, body, query=f"?partial=1{query}")
    return response.status_code, orjson.loads(response.content)


def test_the_good_lines_of_a_push(client, stream_id):
    status, answer = push_partly(client, stream_id, 'cpu x=1\ncpu x\n\n# no line\ncpu x=2\ncpu s="\ncpu x=3\n')

    assert (status, answer["accepted"], answer["rejected"]) == (200, 3, 2)
    assert [(error["line"], error["text"]) for error in answer["errors"]] == [(2, "cpu x"), (6, 'cpu s="')]
    assert values(stream_id) == [[1, 2, 3]]


def test_all_are_good(client, stream_id):
    assert push_partly(client, stream_id, "cpu x=1\ncpu x=2") == (200, {"accepted": 2, "rejected": 0, "errors": []})
    assert push_partly(client, stream_id, "") == (200, {"accepted": 0, "rejected": 0, "errors": []})


def test_none_is_good(client, stream_id):
    status, answer = push_partly(client, stream_id, "cpu\ncpu")

    assert status == 400
    assert list(answer) == ["message", "errors"]
    assert channels_of(stream_id) == []


def test_all_wrong_lines_are_counted_and_ten_of_them_told(client, stream_id):
    status, answer = push_partly(client, stream_id, 'bad\nbad x="a"b\n' * 500 + "cpu x=1\n" + "bad\n" * 500)

    assert (status, answer["accepted"], answer["rejected"]) == (200, 1, 1500)
    assert [error["line"] for error in answer["errors"]] == list(range(1, 11))


def test_lines_that_are_not_utf8_are_wrong_one_by_one(client, stream_id):
    status, answer = push_partly(client, stream_id, b"cpu x=1\ncpu,a=\xff x=2\ncpu,a=\xc3\xa9 x=3\n")

    assert (status, answer["accepted"], answer["rejected"]) == (200, 2, 1)
    assert answer["errors"] == [
        {"line": 2, "reason": "not UTF-8: byte 0xff at offset 6 of the line", "text": "cpu,a=\ufffd x=2"}
    ]
    assert values(stream_id) == [[1, 3]]


@pytest.mark.parametrize("value", ["2", "true", "x" * 5000])
def test_partial_is_a_number(client, stream_id, value):
    answer = refused(push(client, stream_id, LINE, query=f"?partial={value}"), 400, "partial is 0 or 1")

    assert len(answer["message"]) < 200


@pytest.mark.parametrize("value", ["0", ""])
def test_without_partial_it_is_all_or_nothing(client, stream_id, value):
    if value:
        assert push(client, stream_id, LINE, query=f"?partial={value}").content == b""
    assert push(client, stream_id, f"{LINE}\nbad", query="?partial=0").status_code == 400


# wide


def test_wide(client, stream_id):
    body = "cpu,host=a x=1,b=t 1000000\ncpu,host=b x=2 1000000\ncpu x=3 2000000"

    assert push(client, stream_id, body, query="?gf_live_frame_format=Wide").status_code == 200

    first, second = published(f"stream/{stream_id}/cpu")
    assert [(field["name"], field.get("labels")) for field in first["schema"]["fields"]] == [
        ("time", None),
        ("b", {"host": "a"}),
        ("x", {"host": "a"}),
        ("x", {"host": "b"}),
    ]
    assert first["data"]["values"] == [[1], [True], [1], [2]]
    assert second["schema"]["fields"][1]["labels"] == {}
    assert second["data"]["values"] == [[2], [3]]


# Throttling


def test_no_limit_unless_the_project_sets_one(client, stream_id):
    assert {push(client, stream_id, LINE).status_code for _ in range(50)} == {200}


def test_a_limit(client, stream_id, settings):
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"live-push": "3/min"}}

    assert [push(client, stream_id, LINE).status_code for _ in range(4)] == [200, 200, 200, 429]
    response = push(client, stream_id, LINE)
    refused(response, 429, "throttled")
    assert 1 <= int(response["Retry-After"]) <= 60


def test_a_limit_of_another_scope_is_none(client, stream_id, settings):
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"user": "1/min"}}

    assert [push(client, stream_id, LINE).status_code for _ in range(3)] == [200, 200, 200]


# A token is remembered for some seconds


class Clock:
    """A clock that stands still until it is told otherwise."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(recent_tokens, "_clock", clock)
    return clock


def test_a_known_token_asks_the_database_nothing(client, stream_id, clock, django_assert_num_queries):
    push(client, stream_id, LINE)

    with django_assert_num_queries(0):
        assert push(client, stream_id, LINE).status_code == 200


def test_a_deleted_token_counts_for_five_seconds_at_most(client, pusher, stream_id, clock):
    push(client, stream_id, LINE)
    pusher.auth_token.delete()
    clock.now += 4.9
    assert push(client, stream_id, LINE).status_code == 200
    clock.now += 0.1
    assert push(client, stream_id, LINE).status_code == 401


def test_a_permission_counts_for_five_seconds_at_most(client, pusher, stream_id, clock):
    push(client, stream_id, LINE)
    pusher.user_permissions.clear()
    clock.now += 5
    assert push(client, stream_id, LINE).status_code == 403


def test_a_deactivated_user_counts_for_five_seconds_at_most(client, pusher, stream_id, clock):
    push(client, stream_id, LINE)
    pusher.is_active = False
    pusher.save()
    clock.now += 5
    assert push(client, stream_id, LINE).status_code == 401


def test_wrong_tokens_are_not_remembered(stream_id, pusher):
    for number in range(3):
        assert push(client_with(f"Token {number}"), stream_id, LINE).status_code == 401
    assert not recent_tokens._entries


def test_only_so_many_tokens_are_remembered(monkeypatch):
    monkeypatch.setattr(recent_tokens, "SIZE", 3)
    for number in range(10):
        recent_tokens.put(b"%d" % number, None, None, recent_tokens.now())
    assert list(recent_tokens._entries) == [b"7", b"8", b"9"]
