"""Clients of one node under any order of what clients, handlers, the server and the relay do (hypothesis, stateful).

After every step what each client was told has to make sense: one reply a command in their order, offsets without a
hole, nothing after the close. Whenever everything has settled, the registries have to hold what the clients know.
"""

import asyncio
import itertools
import json
from types import SimpleNamespace

from channels.layers import InMemoryChannelLayer
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import live
from live.client import client as client_module
from live.conf import LiveSettings
from live.exceptions import DisconnectCode, UnsubscribeCode
from live.handlers import find_handler
from live.handlers.registry import unregister
from live.node import Node, outbox
from live.store import Draft, MemoryStore
from tests.client.rooms import NOTHING, ROOMS, USER, Peer
from tests.peers import until

TURNS = 5_000
"""Turns of the loop in which everything has to settle."""

PRESENT = ("lobby", "hall")
CHANNELS = ["room/a/b", "room/a/c", "lobby/a/b", "hall/a/b", "stage/a/b", "street/a/b"]
ODD_CHANNELS = ["lobby/a/slow", "lobby/a/waits", "lobby/a/staff", "room/a/secret", "room/a/readonly", "nobody/a/b", "%"]
LIVELY = st.sampled_from(CHANNELS)
SAID = st.sampled_from([*CHANNELS, *CHANNELS, "lobby/a/waits"])
ANY = st.sampled_from([*CHANNELS, *CHANNELS, *ODD_CHANNELS])
SLOTS = st.sampled_from(range(3))
HURRY = st.sampled_from([None, None, None, 0, 1, 2, 5])
"""Turns of the loop until the next step; None: until everything has settled."""

RARELY = st.sampled_from([False, False, False, False, True])
"""What ends clients happens too seldom to leave nobody for the rest."""

MALFORMED = ["hello", "", "[]", "1", '{"id":-1,"rpc":{}}', '{"rpc":{}}', '{"id":7,"dance":{}}', '{"send":{}}', b"\0"]
VIOLATIONS = {DisconnectCode.BAD_REQUEST, DisconnectCode.NOT_AVAILABLE, DisconnectCode.INAPPROPRIATE_PROTOCOL}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**33) | st.sampled_from(["", "x", *CHANNELS]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["channel", "data", "since", "limit", "offset", "epoch"]), inner, max_size=3)
    ),
    max_leaves=6,
)
METHODS = ["connect", "subscribe", "unsubscribe", "publish", "history", "presence", "presence_stats", "rpc", "refresh"]

commands = st.one_of(
    st.tuples(st.just("subscribe"), ANY, st.sampled_from(["new", "new", "data", "recover", "insist", "lie"])),
    st.tuples(st.just("subscribe"), LIVELY, st.just("new")),
    st.tuples(st.just("unsubscribe"), ANY, st.none()),
    st.tuples(st.just("publish"), ANY, st.integers(0, 9)),
    st.tuples(st.sampled_from(["history", "presence", "presence_stats", "rpc", "sub_refresh"]), ANY, st.none()),
)


class Known:
    """What the user of one client knows from what it was told; every line of it is checked on the way."""

    def __init__(self, node):
        self.peer = Peer(node)
        self.client = self.peer.client
        self.sent = []
        """The ids of commands, in their order."""
        self.commands = {}
        self.answered = 0
        self.seen = 0
        """Events of the socket read so far."""
        self.offsets = {}
        """Of each subscription, the offset of the last publication."""
        self.positions = {}
        """Where each channel was left, also after its subscription."""
        self.here = {}
        """Who joined each channel and did not leave yet, as far as that was told."""
        self.closed = None
        self.may_close = set()
        """The codes that what happened allows."""
        self.must_close = False
        self.owes_pong = False
        self.frozen = None
        """Number of events when the socket was gone."""

    def send(self, values):
        for value in values:
            if isinstance(value.get("id"), int):
                self.sent.append(value["id"])
                self.commands[value["id"]] = value
        self.peer.send(*values)

    def read(self):
        events = self.peer.socket.events
        if self.frozen is not None:
            assert len(events) == self.frozen, "something was sent to a socket that is gone"
        for event in events[self.seen :]:
            assert self.closed is None, "something was sent after the close"
            if event["type"] == "websocket.close":
                self.closed = event["code"]
                assert self.closed in self.may_close, (event, self.peer.told[-3:])
                continue
            for line in event["text"].split("\n"):
                self._read_line(json.loads(line))
        self.seen = len(events)

    def _read_line(self, message):
        if not message:
            return
        if "id" in message:
            assert message["id"] == self.sent[self.answered], "replies come in the order of commands, one each"
            self.answered += 1
            self._read_reply(self.commands[message["id"]], message)
            return
        push = message["push"]
        if "disconnect" in push:
            return
        channel = push["channel"]
        assert channel in self.offsets, f"a push of a channel without a subscription: {push}"
        if "pub" in push:
            offset = push["pub"].get("offset", 0)
            if channel.startswith("street/"):
                assert offset == 0
            else:
                self._count(channel, offset)
        elif "unsubscribe" in push:
            self._end(channel)
        else:
            kind = "join" if "join" in push else "leave"
            other = push[kind]["info"]["client"]
            there = self.here.setdefault(channel, set())
            assert kind == "leave" or other not in there, f"{other} joined {channel} twice"
            (there.add if kind == "join" else there.discard)(other)

    def _count(self, channel, offset):
        assert offset == self.offsets[channel] + 1, f"{channel}: {offset} after {self.offsets[channel]}"
        self.offsets[channel] = offset
        _, epoch = self.positions[channel]
        self.positions[channel] = (offset, epoch)

    def _end(self, channel):
        self.offsets.pop(channel, None)
        self.here.pop(channel, None)

    def _read_reply(self, command, reply):
        if "subscribe" in reply:
            asked, result = command["subscribe"], reply["subscribe"]
            channel = asked["channel"]
            assert channel not in self.offsets
            self.offsets[channel] = result.get("offset", 0)
            self.positions[channel] = (result.get("offset", 0), result.get("epoch", ""))
            if result.get("recovered"):
                # Without an epoch, from the beginning of whatever life of the stream this is.
                assert (asked["offset"], asked["epoch"] or self.positions[channel][1]) == self.positions[channel]
                assert "data" not in result
                for publication in result.get("publications", ()):
                    self._count(channel, publication["offset"])
            else:
                assert not result.get("publications")
                assert not (asked.get("flag") or 0) & 2
        elif "unsubscribe" in reply:
            self._end(command["unsubscribe"].get("channel"))
        elif "history" in reply:
            found = [publication["offset"] for publication in reply["history"]["publications"]]
            assert all(later == earlier + 1 for earlier, later in itertools.pairwise(found)), found
        elif "presence" in reply:
            assert (
                self.client.id in reply["presence"]["presence"]
                or command["presence"].get("channel") not in self.offsets
            )

    @property
    def unanswered(self):
        """The command that is carried out next, or now."""
        return self.commands[self.sent[self.answered]] if self.answered < len(self.sent) else {}

    @property
    def idle(self):
        """Whether nothing is on its way to it or back."""
        return not self.client.busy and self.client._outbox._task is None


class Machine(RuleBasedStateMachine):
    """Three places for clients of one node, and everything that may happen to them."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        for name, handler in ROOMS.items():
            live.register(name, None, handler)
        self.handlers = {name: find_handler(live.Channel(name, "a", "b")) for name in ROOMS}
        store = MemoryStore(max_channels=1000, ttl=1000)
        limits = LiveSettings(max_subscriptions=4, connect_timeout=3600, ping_interval=3600)
        self.node = Node(settings=limits, layer=InMemoryChannelLayer(), store=store)
        self.loop.run_until_complete(self.node.start())
        self.user = SimpleNamespace(**vars(USER), is_staff=True)
        self.places = [None, None, None]
        self.gone = []
        self.broken = set()
        self.number = 1
        self.settled = True

    def play(self, hurry, step=None):
        """Runs `step` and so many turns of the loop, or as many as it takes to settle."""
        self.loop.run_until_complete(self._play(hurry, step))

    async def _play(self, hurry, step):
        if step is not None:
            await step
        self.settled = hurry is None
        for _ in range(TURNS if hurry is None else hurry):
            await asyncio.sleep(0)
            if hurry is None and self._quiet():
                return
        assert hurry is not None, f"nothing settles: {self.node.stats()}"

    def _quiet(self):
        return self.node.stats().tasks == 0 and all(
            known.idle or self._held(known) for known in self.places if known is not None
        )

    def _held(self, known):
        """Whether this client waits for something that only another step brings."""
        known.read()
        if not known.peer.socket.free.is_set() or known in self.broken:
            return True
        bodies = [body for body in known.unanswered.values() if isinstance(body, dict)]
        asked = [str(body.get("channel")).partition("/a/") for body in bodies]
        # Also who only looks is asked about.
        return any(
            path in ("slow", "waits") and scope in ROOMS and not self.handlers[scope].gate.is_set()
            for scope, _, path in asked
        )

    def _gated(self):
        return [self.handlers[name] for name in ("room", "lobby", "hall", "stage")]

    def clients(self):
        """Those whose socket is there."""
        return [known for known in self.places if known is not None]

    async def at(self, slot):
        """The client there; in the place of none, or of one that was sent away, a new one that listens to a room."""
        known = self.places[slot]
        if known is None or known.closed is not None or (known in self.broken and known.client.session.closed):
            await self._leave(slot)
            self.arrive(slot)
            subscribe = {"id": self.next(), "subscribe": {"channel": CHANNELS[0]}}
            self.places[slot].send([{"id": self.next(), "connect": {}}, subscribe])
        return self.places[slot]

    def arrive(self, slot):
        known = self.places[slot] = Known(self.node)
        known.client.user = self.user

    def next(self):
        self.number += 1
        return self.number

    async def on_loop(self, function, *arguments):
        function(*arguments)

    # What clients do

    @rule(slot=SLOTS, hello=st.booleans(), hurry=HURRY)
    def come(self, slot, hello, hurry):
        async def step():
            if self.places[slot] is None:
                self.arrive(slot)
                if not hello:
                    self.places[slot].may_close |= VIOLATIONS
                else:
                    self.places[slot].send([{"id": self.next(), "connect": {}}])

        self.play(hurry, step())

    @rule(slot=SLOTS, asked=st.lists(commands, min_size=1, max_size=5), hurry=HURRY)
    def ask(self, slot, asked, hurry):
        async def step():
            known = await self.at(slot)
            known.send([self._command(known, *one) for one in asked])

        self.play(hurry, step())

    def _command(self, known, method, channel, detail):
        body = {"channel": channel}
        offset, epoch = known.positions.get(channel, (0, ""))
        if method == "publish":
            body["data"] = detail
        elif method == "history":
            body["limit"] = -1
        elif detail == "data":
            body["data"] = {"x": 1}
        elif detail == "recover":
            body.update(recover=True, offset=offset, epoch=epoch)
        elif detail == "insist":
            body.update(recover=True, offset=offset, epoch=epoch, flag=2)
        elif detail == "lie":
            body.update(recover=True, offset=offset + 3, epoch=epoch)
        return {"id": self.next(), method: body}

    @rule(slot=SLOTS, message=st.sampled_from(MALFORMED), hurry=HURRY, really=RARELY)
    def break_the_protocol(self, slot, message, hurry, really):
        async def step():
            known = await self.at(slot)
            known.may_close |= VIOLATIONS
            known.must_close = True
            known.client.receive(message)

        if really:
            self.play(hurry, step())

    @rule(slot=SLOTS, method=st.sampled_from(METHODS), body=json_values, hurry=HURRY)
    def send_anything(self, slot, method, body, hurry):
        async def step():
            known = await self.at(slot)
            known.may_close |= VIOLATIONS
            known.send([{"id": self.next(), method: body}])

        self.play(hurry, step())

    @rule(slot=SLOTS, hurry=HURRY)
    def ping(self, slot, hurry):
        async def step():
            known = await self.at(slot)
            if known.client.session.connected:
                known.client.ping()
                known.owes_pong = True

        self.play(hurry, step())

    @rule(slot=SLOTS, hurry=HURRY, really=RARELY)
    def pong(self, slot, hurry, really):
        async def step():
            known = await self.at(slot)
            if not known.owes_pong and not known.client.session.closed:
                if not really:
                    return
                known.may_close.add(DisconnectCode.BAD_REQUEST)
                known.must_close = True
            known.owes_pong = False
            known.client.receive("{}")

        self.play(hurry, step())

    @rule(slot=SLOTS, hurry=HURRY, really=RARELY)
    def pong_is_due(self, slot, hurry, really):
        async def step():
            known = await self.at(slot)
            if known.owes_pong:
                known.may_close.add(DisconnectCode.NO_PONG)
                known.must_close = True
            known.client.check_pong()

        if really:
            self.play(hurry, step())

    @rule(slot=SLOTS, hurry=HURRY, really=RARELY)
    def leave(self, slot, hurry, really):
        if really:
            self.play(hurry, self._leave(slot))

    async def _leave(self, slot):
        known, self.places[slot] = self.places[slot], None
        if known is not None:
            await known.client.closed()
            known.frozen = len(known.peer.socket.events)
            self.gone.append(known)

    @rule(slot=SLOTS, what=st.sampled_from(["sticks", "sticks", "flows", "flows", "flows", "breaks"]), hurry=HURRY)
    def socket(self, slot, what, hurry):
        async def step():
            known = await self.at(slot)
            if what == "sticks":
                known.peer.socket.free.clear()
            elif what == "flows":
                known.peer.socket.free.set()
            else:
                known.peer.socket.error = OSError("gone")
                self.broken.add(known)

        self.play(hurry, step())

    # What the server does

    @rule(
        slot=SLOTS,
        code=st.sampled_from([DisconnectCode.FORCE_RECONNECT, DisconnectCode.FORCE_DISCONNECT, DisconnectCode.SLOW]),
        flush=st.booleans(),
        hurry=HURRY,
        really=RARELY,
    )
    def disconnect(self, slot, code, flush, hurry, really):
        async def step():
            known = await self.at(slot)
            known.may_close.add(code)
            known.must_close = True
            known.client.disconnect(code, flush=flush)

        if really:
            self.play(hurry, step())

    @rule(slot=SLOTS, channel=ANY, code=st.sampled_from(UnsubscribeCode), hurry=HURRY)
    def end_a_subscription(self, slot, channel, code, hurry):
        async def step():
            if channel != "%":
                (await self.at(slot)).client.unsubscribe_by_server(live.Channel.parse(channel), code)

        self.play(hurry, step())

    @rule(slot=SLOTS, staff=st.booleans(), hurry=HURRY)
    def recheck(self, slot, staff, hurry):
        async def step():
            self.user.is_staff = staff
            known = await self.at(slot)
            self.node.spawn(known.client.recheck(), "a recheck")

        self.play(hurry, step())

    @rule(hurry=HURRY)
    def gates_open(self, hurry):
        self.play(hurry, self._open_gates())

    async def _open_gates(self):
        for handler in self._gated():
            handler.gate.set()

    @rule(hurry=HURRY, really=RARELY)
    def gates_close(self, hurry, really):
        async def step():
            for handler in self._gated():
                handler.gate.clear()

        if really:
            self.play(hurry, step())

    @rule(name=SAID, count=st.integers(1, 12), hurry=HURRY)
    def publish(self, name, count, hurry):
        self.play(hurry, self._publish(name, count))

    async def _publish(self, name, count):
        channel = live.Channel.parse(name)
        for number in range(count):
            await self.node.publish(channel, b"%d" % number, self.handlers[channel.scope].options)

    @rule(slot=SLOTS, name=LIVELY, before=st.integers(0, 2), after=st.integers(0, 2), hurry=HURRY)
    def publish_around_a_subscribe(self, slot, name, before, after, hurry):
        async def step():
            known = await self.at(slot)
            await self._publish(name, before)
            known.send(
                [self._command(known, "unsubscribe", name, None), self._command(known, "subscribe", name, "new")]
            )
            await self._publish(name, after)

        self.play(hurry, step())

    @rule(slot=SLOTS, count=st.integers(1, 12), opens=st.booleans(), hurry=HURRY)
    def publish_during_a_subscribe(self, slot, count, opens, hurry):
        name = "lobby/a/waits"

        async def step():
            known = await self.at(slot)
            self.handlers["lobby"].gate.clear()
            known.send(
                [self._command(known, "unsubscribe", name, None), self._command(known, "subscribe", name, "new")]
            )
            for _ in range(5):
                await asyncio.sleep(0)
            await self._publish(name, count)
            if opens:
                self.handlers["lobby"].gate.set()

        self.play(hurry, step())

    # What the relay and the store do

    @rule(name=LIVELY, count=st.integers(1, 12), hurry=HURRY)
    def the_relay_loses(self, name, count, hurry):
        async def step():
            channel = live.Channel.parse(name)
            options = self.handlers[channel.scope].options
            await self.node.store.append_many([Draft(channel, b"-1", options)] * count)

        self.play(hurry, step())

    @rule(hurry=HURRY, really=RARELY)
    def the_store_begins_anew(self, hurry, really):
        async def step():
            await self.node.store.close()

        if really:
            self.play(hurry, step())

    @rule(hurry=HURRY)
    def the_relay_is_interrupted(self, hurry):
        self.play(hurry, self.on_loop(self.node.relay_interrupted))

    @rule(hurry=HURRY)
    def the_relay_returns(self, hurry):
        self.play(hurry, self.on_loop(self.node.relay_returned))

    # What has to hold

    @invariant()
    def everything_makes_sense(self):
        self.read()
        if self.settled:
            self.compare()

    def read(self):
        """Reads what all were told since the last time."""
        for known in [*self.clients(), *self.gone]:
            known.read()

    def compare(self):
        """What the node holds with what the clients know."""
        clients = self.clients()
        assert len(self.node.pings) == sum(known.client.session.connected for known in clients)
        assert {peer.id for peer in self.node.clients} >= {k.client.id for k in clients if k.client.session.connected}
        for known in clients:
            if self._held(known):
                continue
            assert not known.must_close or known.closed is not None
            if known.closed is None:
                assert known.answered == len(known.sent)
                assert {str(channel) for channel in self.node.hub.channels()} >= set(known.offsets)
                assert len(known.client.subscriptions) == len(known.offsets)
                assert all(live.Channel.parse(name) in known.client.subscriptions for name in known.offsets)
        if not any(self._held(known) for known in clients):
            assert self.node.stats().subscriptions == sum(len(known.client.subscriptions) for known in clients)
            self.loop.run_until_complete(self._compare_with_the_store())

    async def _compare_with_the_store(self):
        present = {
            (str(channel), known.client.id)
            for known in self.clients()
            for channel in known.client.subscriptions._entries
            if channel.scope in PRESENT
        }
        assert len(self.node.presence) == len(present)
        for name in {name for name in [*CHANNELS, *ODD_CHANNELS] if name.split("/")[0] in PRESENT}:
            members = {(name, member.client) for member in await self.node.members(live.Channel.parse(name))}
            assert members == {entry for entry in present if entry[0] == name}

    def teardown(self):
        try:
            self.loop.run_until_complete(self._end())
        finally:
            for name in ROOMS:
                unregister(name)
            self.loop.close()

    async def _end(self):
        await self._open_gates()
        for known in self.clients():
            known.peer.socket.free.set()
        self.node.relay_returned()
        await self._play(None, None)
        self.read()
        for known in self.clients():
            if known.closed is None and known not in self.broken:
                await self._check_nothing_is_missing(known)
        for slot in range(len(self.places)):
            await self._leave(slot)
        async with asyncio.timeout(30):
            await until(lambda: self.node.stats() == NOTHING)
        assert len(self.node.pings) == 0
        self.read()
        await self.node.stop()

    async def _check_nothing_is_missing(self, known):
        for name, offset in known.offsets.items():
            if not name.startswith("street/"):
                _, top = await self.node.store.history(live.Channel.parse(name), limit=0)
                assert (offset, known.positions[name][1]) == (top.offset, top.epoch), name


def test_whatever_happens_clients_are_told_what_holds_and_nothing_is_left(monkeypatch):
    async def read_user(user):
        await asyncio.sleep(0)
        return user

    monkeypatch.setattr(client_module, "read_user", read_user)
    # No clock but the turns of the loop: a machine that stands still for a while is no step.
    for module, name in ((outbox, "CLOSE_TIMEOUT"), (outbox, "FLUSH_TIMEOUT"), (client_module, "HANDLER_GRACE")):
        monkeypatch.setattr(module, name, 3600.0)
    # Shrinking would take longer than a test may.
    rounds = settings(
        max_examples=150, stateful_step_count=50, deadline=None, derandomize=True, phases=[Phase.generate]
    )
    run_state_machine_as_test(Machine, settings=rounds)
