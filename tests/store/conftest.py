"""The stores the contract suite runs over, each with a clock the test moves."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from redis import Redis

from live.store import MemoryStore, Store
from live.store.redis import RedisStore
from live.store.redis.topology import Topology
from tests.peers import eventually
from tests.redis_server import RedisServer, wait_long_for_redis


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += seconds


@dataclass
class StoreCase:
    """A store under test: at most 3 channels, forgotten after 100 s, 1,000 bytes of history each."""

    store: Store
    advance: Callable[[float], None]
    slack: float = 0.0
    """Seconds that pass by themselves during a test, at most: Redis' clock goes on while the machine is busy."""


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """One redis-server for all tests of this folder that do not stop it."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def make_redis_store(monkeypatch):
    """Makes stores over servers, or over the hosts of a configuration; every one is closed in the end."""
    stores = []
    wait_long_for_redis(monkeypatch)

    def make(*hosts, prefix=None, **options):
        config = {"hosts": [host.url if isinstance(host, RedisServer) else host for host in hosts]}
        config["prefix"] = prefix or f"test{uuid.uuid4().hex}"
        limits = {"max_channels": 3, "ttl": 100, "history_max_bytes": 1000, **options}
        stores.append(RedisStore(Topology.from_layer_config(config), **limits))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()


@pytest.fixture
async def listen():
    """Joins the group of a channel through a layer of the given configuration; what arrives comes from `receive`."""
    layers = []

    async def join(config, channel):
        layer = RedisPubSubChannelLayer(**config)
        layers.append(layer)
        name = await layer.new_channel()
        await layer.group_add(f"live.{channel.digest}", name)
        # The layer does not wait until it is joined, and what is announced comes over another connection.
        group = Topology.from_layer_config(config).announcement(channel)
        with contextlib.ExitStack() as servers:
            clients = [servers.enter_context(Redis.from_url(host)) for host in config["hosts"]]
            await eventually(lambda: any(count for one in clients for _, count in one.pubsub_numsub(group)))
        return lambda: asyncio.wait_for(layer.receive(name), 30)

    yield join
    for layer in layers:
        await layer.flush()


def memory_case(request):
    clock = Clock()
    return StoreCase(MemoryStore(max_channels=3, ttl=100, history_max_bytes=1000, clock=clock), clock.advance)


def redis_case(request):
    clock = Clock(0.0)
    make = request.getfixturevalue("make_redis_store")
    return StoreCase(make(request.getfixturevalue("redis_server"), clock_shift=clock), clock.advance, slack=20.0)


@pytest.fixture(params=[memory_case, redis_case], ids=["memory", "redis"])
async def case(request, make_redis_store):
    case = request.param(request)
    yield case
    await case.store.close()
