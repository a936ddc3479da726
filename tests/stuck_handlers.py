"""Handlers that do not come to an end, each in its own way, and one that is only slow; for sites that tests stop."""

import asyncio
import time

from asgiref.sync import sync_to_async

import live
from live.handlers.stream import StreamHandler
from live.node import current_node

FOREVER = 120
ASKED = "a handler was asked"


def tell():
    """Says in the site's log that the test may go on."""
    print(ASKED, flush=True)


class Slow(live.ChannelHandler):
    """Says yes when the node has been draining for a moment."""

    async def can_subscribe(self, user, channel, data):
        tell()
        while not current_node().draining:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        return True


class Stubborn(live.ChannelHandler):
    """Does not let itself be cancelled."""

    async def can_subscribe(self, user, channel, data):
        tell()
        until = time.monotonic() + FOREVER
        while time.monotonic() < until:
            try:
                await asyncio.sleep(FOREVER)
            except asyncio.CancelledError:
                pass
        return True


class InThread(live.ChannelHandler):
    """Waits in a thread, as synchronous code does."""

    async def can_subscribe(self, user, channel, data):
        tell()
        await sync_to_async(time.sleep)(FOREVER)
        return True


class Blocking(live.ChannelHandler):
    """Stops the whole event loop."""

    async def can_subscribe(self, user, channel, data):
        tell()
        time.sleep(FOREVER)  # noqa: ASYNC251
        return True


class SlowPush(StreamHandler):
    """Lets a sender in at once, and says yes to the first of its bodies when the node drains."""

    asked = 0

    async def can_push(self, user, stream_id):
        SlowPush.asked += 1
        if SlowPush.asked == 2:
            tell()
            while not current_node().draining:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return True


HANDLERS = {
    name.__name__.lower(): f"tests.stuck_handlers.{name.__name__}" for name in (Slow, Stubborn, InThread, Blocking)
}
HANDLERS["stream/slow"] = "tests.stuck_handlers.SlowPush"
