"""What `doctor` finds at Redis: real servers, well, ill, stopped, and not what they should be."""

import contextlib
import random
import socket

import pytest

from live.commands.doctor import redis_hosts
from live.commands.doctor.redis_hosts import check_redis
from live.store.redis import topology as redis_topology
from live.store.redis.topology import Topology
from tests.cluster.process import wait_until
from tests.redis_server import HOST, RedisServer
from tests.site import free_port

pytestmark = pytest.mark.usefixtures("patience")

WELL = {
    "appendonly": "yes",
    "client-output-buffer-limit": "pubsub 256mb 64mb 60",
    # A replica is served, and left, at once.
    "repl-diskless-sync-delay": 0,
    "shutdown-timeout": 0,
}
SECRET = "pass-of-the-doctor"


class SentinelServer(RedisServer):
    """One sentinel that watches a Redis."""

    def __init__(self, folder, redis):
        super().__init__(folder)
        self.redis = redis

    def command(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "sentinel.conf"
        path.write_text(f"sentinel monitor live {HOST} {self.redis.port} 1\n")
        options = ["--sentinel", "--port", self.port, "--bind", HOST, "--dir", self.folder]
        return [self.program, str(path), *map(str, options)]


@pytest.fixture
def redis(tmp_path):
    with RedisServer(tmp_path / "redis", **WELL) as server:
        yield server


async def look(*hosts):
    """The findings by check, of the last host where there are several."""
    topology = Topology.from_layer_config({"hosts": list(hosts), "prefix": "doc"})
    found = await check_redis(topology, "CHANNEL_LAYERS['default']['CONFIG']['hosts']")
    for one in found:
        assert (one.fix == "") == (one.level == "ok"), one
        assert SECRET not in str(one)
    return {one.check: one for one in found}


def levels(found):
    return {check: str(one.level) for check, one in found.items()}


CHECKS = [
    "redis",
    *(f"redis-{name}" for name in ["version", "role", "access", "output-buffer", "eviction", "persistence", "clock"]),
]


async def test_one_that_is_well(redis):
    found = await look(redis.url)

    assert levels(found) == dict.fromkeys(CHECKS, "ok")
    assert found["redis"].found.startswith(f"{HOST}:{redis.port}: answers")
    assert "an append-only file" in found["redis-persistence"].found
    assert "256 MiB, or 64 MiB for 60 s" in found["redis-output-buffer"].found
    # It leaves nothing but a key that expires at once.
    keys = redis.cli("KEYS", "*").split()
    assert keys in ([], ["doc:live:doctor"])
    assert redis.cli("PUBSUB", "CHANNELS") == ""


@pytest.mark.parametrize("unix", [False, True])
async def test_one_that_is_not_there(redis, unix):
    url = f"unix://{redis.socket}" if unix else redis.url
    redis.kill()

    found = await look(url)

    assert levels(found) == {"redis": "error"}
    assert "nobody listens there" in found["redis"].found
    assert "systemctl start redis-server" in found["redis"].fix


async def test_a_socket_that_is_not_there(tmp_path):
    found = await look(f"unix://{tmp_path}/nothing.sock")

    assert "there is no such socket" in found["redis"].found
    assert f"redis-cli -s {tmp_path}/nothing.sock" in found["redis"].fix


async def test_a_name_nobody_knows():
    found = await look("redis://nobody.invalid:1")

    assert levels(found) == {"redis": "error"}


async def test_one_that_hangs(redis, monkeypatch):
    monkeypatch.setattr(redis_topology, "SOCKET_TIMEOUT", 0.5)
    redis.pause()
    try:
        found = await look(redis.url)
    finally:
        redis.resume()

    assert levels(found) == {"redis": "error"}
    assert "does not answer in time" in found["redis"].found


async def test_what_speaks_no_tls(redis, monkeypatch):
    # It waits for the end of a line.
    monkeypatch.setattr(redis_topology, "CONNECT_TIMEOUT", 0.5)
    found = await look(redis.url.replace("redis://", "rediss://"))

    assert levels(found) == {"redis": "error"}


async def test_the_others_are_looked_at_too(redis):
    found = await look((HOST, free_port()), (HOST, redis.port))

    assert levels(found) == dict.fromkeys(CHECKS, "ok")


async def test_a_replica(redis, tmp_path):
    options = {**WELL, "appendonly": "no", "replicaof": f"{HOST} {redis.port}"}
    with RedisServer(tmp_path / "replica", **options) as replica:
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up", lambda: replica.log)
        found = await look(replica.url)

    assert found["redis-role"].level == "error"
    assert f"a replica of {HOST}:{redis.port}" in found["redis-role"].found
    assert "REPLICAOF NO ONE" in found["redis-role"].fix
    assert found["redis-access"].level == "error"


async def test_passwords(tmp_path):
    with RedisServer(tmp_path / "redis", password=SECRET, **WELL) as redis:
        right = await look(redis.url)
        wrong = await look(redis.url.replace(SECRET, SECRET * 2))
        without = await look(f"redis://{HOST}:{redis.port}")

    assert set(levels(right).values()) == {"ok"}
    for found in (wrong, without):
        assert levels(found) == {"redis": "error"}
        assert "refuses the password" in found["redis"].found


async def test_a_user_who_may_do_what_live_does(redis):
    rights = f"on >{SECRET} ~doc* &doc* +@all -@admin -@dangerous"
    redis.cli("ACL", "SETUSER", "live", *rights.split())
    found = await look(f"redis://live:{SECRET}@{HOST}:{redis.port}")

    assert set(levels(found).values()) == {"ok"}
    for name in ("version", "role", "output-buffer", "eviction", "persistence"):
        assert "not known here" in found[f"redis-{name}"].found


@pytest.mark.parametrize(
    ("missing", "command"), [("-set", "SET"), ("-eval", "EVAL"), ("-publish", "PUBLISH"), ("-subscribe", "SUBSCRIBE")]
)
async def test_a_user_who_may_not(redis, missing, command):
    redis.cli("ACL", "SETUSER", "live", "on", f">{SECRET}", "allkeys", "allchannels", "+@all", missing)
    found = await look(f"redis://live:{SECRET}@{HOST}:{redis.port}")

    assert found["redis-access"].level == "error"
    assert f"{command} is refused: this user may not" in found["redis-access"].found
    assert "ACL SETUSER" in found["redis-access"].fix


async def test_a_user_of_other_keys(redis):
    redis.cli("ACL", "SETUSER", "live", "on", f">{SECRET}", "~other*", "allchannels", "+@all")
    found = await look(f"redis://live:{SECRET}@{HOST}:{redis.port}")

    assert found["redis-access"].level == "error"


@pytest.mark.parametrize(
    ("option", "value", "check"),
    [
        ("client-output-buffer-limit", "pubsub 32mb 8mb 60", "redis-output-buffer"),
        ("client-output-buffer-limit", "pubsub 0 8mb 60", "redis-output-buffer"),
    ],
)
async def test_options_that_are_too_small(redis, option, value, check):
    redis.cli("CONFIG", "SET", option, value)
    found = await look(redis.url)

    assert found.pop(check).level == "warning"
    assert set(levels(found).values()) == {"ok"}


async def test_no_limit_of_the_buffer(redis):
    redis.cli("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0")

    assert "no limit, or no limit" in (await look(redis.url))["redis-output-buffer"].found


@pytest.mark.parametrize(
    ("most", "policy", "level"),
    [("0", "allkeys-lru", "ok"), ("1gb", "allkeys-lru", "warning"), ("1gb", "volatile-ttl", "warning")],
)
async def test_eviction(redis, most, policy, level):
    redis.cli("CONFIG", "SET", "maxmemory", most)
    redis.cli("CONFIG", "SET", "maxmemory-policy", policy)

    assert (await look(redis.url))["redis-eviction"].level == level


async def test_one_that_is_full(redis):
    redis.cli("CONFIG", "SET", "maxmemory", "100kb")
    found = await look(redis.url)

    assert found["redis-access"].level == "error"
    assert "its memory is full" in found["redis-access"].found
    assert found["redis-eviction"].level == "warning"


async def test_one_that_cannot_save(tmp_path):
    with RedisServer(tmp_path / "redis", save="3600 1", **{"client-output-buffer-limit": "pubsub 0 0 0"}) as redis:
        # A folder of that name is in its way.
        (redis.folder / "dump.rdb").mkdir()
        redis.cli("SET", "a", "b")
        redis.cli("BGSAVE")
        wait_until(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err", lambda: redis.log)
        found = await look(redis.url)
        # It would not end before it has saved.
        redis.kill()

    assert found["redis-access"].level == "error"
    assert "cannot save to its disk" in found["redis-access"].found
    assert found["redis-persistence"].level == "warning"


def port_of_a_cluster():
    """A port that is free, as is the one above by 10,000, where nodes talk; the kernel gives neither to anybody."""
    for port in random.sample(range(20_000, 22_700), 100):
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            socket.create_server((HOST, port + 10_000)).close()
            return port
    raise RuntimeError("no port of a hundred is free")


async def test_a_node_of_a_cluster(tmp_path):
    with RedisServer(tmp_path / "redis", port=port_of_a_cluster(), cluster_enabled="yes") as redis:
        found = await look(redis.url)

    assert found["redis-version"].level == "error"
    assert "Redis Cluster, which is not supported" in found["redis-version"].found


@pytest.mark.parametrize(("ahead", "level", "text"), [(60.0, "warning", "behind"), (-60.0, "warning", "ahead of")])
async def test_clocks_that_differ(redis, monkeypatch, ahead, level, text):
    class Clock:
        time = staticmethod(lambda now=redis_hosts.time.time: now() + ahead)
        monotonic = redis_hosts.time.monotonic

    monkeypatch.setattr(redis_hosts, "time", Clock)
    found = await look(redis.url)

    assert found["redis-clock"].level == level
    assert text in found["redis-clock"].found
    assert "timedatectl" in found["redis-clock"].fix


async def test_an_answer_that_comes_late_is_no_other_clock(redis, monkeypatch):
    """It was given at any moment in between."""

    class Clock:
        shifts = iter([-6.0, 0.0])
        time = staticmethod(lambda now=redis_hosts.time.time: now() + next(Clock.shifts))
        monotonic = redis_hosts.time.monotonic

    monkeypatch.setattr(redis_hosts, "time", Clock)

    assert (await look(redis.url))["redis-clock"].level == "ok"


@pytest.mark.parametrize(
    ("version", "level"), [("7.2.4", "ok"), ("6.2.0", "ok"), ("6.0.16", "warning"), ("4.0.9", "error"), ("", "ok")]
)
def test_versions(version, level):
    assert redis_hosts._version({"redis_version": version}).level == level


# Sentinel


def sentinels(*ports, **options):
    return {"sentinels": [(HOST, port) for port in ports], "master_name": "live", **options}


async def test_sentinels(redis, tmp_path):
    with (
        SentinelServer(tmp_path / "1", redis) as first,
        SentinelServer(tmp_path / "2", redis) as second,
        SentinelServer(tmp_path / "3", redis) as third,
    ):
        ports = [server.port for server in (first, second, third)]
        well = await look(sentinels(*ports))
        alone = await look(sentinels(ports[0]))
        third.stop()
        without_one = await look(sentinels(*ports))
        second.stop()
        without_two = await look(sentinels(*ports))
        unknown = await look({**sentinels(ports[0]), "master_name": "other"})

    assert levels(well) == dict.fromkeys(["redis-sentinel", *CHECKS], "ok")
    assert f"3 of 3 name {HOST}:{redis.port}" in well["redis-sentinel"].found
    assert f"primary 'live' of 3 Sentinels at {HOST}:{redis.port}: answers" in well["redis"].found
    assert alone["redis-sentinel"].level == "warning"
    assert without_one["redis-sentinel"].level == "warning"
    assert f"{HOST}:{ports[2]} nobody listens there" in without_one["redis-sentinel"].found
    assert without_two["redis-sentinel"].level == "error"
    assert without_two["redis"].level == "ok"
    assert unknown["redis"].level == "error"
    assert "no sentinel that can be reached knows" in unknown["redis"].found


async def test_sentinels_that_are_not_there():
    found = await look(sentinels(free_port(), free_port(), free_port(), sentinel_kwargs={"password": SECRET}))

    assert levels(found) == {"redis-sentinel": "error", "redis": "error"}
    assert "none names a primary" in found["redis-sentinel"].found
