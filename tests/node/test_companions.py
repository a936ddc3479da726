"""What lives with a node: made once, told what comes for it, stopped while the node can still speak."""

import asyncio

import pytest

from live.node import Node


class Guest:
    """A companion that keeps what it is told."""

    def __init__(self, node):
        self.node = node
        self.taken = []
        self.stopped = []

    def take(self, body):
        self.taken.append(body["word"])

    async def stop(self):
        self.stopped.append(self.node.relay.connected)
        await self.node.relay.broadcast({"kind": "plugin", "word": "goodbye"})


class BadGuest(Guest):
    async def stop(self):
        raise ValueError("it does not want to")


async def test_it_is_made_once_by_each_factory(node):
    guest = node.companion(Guest)
    assert isinstance(guest.node, Node)
    assert node.companion(Guest) is guest
    assert node.companion(BadGuest) is not guest


async def test_it_is_told_what_comes_for_it_and_nothing_else(node, caplog):
    guests = [node.companion(Guest), node.companion(BadGuest)]
    await node.relay.broadcast({"kind": "plugin", "word": "hello"})
    await node.relay.broadcast({"kind": "nonsense", "word": "no"})
    assert [guest.taken for guest in guests] == [["hello"], ["hello"]]
    node.take_message({"kind": "plugin"})
    assert "cannot be read" in caplog.text


async def test_it_stops_while_others_can_be_told_and_one_that_fails_is_logged(node, caplog):
    guest = node.companion(Guest)
    node.companion(BadGuest)
    await node.stop()
    assert (guest.stopped, guest.taken) == ([True], ["goodbye"])
    assert "it does not want to" in caplog.text


@pytest.mark.timeout(20)
async def test_a_node_that_was_drained_has_stopped_it_already(node):
    guest = node.companion(Guest)
    await asyncio.wait_for(node.drain(0), 10)
    assert guest.stopped == [True]
