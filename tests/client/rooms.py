"""A client of a real node with the far end of its socket, and handlers that do what the path says."""

import asyncio
import json
from types import SimpleNamespace

import live
from live.client import Client
from live.node.node import NodeStats
from tests.peers import Socket, until

USER = SimpleNamespace(pk=7, is_authenticated=True, get_username=lambda: "ann")
NOTHING = NodeStats(clients=0, channels=0, joined=0, tasks=0)


class Room(live.ChannelHandler):
    """Lets everybody in, except where the path says what should happen."""

    history_size = 10
    keep_last = True
    allow_history = True

    def __init__(self):
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.error = None
        self.asked = []

    async def can_subscribe(self, user, channel, data):
        self.asked.append((user, channel.path, data))
        if channel.path == "slow":
            self.entered.set()
            await self.gate.wait()
        if channel.path == "broken":
            raise RuntimeError("a handler's mistake")
        if channel.path == "missing":
            raise live.NotFound
        if channel.path == "fails" and self.error:
            raise self.error
        if channel.path == "staff":
            return user.is_staff
        return channel.path != "secret"

    async def can_publish(self, user, channel, data):
        return channel.path != "readonly"

    async def clean(self, user, channel, data):
        if data == "bad":
            raise live.BadData("no bad words")
        return {"said": data} if channel.path == "clean" else data

    async def initial_data(self, user, channel, data):
        if channel.path == "broken-initial":
            raise RuntimeError("a handler's mistake")
        if channel.path in ("restart", "waits"):
            self.entered.set()
            await self.gate.wait()
        return {"asked": data} if data else None


class Lobby(Room):
    """A room where everybody sees who is there, who comes and who goes."""

    presence = True
    join_leave = True

    async def member_info(self, user, channel):
        if channel.path == "broken-info":
            raise RuntimeError("a handler's mistake")
        return {"name": user.get_username()} if channel.path == "named" else None


class Hall(Room):
    """A room where who is there can be asked for only."""

    presence = True


class Stage(Room):
    """A room with a history whose subscribers are told nothing of what they missed."""

    recover = False


class Street(live.ChannelHandler):
    """A place that keeps nothing."""

    async def can_subscribe(self, user, channel, data):
        return True


ROOMS = {"room": Room, "lobby": Lobby, "hall": Hall, "stage": Stage, "street": Street}


class Peer:
    """A client and the far end of its socket."""

    def __init__(self, node, user=USER):
        self.socket = Socket()
        self.client = Client(node, user, self.socket.send, session_key="s")
        self.sent = 0

    @property
    def told(self):
        """Everything the client was told so far: replies and pushes."""
        return self.socket.replies

    def send(self, *commands):
        self.client.receive("\n".join(c if isinstance(c, str) else json.dumps(c) for c in commands))

    async def ask(self, *commands):
        """Sends commands and waits for one message each."""
        self.send(*commands)
        self.sent += len(commands)
        await self.socket.until(lambda: len(self.socket.replies) >= self.sent)
        return self.socket.replies[self.sent - len(commands) : self.sent]

    async def connect(self):
        (reply,) = await self.ask({"id": 1, "connect": {}})
        return reply

    async def call(self, method, channel, **fields):
        """Sends one command and waits for its reply, whatever else comes: the result, or the error."""
        number = 1_000 + len(self.told)
        self.send({"id": number, method: {"channel": str(channel), **fields}})
        await self.socket.until(lambda: any(message.get("id") == number for message in self.told))
        reply = next(message for message in self.told if message.get("id") == number)
        return reply.get(method, reply.get("error"))

    def pushes(self, kind):
        """The bodies of the pushes of one kind so far."""
        return [message["push"][kind] for message in self.told if kind in message.get("push", {})]

    async def pushed(self, kind, count=1):
        """Waits for so many pushes of one kind; their bodies."""
        await self.socket.until(lambda: len(self.pushes(kind)) >= count)
        return self.pushes(kind)

    async def closing(self):
        """Waits for the end; the code and the reason of the push before it."""
        await self.socket.until(lambda: self.socket.close)
        push = self.socket.replies[-1]["push"]["disconnect"]
        assert push["code"] == self.socket.close["code"]
        return push["code"], push["reason"]

    async def gone(self):
        """The socket closes; waits until the node has done what that needs."""
        await self.client.closed()
        await until(lambda: not self.client.node.stats().tasks)


def subscribe(number, channel, **fields):
    return {"id": number, "subscribe": {"channel": channel, **fields}}
