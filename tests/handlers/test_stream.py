"""Streams of frames: nobody ever gets data whose schema they do not hold, whatever comes in between."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from channels.layers import InMemoryChannelLayer
from hypothesis import given, settings
from hypothesis import strategies as st

import live
from live.client import Client
from live.conf import LiveSettings
from live.frames import Field, Frame, Kind
from live.handlers import find_handler
from live.node import Node
from live.store import MemoryStore
from tests.peers import Socket, until

CHANNEL = live.Channel("stream", "test", "cpu")
USER = SimpleNamespace(pk=1, is_authenticated=True)


def frame(fields, value):
    """A frame with these fields, all holding `value`."""
    return Frame([Field(name, Kind.FLOAT, [float(value)]) for name in fields], name="cpu")


class SlowStore(MemoryStore):
    """A store whose `state` waits at a gate, so that anything can happen while somebody subscribes."""

    def __init__(self):
        super().__init__(max_channels=9, ttl=999)
        self.gates = []

    async def state(self, channel, options):
        before, after = asyncio.Event(), asyncio.Event()
        self.gates.append((before, after))
        await before.wait()
        state = await super().state(channel, options)
        await after.wait()
        return state


class Watcher:
    """A subscriber that decodes as a page does: a full frame replaces the schema, data must fit the one it holds."""

    def __init__(self, node):
        self.socket = Socket()
        self.client = Client(node, USER, self.socket.send)
        self.client.receive('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"stream/test/cpu"}}')

    def values(self):
        """The values in the order of arrival; fails on data that cannot be read."""
        schema, found = None, []
        for reply in self.socket.replies:
            message = reply.get("push", {}).get("pub", {}).get("data")
            if reply.get("id") == 2:
                message = reply["subscribe"].get("data")
            if message is None:
                continue
            schema = message.get("schema", schema)
            assert schema is not None, "data without a schema"
            columns = message["data"]["values"]
            assert len(columns) == len(schema["fields"]), "data for another schema"
            found.append(columns[0][0])
        return found


steps = st.lists(
    st.one_of(
        st.sampled_from([("push", ("a",)), ("push", ("a", "b")), ("push", ("a", "b", "c"))]),
        st.sampled_from([("join", None), ("read", None), ("answer", None)]),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=150)
@given(steps)
def test_no_interleaving_of_pushes_and_subscribes_shows_data_without_its_schema(steps):
    async def play():
        store = SlowStore()
        node = Node(settings=LiveSettings(), layer=InMemoryChannelLayer(), store=store)
        await node.start()
        options = find_handler(CHANNEL).options
        watchers, count = [], 0
        for step, fields in steps:
            if step == "push":
                count += 1
                encoded = frame(fields, count).encode()
                await node.publish(CHANNEL, encoded.full, options, schema=encoded.schema, short=encoded.data)
            elif step == "join" and len(watchers) < 4:
                watchers.append(Watcher(node))
                await until(lambda: len(store.gates) == len(watchers))
            else:
                for gate in store.gates:
                    gate[step == "answer"].set()
                    if step == "answer":
                        gate[0].set()
            await asyncio.sleep(0)
        for before, after in store.gates:
            before.set()
            after.set()
        for watcher in watchers:
            await watcher.socket.until(lambda w=watcher: any(r.get("id") == 2 for r in w.socket.replies))
        if watchers:
            count += 1
            encoded = frame(("a",), count).encode()
            await node.publish(CHANNEL, encoded.full, options, schema=encoded.schema, short=encoded.data)
        for watcher in watchers:
            await until(lambda w=watcher: count in w.values())
            found = watcher.values()
            # From the first value on, every push and none twice.
            assert found == list(range(found[0], count + 1))
            await watcher.client.closed()
        await node.stop()

    asyncio.run(play())


async def test_history_is_as_long_as_the_settings_say(settings):
    settings.LIVE = {"STREAM_HISTORY_SIZE": 5, "STREAM_HISTORY_TTL": 7}
    options = find_handler(CHANNEL).options
    assert (options.history_size, options.history_ttl, options.keep_last) == (5, 7, True)
    settings.LIVE = {"STREAM_HISTORY_TTL": 0}
    assert not find_handler(CHANNEL).options.has_history


async def test_clients_never_publish_to_streams():
    assert not await find_handler(CHANNEL).can_publish(USER, CHANNEL, {})


@pytest.mark.parametrize("count", [1, 29, 31, 95])
async def test_a_page_that_opens_late_can_read_the_history_from_its_first_full_frame_on(make_node, count):
    node = await make_node()
    options = find_handler(CHANNEL).options
    for number in range(count):
        encoded = frame(("a",), number).encode()
        await node.publish(CHANNEL, encoded.full, options, schema=encoded.schema, short=encoded.data)
    publications, top = await node.history(CHANNEL, None, -1)
    messages = [json.loads(publication.data) for publication in publications]
    full = [number for number, message in enumerate(messages) if "schema" in message]
    assert full == list(range(0, count, 30))
    assert top.offset == count
