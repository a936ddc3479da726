"""Channels of plugins and data sources: what the plugin is asked, and what clients are told of its answers."""

import asyncio
import uuid
from types import SimpleNamespace

import orjson
import pytest
from django.contrib.auth.models import AnonymousUser, User

import live
from live import Field, Frame, Kind, StreamAnswer, StreamStatus
from live.handlers import find_handler
from live.handlers.plugin import PluginHandler
from live.node import runtime, serve
from live.plugins import calls, watchdog
from live.plugins.registry import find_plugin, register_plugin, unregister_plugin
from live.plugins.runner import runner_of
from live.publishing import apublish_as
from tests.client.rooms import Peer
from tests.peers import until

ANN = SimpleNamespace(pk=7, is_authenticated=True)
SCHEMA = {
    "schema": {
        "fields": [{"name": "n", "type": "number", "typeInfo": {"frame": "float64"}}],
    }
}


def frame(*values):
    return Frame([Field("n", Kind.FLOAT, list(values))])


class Numbers(live.StreamPlugin):
    """Does what the path says."""

    def __init__(self):
        self.asked = []
        self.runs = []
        self.gate = asyncio.Event()

    def note(self, method, request):
        self.asked.append((method, request.path, request.user, request.data, request.source))

    async def subscribe_stream(self, request):
        self.note("subscribe", request)
        match request.path:
            case "missing":
                return StreamAnswer(StreamStatus.NOT_FOUND, message="no such path")
            case "secret":
                return StreamAnswer(StreamStatus.PERMISSION_DENIED)
            case "raises":
                raise KeyError("a password")
            case "forbids":
                raise live.Forbidden("only on Mondays")
            case "true":
                return True
            case "odd-status":
                return StreamAnswer("ok")
            case "hangs":
                await self.gate.wait()
            case "schema":
                return StreamAnswer(data=frame())
            case "rows":
                return StreamAnswer(data=frame(1.5))
            case "json":
                return StreamAnswer(data={"a": request.data})
            case "no-json":
                return StreamAnswer(data={"a": object()})
            case "bad-frame":
                return StreamAnswer(data=frame(object()))
            case "huge":
                return StreamAnswer(data="x" * 600_000)
        return StreamAnswer()

    async def publish_stream(self, request):
        self.note("publish", request)
        match request.path:
            case "closed":
                return StreamAnswer(StreamStatus.PERMISSION_DENIED, message="read only")
            case "missing":
                return StreamAnswer(StreamStatus.NOT_FOUND)
            case "raises":
                raise KeyError("a password")
            case "replaced":
                return StreamAnswer(data={"said": request.data})
            case "frame":
                return StreamAnswer(data=frame(2.0))
            case "no-json":
                return StreamAnswer(data=object())
        return StreamAnswer()

    async def run_stream(self, request, sender):
        self.runs.append((request.data, request.user, request.settings))
        await asyncio.Event().wait()


class Synchronous(live.StreamPlugin):
    """A plugin whose author forgot a word."""

    def subscribe_stream(self, request):
        return StreamAnswer()


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(calls, "_failures", calls.Failures(calls.logger))
    # A machine that stands still in the middle of a step is no plugin that does.
    monkeypatch.setattr(watchdog, "STEP_SECONDS", 3600.0)


@pytest.fixture
def plugin_id():
    """A plugin that no other test uses: the store lives as long as the process."""
    name = f"numbers-{uuid.uuid4().hex[:12]}"
    register_plugin(name, Numbers)
    yield name
    unregister_plugin(name)


@pytest.fixture
def plugin(plugin_id):
    return find_plugin(plugin_id)


@pytest.fixture
async def node():
    found = await serve()
    yield found
    await runtime.stop_serving()


@pytest.fixture
async def make_peer(node):
    peers = []

    async def make(user=ANN):
        peer = Peer(node, user)
        peers.append(peer)
        await peer.connect()
        return peer

    yield make
    for peer in peers:
        await peer.gone()


@pytest.fixture
async def peer(make_peer):
    return await make_peer()


def test_it_answers_for_plugins_and_data_sources():
    handler = find_handler(live.Channel("plugin", "x", "y"))
    assert type(handler) is PluginHandler
    assert find_handler(live.Channel("ds", "x", "y")) is handler
    assert (handler.presence, handler.join_leave, handler.allow_history, handler.recover) == (True, False, True, True)


def test_it_keeps_what_streams_keep(settings):
    settings.LIVE = {"STREAM_HISTORY_SIZE": 5, "STREAM_HISTORY_TTL": 7}
    options = find_handler(live.Channel("plugin", "x", "y")).options
    assert (options.history_size, options.history_ttl, options.keep_last) == (5, 7, True)


# Subscribing


async def test_the_plugin_is_asked_once_and_runs(peer, plugin, plugin_id):
    channel = f"plugin/{plugin_id}/some/path"
    assert "code" not in await peer.call("subscribe", channel, data={"n": 3})
    assert plugin.asked == [("subscribe", "some/path", ANN, {"n": 3}, None)]
    await until(lambda: plugin.runs)
    assert plugin.runs == [({"n": 3}, None, {})]
    assert runner_of(peer.client.node).stats().running == 1
    assert list((await peer.call("presence", channel))["presence"]) == [peer.client.id]


async def test_every_subscriber_is_asked_about_and_one_run_serves_all(make_peer, plugin, plugin_id):
    for _ in range(3):
        await (await make_peer()).call("subscribe", f"plugin/{plugin_id}/a")
    assert len(plugin.asked) == 3
    await until(lambda: plugin.runs)
    assert len(plugin.runs) == 1


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("missing", 404, "no such path"),
        ("secret", 403, "Forbidden"),
        ("forbids", 403, "only on Mondays"),
    ],
)
async def test_its_no_is_told(peer, plugin, plugin_id, path, code, message):
    error = await peer.call("subscribe", f"plugin/{plugin_id}/{path}")
    assert (error["code"], error["message"]) == (code, message)
    assert not plugin.runs
    assert runner_of(peer.client.node).stats() == type(runner_of(peer.client.node).stats())()


@pytest.mark.parametrize("path", ["raises", "true", "odd-status", "no-json", "bad-frame", "huge"])
async def test_its_mistakes_are_logged_and_told_as_a_failure(peer, plugin, plugin_id, path, caplog):
    error = await peer.call("subscribe", f"plugin/{plugin_id}/{path}")
    assert (error["code"], error["temporary"]) == (100, True)
    assert "password" not in error["message"]
    (record,) = caplog.records
    assert (record.live_plugin, record.live_channel) == (plugin_id, f"plugin/{plugin_id}/{path}")
    assert not plugin.runs
    # Nobody else is disturbed.
    assert "code" not in await peer.call("subscribe", f"plugin/{plugin_id}/fine")


async def test_a_method_that_is_not_async_is_such_a_mistake(peer, plugin_id, caplog):
    register_plugin(plugin_id, Synchronous)
    assert (await peer.call("subscribe", f"plugin/{plugin_id}/a"))["code"] == 100
    assert "StreamAnswer" in caplog.text


async def test_one_that_does_not_answer(make_peer, plugin, plugin_id, monkeypatch):
    monkeypatch.setattr(calls, "CALL_SECONDS", 0.05)
    slow, quick = await make_peer(), await make_peer()
    waiting = asyncio.create_task(slow.call("subscribe", f"plugin/{plugin_id}/hangs"))
    await until(lambda: plugin.asked)
    assert "code" not in await quick.call("subscribe", f"plugin/{plugin_id}/fine")
    error = await waiting
    assert (error["code"], error["message"]) == (100, f"plugin {plugin_id} did not answer")
    assert "code" not in await slow.call("subscribe", f"plugin/{plugin_id}/fine")


@pytest.mark.parametrize("channel", ["plugin/no-such-plugin/a", "ds/no-such-source/a"])
@pytest.mark.django_db(transaction=True)
async def test_what_there_is_not_is_404(peer, channel):
    assert (await peer.call("subscribe", channel))["code"] == 404


async def test_by_default_a_plugin_lets_nobody_in(peer, plugin_id):
    register_plugin(plugin_id, live.StreamPlugin)
    assert (await peer.call("subscribe", f"plugin/{plugin_id}/a"))["code"] == 403
    with pytest.raises(live.Forbidden):
        await apublish_as(ANN, f"plugin/{plugin_id}/a", 1)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("schema", SCHEMA),
        ("rows", {**SCHEMA, "data": {"values": [[1.5]]}}),
        ("json", {"a": 5}),
    ],
)
async def test_its_initial_data_comes_first(peer, plugin, plugin_id, path, data):
    assert (await peer.call("subscribe", f"plugin/{plugin_id}/{path}", data=5))["data"] == data


async def test_the_last_value_comes_before_it(peer, plugin, plugin_id):
    await live.apublish(f"plugin/{plugin_id}/schema", {"last": 1})
    assert (await peer.call("subscribe", f"plugin/{plugin_id}/schema"))["data"] == {"last": 1}


async def test_a_recheck_asks_the_plugin_again(peer, plugin, plugin_id):
    await peer.call("subscribe", f"plugin/{plugin_id}/a", data=3)
    await peer.client.subscriptions.recheck(ANN)
    assert plugin.asked == 2 * [("subscribe", "a", ANN, 3, None)]
    plugin.subscribe_stream = lambda request: refuse()
    await peer.client.subscriptions.recheck(ANN)
    assert (await peer.pushed("unsubscribe"))[0]["code"] == 2000


async def refuse():
    return StreamAnswer(StreamStatus.PERMISSION_DENIED)


async def test_a_failure_of_the_plugin_ends_no_subscription_that_is(peer, plugin, plugin_id):
    await peer.call("subscribe", f"plugin/{plugin_id}/a")

    async def fail(request):
        raise KeyError

    plugin.subscribe_stream = fail
    await peer.client.subscriptions.recheck(ANN)
    assert live.Channel("plugin", plugin_id, "a") in peer.client.subscriptions


async def test_who_may_is_asked_without_starting_anything(node, plugin, plugin_id):
    channel = live.Channel("plugin", plugin_id, "a")
    assert await find_handler(channel).can_subscribe(ANN, channel, None)
    with pytest.raises(live.NotFound):
        await find_handler(channel).can_subscribe(ANN, live.Channel("plugin", plugin_id, "missing"), None)
    assert not plugin.runs


async def test_where_nobody_is_served_nothing_runs(plugin, plugin_id):
    channel = live.Channel("plugin", plugin_id, "a")
    with pytest.raises(live.EngineUnavailable, match="no node"):
        await find_handler(channel).admit(ANN, channel, None)


# Publishing


@pytest.mark.parametrize(
    ("path", "data"),
    [("plain", {"n": 1}), ("replaced", {"said": {"n": 1}}), ("frame", {**SCHEMA, "data": {"values": [[2]]}})],
)
async def test_what_is_published_is_the_plugins_to_say(peer, plugin, plugin_id, path, data):
    channel = f"plugin/{plugin_id}/{path}"
    await peer.call("subscribe", channel)
    plugin.asked.clear()
    await peer.call("publish", channel, data={"n": 1})
    assert plugin.asked == [("publish", path, ANN, {"n": 1}, None)]
    assert (await peer.pushed("pub"))[0]["data"] == data


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("closed", 403, "read only"),
        ("missing", 404, "Not Found"),
        ("raises", 100, "try again later"),
        ("no-json", 100, "not JSON"),
    ],
)
async def test_its_no_to_a_publisher_is_told(peer, plugin, plugin_id, path, code, message):
    error = await peer.call("publish", f"plugin/{plugin_id}/{path}", data=1)
    assert error["code"] == code
    assert message in error["message"]


# Data sources


@pytest.fixture
def source(settings, plugin_id, transactional_db):
    """A data source with the plugin of this test."""
    uid = f"s-{uuid.uuid4().hex[:12]}"
    entry = {"plugin": plugin_id, "settings": {"key": 1}}
    settings.LIVE = {**settings.LIVE, "ALLOW_ANONYMOUS": True, "DATA_SOURCES": {uid: entry}}
    return live.DataSource(uid, plugin_id, {"key": 1})


async def test_the_plugin_of_a_data_source_gets_its_settings(peer, source):
    assert "code" not in await peer.call("subscribe", f"ds/{source.uid}/a")
    plugin = find_plugin(source.plugin)
    assert plugin.asked == [("subscribe", "a", ANN, None, source)]
    await until(lambda: plugin.runs)
    assert plugin.runs == [(None, None, {"key": 1})]
    await peer.call("publish", f"ds/{source.uid}/a", data=1)
    assert plugin.asked[-1] == ("publish", "a", ANN, 1, source)


async def test_who_may_not_query_it_is_refused_before_the_plugin_is_asked(source, make_peer):
    peer = await make_peer(AnonymousUser())
    assert (await peer.call("subscribe", f"ds/{source.uid}/a"))["code"] == 403
    assert (await peer.call("publish", f"ds/{source.uid}/a", data=1))["code"] == 403
    assert find_plugin(source.plugin).asked == []


async def test_a_data_source_whose_plugin_there_is_not(source, peer):
    unregister_plugin(source.plugin)
    error = await peer.call("subscribe", f"ds/{source.uid}/a")
    assert (error["code"], error["message"]) == (404, f"no plugin {source.plugin}")


async def test_a_change_asks_its_subscribers_permissions_again(source, make_peer):
    peer = await make_peer(await User.objects.acreate_user("ann"))
    await peer.call("subscribe", f"ds/{source.uid}/a")
    plugin = find_plugin(source.plugin)
    message = {"kind": "control", "users": [], "session": "", "channel": "", "code": 0, "client": ""}
    for reason, uid in (("deleted", source.uid), ("", "another"), ("", source.uid)):
        peer.client.node.take_message({**message, "action": "source", "reason": reason, "source": uid})
        await until(lambda: not peer.client.node.stats().tasks)
    await until(lambda: len(plugin.asked) >= 2)
    assert [entry[0] for entry in plugin.asked] == ["subscribe", "subscribe"]


def test_a_request_has_the_settings_of_its_source():
    channel = live.Channel("ds", "s", "a/b")
    request = live.StreamRequest(channel, source=live.DataSource("s", "p", {"key": 1}))
    assert (request.path, request.settings) == ("a/b", {"key": 1})
    assert live.StreamRequest(channel).settings == {}
    assert orjson.loads(frame().schema_json()) == SCHEMA
