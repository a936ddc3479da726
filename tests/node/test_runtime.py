"""Publishing from anywhere: the serving loop, threads, other loops, plain processes, forked children."""

import asyncio
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import live
from live.exceptions import EngineUnavailable, SyncInAsync
from live.handlers import ChannelHandler
from live.handlers.registry import unregister
from live.node import current_node, run, runtime, serve
from tests.peers import Recorder

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def channel():
    """A channel that no other test uses: the store lives as long as the process."""
    return live.Channel("runtime", "test", uuid.uuid4().hex)


@pytest.fixture(autouse=True)
def handler():
    class Open(ChannelHandler):
        history_size = 10

    live.register("runtime", None, Open)
    yield Open()
    unregister("runtime")


@pytest.fixture
async def serving():
    node = await serve()
    yield node
    await runtime.stop_serving()


async def watch(node, handler, channel):
    recorder = Recorder()
    subscription, state, _ = await node.subscribe(channel, recorder, handler.options)
    node.release(subscription, state.position)
    return recorder


async def test_one_node_serves_a_loop(serving):
    assert await serve() is serving
    assert current_node() is serving


async def test_publishing_on_the_serving_loop(serving, handler, channel):
    recorder = await watch(serving, handler, channel)
    position = await live.apublish(channel, {"x": 1})
    assert position.offset == 1
    await recorder.wait(1)
    assert recorder.data == [{"x": 1}]


async def test_publishing_from_a_thread_of_the_serving_process(serving, handler, channel):
    recorder = await watch(serving, handler, channel)
    position = await asyncio.to_thread(live.publish, str(channel), 1)
    assert position.offset == 1
    await recorder.wait(1)


async def test_publishing_from_another_loop(serving, handler, channel):
    recorder = await watch(serving, handler, channel)
    position = await asyncio.to_thread(lambda: asyncio.run(live.apublish(channel, 1)))
    assert position.offset == 1
    await recorder.wait(1)


async def test_a_blocking_publish_inside_a_loop_names_its_async_twin(serving, channel):
    with pytest.raises(SyncInAsync, match="await apublish"):
        live.publish(channel, 1)


def test_a_process_that_serves_nobody_publishes_all_the_same(channel):
    assert current_node() is None
    first = live.publish(channel, 1)
    assert live.publish(channel, 2).offset == first.offset + 1
    assert asyncio.run(live.apublish(channel, 3)).offset == first.offset + 2


async def test_what_was_published_before_the_server_started_is_there(handler, channel):
    await asyncio.to_thread(live.publish, channel, 1)
    node = await serve()
    try:
        assert (await node.store.state(channel, handler.options)).position.offset >= 1
    finally:
        await runtime.stop_serving()
    await runtime.stop_serving()


def test_a_node_that_does_not_answer_in_time_is_an_error_the_caller_knows():
    async def wait(node):
        await asyncio.Event().wait()

    with pytest.raises(EngineUnavailable, match="did not answer within"):
        run(wait, timeout=0.01)


def test_errors_reach_the_publisher(channel):
    with pytest.raises(live.InvalidChannel):
        live.publish("nonsense", 1)
    with pytest.raises(live.UnknownChannel):
        live.publish("nobody/home/x", 1)
    with pytest.raises(live.BadData):
        live.publish(channel, object())
    with pytest.raises(live.PublicationTooLarge):
        live.publish(channel, "x" * 600_000)


def test_a_forked_child_makes_a_loop_of_its_own():
    code = """
import os, django
django.setup()
import live
live.publish("grafana/broadcast/x", 1)
child = os.fork()
live.publish("grafana/broadcast/x", 2)
if child:
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os._exit(0)
"""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings"}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]
    assert subprocess.run(command, cwd=ROOT, env=env, check=False, timeout=50).returncode == 0
