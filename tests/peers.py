"""Stand-ins for what is on the far side of an interface: a recording subscriber, a socket that can get stuck."""

import asyncio
import json


async def until(condition):
    """Lets the loop run until `condition()` holds; for state that no event tells of. The test's timeout bounds it."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


class Recorder:
    """A subscriber of the hub that keeps what it is given."""

    def __init__(self):
        self.messages = []
        self.ended = []
        self.overflows = 0
        self.arrived = asyncio.Event()

    def write(self, message):
        self.messages.append(json.loads(message.raw))
        self.arrived.set()

    def unsubscribed(self, channel):
        self.ended.append(channel)

    def overflow(self):
        self.overflows += 1

    def disconnect(self, code, reason=""):
        self.ended.append(code)

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
