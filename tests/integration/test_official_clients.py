"""The official clients, unmodified, against the demo: connect, initial data, publications, unsubscribe, restart."""

import asyncio
import json

import pytest
from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from project.bootstrap.npm import node_env
from tests.site import ROOT

LINE = "weather,city=Oslo temperature={}"


class Log:
    """What a client reported, in order."""

    def __init__(self):
        self.events = []
        self.changed = asyncio.Event()

    def add(self, event, **context):
        self.events.append({"event": event, **context})
        self.changed.set()

    async def wait(self, event, count=1, **context):
        """Waits until `event` with this context was reported `count` times; the last of them."""

        def found():
            return [e for e in self.events if e["event"] == event and context.items() <= e.items()]

        async with asyncio.timeout(40):
            while len(found()) < count:
                self.changed.clear()
                await self.changed.wait()
        return found()[-1]


class PythonClient:
    """PyPI's centrifuge-python."""

    def __init__(self, url, channel):
        self.log = log = Log()

        class Events(ClientEventHandler):
            async def on_connected(self, context):
                log.add("connected", client=context.client)

            async def on_connecting(self, context):
                log.add("connecting", code=context.code)

            async def on_disconnected(self, context):
                log.add("disconnected", code=context.code)

        class SubscriptionEvents(SubscriptionEventHandler):
            async def on_subscribed(self, context):
                log.add("subscribed", data=context.data)

            async def on_publication(self, context):
                log.add("publication", data=context.pub.data, offset=context.pub.offset)

            async def on_unsubscribed(self, context):
                log.add("unsubscribed", code=context.code)

            async def on_error(self, context):
                log.add("subscription error", code=context.code)

        self.client = Client(url, events=Events(), min_reconnect_delay=0.05, max_reconnect_delay=0.2)
        self.subscription = self.client.new_subscription(channel, events=SubscriptionEvents())

    async def start(self):
        await self.subscription.subscribe()
        await self.client.connect()

    async def unsubscribe(self):
        await self.subscription.unsubscribe()

    async def stop(self):
        await self.client.disconnect()
        # It closes its socket in the background, which has to happen before the test's loop is gone.
        closing = asyncio.all_tasks() - {asyncio.current_task()}
        if closing:
            await asyncio.wait(closing, timeout=20)


class NodeClient:
    """The npm package `centrifuge` under Node.js."""

    def __init__(self, url, channel):
        self.arguments = (url, channel)
        self.log = Log()

    async def start(self):
        env, _ = node_env()
        self.process = await asyncio.create_subprocess_exec(
            "node",
            str(ROOT / "tests/integration/official_client.mjs"),
            *self.arguments,
            env=env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self.reading = asyncio.create_task(self._read())

    async def _read(self):
        async for line in self.process.stdout:
            event = json.loads(line)
            self.log.add(event.pop("event"), **event)

    async def unsubscribe(self):
        self.process.stdin.write(b"unsubscribe\n")

    async def stop(self):
        self.process.stdin.write(b"quit\n")
        self.process.stdin.close()
        assert await self.process.wait() == 0
        await self.reading


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
