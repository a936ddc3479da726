"""Which plugin has which id, and that one that is wrong costs nobody else."""

import logging
import sys
from importlib.metadata import EntryPoint

import pytest
from django.core.exceptions import ImproperlyConfigured

import live
from live.plugins import registry
from live.plugins.registry import find_plugin, load_plugin, plugin_ids, register_plugin, unregister_plugin


class One(live.StreamPlugin):
    """A plugin."""


class Two(live.StreamPlugin):
    """Another."""


class Broken(live.StreamPlugin):
    """Cannot be made."""

    def __init__(self):
        raise RuntimeError("no such device")


@pytest.fixture(autouse=True)
def clean():
    yield
    unregister_plugin("one")
    unregister_plugin("host")


@pytest.fixture
def installed(monkeypatch):
    """Pretends that packages offer these plugins."""

    def install(**points):
        found = [EntryPoint(name, value, "live.plugins") for name, value in points.items()]
        monkeypatch.setattr(registry, "_installed", None)
        monkeypatch.setattr(registry, "entry_points", lambda group: found if group == "live.plugins" else [])
        registry._forget()

    yield install
    registry._forget()


def test_a_plugin_is_registered_by_decorator_or_call():
    assert register_plugin("one")(One) is One
    plugin = find_plugin("one")
    assert type(plugin) is One
    assert find_plugin("one") is plugin
    register_plugin("one", Two)
    assert type(find_plugin("one")) is Two


def test_a_plugin_stays_the_same_object_while_others_come_and_go(settings):
    register_plugin("one", One)
    plugin = find_plugin("one")
    register_plugin("host", Two)
    settings.LIVE = {"PLUGINS": {"path": f"{__name__}.Two"}}
    assert find_plugin("one") is plugin
    register_plugin("one", One)
    assert find_plugin("one") is not plugin


def test_unregistered_ids_are_not_found():
    with pytest.raises(live.NotFound, match="no plugin nothing"):
        find_plugin("nothing")


def test_the_built_in_ones_are_there():
    assert {"testdata", "host"} <= set(plugin_ids())


def test_the_later_source_wins(installed, settings):
    installed(host=f"{__name__}:One", extra=f"{__name__}:One")
    assert type(find_plugin("host")) is One
    register_plugin("host", Two)
    assert type(find_plugin("host")) is Two
    settings.LIVE = {"PLUGINS": {"host": One, "extra": None, "path": f"{__name__}.Two"}}
    assert type(find_plugin("host")) is One
    assert type(find_plugin("path")) is Two
    assert "extra" not in plugin_ids()
    with pytest.raises(live.NotFound):
        find_plugin("extra")


def test_a_broken_entry_point_is_logged_once_and_left_out(installed, caplog):
    installed(good=f"{__name__}:One", bad="no.such.module:Plugin", other=f"{__name__}:Broken", plain="json:loads")
    for _ in range(3):
        for plugin_id in ("bad", "other", "plain"):
            with pytest.raises(live.NotFound):
                find_plugin(plugin_id)
    assert type(find_plugin("good")) is One
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.live_plugin for record in errors] == ["bad", "other", "plain"]
    assert "no such device" in errors[1].message
    assert "no subclass of live.StreamPlugin" in errors[2].message


def test_an_entry_point_that_raises_when_it_is_imported(installed, tmp_path, monkeypatch, caplog):
    (tmp_path / "raises_at_import.py").write_text("raise SystemError('half installed')")
    monkeypatch.syspath_prepend(tmp_path)
    installed(half="raises_at_import:Plugin")
    with pytest.raises(live.NotFound):
        find_plugin("half")
    assert "half installed" in caplog.text
    assert "raises_at_import" not in sys.modules


def test_an_entry_point_whose_id_no_channel_can_have(installed, caplog):
    installed(**{"a/b": f"{__name__}:One", "good": f"{__name__}:One"})
    assert "a/b" not in plugin_ids()
    assert type(find_plugin("good")) is One
    assert "letters, digits" in caplog.text


@pytest.mark.parametrize("plugin_id", ["", "a/b", "a b", "ä", None])
def test_ids_no_channel_can_have_are_refused(plugin_id):
    with pytest.raises(ValueError, match="letters, digits"):
        register_plugin(plugin_id, One)


@pytest.mark.parametrize("value", [dict, One(), "tests"])
def test_what_is_no_plugin_is_refused(value):
    with pytest.raises(TypeError, match=r"subclass of live\.StreamPlugin"):
        register_plugin("one", value)


@pytest.mark.parametrize(
    ("value", "text"), [("no.such.Thing", "cannot be imported"), ("json.loads", "no subclass of live.StreamPlugin")]
)
def test_loading_says_why_not(value, text):
    with pytest.raises(ImproperlyConfigured, match=text):
        load_plugin(value)
