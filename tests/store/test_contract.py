"""What every store must do: one suite over all of them."""

import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from live.channel import Channel
from live.store import ChannelOptions, MemoryStore, Position

A = Channel("stream", "test", "a")
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
    other = Channel("stream", "test", "b")
    await append(case, b"1", channel=other)
    assert (await case.store.state(other, HISTORY)).last is None


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
    case.advance(28)
    assert (await case.store.active())[0].minute_rate == 1
    case.advance(1)
    assert (await case.store.active())[0].minute_rate == 0


async def test_idle_channels_are_forgotten_and_come_back_with_a_new_epoch(case):
    (first,) = await append(case, b"1")
    case.advance(59)
    await case.store.expire()
    assert len(await case.store.active()) == 1
    case.advance(1)
    await case.store.expire()
    assert await case.store.active() == []
    (again,) = await append(case, b"1")
    assert again.offset == 1
    assert again.epoch != first.epoch


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


async def push(case, number, schema=b"s", options=FRAMES):
    """One frame; full ones are marked with an F."""
    return await case.store.append(A, b"F%d" % number, options, schema=schema, short=b"%d" % number)


def whole(publications):
    return [publication.data.startswith(b"F") for publication in publications]


async def test_key_frames_come_at_least_every_so_many_publications(case):
    sent = [await push(case, number) for number in range(25)]
    assert [number for number, full in enumerate(whole(sent)) if full] == [0, 10, 20]
    sent = [await push(case, number, options=LAST) for number in range(61)]
    assert sum(whole(sent)) >= 2


async def test_key_frames_come_by_time_where_publications_are_rare(case):
    sent = []
    for number in range(8):
        sent.append(await push(case, number))
        case.advance(2)
    assert [number for number, full in enumerate(whole(sent)) if full] == [0, 2, 4, 6]


async def test_a_changed_schema_is_a_key_frame(case):
    sent = [await push(case, number, schema) for number, schema in enumerate([b"s", b"s", b"t", b"t", b"s"])]
    assert whole(sent) == [True, False, True, False, True]


async def test_a_history_that_nobody_could_read_is_dropped(case):
    await push(case, 0)
    case.advance(2)
    await push(case, 1)
    case.advance(28.5)
    found, top = await case.store.history(A)
    assert (found, top.offset) == ([], 2)
    assert (await push(case, 2)).data == b"F2"


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
    assert before <= active.last_publication <= time.time()


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
