"""``POST push/<stream id>``: what goes in, what comes out to subscribers, and the answer to every kind of bad input."""

import gzip
from io import BytesIO

import orjson
import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, UnreadablePostError
from django.test import RequestFactory
from django.urls import reverse
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient, force_authenticate

import live
from live.api.base import answer_error
from live.api.push import PushView
from live.channel import Channel
from live.frames import Field, Frame, Kind
from live.handlers import find_handler
from live.handlers.registry import unregister
from live.handlers.stream import StreamHandler, push_frames
from live.node import runtime
from live.publishing import run
from live.store import ChannelOptions

from .conftest import channels_of, client_with, last_value, published, push

LINE = "cpu,host=a usage=1.5,idle=98 1616403089000000000"
SCHEMA = {
    "name": "cpu",
    "fields": [
        {"name": "labels", "type": "string", "typeInfo": {"frame": "string"}},
        {"name": "time", "type": "time", "typeInfo": {"frame": "time.Time"}},
        {"name": "idle", "type": "number", "typeInfo": {"frame": "float64", "nullable": True}},
        {"name": "usage", "type": "number", "typeInfo": {"frame": "float64", "nullable": True}},
    ],
}
DATA = {"values": [["host=a"], [1616403089000], [98], [1.5]]}


def assert_refused(response, status, message, stream_id):
    assert response.status_code == status
    assert response["Content-Type"] == "application/json"
    answer = orjson.loads(response.content)
    assert message in answer["message"]
    assert channels_of(stream_id) == []
    return answer


# What goes in comes out


def test_a_push_is_published_and_answered_with_nothing(client, stream_id):
    response = push(client, stream_id, LINE)

    assert (response.status_code, response.content) == (200, b"")
    assert published(f"stream/{stream_id}/cpu") == [{"schema": SCHEMA, "data": DATA}]
    assert last_value(f"stream/{stream_id}/cpu") == {"schema": SCHEMA, "data": DATA}


def test_lines_are_counted_where_nobody_serves(client, stream_id):
    """As under WSGI, where the node only publishes."""

    async def counted(node):
        return dict(node.counters.push_lines)

    before = runtime.run(counted)
    assert push(client, stream_id, f"{LINE}\n{LINE}").status_code == 200
    assert push(client, stream_id, "this is none").status_code == 400
    after = runtime.run(counted)
    more = {result: after[result] - before.get(result, 0) for result in ("accepted", "rejected")}
    assert more == {"accepted": 2, "rejected": 1}


def test_the_schema_is_sent_only_when_it_changed(client, stream_id):
    for body in (LINE, LINE.replace("98", "97"), LINE.replace("idle", "steal"), LINE.replace("idle", "steal")):
        push(client, stream_id, body)

    sent = published(f"stream/{stream_id}/cpu")
    assert [list(message) for message in sent] == [["schema", "data"], ["data"], ["schema", "data"], ["data"]]
    assert sent[1]["data"]["values"][2] == [97]
    assert list(last_value(f"stream/{stream_id}/cpu")) == ["schema", "data"]


def test_each_measurement_is_a_channel(client, stream_id):
    push(client, stream_id, "mem used=1\ncpu x=1\nmem used=2\nnet/eth0.1 rx=5i")

    assert channels_of(stream_id) == [f"stream/{stream_id}/{path}" for path in ("cpu", "mem", "net/eth0.1")]
    (frame,) = published(f"stream/{stream_id}/mem")
    assert frame["data"]["values"][2] == [1, 2]


def test_lines_without_time_get_one_time(client, stream_id):
    push(client, stream_id, "m x=1\nm x=2\nn x=3")

    times = published(f"stream/{stream_id}/m")[0]["data"]["values"][1]
    times += published(f"stream/{stream_id}/n")[0]["data"]["values"][1]
    assert len(set(times)) == 1
    assert times[0] > 1_700_000_000_000


@pytest.mark.parametrize("body", ["", "\n\n", "# nothing\r\n"])
def test_a_push_without_metrics_is_fine(client, stream_id, body):
    response = push(client, stream_id, body)

    assert (response.status_code, response.content) == (200, b"")
    assert channels_of(stream_id) == []


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "nonsense",
        "",
    ],
)
def test_the_content_type_does_not_matter(client, stream_id, content_type):
    assert push(client, stream_id, LINE, content_type=content_type).status_code == 200
    assert published(f"stream/{stream_id}/cpu")


@pytest.mark.parametrize("accept", ["text/plain", "text/html", "image/png", "nonsense"])
def test_the_accept_header_does_not_matter(client, stream_id, accept):
    assert push(client, stream_id, LINE, HTTP_ACCEPT=accept).status_code == 200
    assert push(client, stream_id, "bad", HTTP_ACCEPT=accept)["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", ["", "labels_column", "LABELS_column"])
def test_the_format_may_be_named(client, stream_id, name):
    assert push(client, stream_id, LINE, query=f"?gf_live_frame_format={name}").status_code == 200
    assert published(f"stream/{stream_id}/cpu") == [{"schema": SCHEMA, "data": DATA}]


def test_identity_is_an_encoding(client, stream_id):
    assert push(client, stream_id, LINE, HTTP_CONTENT_ENCODING="Identity").status_code == 200


# Bad input

BAD = {
    "a broken line in the middle": (
        "cpu x=1\ncpu x\ncpu x=3",
        "line 2: expected a field key and =",
        [{"line": 2, "reason": "expected a field key and =", "text": "cpu x"}],
    ),
    "several": (
        "a\ncpu x=1\nb",
        "line 1: expected a measurement, then a blank and a field (and 1 more)",
        [
            {"line": 1, "reason": "expected a measurement, then a blank and a field", "text": "a"},
            {"line": 3, "reason": "expected a measurement, then a blank and a field", "text": "b"},
        ],
    ),
    "not UTF-8": (
        b"cpu x=1\ncpu,a=\xe9 x=1",
        "line 2: not UTF-8: byte 0xe9 at offset 6",
        [{"line": 2, "reason": "not UTF-8: byte 0xe9 at offset 6 of the line", "text": "cpu,a=\ufffd x=1"}],
    ),
    "JSON": (b'{"cpu": 1}', "line 1: ", None),
    "gzip nobody announced": (gzip.compress(b"cpu x=1"), "not UTF-8", None),
    "a measurement that is no path": (
        "ok x=1\nmy\\ cpu x=1",
        "line 2: measurement 'my cpu' is no channel path: invalid channel: path holds ' '",
        None,
    ),
    "a measurement that is too long": ("m" * 150 + " x=1", "at most 160 are allowed", None),
    "a number out of range": ("ok x=1\ncpu x=99999999999999999999i", "line 2: field x: value out of range", None),
    "a timestamp out of range": ("ok x=1\ncpu x=1 99999999999999999999", "line 2: expected a timestamp", None),
    "a NUL": (b"ok x=1\ncpu x=\0", "line 2: holds a NUL byte", None),
}


@pytest.mark.parametrize(("body", "message", "errors"), BAD.values(), ids=BAD)
def test_nothing_of_a_push_with_a_bad_line_is_published(client, stream_id, body, message, errors):
    answer = assert_refused(push(client, stream_id, body), 400, message, stream_id)

    assert list(answer) == ["message", "errors"]
    assert answer["errors"] == errors or (errors is None and len(answer["errors"]) == 1)


def test_at_most_ten_errors_are_listed(client, stream_id):
    answer = assert_refused(push(client, stream_id, "bad\n" * 1000), 400, "(and 9 more)", stream_id)

    assert [error["line"] for error in answer["errors"]] == list(range(1, 11))


@pytest.mark.parametrize("name", ["prometheus", "x" * 5000])
def test_other_formats_are_refused(client, stream_id, name):
    answer = assert_refused(
        push(client, stream_id, LINE, query=f"?gf_live_frame_format={name}"),
        400,
        "supported: labels_column, wide",
        stream_id,
    )
    assert len(answer["message"]) < 200


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "gzip, identity"])
def test_other_encodings_than_gzip_are_refused(client, stream_id, encoding):
    response = push(client, stream_id, gzip.compress(LINE.encode()), HTTP_CONTENT_ENCODING=encoding)

    assert_refused(response, 415, f"Content-Encoding {encoding!r} is not supported", stream_id)


@pytest.mark.parametrize(
    ("stream_id", "rule"),
    [
        ("a b", "namespace holds ' '"),
        ("a.b", "namespace holds '.': only letters, digits, '_' and '-' are allowed"),
        ("a/b", "namespace holds '/'"),
        ("demo/", "namespace holds '/'"),
        ("%D1%8F", "namespace holds '\\u044f'"),
        ("x" * 152, "at most 160 are allowed"),
    ],
)
def test_bad_stream_ids(client, stream_id, rule):
    response = push(client, stream_id, LINE)

    assert response.status_code == 400
    message = orjson.loads(response.content)["message"]
    assert message.startswith("bad stream id ")
    assert rule in message


@pytest.mark.parametrize("announced", ["1", "0"])
def test_a_body_over_the_limit(client, stream_id, settings, announced):
    settings.LIVE = {"PUSH_MAX_BYTES": 100}
    body = "cpu x=1".ljust(101, "\n")

    # A sender that announces less than it sends is cut off there by the server; what is over the limit counts.
    response = push(client, stream_id, body) if announced == "1" else post_chunked(stream_id, body.encode())

    assert_refused(response, 413, "the body is larger than 100 bytes", stream_id)


def test_a_body_of_exactly_the_limit(client, stream_id, settings):
    settings.LIVE = {"PUSH_MAX_BYTES": 100}
    body = "cpu x=1".ljust(100, "\n")

    assert push(client, stream_id, body).status_code == 200
    assert post_chunked(stream_id, body.encode()).status_code == 200


def test_the_limit_of_django_does_not_count(client, stream_id, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10

    assert push(client, stream_id, LINE, content_type="application/x-www-form-urlencoded").status_code == 200


@pytest.mark.parametrize("length", ["9" * 5000, "1000000000000"])
def test_an_announced_length_over_the_limit_is_not_read(client, stream_id, length):
    response = push(client, stream_id, LINE, CONTENT_LENGTH=length)

    assert_refused(response, 413, "the body is larger than 4194304 bytes", stream_id)


def test_a_chunked_body_is_read(stream_id, pusher):
    assert post_chunked(stream_id, LINE.encode()).status_code == 200
    assert published(f"stream/{stream_id}/cpu") == [{"schema": SCHEMA, "data": DATA}]


def test_a_chunked_body_under_wsgi_is_not_lost_in_silence(client, stream_id):
    response = push(client, stream_id, "", CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")

    assert_refused(response, 411, "Content-Length", stream_id)


def test_a_frame_too_large_for_one_publication_is_divided_by_its_rows(client, stream_id, settings):
    settings.LIVE = {"MAX_PUBLICATION_SIZE": 2000}
    short, long = "".join(f"m x={n} {n}\n" for n in range(500)), f'm s="{"x" * 1000}" 500\n'

    assert push(client, stream_id, short + long + long).status_code == 200

    first, *others = published(f"stream/{stream_id}/m")
    assert list(first) == ["schema", "data"]
    columns = [[], [], [], []]
    for message in (first, *others):
        assert len(orjson.dumps(message)) <= 2000
        for column, values in zip(columns, message["data"]["values"], strict=True):
            column += values
    assert columns[2] == [*range(500), None, None]
    assert columns[3][499:] == [None, "x" * 1000, "x" * 1000]
    assert last_value(f"stream/{stream_id}/m")["data"]["values"][3] == ["x" * 1000]


@pytest.mark.parametrize("name", ["labels_column", "wide"])
def test_a_row_too_large_for_one_publication(client, stream_id, settings, name):
    settings.LIVE = {"MAX_PUBLICATION_SIZE": 2000}
    small, large = "small x=1\n", f'large s="{"x" * 2000}"\n'

    response = push(client, stream_id, small + large, query=f"?gf_live_frame_format={name}")

    assert_refused(response, 413, f"a row of stream/{stream_id}/large has", stream_id)


def test_a_schema_too_large_for_one_publication(client, stream_id, settings):
    settings.LIVE = {"MAX_PUBLICATION_SIZE": 2000}
    line = "m " + ",".join(f"f{n}=1" for n in range(50))

    assert_refused(push(client, stream_id, f"{line}\n{line}"), 413, "the schema of stream", stream_id)


def test_a_form_that_was_parsed_before_the_view(stream_id, pusher):
    request = RequestFactory().post(f"/api/live/push/{stream_id}", {"cpu x": "1"})
    assert request.POST

    assert_refused(call(request, stream_id), 400, "send it as text/plain", stream_id)


def test_a_body_that_was_read_before_the_view(stream_id, pusher):
    request = RequestFactory().post(f"/api/live/push/{stream_id}", LINE, content_type="text/plain")
    assert request.body

    assert call(request, stream_id).status_code == 200
    assert channels_of(stream_id) == [f"stream/{stream_id}/cpu"]


def test_more_parameters_than_django_reads(client, stream_id):
    assert_refused(push(client, stream_id, LINE, query="?" + "a&" * 2000), 400, "bad request", stream_id)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Http404(), 404),
        (PermissionDenied(), 403),
        (UnreadablePostError(), 400),
        (live.Forbidden(), 403),
        (live.NotFound(), 404),
        (live.UnknownChannel(), 404),
        (live.BadData(), 400),
    ],
)
def test_what_else_a_view_may_raise_has_a_message(error, status):
    response = answer_error(error, {})

    assert response.status_code == status
    assert list(response.data) == ["message"]


@pytest.mark.parametrize("error", [RuntimeError(), live.LiveError("ours"), live.SyncInAsync()])
def test_what_is_our_fault_is_not_hidden(error):
    assert answer_error(error, {}) is None


@pytest.mark.parametrize("method", ["get", "put", "delete", "options", "patch"])
def test_other_methods(client, stream_id, method):
    response = getattr(client, method)(f"/api/live/push/{stream_id}")

    assert response.status_code == 405
    assert response["Allow"] == "POST"
    assert list(orjson.loads(response.content)) == ["message"]


def test_projects_that_wrap_requests_in_transactions():
    # Django refuses asynchronous views under ATOMIC_REQUESTS, unless they say that they want none.
    view = PushView.as_view()

    assert view._non_atomic_requests == {"default"}
    assert view.csrf_exempt is True
    assert iscoroutinefunction(view)


# Who may


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Token",
        "Token 0123456789",
        "Bearer 0123456789",
        "Token a b",
        "Token \xe9",
        "Bearer a\0b",
        "Basic cHVzaGVyOnB1c2hlcg==",
    ],
)
def test_without_valid_credentials(stream_id, pusher, authorization):
    response = push(client_with(authorization), stream_id, LINE)

    assert_refused(response, 401, "", stream_id)
    assert response["WWW-Authenticate"] == 'Token realm="live", Bearer realm="live"'


@pytest.mark.parametrize("keyword", ["Token", "Bearer", "token", "BEARER"])
def test_both_keywords(stream_id, token, keyword):
    assert push(client_with(f"{keyword} {token}"), stream_id, LINE).status_code == 200


def test_an_inactive_user(stream_id, pusher, token):
    User.objects.filter(pk=pusher.pk).update(is_active=False)

    assert_refused(push(client_with(f"Token {token}"), stream_id, LINE), 401, "inactive", stream_id)


def test_without_the_permission(stream_id, user):
    client = client_with(f"Token {Token.objects.create(user=user).key}")

    assert_refused(push(client, stream_id, LINE), 403, "pushing needs the permission live.push", stream_id)


def test_who_may_not_push_learns_nothing_about_the_body(stream_id, user):
    client = client_with(f"Token {Token.objects.create(user=user).key}")

    assert push(client, "bad.id", b"\xff", query="?gf_live_frame_format=wide").status_code == 403


def test_a_session_needs_the_csrf_token(stream_id, pusher):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(pusher)

    assert_refused(push(client, stream_id, LINE), 403, "CSRF", stream_id)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_session_with_the_csrf_token(stream_id, pusher, content_type):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(pusher)
    client.cookies["csrftoken"] = "a" * 32

    response = push(client, stream_id, LINE, content_type=content_type, HTTP_X_CSRFTOKEN="a" * 32)

    assert response.status_code == 200
    assert channels_of(stream_id) == [f"stream/{stream_id}/cpu"]


def test_without_the_app_of_tokens_only_sessions_count(stream_id, token, settings):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "rest_framework.authtoken"]

    assert_refused(push(client_with(f"Token {token}"), stream_id, LINE), 401, "not provided", stream_id)


def test_the_settings_of_the_project_do_not_matter(stream_id, token, settings):
    settings.REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.StaticHTMLRenderer"],
        "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
        "EXCEPTION_HANDLER": "nowhere.to_be_found",
        "UNAUTHENTICATED_USER": None,
    }

    assert push(client_with(f"Token {token}"), stream_id, LINE).status_code == 200
    assert push(client_with(f"Token {token}"), stream_id, "bad").status_code == 400
    assert push(client_with(), stream_id, LINE).status_code == 401


# When the engine is down


class DownHandler(StreamHandler):
    """A handler of a site whose engine cannot be reached."""

    @property
    def options(self):
        raise live.EngineUnavailable


@pytest.fixture
def down():
    """A stream id whose publications fail."""
    live.register("stream", "down", DownHandler)
    yield "down"
    unregister("stream", "down")


def test_when_publishing_fails_the_sender_keeps_its_batch(client, down, caplog):
    response = push(client, down, LINE)

    assert_refused(response, 503, "try again later", down)
    assert response["Retry-After"] == "5"
    assert [record.message for record in caplog.records if record.name == "live.api"] == [
        "answered 503: live is not available now, try again later"
    ]


def test_where_nobody_answers_for_streams(client, stream_id, settings):
    settings.LIVE = {"HANDLERS": {"stream": None}}

    assert push(client, stream_id, LINE).status_code == 404


# The handler


def test_the_handler_of_streams(stream_id, user):
    channel = Channel("stream", stream_id, "cpu")
    handler = find_handler(channel)

    assert type(handler) is StreamHandler
    assert handler.options == ChannelOptions(300, 300, keep_last=True)
    assert run(handler.can_subscribe, user, channel, None) is True
    assert run(handler.can_publish, user, channel, {}) is False


def test_frames_of_any_origin_can_be_pushed(stream_id):
    run(push_frames, stream_id, [Frame([Field("v", Kind.FLOAT, [1.0])], name=f"m{n}") for n in range(120)])

    assert len(channels_of(stream_id)) == 120


def test_one_bad_frame_and_none_is_published(stream_id):
    frames = [Frame([Field("v", Kind.FLOAT, [1.0])], name=name) for name in ("good", "no good")]

    with pytest.raises(live.InvalidChannel):
        run(push_frames, stream_id, frames)

    assert channels_of(stream_id) == []


def test_a_frame_without_a_name_is_no_channel(stream_id):
    with pytest.raises(live.InvalidChannel, match="path is empty"):
        run(push_frames, stream_id, [Frame()])


def post_chunked(stream_id, body):
    """The answer to a body without a length, as an ASGI server hands it over."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/api/live/push/{stream_id}",
        "headers": [],
        "query_string": b"",
    }
    request = ASGIRequest(scope, BytesIO(body))
    return call(request, stream_id)


def call(request, stream_id):
    """The view's answer to `request`, with the pusher logged in."""
    force_authenticate(request, user=User.objects.get(username="pusher"))
    response = async_to_sync(PushView.as_view())(request, stream_id=stream_id)
    if hasattr(response, "render"):
        response.render()
    return response


def test_the_url_has_a_name():
    assert reverse("live:push", args=["demo"]) == "/api/live/push/demo"
