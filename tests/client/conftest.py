"""Clients of a real node, and rooms to be in."""

import pytest

import live
from live.handlers.registry import unregister
from tests.client.rooms import NOTHING, ROOMS, USER, Peer


@pytest.fixture
def room():
    for name, handler in ROOMS.items():
        live.register(name, None, handler)
    yield live.handlers.find_handler(live.Channel("room", "a", "b"))
    for name in ROOMS:
        unregister(name)


@pytest.fixture
async def make_peer(make_node, room):
    peers = []

    async def make(node=None, user=USER, connect=True, **values):
        peer = Peer(node or await make_node(**values), user)
        peers.append(peer)
        if connect:
            await peer.connect()
        return peer

    yield make
    for peer in peers:
        await peer.gone()
    assert {peer.client.node.stats() for peer in peers} <= {NOTHING}
