"""docs/monitoring.md: its view, its port and its log records have what it says."""

import json
import logging
import os
import urllib.request

import prometheus_client
import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory, override_settings

from tests.docs.python import running

TOKEN = "of-the-page-0123456789"


@pytest.fixture
def servers(monkeypatch):
    """Those that the page starts: on free ports, and not on its first one, which another process has."""
    started, start = [], prometheus_client.start_http_server

    def start_elsewhere(port, addr):
        if port == 9101:
            raise OSError
        started.append((port, *start(0, addr)))

    monkeypatch.setattr(prometheus_client, "start_http_server", start_elsewhere)
    yield started
    for _, server, thread in started:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def page(live_node, monkeypatch, servers):
    monkeypatch.setenv("LIVE_METRICS_TOKEN", TOKEN)
    with running("docs/monitoring.md", os=os) as module:
        yield module


def test_who_may_read_the_metrics(page):
    def ask(view, **meta):
        request = RequestFactory().get("/metrics", **meta)
        request.user = AnonymousUser()
        return view(request)

    view = page.urlpatterns[0].callback
    with override_settings(LIVE=page.LIVE):
        assert ask(view).status_code == 401
        answer = ask(view, HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
    assert answer.status_code == 200
    assert b"\nlive_clients 0.0\n" in answer.content
    assert ask(page.Metrics.as_view(), REMOTE_ADDR="10.1.2.3").status_code == 200
    assert ask(page.Metrics.as_view(), REMOTE_ADDR="192.0.2.1").status_code == 401


def test_a_port_of_its_own(page, servers):
    ((port, server, _),) = servers
    assert (port, page.port) == (9102, 9102)
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=20) as answer:
        assert b"\nlive_clients 0.0\n" in answer.read()


def test_a_line_of_the_log(page):
    record = logging.makeLogRecord({"name": "live.client", "msg": "gone: %s", "args": ("slow",), "levelname": "DEBUG"})
    record.live_client, record.live_code = "abc", 3008
    line = json.loads(page.JsonFormatter().format(record))
    assert line.pop("time")
    assert line == {
        "level": "DEBUG",
        "logger": "live.client",
        "message": "gone: slow",
        "live_client": "abc",
        "live_code": 3008,
    }
