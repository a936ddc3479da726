"""Stand-ins for what is on the far side of an interface: a recording subscriber, a socket that can get stuck."""

import asyncio
import json

from live.node.control import ClientReport


async def until(condition):
    """Lets the loop run until `condition()` holds; for state that no event tells of. The test's timeout bounds it."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def eventually(condition):
    """Like `until`, for what another process decides: looks now and then, and leaves it the processor."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


class Recorder:
    """A subscriber of the hub that keeps what it is given."""

    def __init__(self):
        self.messages = []
        self.ended = []
        self.overflows = 0
        self.arrived = asyncio.Event()

    def write(self, message):
        # As a client takes it: several may be joined.
        self.messages += map(json.loads, message.raw.split(b"\n"))
        self.arrived.set()

    def unsubscribed(self, channel):
        self.ended.append(channel)

    def overflow(self):
        self.overflows += 1

    id = "recorder"
    user_id = ""
    session_key = ""
    since = 0.0
    queue_bytes = 0

    def report(self):
        return ClientReport(self.id, self.user_id, self.since, 0, self.queue_bytes)

    def disconnect(self, code, reason=""):
        self.ended.append(code)

    def unsubscribe_by_server(self, channel, code, reason=""):
        self.ended.append((channel, code))

    async def recheck(self):
        self.ended.append("recheck")

    @property
    def data(self):
        return [message["push"]["pub"]["data"] for message in self.messages]

    @property
    def offsets(self):
        return [message["push"]["pub"].get("offset", 0) for message in self.messages]

    async def wait(self, count):
        """Waits until `count` messages are there; the test's timeout bounds it."""
        while len(self.messages) < count:
            self.arrived.clear()
            await self.arrived.wait()


class Listener:
    """What a relay reports to: keeps everything."""

    def __init__(self):
        self.publications = []
        self.members = []
        self.messages = []
        self.states = []
        self.interruptions = 0
        self.changed = asyncio.Event()

    def deliver(self, channel, publication):
        self.publications.append((channel, publication))
        self.changed.set()

    def member_changed(self, channel, info, *, joined):
        self.members.append((channel, info, joined))
        self.changed.set()

    def take_message(self, body):
        self.messages.append(body)
        self.changed.set()

    def relay_lost(self):
        self.states.append("lost")
        self.changed.set()

    def relay_interrupted(self):
        self.interruptions += 1

    def relay_returned(self):
        self.states.append("returned")
        self.changed.set()

    async def until(self, condition):
        """Waits until `condition()` holds; looked at whenever something arrives. The test's timeout bounds it."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()


class Socket:
    """The server's end of ASGI's send: keeps events, and holds the sender up while `stuck`."""

    def __init__(self):
        self.events = []
        self.free = asyncio.Event()
        self.free.set()
        self.changed = asyncio.Event()
        self.error = None

    async def send(self, event):
        await self.free.wait()
        if self.error:
            raise self.error
        self.events.append(event)
        self.changed.set()

    @property
    def replies(self):
        """Every JSON object sent so far, in order."""
        texts = [event["text"] for event in self.events if event["type"] == "websocket.send"]
        return [json.loads(line) for text in texts for line in text.split("\n")]

    @property
    def close(self):
        """The close event, or None."""
        return next((event for event in self.events if event["type"] == "websocket.close"), None)

    async def until(self, condition):
        """Waits until `condition()` holds; looked at whenever something is sent."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()
