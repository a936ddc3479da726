"""What `doctor` finds in the settings and among the installed packages."""

import tomllib

import pytest

from live.commands.doctor import configuration
from live.commands.doctor.configuration import check_application, check_configuration
from tests.site import ROOT

PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"


@pytest.fixture
def production(settings):
    """Settings that leave nothing to say."""
    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["live.example.com"]
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": PUBSUB, "CONFIG": {"hosts": ["redis://u:secret@h:1"]}}}
    settings.LIVE = {}
    return settings


def look(host=""):
    """The findings by check; a list where there are several."""
    found = {}
    for one in [*check_configuration(host), *check_application()]:
        assert (one.fix == "") == (one.level == "ok"), one
        assert "secret" not in str(one)
        found.setdefault(one.check, []).append(one)
    return {check: ones[0] if len(ones) == 1 else ones for check, ones in found.items()}


def test_settings_that_are_well(production):
    found = look("live.example.com")

    assert list(found) == ["settings", "versions", "debug", "allowed-hosts", "layer", "application"]
    assert {one.level for one in found.values()} == {"ok"}
    assert found["settings"].found == "sound; MAX_CONNECTIONS 100, only who is logged in"
    assert found["application"].found == "project.asgi.application, live_application()"
    assert found["layer"].found == f"{PUBSUB} on h:1; names begin with 'asgi'"
    assert configuration.topology().hosts[0].label == "h:1"


def test_every_problem_of_the_settings(production):
    production.LIVE = {"MAX_CONNECTION": 1, "PING_INTERVAL": -1}

    wrong, worse = look()["settings"]
    assert {wrong.level, worse.level} == {"error"}
    assert "LIVE has no key 'MAX_CONNECTION'. (live.E003)" in wrong.found + worse.found
    assert "Did you mean 'MAX_CONNECTIONS'?" in wrong.fix + worse.fix
    # The others count with the defaults.
    assert configuration.known_settings().max_connections == 100


def test_live_that_is_off(production):
    production.LIVE = {"MAX_CONNECTIONS": 0}

    assert "Live is off" in look()["settings"].found


def test_visitors(production):
    production.LIVE = {"ALLOW_ANONYMOUS": True}

    assert "visitors too" in look()["settings"].found


# Layer


def test_a_layer_in_memory(production):
    production.CHANNEL_LAYERS = {}
    found = look()["layer"]

    assert found.level == "warning"
    assert "live.W001" in found.found
    assert configuration.topology() is None
    production.DEBUG = True
    assert "one process" in look()["layer"].found


@pytest.mark.parametrize(
    ("layers", "level", "text"),
    [
        ({"default": {"BACKEND": PUBSUB, "CONFIG": {"hosts": "redis://u:secret@h"}}}, "error", "live.E004"),
        ({"default": {"BACKEND": PUBSUB, "CONFIG": None}}, "error", "live.E004"),
        ({"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}, "warning", "live.W005"),
        ({"default": {"BACKEND": PUBSUB, "CONFIG": {"prefx": 1}}}, "warning", "live.W007"),
    ],
)
def test_layers_that_are_wrong(production, layers, level, text):
    production.CHANNEL_LAYERS = layers
    found = look()["layer"]

    assert found.level == level
    assert text in found.found
    assert (configuration.topology() is None) == (level == "error")


def test_a_layer_that_is_not_there(production):
    production.LIVE = {"CHANNEL_LAYER": "other"}

    assert "live.E005" in look()["layer"][0].found


@pytest.mark.parametrize("layers", [None, {"default": None}])
def test_no_layers_at_all(production, layers):
    production.CHANNEL_LAYERS = layers

    assert configuration.layer() == {}
    assert configuration.topology() is None


# Hosts and DEBUG


def test_debug(production):
    production.DEBUG = True

    assert look()["debug"].level == "warning"


@pytest.mark.parametrize(
    ("debug", "hosts", "host", "level"),
    [
        (False, [], "", "error"),
        (True, [], "", "ok"),
        (False, ["*"], "", "warning"),
        (True, ["*"], "", "ok"),
        (False, [".example.com"], "live.example.com", "ok"),
        (False, ["example.com"], "live.example.com", "error"),
        (False, ["[::1]"], "::1", "ok"),
    ],
)
def test_allowed_hosts(production, debug, hosts, host, level):
    production.DEBUG, production.ALLOWED_HOSTS = debug, hosts
    found = look(host)["allowed-hosts"]

    assert found.level == level
    if level == "error":
        assert f"{host or 'live.example.com'!r}" in found.fix


# Application


@pytest.mark.parametrize(
    ("path", "level", "text"),
    [
        ("django.core.asgi.get_asgi_application", "ok", "function"),
        ("nowhere.asgi.application", "error", "No module named 'nowhere'"),
        ("project.asgi.nothing", "error", "cannot be imported"),
        ("tests.commands.doctor_broken.application", "error", "cannot be imported: ValueError"),
    ],
)
def test_applications(production, path, level, text):
    production.ASGI_APPLICATION = path
    found = look()["application"]

    assert found.level == level
    assert text in found.found


def test_no_application(production):
    production.ASGI_APPLICATION = None

    assert "live.W003" in look()["application"].found


# Packages


def test_versions_are_told(production):
    for name in ("Python", "Django", "channels", "channels-redis", "redis", "daphne", "Twisted", "autobahn", "orjson"):
        assert f"{name} " in look()["versions"].found


def test_packages_that_are_missing_or_old(production, monkeypatch):
    versions = {"Django": "5.2", "channels": "4.2.1", "daphne": None, "uvicorn": None, "orjson": None}
    real = configuration._version
    monkeypatch.setattr(configuration, "_version", lambda name: versions[name] if name in versions else real(name))

    found = look()["versions"]

    assert [one.found for one in found] == [
        "there is no server for WebSockets",
        "channels is 4.2.1",
        "orjson is not installed",
    ]
    assert found[1].fix == "pip install 'channels>=4.3'"


def test_the_oldest_releases_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {**configuration.NEEDED, **configuration.NEEDED_FOR_REDIS}

    for name, oldest in needed.items():
        [written] = [entry for entry in project["dependencies"] if entry.startswith(f"{name}>")]
        assert f">={'.'.join(map(str, oldest))}" in written.split(",")[0]
