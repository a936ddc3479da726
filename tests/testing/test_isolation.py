"""A node of its own for a test: nothing comes in from before, and nothing is left."""

import asyncio
import subprocess
import sys
import threading
import unittest

import pytest
from asgiref.sync import sync_to_async
from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import TransactionTestCase, override_settings

import live
from live import testing
from live.conf import live_settings as current_settings
from live.node import runtime
from live.store import MemoryStore
from live.testing import Disconnected, IsolatedNode, LiveCommunicator, assert_publishes
from tests.client.rooms import NOTHING
from tests.peers import until

pytestmark = pytest.mark.usefixtures("rooms")

REDIS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": ["redis://127.0.0.1:1/0"]},
    }
}


def background_threads():
    return [thread for thread in threading.enumerate() if thread.name == "live background loop"]


async def test_each_begins_empty_and_leaves_nothing():
    tasks = asyncio.all_tasks()
    for _ in range(2):
        async with IsolatedNode() as isolated:
            assert (await live.apublish("room/a/b", 1)).offset == 1
            async with LiveCommunicator() as client:
                await client.subscribe("room/a/b")
                assert isolated.stats.clients == 1
            node = isolated.node
            assert isolated.recorder.data("room/a/b") == [1]
        assert node.stats() == NOTHING
        assert runtime.current_node() is not node
    assert asyncio.all_tasks() == tasks


async def test_redis_of_the_settings_is_not_asked():
    with override_settings(CHANNEL_LAYERS=REDIS):
        async with IsolatedNode() as isolated:
            await live.apublish("room/a/b", 1)
            assert isinstance(get_channel_layer(), InMemoryChannelLayer)
            assert isinstance(isolated.node.store, MemoryStore)


async def test_what_the_database_was_asked_last_ends_before_the_test_empties_it():
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def read():
        begun.set()
        go_on.wait()
        ended.set()

    async with IsolatedNode():
        asking = asyncio.create_task(sync_to_async(read)())
        await until(begun.is_set)
        # As a node's tasks are when it stops: the thread goes on.
        asking.cancel()
        threading.Timer(0.05, go_on.set).start()
    assert ended.is_set()


async def test_settings_are_laid_over_those_of_the_project():
    with override_settings(LIVE={"ALLOW_ANONYMOUS": True, "MAX_CONNECTIONS": 5}):
        async with IsolatedNode(MAX_CONNECTIONS=1) as isolated:
            assert (isolated.node.settings.max_connections, isolated.node.settings.allow_anonymous) == (1, True)
            async with LiveCommunicator():
                with pytest.raises(Disconnected) as refused:
                    await LiveCommunicator().connect()
                assert refused.value.code == 4001
        assert current_settings.max_connections == 5


def test_settings_that_are_wrong():
    before = runtime.exchange(runtime.State())
    runtime.exchange(before)
    isolated = IsolatedNode(MAX_CONNECTION=1)
    with pytest.raises(ImproperlyConfigured, match="Did you mean 'MAX_CONNECTIONS'"):
        isolated.__enter__()
    assert runtime.exchange(before) == before
    assert current_settings.max_connections == 100


async def test_with_is_not_for_a_running_loop():
    with pytest.raises(RuntimeError, match="use async with"), IsolatedNode():
        pass


def test_synchronous_code_and_its_background_loop():
    threads = background_threads()
    with IsolatedNode() as isolated:
        assert live.publish("room/a/b", 1).offset == 1
        assert len(background_threads()) == len(threads) + 1
        assert (isolated.node, isolated.stats) == (None, NOTHING)
    assert background_threads() == threads
    assert isolated.recorder.data("room/a/b") == [1]


async def test_threads_while_a_loop_serves():
    threads = background_threads()
    async with IsolatedNode(), LiveCommunicator() as client:
        await client.subscribe("room/a/b")
        await asyncio.to_thread(live.publish, "room/a/b", 1)
        assert (await client.publication()).data == 1
    assert background_threads() == threads


def test_loops_of_others():
    """A loop that is closed by then, one that stands still, one that runs in a thread."""

    async def visit():
        async with LiveCommunicator() as client:
            await client.subscribe("room/a/b")
        return runtime.current_node()

    with IsolatedNode():
        node = asyncio.run(visit())
        # It stopped with its loop.
        assert not node.relay.connected
    runner = asyncio.Runner()
    with IsolatedNode():
        node = runner.run(visit())
        assert node.relay.connected
    assert not node.relay.connected
    runner.close()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    with IsolatedNode():
        node = asyncio.run_coroutine_threadsafe(visit(), loop).result(10)
    assert not node.relay.connected
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def test_a_node_stops_with_its_loop_also_without_isolation():
    def visit():
        async def connect():
            async with LiveCommunicator() as client:
                await client.subscribe("plugin/testdata/random-20Hz-stream")
                await client.publication()
                return runtime.current_node()

        return asyncio.run(connect())

    before = runtime.exchange(runtime.State())
    try:
        node = await asyncio.to_thread(visit)
        assert not node.relay.connected
        assert node.stats() == NOTHING
    finally:
        runtime.exchange(before)


async def test_what_goes_wrong_at_the_end_is_told(monkeypatch):
    async def fail():
        raise OSError("no end")

    isolated = IsolatedNode(MAX_CONNECTIONS=7)
    await isolated.__aenter__()
    node = isolated.node
    async with LiveCommunicator():
        pass
    with monkeypatch.context() as patch:
        patch.setattr(node, "stop", fail)
        with pytest.raises(OSError, match="no end"):
            await isolated.__aexit__(None, None, None)
    assert current_settings.max_connections != 7
    await node.stop()


async def test_a_loop_and_a_background_loop_end_together():
    threads = background_threads()
    isolated = IsolatedNode()
    await asyncio.to_thread(isolated.__enter__)
    await live.apublish("room/a/b", 1)  # Before anybody serves.
    assert len(background_threads()) == len(threads) + 1
    async with LiveCommunicator() as client:
        assert (await client.subscribe("room/a/b")).data == 1
    await isolated.__aexit__(None, None, None)
    assert background_threads() == threads


@pytest.fixture
def live_settings():
    return {"MAX_SUBSCRIPTIONS": 1}


async def test_the_fixture(live_node):
    assert live_node.node is None
    async with LiveCommunicator() as client:
        await client.subscribe("room/a/b")
        assert live_node.stats.subscriptions == 1
        with pytest.raises(testing.CommandFailed, match="106"):
            await client.subscribe("room/a/c")
        assert live_node.recorder.publications == []


class DjangoTests(TransactionTestCase):
    """The same in Django's own test cases, whose loop is another for each test."""

    def setUp(self):
        self.node = self.enterContext(IsolatedNode())
        self.user = User.objects.create_user("ann")

    def visit(self):
        return LiveCommunicator(user=self.user)

    async def test_a_visit(self):
        async with self.visit() as client:
            assert (await client.subscribe("room/a/b")).data is None
            async with assert_publishes("room/a/b", data=1, count=1):
                await client.publish("room/a/b", 1)
            assert (await client.publication()).info["user"] == str(self.user.pk)

    async def test_another_visit(self):
        async with self.visit() as client:
            assert (await client.subscribe("room/a/b")).data is None
            await live.apublish("room/a/b", 1)
            assert (await client.publication()).offset == 1

    def test_synchronous_code(self):
        with assert_publishes("room/a/b", data=1):
            live.publish("room/a/b", 1)


class StandardLibraryTests(unittest.IsolatedAsyncioTestCase):
    """And in the standard library's."""

    async def asyncSetUp(self):
        self.node = await self.enterAsyncContext(IsolatedNode())

    async def test_a_visit(self):
        async with LiveCommunicator() as client:
            await client.subscribe("street/a/b")
            assert self.node.stats.clients == 1


def test_the_plugin_loads_nothing_of_django():
    code = "import sys, live.testing.plugin; print([name for name in sys.modules if name.split('.')[0] == 'django'])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_the_names():
    assert sorted(testing.__all__) == testing.__all__ == dir(testing)
    for name in testing.__all__:
        assert getattr(testing, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = testing.nothing
