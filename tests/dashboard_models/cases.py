"""What is told of dashboards whose uid, version or class is out of the ordinary.

`tests.handlers.test_dashboard_models` has these run in a process of their own, with this folder's settings.
"""

import logging

import django
import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Concat

import live
from live.handlers import find_handler
from live.handlers.dashboard import _watched, unwatch_dashboards
from live.signals import dashboard_changed
from live.testing import Recorder

from .models import Board, BoardProxy, Note, Report, Ticket, WideBoard, WideBoardProxy

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture(autouse=True)
def nothing_watched():
    """Watches are taken back."""
    yield
    for model in list(_watched):
        unwatch_dashboards(model)


def watch(model, uid, version="version"):
    live.watch_dashboards(model, uid=uid, version=version, can_view=lambda user, dashboard: True)


@pytest.fixture
def boards():
    """Watches boards; what is published of anything."""
    watch(Board, "slug")
    with Recorder() as recorder:

        def told():
            found = [publication.data for publication in recorder.publications]
            recorder.clear()
            return found

        yield told


def saved(version=1, uid="one"):
    return {"uid": uid, "action": "saved", "version": version}


def deleted(uid="one"):
    return {"uid": uid, "action": "deleted"}


# Uids


async def may_watch(uid):
    channel = live.Channel("grafana", "dashboard", f"uid/{uid}")
    try:
        return await find_handler(channel).can_subscribe(AnonymousUser(), channel, None)
    except live.NotFound:
        return False


async def test_what_is_no_uid_of_one_model_may_be_one_of_another():
    watch(Report, "uid")
    watch(Ticket, "number", version=None)
    watch(Board, "slug")
    report = await Report.objects.acreate()
    await Ticket.objects.acreate(number=7)
    await Board.objects.acreate(slug="one")
    for uid in (report.uid, report.uid.hex, "7", "one"):
        assert await may_watch(uid)
    for uid in ("machine", "8", "9" * 40, "-1", "00000000-0000-0000-0000-000000000000"):
        assert not await may_watch(uid)


# Versions


def test_a_version_that_the_database_counts_is_told(boards):
    board = Board.objects.create(slug="one")
    assert boards() == [saved()]
    board.version = F("version") + 1
    with transaction.atomic():
        board.save()
    assert boards() == [saved(2)]


def test_it_is_read_from_the_database_it_was_saved_to(boards):
    Board.objects.create(slug="one")
    board = WideBoard.objects.using("other").create(slug="one", version=5)
    board.version = F("version") + 1
    boards()
    board.save(using="other")
    assert boards() == [saved(6)]


def test_a_uid_that_the_database_makes_is_told(boards):
    Board.objects.create(slug=Concat(Value("o"), Value("ne")))
    assert boards() == [saved()]


def test_a_version_that_cannot_be_read_costs_only_itself(boards, monkeypatch, caplog):
    board = Board.objects.create(slug="one")
    boards()

    def broken(self):
        raise DatabaseError("gone")

    monkeypatch.setattr(QuerySet, "first", broken)
    board.version = F("version") + 1
    board.save()
    if django.VERSION >= (6,):
        # Django has read it when it tells of the save.
        assert boards() == [saved(2)]
    else:
        assert boards() == [{"uid": "one", "action": "saved"}]
        assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_version_that_is_no_json_costs_only_itself(boards, caplog):
    dashboard_changed.send(sender=None, uid="one", action="saved", version=F("version"))
    assert boards() == [{"uid": "one", "action": "saved"}]
    assert "F(version)" in caplog.text


# Classes


@pytest.mark.parametrize("model", [Board, BoardProxy, WideBoard, WideBoardProxy])
def test_a_save_and_a_delete_are_told_once_whichever_class_they_are_made_through(boards, model):
    senders = []

    def note(sender, **kwargs):
        senders.append(sender)

    dashboard_changed.connect(note)
    try:
        board = model.objects.create(slug="one")
        board.version = 2
        board.save()
        assert boards() == [saved(), saved(2)]
        Note.objects.create(board=board)
        board.delete()
        assert boards() == [deleted()]
        model.objects.create(slug="two")
        boards()
        model.objects.all().delete()
        assert boards() == [deleted("two")]
    finally:
        dashboard_changed.disconnect(note)
    assert senders == [Board] * 5
    assert not Board.objects.exists()


def test_a_parent_that_is_deleted_with_its_child_is_told_once(boards):
    WideBoard.objects.create(slug="one")
    boards()
    Board.objects.get().delete()
    assert boards() == [deleted()]
    assert not WideBoard.objects.exists()


def test_a_dashboard_that_outlives_its_child_was_not_deleted(boards):
    board = WideBoard.objects.create(slug="one")
    boards()
    board.delete(keep_parents=True)
    assert boards() == []
    assert Board.objects.exists()


def test_a_field_that_was_not_loaded_does_not_break_a_delete(boards):
    Board.objects.create(slug="one")
    boards()
    Board.objects.defer("slug").get().delete()
    assert boards() == []
    assert not Board.objects.exists()


@pytest.mark.parametrize("uid", ["slug", "alias"])
def test_a_child_that_is_watched_itself(boards, uid):
    watch(WideBoard, uid)
    board = WideBoard.objects.create(slug="one", alias="second")
    events = [saved(uid="second"), saved()] if uid == "alias" else [saved()]
    assert boards() == events
    board.delete()
    assert boards() == [deleted(event["uid"]) for event in events]
    # Taking it back takes nothing of its parent's away.
    unwatch_dashboards(WideBoard)
    WideBoard.objects.create(slug="one", alias="second")
    assert boards() == [saved()]


def test_a_watched_proxy_does_not_know_of_its_parent(boards):
    unwatch_dashboards(Board)
    watch(BoardProxy, "slug")
    Board.objects.create(slug="two")
    assert boards() == []
    BoardProxy.objects.create(slug="one").delete()
    assert boards() == [saved(), deleted()]


def test_nothing_is_told_when_the_watch_is_taken_back(boards):
    watch(Board, "slug")
    unwatch_dashboards(Board)
    unwatch_dashboards(Board)
    for model in (Board, BoardProxy, WideBoard, WideBoardProxy):
        model.objects.create(slug="one").delete()
    assert boards() == []
