"""Settings: typed, validated, never cached past a change; and the system checks that report them."""

import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

import live.checks
from live.conf import find_problems, get_settings, live_settings
from live.handlers import ChannelHandler


def ids(messages):
    return {message.id for message in messages}


def test_defaults_stand_where_nothing_is_set():
    with override_settings(LIVE={}):
        assert live_settings.max_connections == 100
        assert live_settings.max_message_size == 64 * 1024
        assert live_settings.allow_anonymous is False


def test_settings_follow_override_settings():
    with override_settings(LIVE={"MAX_CONNECTIONS": 7, "ALLOWED_ORIGINS": ["https://*"]}):
        assert live_settings.max_connections == 7
        assert live_settings.allowed_origins == ("https://*",)
        with override_settings(LIVE={"MAX_CONNECTIONS": 8}):
            assert live_settings.max_connections == 8
        assert live_settings.max_connections == 7


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"MAX_CONECTIONS": 1}, "no key 'MAX_CONECTIONS'"),
        ({"max_connections": 1}, "no key"),
        ({"MAX_CONNECTIONS": "5"}, "must be a whole number"),
        ({"MAX_CONNECTIONS": True}, "must be a whole number"),
        ({"MAX_CONNECTIONS": -2}, "at least -1"),
        ({"CONNECT_TIMEOUT": 0}, "at least 0.01"),
        ({"CONNECT_TIMEOUT": "x"}, "must be a number"),
        ({"ALLOW_ANONYMOUS": 1}, "True or False"),
        ({"ROOT_URL": 1}, "must be a text"),
        ({"ALLOWED_ORIGINS": "https://a"}, "must be a list"),
        ({"ALLOWED_ORIGINS": [1]}, "must hold texts"),
        ({"ALLOWED_ORIGINS": ["http://[a"]}, "not closed"),
        ({"HANDLERS": []}, "must be a dictionary"),
        ({"HANDLERS": {"a/b/c": "x"}}, "'scope' or 'scope/namespace'"),
        ({"HANDLERS": {"a/": "x"}}, "'scope' or 'scope/namespace'"),
        ({"HANDLERS": {"a": 5}}, "dotted path or a class"),
        ({"PING_INTERVAL": 5, "PONG_TIMEOUT": 5}, "smaller than LIVE['PING_INTERVAL']"),
        ({"MAX_PUBLICATION_SIZE": 2**20}, "smaller than LIVE['CLIENT_QUEUE_MAX_BYTES']"),
        (["MAX_CONNECTIONS"], "must be a dictionary"),
    ],
)
def test_wrong_values_are_named(raw, text):
    (problem,) = find_problems(raw)
    assert text in problem.message
    with override_settings(LIVE=raw), pytest.raises(ImproperlyConfigured):
        get_settings()


def test_an_unknown_key_suggests_the_near_one():
    (problem,) = find_problems({"MAX_CONECTIONS": 1})
    assert "MAX_CONNECTIONS" in problem.hint
    (problem,) = find_problems({"XYZ": 1})
    assert "ALLOW_ANONYMOUS" in problem.hint


class Handler(ChannelHandler):
    pass


@pytest.mark.django_db
def test_the_project_passes_its_own_checks():
    assert checks.run_checks() == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"HANDLERS": {"a": "no.such.Thing"}}, "live.E001"),
        ({"HANDLERS": {"a": "django.db.models.Model"}}, "live.E001"),
        ({"MAX_CONNECTIONS": "1"}, "live.E002"),
        ({"NOPE": "1"}, "live.E003"),
    ],
)
def test_checks_find_wrong_settings(raw, expected):
    with override_settings(LIVE=raw):
        assert ids(live.checks.check_settings(None)) == {expected}


def test_checks_pass_sound_handlers():
    with override_settings(LIVE={"HANDLERS": {"a": Handler, "stream": None}}):
        assert live.checks.check_settings(None) == []


def test_checks_of_the_server(monkeypatch):
    with override_settings(ASGI_APPLICATION=None):
        assert ids(live.checks.check_server(None)) == {"live.W003"}
    monkeypatch.setattr(live.checks, "version", lambda name: "4.2.1")
    assert ids(live.checks.check_server(None)) == {"live.W002"}


def test_checks_of_the_layer():
    shared = {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"}}
    with override_settings(CHANNEL_LAYERS=shared, DEBUG=False):
        assert ids(live.checks.check_server(None)) == {"live.W004"}
        assert live.checks.check_deployment(None) == []
    with override_settings(DEBUG=False):
        assert ids(live.checks.check_deployment(None)) == {"live.W001"}
    with override_settings(DEBUG=True):
        assert live.checks.check_deployment(None) == []
