"""What every store must do: one suite over all of them."""

import asyncio
import time
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from live.channel import Channel
from live.store import ChannelOptions, Draft, Member, MemoryStore, Position, PresenceStats

A = Channel("stream", "test", "a")
B = Channel("stream", "test", "b")
C = Channel("stream", "test", "c")
HISTORY = ChannelOptions(history_size=3, history_ttl=30)
LAST = ChannelOptions(keep_last=True)
PLAIN = ChannelOptions()


async def append(case, *values, options=HISTORY, channel=A, **kwargs):
    return [await case.store.append(channel, value, options, **kwargs) for value in values]


def data(publications):
    return [publication.data for publication in publications]


async def test_offsets_count_from_one_in_one_epoch(case):
    first, second = await append(case, b"1", b"2")
    assert (first.offset, second.offset) == (1, 2)
    assert first.epoch == second.epoch != ""
    assert second.position == Position(2, first.epoch)


async def test_channels_without_history_have_no_position(case):
    (publication,) = await append(case, b"1", options=PLAIN)
    assert publication.position == Position()
    assert (await case.store.state(A, PLAIN)).position == Position()


async def test_history_is_trimmed_by_size_and_by_age(case):
    await append(case, b"1", b"2", b"3", b"4")
    found, top = await case.store.history(A)
    assert (data(found), top.offset) == ([b"2", b"3", b"4"], 4)
    case.advance(20)
    await append(case, b"5")
    case.advance(15)
    found, top = await case.store.history(A)
    assert (data(found), top.offset) == ([b"5"], 5)
    case.advance(30)
    assert await case.store.history(A) == ([], top)


async def test_history_is_trimmed_by_bytes(case):
    await append(case, *[b"x" * 400] * 4)
    found, top = await case.store.history(A)
    assert [publication.offset for publication in found] == [3, 4]
    await append(case, b"x" * 1001)
    found, top = await case.store.history(A)
    assert (found, top.offset) == ([], 5)


async def test_history_since_a_position_is_ascending_and_limited(case):
    first, *_ = await append(case, b"1", b"2", b"3")
    found, _ = await case.store.history(A, since=first.position)
    assert data(found) == [b"2", b"3"]
    found, _ = await case.store.history(A, since=Position(0, ""), limit=2)
    assert data(found) == [b"1", b"2"]
    found, top = await case.store.history(A, limit=0)
    assert (found, top.offset) == ([], 3)
    found, top = await case.store.history(A, since=Position(1, "otherlif"))
    assert (found, top.offset) == ([], 3)


async def test_the_position_survives_its_entries(case):
    await append(case, b"1", b"2")
    case.advance(31)
    await case.store.expire()
    (third,) = await append(case, b"3")
    assert third.offset == 3


async def test_asking_creates_nothing_and_the_epoch_is_stable(case):
    state = await case.store.state(A, HISTORY)
    assert state.position.offset == 0
    assert state.last is None
    assert await case.store.active() == []
    assert await case.store.history(A) == ([], state.position)
    (first,) = await append(case, b"1")
    assert first.epoch == state.position.epoch


async def test_the_last_value_is_kept_where_it_is_wanted(case):
    await append(case, b"1", b"2", options=LAST)
    assert (await case.store.state(A, LAST)).last == b"2"
    await append(case, b"1", channel=B)
    assert (await case.store.state(B, HISTORY)).last is None


async def test_a_short_form_goes_out_while_the_schema_stands(case):
    options = ChannelOptions(history_size=9, keep_last=True)

    async def push(full, schema, short):
        return (await case.store.append(A, full, options, schema=schema, short=short)).data

    assert await push(b"full1", b"s1", b"short1") == b"full1"
    assert await push(b"full2", b"s1", b"short2") == b"short2"
    assert await push(b"full3", b"s2", b"short3") == b"full3"
    assert await push(b"full4", b"s2", b"short4") == b"short4"
    assert await push(b"full5", b"s1", b"short5") == b"full5"
    state = await case.store.state(A, options)
    assert (state.last, state.position.offset) == (b"full5", 5)
    assert (await case.store.active())[0].schema == b"s1"


async def test_info_travels_with_the_publication(case):
    (publication,) = await append(case, b"1", info=b"{}")
    assert publication.info == b"{}"
    assert (await case.store.history(A))[0] == [publication]


async def test_rates_count_the_last_minute(case):
    await append(case, b"1", b"2", options=PLAIN)
    case.advance(30)
    await append(case, b"3", options=PLAIN)
    assert [(active.channel, active.minute_rate) for active in await case.store.active()] == [(A, 3)]
    case.advance(31)
    assert (await case.store.active())[0].minute_rate == 1
    case.advance(27 - case.slack)
    assert (await case.store.active())[0].minute_rate == 1
    case.advance(2 + case.slack)
    assert (await case.store.active())[0].minute_rate == 0


async def test_idle_channels_are_forgotten_and_come_back_with_a_new_epoch(case):
    (first,) = await append(case, b"1")
    case.advance(99 - case.slack)
    await case.store.expire()
    assert len(await case.store.active()) == 1
    case.advance(1 + case.slack)
    await case.store.expire()
    assert await case.store.active() == []
    (again,) = await append(case, b"1")
    assert again.offset == 1
    assert again.epoch != first.epoch


async def test_an_idle_channel_is_kept_as_long_as_its_history(case):
    options = replace(HISTORY, history_ttl=300, keep_last=True)
    (first,) = await append(case, b"1", options=options)
    case.advance(150)
    await case.store.expire()
    assert [publication.data for publication in (await case.store.history(A))[0]] == [b"1"]
    # Its last value is not: that has a time of its own, also when the channel wakes up.
    assert (await case.store.state(A, options)).last is None
    (second,) = await append(case, b"2", options=replace(options, keep_last=False))
    assert second.position == Position(2, first.epoch)
    assert (await case.store.state(A, options)).last is None
    case.advance(300)
    await case.store.expire()
    assert await case.store.active() == []
    (again,) = await append(case, b"3", options=options)
    assert (again.offset, again.epoch != first.epoch) == (1, True)


async def test_the_number_of_channels_is_bounded(case):
    channels = [Channel("stream", "test", str(number)) for number in range(5)]
    for channel in channels[:3]:
        await append(case, b"1", channel=channel)
    await append(case, b"2", channel=channels[0])
    await append(case, b"1", channel=channels[3])
    assert [active.channel for active in await case.store.active()] == [channels[0], channels[2], channels[3]]


async def test_publishers_at_once_get_offsets_without_gap_or_double(case):
    options = ChannelOptions(history_size=100)
    publications = await asyncio.gather(*[case.store.append(A, b"%d" % n, options) for n in range(50)])
    assert sorted(publication.offset for publication in publications) == list(range(1, 51))


@given(st.lists(st.sampled_from(["append", "tick", "expire"]), max_size=30))
def test_what_history_returns_is_always_a_run_that_ends_at_the_top(steps):
    now = [0.0]
    store = MemoryStore(max_channels=2, ttl=100, clock=lambda: now[0])

    async def play():
        for step in steps:
            if step == "append":
                await store.append(A, b"1", HISTORY)
            elif step == "tick":
                now[0] += 11
            else:
                await store.expire()
            found, top = await store.history(A)
            offsets = [publication.offset for publication in found]
            assert offsets == list(range(top.offset - len(offsets) + 1, top.offset + 1))
            assert len(offsets) <= HISTORY.history_size

    asyncio.run(play())


FRAMES = ChannelOptions(history_size=60, history_ttl=30, keep_last=True, key_interval=10)


async def push(case, number, schema=b"s", options=FRAMES, **kwargs):
    """One frame; full ones are marked with an F."""
    return await case.store.append(A, b"F%d" % number, options, schema=schema, short=b"%d" % number, **kwargs)


def whole(publications):
    return [publication.data.startswith(b"F") for publication in publications]


async def test_key_frames_come_at_least_every_so_many_publications(case):
    sent = [await push(case, number) for number in range(25)]
    assert [number for number, full in enumerate(whole(sent)) if full] == [0, 10, 20]
    sent = [await push(case, number, options=LAST) for number in range(61)]
    assert sum(whole(sent)) >= 2


async def test_key_frames_come_by_time_where_publications_are_rare(case):
    options = replace(FRAMES, history_ttl=300)
    sent = []
    for number in range(8):
        sent.append(await push(case, number, options=options))
        case.advance(20)
    assert [number for number, full in enumerate(whole(sent)) if full] == [0, 2, 4, 6]


async def test_a_changed_schema_is_a_key_frame(case):
    sent = [await push(case, number, schema) for number, schema in enumerate([b"s", b"s", b"t", b"t", b"s"])]
    assert whole(sent) == [True, False, True, False, True]


async def test_a_history_that_nobody_could_read_is_dropped(case):
    options = replace(FRAMES, history_ttl=80)
    await push(case, 0, options=options)
    case.advance(2)
    assert (await push(case, 1, options=options)).data == b"1"
    case.advance(79)
    found, top = await case.store.history(A)
    assert (found, top.offset) == ([], 2)
    assert (await push(case, 2, options=options)).data == b"F2"


async def test_history_in_reverse_ends_before_a_position(case):
    third = (await append(case, b"1", b"2", b"3"))[2]
    found, _ = await case.store.history(A, reverse=True)
    assert data(found) == [b"3", b"2", b"1"]
    found, _ = await case.store.history(A, since=third.position, reverse=True, limit=1)
    assert data(found) == [b"2"]
    found, _ = await case.store.history(A, since=Position(3, "otherlif"), reverse=True)
    assert found == []


async def test_one_channel_can_be_asked_for_and_tells_when_it_last_got_something(case):
    assert await case.store.active(A) == []
    before = time.time()
    await append(case, b"1")
    (active,) = await case.store.active(A)
    assert active.channel == A
    # Some versions of Redis count milliseconds.
    assert before - 0.001 <= active.last_publication <= time.time()


@given(st.lists(st.tuples(st.floats(0, 12), st.sampled_from([b"s", b"t"]), st.integers(1, 400)), max_size=60))
def test_every_window_of_frames_can_be_read_from_its_first_key_frame_on(pushes):
    now = [0.0]
    store = MemoryStore(max_channels=2, ttl=1000, history_max_bytes=1500, clock=lambda: now[0])
    options = ChannelOptions(history_size=8, history_ttl=30, keep_last=True)

    async def play():
        known = {}
        for number, (pause, schema, size) in enumerate(pushes):
            now[0] += pause
            text = b"%d" % number + b"x" * size
            publication = await store.append(A, b"F" + schema + text, options, schema=schema, short=text)
            known[publication.offset] = schema
            found, top = await store.history(A)
            assert [p.offset for p in found] == list(range(top.offset - len(found) + 1, top.offset + 1))
            assert len(found) <= 8
            assert sum(len(p.data) for p in found) <= 1500
            readable = None
            for p in found:
                if p.data.startswith(b"F"):
                    readable = p.data[1:2]
                # Whatever comes after a full frame has the schema of that frame.
                assert readable in (None, known[p.offset])
            assert not found or readable is not None

    asyncio.run(play())


def draft(value, options=HISTORY, channel=A, **kwargs):
    return Draft(channel, value, options, **kwargs)


async def test_many_publications_are_answered_in_their_order(case):
    options = ChannelOptions(history_size=500)
    channels = [A, B, A, C, A]
    drafts = [draft(b"%d" % n, PLAIN if n % 5 == 3 else options, channels[n % 5]) for n in range(500)]
    publications = await case.store.append_many(drafts)
    assert data(publications) == [b"%d" % n for n in range(500)]
    assert [p.offset for p in publications[0::5]] == [1 + 3 * n for n in range(100)]
    assert [p.offset for p in publications[1::5]] == [1 + n for n in range(100)]
    assert {p.position for p in publications[3::5]} == {Position()}
    found, top = await case.store.history(A)
    assert top == publications[-1].position
    kept = [p for p, d in zip(publications, drafts, strict=True) if d.channel == A]
    assert found == kept[-len(found) :]
    assert await case.store.append_many([]) == []


async def test_many_publications_need_not_have_the_same_options(case):
    drafts = [draft(b"1"), draft(b"2", PLAIN), draft(b"3", LAST), draft(b"4")]
    assert [p.offset for p in await case.store.append_many(drafts)] == [1, 0, 0, 2]
    assert data((await case.store.history(A))[0]) == [b"1", b"4"]
    assert (await case.store.state(A, LAST)).last == b"3"


async def test_publishers_of_many_at_once_keep_their_order(case):
    options = ChannelOptions(history_size=1000)

    async def publish(publisher):
        batches = [[draft(b"%d %d" % (publisher, 10 * turn + n), options) for n in range(10)] for turn in range(5)]
        return [p for batch in batches for p in await case.store.append_many(batch)]

    results = await asyncio.gather(*[publish(publisher) for publisher in range(8)])
    for publisher, publications in enumerate(results):
        offsets = [p.offset for p in publications]
        assert data(publications) == [b"%d %d" % (publisher, n) for n in range(50)]
        assert offsets == sorted(offsets)
    assert sorted(p.offset for publications in results for p in publications) == list(range(1, 401))


async def test_a_key_that_the_history_holds_adds_nothing(case):
    options = ChannelOptions(history_size=3, history_ttl=30, keep_last=True)
    first, second = await case.store.append_many(
        [draft(b"1", options, key="k1", info=b"{}"), draft(b"2", options, key="k2")]
    )
    again = await case.store.append_many(
        [draft(b"other", options, key="k1"), draft(b"3", options, key="k3"), draft(b"4", options, key="k3")]
    )
    assert again[0] == first
    assert data(again) == [b"1", b"3", b"3"]
    assert [p.offset for p in again] == [1, 3, 3]
    state = await case.store.state(A, options)
    assert (state.last, state.position.offset) == (b"3", 3)
    assert (await case.store.active())[0].minute_rate == 3
    assert (await append(case, b"5", options=options, key="k2"))[0] == second
    (elsewhere,) = await append(case, b"6", channel=B, key="k2")
    assert elsewhere.offset == 1


async def test_a_key_is_forgotten_with_its_publication(case):
    await append(case, b"1", key="k1")
    await append(case, b"2", b"3", b"4")
    (fifth,) = await append(case, b"5", key="k1")
    assert (fifth.data, fifth.offset) == (b"5", 5)
    case.advance(31)
    (sixth,) = await append(case, b"6", key="k1")
    assert (sixth.data, sixth.offset) == (b"6", 6)
    await append(case, b"x" * 1001, key="large")
    (eighth,) = await append(case, b"8", key="large")
    assert (eighth.data, eighth.offset) == (b"8", 8)


async def test_a_key_in_a_channel_without_history_means_nothing(case):
    await append(case, b"1", b"2", options=LAST, key="k")
    assert (await case.store.state(A, LAST)).last == b"2"
    assert (await case.store.active())[0].minute_rate == 2


async def test_a_key_finds_what_was_sent(case):
    first, short = [await push(case, number, key=f"k{number}") for number in range(2)]
    assert [await push(case, 7, key=f"k{number}") for number in range(2)] == [first, short]
    assert whole([first, short]) == [True, False]


async def test_positions_are_read_together(case):
    await append(case, b"1", b"2")
    await append(case, b"1", channel=C)
    a, b, c = await case.store.positions([A, B, C])
    assert (a.offset, b.offset, c.offset) == (2, 0, 1)
    assert a == (await case.store.state(A, HISTORY)).position
    assert b.epoch != ""
    assert await case.store.positions([]) == []
    assert len(await case.store.active()) == 2


async def test_the_epoch_told_stands_while_somebody_asks(case):
    (told,) = await case.store.positions([A])
    for number in range(5):
        await append(case, b"1", channel=Channel("stream", "test", str(number)))
    case.advance(500)
    await case.store.expire()
    assert await case.store.positions([A]) == [told]
    assert (await case.store.history(A))[1] == told
    case.advance(500)
    await case.store.expire()
    assert (await case.store.state(A, HISTORY)).position == told
    (first,) = await append(case, b"1")
    assert first.position == Position(1, told.epoch)


def member(client, user="", info=b"{}"):
    return Member(client, user, info)


async def test_members_are_present_until_they_leave(case):
    await case.store.add_members([(A, member("c2", "u1")), (A, member("c1", "u1", b'{"a":1}')), (B, member("c3"))], 60)
    assert await case.store.members(A) == [member("c1", "u1", b'{"a":1}'), member("c2", "u1")]
    assert await case.store.members(B) == [member("c3")]
    assert await case.store.members(C) == []
    assert await case.store.remove_members([(A, "c1"), (A, "c9"), (C, "c3")]) == [True, False, False]
    assert await case.store.remove_members([(A, "c1"), (B, "c3")]) == [False, True]
    assert await case.store.members(A) == [member("c2", "u1")]
    assert await case.store.members(B) == []
    assert await case.store.remove_members([]) == []


async def test_presence_counts_clients_and_different_users(case):
    assert await case.store.presence_stats(A) == PresenceStats()
    people = [("c1", "ann"), ("c2", "ann"), ("c3", "bob"), ("c4", ""), ("c5", "")]
    await case.store.add_members([(A, member(*one)) for one in people], 60)
    assert await case.store.presence_stats(A) == PresenceStats(5, 3)
    # The same again, and one that is somebody else now.
    await case.store.add_members([(A, member(*one)) for one in people], 60)
    await case.store.add_members([(A, member("c3", "ann"))], 60)
    assert await case.store.presence_stats(A) == PresenceStats(5, 2)
    await case.store.remove_members([(A, "c4"), (A, "c5")])
    assert await case.store.presence_stats(A) == PresenceStats(3, 1)


async def test_members_whose_time_is_over_are_told_once(case):
    await case.store.add_members([(A, member("c1", "u1")), (A, member("c2", "u2")), (B, member("c3"))], 60)
    case.advance(40)
    await case.store.add_members([(A, member("c2", "u2"))], 60)
    assert await case.store.expire_members([A, B]) == []
    case.advance(20)
    assert await case.store.members(A) == [member("c2", "u2")]
    assert await case.store.presence_stats(A) == PresenceStats(1, 1)
    assert await case.store.presence_stats(B) == PresenceStats()
    gone = await asyncio.gather(*[case.store.expire_members([A, B, C]) for _ in range(3)])
    assert sorted([str(channel), left.client] for some in gone for channel, left in some) == [
        [str(A), "c1"],
        [str(B), "c3"],
    ]
    assert await case.store.remove_members([(A, "c1")]) == [False]


async def test_many_members_come_and_go(case):
    people = [(A, member(f"c{n:04}", f"u{n % 7}")) for n in range(450)]
    await case.store.add_members(people, 60)
    assert await case.store.members(A) == [one for _, one in people]
    assert await case.store.presence_stats(A) == PresenceStats(450, 7)
    case.advance(60)
    assert sorted(one.client for _, one in await case.store.expire_members([A])) == [one.client for _, one in people]
    assert await case.store.expire_members([A]) == []


async def test_a_lease_has_one_owner(case):
    lease = await case.store.acquire("job", "one", 10)
    assert (lease.name, lease.owner) == ("job", "one")
    assert await case.store.acquire("job", "two", 10) is None
    assert await case.store.acquire("job", "one", 10) == lease
    assert (await case.store.acquire("other", "two", 10)).owner == "two"
    assert await case.store.renew(lease, 10)
    await case.store.release(lease)
    await case.store.release(lease)
    assert not await case.store.renew(lease, 10)
    assert (await case.store.acquire("job", "two", 10)).token > lease.token


async def test_a_lease_ends_with_its_time(case):
    first = await case.store.acquire("job", "one", 100)
    case.advance(60)
    assert await case.store.renew(first, 100)
    case.advance(60)
    assert await case.store.acquire("job", "two", 100) is None
    case.advance(50)
    second = await case.store.acquire("job", "two", 100)
    assert second.token > first.token
    # What the former owner does has no effect.
    assert not await case.store.renew(first, 1000)
    await case.store.release(first)
    assert await case.store.acquire("job", "one", 100) is None
    case.advance(110)
    await case.store.expire()
    assert not await case.store.renew(second, 100)
    third = await case.store.acquire("job", "one", 100)
    assert third.token > second.token


async def test_owners_at_once_get_one_lease(case):
    leases = await asyncio.gather(*[case.store.acquire("job", str(owner), 10) for owner in range(20)])
    assert len([lease for lease in leases if lease]) == 1


async def test_nodes_are_alive_for_a_time(case):
    assert await case.store.nodes() == []
    await case.store.touch_node("n2", 30)
    await case.store.touch_node("n1", 30)
    assert await case.store.nodes() == ["n1", "n2"]
    case.advance(20)
    await case.store.touch_node("n1", 30)
    case.advance(10)
    assert await case.store.nodes() == ["n1"]
    await case.store.forget_node("n1")
    await case.store.forget_node("n1")
    assert await case.store.nodes() == []


async def test_a_store_that_is_there_answers_a_ping(case):
    assert await case.store.ping() is None
