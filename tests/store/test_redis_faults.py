"""The Redis store while connections break, Redis restarts, pauses, is another one's replica, or is not there at all."""

import asyncio
import contextlib
import logging
import time

import pytest

from live.channel import Channel
from live.exceptions import EngineUnavailable
from live.store import ChannelOptions, Draft, Member, Position
from live.store.redis import connection as connection_module
from live.store.redis import link as link_module
from live.waiting import within
from tests.redis_server import HOST, RedisServer

A = Channel("stream", "test", "a")
HISTORY = ChannelOptions(history_size=5000, history_ttl=300, keep_last=True)
PLAIN = ChannelOptions(keep_last=True)
LIMITS = {"max_channels": 100, "history_max_bytes": 1 << 20}


@pytest.fixture
def server(tmp_path):
    with RedisServer(tmp_path, appendonly="yes", appendfsync="always") as server:
        yield server


@pytest.fixture
async def store(make_redis_store, server):
    return make_redis_store(server, **LIMITS)


@pytest.fixture
async def hasty(make_redis_store, server):
    """A store that does not wait for long."""
    return make_redis_store(f"{server.url}?socket_timeout=1", **LIMITS)


class Records(logging.Handler):
    """The lines of the log "live.store", which can be waited for."""

    def __init__(self):
        super().__init__()
        self.lines = []
        self.more = asyncio.Event()

    def emit(self, record):
        self.lines.append(record.getMessage())
        self.more.set()

    async def until(self, text):
        """Waits for a line with this text."""
        async with asyncio.timeout(50):
            while not any(text in line for line in self.lines):
                self.more.clear()
                await self.more.wait()


@pytest.fixture
async def log():
    records, logger = Records(), logging.getLogger("live.store")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(records)
    yield records
    logger.removeHandler(records)
    logger.setLevel(level)


class Proxy:
    """A connection to Redis that can be cut between what is asked and its answer."""

    def __init__(self, server):
        self.server = server
        self.cut_answers = 0
        self.asked = 0
        self._tasks = set()
        self._tcp = None

    @property
    def port(self):
        return self._tcp.sockets[0].getsockname()[1]

    async def __aenter__(self):
        self._tcp = await asyncio.start_server(self._serve, HOST, 0)
        return self

    async def __aexit__(self, *exc_info):
        self._tcp.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        redis_reader, redis_writer = await asyncio.open_connection(HOST, self.server.port)
        answers = asyncio.ensure_future(self._answer(redis_reader, writer))
        try:
            while data := await reader.read(65536):
                self.asked += b"EVALSHA" in data
                redis_writer.write(data)
            await answers
        finally:
            answers.cancel()
            for one in (writer, redis_writer):
                one.close()
                with contextlib.suppress(OSError):
                    await one.wait_closed()
            self._tasks.discard(asyncio.current_task())

    async def _answer(self, reader, writer):
        while data := await reader.read(65536):
            if self.asked and self.cut_answers:
                self.cut_answers -= 1
                self.asked = 0
                break
            writer.write(data)
        writer.close()


async def append(store, *values, options=HISTORY, **kwargs):
    return await store.append_many([Draft(A, value, options, **kwargs) for value in values])


def data(publications):
    return [publication.data for publication in publications]


@pytest.mark.parametrize("options", [HISTORY, PLAIN], ids=["history", "plain"])
async def test_an_answer_that_is_lost_doubles_nothing(server, make_redis_store, options):
    async with Proxy(server) as proxy:
        store = make_redis_store(f"redis://{HOST}:{proxy.port}", **LIMITS)
        await append(store, b"0", options=options)
        proxy.asked, proxy.cut_answers = 0, 1
        sent = await append(store, b"1", b"2", options=options)
        assert proxy.cut_answers == 0
        await append(store, b"3", options=options)
        assert data(sent) == [b"1", b"2"]
        assert (await store.active(A))[0].minute_rate == 4
        if options is HISTORY:
            assert [publication.offset for publication in sent] == [2, 3]
            assert data((await store.history(A))[0]) == [b"0", b"1", b"2", b"3"]


async def test_a_connection_that_is_lost_twice_is_an_error_and_doubles_nothing(server, make_redis_store, log):
    async with Proxy(server) as proxy:
        store = make_redis_store(f"redis://{HOST}:{proxy.port}", **LIMITS)
        await append(store, b"0")
        proxy.asked, proxy.cut_answers = 0, 2
        with pytest.raises(EngineUnavailable):
            await append(store, b"1", key="k1")
        await log.until("is reached again")
        (sent,) = await append(store, b"1", key="k1")
        assert sent.offset == 2
        assert data((await store.history(A))[0]) == [b"0", b"1"]


async def test_connections_killed_in_the_middle_lose_and_double_nothing(server, store):
    sent, progress, killed = [], asyncio.Event(), asyncio.Event()

    async def publish(start):
        for number in range(start, start + 500):
            if number == start + 250:
                # What kills may be slow: half of them are for the second time.
                await killed.wait()
            sent.extend(await append(store, b"%d" % number))
            progress.set()

    async def kill():
        kills = 0
        # Not the connection that takes the place of the last one before it was of use.
        wanted = 100
        while wanted <= 1500:
            while len(sent) < wanted:
                progress.clear()
                await progress.wait()
            await asyncio.to_thread(server.cli, "CLIENT", "KILL", "TYPE", "normal")
            kills += 1
            killed.set()
            wanted = len(sent) + 100
        return kills

    *_, kills = await asyncio.gather(publish(0), publish(1000), publish(2000), kill())
    assert kills >= 2
    found, top = await store.history(A)
    assert top.offset == 1500
    assert [publication.offset for publication in found] == list(range(1, 1501))
    assert sorted(found, key=lambda p: p.offset) == sorted(sent, key=lambda p: p.offset)
    for start in (0, 1000, 2000):
        mine = [int(value) for value in data(found) if start <= int(value) < start + 500]
        assert mine == list(range(start, start + 500))


async def test_a_restart_with_its_data_goes_on_where_it_was(server, store):
    first = await append(store, b"1", b"2")
    await asyncio.to_thread(server.restart)
    (third,) = await append(store, b"3")
    assert third.position == Position(3, first[0].epoch)
    assert data((await store.history(A))[0]) == [b"1", b"2", b"3"]


async def test_a_restart_without_data_is_a_new_epoch(make_redis_store, tmp_path):
    with RedisServer(tmp_path) as server:
        store = make_redis_store(server)
        (first,) = await append(store, b"1")
        server.restart()
        (again,) = await append(store, b"2")
        assert again.offset == 1
        assert again.epoch != first.epoch


async def test_scripts_that_redis_forgot_are_loaded_again(server, store):
    await append(store, b"1")
    server.cli("SCRIPT", "FLUSH")
    calls = [append(store, b"2"), store.state(A, HISTORY), store.history(A), store.nodes()]
    assert [p.offset for p in (await asyncio.gather(*calls))[0]] == [2]


async def test_who_asks_while_redis_is_down_does_not_wait(server, store, log):
    await append(store, b"1")
    server.stop()
    with pytest.raises(EngineUnavailable, match="the store cannot be reached"):
        await append(store, b"2")
    began = time.monotonic()
    calls = [append(store, b"2") for _ in range(300)] + [store.history(A) for _ in range(300)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, EngineUnavailable) for result in results)
    # Each of them would wait for 40 s.
    assert time.monotonic() - began < 30
    with pytest.raises(EngineUnavailable):
        await store.ping()
    assert log.lines == [f"Redis at {HOST}:{server.port} cannot be reached: ConnectionError"]
    server.start()
    await log.until("is reached again")
    assert [p.offset for p in await append(store, b"2")] == [2]
    assert len(log.lines) == 2


async def test_a_ping_finds_redis_before_the_probe_does(server, store, log, monkeypatch):
    monkeypatch.setattr(link_module, "PROBE_SECONDS", 1000)
    await append(store, b"1")
    server.restart()
    server.stop()
    with pytest.raises(EngineUnavailable):
        await append(store, b"2")
    server.start()
    with pytest.raises(EngineUnavailable):
        await append(store, b"2")
    await store.ping()
    await append(store, b"2")
    assert len(log.lines) == 2


async def test_without_redis_at_the_start_it_is_found_later(server, make_redis_store, log):
    server.stop()
    store = make_redis_store(server, **LIMITS)
    with pytest.raises(EngineUnavailable):
        await store.state(A, HISTORY)
    server.start()
    await log.until("is reached again")
    assert (await store.state(A, HISTORY)).position.offset == 0


async def test_a_redis_that_does_not_answer_is_not_waited_for_long(server, hasty, log, monkeypatch):
    waits = []

    def counted(seconds):
        waits.append(seconds)
        return within(seconds)

    store = hasty
    await append(store, b"1")
    await store.nodes()
    monkeypatch.setattr(connection_module, "within", counted)
    server.pause()
    calls = [append(store, b"2", key="k2"), store.history(A), append(store, b"3", key="k3")]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, EngineUnavailable) for result in results)
    with pytest.raises(EngineUnavailable):
        await append(store, b"4")
    # Once for what was on its way on each of two connections, and not again; after that only the probe waits.
    assert waits[:2] == [1, 1]
    assert set(waits[2:]) <= {41}
    server.resume()
    await log.until("is reached again")
    # What was on its way when it paused is done late, and once.
    assert [p.offset for p in await append(store, b"2", key="k2")] == [2]
    await append(store, b"3", key="k3")
    assert data((await store.history(A))[0]) == [b"1", b"2", b"3"]
    assert log.lines[0].endswith("cannot be reached: TimeoutError")


async def test_a_replica_takes_nothing_and_is_asked_until_it_is_the_primary(server, store, log):
    await append(store, b"1")
    server.cli("REPLICAOF", HOST, "1")
    with pytest.raises(EngineUnavailable):
        await append(store, b"2")
    with pytest.raises(EngineUnavailable):
        await store.ping()
    server.cli("REPLICAOF", "NO", "ONE")
    await log.until("is reached again")
    assert [p.offset for p in await append(store, b"2")] == [2]
    assert data((await store.history(A))[0]) == [b"1", b"2"]


async def test_what_redis_refuses_is_an_error_and_not_an_outage(server, store, log):
    await append(store, b"1")
    server.cli("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(EngineUnavailable, match=r"refused publications \(O"):
        await append(store, b"2")
    server.cli("CONFIG", "SET", "maxmemory", "0")
    await append(store, b"2")
    server.cli("SET", store._hosts.prefix.decode() + A.digest + ":members", "not a hash")
    with pytest.raises(EngineUnavailable, match="refused members"):
        await store.members(A)
    assert log.lines == []


async def test_a_connection_that_was_idle_for_long_is_replaced(server, store, monkeypatch):
    await append(store, b"1")
    monkeypatch.setattr(connection_module, "IDLE_SECONDS", 0.0)
    before = server.info("stats")["total_connections_received"]
    await append(store, b"2")
    # The one of redis-cli that asked, that of the store, and this one.
    assert int(server.info("stats")["total_connections_received"]) == int(before) + 2


async def test_a_process_that_stood_still_does_not_blame_redis(hasty, log):
    store = hasty
    await append(store, b"1")
    calls = [append(store, b"2"), store.history(A), store.acquire("lease", "node", 60, note=b"")]
    waiting = [asyncio.ensure_future(call) for call in calls]
    for _ in range(3):
        await asyncio.sleep(0)
    time.sleep(2)  # noqa: ASYNC251 - longer than Redis may take
    published, _, lease = await asyncio.gather(*waiting)
    assert data(published) == [b"2"]
    assert lease is not None
    assert log.lines == []


async def test_mistakes_of_the_caller_are_not_hidden(store):
    for value in (None, "text"):
        with pytest.raises(TypeError):
            await append(store, value)
    results = await asyncio.gather(
        store.add_members([(A, Member("c", "u", "text"))], 10), store.members(A), return_exceptions=True
    )
    assert isinstance(results[0], TypeError)
    assert results[1] == []
    with pytest.raises(TypeError):
        await store.history(A, limit="many")
    assert [p.offset for p in await append(store, b"1")] == [1]


async def test_what_waits_when_the_store_is_closed_is_told(server, store):
    await append(store, b"1")
    server.pause()
    calls = [append(store, b"2"), store.history(A), append(store, b"3")]
    waiting = [asyncio.ensure_future(call) for call in calls]
    await asyncio.sleep(0)
    # Redis would be waited for twice as long.
    await asyncio.wait_for(store.close(), 20)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, EngineUnavailable) for result in results)
    server.resume()
