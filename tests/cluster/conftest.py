"""Clusters that these tests share, each for one module at most, and where the pauses that clients saw are noted."""

import contextlib

import pytest

from tests.cluster.fronts import Nginx
from tests.cluster.nodes import Nodes
from tests.cluster.sentinel import HAProxyRedis, Redis, SentinelGroup
from tests.conftest import PAUSE

LIVE = {"MAX_CONNECTIONS": 1000, "DRAIN_SECONDS": 1.0}


class Cluster:
    """Redis (whatever its kind), two nodes, nginx in front of them."""

    def __init__(self, folder, redis, env):
        self.folder = folder
        self.redis = redis
        self.nodes = Nodes(folder, env, **LIVE)
        self.nginx = Nginx(folder / "nginx", self.nodes.ports)

    def start(self):
        self.nodes.start()
        self.nginx.start()

    def stop(self):
        self.nginx.stop()
        self.nodes.stop()


@contextlib.contextmanager
def running(*parts):
    """Starts these in their order, and ends them in the opposite one."""
    with contextlib.ExitStack() as stack:
        for part in parts:
            stack.callback(part.stop)
            part.start()
        yield


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """One Redis that keeps its data over a restart, two nodes, nginx."""
    folder = tmp_path_factory.mktemp("cluster")
    redis = Redis(folder / "redis")
    made = Cluster(folder, redis, {"LIVE_REDIS_URL": redis.url})
    with running(redis, made):
        yield made
    assert_sound(made)


@pytest.fixture
def sentinel_cluster(tmp_path):
    """Redis with Sentinel, which the nodes ask themselves."""
    group = SentinelGroup(tmp_path / "sentinel")
    made = Cluster(tmp_path, group, group.env)
    with running(group, made):
        yield made
    assert_sound(made)


@pytest.fixture
def haproxy_cluster(tmp_path):
    """Redis with Sentinel behind HAProxy."""
    group = SentinelGroup(tmp_path / "sentinel")
    haproxy = HAProxyRedis(tmp_path / "haproxy", group)
    made = Cluster(tmp_path, group, haproxy.env)
    with running(group, haproxy, made):
        yield made
    assert_sound(made)


def assert_sound(cluster):
    """No node may have had a traceback, whatever happened around it."""
    assert "Traceback" not in cluster.nodes.logs, cluster.nodes.logs


@pytest.fixture
def pauses(record_property):
    """Where a test notes the longest pause its clients saw, in seconds; printed when all tests are done."""
    noted = {}
    yield noted
    for fault, pause in noted.items():
        record_property(PAUSE, (fault, pause))
