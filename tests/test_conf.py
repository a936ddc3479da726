"""Settings: typed, validated, never cached past a change."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from live.conf import find_problems, get_settings, live_settings


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
        ({"PLUGINS": []}, "must be a dictionary"),
        ({"PLUGINS": {"a/b": "x"}}, "has the key 'a/b'"),
        ({"PLUGINS": {1: "x"}}, "has the key 1"),
        ({"PLUGINS": {"a": 5}}, "dotted path or a class"),
        ({"PLUGIN_FRAMES_PER_SECOND": 0}, "at least 1"),
        ({"DATA_SOURCES": []}, "must be a dictionary of data sources, not list"),
        ({"DATA_SOURCES": {"a b": {"plugin": "x"}}}, "has the key 'a b'"),
        ({"DATA_SOURCES": {"a": "x"}}, "['a'] must be a dictionary, not str"),
        ({"DATA_SOURCES": {"a": {}}}, "['a'] must name its 'plugin'"),
        ({"DATA_SOURCES": {"a": {"plugin": 1}}}, "['a'] ['plugin'] must be a text, not int"),
        ({"DATA_SOURCES": {"a": {"plugin": "x", "setings": {}}}}, "has the key 'setings'; did you mean 'settings'?"),
        ({"DATA_SOURCES": {"a": {"plugin": "x", "zzz": {}}}}, "known keys: plugin, settings, name, permission"),
        ({"DATA_SOURCES": {"a": {"plugin": "x", "settings": "url"}}}, "['settings'] must be a dictionary, not str"),
        ({"DATA_SOURCES": {"a": {"plugin": "x", "permission": "view"}}}, "'app_label.codename', not 'view'"),
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


def test_a_wrong_data_source_is_named_without_its_settings():
    for wrong in ("password=1", {"plugin": "x", "settings": "password=1"}):
        (problem,) = find_problems({"DATA_SOURCES": {"a": wrong}})
        assert "password" not in problem.message
