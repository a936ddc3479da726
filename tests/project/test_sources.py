"""The demo's data sources: which settings they take, and what their plugins make of a file and of a database."""

import asyncio
import json
import sqlite3
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connections
from django.db.utils import OperationalError
from django.test import Client

import live
from project.sources import sql, tail
from project.sources.models import DataSource
from project.sources.sql import SqlPlugin, fetch, make_column
from project.sources.tail import TailPlugin
from tests.plugins.senders import Collector, collect, columns, request


@pytest.fixture
def folder(tmp_path, settings):
    settings.TAIL_FOLDER = tmp_path / "logs"
    settings.TAIL_FOLDER.mkdir()
    return settings.TAIL_FOLDER


@pytest.fixture
def database(tmp_path, django_db_blocker):
    """A database in a file, as the demo's is: its path; Django knows it by the alias "shop"."""
    path = tmp_path / "shop.sqlite3"
    connections.databases["shop"] = connections.databases["default"] | {"NAME": str(path)}
    with sqlite3.connect(path) as connection:
        connection.execute("create table item (name text, price real, sold integer)")
        connection.execute("insert into item values ('cup', 3.5, 2), ('pot', null, 10)")
    connection.close()
    with django_db_blocker.unblock():
        yield path
    del connections.databases["shop"]


def execute(path, statement):
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


@asynccontextmanager
async def running(plugin, asked):
    """A run of the plugin in a task; what it sends."""
    sender = Collector(wanted=10_000)
    task = asyncio.create_task(plugin.run_stream(asked, sender))
    try:
        yield sender
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()


# The log file


def test_the_settings_of_a_log_file(folder):
    assert tail.read_settings({"file": "a.log"}) == (folder / "a.log", 10)
    assert tail.read_settings({"file": "deep/a.log", "lines": 0}) == (folder / "deep" / "a.log", 0)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], "expected an object"),
        ({"file": "a", "path": "b"}, "expected an object"),
        ({}, '"file" must be the path of a file'),
        ({"file": ""}, '"file" must be the path of a file'),
        ({"file": "a\0b"}, '"file" must be the path of a file'),
        ({"file": 1}, '"file" must be the path of a file'),
        ({"file": "."}, "below"),
        ({"file": "../secret_key"}, "below"),
        ({"file": "/etc/passwd"}, "below"),
        ({"file": "link"}, "below"),
        ({"file": "a", "lines": -1}, '"lines"'),
        ({"file": "a", "lines": 1001}, '"lines"'),
        ({"file": "a", "lines": True}, '"lines"'),
    ],
)
def test_a_file_elsewhere_is_refused(folder, given, reason):
    (folder.parent / "secret_key").write_text("x")
    (folder / "link").symlink_to(folder.parent / "secret_key")
    with pytest.raises(ValueError, match=reason):
        tail.read_settings(given)


async def test_added_lines_become_frames_also_behind_a_rotation(folder):
    (folder / "a.log").write_text("1\n2\n3\n")
    async with running(TailPlugin(seconds=0.01), request("ds/a/lines", file="a.log", lines=2)) as sender:
        await sender.wait(lambda: sender.values)
        assert columns(sender.values[0])["Line"] == ["2", "3"]
        with (folder / "a.log").open("a") as file:
            file.write("4\n5\n")
        await sender.wait(lambda: len(sender.values) > 1)
        (folder / "a.log").rename(folder / "a.log.1")
        (folder / "a.log").write_text("6\n")
        await sender.wait(lambda: len(sender.values) > 2)
    assert columns(sender.values[2])["Line"] == ["6"]
    values = columns(sender.values[1])
    assert values["Line"] == ["4", "5"]
    assert values["Time"][0] == values["Time"][1]


async def test_a_frame_has_a_limited_number_of_lines(folder):
    lines = [str(number) for number in range(250)]
    (folder / "a.log").write_text("\n".join(lines) + "\n")
    frames = await collect(TailPlugin(), request("ds/a/lines", file="a.log", lines=250), 3)
    assert [len(frame) for frame in frames] == [100, 100, 50]
    assert [line for frame in frames for line in columns(frame)["Line"]] == lines


async def test_who_subscribes_to_a_log_file_gets_the_columns(folder):
    answer = await TailPlugin().subscribe_stream(request("ds/a/lines", file="a.log"))
    assert answer.status is live.StreamStatus.OK
    assert [field.name for field in answer.data.fields] == ["Time", "Line"]
    (offer,) = TailPlugin().offers(live.DataSource("a", "tail"))
    assert (offer.path, offer.schema.schema_json()) == ("lines", answer.data.schema_json())


# The query


def test_the_settings_of_a_query():
    assert sql.read_settings({"query": "select 1"}) == ("select 1", 5.0)
    assert sql.read_settings({"query": "\n WITH x as (select 1) select * from x", "seconds": 1.5})[1] == 1.5


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("select 1", "expected an object"),
        ({"query": "select 1", "sql": 1}, "expected an object"),
        ({}, '"query"'),
        ({"query": ""}, '"query"'),
        ({"query": "delete from auth_user"}, '"query"'),
        ({"query": "selected"}, '"query"'),
        ({"query": "select 1", "seconds": 0.5}, '"seconds"'),
        ({"query": "select 1", "seconds": "5"}, '"seconds"'),
        ({"query": "select 1", "seconds": True}, '"seconds"'),
        ({"query": "select 1", "seconds": float("nan")}, '"seconds"'),
    ],
)
def test_a_query_that_is_none_is_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        sql.read_settings(settings)


async def test_a_result_is_published_when_it_changed(database, monkeypatch):
    looks, ready = [], asyncio.Event()

    def counted(*arguments):
        looks.append(arguments)
        return fetch(*arguments)

    async def pause(seconds):
        looks.append(seconds)
        ready.set()
        await go_on.wait()
        go_on.clear()

    async def look_again():
        ready.clear()
        go_on.set()
        await ready.wait()

    go_on = asyncio.Event()
    monkeypatch.setattr(sql, "fetch", counted)
    plugin = SqlPlugin("shop", sleep=pause)
    asked = request("ds/shop/rows", query="select name, price, sold from item order by name", seconds=3)
    async with running(plugin, asked) as sender:
        await ready.wait()
        assert looks[-1] == 3.0
        assert len(sender.values) == 1
        for _ in range(3):
            await look_again()
        assert (len(looks), len(sender.values)) == (8, 1)  # four looks, four pauses, one result
        execute(database, "update item set sold = 11 where name = 'pot'")
        await look_again()
        assert len(sender.values) == 2
        execute(database, "delete from item where name = 'cup'")
        await look_again()
    first, second, third = map(columns, sender.values)
    assert {key: first[key] for key in ("name", "price", "sold")} == {
        "name": ["cup", "pot"],
        "price": [3.5, None],
        "sold": [2.0, 10.0],
    }
    # The whole result, so that the last publication is all that a newcomer needs.
    assert (second["name"], second["sold"]) == (["cup", "pot"], [2.0, 11.0])
    assert third["name"] == ["pot"]
    assert list(first) == ["Time", "name", "price", "sold"]
    assert len(first["Time"]) == 2


def test_a_query_cannot_write(database):
    with pytest.raises(OperationalError, match="readonly"):
        fetch("with x as (select 1) delete from item", "shop")
    assert fetch("select count(*) from item", "shop") == (["count(*)"], [(2,)], False)


def test_a_slow_query_is_ended(database):
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    with pytest.raises(TimeoutError, match=r"longer than 0\.05 s"):
        fetch(endless, "shop", 0.05)


def test_a_wrong_query_says_what_is_wrong(database):
    with pytest.raises(OperationalError, match="no such table: missing"):
        fetch("select * from missing", "shop")


def test_rows_are_bounded_and_the_frame_says_so(database):
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < {}) select i from n"
    assert not fetch(numbers.format(1000), "shop")[2]
    names, rows, more = fetch(numbers.format(5000), "shop")
    assert (len(rows), more) == (1000, True)
    frame = sql.make_frame([make_column(names[0], [row[0] for row in rows])], more, 0)
    assert (
        json.loads(frame.schema_json())["schema"]["meta"]["notices"][0]["text"] == "only the first 1000 rows are shown"
    )


def test_an_empty_result_is_a_frame_without_rows(database):
    names, rows, more = fetch("select name from item where sold > 100", "shop")
    frame = sql.make_frame([make_column(name, [row[at] for row in rows]) for at, name in enumerate(names)], more, 0)
    assert (len(frame), [field.name for field in frame.fields]) == (0, ["Time", "name"])


def test_other_databases_are_refused_in_words(monkeypatch):
    class Connection:
        vendor = "oracle"

    with pytest.raises(NotImplementedError, match="not oracle"):
        sql._restrict(Connection(), None, 1.0)


NS = 1_000_000_000


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, 2.5, None, Decimal("0.1")], "FLOAT", [1.0, 2.5, None, 0.1]),
        ([2**70], "FLOAT", [float(2**70)]),
        ([True, None, False], "BOOL", [True, None, False]),
        ([True, 2], "STRING", ["True", "2"]),
        (["a", None], "STRING", ["a", None]),
        ([None, None], "STRING", [None, None]),
        ([], "STRING", []),
        (["a", 1, b"\xff\x00"], "STRING", ["a", "1", "ff00"]),
        (["x" * 5000], "STRING", ["x" * 2000]),
        # Without a zone it is UTC.
        ([datetime(1970, 1, 2, 0, 0, 0, 1), None], "TIME", [86_400 * NS + 1000, None]),  # noqa: DTZ001
        ([datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))], "TIME", [0]),
        ([date(1970, 1, 2), datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)], "TIME", [86_400 * NS, NS]),
    ],
)
def test_a_columns_kind_is_what_its_values_are(values, kind, expected):
    column = make_column("x", values)
    assert (column.kind, column.values, column.nullable) == (live.Kind[kind], expected, True)
    live.Frame([column]).encode()


async def test_a_query_that_fails_ends_the_run(database):
    with pytest.raises(OperationalError, match="no such table"):
        await collect(SqlPlugin("shop"), request("ds/shop/rows", query="select * from missing"), 1)


# Both


@pytest.mark.parametrize(("plugin", "path"), [(TailPlugin(), "lines"), (SqlPlugin(), "rows")])
async def test_there_is_one_path_and_only_below_a_data_source(plugin, path):
    for channel in ("ds/a/other", f"plugin/x/{path}"):
        answer = await plugin.subscribe_stream(request(channel))
        assert answer.status is live.StreamStatus.NOT_FOUND
        assert answer.message
    assert (await plugin.subscribe_stream(request(f"ds/a/{path}"))).status is live.StreamStatus.OK
    assert (await plugin.publish_stream(request(f"ds/a/{path}"))).status is live.StreamStatus.PERMISSION_DENIED
    assert plugin.offers(None) == []
    assert [offer.path for offer in plugin.offers(live.DataSource("a", "x"))] == [path]


@pytest.mark.parametrize("plugin", [TailPlugin(), SqlPlugin()])
async def test_settings_that_came_past_the_form_end_the_run(plugin):
    with pytest.raises(ValueError, match="expected an object"):
        await collect(plugin, request("ds/a/x", wrong=1), 1)


@pytest.mark.parametrize(("plugin", "good"), [("tail", {"file": "a.log"}), ("sql", {"query": "select 1"})])
@pytest.mark.django_db
def test_the_admin_refuses_settings_that_could_not_run(plugin, good, admin_client):
    form = {"uid": "mine", "name": "Mine", "plugin": plugin, "settings": '{"wrong": 1}'}
    answer = admin_client.post("/admin/sources/datasource/add/", form)
    assert answer.status_code == 200
    assert b"expected an object with" in answer.content
    assert not DataSource.objects.exists()
    answer = admin_client.post("/admin/sources/datasource/add/", form | {"settings": json.dumps(good)})
    assert answer.status_code == 302
    source = DataSource.objects.get()
    assert source.settings == good
    # The uid is part of channel names.
    admin_client.post(f"/admin/sources/datasource/{source.pk}/change/", form | {"uid": "other", "settings": "{}"})
    assert DataSource.objects.get().uid == "mine"


@pytest.mark.django_db
@pytest.mark.parametrize("uid", ["", "a b", "a/b", "ä", "x" * 41])
def test_a_uid_is_one_that_channels_can_have(uid):
    source = DataSource(uid=uid, name="x", plugin="sql", settings={"query": "select 1"})
    with pytest.raises(ValidationError):
        source.full_clean()


@pytest.mark.django_db
def test_an_unknown_plugin_is_refused():
    with pytest.raises(ValidationError, match="not a valid choice"):
        DataSource(uid="x", name="x", plugin="nothing", settings={"a": 1}).full_clean()


@pytest.mark.django_db
def test_the_demo_starts_with_valid_sources_and_keeps_what_people_changed():
    call_command("seed_demo")
    sources = {source.uid: source for source in DataSource.objects.all()}
    assert set(sources) == {"activity", "numbers"}
    for source in sources.values():
        source.full_clean()
    assert User.objects.get(username="demo").has_perm("sources.view_datasource")
    sources["numbers"].name = "Changed"
    sources["numbers"].save()
    call_command("seed_demo")
    assert DataSource.objects.get(uid="numbers").name == "Changed"
    assert DataSource.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_activity_says_who_did_what(caplog, dashboard, editor):
    caplog.set_level("INFO", "project.activity")
    client = Client()
    editor.set_password("secret")
    editor.save()
    client.post("/accounts/login/", {"username": "editor", "password": "wrong"})
    client.post("/accounts/login/", {"username": "editor", "password": "secret"})
    with live.changed_by(user=editor):
        dashboard.save()
    client.post("/accounts/logout/")
    texts = [each.getMessage() for each in caplog.records if each.name == "project.activity"]
    assert texts == [
        "a sign-in failed",
        "editor signed in",
        "dashboard first saved by editor",
        "editor signed out",
    ]
