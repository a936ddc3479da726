"""What was published: from everywhere, in its order, waited for where it comes later."""

import threading

import pytest

import live
from live.frames import Field, Frame, Kind
from live.handlers.stream import push_frames
from live.node.publisher import observers
from live.testing import LiveCommunicator, Publication, Recorder, assert_publishes

pytestmark = pytest.mark.usefixtures("live_node", "rooms")


def test_synchronous_code():
    with Recorder() as recorder:
        live.publish("street/a/b", {"x": (1, 2)})
        live.publish("room/a/b", "kept")
    live.publish("street/a/b", "later")
    assert recorder.publications == [Publication("street/a/b", {"x": [1, 2]}), Publication("room/a/b", "kept", 1)]
    assert recorder.data("room/a/b") == ["kept"]
    assert recorder.counts() == {"street/a/b": 1, "room/a/b": 1}
    recorder.clear()
    assert recorder.publications == []
    assert recorder._observe not in observers


async def test_what_clients_publish_and_frames_are_whole():
    async with Recorder() as recorder, LiveCommunicator() as client:
        await client.publish("room/a/b", 1)
        for value in (1.0, 2.0):
            await push_frames("host", [Frame([Field("value", Kind.FLOAT, [value])], name="cpu")])
    assert recorder.of("room/a/b")[0].info["client"] == client.client_id
    assert all("schema" in data for data in recorder.data(live.Channel("stream", "host", "cpu")))


@pytest.mark.parametrize(("wanted", "found"), [("room/a/b", [1]), ("room/", [1, 2]), ("room", []), (None, [1, 2, 3])])
async def test_some_channels(wanted, found):
    with Recorder(wanted) as recorder:
        await live.apublish_many([("room/a/b", 1), ("room/a/c", 2), ("street/a/b", 3)])
    assert [publication.data for publication in recorder.publications] == found


async def test_a_repeated_idempotency_key_is_no_publication():
    with Recorder() as recorder:
        for _ in range(2):
            await live.apublish("room/a/b", 1, idempotency_key="k")
        await live.apublish("room/a/b", 2, idempotency_key="l")
    assert recorder.data("room/a/b") == [1, 2]


async def test_old_ones_go():
    with Recorder(limit=2) as recorder:
        await live.apublish_many([("street/a/b", number) for number in range(5)])
    assert (recorder.data("street/a/b"), recorder.dropped) == ([3, 4], 3)
    recorder.clear()
    assert recorder.dropped == 0


def later(*numbers):
    """Publishes from another thread."""
    thread = threading.Thread(target=lambda: [live.publish("street/a/b", number) for number in numbers])
    thread.start()
    return thread


def test_waiting_in_synchronous_code():
    with Recorder("street/a/b") as recorder:
        thread = later(1, 2)
        assert [publication.data for publication in recorder.wait_for(2)] == [1, 2]
        thread.join()
        with pytest.raises(TimeoutError, match=r"2 publications to street/a/b within 0.01 s, 3 were waited for"):
            recorder.wait_for(3, timeout=0.01)


async def test_waiting_in_async_code():
    with Recorder() as recorder:
        thread = later(1, 2)
        assert [publication.data for publication in await recorder.await_for(2)] == [1, 2]
        thread.join()
        with pytest.raises(TimeoutError, match=r"2 publications within 0.01 s, 3 were waited for"):
            await recorder.await_for(3, timeout=0.01)


def test_asserting_in_synchronous_code():
    with assert_publishes("street/a/b"):
        later(1).join()
    with assert_publishes("street/a/b", data=2, count=1) as recorder:
        thread = later(1, 2)
    thread.join()
    assert recorder.data("street/a/b") == [1, 2]
    with assert_publishes("street/a/b", count=0):
        live.publish("street/a/c", 1)


async def test_asserting_in_async_code():
    with assert_publishes(live.Channel.parse("street/a/b"), data={"x": 1}):
        await live.apublish("street/a/b", {"x": 1})
    async with assert_publishes("street/a/b", count=2):
        thread = later(1, 2)
    thread.join()


async def check(*publications, **expected):
    async with assert_publishes("street/a/b", **expected):
        await live.apublish_many(publications)


async def test_what_is_missing_is_said():
    with pytest.raises(AssertionError) as failed:
        await check(timeout=0.01)
    assert str(failed.value) == "0 publications to street/a/b, at least 1 should have been; published to it: nothing"
    others = [("street/a/c", 1), ("street/a/c", 1)]
    with pytest.raises(AssertionError) as failed:
        await check(("street/a/b", 1), ("street/a/b", "x"), *others, data=2, count=3, timeout=0.01)
    assert str(failed.value) == (
        "0 publications of 2 to street/a/b, 3 should have been; published to it: 1, 'x'; elsewhere: street/a/c (2)"
    )


async def test_what_is_too_much_is_said():
    with pytest.raises(AssertionError, match="2 publications to street/a/b, 1 should have been; published to it: 1, 2"):
        await check(("street/a/b", 1), ("street/a/b", 2), count=1)
    with pytest.raises(AssertionError, match="1 publications to street/a/b, 0 should have been"):
        await check(("street/a/b", 1), count=0)


async def test_with_in_async_code_looks_once():
    with pytest.raises(AssertionError, match="published to it: nothing$"), assert_publishes("street/a/b", timeout=60):
        pass


def test_what_never_comes_is_waited_for_and_no_longer():
    with pytest.raises(AssertionError, match="published to it: nothing$"), assert_publishes("street/a/b", timeout=0.01):
        pass


async def test_more_than_can_be_kept(monkeypatch):
    expected = assert_publishes("street/a/b")
    monkeypatch.setattr(expected, "_recorder", Recorder(limit=2))
    with pytest.raises(AssertionError, match="1 publications more than can be kept"):
        async with expected:
            await live.apublish_many([("street/a/b", number) for number in range(3)])


async def test_a_block_that_fails_says_why_itself():
    with pytest.raises(LookupError), assert_publishes("street/a/b"):
        raise LookupError
    with pytest.raises(live.UnknownChannel):
        await check(("nobody/a/b", 1))


def test_a_channel_that_cannot_be():
    with pytest.raises(live.InvalidChannel):
        assert_publishes("nowhere")
