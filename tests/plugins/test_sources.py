"""Data sources: where they come from, who may query them, and which messages follow a change."""

import threading

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.exceptions import FieldDoesNotExist
from django.db import transaction
from django.test import override_settings

import live
from live.node.control import ControlMessage
from live.notices import Notices
from live.plugins import sources
from live.plugins.sources import find_source, find_source_settings, list_sources

pytestmark = pytest.mark.django_db
COMMITS = pytest.mark.django_db(transaction=True)

NOBODY = AnonymousUser()


@pytest.fixture(autouse=True)
def none_of_the_site(monkeypatch, settings):
    """Only what a test says."""
    monkeypatch.setattr(sources, "_watched", {})
    monkeypatch.setattr(sources, "_failures", sources.Failures(sources.logger))
    settings.LIVE = {}


@pytest.fixture
def watch():
    """Makes groups data sources: their name is the uid."""

    def start(**rules):
        rules = {"plugin": lambda group: "numbers", "settings": lambda group: {"key": group.pk}, **rules}
        live.watch_data_sources(Group, uid="name", **rules)

    yield start
    live.unwatch_data_sources(Group)


@pytest.fixture
def sent(monkeypatch):
    """The control messages that were handed over; they go out when they are read, and then all together."""
    messages = []
    reading = threading.Event()

    class Waiting(Notices):
        def _work(self):
            reading.wait()
            super()._work()

    waiting = Waiting(messages.append)
    monkeypatch.setattr(sources, "notices", waiting)

    def read():
        reading.set()
        waiting.join()
        reading.clear()
        found, messages[:] = messages[:], []
        return found

    yield read
    reading.set()
    waiting.join()


def user_with(*codenames):
    user = User.objects.create_user("ann")
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def ask(coroutine):
    # Unlike asyncio.run, what asks the database does so in this thread, in the test's transaction.
    async def answer():
        return await coroutine

    return async_to_sync(answer)()


def changed(uid, reason=""):
    return ControlMessage("source", reason=reason, source=uid)


# Settings

CONFIGURED = {
    "open": {"plugin": "numbers", "settings": {"a": 1}, "name": "For all"},
    "closed": {"plugin": "numbers", "permission": "auth.view_group"},
}


def test_those_of_the_settings():
    with override_settings(LIVE={"DATA_SOURCES": CONFIGURED}):
        user = user_with()
        found = ask(find_source("open", user))
        assert found == live.DataSource("open", "numbers", {"a": 1}, "For all")
        assert ask(find_source_settings("closed")) == live.DataSource("closed", "numbers", {}, "")
        with pytest.raises(live.Forbidden):
            ask(find_source("open", NOBODY))
        with pytest.raises(live.Forbidden):
            ask(find_source("closed", user))
        with pytest.raises(live.NotFound):
            ask(find_source("nothing", user))
        assert ask(find_source_settings("nothing")) is None
        assert [source.uid for source in ask(list_sources(user))] == ["open"]
        assert ask(list_sources(NOBODY)) == []


def test_a_permission_of_the_settings_is_asked():
    with override_settings(LIVE={"DATA_SOURCES": CONFIGURED}):
        user = user_with("view_group")
        assert ask(find_source("closed", user)).uid == "closed"
        assert [source.uid for source in ask(list_sources(user))] == ["open", "closed"]


# Models


def test_rows_of_a_model(watch):
    watch(name="name")
    group = Group.objects.create(name="g1")
    user = user_with("view_group")
    assert ask(find_source("g1", user)) == live.DataSource("g1", "numbers", {"key": group.pk}, "g1")
    assert ask(find_source_settings("g1")).settings == {"key": group.pk}
    with pytest.raises(live.NotFound, match="no data source g2"):
        ask(find_source("g2", user))
    assert ask(find_source_settings("g2")) is None


def test_without_a_rule_djangos_view_permission_decides(watch):
    watch()
    Group.objects.create(name="g1")
    user = user_with()
    with pytest.raises(live.Forbidden):
        ask(find_source("g1", user))
    assert ask(list_sources(user)) == []
    user.user_permissions.add(Permission.objects.get(codename="view_group"))
    user = User.objects.get(pk=user.pk)
    assert ask(find_source("g1", user)).uid == "g1"
    assert [source.uid for source in ask(list_sources(user))] == ["g1"]


def in_a_function(user, group):
    # Reads the database, as rules do.
    return user.groups.filter(pk=group.pk).exists()


async def in_a_coroutine(user, group):
    return await user.groups.filter(pk=group.pk).aexists()


@pytest.mark.parametrize("rule", [in_a_function, in_a_coroutine])
def test_rules_are_functions_or_coroutine_functions(watch, rule):
    watch(can_query=rule)
    user = user_with()
    Group.objects.create(name="foreign")
    user.groups.add(Group.objects.create(name="own"))
    assert ask(find_source("own", user)).uid == "own"
    with pytest.raises(live.Forbidden):
        ask(find_source("foreign", user))
    assert [source.uid for source in ask(list_sources(user))] == ["own"]


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_a_rule_that_raises_hides_only_its_rows(watch, caplog, is_coroutine):
    def rule(user, group):
        if group.name == "bad":
            raise KeyError("rule")
        return True

    async def slow_rule(user, group):
        return rule(user, group)

    watch(can_query=slow_rule if is_coroutine else rule)
    for name in ("a", "bad", "c"):
        Group.objects.create(name=name)
    with pytest.raises(KeyError):
        ask(find_source("bad", NOBODY))
    assert [source.uid for source in ask(list_sources(NOBODY))] == ["a", "c"]
    assert "the can_query of the data sources auth.Group failed" in caplog.text


def settings_as_text(group):
    return SECRET


SECRET = "pass" + "word=1"


@pytest.mark.parametrize("settings_of", [settings_as_text, lambda group: group.nothing])
def test_one_that_cannot_be_read_is_logged_and_hides_only_itself(watch, caplog, settings_of):
    watch(can_query=lambda *pair: True, settings=lambda group: settings_of(group) if group.name == "bad" else None)
    for name in ("a", "bad"):
        Group.objects.create(name=name)
    with pytest.raises(live.PluginFailed, match="data source bad cannot be read"):
        ask(find_source("bad", NOBODY))
    with pytest.raises(live.PluginFailed):
        ask(find_source_settings("bad"))
    assert ask(find_source_settings("a")).settings == {}
    assert [source.uid for source in ask(list_sources(NOBODY))] == ["a"]
    assert len([record for record in caplog.records if "auth.Group bad cannot be read" in record.message]) == 1
    assert SECRET not in caplog.text


def test_a_uid_that_is_no_value_of_the_field_is_not_found(watch):
    live.watch_data_sources(Group, uid="pk", plugin=lambda group: "numbers", settings=lambda group: {})
    group = Group.objects.create(name="g")
    assert ask(find_source_settings("abc")) is None
    assert ask(find_source_settings(str(group.pk))).uid == str(group.pk)


def test_the_settings_win_over_the_model(watch):
    watch(can_query=lambda user, group: True)
    Group.objects.create(name="open")
    user = user_with()
    with override_settings(LIVE={"DATA_SOURCES": CONFIGURED}):
        assert ask(find_source("open", user)).settings == {"a": 1}
        (found,) = ask(list_sources(user))
        assert found.settings == {"a": 1}


def test_a_uid_no_channel_can_have_is_left_out(watch, caplog):
    watch(can_query=lambda user, group: True)
    Group.objects.create(name="not a uid")
    Group.objects.create(name="uid")
    assert [source.uid for source in ask(list_sources(NOBODY))] == ["uid"]
    assert "letters, digits" in caplog.text


@pytest.mark.parametrize("rule", [lambda user, group: True, in_a_coroutine, None])
def test_the_list_has_a_limit(watch, monkeypatch, rule):
    monkeypatch.setattr(sources, "MAX_LISTED", 3)
    monkeypatch.setattr(sources, "MAX_LOOKED_AT", 6)
    watch(can_query=rule)
    user = user_with("view_group")
    user.groups.set([Group.objects.create(name=f"g{number}") for number in range(9)])
    assert [source.uid for source in ask(list_sources(user))] == ["g0", "g1", "g2"]


def test_a_list_looks_at_so_many_rows(watch, monkeypatch):
    monkeypatch.setattr(sources, "MAX_LOOKED_AT", 4)
    asked = []
    watch(can_query=lambda user, group: asked.append(group.name))
    Group.objects.bulk_create(Group(name=f"g{number}") for number in range(9))
    assert ask(list_sources(NOBODY)) == []
    assert asked == ["g0", "g1", "g2", "g3"]


def test_fields_are_checked_when_the_model_is_named():
    for wrong in ({"uid": "nothing"}, {"settings": "nothing"}, {"plugin": "nothing"}, {"name": "nothing"}):
        with pytest.raises(FieldDoesNotExist):
            live.watch_data_sources(Group, **{"uid": "name", "plugin": "name", "settings": "name", **wrong})
    assert sources._watched == {}


# Changes


@COMMITS
def test_a_change_is_told_after_the_commit(watch, sent):
    watch()
    group = Group.objects.create(name="g")
    assert sent() == []
    with transaction.atomic():
        group.save()
        group.save()
        assert sent() == []
    assert sent() == [changed("g")]
    group.delete()
    assert sent() == [changed("g", "deleted")]


@COMMITS
def test_a_rollback_tells_nothing(watch, sent):
    watch()
    group = Group.objects.create(name="g")
    with transaction.atomic():
        group.save()
        transaction.set_rollback(True)
    assert sent() == []


@COMMITS
def test_fixtures_and_other_models_tell_nothing(watch, sent):
    watch()
    group = Group.objects.create(name="g")
    group.save_base(raw=True)
    user_with().save()
    assert sent() == []


@COMMITS
def test_a_proxy_is_the_same_data_source(watch, sent):
    meta = type("Meta", (), {"proxy": True, "app_label": "auth"})
    proxy = type("ProxyGroup", (Group,), {"__module__": __name__, "Meta": meta})
    try:
        watch()
        group = proxy.objects.create(name="g")
        group.save()
        assert sent() == [changed("g")]
    finally:
        live.unwatch_data_sources(Group)
        del apps.all_models["auth"]["proxygroup"]
        apps.clear_cache()


@COMMITS
def test_a_model_is_watched_once_and_until_it_is_taken_back(watch, sent):
    watch()
    watch()
    group = Group.objects.create(name="g")
    group.save()
    assert sent() == [changed("g")]
    live.unwatch_data_sources(Group)
    live.unwatch_data_sources(Group)
    group.save()
    assert sent() == []
    with pytest.raises(live.NotFound):
        ask(find_source("g", NOBODY))


@COMMITS
def test_a_save_in_async_code_is_told_too(watch, sent):
    watch()

    async def change():
        group = await Group.objects.acreate(name="g")
        await group.asave()

    ask(change())
    assert sent() == [changed("g")]


def test_the_message_travels():
    message = changed("g", "deleted")
    assert ControlMessage.read(message.body()) == message
    assert not message.concerns("1", "session", "client")
