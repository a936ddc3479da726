"""The tasks of a node: its own, whoever's call they began with."""

import asyncio
import threading
from contextvars import ContextVar

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from channels.layers import InMemoryChannelLayer

from live.conf import LiveSettings
from live.node import Node
from live.node.control import ControlMessage
from live.store import MemoryStore
from tests.peers import Recorder, until

request = ContextVar("request", default=None)


class Careful(Recorder):
    """A client whose recheck asks synchronous code, which takes its time."""

    def __init__(self, free):
        super().__init__()
        self.free = free
        self.asked = 0

    async def recheck(self):
        self.asked += 1
        await sync_to_async(self.free.wait)(30)
        self.ended.append("recheck")


async def test_a_request_does_not_wait_for_what_it_began(node):
    """Django runs each request in a context of its own, which ends when its thread has nothing to do."""
    free = threading.Event()
    peers = [Careful(free) for _ in range(3)]
    for peer in peers:
        node.clients.admit(peer)
    try:
        async with ThreadSensitiveContext():
            await node.control(ControlMessage("recheck"))
            await until(lambda: peers[0].asked)
        assert [peer.ended for peer in peers] == [[], [], []]
    finally:
        free.set()
    await until(lambda: all(peer.ended for peer in peers))
    for peer in peers:
        node.clients.forget(peer)


async def test_nothing_of_a_request_stays_with_the_node(monkeypatch):
    """Also not with what lives as long as the process, as the first request may start the node."""
    seen = {}

    async def beat(self):
        seen["heartbeat"] = request.get()

    async def work():
        seen["work"] = request.get()

    monkeypatch.setattr(Node, "_beat", beat)
    store = MemoryStore(max_channels=10, ttl=10)
    node = Node(settings=LiveSettings(), layer=InMemoryChannelLayer(), store=store)
    request.set("the first")
    await node.start()
    node.spawn(work(), "work")
    await until(lambda: len(seen) == 2)
    assert seen == {"heartbeat": None, "work": None}
    await node.stop()


async def test_a_node_that_stops_ends_its_tasks_and_a_failure_is_logged(make_node, caplog):
    node = await make_node()

    async def fail():
        raise RuntimeError("a mistake")

    ended = asyncio.Event()

    async def last():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    node.spawn(fail(), "failing")
    await until(lambda: not node.stats().tasks)
    assert "failing failed" in caplog.text
    node.spawn(last(), "lasting")
    await asyncio.sleep(0)
    await node.stop()
    assert ended.is_set()
    assert node.stats().tasks == 0
