"""The API of dashboards: who may do what, what is refused, and that no save is lost."""

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from project.dashboards.models import Dashboard

from .conftest import make_panel

URL = "/api/dashboards/"
FIRST = f"{URL}first/"


def test_anybody_lists_and_reads(dashboard):
    visitor = APIClient()
    listed = visitor.get(URL)
    assert listed.status_code == 200
    assert [each["uid"] for each in listed.json()["results"]] == ["first"]
    body = visitor.get(FIRST).json()
    assert set(body) == {"uid", "title", "panels", "version", "updated_at", "updated_by"}
    assert (body["version"], body["updated_by"], body["panels"]) == (1, None, [make_panel()])


def test_a_list_is_bounded(db):
    Dashboard.objects.bulk_create(Dashboard(title=f"{number}") for number in range(120))
    body = APIClient().get(f"{URL}?limit=1000").json()
    assert (body["count"], len(body["results"])) == (120, 100)


@pytest.mark.parametrize(("method", "path"), [("post", URL), ("put", FIRST), ("patch", FIRST), ("delete", FIRST)])
@pytest.mark.parametrize("login", [False, True])
def test_writing_needs_the_permission(dashboard, method, path, login):
    client = APIClient()
    if login:
        client.force_login(User.objects.create_user("nobody"))
    body = {"title": "x", "version": 1}
    assert getattr(client, method)(path, body, format="json").status_code == 403
    dashboard.refresh_from_db()
    assert (dashboard.title, dashboard.version) == ("First", 1)


def test_a_write_needs_the_csrf_token(dashboard, editor):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(editor)
    assert client.patch(FIRST, {"title": "x", "version": 1}, format="json").status_code == 403


def test_create(client, editor, events):
    body = {"title": "New", "panels": [make_panel()], "version": 7, "uid": "chosen", "updated_by": "root"}
    answer = client.post(URL, body, format="json", headers={"X-Live-Session": "tab1"})
    assert answer.status_code == 201
    created = answer.json()
    assert created["uid"] != "chosen"
    assert (created["title"], created["version"], created["updated_by"]) == ("New", 1, "editor")
    event = {"uid": created["uid"], "action": "saved", "session_id": "tab1", "version": 1, "user": editor}
    assert events == [event]


@pytest.mark.parametrize("method", ["put", "patch"])
def test_a_change_raises_the_version_and_says_who(client, editor, dashboard, events, method):
    body = {"title": "Changed", "panels": [], "version": 1}
    answer = getattr(client, method)(FIRST, body, format="json", headers={"X-Live-Session": "tab1"})
    assert answer.status_code == 200
    assert (answer.json()["title"], answer.json()["version"], answer.json()["panels"]) == ("Changed", 2, [])
    assert events == [{"uid": "first", "action": "saved", "session_id": "tab1", "version": 2, "user": editor}]
    dashboard.refresh_from_db()
    assert (dashboard.version, dashboard.updated_by) == (2, editor)


def test_patch_changes_only_what_it_names(client, dashboard):
    body = client.patch(FIRST, {"title": "Changed", "version": 1}, format="json").json()
    assert (body["title"], body["panels"]) == ("Changed", [make_panel()])


def test_a_stale_version_is_a_conflict_and_shows_what_is_stored(client, dashboard, events):
    client.patch(FIRST, {"title": "Theirs", "version": 1}, format="json")
    events.clear()
    answer = client.put(FIRST, {"title": "Mine", "panels": [], "version": 1}, format="json")
    assert answer.status_code == 409
    assert answer.json()["detail"]
    assert (answer.json()["current"]["title"], answer.json()["current"]["version"]) == ("Theirs", 2)
    assert events == []
    dashboard.refresh_from_db()
    assert (dashboard.title, dashboard.version) == ("Theirs", 2)


def test_a_version_from_the_future_is_a_conflict_too(client, dashboard):
    assert client.patch(FIRST, {"title": "x", "version": 9}, format="json").status_code == 409


@pytest.mark.parametrize("version", [None, "", 0, -1, "one", [1], 2**31])
def test_a_missing_or_senseless_version_is_refused(client, dashboard, version):
    body = {"title": "x"} if version == "" else {"title": "x", "version": version}
    answer = client.patch(FIRST, body, format="json")
    assert answer.status_code == 400
    assert list(answer.json()) == ["version"]


def test_delete(client, editor, dashboard, events):
    assert client.delete(FIRST, headers={"X-Live-Session": "tab1"}).status_code == 204
    assert events == [{"uid": "first", "action": "deleted", "session_id": "tab1", "version": None, "user": editor}]
    assert client.patch(FIRST, {"title": "x", "version": 1}, format="json").status_code == 404


@pytest.mark.parametrize("session", ["x" * 65, "a b", "ä", "<tab>"])
def test_a_senseless_session_header_is_refused(client, dashboard, session):
    answer = client.patch(FIRST, {"title": "x", "version": 1}, format="json", HTTP_X_LIVE_SESSION=session)
    assert answer.status_code == 400
    assert list(answer.json()) == ["X-Live-Session"]


def test_an_oversized_body_is_refused(client, dashboard):
    answer = client.patch(FIRST, {"title": "x" * 600_000, "version": 1}, format="json")
    assert answer.status_code == 413


GRID = {"x": 0, "y": 0, "w": 6, "h": 4}
FAULTS = {
    "no list": ({}, "panels: must be a list"),
    "too many": ([make_panel(id=f"p{n}") for n in range(61)], "panels: at most 60 are allowed, not 61"),
    "no object": (["x"], "panel 1: must be an object"),
    "no id": ([{k: v for k, v in make_panel().items() if k != "id"}], 'panel 1: field "id": is missing'),
    "bad id": ([make_panel(id="a b")], 'panel 1: field "id": must be 1 to 40 letters, digits, - or _'),
    "same id": ([make_panel(), make_panel()], 'panel 2 (cpu): field "id": is used by another panel'),
    "unknown key": ([make_panel(colour="red")], 'panel 1 (cpu): field "colour": is not known'),
    "type": ([make_panel(type="pie")], 'panel 1 (cpu): field "type": must be one of timeseries, stat, raw'),
    "type no text": ([make_panel(type=[])], 'panel 1 (cpu): field "type": must be one of timeseries, stat, raw'),
    "unit": ([make_panel(unit="stone")], 'panel 1 (cpu): field "unit": must be one of "", percent, bytes, bytes/s'),
    "title": ([make_panel(title="x" * 121)], 'panel 1 (cpu): field "title": must be a text of at most 120 characters'),
    "control": ([make_panel(title="a\n")], 'panel 1 (cpu): field "title": must not contain control characters'),
    "channel": ([make_panel(channel="a/b")], 'panel 1 (cpu): field "channel": '),
    "channel no text": ([make_panel(channel=1)], 'panel 1 (cpu): field "channel": must be a text'),
    "fields": ([make_panel(fields="a")], 'panel 1 (cpu): field "fields": must be a list of at most 30 names'),
    "field name": ([make_panel(fields=[""])], 'panel 1 (cpu): field "fields": each name must be a text'),
    "field twice": ([make_panel(fields=["a", "a"])], 'panel 1 (cpu): field "fields": names a field twice'),
    "field no text": ([make_panel(fields=[{}])], 'panel 1 (cpu): field "fields": each name must be a text'),
    "grid": ([make_panel(grid=[])], 'panel 1 (cpu): field "grid": must be an object'),
    "grid key": ([make_panel(grid={**GRID, "z": 1})], 'panel 1 (cpu): field "grid.z": is not known'),
    "grid x": ([make_panel(grid={**GRID, "x": -1})], 'panel 1 (cpu): field "grid.x": must be a whole number from 0'),
    "grid w": ([make_panel(grid={**GRID, "w": True})], 'panel 1 (cpu): field "grid.w": must be a whole number from 1'),
    "grid h": ([make_panel(grid={**GRID, "h": 1.5})], 'panel 1 (cpu): field "grid.h": must be a whole number from 1'),
    "grid edge": ([make_panel(grid={**GRID, "x": 8})], 'panel 1 (cpu): field "grid.w": reaches over the right edge'),
}


@pytest.mark.parametrize(("panels", "message"), FAULTS.values(), ids=FAULTS)
def test_bad_panels_are_refused_naming_panel_and_field(client, dashboard, panels, message):
    answer = client.patch(FIRST, {"panels": panels, "version": 1}, format="json")
    assert answer.status_code == 400
    assert any(text.startswith(message) for text in answer.json()["panels"]), answer.json()
    dashboard.refresh_from_db()
    assert dashboard.version == 1


def test_every_fault_is_named_at_once(client, dashboard):
    panels = [make_panel(type="pie", fields=1), make_panel(id="b", grid={})]
    answer = client.patch(FIRST, {"panels": panels, "version": 1}, format="json")
    assert len(answer.json()["panels"]) == 6
