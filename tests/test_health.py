"""``/livez`` and ``/readyz``: answered before Django, with reasons that say what is wrong and nothing secret."""

import asyncio

import pytest
from django.test import override_settings

from live.asgi import live_application
from live.exceptions import EngineUnavailable
from live.health import HEALTH_PATHS
from live.node import current_node, runtime
from tests.peers import Socket


@pytest.fixture(autouse=True)
async def stop_node(monkeypatch):
    # A busy machine may be late with an answer.
    monkeypatch.setattr("live.health.ANSWER_SECONDS", 30)
    yield
    await runtime.stop_serving()


async def django(scope, receive, send):
    """Stands for Django: what it answers is not what a probe answers."""
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def ask(path, method="GET", application=None, **scope):
    """(status, headers, body) of a request."""
    socket = Socket()
    application = application or live_application(django)
    await application({"type": "http", "path": path, "method": method, "headers": [], **scope}, None, socket.send)
    start, body = socket.events
    return start["status"], dict(start["headers"]), body["body"].decode()


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_process_that_is_well(path):
    assert await ask(path) == (
        200,
        {b"content-type": b"text/plain; charset=utf-8", b"cache-control": b"no-store", b"content-length": b"3"},
        "ok\n",
    )


async def test_the_first_probe_of_readiness_starts_the_node_and_that_of_life_does_not():
    await ask("/livez")
    assert current_node() is None
    await ask("/readyz")
    assert current_node() is not None


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_head_is_answered_without_a_body_and_others_are_refused(path):
    status, headers, body = await ask(path, "HEAD")
    assert (status, headers[b"content-length"], body) == (200, b"3", "")
    status, headers, body = await ask(path, "POST")
    assert (status, headers[b"allow"], headers[b"cache-control"]) == (405, b"GET, HEAD", b"no-store")


@override_settings(ALLOWED_HOSTS=["other.example"], SECURE_SSL_REDIRECT=True)
async def test_neither_hosts_nor_redirects_matter():
    # Django itself would answer this one with 400.
    application = live_application()
    assert (await ask("/readyz", application=application, headers=[(b"host", b"10.0.0.1")]))[0] == 200


async def test_other_paths_are_django_s():
    for path in ("/", "/livez/", "/readyz/more", "/x/livez", "/livezz", ""):
        assert (await ask(path))[0] == 418


async def test_below_a_root_path():
    assert (await ask("/site/livez", root_path="/site"))[0] == 200
    assert (await ask("/livez", root_path="/site"))[0] == 200
    assert (await ask("/sitelivez", root_path="/site"))[0] == 418
    assert (await ask("/site/other", root_path="/site"))[0] == 418


async def test_own_paths_and_none():
    own = live_application(django, health_paths=("-/alive", "/-/ready"))
    assert (await ask("/-/alive", application=own))[0] == 200
    assert (await ask("/-/ready", application=own))[0] == 200
    assert (await ask("/livez", application=own))[0] == 418
    nowhere = live_application(django, health_paths=None)
    for path in HEALTH_PATHS:
        assert (await ask(f"/{path}", application=nowhere))[0] == 418


async def test_a_draining_node_is_not_ready_but_lives():
    node = await runtime.serve()
    await node.drain(0)

    status, headers, body = await ask("/readyz")
    assert (status, headers[b"cache-control"]) == (503, b"no-store")
    assert "draining" in body
    assert (await ask("/livez"))[0] == 200


async def test_each_reason_is_a_line(monkeypatch):
    node = await runtime.serve()

    async def away():
        raise EngineUnavailable("away")

    monkeypatch.setattr(node.store, "ping", away)
    await node.drain(0)
    status, _, body = await ask("/readyz")
    assert status == 503
    assert len(body.splitlines()) == 2
    assert "store" in body.splitlines()[1]


async def test_a_store_that_does_not_answer_does_not_hold_the_probe_up(monkeypatch):
    node = await runtime.serve()
    # Long enough to see that the node has started.
    monkeypatch.setattr("live.health.ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(node.store, "ping", asyncio.Event().wait)

    assert (await ask("/readyz"))[::2] == (503, "the store does not answer\n")
    assert (await ask("/livez"))[0] == 200


async def test_a_node_that_starts_slowly_is_started_once_and_not_given_up(monkeypatch):
    go, started = asyncio.Event(), []
    serve = runtime.serve

    async def slowly():
        started.append(1)
        await go.wait()
        return await serve()

    monkeypatch.setattr(runtime, "serve", slowly)
    application = live_application(django)
    monkeypatch.setattr("live.health.ANSWER_SECONDS", 0.01)
    for _ in range(3):
        assert (await ask("/readyz", application=application))[::2] == (503, "starting\n")
    monkeypatch.setattr("live.health.ANSWER_SECONDS", 30)
    go.set()
    assert (await ask("/readyz", application=application))[0] == 200
    assert started == [1]


async def test_a_node_that_cannot_start_is_logged_once(monkeypatch, caplog):
    async def fail():
        raise RuntimeError("redis://:hunter2@host")

    monkeypatch.setattr(runtime, "serve", fail)
    application = live_application(django)
    for _ in range(3):
        assert (await ask("/readyz", application=application))[::2] == (503, "cannot start, see the log\n")
    assert [record.message for record in caplog.records] == ["the node does not start"]
    assert (await ask("/livez", application=application))[0] == 200
