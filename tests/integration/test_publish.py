"""Publishing over HTTP, on a real site: subscribers see the same as after a publish of a client on the WebSocket."""

import asyncio
import json


async def post(site, body, cookie):
    """(status, answer) of a publish as a page makes it."""
    token = "t" * 32
    headers = {
        "Content-Type": "application/json",
        "Cookie": f"{cookie}; csrftoken={token}",
        "X-CSRFToken": token,
    }
    status, answer = await asyncio.to_thread(site.request, "POST", "/api/live/publish", json.dumps(body), **headers)
    return status, json.loads(answer)


async def test_http_and_websocket_give_the_same_publication(site, login):
    cookie = await asyncio.to_thread(login, site)
    channel, data = "grafana/broadcast/twice", {"say": "hello", "n": [1, 2.5, None, "é"]}
    async with site.connect() as listener, site.connect(cookie=cookie) as speaker:
        await listener.subscribe(channel)
        await speaker.ask({"publish": {"channel": channel, "data": data}})
        by_websocket = await listener.publication()
        assert await post(site, {"channel": channel, "data": data}, cookie) == (200, {})
        by_http = await listener.publication()
        assert by_http["data"] == by_websocket["data"] == data
        # Who says it is the same; only one of them has a connection.
        assert by_http["info"]["user"] == by_websocket["info"]["user"] != ""
        assert by_websocket["info"].pop("client")
        by_http["info"].pop("client", None)
        assert by_http == by_websocket


async def test_a_list_with_a_fault_reaches_nobody(site, login):
    cookie = await asyncio.to_thread(login, site)
    channel = "grafana/broadcast/all-or-nothing"
    async with site.connect() as listener:
        await listener.subscribe(channel)
        good = {"channel": channel, "data": "good"}
        status, answer = await post(site, [good, {"channel": "stream/x/y", "data": 1}], cookie)
        assert (status, answer) == (403, {"message": "publication 2: Forbidden"})
        assert await post(site, [{"channel": channel, "data": n} for n in range(3)], cookie) == (200, [{}, {}, {}])
        assert [(await listener.publication())["data"] for _ in range(3)] == [0, 1, 2]
        status, answer = await asyncio.to_thread(site.request, "GET", f"/api/live/info/{channel}")
        answer = json.loads(answer)
        assert (status, answer["minute_rate"], answer["subscribers"]) == (200, 3, 1)
