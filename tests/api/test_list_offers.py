"""``GET list``: what plugins and data sources offer before anybody watches, and that none of them spoils it."""

import asyncio
import uuid

import orjson
import pytest

import live
from live import Field, Frame, Kind, StreamAnswer, StreamOffer, StreamStatus
from live.handlers import offers
from live.handlers.registry import unregister
from live.plugins import calls
from live.plugins.registry import find_plugin, register_plugin, unregister_plugin

from .conftest import client_with

pytestmark = pytest.mark.django_db

SCHEMA = {"schema": {"name": "n", "fields": [{"name": "n", "type": "number", "typeInfo": {"frame": "float64"}}]}}


class Offering(live.StreamPlugin):
    """Offers what a test gives it; lets in whom the path lets in."""

    def __init__(self):
        self.offered = []
        self.asked = []

    async def subscribe_stream(self, request):
        self.asked.append(request)
        match request.path:
            case "secret":
                return StreamAnswer(StreamStatus.PERMISSION_DENIED)
            case "raises":
                raise KeyError("x")
            case "hangs":
                await asyncio.Event().wait()
        return StreamAnswer()

    def offers(self, source):
        if source is not None:
            return [StreamOffer(source.settings["path"])]
        if isinstance(self.offered, Exception):
            raise self.offered
        return self.offered


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(calls, "_failures", calls.Failures(calls.logger))
    monkeypatch.setattr(offers, "_failures", calls.Failures(calls.logger))
    # Who answers does so in time, however busy the machine is.
    monkeypatch.setattr(offers, "ASK_SECONDS", 60.0)


@pytest.fixture
def name():
    """The id of a plugin that no other test uses."""
    found = f"p-{uuid.uuid4().hex[:12]}"
    register_plugin(found, Offering)
    yield found
    unregister_plugin(found)


@pytest.fixture
def plugin(name):
    return find_plugin(name)


def listed(prefix, client=None):
    response = (client or client_with()).get("/api/live/list", {"prefix": prefix})
    assert response.status_code == 200, response.content
    return orjson.loads(response.content)["channels"]


def names(prefix, client=None):
    return [entry["channel"] for entry in listed(prefix, client)]


def test_offers_are_listed_with_their_rate_and_schema(plugin, name):
    schema = Frame([Field("n", Kind.FLOAT, [1.0])], name="n")
    plugin.offered = [StreamOffer("b", 1200, schema), StreamOffer("a/x"), StreamOffer("secret", 5)]
    assert listed(f"plugin/{name}/") == [
        {"channel": f"plugin/{name}/a/x", "minute_rate": 0, "subscribers": 0},
        {"channel": f"plugin/{name}/b", "minute_rate": 1200, "subscribers": 0, "data": SCHEMA},
    ]
    (request,) = {request.path: request for request in plugin.asked if request.path == "b"}.values()
    assert (request.data, request.source, request.user.is_authenticated) == (None, None, False)


def test_an_active_channel_is_listed_once_with_its_own_rate(plugin, name):
    plugin.offered = [StreamOffer("b", 1200, Frame([Field("n", Kind.FLOAT, [])], name="n"))]
    for path in ("b", "b", "other", "secret"):
        live.publish(f"plugin/{name}/{path}", 1)
    assert listed(f"plugin/{name}/") == [
        {"channel": f"plugin/{name}/b", "minute_rate": 2, "subscribers": 0, "data": SCHEMA},
        {"channel": f"plugin/{name}/other", "minute_rate": 1, "subscribers": 0},
    ]


def test_the_whole_list_is_sorted(plugin, name):
    plugin.offered = [StreamOffer("b"), StreamOffer("B"), StreamOffer("a")]
    live.publish(f"stream/{name}/x", 1)
    found = names("")
    assert found == sorted(found)
    assert {f"plugin/{name}/a", f"stream/{name}/x"} <= set(found)


def test_the_prefix_counts_for_offers(plugin, name):
    plugin.offered = [StreamOffer("ab"), StreamOffer("b")]
    assert names(f"plugin/{name}/a") == [f"plugin/{name}/ab"]
    assert f"plugin/{name}/b" in names("plu")
    plugin.asked.clear()
    assert names("stream/nothing/") == []
    assert plugin.asked == []


@pytest.mark.parametrize(
    "wrong",
    [
        RuntimeError("x"),
        None,
        ["no offer"],
        [StreamOffer("no path")],
        [StreamOffer("a", "often")],
        [StreamOffer("a", schema=Frame(meta={"x": object()}))],
    ],
)
def test_offers_that_are_wrong_cost_only_themselves(plugin, name, wrong, caplog):
    plugin.offered = wrong
    other = find_plugin_of(f"{name}-2")
    other.offered = [StreamOffer("fine")]
    try:
        assert names("plugin/p-") == [f"plugin/{name}-2/fine"]
    finally:
        unregister_plugin(f"{name}-2")
    assert [record.live_plugin for record in caplog.records] == [name]


def find_plugin_of(plugin_id):
    register_plugin(plugin_id, Offering)
    return find_plugin(plugin_id)


def test_so_many_offers_are_taken(plugin, name):
    def endless():
        number = 0
        while True:
            number += 1
            yield StreamOffer(f"n{number}")

    plugin.offered = endless()
    assert len(names(f"plugin/{name}/")) == offers.MAX_OFFERS


@pytest.mark.parametrize("active", [False, True])
def test_a_plugin_that_fails_or_hangs_costs_only_its_entries(plugin, name, monkeypatch, active, caplog):
    monkeypatch.setattr(offers, "ASK_SECONDS", 1.0)
    paths = ["fine", "hangs", "raises"]
    if active:
        for path in paths:
            live.publish(f"plugin/{name}/{path}", 1)
    else:
        plugin.offered = [StreamOffer(path) for path in paths]
    live.publish(f"stream/{name}/x", 1)
    assert names(f"plugin/{name}/") == [f"plugin/{name}/fine"]
    assert names(f"stream/{name}/") == [f"stream/{name}/x"]
    assert "not listed that did not answer within 1 s" in caplog.text


def test_another_handlers_channels_are_its_own(plugin, name):
    plugin.offered = [StreamOffer("a")]
    live.register("plugin", name, live.ChannelHandler)
    try:
        assert names(f"plugin/{name}/") == []
    finally:
        unregister("plugin", name)


# Data sources


@pytest.mark.django_db(transaction=True)
def test_data_sources_offer_to_those_who_may_query_them(plugin, name, settings, user, client):
    sources = {
        f"s-{name}": {"plugin": name, "settings": {"path": "a"}},
        f"u-{name}": {"plugin": name, "settings": {"path": "secret"}},
        f"v-{name}": {"plugin": "no-such-plugin"},
        f"w-{name}": {"plugin": name, "settings": {"path": "a"}, "permission": "auth.view_group"},
        f"x-{name}": {"plugin": name, "settings": {"no": "path"}},
    }
    settings.LIVE = {**settings.LIVE, "DATA_SOURCES": sources}
    assert names("ds/") == []
    assert names("ds/", client) == [f"ds/s-{name}/a"]
    assert plugin.asked[0].source.settings == {"path": "a"}


def test_a_rule_that_fails_costs_only_its_entries(plugin, name, monkeypatch, caplog):
    async def broken(user, channel, data):
        raise KeyError("a rule of the project")

    live.publish(f"plugin/{name}/a", 1)
    handler = live.handlers.find_handler(live.Channel("plugin", name, "a"))
    monkeypatch.setattr(handler, "can_subscribe", broken)
    assert names(f"plugin/{name}/") == []
    assert "could not be found out" in caplog.text
