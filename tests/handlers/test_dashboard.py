"""Dashboard changes: from a save to an event, whoever saves and however; and who may watch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db import transaction
from django.utils import timezone

import live
from live.exceptions import EngineUnavailable
from live.handlers import find_handler
from live.handlers.dashboard import _watched, unwatch_dashboards
from live.node import runtime, serve
from live.signals import dashboard_changed
from project.dashboards.models import Dashboard
from tests.peers import Recorder, until

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.django_db(transaction=True)


def channel(uid):
    return live.Channel("grafana", "dashboard", f"uid/{uid}")


@pytest.fixture
async def watch():
    """Subscribes to a dashboard's channel on the serving node."""
    node = await serve()

    async def start(uid="abc"):
        recorder = Recorder()
        subscription, state, _ = await node.subscribe(channel(uid), recorder, find_handler(channel(uid)).options)
        node.release(subscription, state.position)
        return recorder

    yield start
    await runtime.stop_serving()


def save(uid="abc", **fields):
    dashboard, _ = Dashboard.objects.update_or_create(uid=uid, defaults={"title": "T", **fields})
    return dashboard


async def test_a_save_and_a_delete_become_events(watch):
    recorder = await watch()
    dashboard = await sync_to_async(save)()
    await recorder.wait(1)
    assert recorder.data[0] == {"uid": "abc", "action": "saved", "version": dashboard.version}
    await sync_to_async(dashboard.delete)()
    await recorder.wait(2)
    assert recorder.data[1] == {"uid": "abc", "action": "deleted"}


async def test_a_save_with_async_orm_methods_becomes_an_event(watch):
    recorder = await watch()
    await Dashboard(uid="abc", title="T").asave()
    await recorder.wait(1)


async def test_the_event_comes_with_the_commit_and_never_after_a_rollback(watch):
    recorder = await watch()

    def roll_back():
        with transaction.atomic():
            save(title="never")
            transaction.set_rollback(True)

    def commit():
        with transaction.atomic():
            save(title="held back")
            return len(recorder.messages)

    await sync_to_async(roll_back)()
    assert await sync_to_async(commit)() == 0
    await recorder.wait(1)
    assert len(recorder.messages) == 1


async def test_the_event_tells_who_and_from_which_tab(watch):
    recorder = await watch()
    user = User(username="ann", first_name="Ann", last_name="Lee")

    def change():
        with live.changed_by(user=user, session_id="tab1"):
            save()
        with live.changed_by(user=AnonymousUser()):
            save()

    await sync_to_async(change)()
    await recorder.wait(2)
    assert recorder.data[0]["user"] == {"name": "Ann Lee"}
    assert recorder.data[0]["sessionId"] == "tab1"
    assert not {"user", "sessionId"} & set(recorder.data[1])


async def test_the_signal_works_from_async_code_and_from_sync_code(watch):
    recorder = await watch("other")
    dashboard_changed.send(sender=None, uid="other", action="saved", version=3)
    await recorder.wait(1)
    await dashboard_changed.asend(sender=None, uid="other", action="deleted")
    await recorder.wait(2)
    await sync_to_async(dashboard_changed.send)(sender=None, uid="other", action="saved", user=User(username="bob"))
    await recorder.wait(3)
    assert recorder.data == [
        {"uid": "other", "action": "saved", "version": 3},
        {"uid": "other", "action": "deleted"},
        {"uid": "other", "action": "saved", "user": {"name": "bob"}},
    ]


def test_wrong_arguments_of_the_signal_are_refused():
    with pytest.raises(ValueError, match="saved, deleted"):
        dashboard_changed.send(sender=None, uid="x", action="burned")
    with pytest.raises(live.InvalidChannel):
        dashboard_changed.send(sender=None, uid="ä", action="saved")


def test_a_uid_that_no_channel_can_carry_is_logged_and_saved(caplog):
    Dashboard(uid="not a uid", title="T").save()
    assert Dashboard.objects.filter(uid="not a uid").exists()
    assert "no event for dashboards.Dashboard 'not a uid'" in caplog.text


def test_fixtures_are_not_announced(caplog):
    Dashboard(uid="not a uid", title="T", updated_at=timezone.now()).save_base(raw=True)
    assert "no event" not in caplog.text


async def down(*args, **kwargs):
    raise EngineUnavailable("redis is down")


async def test_an_engine_that_is_down_never_breaks_a_save(caplog, monkeypatch):
    node = await serve()
    monkeypatch.setattr(node.relay, "send", down)
    try:
        await sync_to_async(save)()
        dashboard_changed.send(sender=None, uid="abc", action="saved")
        await until(lambda: caplog.text.count("was not announced") >= 2)
    finally:
        await runtime.stop_serving()
    assert await Dashboard.objects.filter(uid="abc").aexists()


def test_a_transaction_kept_by_hand_does_not_break_the_save():
    transaction.set_autocommit(False)
    try:
        save()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)


def test_a_plain_script_and_a_command_can_save(tmp_path):
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "LIVE_VAR": str(tmp_path)}
    script = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from project.dashboards.models import Dashboard
Dashboard.objects.create(uid="abc", title="T")
Dashboard.objects.get().delete()
"""
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, timeout=50, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.fixture
def rules():
    """Watches the demo's model with other rules for one test."""
    before = _watched[Dashboard]
    yield lambda **kwargs: live.watch_dashboards(Dashboard, **kwargs)
    unwatch_dashboards(Dashboard)
    live.watch_dashboards(Dashboard, can_view=before.can_view, can_edit=before.can_edit)


async def allowed(user, uid="abc", what="can_subscribe"):
    target = channel(uid)
    return await getattr(find_handler(target), what)(user, target, None)


async def test_by_default_djangos_permissions_decide(rules):
    rules()
    await sync_to_async(save)()
    user = await User.objects.acreate_user("ann")
    assert not await allowed(user)
    assert not await allowed(AnonymousUser())
    await user.user_permissions.aadd(await Permission.objects.aget(codename="view_dashboard"))
    assert await allowed(await User.objects.aget(username="ann"))
    with pytest.raises(live.NotFound):
        await allowed(user, what="can_publish")


async def test_rules_are_functions_or_coroutine_functions(rules):
    await sync_to_async(save)()
    user = User(username="ann")

    async def edit(user, dashboard):
        return dashboard.uid == "abc"

    # A plain function may use the ORM.
    rules(can_view=lambda user, dashboard: Dashboard.objects.filter(uid=dashboard.uid).exists(), can_edit=edit)
    assert await allowed(user)
    assert await allowed(user, what="can_publish")


@pytest.mark.parametrize("path", ["uid/nobody", "uid/", "uid/a/b", "gitops", "other/abc"])
async def test_what_is_no_dashboard_is_not_found(path):
    if path == "uid/":
        path = "uid"
    target = live.Channel("grafana", "dashboard", path)
    with pytest.raises(live.NotFound):
        await find_handler(target).can_subscribe(AnonymousUser(), target, None)


async def test_initial_data_tells_the_version(rules):
    dashboard = await sync_to_async(save)()
    handler = find_handler(channel("abc"))
    expected = {"uid": "abc", "version": dashboard.version}
    assert await handler.initial_data(AnonymousUser(), channel("abc"), None) == expected
    rules(version=None)
    assert await handler.initial_data(AnonymousUser(), channel("abc"), None) == {"uid": "abc"}


async def test_clients_may_announce_that_they_edit_and_nothing_else():
    handler = find_handler(channel("abc"))
    user = User(username="ann")
    event = await handler.clean(
        user, channel("abc"), {"uid": "abc", "action": "editing-started", "sessionId": "t" * 99, "x": 1}
    )
    assert event == {"uid": "abc", "action": "editing-started", "user": {"name": "ann"}, "sessionId": "t" * 64}
    for data in (None, "x", {"uid": "abc", "action": "saved"}, {"uid": "other", "action": "editing-started"}):
        with pytest.raises(live.BadData):
            await handler.clean(user, channel("abc"), data)


async def test_who_looks_at_a_dashboard_is_known_by_name_and_visitors_are_not():
    handler = find_handler(channel("abc"))
    assert handler.presence
    assert handler.join_leave
    ann = User(username="ann", first_name="Ann", last_name="Lee")
    assert await handler.member_info(ann, channel("abc")) == {"name": "Ann Lee"}
    assert await handler.member_info(User(username="bob"), channel("abc")) == {"name": "bob"}
    assert await handler.member_info(AnonymousUser(), channel("abc")) is None


def test_watching_a_model_without_the_fields_is_refused():
    from django.core.exceptions import FieldDoesNotExist

    with pytest.raises(FieldDoesNotExist):
        live.watch_dashboards(User)


async def test_broadcasts_are_for_all_and_by_those_who_are_logged_in():
    target = live.Channel("grafana", "broadcast", "x")
    handler = find_handler(target)
    assert await handler.can_subscribe(AnonymousUser(), target, None)
    assert not await handler.can_publish(AnonymousUser(), target, None)
    assert await handler.can_publish(User(username="ann"), target, None)
    assert handler.options.keep_last
