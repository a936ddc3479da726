"""The official clients, unmodified, behind one face: each keeps a log of what it reports."""

import asyncio
import contextlib
import dataclasses
import json

from centrifuge import (
    CentrifugeError,
    Client,
    ClientEventHandler,
    ReplyError,
    StreamPosition,
    SubscriptionEventHandler,
)

from project.bootstrap.npm import node_env
from tests.site import ROOT


@contextlib.asynccontextmanager
async def starter(kind):
    """A coroutine function that starts clients of that `kind`, which are stopped in the end."""
    clients = []

    async def start(url, channel, **options):
        client = kind(url, channel, **options)
        clients.append(client)
        await client.start()
        return client

    try:
        yield start
    finally:
        for client in clients:
            await client.stop()


class Log:
    """What a client reported, in order."""

    def __init__(self):
        self.events = []
        self.changed = asyncio.Event()

    def add(self, event, **context):
        self.events.append({"event": event, **context})
        self.changed.set()

    def found(self, event, **context):
        """The reports of `event` with this context so far."""
        return [each for each in self.events if each["event"] == event and context.items() <= each.items()]

    async def wait(self, event, count=1, **context):
        """Waits until `event` with this context was reported `count` times; the last of them."""
        async with asyncio.timeout(40):
            while len(self.found(event, **context)) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.found(event, **context)[-1]

    @property
    def offsets(self):
        """Of the publications so far."""
        return [each["offset"] for each in self.found("publication")]


def plain(value):
    """What a client reports, with the JSON inside that the protobuf flavour leaves to its user."""
    if isinstance(value, bytes):
        return json.loads(value)
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


class PythonClient:
    """PyPI's centrifuge-python. `states`: positions that the application's own state has, one after another."""

    protobuf = False

    def __init__(self, url, channel, states=None, **options):
        self.log = log = Log()

        class Events(ClientEventHandler):
            async def on_connected(self, context):
                log.add("connected", client=context.client)

            async def on_connecting(self, context):
                log.add("connecting", code=context.code, reason=context.reason)

            async def on_disconnected(self, context):
                log.add("disconnected", code=context.code, reason=context.reason)

        class SubscriptionEvents(SubscriptionEventHandler):
            async def on_subscribing(self, context):
                log.add("subscribing", code=context.code)

            async def on_subscribed(self, context):
                log.add(
                    "subscribed",
                    data=plain(context.data),
                    wasRecovering=context.was_recovering,
                    recovered=context.recovered,
                    recoverable=context.recoverable,
                    positioned=context.positioned,
                    position=context.stream_position and dataclasses.asdict(context.stream_position),
                )

            async def on_publication(self, context):
                log.add("publication", data=plain(context.pub.data), offset=context.pub.offset)

            async def on_join(self, context):
                log.add("join", client=context.info.client, user=context.info.user)

            async def on_leave(self, context):
                log.add("leave", client=context.info.client, user=context.info.user)

            async def on_unsubscribed(self, context):
                log.add("unsubscribed", code=context.code, reason=context.reason)

            async def on_error(self, context):
                log.add("subscription error", code=context.code)

        if states is not None:

            async def next_state(channel):
                log.add("asked for a state")
                return StreamPosition(**states.pop(0))

            options["get_state"] = next_state
        self.client = Client(
            url, events=Events(), min_reconnect_delay=0.05, max_reconnect_delay=0.2, use_protobuf=self.protobuf
        )
        self.subscription = self.client.new_subscription(
            channel, events=SubscriptionEvents(), min_resubscribe_delay=0.05, max_resubscribe_delay=0.2, **options
        )

    async def start(self):
        await self.subscription.subscribe()
        await self.client.connect()

    async def subscribe(self):
        await self.subscription.subscribe()

    async def unsubscribe(self):
        await self.subscription.unsubscribe()

    async def call(self, method, **options):
        """The result of a method of the subscription, or its error as `{"error": code}`."""
        if "since" in options:
            options["since"] = StreamPosition(**options["since"])
        try:
            return plain(dataclasses.asdict(await getattr(self.subscription, method)(**options)))
        except ReplyError as error:
            return {"error": error.code}
        except CentrifugeError as error:
            return {"error": repr(error)}

    async def publish(self, data):
        """Publishes, and waits for the answer."""
        return await self.call("publish", data=json.dumps(data).encode() if self.protobuf else data)

    async def presence(self):
        """Who is there: user by client id."""
        return {client: info["user"] for client, info in (await self.call("presence"))["clients"].items()}

    async def presence_stats(self):
        """How many clients and users are there."""
        return tuple((await self.call("presence_stats")).values())

    async def stop(self):
        await self.client.disconnect()
        # It closes its socket in the background, which has to happen before the test's loop is gone.
        closing = {task for task in asyncio.all_tasks() if "_close_conn" in repr(task)}
        if closing:
            await asyncio.wait(closing, timeout=20)


class PythonProtobufClient(PythonClient):
    """The same, speaking protobuf."""

    protobuf = True


class NodeClient:
    """The npm package `centrifuge` under Node.js."""

    build = "centrifuge"

    def __init__(self, url, channel, **options):
        self.arguments = (url, channel, json.dumps(options), self.build)
        self.log = Log()
        self.asked = 0

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

    def _tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    async def subscribe(self):
        self._tell("subscribe")

    async def unsubscribe(self):
        self._tell("unsubscribe")

    async def call(self, method, **options):
        """The result of a method of the subscription, or its error as `{"error": code}`."""
        return await self._call(method, options)

    async def publish(self, data):
        """Publishes, and waits for the answer."""
        return await self._call("publish", data)

    async def _call(self, method, value):
        self._tell(json.dumps({"call": method, "with": [value]}))
        self.asked += 1
        answer = await self.log.wait("answer", self.asked)
        return {"error": answer["error"]["code"]} if "error" in answer else answer["result"]

    async def presence(self):
        """Who is there: user by client id."""
        return {client: info["user"] for client, info in (await self.call("presence"))["clients"].items()}

    async def presence_stats(self):
        """How many clients and users are there."""
        result = await self.call("presenceStats")
        return result["numClients"], result["numUsers"]

    async def stop(self):
        self._tell("quit")
        self.process.stdin.close()
        assert await self.process.wait() == 0
        await self.reading


class NodeProtobufClient(NodeClient):
    """The package's build that speaks protobuf."""

    build = "centrifuge/build/protobuf"
