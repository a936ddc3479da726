"""The plugins of the cluster's nodes: one that counts and writes down when it runs, one that does everything wrong.

Each start of a run appends lines of JSON to the file named by ``LIVE_TEST_RUNS``: "start", every "sent", "stop". Times
are those of the machine's monotonic clock, which all processes share.
"""

import asyncio
import json
import os
import time
import uuid

import live
from live.frames import Field, Frame, Kind

PAUSE = 0.05
RUNS = "LIVE_TEST_RUNS"


class Book:
    """Where one start of a run writes what it does."""

    def __init__(self, request):
        self.run = uuid.uuid4().hex
        self.request = request
        self.file = os.open(os.environ[RUNS], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, what, **more):
        """Adds a line; one write, so that lines of several processes do not mix."""
        words = {"what": what, "run": self.run, "pid": os.getpid(), "channel": str(self.request.channel), **more}
        os.write(self.file, json.dumps({**words, "at": time.monotonic()}).encode() + b"\n")

    def __enter__(self):
        self.write("start", settings=dict(self.request.settings))
        return self

    def __exit__(self, *exc_info):
        self.write("stop")
        os.close(self.file)


class CountingPlugin(live.StreamPlugin):
    """Sends ``{"run": id, "pid": process, "n": number}`` every 50 ms, whatever the path."""

    async def subscribe_stream(self, request):
        return live.StreamAnswer()

    async def run_stream(self, request, sender):
        with Book(request) as book:
            n = 0
            while True:
                try:
                    began = time.monotonic()
                    await sender.send({"run": book.run, "pid": os.getpid(), "n": n})
                    book.write("sent", n=n, began=began)
                except live.EngineUnavailable:
                    # It goes on when the store does, unless it is told to end. What was not answered may have been
                    # taken all the same, so no number is sent twice.
                    pass
                n += 1
                await asyncio.sleep(PAUSE)


class FaultsPlugin(CountingPlugin):
    """Does what the path says, all of it wrong."""

    async def subscribe_stream(self, request):
        known = hasattr(self, request.path.replace("-", "_"))
        return live.StreamAnswer() if known else live.StreamAnswer(live.StreamStatus.NOT_FOUND)

    def run_stream(self, request, sender):
        return getattr(self, request.path.replace("-", "_"))(request, sender)

    async def raises(self, request, sender):
        with Book(request):
            raise ValueError("it always does")

    async def returns(self, request, sender):
        with Book(request):
            pass

    def never_yields(self, request, sender):
        with Book(request):
            while True:
                time.sleep(0.05)
        yield

    async def floods(self, request, sender):
        with Book(request):
            n = 0
            while True:
                # As fast as it goes; much more than may go out.
                await sender.send({"n": n})
                n += 1

    async def sends_nan(self, request, sender):
        with Book(request):
            while True:
                await sender.send(Frame([Field("Value", Kind.FLOAT, [float("nan"), float("-inf"), 1.0])]))
                await asyncio.sleep(PAUSE)

    async def sends_too_much(self, request, sender):
        with Book(request):
            while True:
                try:
                    await sender.send({"text": "x" * 600_000})
                except live.PublicationTooLarge:
                    await sender.send("too large")
                await asyncio.sleep(PAUSE)

    async def blocks(self, request, sender):
        with Book(request):
            time.sleep(2)  # noqa: ASYNC251
            while True:
                await sender.send("again")
                await asyncio.sleep(PAUSE)

    async def ignores(self, request, sender):
        with Book(request):
            while True:
                try:
                    await sender.send("still here")
                    await asyncio.sleep(PAUSE)
                except asyncio.CancelledError:
                    pass
