"""Coming back: what the wire says about recovery, and what the official clients make of it (client-protocol §4.3)."""

import asyncio
import re

import pytest

from tests.integration.cable import Cable
from tests.integration.handlers import ROOMS
from tests.integration.official import NodeClient, PythonClient, starter


@pytest.fixture
async def say(room_site):
    """Says numbers in a channel, from another client."""
    async with room_site.connect() as peer:

        async def publish(channel, *numbers):
            for number in numbers:
                assert await peer.ask({"publish": {"channel": channel, "data": {"n": number}}}) == {
                    "id": peer.last_id,
                    "publish": {},
                }

        yield publish


@pytest.fixture
def channel(request):
    """A channel of the test's own."""
    return "kept/recovery/" + re.sub(r"[^a-z_]", "-", request.node.name)


def without_info(publications):
    return [{name: value for name, value in each.items() if name != "info"} for each in publications]


def numbered(*numbers):
    return [{"data": {"n": number}, "offset": number} for number in numbers]


async def test_what_the_wire_says(room_site, say, channel):
    async with room_site.connect() as peer:
        first = await peer.subscribe(channel)
        epoch = first["subscribe"]["epoch"]
        base = {"positioned": True, "recoverable": True, "epoch": epoch}
        assert first == {"id": 2, "subscribe": base}
        await say(channel, 1, 2, 3)
        assert [(await peer.publication())["offset"] for _ in range(3)] == [1, 2, 3]
    async with room_site.connect() as peer:
        # As the official clients ask: what is zero is left out, and what they can do is offered.
        reply = await peer.subscribe(channel, recover=True, offset=1, epoch=epoch, flag=1)
        publications = reply["subscribe"].pop("publications")
        assert without_info(publications) == numbered(2, 3)
        assert set(publications[0]["info"]) == {"user", "client"}
        assert reply["subscribe"] == {**base, "offset": 1, "was_recovering": True, "recovered": True}
        await say(channel, 4)
        assert (await peer.publication())["offset"] == 4
        assert await peer.ask({"unsubscribe": {"channel": channel}}) == {"id": peer.last_id, "unsubscribe": {}}
        # Nothing missed.
        reply = await peer.subscribe(channel, recover=True, offset=4, epoch=epoch)
        assert reply["subscribe"] == {**base, "offset": 4, "was_recovering": True, "recovered": True}
        await peer.ask({"unsubscribe": {"channel": channel}})
        # Too much missed: from here on as a new subscriber, with the last value.
        await say(channel, *range(5, 16))
        as_new = {**base, "offset": 15, "data": {"n": 15}}
        reply = await peer.subscribe(channel, recover=True, offset=4, epoch=epoch)
        assert reply["subscribe"] == {**as_new, "was_recovering": True}
        await peer.ask({"unsubscribe": {"channel": channel}})
        # The same with the flag that asks for an error: nothing stays subscribed.
        reply = await peer.subscribe(channel, recover=True, offset=14, epoch="_", flag=3)
        assert reply["error"] == {"code": 112, "message": "unrecoverable position"}
        assert await peer.subscribe(channel) == {"id": peer.last_id, "subscribe": as_new}


async def test_channels_without_history_have_no_position(site):
    async with site.connect() as peer:
        reply = await peer.subscribe("grafana/broadcast/recovery", recover=True, offset=3, epoch="e", recoverable=True)
        assert reply["subscribe"] == {"was_recovering": True}


async def test_streams_are_recovered_with_their_short_frames(site):
    def push(value):
        return asyncio.to_thread(site.push, "recovery", f"m,cpu=0 a={value}")

    async with site.connect() as peer:
        epoch = (await peer.subscribe("stream/recovery/m"))["subscribe"]["epoch"]
    for value in range(1, 5):
        await push(value)
    async with site.connect() as peer:
        reply = (await peer.subscribe("stream/recovery/m", recover=True, offset=1, epoch=epoch))["subscribe"]
        assert reply["recovered"]
        assert "data" not in reply
        assert [set(each["data"]) for each in reply["publications"]] == [{"data"}] * 3
        assert [each["data"]["data"]["values"][2] for each in reply["publications"]] == [[2], [3], [4]]


@pytest.fixture(params=[PythonClient, NodeClient], ids=["python", "javascript"])
async def make_client(request):
    """Starts official clients that are subscribed; all are stopped in the end."""
    async with starter(request.param) as start:

        async def make(url, channel, **options):
            client = await start(url, channel, **options)
            await client.log.wait("subscribed")
            return client

        yield make


async def test_a_cut_connection_gets_exactly_what_was_missed(room_site, say, make_client, channel):
    async with Cable(room_site.port) as cable:
        client = await make_client(cable.ws_url, channel)
        first = await client.log.wait("subscribed")
        assert (first["recoverable"], first["positioned"], first["wasRecovering"]) == (True, True, False)
        assert first["position"]["offset"] == 0
        told = 0
        for cut in range(2, 5):
            await say(channel, told + 1, told + 2)
            await client.log.wait("publication", told + 2)
            cable.cut()
            await client.log.wait("connecting", cut)
            await say(channel, told + 3, told + 4, told + 5)
            cable.mend()
            back = await client.log.wait("subscribed", cut)
            assert (back["wasRecovering"], back["recovered"], back["data"]) == (True, True, None)
            assert back["position"] == {"offset": told + 2, "epoch": first["position"]["epoch"]}
            told += 5
            await client.log.wait("publication", told)
        await say(channel, told + 1)
        await client.log.wait("publication", told + 1)
        assert client.log.offsets == list(range(1, told + 2))
        assert [each["data"]["n"] for each in client.log.found("publication")] == client.log.offsets
        # They are told between the news of the subscription and whatever comes next.
        names = [each["event"] for each in client.log.events if each["event"] in ("subscribed", "publication")]
        turn = [*["publication"] * 2, "subscribed", *["publication"] * 3]
        assert names == ["subscribed", *turn * 3, "publication"]


async def test_missing_more_than_is_kept_is_told_and_begins_anew(room_site, say, make_client, channel):
    async with Cable(room_site.port) as cable:
        client = await make_client(cable.ws_url, channel)
        await say(channel, 1)
        await client.log.wait("publication")
        cable.cut()
        await client.log.wait("connecting", 2)
        await say(channel, *range(2, 20))
        cable.mend()
        back = await client.log.wait("subscribed", 2)
        assert (back["wasRecovering"], back["recovered"]) == (True, False)
        assert back["data"] == {"n": 19}
        assert back["position"]["offset"] == 19
        await say(channel, 20)
        await client.log.wait("publication", 2)
        assert client.log.offsets == [1, 20]


async def test_a_server_that_lost_its_history_is_another_epoch(make_site, make_client):
    site = make_site(HANDLERS=ROOMS)
    client = await make_client(site.ws_url, "kept/recovery/restart")
    async with site.connect() as peer:
        await peer.ask({"publish": {"channel": "kept/recovery/restart", "data": {"n": 1}}})
    await client.log.wait("publication")
    first = (await client.log.wait("subscribed"))["position"]
    await asyncio.to_thread(site.stop)
    await client.log.wait("connecting", 2)
    await asyncio.to_thread(site.start)
    back = await client.log.wait("subscribed", 2)
    assert (back["wasRecovering"], back["recovered"]) == (True, False)
    assert back["position"]["offset"] == 0
    assert back["position"]["epoch"] != first["epoch"]
    async with site.connect() as peer:
        await peer.ask({"publish": {"channel": "kept/recovery/restart", "data": {"n": 1}}})
    await client.log.wait("publication", 2)
    assert client.log.offsets == [1, 1]


async def test_the_history_can_be_asked_for(room_site, say, make_client, channel):
    client = await make_client(room_site.ws_url, channel)
    await say(channel, 1, 2, 3, 4)
    await client.log.wait("publication", 4)
    epoch = (await client.log.wait("subscribed"))["position"]["epoch"]

    async def offsets(**options):
        page = await client.call("history", **options)
        assert (page["offset"], page["epoch"]) == (4, epoch)
        return [each["offset"] for each in page["publications"]]

    assert await offsets(limit=0) == []
    assert await offsets(limit=-1) == [1, 2, 3, 4]
    assert await offsets(limit=2, since={"offset": 1, "epoch": epoch}) == [2, 3]
    assert await offsets(limit=9, since={"offset": 3, "epoch": epoch}, reverse=True) == [2, 1]
    assert await client.call("history", limit=1, since={"offset": 1, "epoch": "_"}) == {"error": 112}


async def test_a_subscription_ended_for_good_stays_ended(room_site, say, make_client, channel):
    client = await make_client(room_site.ws_url, channel)
    async with room_site.connect() as peer:
        await peer.ask({"publish": {"channel": "doorman/x/y", "data": {"channel": channel, "code": 2000}}})
    gone = await client.log.wait("unsubscribed")
    assert (gone["code"], gone["reason"]) == (2000, "sent out")
    await say(channel, 1)
    await client.subscribe()
    back = await client.log.wait("subscribed", 2)
    await client.log.wait("publication")
    assert (back["recovered"], client.log.offsets) == (True, [1])


async def test_a_subscription_ended_for_its_state_comes_back_and_recovers(room_site, say, make_client, channel):
    client = await make_client(room_site.ws_url, channel)
    await say(channel, 1)
    await client.log.wait("publication")
    async with room_site.connect() as peer:
        await peer.ask({"publish": {"channel": "doorman/x/y", "data": {"channel": channel, "code": 2500}}})
    back = await client.log.wait("subscribed", 2)
    assert (back["wasRecovering"], back["recovered"]) == (True, True)
    assert (await client.log.wait("subscribing", 2))["code"] == 2500
    await say(channel, 2)
    await client.log.wait("publication", 2)
    assert client.log.offsets == [1, 2]
    assert not client.log.found("unsubscribed")


async def test_who_keeps_its_own_state_is_told_to_load_it_again(room_site, say, make_client, channel):
    """The flag of a client that wants error 112, and what it does with that."""
    async with room_site.connect() as peer:
        epoch = (await peer.subscribe(channel))["subscribe"]["epoch"]
    await say(channel, 1, 2, 3)
    states = [{"offset": 1, "epoch": "another"}, {"offset": 99, "epoch": epoch}, {"offset": 1, "epoch": epoch}]
    client = await make_client(room_site.ws_url, channel, states=states)
    await client.log.wait("publication", 2)
    assert len(client.log.found("asked for a state")) == 3
    assert len(client.log.found("subscribed")) == 1
    assert (await client.log.wait("subscribed"))["recovered"] is True
    assert client.log.offsets == [2, 3]
