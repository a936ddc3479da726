"""Where Redis is, as CHANNEL_LAYERS says."""

import pytest
from channels_redis.pubsub import RedisPubSubLoopLayer
from channels_redis.utils import decode_hosts

from live.channel import Channel
from live.store.redis.topology import Topology

A = Channel("stream", "test", "a")
SECRET = "s3cret/pass#word"


def only_host(entry):
    return Topology.from_layer_config({"hosts": [entry]}).hosts[0]


def connection_of(entry):
    return only_host(entry).pool().connection()


def test_without_hosts_redis_is_on_this_machine():
    for config in ({}, {"hosts": []}, {"hosts": None}):
        topology = Topology.from_layer_config(config)
        assert [host.label for host in topology.hosts] == ["localhost:6379"]
        assert topology.prefix == "asgi"
    assert Topology.from_layer_config({"prefix": "mine", "capacity": 7}).prefix == "mine"


@pytest.mark.parametrize(
    ("entry", "label"),
    [
        ("redis://h:1234", "h:1234"),
        ("redis://h", "h:6379"),
        (("h", 1234), "h:1234"),
        (["h", 1234], "h:1234"),
        ({"host": "h", "port": 1234}, "h:1234"),
        ({"address": "rediss://h:1234", "ssl_cert_reqs": None}, "h:1234"),
        ("unix:///run/redis.sock", "unix:/run/redis.sock"),
        ({"sentinels": [("s", 26379), ("t", 26379)], "master_name": "m"}, "primary 'm' of 2 Sentinels"),
    ],
)
def test_hosts_come_in_every_form_of_the_layer(entry, label):
    assert only_host(entry).label == label


def test_users_passwords_and_databases_reach_the_connection():
    for entry in (
        "redis://ann:pw@h:1234/3",
        {"address": "redis://h:1234", "username": "ann", "password": "pw", "db": 3},
        {"host": "h", "port": 1234, "username": "ann", "password": "pw", "db": 3},
        "unix://ann:pw@/run/redis.sock?db=3",
    ):
        connection = connection_of(entry)
        assert (connection.username, connection.password, connection.db) == ("ann", "pw", 3)


def test_tls_options_reach_the_connection():
    connection = connection_of({"address": "rediss://h", "ssl_cert_reqs": "none", "ssl_check_hostname": False})
    assert type(connection).__name__ == "SSLConnection"
    assert connection.check_hostname is False
    sentinel = connection_of({"sentinels": [("s", 1)], "master_name": "m", "ssl": True})
    assert "SSL" in type(sentinel).__name__


@pytest.mark.parametrize(
    ("entry", "connect", "socket"),
    [
        ("redis://h", 2, 2),
        ("redis://h?socket_timeout=7", 2, 7),
        ({"address": "redis://h", "socket_timeout": 7, "socket_connect_timeout": 1}, 1, 7),
        # Meant for the layer, which waits for messages; nobody may wait for ever for the store.
        ({"host": "h", "socket_timeout": None}, 2, 2),
    ],
)
def test_nobody_waits_for_ever(entry, connect, socket):
    pool = only_host(entry).pool()
    assert (pool.connect_timeout, pool.socket_timeout) == (connect, socket)


def test_sentinels_are_not_waited_for_either():
    entry = {"sentinels": [("s", 1)], "master_name": "m", "sentinel_kwargs": {"password": "pw", "socket_timeout": 1}}
    (client,) = only_host(entry).pool()._sentinel.sentinels
    options = client.connection_pool.connection_kwargs
    assert (options["password"], options["socket_timeout"], options["socket_connect_timeout"]) == ("pw", 1, 2)


@pytest.mark.parametrize(
    "entry", ["redis://h?retry_on_timeout=true", ("h", 1), {"host": "h", "retry_on_timeout": True}]
)
def test_redis_py_does_not_retry_by_itself(entry):
    assert connection_of(entry).retry._retries == 0


@pytest.mark.parametrize(
    ("hosts", "match"),
    [
        ("redis://h", "hosts must be a list"),
        ({"host": "h"}, "hosts must be a list"),
        (["redis://h", "http://h"], r"hosts\[1\]\['address'\] is not a URL"),
        ([f"redis://:{SECRET}@h"], r"hosts\[0\]\['address'\] is not a URL"),
        ([{"address": f"redis://h?socket_timeout={SECRET}"}], r"hosts\[0\]\['address'\] is not a URL"),
        ([{"address": 7}], r"hosts\[0\]\['address'\] must be a URL, not int"),
        ([7], r"hosts\[0\]\['address'\] must be a URL, not int"),
        ([("h",)], r"hosts\[0\] must be \(host, port\)"),
        ([{"host": "h", "prot": SECRET}], r"hosts\[0\]\['prot'\] is no option"),
        ([{"host": "h", "ssl": True}], r"hosts\[0\]\['ssl'\] is no option"),
        ([{"host": "h", "max_connections": SECRET}], r"hosts\[0\] has a value redis-py refuses"),
        ([{"sentinels": [("s", 1)]}], r"hosts\[0\]\['sentinels'\] needs 'master_name'"),
        ([{"master_name": "m"}], r"hosts\[0\]\['sentinels'\] must be a list"),
        ([{"master_name": "m", "sentinels": [SECRET]}], r"hosts\[0\]\['sentinels'\]\[0\] must be"),
    ],
)
def test_what_is_wrong_is_named_and_secrets_are_not(hosts, match):
    with pytest.raises(ValueError, match=match) as caught:
        Topology.from_layer_config({"hosts": hosts})
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_prefix_is_a_text():
    with pytest.raises(ValueError, match="prefix must be a text"):
        Topology.from_layer_config({"prefix": 7})


def test_nothing_shows_secrets():
    hosts = [
        "redis://ann:s3cret@h",
        {"host": "h", "password": "s3cret"},
        {"sentinels": [("s", 1)], "master_name": "m", "password": "s3cret", "sentinel_kwargs": {"password": "s3cret"}},
    ]
    topology = Topology.from_layer_config({"hosts": hosts})
    assert "s3cret" not in repr(topology) + str([host.label for host in topology.hosts])


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_a_channel_is_on_the_host_its_group_is_on(number):
    hosts = [f"redis://h{index}" for index in range(number)]
    topology = Topology.from_layer_config({"hosts": hosts, "prefix": "mine"})
    assert len(decode_hosts(hosts)) == len(topology.hosts)
    layer = RedisPubSubLoopLayer(hosts=hosts, prefix="mine")
    seen = set()
    for index in range(200):
        channel = Channel("stream", "test", str(index))
        name = layer._get_group_channel_name(f"live.{channel.digest}")
        assert topology.announcement(channel) == name
        shard = topology.shard_of(channel)
        assert layer._get_shard(name) is layer._shards[shard]
        seen.add(shard)
    assert seen == set(range(number))
