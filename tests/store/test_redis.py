"""What the Redis store does besides the contract: announcements, hosts, connections, keys in Redis."""

import asyncio
import subprocess
import sys
import threading
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from live.channel import Channel
from live.exceptions import EngineUnavailable
from live.store import ChannelOptions, Draft, Member, MemoryStore, Position
from live.store.redis import RedisStore
from live.store.redis import drafts as drafts_module
from live.store.redis import lanes as lanes_module
from live.store.redis.topology import Topology
from tests.redis_server import RedisServer
from tests.store.conftest import Clock

A = Channel("stream", "test", "a")
HISTORY = ChannelOptions(history_size=300, history_ttl=30, keep_last=True)
CHANNELS = [Channel("stream", "test", str(number)) for number in range(40)]


@pytest.fixture
async def store(make_redis_store, redis_server):
    return make_redis_store(redis_server, max_channels=1000, history_max_bytes=1 << 20)


async def append(store, count, channel=A, options=HISTORY, start=0):
    return await store.append_many([Draft(channel, b"%d" % n, options) for n in range(start, start + count)])


def numbers(publications):
    return [int(publication.data) for publication in publications]


# Announcements


async def test_publications_are_announced_as_the_layer_sends(redis_server, make_redis_store, listen):
    config = {"hosts": [redis_server.url], "prefix": f"p{uuid.uuid4().hex}"}
    topology = Topology.from_layer_config(config)
    store = make_redis_store(redis_server, prefix=config["prefix"])
    receive = await listen(config, A)
    name = topology.announcement(A)
    options = ChannelOptions(history_size=3)
    sent = await store.append_many(
        [
            Draft(A, b'{"a":1}', options, announce=name),
            Draft(A, b'{"whole":"\xc3\xa4"}', options, schema=b"s", short=b"[1]", announce=name),
            Draft(A, b'{"whole":2}', options, schema=b"s", short=b"[2]", info=b'{"user":"u"}', announce=name),
            Draft(A, b"not announced", options),
            Draft(A, b"5", ChannelOptions(), announce=name),
        ]
    )
    head = {"type": "live.publication", "channel": str(A)}
    epoch = sent[0].epoch
    assert await receive() == {**head, "data": '{"a":1}', "offset": 1, "epoch": epoch}
    assert await receive() == {**head, "data": '{"whole":"ä"}', "offset": 2, "epoch": epoch}
    # Here the history holds three, of which every one is to be a key frame.
    assert await receive() == {**head, "data": '{"whole":2}', "offset": 3, "epoch": epoch, "info": '{"user":"u"}'}
    assert await receive() == {**head, "data": "5"}


async def test_a_short_form_is_announced_where_it_is_what_subscribers_get(redis_server, make_redis_store, listen):
    config = {"hosts": [redis_server.url], "prefix": f"p{uuid.uuid4().hex}"}
    store = make_redis_store(redis_server, prefix=config["prefix"])
    receive = await listen(config, A)
    name = Topology.from_layer_config(config).announcement(A)
    frames = [Draft(A, b"%d00" % n, HISTORY, schema=b"s", short=b"%d" % n, announce=name) for n in (1, 2)]
    sent = await store.append_many(frames)
    assert [publication.data for publication in sent] == [b"100", b"2"]
    assert [(await receive())["data"] for _ in sent] == ["100", "2"]


async def test_what_a_key_finds_is_not_announced_again(redis_server, make_redis_store, listen):
    config = {"hosts": [redis_server.url], "prefix": f"p{uuid.uuid4().hex}"}
    store = make_redis_store(redis_server, prefix=config["prefix"])
    receive = await listen(config, A)
    name = Topology.from_layer_config(config).announcement(A)
    for value, key in ((b"1", "k"), (b"2", "k"), (b"3", "l")):
        await store.append_many([Draft(A, value, HISTORY, key=key, announce=name)])
    assert [(await receive())["offset"] for _ in range(2)] == [1, 2]


# Hosts


async def test_channels_are_spread_over_hosts(redis_server, make_redis_store, listen, tmp_path):
    with RedisServer(tmp_path) as other:
        servers = [redis_server, other]
        config = {"hosts": [server.url for server in servers], "prefix": f"p{uuid.uuid4().hex}"}
        store = make_redis_store(*servers, prefix=config["prefix"], max_channels=1000)
        topology = Topology.from_layer_config(config)
        drafts = [Draft(c, b"%d" % n, HISTORY, announce=topology.announcement(c)) for n, c in enumerate(CHANNELS * 3)]
        receivers = [await listen(config, channel) for channel in CHANNELS[:6]]
        sent = await store.append_many(drafts)
        assert numbers(sent) == list(range(120))
        assert [publication.offset for publication in sent] == [1] * 40 + [2] * 40 + [3] * 40
        shards = {topology.shard_of(channel) for channel in CHANNELS[:6]}
        assert shards == {0, 1}
        for receive in receivers:
            assert [(await receive())["offset"] for _ in range(3)] == [1, 2, 3]
        for index, server in enumerate(servers):
            found = server.cli("KEYS", f"{topology.prefix}:live:*:stream").split()
            mine = [channel for channel in CHANNELS if topology.shard_of(channel) == index]
            assert sorted(found) == sorted(f"{topology.prefix}:live:{channel.digest}:stream" for channel in mine)
        assert {active.channel for active in await store.active()} == set(CHANNELS)
        assert [position.offset for position in await store.positions(CHANNELS)] == [3] * 40
        people = [(channel, Member(f"c{n}", "u", b"{}")) for n, channel in enumerate(CHANNELS)]
        await store.add_members(people, 60)
        assert await store.members(CHANNELS[7]) == [people[7][1]]
        assert await store.remove_members([(channel, one.client) for channel, one in people]) == [True] * 40
        await store.touch_node("n", 60)
        assert await store.nodes() == ["n"]
        await store.ping()
        other.stop()
        with pytest.raises(EngineUnavailable):
            await store.ping()
        with pytest.raises(EngineUnavailable):
            await store.append_many(drafts)
        here = next(channel for channel in CHANNELS if topology.shard_of(channel) == 0)
        assert (await append(store, 1, here))[0].offset >= 4


@pytest.mark.parametrize("form", ["url", "tuple", "dict", "address", "unix", "database"])
async def test_hosts_of_every_form_are_reached(redis_server, make_redis_store, form):
    host, port = redis_server.address
    entry = {
        "url": redis_server.url,
        "tuple": (host, port),
        "dict": {"host": host, "port": port, "db": 1},
        "address": {"address": redis_server.url, "socket_timeout": 30, "client_name": "live"},
        "unix": f"unix://{redis_server.socket}",
        "database": f"{redis_server.url}/2",
    }[form]
    store = make_redis_store(entry)
    await append(store, 3)
    assert numbers((await store.history(A))[0]) == [0, 1, 2]


async def test_users_and_passwords(make_redis_store, tmp_path, caplog):
    with RedisServer(tmp_path, password="s3cret") as server:
        server.cli("ACL", "SETUSER", "ann", "on", ">pa/ss", "~*", "&*", "+@all")
        host, port = server.address
        for entry in (
            server.url,
            f"redis://ann:pa%2Fss@{host}:{port}",
            {"host": host, "port": port, "password": "s3cret"},
        ):
            await append(make_redis_store(entry), 1)
        assert caplog.text == ""
        store = make_redis_store(f"redis://ann:wr0ng@{host}:{port}")
        with pytest.raises(EngineUnavailable) as caught:
            await append(store, 1)
        assert "AuthenticationError" in caplog.text
        assert "wr0ng" not in caplog.text + str(caught.value) + repr(caught.value.__cause__)


def self_signed(folder):
    """A key and a certificate of this machine's address."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    line = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    line += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(line, check=True, capture_output=True, timeout=30)
    return key, certificate


async def test_tls(make_redis_store, tmp_path):
    key, certificate = self_signed(tmp_path)
    tls = {"tls_cert_file": certificate, "tls_key_file": key, "tls_ca_cert_file": certificate}
    with TlsRedisServer(tmp_path, tls_auth_clients="no", **tls) as server:
        url = server.url.replace("redis://", "rediss://")
        store = make_redis_store({"address": url, "ssl_ca_certs": str(certificate)})
        await append(store, 2)
        assert numbers((await store.history(A))[0]) == [0, 1]
        distrusting = make_redis_store(url)
        with pytest.raises(EngineUnavailable):
            await append(distrusting, 1)


class TlsRedisServer(RedisServer):
    """One that speaks TLS on its port and nothing else there."""

    def command(self):
        line = super().command()
        line[line.index("--port") + 1] = "0"
        return [*line, "--tls-port", str(self.port)]

    def cli(self, *arguments, **kwargs):
        return super().cli("--tls", "--insecure", *arguments, **kwargs)


# Connections


async def connected(server):
    """How many connections there are besides the one that asks."""
    return int((await asyncio.to_thread(server.info, "clients"))["connected_clients"]) - 1


async def test_the_number_of_connections_does_not_depend_on_the_load(make_redis_store, tmp_path):
    with RedisServer(tmp_path) as server:
        store = make_redis_store(server, max_channels=1000)
        await append(store, 1)
        assert await connected(server) == 1
        calls = [append(store, 2, channel) for channel in CHANNELS * 20]
        calls += [store.history(channel) for channel in CHANNELS * 20]
        calls += [store.ping() for _ in range(20)]
        await asyncio.gather(*calls)
        assert await connected(server) == 3
        await store.close()
        assert await connected(server) == 0
        with pytest.raises(EngineUnavailable, match="closed"):
            await append(store, 1)


async def test_drafts_at_the_same_time_go_out_together(store, redis_server):
    await append(store, 1)
    redis_server.cli("CONFIG", "RESETSTAT")
    await asyncio.gather(*[append(store, 1, channel) for channel in CHANNELS * 10])
    assert calls_of(redis_server, "evalsha") <= 5


async def test_the_same_question_at_the_same_time_is_asked_once(store, redis_server):
    await append(store, 5)
    await store.history(A)
    redis_server.cli("CONFIG", "RESETSTAT")
    answers = await asyncio.gather(*[store.history(A, limit=3) for _ in range(200)])
    assert all(numbers(found) == [0, 1, 2] for found, _ in answers)
    assert calls_of(redis_server, "evalsha") == 1
    # What was asked for before may be old for whoever asks now.
    first = asyncio.ensure_future(store.state(A, HISTORY))
    await asyncio.sleep(0)
    await append(store, 1, start=5)
    assert (await store.state(A, HISTORY)).last == b"5"
    await first


async def test_one_who_gives_up_takes_nobody_else_along(store):
    await append(store, 3)
    questions = [asyncio.ensure_future(store.history(A)) for _ in range(3)]
    writers = [asyncio.ensure_future(append(store, 1, start=3 + n)) for n in range(3)]
    await asyncio.sleep(0)
    questions[0].cancel()
    writers[0].cancel()
    for question in questions[1:]:
        assert len((await question)[0]) >= 3
    await asyncio.gather(*writers[1:])
    assert numbers((await store.history(A))[0])[-2:] == [4, 5]


async def test_what_waits_is_bounded(store, monkeypatch):
    monkeypatch.setattr(drafts_module, "MAX_DRAFTS", 10)
    monkeypatch.setattr(lanes_module, "MAX_WAITING", 10)
    # One batch alone goes whatever its size.
    await append(store, 50)
    results = await asyncio.gather(*[append(store, 3) for _ in range(5)], return_exceptions=True)
    assert [isinstance(result, EngineUnavailable) for result in results] == [False, False, False, True, True]
    questions = [store.history(channel) for channel in CHANNELS[:15]]
    results = await asyncio.gather(*questions, return_exceptions=True)
    assert [isinstance(result, EngineUnavailable) for result in results] == [False] * 10 + [True] * 5
    assert len(await append(store, 3)) == 3
    monkeypatch.setattr(drafts_module, "MAX_BYTES", 10)
    drafts = [store.append(A, b"x" * 8, HISTORY) for _ in range(2)]
    results = await asyncio.gather(*drafts, return_exceptions=True)
    assert [isinstance(result, EngineUnavailable) for result in results] == [False, True]


async def test_event_loops_do_not_get_into_each_other(store, redis_server):
    results = []

    async def publish(start):
        for number in range(start, start + 100):
            await append(store, 1, start=number)
        results.append((await store.history(A))[0])

    threads = [threading.Thread(target=lambda n=n: asyncio.run(publish(100 * n))) for n in (1, 2)]
    for thread in threads:
        thread.start()
    await publish(0)
    for thread in threads:
        await asyncio.to_thread(thread.join)
    found, top = await store.history(A)
    assert sorted(numbers(found)) == list(range(300))
    assert top.offset == 300
    for start in (0, 100, 200):
        mine = [number for number in numbers(found) if start <= number < start + 100]
        assert mine == sorted(mine)


async def test_closing_closes_what_other_event_loops_have(make_redis_store, tmp_path):
    with RedisServer(tmp_path) as server:
        store = make_redis_store(server)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(append(store, 1), loop))
        await append(store, 1)
        assert await connected(server) == 2
        await store.close()
        assert await connected(server) == 0
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()


PROGRAM = """
import asyncio, logging, sys
from live.channel import Channel
from live.store import ChannelOptions
from live.store.redis import RedisStore
from live.store.redis.topology import Topology

store = RedisStore(Topology.from_layer_config({"hosts": [sys.argv[1]]}), ttl=60, max_channels=9, history_max_bytes=99)

async def publish():
    return (await store.append(Channel("stream", "test", sys.argv[2]), b"1", ChannelOptions(history_size=3))).offset

# In its debug mode asyncio warns of steps that take long, which says something of the machine only.
logging.getLogger("asyncio").setLevel(logging.ERROR)
print([asyncio.run(publish()) for _ in range(3)])
"""


def test_a_script_that_closes_nothing_ends_without_noise(redis_server):
    line = [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM, redis_server.url, uuid.uuid4().hex]
    done = subprocess.run(line, capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("[1, 2, 3]\n", "")


# Keys in Redis


def calls_of(server, command):
    line = server.info("commandstats").get(f"cmdstat_{command}", "calls=0,")
    return int(line.partition("calls=")[2].partition(",")[0])


async def test_redis_drops_what_is_left_alone(redis_server, make_redis_store):
    prefix = f"p{uuid.uuid4().hex}"
    store = make_redis_store(redis_server, prefix=prefix, ttl=500)
    began = time.monotonic()
    options = ChannelOptions(history_size=9, history_ttl=100, keep_last=True)
    await store.append(A, b"1", options)
    await store.append(A, b"2", options, key="k")
    await store.state(CHANNELS[0], options)
    await store.add_members([(A, Member("c", "u", b"{}"))], 60)
    await store.acquire("job", "me", 30)
    await store.touch_node("n", 30)
    await store.ping()
    lifetimes = {}
    for key in redis_server.cli("KEYS", f"{prefix}:*").split():
        lifetimes[key.split(":", 2)[2]] = int(redis_server.cli("TTL", key))
    took = time.monotonic() - began
    a, other = A.digest, CHANNELS[0].digest
    calls = next(key for key in lifetimes if key.startswith("calls:"))
    most = {
        f"{a}:state": 560,
        f"{a}:stream": 160,
        f"{a}:keys": 160,
        f"{other}:state": 600,
        f"{a}:members": 660,
        f"{a}:present": 660,
        f"{a}:users": 660,
        "lease:job": 90,
        "nodes": 90,
        "probe": 1,
        calls: 60,
        "active": -1,
        "token": -1,
    }
    assert lifetimes.keys() <= most.keys()
    assert most.keys() - lifetimes.keys() <= {"probe"}
    for key, seconds in lifetimes.items():
        assert seconds == -1 if most[key] == -1 else most[key] - 5 - took <= seconds <= most[key], key


async def test_the_list_of_active_channels_forgets_the_idle(redis_server, make_redis_store):
    prefix, clock = f"p{uuid.uuid4().hex}", Clock(0)
    store = make_redis_store(redis_server, prefix=prefix, max_channels=1000, clock_shift=clock)
    await store.append_many([Draft(channel, b"1", HISTORY) for channel in CHANNELS])
    clock.advance(50)
    await append(store, 1)
    clock.advance(60)
    await store.expire()
    assert redis_server.cli("ZCARD", f"{prefix}:live:active") == "1"
    assert redis_server.cli("EXISTS", f"{prefix}:live:{CHANNELS[0].digest}:state") == "0"


async def test_channels_without_history_have_no_stream(redis_server, make_redis_store):
    prefix = f"p{uuid.uuid4().hex}"
    store = make_redis_store(redis_server, prefix=prefix)
    await store.append(A, b"1", ChannelOptions(keep_last=True), schema=b"s")
    assert redis_server.cli("EXISTS", f"{prefix}:live:{A.digest}:stream") == "0"
    (active,) = await store.active(A)
    assert (active.schema, active.minute_rate) == (b"s", 1)


async def test_two_sites_share_one_redis(redis_server, make_redis_store):
    one, two = [make_redis_store(redis_server) for _ in range(2)]
    await append(one, 3)
    assert await two.active() == []
    assert (await append(two, 1))[0].offset == 1


async def test_two_processes_of_a_site_share_everything(redis_server, make_redis_store):
    prefix = f"p{uuid.uuid4().hex}"
    one, two = [make_redis_store(redis_server, prefix=prefix) for _ in range(2)]
    told = (await one.state(A, HISTORY)).position
    (first,) = await append(two, 1)
    assert first.epoch == told.epoch
    assert [p.offset for p in [*await append(one, 1), *await append(two, 1)]] == [2, 3]
    assert (await one.append(A, b"1", HISTORY, key="k")) == (await two.append(A, b"2", HISTORY, key="k"))
    assert await one.acquire("job", "one", 10)
    assert await two.acquire("job", "two", 10) is None


async def test_tokens_grow_although_redis_lost_everything(tmp_path, make_redis_store):
    with RedisServer(tmp_path) as server:
        store = make_redis_store(server)
        first = await store.acquire("job", "one", 10)
        server.cli("FLUSHALL")
        second = await store.acquire("job", "two", 10)
        assert second.token > first.token
        assert not await store.renew(first, 10)


async def test_a_stream_that_redis_lost_begins_anew(tmp_path, make_redis_store):
    with RedisServer(tmp_path) as server:
        store = make_redis_store(server)
        (first,) = await append(store, 1)
        server.cli("FLUSHALL")
        (position,) = await store.positions([A])
        assert (position.offset, position.epoch != first.epoch) == (0, True)
        (again,) = await append(store, 1)
        assert again.position == Position(1, position.epoch)
        assert await store.history(A, since=first.position) == ([], again.position)


@pytest.mark.parametrize("asked", [False, True])
async def test_a_channel_of_which_redis_lost_a_part_begins_anew(redis_server, make_redis_store, asked):
    # As it does where it may evict what it likes (maxmemory-policy allkeys-...).
    prefix, other = f"p{uuid.uuid4().hex}", CHANNELS[0]
    store = make_redis_store(redis_server, prefix=prefix)
    sent = await append(store, 3)
    await store.append(A, b"3", HISTORY, key="k")
    redis_server.cli("DEL", f"{prefix}:live:{A.digest}:state")
    if asked:
        (position,) = await store.positions([A])
        assert (position.offset, await store.history(A)) == (0, ([], position))
    # In one call with another channel, of which nothing may be left half done.
    again = await store.append_many([Draft(other, b"4", HISTORY), Draft(A, b"5", HISTORY), Draft(A, b"6", HISTORY)])
    assert [publication.offset for publication in again] == [1, 1, 2]
    assert again[1].epoch == (position.epoch if asked else again[2].epoch) != sent[0].epoch
    # What had this key went with the life that is over.
    keyed = await store.append(A, b"7", HISTORY, key="k")
    assert (keyed.offset, keyed.data) == (3, b"7")
    assert numbers((await store.history(A))[0]) == [5, 6, 7]
    assert numbers((await store.history(other))[0]) == [4]


async def test_a_state_lives_as_long_as_its_history(redis_server, make_redis_store):
    prefix, clock = f"p{uuid.uuid4().hex}", Clock(0)
    store = make_redis_store(redis_server, prefix=prefix, max_channels=1000, ttl=1, clock_shift=clock)
    await append(store, 1)
    state, stream = (int(redis_server.cli("TTL", f"{prefix}:live:{A.digest}:{kind}")) for kind in ("state", "stream"))
    assert 60 < stream <= state
    # Many that are idle and stay for their histories, and none of those behind them is overlooked.
    more = [Draft(channel, b"1", HISTORY if n % 2 else ChannelOptions()) for n, channel in enumerate(CHANNELS)]
    await store.append_many(more)
    clock.advance(10)
    await store.expire()
    assert len(await store.active()) == 21
    assert numbers((await store.history(A))[0]) == [0]
    clock.advance(21)
    await store.expire()
    assert redis_server.cli("ZCARD", f"{prefix}:live:active") == "0"


async def test_offsets_of_clients_may_be_any_number(store):
    await append(store, 3)
    for offset in (2**64 - 1, 2**53 + 1, 2**63):
        assert (await store.history(A, since=Position(offset, "")))[0] == []
        assert len((await store.history(A, since=Position(offset, ""), reverse=True))[0]) == 3
    assert (await store.history(A, since=Position(0, ""), reverse=True))[0] == []
    assert (await store.history(A, since=Position(1, ""), reverse=True))[0] == []


# The same as in memory

OPTIONS = [
    ChannelOptions(history_size=4, history_ttl=255, keep_last=True, key_interval=5),
    ChannelOptions(history_size=9, history_ttl=155),
    ChannelOptions(keep_last=True, key_interval=3),
    # Longer than the stores keep a channel that is idle.
    ChannelOptions(history_size=3, history_ttl=655, keep_last=True),
]
DRAFTS = st.tuples(
    st.sampled_from(OPTIONS),
    st.sampled_from([1, 10, 200, 350, 1100]),
    st.sampled_from([None, b"s", b"t"]),
    st.booleans(),
    st.sampled_from(["", "", "", "k", "l"]),
)
# Of one channel each: which channels one call makes the store forget may depend on how it goes about it.
BATCHES = st.tuples(st.sampled_from(CHANNELS[:4]), st.lists(DRAFTS, min_size=1, max_size=6))
# Multiples of 10 s, none of them in the 5 s before a time at which something ends: Redis' clock goes on by itself.
STEPS = st.one_of(BATCHES, st.sampled_from([10.0, 30.0, 110.0, 210.0]))


def drafts_of(channel, batch):
    return [
        Draft(
            channel,
            b"x" * size,
            options,
            schema=schema,
            short=b"y" * (size // 3) if short else None,
            info=b"{}" if size % 2 else None,
            key=key,
        )
        for options, size, schema, short, key in batch
    ]


def known(publications, epochs):
    """Publications with the number of the epoch in place of its name."""
    return [(p.data, p.offset, epochs.setdefault(p.epoch, len(epochs)), p.info) for p in publications]


@hypothesis_settings(max_examples=25, deadline=None)
@given(steps=st.lists(STEPS, max_size=25))
def test_both_stores_say_the_same(redis_server, steps):
    clock, shift = Clock(), Clock(0.0)
    limits = {"max_channels": 3, "ttl": 455, "history_max_bytes": 1000}
    url = f"{redis_server.url}?socket_timeout=40&socket_connect_timeout=40"
    topology = Topology.from_layer_config({"hosts": [url], "prefix": f"p{uuid.uuid4().hex}"})
    stores = [MemoryStore(**limits, clock=clock), RedisStore(topology, **limits, clock_shift=shift)]

    async def look(store, channel, epochs):
        found = [await store.state(channel, options) for options in OPTIONS]
        (position,) = await store.positions([channel])
        assert found[0].position == position
        publications, top = await store.history(channel, limit=3)
        newest, _ = await store.history(channel, since=Position(max(1, top.offset), top.epoch), reverse=True)
        return (
            [state.last for state in found],
            (position.offset, epochs.setdefault(position.epoch, len(epochs))),
            known(publications, epochs),
            known(newest, epochs),
        )

    async def play():
        seen = [{}, {}]
        for step in steps:
            if isinstance(step, float):
                clock.advance(step)
                shift.advance(step)
                for store in stores:
                    await store.expire()
            else:
                drafts = drafts_of(*step)
                sent = [known(await s.append_many(drafts), epochs) for s, epochs in zip(stores, seen, strict=True)]
                for draft, one, other in zip(drafts, *sent, strict=True):
                    # What a key found may be forgotten before it is read, by drafts that came with this one.
                    assert one[1:3] == other[1:3] if draft.key else one == other
            actives = [[(a.channel, a.schema) for a in await store.active()] for store in stores]
            assert actives[0] == actives[1]
            for channel in CHANNELS[:4]:
                assert await look(stores[0], channel, seen[0]) == await look(stores[1], channel, seen[1])
        await stores[1].close()

    asyncio.run(play())
