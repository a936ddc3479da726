"""What a run sends with: schema only when it changed, not faster than allowed, nothing once it is over."""

import asyncio
import json
import math

import pytest

from live.exceptions import BadData, LeaseLost, PublicationTooLarge
from live.frames import Field, Frame, Kind
from live.plugins.sender import MIN_BURST, Bucket, Hold, Sender
from live.store import Lease
from tests.peers import until
from tests.plugins.conftest import CHANNEL

FAR = 1e12
LEASE = Lease("name", "owner", 1, b"", CHANNEL)


@pytest.fixture
async def sending(make_place):
    """Makes a sender with a lease of its own; it notes how often it was told that the lease is lost."""
    place = await make_place(max_publication_size=2000)

    async def make(rate=100_000, until=FAR):
        lease = await place.store.acquire("name", "owner", 60, channel=CHANNEL)
        made = Sender(place.node, CHANNEL, Hold(lease, until), Bucket(rate), lambda: place.lost.append(True))
        made.place = place
        return made

    place.lost = []
    return make


async def published(sender):
    publications, _ = await sender.place.node.history(CHANNEL, None, -1)
    return [json.loads(publication.data) for publication in publications]


def frame(*values, name="Value"):
    return Frame([Field(name, Kind.FLOAT, list(values))])


async def test_the_schema_goes_out_when_it_changed(sending):
    sender = await sending()
    for value in (frame(1.0), frame(2.0), frame(3.0, name="Other"), frame(4.0, name="Other").encode(), frame(5.0)):
        await sender.send(value)
    assert [sorted(each) for each in await published(sender)] == [
        ["data", "schema"],
        ["data"],
        ["data", "schema"],
        ["data"],
        ["data", "schema"],
    ]


async def test_anything_json_goes_out_as_it_is_and_is_the_last_value(sending):
    sender = await sending()
    for value in ({"a": [1, None]}, "text", 5, None):
        await sender.send(value)
    assert await published(sender) == [{"a": [1, None]}, "text", 5, None]
    with pytest.raises(BadData, match="object"):
        await sender.send(object())


async def test_what_is_no_number_goes_out_as_entities(sending):
    sender = await sending()
    await sender.send(frame(math.nan, 1.0, math.inf))
    (sent,) = await published(sender)
    assert sent["data"] == {"values": [[None, 1, None]], "entities": [{"NaN": [0], "Inf": [2]}]}


async def test_a_frame_that_is_too_large_is_divided_by_its_rows(sending):
    sender = await sending()
    values = [float(value) for value in range(1000)]
    await sender.send(frame(*values))
    sent = await published(sender)
    assert len(sent) > 2
    assert [value for part in sent for value in part["data"]["values"][0]] == values


async def test_of_what_cannot_be_divided_nothing_is_published(sending):
    sender = await sending()
    rows = ["x", "y" * 3000]
    for value in (Frame([Field("t", Kind.STRING, rows)]), frame(1.0, name="n" * 3000), "z" * 3000):
        with pytest.raises(PublicationTooLarge):
            await sender.send(value)
    assert await published(sender) == []
    await sender.send("small")
    assert await published(sender) == ["small"]


async def test_sends_at_once_stay_in_their_order(sending):
    sender = await sending()
    await asyncio.gather(*[sender.send(n) for n in range(200)])
    assert await published(sender) == list(range(200))


async def test_it_sends_no_faster_than_allowed(sending):
    rate = 100
    sender = await sending(rate)
    loop = asyncio.get_running_loop()
    began = loop.time()
    count = MIN_BURST + 30
    for n in range(count):
        await sender.send(n)
    assert loop.time() - began >= 0.29
    assert len(await published(sender)) == count


async def test_one_that_fails_again_and_again_is_held_up_too(sending):
    sender = await sending(rate=100)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(MIN_BURST + 10):
        with pytest.raises(BadData):
            await sender.send(object())
    assert loop.time() - began >= 0.09


@pytest.mark.parametrize("value", [1, object()], ids=["sound", "wrong"])
async def test_others_have_their_turn_however_much_is_sent(sending, value):
    sender = await sending()
    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(100):
        try:
            await sender.send(value)
        except BadData:
            pass
    task.cancel()
    assert turns >= 100


async def test_once_it_is_closed_nothing_is_published(sending):
    sender = await sending()
    sender.close()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(2):
        with pytest.raises(asyncio.CancelledError):
            await sender.send(1)
    # Whoever goes on all the same must not have the loop to itself.
    assert loop.time() - began >= 0.19
    assert await published(sender) == []


async def test_what_waits_for_its_turn_when_it_is_closed_is_not_published(sending, gated_store):
    sender = await sending()
    with gated_store.hold("append_many") as publishing:
        first, second = (asyncio.create_task(sender.send(n)) for n in range(2))
        await publishing.wait()
        sender.close()
    await first
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await published(sender) == [0]


async def test_a_lease_whose_time_is_over_sends_nothing(sending):
    sender = await sending(until=0)
    with pytest.raises(LeaseLost):
        await sender.send(1)
    assert sender.place.lost == [True]
    assert await published(sender) == []


async def test_what_the_store_refuses_is_told(sending):
    sender = await sending()
    await sender.place.store.release(sender._hold.lease)
    with pytest.raises(LeaseLost):
        await sender.send(1)
    assert sender.place.lost == [True]
    assert await published(sender) == []


async def test_a_cancelled_send_leaves_the_turn_to_the_next(sending, gated_store):
    sender = await sending()
    with gated_store.hold("append_many") as publishing:
        task = asyncio.create_task(sender.send(1))
        await publishing.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await sender.send(2)
    assert (await published(sender))[-1] == 2
    await until(lambda: not sender._turn.locked())
