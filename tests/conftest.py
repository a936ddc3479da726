"""A node of its own for each test: memory store, in-memory layer; and what the tests of faults measured."""

import pytest
from channels.layers import InMemoryChannelLayer
from django.conf import settings
from hypothesis import HealthCheck
from hypothesis import settings as examples

from live.conf import LiveSettings
from live.node import Node
from live.store import MemoryStore

PAUSE = "longest pause"
"""The property of a test's report that says what its clients saw."""
LONG = (
    "tests/cluster/test_faults.py",
    "tests/cluster/test_plugins.py",
    "tests/browser/",
    "tests/packaging/test_tutorial.py",
    "tests/docs/test_blocks.py",
    "tests/bootstrap/test_bench.py",
    "tests/commands/test_live.py",
    "tests/cluster/",
    "tests/test_drain.py",
    "tests/docs/",
    "tests/bootstrap/",
    "tests/integration/",
    "tests/commands/",
    "tests/packaging/",
    "tests/test_admin.py",
    "tests/plugins/test_runner.py",
    "tests/client/test_stateful.py",
    "tests/test_two_nodes.py",
    "tests/test_access",
    "tests/api/test_schema.py",
    "tests/project/test_streams.py",
)
"""What takes longest, in this order; folders whose files share a site or a browser stay together."""

# How long an example takes says something of the machine only.
examples.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same code has the same result; `pytest --hypothesis-profile=explore` looks for examples that nobody has seen yet.
examples.register_profile("same", examples.get_profile("explore"), derandomize=True)
examples.load_profile("same")


def pytest_configure():
    """Makes hashing passwords quick: tests make many users and log in often, and how safe they are does not matter."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]


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


def pytest_collection_modifyitems(items):
    """Puts what takes long first: with several processes none of them then begins it when the others are done."""

    def place(item):
        return next((place for place, path in enumerate(LONG) if item.nodeid.startswith(path)), len(LONG))

    items.sort(key=place)


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
