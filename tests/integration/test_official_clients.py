"""The official clients, unmodified, against the demo: connect, initial data, publications, unsubscribe, restart."""

import asyncio
import json

import pytest

from tests.integration.official import NodeClient, PythonClient

LINE = "weather,city=Oslo temperature={}"


@pytest.fixture(params=[PythonClient, NodeClient], ids=["python", "javascript"])
def make_client(request):
    return request.param


@pytest.fixture
async def connected(make_site, make_client, request):
    site = make_site()
    client = make_client(site.ws_url, "stream/official/weather")
    yield site, client
    await client.stop()


async def push(site, value):
    assert await asyncio.to_thread(site.push, "official", LINE.format(value)) == (200, b"")


async def test_a_whole_session_and_a_restart_of_the_server(connected):
    site, client = connected
    await push(site, 1.5)
    await client.start()
    await client.log.wait("connected")
    initial = (await client.log.wait("subscribed"))["data"]
    assert initial["data"]["values"][2] == [1.5]
    assert [field["name"] for field in initial["schema"]["fields"]] == ["labels", "time", "temperature"]

    await push(site, 2.5)
    publication = await client.log.wait("publication")
    assert publication["data"]["data"]["values"][2] == [2.5]
    assert "schema" not in publication["data"]
    assert publication["offset"] == 2

    await asyncio.to_thread(site.stop)
    await client.log.wait("connecting", 2)
    await asyncio.to_thread(site.start)
    await client.log.wait("connected", 2)
    await client.log.wait("subscribed", 2)
    await push(site, 3.5)
    publication = await client.log.wait("publication", 2)
    assert publication["data"]["data"]["values"][2] == [3.5]

    await client.unsubscribe()
    assert (await client.log.wait("unsubscribed"))["code"] == 0
    # Subscribers of the channel are gone on the server too.
    while True:
        status, body = await asyncio.to_thread(site.request, "GET", "/api/live/list")
        assert status == 200
        found = {entry["channel"]: entry["subscribers"] for entry in json.loads(body)["channels"]}
        if found["stream/official/weather"] == 0:
            break
    assert not [event for event in client.log.events if event["event"] == "subscription error"]


async def test_what_is_refused_is_final_for_the_clients(site, make_client):
    client = make_client(site.ws_url, "grafana/dashboard/uid/nobody")
    await client.start()
    assert (await client.log.wait("unsubscribed"))["code"] == 404
    await client.stop()
