"""What somebody who watches a stream sees of pushes, good and bad: through node, hub and relay."""

import asyncio
from io import BytesIO

import orjson
import pytest
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIRequest
from rest_framework.test import force_authenticate

from live.api.push import PushView
from live.channel import Channel
from live.handlers import find_handler
from live.node import runtime


class Watcher:
    """A subscriber that keeps the publications it is given."""

    def __init__(self):
        self.publications = []
        self.third = asyncio.Event()

    def write(self, message):
        self.publications.append(orjson.loads(message.raw)["push"]["pub"])
        if len(self.publications) == 3:
            self.third.set()

    def unsubscribed(self, channel):
        raise AssertionError("the position was lost")

    def overflow(self):
        raise AssertionError("too slow")

    def disconnect(self, code, reason=""):
        pass


@pytest.fixture
async def node():
    """A node that serves this test's loop."""
    yield await runtime.serve()
    await runtime.stop_serving()


async def push(stream_id, body):
    """The status of a push."""
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    request = ASGIRequest(scope, BytesIO(body))
    force_authenticate(request, user=User(username="root", is_superuser=True))
    response = await PushView.as_view()(request, stream_id=stream_id)
    return response.status_code


@pytest.mark.django_db(transaction=True)
async def test_a_subscriber_sees_all_of_good_pushes_and_nothing_of_bad_ones(node, stream_id):
    channel = Channel("stream", stream_id, "cpu")
    watcher = Watcher()
    subscription, state, _ = await node.subscribe(channel, watcher, find_handler(channel).options)
    node.release(subscription, state.position)

    assert await push(stream_id, b"cpu x=1 0") == 200
    assert await push(stream_id, b"cpu x=2 0\ncpu broken") == 400
    assert await push(stream_id, b"cpu x=3 0\nmy\\ cpu x=3") == 400
    assert await push(stream_id, b"cpu x=4 0") == 200
    assert await push(stream_id, b"cpu x=5,y=t 0") == 200
    await watcher.third.wait()

    first, second, third = watcher.publications
    assert first["data"]["data"] == {"values": [[""], [0], [1]]}
    assert second["data"] == {"data": {"values": [[""], [0], [4]]}}
    assert [field["name"] for field in third["data"]["schema"]["fields"]] == ["labels", "time", "x", "y"]
    assert [publication["offset"] for publication in watcher.publications] == [1, 2, 3]
    await node.unsubscribe(subscription)
