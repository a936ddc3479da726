"""Redis servers for the tests of relays, one process each for the whole module, empty at the start of each test."""

import pytest

from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def _servers(tmp_path_factory):
    servers = [RedisServer(tmp_path_factory.mktemp("redis")) for _ in range(2)]
    for server in servers:
        server.start()
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def redis_server(_servers):
    """A running Redis that a test may stop, as long as it starts it again."""
    _servers[0].cli("flushall")
    return _servers[0]


@pytest.fixture
def second_redis_server(_servers):
    """Another one."""
    _servers[1].cli("flushall")
    return _servers[1]
