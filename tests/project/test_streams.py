"""The demo's streams of plugins and data sources, on a real site over the real WebSocket."""

import re
from itertools import pairwise
from statistics import median

import pytest

from tests.visitors import DemoSite

SCHEMA = ["Time", "Value", "Min", "Max"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = DemoSite(tmp_path_factory.mktemp("site"))
    try:
        yield site.open()
    finally:
        site.close()


def cookie(visitor):
    return f"sessionid={visitor.cookie('sessionid')}"


def names(frame):
    return [field["name"] for field in frame["schema"]["fields"]]


async def watch(peer, channel):
    """The initial data of a new subscription."""
    reply = await peer.subscribe(channel)
    assert "error" not in reply, reply
    return reply["subscribe"].get("data")


async def frames(peer, count):
    """The data of the next publications."""
    return [(await peer.publication())["data"] for _ in range(count)]


def steps(received):
    """The milliseconds from one frame to the next."""
    times = [frame["data"]["values"][0][0] for frame in received]
    return [after - before for before, after in pairwise(times)]


def admin(site, path, form):
    """Posts a form of the admin's, as its superuser."""
    visitor = site.login("root", "root")
    visitor.request("GET", path)
    headers = {"X-CSRFToken": visitor.cookie("csrftoken"), "Content-Type": "application/x-www-form-urlencoded"}
    status, text = visitor.send("POST", path, form.encode(), headers)
    assert status == 200
    assert "errornote" not in text, text


@pytest.fixture(scope="module")
def superuser(site):
    site.manage(
        "shell",
        "-c",
        "from django.contrib.auth.models import User; User.objects.create_superuser('root', password='root')",
    )


async def test_20_frames_a_second_of_data_behind_one_schema(site):
    async with site.connect() as peer:
        first = await watch(peer, "plugin/testdata/random-20Hz-stream")
        received = await frames(peer, 40)
        # A busy machine is late now and then, and leaves out beats: until there were enough on time.
        while median(steps(received[-40:])) != pytest.approx(50, abs=10):
            received += await frames(peer, 1)
    # Columns alone, or the whole last frame where the stream was faster.
    assert names(first) == SCHEMA
    assert first["schema"]["name"] == "testdata"
    assert min(steps(received)) > 0
    # The schema goes out first and now and then, and no more.
    assert sum("schema" in frame for frame in received) <= 3
    for frame in received:
        (value,), (low,), (high,) = frame["data"]["values"][1:]
        assert low < value < high


@pytest.mark.parametrize(
    ("path", "columns", "rows"),
    [
        ("random-2s-stream", SCHEMA, 1),
        ("random-flakey-stream", SCHEMA, 1),
        ("random-labeled-stream", ["labels", "Time", "Value"], 2),
        ("flight-5hz-stream", ["Time", "lat", "lng", "heading", "altitude"], 1),
    ],
)
async def test_the_other_streams_of_testdata(site, path, columns, rows):
    async with site.connect() as peer:
        assert names(await watch(peer, f"plugin/testdata/{path}")) == columns
        (frame,) = await frames(peer, 1)
    assert [len(values) for values in frame["data"]["values"]] == [rows] * len(columns)


async def test_who_comes_later_begins_with_the_whole_last_frame(site):
    async with site.connect() as early, site.connect() as late:
        await watch(early, "plugin/testdata/random-2s-stream")
        await frames(early, 1)
        first = await watch(late, "plugin/testdata/random-2s-stream")
    assert names(first) == SCHEMA
    assert [len(values) for values in first["data"]["values"]] == [1, 1, 1, 1]


async def test_the_machines_metrics(site):
    async with site.connect() as peer:
        first = await watch(peer, "plugin/host/metrics")
        received = await frames(peer, 2)
        # A busy machine is late now and then, and leaves out beats: until one follows the one before.
        while steps(received[-2:])[0] != pytest.approx(1000, abs=500):
            received += await frames(peer, 1)
    whole = next(frame for frame in (first, *received) if frame and "schema" in frame)
    assert names(whole)[:3] == ["Time", "cpu_percent", "memory_percent"]
    assert min(steps(received)) > 0
    assert 0 <= received[1]["data"]["values"][1][0] <= 100


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        ("plugin/testdata/random-3Hz-stream", 404),
        ("plugin/host/nothing", 404),
        ("plugin/nothing/x", 404),
        ("ds/nothing/lines", 404),
        ("ds/activity/lines", 403),
        ("ds/numbers/rows", 403),
    ],
)
async def test_what_is_not_there_or_not_for_visitors(site, channel, code):
    async with site.connect() as peer:
        assert (await peer.subscribe(channel))["error"]["code"] == code


async def test_nobody_publishes_to_these_plugins(site):
    async with site.connect(cookie=cookie(site.login())) as peer:
        for channel in ("plugin/testdata/random-20Hz-stream", "plugin/host/metrics", "ds/activity/lines"):
            reply = await peer.ask({"publish": {"channel": channel, "data": {}}})
            assert reply["error"]["code"] == 403


def test_the_list_has_what_there_is_to_watch(site):
    def listed(visitor):
        status, body = visitor.request("GET", "/api/live/list")
        assert status == 200
        return {each["channel"]: each for each in body["channels"]}

    entries = listed(site.login())
    for path, rate in (
        ("random-20Hz-stream", 1200),
        ("random-2s-stream", 30),
        ("random-flakey-stream", 150),
        ("random-labeled-stream", 250),
    ):
        entry = entries[f"plugin/testdata/{path}"]
        assert entry["minute_rate"] == rate or entry["minute_rate"] > 0  # one that is watched has its own rate
        assert entry["data"].keys() == {"schema"}
    assert "plugin/testdata/flight-5hz-stream" not in entries or entries["plugin/testdata/flight-5hz-stream"]
    assert names(entries["ds/activity/lines"]["data"]) == ["Time", "Line"]
    assert {"plugin/host/metrics", "ds/numbers/rows"} <= entries.keys()


async def test_the_activity_tells_who_signs_in(site):
    visitor = site.login()
    async with site.connect(cookie=cookie(visitor)) as peer:
        first = await watch(peer, "ds/activity/lines")
        (frame,) = [first] if first and "data" in first else await frames(peer, 1)
        lines = frame["data"]["values"][1]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO demo signed in", lines[-1])
        assert any(line.endswith("INFO dashboard machine saved") for line in lines)
        visitor.request("POST", "/accounts/login/")  # without its form: refused, and no line
        site.login()
        (frame,) = await frames(peer, 1)
    assert [line.partition(" INFO ")[2] for line in frame["data"]["values"][1]] == ["demo signed in"]


async def test_the_numbers_come_when_they_change(site):
    visitor = site.login()

    def values(frame):
        return dict(zip(["Time", "dashboards", "users", "sessions"], frame["data"]["values"], strict=True))

    async with site.connect(cookie=cookie(visitor)) as peer:
        first = await watch(peer, "ds/numbers/rows")
        (frame,) = [first] if first and "data" in first else await frames(peer, 1)
        before = values(frame)["dashboards"][0]
        visitor.request("POST", "/api/dashboards/", {"title": "One more", "panels": []})
        (frame,) = await frames(peer, 1)
        while values(frame)["dashboards"] == [before]:  # a session of another test's
            (frame,) = await frames(peer, 1)
    assert values(frame)["dashboards"] == [before + 1]
    assert values(frame)["users"][0] >= 1
    assert values(frame)["sessions"][0] >= 1


async def test_saving_a_source_in_the_admin_runs_it_anew_and_deleting_it_tells_who_watches(site, superuser):
    add = "/admin/sources/datasource/add/"
    form = "uid=mine&name=Mine&plugin=sql&settings=%7B%22query%22%3A%22select+{}+as+n%22%2C%22seconds%22%3A3600%7D"
    admin(site, add, form.format(1))
    pk = site.manage(
        "shell",
        "-v0",
        "-c",
        "from project.sources.models import DataSource; print(DataSource.objects.get(uid='mine').pk)",
    ).split()[-1]
    async with site.connect(cookie=cookie(site.login())) as peer:
        first = await watch(peer, "ds/mine/rows")
        (frame,) = [first] if first and "data" in first else await frames(peer, 1)
        assert frame["data"]["values"][1] == [1]
        admin(site, f"/admin/sources/datasource/{pk}/change/", form.format(2))
        (frame,) = await frames(peer, 1)
        assert frame["data"]["values"][1] == [2]
        admin(site, f"/admin/sources/datasource/{pk}/delete/", "post=yes")
        while "unsubscribe" not in (push := (await peer.receive())["push"]):
            pass
        assert push["channel"] == "ds/mine/rows"
        assert push["unsubscribe"] == {"code": 2000, "reason": "data source deleted"}
        assert (await peer.subscribe("ds/mine/rows"))["error"]["code"] == 404
