"""A node of its own for each test: memory store, in-memory layer."""

import pytest
from channels.layers import InMemoryChannelLayer

from live.conf import LiveSettings
from live.node import Node
from live.store import MemoryStore


@pytest.fixture
async def make_node():
    """Makes nodes with the settings given; every one is stopped in the end."""
    nodes = []

    async def make(layer=None, **settings):
        store = MemoryStore(max_channels=1000, ttl=1000)
        node = Node(settings=LiveSettings(**settings), layer=layer or InMemoryChannelLayer(), store=store)
        nodes.append(node)
        await node.start()
        return node

    yield make
    for node in nodes:
        await node.stop()


@pytest.fixture
async def node(make_node):
    return await make_node()
