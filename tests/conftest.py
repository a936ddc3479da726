"""A node of its own for each test: memory store, in-memory layer; and what the tests of faults measured."""

import pytest
from channels.layers import InMemoryChannelLayer

from live.conf import LiveSettings
from live.node import Node
from live.store import MemoryStore

PAUSE = "longest pause"
"""The property of a test's report that says what its clients saw."""


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


def pytest_terminal_summary(terminalreporter):
    """The pauses that the clients of `tests/cluster` saw; from reports, as other processes may have run the tests."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    pauses = [
        value
        for report in reports
        if getattr(report, "when", "") == "teardown"
        for name, value in report.user_properties
        if name == PAUSE
    ]
    if pauses:
        terminalreporter.section("longest pause a client saw")
        for fault, pause in sorted(pauses, key=lambda each: int(each[0].split()[0])):
            terminalreporter.write_line(f"{pause:6.2f} s  {fault}")
