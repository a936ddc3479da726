"""The counting clients themselves: what they must notice, they notice."""

from types import SimpleNamespace

import pytest

from tests.cluster.counting import CountingSubscription, Crowd

CHANNELS = 4
NUMBER = 1


@pytest.fixture
async def crowd():
    return Crowd("prefix", CHANNELS, 1, 1, ["ws://127.0.0.1:1/"])


@pytest.fixture
async def subscription(crowd):
    made = CountingSubscription(crowd.clients[0], NUMBER)
    await subscribed(made, 0)
    return made


async def subscribed(subscription, offset, was_recovering=False, recovered=False):
    position = SimpleNamespace(offset=offset)
    await subscription.on_subscribed(
        SimpleNamespace(stream_position=position, was_recovering=was_recovering, recovered=recovered)
    )


async def publications(subscription, *pairs):
    for offset, n in pairs:
        data = {"source": "s", "n": n}
        await subscription.on_publication(SimpleNamespace(pub=SimpleNamespace(offset=offset, data=data)))


async def test_all_in_order_is_right(crowd, subscription):
    await publications(subscription, (1, 1), (2, 5), (3, 9))
    assert crowd.errors == []
    assert subscription.has({"s": 13})
    assert not subscription.has({"s": 14})
    assert not subscription.has({"s": 13, "other": 2})


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(1, 5)], "s 5 after -3"),
        ([(1, 1), (2, 9)], "s 9 after 1"),
        ([(1, 1), (2, 1)], "s 1 after 1"),
        ([(1, 1), (2, 5), (3, 1)], "s 1 after 5"),
        ([(1, 1), (3, 5)], "offset 3 after 1"),
        ([(1, 1), (1, 5)], "offset 1 after 1"),
    ],
)
async def test_what_is_lost_double_or_out_of_order_is_wrong(crowd, subscription, pairs, words):
    await publications(subscription, *pairs)
    assert crowd.errors == [f"client 0 channel {NUMBER}: {words}"]


async def test_recovery_goes_on_where_it_was(crowd, subscription):
    await publications(subscription, (1, 1), (2, 5))
    await subscribed(subscription, 2, was_recovering=True, recovered=True)
    await publications(subscription, (3, 9))
    assert crowd.errors == []
    assert subscription.gaps == 0


async def test_an_announced_gap_may_leave_numbers_out_once_but_not_repeat_any(crowd, subscription):
    await publications(subscription, (1, 1))
    await subscribed(subscription, 0, was_recovering=True, recovered=False)
    await publications(subscription, (1, 9), (2, 13))
    assert crowd.errors == []
    assert subscription.gaps == 1
    await publications(subscription, (3, 21))
    assert crowd.errors == [f"client 0 channel {NUMBER}: s 21 after 13"]
    await subscribed(subscription, 0, was_recovering=True, recovered=False)
    await publications(subscription, (1, 21))
    assert crowd.errors[1:] == [f"client 0 channel {NUMBER}: s 21 after 21"]


async def test_the_end_of_a_subscription_and_one_without_recovery_are_wrong(crowd, subscription):
    await subscribed(subscription, 0)
    await subscription.on_unsubscribed(SimpleNamespace(code=2000, reason="over"))
    assert [error.partition(": ")[2] for error in crowd.errors] == [
        "subscribed again without recovery",
        "unsubscribed: 2000 over",
    ]


async def test_what_does_not_arrive_in_the_end_is_wrong(crowd):
    report = crowd.report({"s": CHANNELS})
    assert report["errors"] == ["client 0 channel 0: ends at {} of {'s': 4}"]
