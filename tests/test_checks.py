"""System checks: what is wrong with the set-up is named, with the way out, and never with a password."""

import re
from pathlib import Path

import pytest
from django.core import checks
from django.test import override_settings

import live.checks
from live.checks import CORE, PUBSUB
from live.handlers import ChannelHandler

SECRET = "hunter2-the-secret"


def ids(messages):
    return {message.id for message in messages}


class Handler(ChannelHandler):
    pass


@pytest.mark.django_db
def test_the_project_passes_its_own_checks():
    assert checks.run_checks() == []


def test_every_id_is_in_the_table():
    table, code = Path(live.checks.__file__).read_text().split('"""', 2)[1:]

    assert re.findall(r"^live\.[EW]\d{3}", table, re.MULTILINE) == sorted(set(re.findall(r"live\.[EW]\d{3}", code)))


# The LIVE dictionary


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"HANDLERS": {"a": "no.such.Thing"}}, "live.E001"),
        ({"HANDLERS": {"a": "django.db.models.Model"}}, "live.E001"),
        ({"MAX_CONNECTIONS": "1"}, "live.E002"),
        ({"NOPE": "1"}, "live.E003"),
        ({"PLUGINS": {"a": "no.such.Thing"}}, "live.E006"),
        ({"PLUGINS": {"a": "django.db.models.Model"}}, "live.E006"),
        ({"PLUGINS": {"a/b": "no.such.Thing"}}, "live.E002"),
        ({"DATA_SOURCES": {"a": {"plugin": "nothing-like-it"}}}, "live.E007"),
        ({"DATA_SOURCES": {"a": {"plugni": "testdata"}}}, "live.E002"),
    ],
)
def test_wrong_settings_are_found(raw, expected):
    with override_settings(LIVE=raw):
        assert ids(live.checks.check_settings(None)) == {expected}


def test_a_plugin_near_the_one_that_is_not_there_is_named():
    with override_settings(LIVE={"DATA_SOURCES": {"a": {"plugin": "tesdata"}, "b": {"plugin": "xyz"}}}):
        near, none = live.checks.check_settings(None)
    assert near.msg == "LIVE['DATA_SOURCES']['a'] names the plugin 'tesdata', which there is not."
    assert near.hint == "Did you mean 'testdata'?"
    assert none.hint.startswith("Known plugins: ")
    assert "testdata" in none.hint


def test_sound_plugins_and_data_sources_pass():
    class Plugin(live.StreamPlugin):
        """A plugin."""

    plugins = {"mine": Plugin, "host": None}
    sources = {"a": {"plugin": "mine", "settings": {"x": 1}, "name": "A", "permission": "auth.view_user"}}
    with override_settings(LIVE={"PLUGINS": plugins, "DATA_SOURCES": sources}):
        assert live.checks.check_settings(None) == []
    with override_settings(LIVE={"PLUGINS": plugins, "DATA_SOURCES": {"a": {"plugin": "host"}}}):
        assert ids(live.checks.check_settings(None)) == {"live.E007"}


def test_sound_handlers_pass():
    with override_settings(LIVE={"HANDLERS": {"a": Handler, "stream": None}}):
        assert live.checks.check_settings(None) == []


# The server


def test_the_server(monkeypatch):
    with override_settings(ASGI_APPLICATION=None):
        assert ids(live.checks.check_server(None)) == {"live.W003"}
    monkeypatch.setattr(live.checks, "version", lambda name: "4.2.1")
    assert ids(live.checks.check_server(None)) == {"live.W002"}


# The layer


def found(backend=PUBSUB, **config):
    """The messages about a layer."""
    layer = {"BACKEND": backend, **({"CONFIG": config} if config else {})}
    with override_settings(CHANNEL_LAYERS={"default": layer}):
        return live.checks.check_layer(None)


SOUND = [
    {},
    {"hosts": ["redis://127.0.0.1:6379/0"]},
    {"hosts": [f"rediss://me:{SECRET}@redis.example:6380/1"], "prefix": "site-a.live:x/1_y"},
    {"hosts": ["unix:///run/redis.sock"]},
    {"hosts": [("127.0.0.1", 6379), ("127.0.0.2", 6379)]},
    {"hosts": [{"sentinels": [("a", 26379)], "master_name": "live", "password": SECRET}]},
    {"hosts": ["redis://127.0.0.1"], "serializer_format": "json"},
]


@pytest.mark.parametrize("config", SOUND)
def test_a_pubsub_layer_on_redis_passes(config):
    assert found(**config) == []


def test_the_layer_of_one_process_passes_and_is_named_before_a_deployment():
    with override_settings(CHANNEL_LAYERS={}):
        assert live.checks.check_layer(None) == []
        with override_settings(DEBUG=False):
            assert ids(live.checks.check_deployment(None)) == {"live.W001"}
        with override_settings(DEBUG=True):
            assert live.checks.check_deployment(None) == []
    with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": PUBSUB}}, DEBUG=False):
        assert live.checks.check_deployment(None) == []


def test_a_layer_that_is_not_on_redis_has_no_store_beside_it():
    (message,) = found("rabbit.Layer", whatever=1)

    assert message.id == "live.W004"
    assert "rabbit.Layer" in message.msg
    assert PUBSUB in message.hint


def test_the_core_layer_is_named_with_the_better_one():
    (message,) = found(CORE, hosts=["redis://127.0.0.1"], capacity=500)

    assert message.id == "live.W005"
    assert PUBSUB in message.hint


def test_an_alias_without_a_layer():
    with override_settings(LIVE={"CHANNEL_LAYER": "other"}, CHANNEL_LAYERS={"default": {"BACKEND": PUBSUB}}):
        (message,) = live.checks.check_layer(None)
    assert message.id == "live.E005"
    assert "'other'" in message.msg


def test_only_the_layer_that_is_used_is_looked_at():
    layers = {"default": {"BACKEND": CORE}, "live": {"BACKEND": PUBSUB}}
    with override_settings(LIVE={"CHANNEL_LAYER": "live"}, CHANNEL_LAYERS=layers):
        assert live.checks.check_layer(None) == []


WRONG_HOSTS = {
    "hosts must be a list": f"redis://:{SECRET}@a",
    "hosts[0]['address'] is not a URL": [f"http://:{SECRET}@a"],
    "hosts[1] must be (host, port)": [("a", 1), ("a",)],
    "hosts[0]['sentinels'] must be a list": [{"master_name": "live", "password": SECRET}],
    "hosts[0]['paswort']": [{"host": "a", "paswort": SECRET}],
}


@pytest.mark.parametrize("text", WRONG_HOSTS)
def test_hosts_that_the_store_cannot_use(text):
    for backend in (PUBSUB, CORE):
        messages = found(backend, hosts=WRONG_HOSTS[text])

        (message,) = (each for each in messages if each.level >= checks.ERROR)
        assert message.id == "live.E004"
        assert message.msg.startswith("CHANNEL_LAYERS['default']['CONFIG']: ")
        assert text in message.msg
        assert SECRET not in str(messages)


def test_a_config_that_is_none():
    with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": PUBSUB, "CONFIG": ["redis://a"]}}):
        assert ids(live.checks.check_layer(None)) == {"live.E004"}


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("host", "Did you mean 'hosts'?"),
        ("group_expiry", "the core layer"),
        ("on_reconnect", "relay_connected"),
        ("xyz", "Known keys: hosts"),
    ],
)
def test_keys_that_have_no_effect(key, hint):
    (message,) = found(**{key: SECRET})

    assert message.id == "live.W007"
    assert f"[{key!r}] has no effect" in message.msg
    assert hint in message.hint
    assert SECRET not in str(message)


@pytest.mark.parametrize("prefix", ["", "site a", "site*", "{site}", "sité", "a\n"])
def test_prefixes_that_make_trouble(prefix):
    assert ids(found(prefix=prefix)) == {"live.W008"}


def test_a_prefix_that_is_no_text():
    assert ids(found(prefix=b"a")) == {"live.E004"}


def test_a_layer_that_encrypts():
    (message,) = found(symmetric_encryption_keys=[SECRET])

    assert message.id == "live.W009"
    assert SECRET not in str(message)


UNLIMITED = {"address": "redis://127.0.0.1", "socket_timeout": None}


@pytest.mark.parametrize(
    ("release", "hosts", "expected"),
    [
        ("8.1.0", None, {"live.W006"}),
        ("8.1.0", ["redis://127.0.0.1"], {"live.W006"}),
        ("8.1.0", [{"address": "redis://127.0.0.1"}], {"live.W006"}),
        ("8.1.0", [{"address": "redis://127.0.0.1", "socket_timeout": 5}], {"live.W006"}),
        ("10.0.0", [UNLIMITED, ("127.0.0.1", 6380)], {"live.W006"}),
        ("8.1.0", [UNLIMITED], set()),
        ("7.4.1", ["redis://127.0.0.1"], set()),
    ],
)
def test_the_timeout_of_redis_py(monkeypatch, release, hosts, expected):
    monkeypatch.setattr(live.checks, "version", lambda name: release)
    assert ids(found(hosts=hosts)) == expected
