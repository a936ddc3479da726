"""The journeys of the design over a real daphne: a push, a save, a publish of one client, from one end to the other."""

import asyncio
import json

OTHER_TAB = "another-tab"


async def test_a_push_reaches_the_subscriber_schema_first(site):
    async with site.connect() as peer:
        reply = await peer.subscribe("stream/journey/cpu")
        assert "data" not in reply["subscribe"]
        body = "cpu,host=a usage=1.5,idle=98 1616403089000000000"
        assert await asyncio.to_thread(site.push, "journey", body) == (200, b"")
        first = await peer.publication()
        assert first["offset"] == 1
        assert first["epoch"] == reply["subscribe"]["epoch"]
        assert first["data"]["data"]["values"] == [["host=a"], [1616403089000], [98], [1.5]]
        await asyncio.to_thread(site.push, "journey", body)
        second = await peer.publication()
        assert set(second["data"]) == {"data"}
        await asyncio.to_thread(site.push, "journey", "cpu,host=a usage=2")
        assert "schema" in (await peer.publication())["data"]
    async with site.connect() as late:
        reply = (await late.subscribe("stream/journey/cpu"))["subscribe"]
        assert reply["offset"] == 3
        assert set(reply["data"]) == {"schema", "data"}


async def test_a_save_reaches_whoever_has_the_dashboard_open(site, login):
    cookie = await asyncio.to_thread(login, site)
    async with site.connect() as peer:
        before = (await peer.subscribe("grafana/dashboard/uid/machine"))["subscribe"]["data"]
        status, page = await asyncio.to_thread(site.request, "GET", "/api/dashboards/machine/", Cookie=cookie)
        assert status == 200
        token = "t" * 32
        status, answer = await asyncio.to_thread(
            site.request,
            "PATCH",
            "/api/dashboards/machine/",
            json.dumps({"title": "Renamed", "version": json.loads(page)["version"]}),
            **{
                "Content-Type": "application/json",
                "Cookie": f"{cookie}; csrftoken={token}",
                "X-CSRFToken": token,
                "X-Live-Session": OTHER_TAB,
            },
        )
        assert status == 200, answer
        event = (await peer.publication())["data"]
        assert event == {
            "uid": "machine",
            "action": "saved",
            "version": before["version"] + 1,
            "sessionId": OTHER_TAB,
            "user": {"name": "demo"},
        }


async def test_what_one_client_says_the_others_hear_and_late_ones_get_first(site, login):
    cookie = await asyncio.to_thread(login, site)
    channel = "grafana/broadcast/hall"
    async with site.connect() as listener, site.connect(cookie=cookie) as speaker:
        await listener.subscribe(channel)
        reply = await speaker.ask({"publish": {"channel": channel, "data": {"say": "hello"}}})
        assert reply["publish"] == {}
        publication = await listener.publication()
        assert publication["data"] == {"say": "hello"}
        assert publication["info"]["user"]
        assert (await speaker.subscribe(channel))["subscribe"]["data"] == {"say": "hello"}


async def test_the_list_answers_while_dashboards_are_watched(site):
    """A handler's synchronous code must not wait for the view's thread, which waits for the handler."""
    async with site.connect() as peer:
        await peer.subscribe("grafana/dashboard/uid/machine")
        subscribers = 0
        # Somebody who watched before may be about to leave.
        while subscribers != 1:
            status, body = await asyncio.to_thread(site.request, "GET", "/api/live/list")
            assert status == 200
            found = {entry["channel"]: entry for entry in json.loads(body)["channels"]}
            subscribers = found["grafana/dashboard/uid/machine"]["subscribers"]
            assert subscribers


async def test_one_connection_carries_many_channels(site):
    async with site.connect() as peer:
        for number in range(20):
            await peer.subscribe(f"stream/many-{number}/m")
        for number in range(20):
            await asyncio.to_thread(site.push, f"many-{number}", f"m v={number}")
        values = [(await peer.publication())["data"]["data"]["values"][2] for _ in range(20)]
        assert values == [[number] for number in range(20)]
