"""InfluxDB's endpoints: both kinds of writes with the answers their clients know, and what they ask before."""

import base64
import gzip

import orjson
import pytest
from django.urls import reverse
from rest_framework.authtoken.models import Token

import live
from live.api.authentication import recent_tokens
from live.handlers.registry import unregister
from live.handlers.stream import StreamHandler

from .conftest import channels_of, client_with, published

LINE = "cpu,host=a usage=1.5 1616403089000000000"
V2 = "/api/live/influx/api/v2/write"
V1 = "/api/live/influx/write"
QUERY = "/api/live/influx/query"


@pytest.fixture(autouse=True)
def nothing_remembered():
    recent_tokens.clear()
    yield
    recent_tokens.clear()


@pytest.fixture(params=["v2", "v1"])
def write(request, client, stream_id):
    """Writes in the way of one version; the answer and what its error says, with its code where it has one."""
    path, name = (V2, "bucket") if request.param == "v2" else (V1, "db")

    def send(body, query="", by=client, stream_id=stream_id, **extra):
        body = body.encode() if isinstance(body, str) else body
        url = f"{path}?{name}={stream_id}{query}"
        response = by.generic("POST", url, body, content_type="text/plain; charset=utf-8", **extra)
        error = orjson.loads(response.content) if response.content else None
        if error is not None:
            assert response["Content-Type"] == "application/json"
            assert list(error) == (["code", "message"] if request.param == "v2" else ["error"])
        return response, error and (error.get("code"), error.get("message") or error["error"])

    send.version = request.param
    return send


def test_a_write(write, stream_id):
    response, error = write(LINE)

    assert (response.status_code, error) == (204, None)
    assert response["X-Influxdb-Version"] == "1.8.10"
    (frame,) = published(f"stream/{stream_id}/cpu")
    assert frame["data"]["values"] == [["host=a"], [1616403089000], [1.5]]


def test_what_writers_add_does_not_matter(write, stream_id):
    assert write(LINE, "&org=home&orgID=1&rp=autogen&consistency=one&precision=ns")[0].status_code == 204
    assert published(f"stream/{stream_id}/cpu")


def test_a_compressed_write(write, stream_id):
    response, _ = write(gzip.compress(LINE.encode()), HTTP_CONTENT_ENCODING="gzip", HTTP_ACCEPT_ENCODING="gzip")

    assert response.status_code == 204
    assert published(f"stream/{stream_id}/cpu")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "u", "n"])
def test_precision(write, stream_id, unit):
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "u": 10**6, "n": 10**9}[unit]

    assert write(f"cpu x=1 {1616403089 * scale}", f"&precision={unit}")[0].status_code == 204
    assert published(f"stream/{stream_id}/cpu")[0]["data"]["values"][1] == [1616403089000]


def test_the_good_lines_only_where_asked_for(client, stream_id):
    body = f"{LINE}\nbad".encode()
    response = client.generic("POST", f"{V2}?bucket={stream_id}&partial=1", body, content_type="text/plain")

    assert response.status_code == 200
    assert orjson.loads(response.content)["accepted"] == 1


class DownHandler(StreamHandler):
    """A handler of a site whose engine cannot be reached."""

    @property
    def options(self):
        raise live.EngineUnavailable


@pytest.fixture
def down():
    live.register("stream", "down", DownHandler)
    yield "down"
    unregister("stream", "down")


REFUSALS = {
    "a wrong line": (400, "invalid", "line 1: ", {"body": "cpu x"}),
    "an unknown precision": (400, "invalid", "precision", {"query": "&precision=h"}),
    "no stream id": (400, "invalid", "bad stream id", {"stream_id": ""}),
    "a bad stream id": (400, "invalid", "bad stream id", {"stream_id": "a.b"}),
    "no token": (401, "unauthorized", "not provided", {"by": None}),
    "a wrong token": (401, "unauthorized", "token", {"by": "Token 0123456789"}),
    "too large": (413, "request too large", "larger than 4194304 bytes", {"body": " " * (4 * 1024 * 1024 + 1)}),
    "another encoding": (415, "unsupported media type", "not supported", {"HTTP_CONTENT_ENCODING": "br"}),
    "the engine away": (503, "unavailable", "try again later", {"stream_id": "down"}),
}


@pytest.mark.parametrize(("status", "code", "text", "changed"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_in_the_words_of_the_version(write, down, stream_id, status, code, text, changed):
    changed = {"body": LINE, **changed}
    if "by" in changed:
        changed["by"] = client_with(changed["by"])

    response, (found, message) = write(changed.pop("body"), **changed)

    assert response.status_code == status
    assert found == (code if write.version == "v2" else None)
    assert text in message
    assert channels_of(stream_id) == []
    if status == 503:
        assert response["Retry-After"] == "5"


def test_without_the_permission(write, user):
    by = client_with(f"Token {Token.objects.create(user=user).key}")

    response, (code, message) = write(LINE, by=by)

    assert response.status_code == 403
    assert code in ("forbidden", None)
    assert message == "pushing needs the permission live.push"


def test_too_often(write, settings):
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"live-push": "1/day"}}
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "influx"}}

    write(LINE)
    response, (code, _) = write(LINE)

    assert (response.status_code, code) == (429, "too many requests" if write.version == "v2" else None)
    assert int(response["Retry-After"]) > 60


def test_other_methods(client):
    response = client.get(V2)
    assert (response.status_code, orjson.loads(response.content)["code"]) == (405, "method not allowed")
    assert list(orjson.loads(client.get(V1).content)) == ["error"]


def test_a_wrong_line_is_one_that_telegraf_drops(client, stream_id):
    response = client.generic("POST", f"{V1}?db={stream_id}", b"cpu x", content_type="text/plain")

    assert orjson.loads(response.content)["error"].startswith("unable to parse: ")


def test_a_session_is_no_way_in(write, pusher):
    browser = client_with()
    browser.force_login(pusher)

    assert write(LINE, by=browser)[0].status_code == 401


# Version 1's ways to say who one is


def basic(text):
    return {"HTTP_AUTHORIZATION": "Basic " + base64.b64encode(text.encode()).decode()}


def test_the_token_as_password(stream_id, token):
    for extra, query in ((basic(f"anybody:{token}"), ""), (basic(f":{token}"), ""), ({}, f"&u=anybody&p={token}")):
        response = client_with().generic("POST", f"{V1}?db={stream_id}{query}", LINE.encode(), **extra)
        assert response.status_code == 204, query
    assert len(published(f"stream/{stream_id}/cpu")) == 3


@pytest.mark.parametrize(
    ("extra", "query"),
    [
        (basic("anybody:wrong"), ""),
        (basic("no colon"), ""),
        (basic("anybody:\u044f\n"), ""),
        ({}, "&p=%D1%8F"),
        ({}, "&p=%00%0A"),
        ({"HTTP_AUTHORIZATION": "Basic %%%"}, ""),
        ({"HTTP_AUTHORIZATION": "Basic"}, ""),
        ({}, "&u=anybody&p=wrong"),
        ({}, "&u=anybody&p="),
        ({}, "&u=anybody"),
    ],
)
def test_a_wrong_password(stream_id, pusher, extra, query):
    response = client_with().generic("POST", f"{V1}?db={stream_id}{query}", LINE.encode(), **extra)

    assert response.status_code == 401
    assert list(orjson.loads(response.content)) == ["error"]


def test_a_header_counts_more_than_a_parameter(client, stream_id, token):
    assert client.generic("POST", f"{V1}?db={stream_id}&p=wrong", LINE.encode()).status_code == 204
    assert client_with("Token wrong").generic("POST", f"{V1}?db={stream_id}&p={token}", b"").status_code == 401


def test_a_password_is_in_no_report_of_an_error(stream_id, token, pusher, monkeypatch, settings):
    async def broken(user, stream_id):
        raise RuntimeError("ours")

    monkeypatch.setattr("live.api.push.may_push", broken)
    settings.DEBUG = True
    client = client_with()
    client.raise_request_exception = False
    response = client.generic("POST", f"{V1}?db={stream_id}&u=anybody&p={token}", LINE.encode())
    report = response.content.decode()

    assert response.status_code == 500
    assert "RuntimeError" in report
    assert token not in report


# What clients ask before they write


@pytest.mark.parametrize("query", ['CREATE DATABASE "telegraf"', "create database telegraf;", " CREATE  DATABASE x "])
@pytest.mark.parametrize("how", ["form", "parameter", "get"])
def test_create_database(client, query, how):
    if how == "form":
        body = f"q={query.replace(' ', '+').replace(';', '%3B')}".encode()
        response = client.generic("POST", QUERY, body, content_type="application/x-www-form-urlencoded")
    elif how == "parameter":
        response = client.generic("POST", QUERY, b"", QUERY_STRING=f"q={query.replace(';', '%3B')}")
    else:
        response = client.get(QUERY, {"q": query})

    assert response.status_code == 200
    assert orjson.loads(response.content) == {"results": [{"statement_id": 0}]}


@pytest.mark.parametrize("query", ["", "SHOW DATABASES", "CREATE DATABASE x; DROP DATABASE y", "SELECT * FROM cpu"])
def test_other_queries_are_not_served(client, query):
    response = client.get(QUERY, {"q": query})

    assert response.status_code == 400
    assert "queries are not served" in orjson.loads(response.content)["error"]


def test_a_query_needs_a_token_too(db, token):
    create = {"q": "CREATE DATABASE x"}

    assert client_with().get(QUERY, create).status_code == 401
    assert client_with().get(QUERY, {**create, "u": "x", "p": token}).status_code == 200
    assert client_with("Token wrong").get(QUERY, create).status_code == 401


def test_a_query_that_is_too_long(client):
    response = client.generic("POST", QUERY, b"q=" + b"x" * 70_000, content_type="application/x-www-form-urlencoded")

    assert response.status_code == 413


@pytest.mark.parametrize("method", ["get", "head"])
def test_ping(db, method):
    response = getattr(client_with(), method)("/api/live/influx/ping")

    assert (response.status_code, response.content) == (204, b"")
    assert response["X-Influxdb-Version"] == "1.8.10"


def test_health(db):
    response = client_with().get("/api/live/influx/health")

    assert response.status_code == 200
    answer = orjson.loads(response.content)
    assert (answer["name"], answer["status"], answer["version"]) == ("live", "pass", "1.8.10")


def test_the_urls_have_names():
    assert reverse("live:influx-v2-write") == V2
    assert reverse("live:influx-v1-write") == V1
