"""The hub: fan-out, order, gaps, and what is left when the last one leaves."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.channel import Channel
from live.node import Hub
from live.node.hub import MAX_EARLY
from live.node.outbox import MESSAGES_PER_WIRE_FRAME, WIRE_FRAME_MAX_BYTES
from live.store import Position, Publication
from tests.peers import Recorder

A = Channel("stream", "test", "a")
EPOCH = "abcdefgh"


def pub(offset, epoch=EPOCH):
    return Publication(b"%d" % offset, offset, epoch)


def make_hub(hold_limit=10_000):
    gaps = []
    hub = Hub(on_gap=gaps.append, hold_limit=hold_limit)
    return hub, gaps


class Reader(Recorder):
    """Looks at what it has got at the end of the loop's turn."""

    hub = None

    @property
    def data(self):
        self.hub.flush()
        return super().data

    @property
    def offsets(self):
        self.hub.flush()
        return super().offsets


async def subscribe(hub, offset=0, epoch=EPOCH):
    recorder = Reader()
    recorder.hub = hub
    subscription = hub.add(A, recorder)
    position = Position(offset, epoch)
    hub.learn(A, position)
    hub.release(subscription, position)
    return recorder, subscription


async def test_a_publication_is_encoded_once_however_many_subscribers():
    hub, _ = make_hub()
    messages = []

    class Keeper(Recorder):
        def write(self, message):
            messages.append(message)

    for _ in range(100):
        hub.release(hub.add(A, Keeper()), Position())
    hub.deliver(A, Publication(b'{"x":1}'))
    assert hub.encoded == 1
    hub.flush()
    assert len(messages) == 100
    assert len({id(message) for message in messages}) == 1
    assert len({id(message.text) for message in messages}) == 1


async def test_publications_without_history_go_straight_through():
    hub, _ = make_hub()
    recorder, _ = await subscribe(hub, epoch="")
    hub.deliver(A, Publication(b"1", info=b'{"user":"","client":"c"}'))
    hub.deliver(A, Publication(b"1"))
    assert recorder.data == [1, 1]
    hub.deliver(Channel("stream", "test", "b"), Publication(b"1"))
    assert len(recorder.messages) == 2


async def test_next_is_delivered_older_is_dropped_a_gap_is_reported_once():
    hub, gaps = make_hub()
    recorder, _ = await subscribe(hub, 5)
    for offset in (6, 6, 5, 7, 9, 10):
        hub.deliver(A, pub(offset))
    assert recorder.offsets == [6, 7]
    assert gaps == [A]
    assert hub.missing_since(A) == Position(7, EPOCH)


async def test_a_gap_is_filled_from_the_store_in_order():
    hub, _ = make_hub()
    recorder, _ = await subscribe(hub)
    hub.deliver(A, pub(2))
    hub.deliver(A, pub(4))
    assert not hub.fill(A, [pub(1), pub(2), pub(3)], Position(3, EPOCH))
    assert hub.missing_since(A) == Position(3, EPOCH)
    assert hub.fill(A, [pub(4)], Position(4, EPOCH))
    assert hub.missing_since(A) is None
    hub.deliver(A, pub(5))
    assert recorder.offsets == [1, 2, 3, 4, 5]
    assert hub.fill(A, [], Position(5, EPOCH))


async def test_an_unreadable_gap_is_told_to_the_subscribers():
    hub, _ = make_hub()
    recorder, _ = await subscribe(hub)
    hub.deliver(A, pub(5))
    assert hub.fill(A, [pub(4), pub(5)], Position(5, EPOCH))
    assert recorder.ended == [A]
    assert recorder.offsets == []


async def test_what_was_relayed_and_is_not_in_the_store_is_told():
    hub, _ = make_hub()
    recorder, _ = await subscribe(hub, 8)
    hub.deliver(A, pub(10))
    assert hub.fill(A, [], Position(8, EPOCH))
    assert recorder.ended == [A]


async def test_a_new_epoch_is_told_to_the_subscribers():
    hub, _ = make_hub()
    recorder, _ = await subscribe(hub, 3)
    hub.deliver(A, pub(1, "newepoch"))
    assert recorder.ended == [A]
    assert recorder.offsets == []
    other = Recorder()
    hub.add(A, other)
    hub.learn(A, Position(1, "thirdone"))
    assert recorder.ended == [A, A]


async def test_what_arrives_while_the_reply_is_prepared_follows_it():
    hub, _ = make_hub()
    old, _ = await subscribe(hub, 3)
    new = Reader()
    new.hub = hub
    subscription = hub.add(A, new)
    hub.deliver(A, pub(4))
    hub.deliver(A, pub(5))
    assert subscription.holding
    assert new.messages == []
    hub.learn(A, Position(4, EPOCH))
    hub.release(subscription, Position(4, EPOCH))
    hub.deliver(A, pub(6))
    assert new.offsets == [5, 6]
    assert old.offsets == [4, 5, 6]


async def test_a_reply_that_is_ahead_of_the_relay_gets_nothing_twice():
    hub, _ = make_hub()
    old, _ = await subscribe(hub, 3)
    new, subscription = await subscribe(hub, 5)
    assert not subscription.live
    for offset in (4, 5, 6):
        hub.deliver(A, pub(offset))
    assert subscription.live
    assert new.offsets == [6]
    assert old.offsets == [4, 5, 6]


async def test_joins_and_leaves_reach_a_subscriber_whose_reply_is_ahead_too():
    hub, _ = make_hub()
    await subscribe(hub, 3)
    ahead, _ = await subscribe(hub, 5)
    hub.member_changed(A, b"{}", joined=True)
    hub.deliver(A, pub(4))
    hub.deliver(A, pub(5))
    hub.deliver(A, pub(6))
    assert "join" in ahead.messages.pop(0)["push"]
    assert ahead.offsets == [6]


async def test_what_comes_before_the_first_position_goes_through_the_rules():
    hub, gaps = make_hub()
    recorder = Reader()
    recorder.hub = hub
    subscription = hub.add(A, recorder)
    hub.deliver(A, pub(7))
    hub.deliver(A, pub(6))
    hub.learn(A, Position(5, EPOCH))
    hub.release(subscription, Position(5, EPOCH))
    assert gaps == [A]
    assert hub.fill(A, [pub(6), pub(7)], Position(7, EPOCH))
    assert recorder.offsets == [6, 7]


async def test_what_is_kept_before_the_first_position_is_bounded():
    hub, gaps = make_hub(hold_limit=10**9)
    recorder = Recorder()
    subscription = hub.add(A, recorder)
    for offset in range(1, MAX_EARLY + 10):
        hub.deliver(A, pub(offset))
    hub.learn(A, Position(0, EPOCH))
    hub.release(subscription, Position(0, EPOCH))
    hub.deliver(A, pub(MAX_EARLY + 10))
    assert gaps == [A]
    assert recorder.offsets == list(range(1, MAX_EARLY + 1))


async def test_what_is_held_for_a_reply_is_bounded():
    hub, _ = make_hub(hold_limit=200)
    recorder = Recorder()
    subscription = hub.add(A, recorder)
    for _ in range(5):
        hub.deliver(A, Publication(b'"%s"' % (b"x" * 50)))
    assert recorder.overflows == 4
    assert subscription.held_bytes <= 200


async def test_with_the_last_subscriber_the_channel_is_forgotten():
    hub, _ = make_hub()
    _, first = await subscribe(hub)
    _, second = await subscribe(hub)
    assert hub.subscriber_count(A) == 2
    assert hub.channels() == [A]
    hub.remove(first)
    assert A in hub
    hub.remove(second)
    hub.remove(second)
    assert A not in hub
    assert len(hub) == 0
    assert second.ended
    hub.release(second, Position())
    hub.learn(A, Position(1, EPOCH))
    assert hub.fill(A, [], Position())
    assert hub.subscriber_count(A) == 0


async def test_a_subscriber_may_leave_while_it_is_written_to():
    hub, _ = make_hub()

    class Leaver(Reader):
        def write(self, message):
            super().write(message)
            hub.remove(self.subscription)

    leaver = Leaver()
    leaver.subscription = hub.add(A, leaver)
    hub.release(leaver.subscription, Position())
    other, _ = await subscribe(hub, epoch="")
    leaver.hub = hub
    hub.deliver(A, Publication(b"1"))
    hub.flush()
    hub.deliver(A, Publication(b"2"))
    assert (leaver.data, other.data) == ([1], [1, 2])


async def test_what_comes_in_one_turn_is_joined_and_written_at_its_end():
    hub, _ = make_hub()
    written = []

    class Keeper(Recorder):
        def write(self, message):
            written.append(message)
            super().write(message)

    for _ in range(3):
        hub.release(hub.add(A, Keeper()), Position())
    for number in range(MESSAGES_PER_WIRE_FRAME + 1):
        hub.deliver(A, Publication(b"%d" % number))
    assert written == []
    await asyncio.sleep(0)
    assert len(written) == 2 * 3
    assert len({id(message) for message in written}) == 2
    assert [message.count for message in written[::3]] == [MESSAGES_PER_WIRE_FRAME, 1]
    large = WIRE_FRAME_MAX_BYTES * 2 // 3
    for _ in range(2):
        hub.deliver(A, Publication(b'"%s"' % (b"x" * large)))
    hub.flush()
    assert [message.count for message in written[6::3]] == [1, 1]


async def test_a_stream_that_begins_anew_ends_a_subscription_whose_position_was_read_before():
    hub, _ = make_hub()
    await subscribe(hub, 3)
    late = Reader()
    late.hub = hub
    subscription = hub.add(A, late)
    hub.deliver(A, pub(1, "newepoch"))
    assert subscription.ended
    # What it has read is of the old stream, and must not count for the others.
    hub.learn(A, Position(3, EPOCH), subscription)
    hub.release(subscription, Position(3, EPOCH))
    hub.deliver(A, pub(2, "newepoch"))
    assert late.messages == []
    assert hub.positions() == {A: Position(2, "newepoch")}
    hub.remove(subscription)
    assert hub.subscriber_count(A) == 1


@pytest.mark.parametrize(("first", "second"), [("oldepoch", "newepoch"), ("newepoch", "oldepoch")])
async def test_of_first_subscribers_that_disagree_the_later_answer_ends_its_own_reader(first, second):
    """Read while the stream began anew; which answer comes first says nothing of which is the newer."""
    hub, _ = make_hub()
    one, other = Reader(), Reader()
    one.hub = other.hub = hub
    right, wrong = hub.add(A, one), hub.add(A, other)
    hub.learn(A, Position(5, first), right)
    hub.release(right, Position(5, first))
    hub.learn(A, Position(50, second), wrong)
    assert (right.live, wrong.ended) == (True, True)
    assert (one.ended, other.ended) == ([], [])
    assert hub.positions() == {A: Position(5, first)}
    hub.remove(wrong)
    # Asked again, now that the hub has a position, the answer is the newer one.
    again = hub.add(A, other)
    hub.learn(A, Position(1, "newepoch"), again)
    hub.release(again, Position(1, "newepoch"))
    assert again.live
    assert one.ended == ([A] if first == "oldepoch" else [])
    assert hub.positions()[A].epoch == "newepoch"


async def test_who_finds_out_that_a_stream_began_anew_is_given_nothing_of_the_old_one():
    hub, _ = make_hub()
    old, _ = await subscribe(hub, 8)
    finder, other = Reader(), Reader()
    finder.hub = other.hub = hub
    found, waits = hub.add(A, finder), hub.add(A, other)
    hub.deliver(A, pub(9))
    hub.member_changed(A, b"{}", joined=True)
    hub.learn(A, Position(1, "newepoch"), found)
    hub.release(found, Position(1, "newepoch"))
    assert (found.live, waits.ended) == (True, True)
    assert (finder.ended, other.ended, old.ended) == ([], [A], [A])
    hub.deliver(A, pub(2, "newepoch"))
    hub.flush()
    assert "join" in finder.messages.pop(0)["push"]
    assert finder.offsets == [2]


_STEPS = st.integers(0, 40)


@given(st.lists(st.integers(1, 12), max_size=40), st.sets(_STEPS, max_size=3), st.sets(_STEPS, max_size=20))
def test_offsets_are_strictly_one_by_one_whatever_the_relay_does(arrivals, joins, turns):
    """Invariant 3, under reordering, doubling, loss and subscribers that come in between; `turns` of the loop end."""
    asyncio.run(_play(arrivals, joins, turns))


async def _play(arrivals, joins, turns):
    hub, gaps = make_hub()
    log = []
    recorders = []

    class Plain:
        def __init__(self, start):
            self.start, self.offsets, self.ended = start, [], False

        def write(self, message):
            for line in message.raw.split(b"\n"):
                self.offsets.append(json.loads(line)["push"]["pub"]["offset"])

        def unsubscribed(self, channel):
            self.ended = True

        def overflow(self):
            raise AssertionError

    def join():
        recorder = Plain(len(log))
        subscription = hub.add(A, recorder)
        position = Position(len(log), EPOCH)
        hub.learn(A, position)
        hub.release(subscription, position)
        recorders.append(recorder)

    join()
    for step, offset in enumerate(arrivals):
        while len(log) < offset:
            log.append(pub(len(log) + 1))
        if step in joins:
            join()
        hub.deliver(A, log[offset - 1])
        while gaps:
            gaps.pop()
            while (since := hub.missing_since(A)) is not None:
                if hub.fill(A, log[since.offset :], Position(len(log), EPOCH)):
                    break
        if step in turns:
            hub.flush()
    hub.flush()
    for recorder in recorders:
        assert not recorder.ended
        assert recorder.offsets == list(range(recorder.start + 1, recorder.start + 1 + len(recorder.offsets)))
    newest = max((max(r.offsets) for r in recorders if r.offsets), default=0)
    assert newest >= max(arrivals, default=0)
