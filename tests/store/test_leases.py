"""Leases with a note and a wish, and drafts that count only while one is held: in every store, and what Redis adds."""

import asyncio
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from live.channel import Channel
from live.exceptions import EngineUnavailable, ErrorCode, LeaseLost, LiveError
from live.store import ChannelOptions, Draft, Lease, MemoryStore, Position, Renewal, presence
from live.store.redis import RedisStore
from live.store.redis import store as redis_store
from live.store.redis.drafts import CALL_DRAFTS, Call
from live.store.redis.topology import Topology
from tests.redis_server import RedisServer
from tests.store.conftest import Clock
from tests.store.test_redis_faults import Proxy

A = Channel("plugin", "test", "a")
B = Channel("plugin", "test", "b")
C = Channel("plugin", "test", "c")
HISTORY = ChannelOptions(history_size=50, history_ttl=300, keep_last=True)
PLAIN = ChannelOptions(keep_last=True)
CHANNELS = [Channel("plugin", "test", str(number)) for number in range(40)]


def name_of(channel):
    return f"run/{channel.digest}"


async def take(store, owner, channel=A, ttl=10, note=b""):
    return await store.acquire(name_of(channel), owner, ttl, note=note, channel=channel)


def draft(value, fence=None, channel=A, options=HISTORY, **kwargs):
    return Draft(channel, value, options, fence=fence, **kwargs)


def data(publications):
    return [publication.data for publication in publications]


def with_long_wishes(patch):
    """Wishes count so long that Redis' clock, which goes on by itself, does not matter."""
    for module in (presence, redis_store):
        patch.setattr(module, "WANTED_SECONDS", 50.0)


# Who has it, and what is noted


@pytest.mark.parametrize("channel", [None, A], ids=["no channel", "channel"])
async def test_a_lease_says_who_has_it_and_what_is_noted(case, channel):
    store = case.store
    assert await store.holder("job", channel=channel) is None
    lease = await store.acquire("job", "one", 10, note=b"\x00\xff \r\n", channel=channel)
    assert lease == Lease("job", "one", lease.token, b"\x00\xff \r\n", channel)
    assert await store.holder("job", channel=channel) == lease
    # The owner that asks again has the lease it has; what is noted stays.
    assert await store.acquire("job", "one", 10, note=b"other", channel=channel) == lease
    assert await store.acquire("job", "two", 10, note=b"two", channel=channel) is None
    assert await store.holder("job", channel=channel) == lease
    case.advance(11)
    assert await store.holder("job", channel=channel) is None
    second = await store.acquire("job", "two", 10, channel=channel)
    assert second.note == b""
    assert await store.holder("job", channel=channel) == second
    await store.release(second)
    assert await store.holder("job", channel=channel) is None
    assert (await store.acquire("job", "one", 10, note=b"1", channel=channel)).note == b"1"


async def test_a_renewal_replaces_the_note_where_it_has_one(case):
    store = case.store
    lease = await take(store, "one", note=b"1")
    assert await store.renew(lease, 10) is Renewal.HELD
    assert (await store.holder(lease.name, channel=A)).note == b"1"
    assert await store.renew(lease, 10, note=b"2") is Renewal.HELD
    holder = await store.holder(lease.name, channel=A)
    assert (holder.note, holder.token) == (b"2", lease.token)
    # The lease is the same whatever was noted since it was given.
    assert await store.renew(lease, 10) is Renewal.HELD
    assert await store.renew(holder, 10, note=b"") is Renewal.HELD
    assert (await store.holder(lease.name, channel=A)).note == b""
    case.advance(11)
    second = await take(store, "two", note=b"of two")
    assert await store.renew(lease, 10, note=b"of one") is Renewal.LOST
    assert not await store.renew(lease, 10)
    await store.release(lease)
    assert await store.holder(lease.name, channel=A) == second


async def test_a_lease_that_ended_is_a_new_one_to_its_owner(case):
    first = await take(case.store, "one", note=b"1")
    case.advance(11)
    second = await take(case.store, "one", note=b"2")
    assert second.token > first.token
    assert second.note == b"2"
    assert await case.store.renew(first, 10) is Renewal.LOST


async def test_an_owner_that_asks_again_gets_more_time(case):
    lease = await take(case.store, "one", ttl=100)
    case.advance(60)
    assert await take(case.store, "one", ttl=100) == lease
    case.advance(60)
    assert await take(case.store, "two") is None
    assert await case.store.renew(lease, 100)


async def test_a_lease_is_of_one_owner_and_one_token(case):
    lease = await take(case.store, "one")
    for other in (replace(lease, owner="two"), replace(lease, token=lease.token + 1)):
        assert await case.store.renew(other, 10, note=b"n") is Renewal.LOST
        await case.store.release(other)
        with pytest.raises(LeaseLost):
            await case.store.append_many([draft(b"1", other)])
    assert await case.store.holder(lease.name, channel=A) == lease


# Wishes


async def test_a_wish_of_another_is_seen_for_a_time(case, monkeypatch):
    with_long_wishes(monkeypatch)
    store = case.store
    lease = await take(store, "one", ttl=1000)
    assert await take(store, "one", ttl=1000) == lease
    assert await store.renew(lease, 1000) is Renewal.HELD
    assert await take(store, "two") is None
    assert [await store.renew(lease, 1000) for _ in range(2)] == [Renewal.WANTED] * 2
    case.advance(40)
    assert await store.renew(lease, 1000) is Renewal.WANTED
    # Whoever wishes, the last wish counts.
    assert await take(store, "three") is None
    case.advance(40)
    assert await store.renew(lease, 1000) is Renewal.WANTED
    case.advance(11)
    assert await store.renew(lease, 1000) is Renewal.HELD


async def test_a_wish_ends_with_the_lease_it_was_for(case, monkeypatch):
    with_long_wishes(monkeypatch)
    store = case.store
    first = await take(store, "one")
    assert await take(store, "two") is None
    await store.release(first)
    second = await take(store, "two", ttl=100)
    assert await store.renew(second, 100) is Renewal.HELD
    case.advance(80)
    assert await take(store, "one") is None
    case.advance(21)
    third = await take(store, "one")
    assert await store.renew(third, 10) is Renewal.HELD


async def test_asking_who_has_it_is_no_wish(case):
    lease = await take(case.store, "one")
    await case.store.holder(lease.name, channel=A)
    assert await case.store.renew(lease, 10) is Renewal.HELD


def test_only_a_lost_lease_is_false():
    assert [bool(renewal) for renewal in (Renewal.LOST, Renewal.HELD, Renewal.WANTED)] == [False, True, True]


# Fences


async def told(case, channel=A):
    """What the store knows of a channel that a refused draft must not change."""
    state = await case.store.state(channel, HISTORY)
    found, top = await case.store.history(channel)
    rates = [active.minute_rate for active in await case.store.active(channel)]
    return state, found, top, rates


@pytest.mark.parametrize("options", [HISTORY, PLAIN], ids=["history", "plain"])
async def test_a_former_owner_is_not_heard_after_another_acquired(case, options):
    store = case.store
    first = await take(store, "one")
    assert data(await store.append_many([draft(b"1", first, options=options)])) == [b"1"]
    await store.renew(first, 10, note=b"noted since")
    await store.append_many([draft(b"2", first, options=options)])
    case.advance(11)
    second = await take(store, "two")
    await store.append_many([draft(b"3", second, options=options)])
    before = await told(case)
    with pytest.raises(LeaseLost):
        await store.append_many([draft(b"late", first, options=options, schema=b"s", short=b"s", info=b"{}", key="k")])
    assert await told(case) == before
    await store.append_many([draft(b"4", second, options=options), draft(b"5", options=options)])
    state, found, _, rates = await told(case)
    assert (state.last, rates) == (b"5", [5])
    assert data(found) == ([b"1", b"2", b"3", b"4", b"5"] if options is HISTORY else [])


async def test_nobody_is_heard_with_a_lease_whose_time_is_over(case):
    lease = await take(case.store, "one", ttl=50)
    await case.store.append_many([draft(b"1", lease)])
    case.advance(30)
    assert await case.store.renew(lease, 50)
    case.advance(30)
    await case.store.append_many([draft(b"2", lease)])
    case.advance(25)
    for _ in range(2):
        with pytest.raises(LeaseLost):
            await case.store.append_many([draft(b"3", lease)])
    again = await take(case.store, "one")
    with pytest.raises(LeaseLost):
        await case.store.append_many([draft(b"3", lease)])
    assert (await case.store.append_many([draft(b"4", again)]))[0].offset == 3


async def test_nobody_is_heard_with_a_lease_that_was_given_back(case):
    lease = await take(case.store, "one")
    await case.store.release(lease)
    with pytest.raises(LeaseLost):
        await case.store.append_many([draft(b"1", lease)])
    # Nor has the channel come into being.
    assert await case.store.active() == []
    assert (await case.store.state(A, HISTORY)).position.offset == 0


async def test_a_lost_fence_keeps_no_other_draft_from_being_taken(case):
    store = case.store
    lost = await take(store, "one")
    await store.release(lost)
    held = await take(store, "two")
    drafts = [
        draft(b"a1"),
        draft(b"lost", lost),
        draft(b"a2", held),
        draft(b"b1", channel=B),
        draft(b"lost", lost),
        draft(b"c1", channel=C, options=PLAIN),
        draft(b"a3"),
    ]
    with pytest.raises(LeaseLost):
        await store.append_many(drafts)
    found, _ = await store.history(A)
    assert [(one.offset, one.data) for one in found] == [(1, b"a1"), (2, b"a2"), (3, b"a3")]
    assert data((await store.history(B))[0]) == [b"b1"]
    assert (await store.state(C, PLAIN)).last == b"c1"
    assert (await store.active(A))[0].minute_rate == 3


async def test_a_key_does_not_get_a_draft_past_its_fence(case):
    lease = await take(case.store, "one")
    (first,) = await case.store.append_many([draft(b"1", lease, key="k")])
    assert await case.store.append_many([draft(b"2", lease, key="k")]) == [first]
    await case.store.release(lease)
    with pytest.raises(LeaseLost):
        await case.store.append_many([draft(b"1", lease, key="k")])


async def test_a_short_form_and_a_schema_pass_a_fence_as_they_are(case):
    lease = await take(case.store, "one")
    sent = [await case.store.append_many([draft(b"F%d" % n, lease, schema=b"s", short=b"%d" % n)]) for n in (1, 2)]
    assert [one.data for (one,) in sent] == [b"F1", b"2"]
    assert (await case.store.active(A))[0].schema == b"s"


async def test_a_fence_is_a_lease_of_the_channel(case):
    # Elsewhere it could be on another host than the channel, and nobody could look in the same step.
    for lease in (await case.store.acquire("job", "one", 10), await take(case.store, "one", B)):
        with pytest.raises(ValueError, match="plugin/test/a.*lease"):
            await case.store.append_many([draft(b"0"), draft(b"1", lease)])
    assert await case.store.active() == []


def test_a_lost_lease_is_a_temporary_error_of_ours():
    error = LeaseLost()
    assert isinstance(error, LiveError)
    assert (error.code, error.temporary) == (ErrorCode.INTERNAL, True)
    assert str(error) == "this run's lease was lost, another node goes on"


async def test_one_of_many_that_race_is_heard(case):
    options = ChannelOptions(history_size=500)

    async def race(owner):
        lease = await take(case.store, owner, ttl=100)
        if lease is not None:
            await case.store.append_many([draft(owner.encode(), lease, options=options) for _ in range(10)])
            await case.store.release(lease)
            with pytest.raises(LeaseLost):
                await case.store.append_many([draft(b"late", lease, options=options)])

    await asyncio.gather(*[race(str(number)) for number in range(30)])
    found, _ = await case.store.history(A)
    runs = [data(found)[start : start + 10] for start in range(0, len(found), 10)]
    assert runs
    # Each run in one piece: no two were heard at the same time.
    assert all(len(set(run)) == 1 for run in runs)
    assert len({run[0] for run in runs}) == len(runs)


# In Redis


@pytest.fixture
async def store(make_redis_store, redis_server):
    return make_redis_store(redis_server, max_channels=1000, history_max_bytes=1 << 20)


async def test_a_refused_draft_is_not_announced(redis_server, make_redis_store, listen):
    config = {"hosts": [redis_server.url], "prefix": f"p{uuid.uuid4().hex}"}
    store = make_redis_store(redis_server, prefix=config["prefix"])
    receive = await listen(config, A)
    name = Topology.from_layer_config(config).announcement(A)
    lost = await take(store, "one")
    await store.release(lost)
    held = await take(store, "two")
    with pytest.raises(LeaseLost):
        await store.append_many([draft(b"1", lost, announce=name), draft(b"2", held, announce=name)])
    await store.append_many([draft(b"3", announce=name)])
    assert [(await receive())["data"] for _ in range(2)] == ["2", "3"]


async def test_a_lost_fence_is_told_to_whoever_gave_it_and_to_nobody_else(store, redis_server):
    lost = await take(store, "one")
    await store.release(lost)
    await store.append_many([draft(b"first")])
    redis_server.cli("CONFIG", "RESETSTAT")
    batches = [[draft(b"%d" % number, lost if number % 3 == 1 else None)] for number in range(12)]
    results = await asyncio.gather(*map(store.append_many, batches), return_exceptions=True)
    assert [isinstance(result, LeaseLost) for result in results] == [number % 3 == 1 for number in range(12)]
    assert len({id(result) for result in results if isinstance(result, LeaseLost)}) == 4
    assert [p.offset for result in results if isinstance(result, list) for p in result] == list(range(2, 10))
    assert calls_of(redis_server) == 1
    # What waits is counted right: there is room for as much as before.
    assert (await store.append_many([draft(b"last")]))[0].offset == 10


async def test_a_lost_fence_in_a_batch_of_several_calls(store):
    lost = await take(store, "one")
    await store.release(lost)
    count = 2 * CALL_DRAFTS + 50
    options = ChannelOptions(history_size=1000)
    drafts = [draft(b"%d" % n, lost if n in (0, CALL_DRAFTS) else None, options=options) for n in range(count)]
    with pytest.raises(LeaseLost):
        await store.append_many(drafts)
    found, top = await store.history(A)
    assert top.offset == count - 2
    assert data(found) == [b"%d" % n for n in range(count) if n not in (0, CALL_DRAFTS)]


async def test_a_lost_fence_stays_lost_when_the_answer_is_lost(make_redis_store, tmp_path):
    with RedisServer(tmp_path) as server:
        async with Proxy(server) as proxy:
            store = make_redis_store(f"redis://127.0.0.1:{proxy.port}", max_channels=100, history_max_bytes=1 << 20)
            lost = await take(store, "one")
            await store.release(lost)
            held = await take(store, "two")
            await store.append_many([draft(b"0", held)])
            proxy.asked, proxy.cut_answers = 0, 1
            with pytest.raises(LeaseLost):
                await store.append_many([draft(b"late", lost), draft(b"1", held)])
            assert proxy.cut_answers == 0
            assert data((await store.history(A))[0]) == [b"0", b"1"]


async def test_a_redis_that_comes_back_empty_has_no_lease(make_redis_store, tmp_path):
    with RedisServer(tmp_path) as server:
        store = make_redis_store(server)
        lease = await take(store, "one", ttl=100)
        server.cli("FLUSHALL")
        assert await store.holder(lease.name, channel=A) is None
        with pytest.raises(LeaseLost):
            await store.append_many([draft(b"1", lease)])
        assert (await take(store, "one")).token > lease.token


async def test_leases_are_with_the_keys_of_their_channels(redis_server, make_redis_store, tmp_path):
    with RedisServer(tmp_path) as other:
        servers = [redis_server, other]
        prefix = f"p{uuid.uuid4().hex}"
        one, two = [make_redis_store(*servers, prefix=prefix, max_channels=1000) for _ in range(2)]
        topology = Topology.from_layer_config({"hosts": [server.url for server in servers], "prefix": prefix})
        channels = CHANNELS[:8]
        shards = [topology.shard_of(channel) for channel in channels]
        assert set(shards) == {0, 1}
        # Longer than a busy machine takes for all of this.
        leases = await asyncio.gather(*[take(one, "one", channel, ttl=600, note=b"n") for channel in channels])
        for index, server in enumerate(servers):
            mine = [channel for channel, shard in zip(channels, shards, strict=True) if shard == index]
            found = server.cli("KEYS", f"{prefix}:live:lease:run/*").split()
            assert sorted(found) == sorted(f"{prefix}:live:lease:{name_of(channel)}" for channel in mine)
        assert await asyncio.gather(*[two.holder(name_of(c), channel=c) for c in channels]) == leases
        assert await asyncio.gather(*[take(two, "two", channel) for channel in channels]) == [None] * 8
        assert await asyncio.gather(*[one.renew(lease, 600) for lease in leases]) == [Renewal.WANTED] * 8
        await asyncio.gather(*[one.release(lease) for lease in leases[::2]])
        taken = await asyncio.gather(*[take(two, "two", channel) for channel in channels])
        assert [lease is not None for lease in taken] == [True, False] * 4
        drafts = [draft(b"1", lease, channel) for lease, channel in zip(leases, channels, strict=True)]
        with pytest.raises(LeaseLost):
            await one.append_many(drafts)
        assert [top.offset for top in await one.positions(channels)] == [0, 1] * 4
        # What belongs to no channel is on the first.
        assert await one.acquire("job", "one", 10)
        assert redis_server.cli("EXISTS", f"{prefix}:live:lease:job") == "1"
        other.stop()
        here = next(place for place, shard in enumerate(shards) if shard == 0 and place % 2)
        assert await one.renew(leases[here], 600)
        assert (await one.append_many([draft(b"2", leases[here], channels[here])]))[0].offset == 2
        there = next(place for place, shard in enumerate(shards) if shard == 1)
        for question in (
            one.renew(leases[there], 10),
            one.holder(leases[there].name, channel=channels[there]),
            take(one, "one", channels[there]),
        ):
            with pytest.raises(EngineUnavailable):
                await question


async def test_what_starts_together_shares_round_trips(store, redis_server):
    leases = await asyncio.gather(*[take(store, "one", channel) for channel in CHANNELS[:20]])
    before = reads_of(redis_server)
    questions = [store.renew(lease, 10) for lease in leases]
    questions += [take(store, "two", channel) for channel in CHANNELS[20:30]]
    questions += [store.holder(name_of(channel), channel=channel) for channel in CHANNELS[20:30]]
    answers = await asyncio.gather(*questions)
    assert answers[:20] == [Renewal.HELD] * 20
    assert answers[20:30] == answers[30:]
    # One for the questions, one for whoever asks here; the first may come in two pieces.
    assert reads_of(redis_server) - before <= 4


async def test_who_has_it_is_asked_once_by_all_who_ask_together(store, redis_server):
    lease = await take(store, "one")
    redis_server.cli("CONFIG", "RESETSTAT")
    answers = await asyncio.gather(*[store.holder(lease.name, channel=A) for _ in range(50)])
    assert answers == [lease] * 50
    assert calls_of(redis_server) == 1


def calls_of(server):
    """Scripts called since the counts began anew."""
    line = server.info("commandstats").get("cmdstat_evalsha", "calls=0,")
    return int(line.partition("calls=")[2].partition(",")[0])


def reads_of(server):
    """How often Redis read from a connection, with the one that asks."""
    return int(server.info("stats")["total_reads_processed"])


def test_a_draft_without_a_fence_costs_redis_no_word():
    lease = Lease("job", "one", 7, channel=A)
    sizes = []
    for fence in (None, lease):
        call = Call()
        for number in range(3):
            call.add(draft(b"%d" % number, fence))
        sizes.append(len(call.words()))
    # The head of the group and two words a draft; the lease once for all of them.
    assert sizes == [5 + 6, 5 + 6 + 3]


async def test_a_note_lives_as_long_as_its_lease(redis_server, make_redis_store):
    prefix = f"p{uuid.uuid4().hex}"
    store = make_redis_store(redis_server, prefix=prefix)
    lease = await take(store, "one", ttl=30, note=b"n")
    assert await take(store, "two") is None
    key = f"{prefix}:live:lease:{lease.name}"
    assert 80 <= int(redis_server.cli("TTL", key)) <= 90
    await store.release(lease)
    assert redis_server.cli("EXISTS", key) == "0"


# The same as in memory

ASKS = st.one_of(
    st.tuples(st.just("acquire"), st.sampled_from("pqr"), st.sampled_from([b"", b"n", b"\xff"])),
    st.tuples(st.sampled_from(["renew", "append"]), st.integers(0, 3), st.sampled_from([None, b"", b"m"])),
    st.tuples(st.just("release"), st.integers(0, 3), st.none()),
    # Sums of them stay away from the times at which something ends: Redis' clock goes on by itself.
    st.tuples(st.just("pass"), st.sampled_from([30.0, 60.0]), st.none()),
)


@hypothesis_settings(max_examples=40, deadline=None)
@given(steps=st.lists(ASKS, max_size=30))
def test_both_stores_say_the_same(redis_server, steps):
    clock, shift = Clock(), Clock(0.0)
    limits = {"max_channels": 3, "ttl": 5000, "history_max_bytes": 1000}
    options = replace(HISTORY, history_ttl=3000)
    url = f"{redis_server.url}?socket_timeout=40&socket_connect_timeout=40"
    topology = Topology.from_layer_config({"hosts": [url], "prefix": f"p{uuid.uuid4().hex}"})
    stores = [MemoryStore(**limits, clock=clock), RedisStore(topology, **limits, clock_shift=shift)]

    async def ask(store, leases, what, which, note):
        """One step, and who has the lease after it; tokens by the order in which they were given."""
        said = None
        if what == "acquire":
            lease = await take(store, which, ttl=100, note=note)
            if lease is not None and lease.token not in [one.token for one in leases]:
                assert all(one.token < lease.token for one in leases)
                leases.append(lease)
            said = lease and (lease.owner, lease.note)
        elif what != "pass" and leases:
            lease = leases[-1 - which % len(leases)]
            if what == "renew":
                said = await store.renew(lease, 100, note=note)
            elif what == "release":
                await store.release(lease)
            else:
                try:
                    said = [one.offset for one in await store.append_many([draft(b"1", lease, options=options)])]
                except LeaseLost:
                    said = "lost"
        holder = await store.holder(name_of(A), channel=A)
        at = holder and [one.token for one in leases].index(holder.token)
        return said, at, holder and (holder.owner, holder.note), (await store.positions([A]))[0].offset

    async def play():
        known = [[], []]
        for what, which, note in steps:
            if what == "pass":
                clock.advance(which)
                shift.advance(which)
            one, other = [
                await ask(store, leases, what, which, note) for store, leases in zip(stores, known, strict=True)
            ]
            assert one == other
        await stores[1].close()

    with pytest.MonkeyPatch.context() as patch:
        with_long_wishes(patch)
        asyncio.run(play())


async def test_positions_of_a_refused_draft_are_those_of_a_channel_that_never_was(store):
    lost = await take(store, "one")
    await store.release(lost)
    with pytest.raises(LeaseLost):
        await store.append_many([draft(b"1", lost)])
    (position,) = await store.positions([A])
    assert position == Position(0, position.epoch)
    (first,) = await store.append_many([draft(b"1")])
    assert first.position == Position(1, position.epoch)
