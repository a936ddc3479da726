"""What docs/plugins.md shows does what it says there: its blocks are run, one after the other, in one namespace."""

import re
import sys
import tomllib
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.test import override_settings

import live
from live.plugins.registry import find_plugin, load_plugin, unregister_plugin
from live.plugins.sources import find_source, unwatch_data_sources
from project.sources.models import DataSource

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "plugins.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
REGISTERED = ("greenhouse", "vault", "board", "probe", "clock")


@pytest.fixture(scope="module")
def page():
    """The namespace after all Python blocks, with the ``LIVE`` of each block that has one in ``settings``."""
    module = types.ModuleType("greenhouse.plugins")
    models = types.ModuleType("greenhouse.models")
    models.Probe = DataSource
    names = {"greenhouse": types.ModuleType("greenhouse"), "greenhouse.plugins": module, "greenhouse.models": models}
    sys.modules.update(names)
    settings = []
    for number, (language, text) in enumerate(BLOCKS):
        if language == "python":
            exec(compile(text, f"docs/plugins.md, block {number + 1}", "exec"), vars(module))
            if "LIVE" in vars(module):
                settings.append(vars(module).pop("LIVE"))
    module.settings = settings
    yield module
    for plugin_id in REGISTERED:
        unregister_plugin(plugin_id)
    for name in names:
        del sys.modules[name]


def ask(channel, **values):
    return live.StreamRequest(live.Channel.parse(channel), **values)


@pytest.fixture
def no_pauses(page, monkeypatch):
    """The plugins of the page do not wait."""

    async def at_once(seconds):
        return None

    monkeypatch.setattr(page.asyncio, "sleep", at_once)


def test_every_block_is_of_a_kind_that_is_run_here():
    assert {language for language, _ in BLOCKS} == {"python", "toml"}
    assert sum(language == "toml" for language, _ in BLOCKS) == 1


async def test_the_tests_of_the_page_pass(page, no_pauses):
    tests = [value for name, value in vars(page).items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        await test()


async def test_the_first_plugin(page):
    with override_settings(LIVE=page.settings[0]):
        plugin = find_plugin("greenhouse")
        assert type(plugin) is page.Greenhouse
        answer = await plugin.subscribe_stream(ask("plugin/greenhouse/temperature"))
        (offer,) = plugin.offers(None)
        assert answer.data.schema_json() == offer.schema.schema_json()
    assert type(find_plugin("greenhouse")) is page.Greenhouse  # by the decorator


def test_the_entry_point(page):
    (text,) = (text for language, text in BLOCKS if language == "toml")
    ((group, points),) = tomllib.loads(text)["project"]["entry-points"].items()
    ((name, value),) = points.items()
    assert load_plugin(EntryPoint(name, value, group)) is page.Greenhouse
    assert (group, name) == ("live.plugins", "greenhouse")


async def test_the_async_generator(page):
    values = page.Ticks().run_stream(ask("plugin/ticks/x"))
    assert await anext(values) == {"tick": 0}
    await values.aclose()


@pytest.mark.django_db
def test_the_plain_generator(page):
    values = page.Users().run_stream(ask("plugin/users/x"))
    assert next(values) == {"users": User.objects.count()}
    values.close()


@pytest.mark.django_db(transaction=True)
async def test_who_may_watch(page):
    user = await User.objects.acreate(username="gardener")
    channel = "plugin/vault/temperature"
    vault = find_plugin("vault")
    for each in (AnonymousUser(), user):
        answer = await vault.subscribe_stream(ask(channel, user=each))
        assert (answer.status, answer.message) == (live.StreamStatus.PERMISSION_DENIED, "for the gardeners")
    push = await Permission.objects.aget(codename="push", content_type__app_label="live")
    await user.user_permissions.aadd(push)
    user = await User.objects.aget(pk=user.pk)
    assert (await vault.subscribe_stream(ask(channel, user=user))).status is live.StreamStatus.OK


async def test_publishing(page):
    board = find_plugin("board")
    channel = "plugin/board/x"
    assert (await board.subscribe_stream(ask(channel, user=AnonymousUser()))).status is live.StreamStatus.OK
    answer = await board.publish_stream(ask(channel, user=AnonymousUser(), data="hello"))
    assert answer.status is live.StreamStatus.PERMISSION_DENIED
    answer = await board.publish_stream(ask(channel, user=User(username="anna"), data="x" * 900))
    assert answer.data == {"from": "anna", "text": "x" * 500}
    with pytest.raises(live.BadData, match="a message is a text"):
        await board.publish_stream(ask(channel, user=User(username="anna"), data={}))


@pytest.mark.django_db(transaction=True)
async def test_data_sources_of_the_settings(page, no_pauses):
    user = await User.objects.acreate(username="anna")
    with override_settings(LIVE=page.settings[1]):
        source = await find_source("north", user)
        assert (source.plugin, source.name) == ("probe", "The northern house")
        with pytest.raises(live.Forbidden):
            await find_source("north", AnonymousUser())
        with pytest.raises(live.Forbidden):
            await find_source("south", user)
    sender = page.Collector()
    with pytest.raises(page.asyncio.CancelledError):
        await find_plugin("probe").run_stream(ask("ds/north/temperature", source=source), sender)
    assert sender.values[0].fields[1].values == [22.0]


@pytest.mark.django_db(transaction=True)
async def test_data_sources_of_a_model(page):
    user = await User.objects.acreate(username="anna")
    await DataSource.objects.acreate(uid="west", name="West", plugin="probe", settings={"offset": 1.0})
    unwatch_data_sources(DataSource)
    try:
        with pytest.raises(live.NotFound):
            await find_source("west", user)
        page.GreenhouseConfig.ready(None)
        with pytest.raises(live.Forbidden):
            await find_source("west", user)
        permission = await Permission.objects.aget(codename="view_datasource")
        await user.user_permissions.aadd(permission)
        source = await find_source("west", await User.objects.aget(pk=user.pk))
        assert (source.plugin, source.settings, source.name) == ("probe", {"offset": 1.0}, "West")
    finally:
        apps.get_app_config("sources").ready()


async def test_a_stricter_plugin_in_place_of_the_built_in_one(page):
    with override_settings(LIVE=page.settings[2]):
        host = find_plugin("host")
        for user, status in (
            (AnonymousUser(), live.StreamStatus.PERMISSION_DENIED),
            (User(username="anna"), live.StreamStatus.PERMISSION_DENIED),
            (User(username="root", is_staff=True), live.StreamStatus.OK),
        ):
            assert (await host.subscribe_stream(ask("plugin/host/metrics", user=user))).status is status
        with pytest.raises(live.NotFound):
            find_plugin("testdata")
    assert find_plugin("testdata")


async def test_the_plugin_of_the_readme(page, no_pauses):
    (text,) = (
        text
        for text in re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
        if "register_plugin" in text
    )
    exec(compile(text, "README.md", "exec"), vars(page))
    clock = find_plugin("clock")
    assert (await clock.subscribe_stream(ask("plugin/clock/x"))).status is live.StreamStatus.OK
    sender = page.Collector()
    with pytest.raises(page.asyncio.CancelledError):
        await clock.run_stream(ask("plugin/clock/x"), sender)
    assert sender.values[0].keys() == {"time"}
