"""Clients that count: the official Python client, with recovery, checking every number and every offset.

``python -m tests.cluster.counting <prefix> <channels> <clients> <subscriptions> <url>...``: client i connects to the
url i mod their number and subscribes to so many of the channels ``test/<prefix>/<k>``, beginning at i. Says
"subscribed" when all are. Told "counts" (``{source: how many}``), it waits until everybody has everything, at most
"seconds", and says its "report".

A process of its own: what 50 clients need for 5,000 publications a second must not stand in the way of the test.
"""

import asyncio
import contextlib
import sys
import time
from collections import Counter

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from tests.cluster.lines import hear, say

MAX_ERRORS = 30


class CountingSubscription(SubscriptionEventHandler):
    """One subscription: the next offset it must get, the last number of each source."""

    def __init__(self, client, number):
        self.client = client
        self.number = number
        self.offset = None
        self.numbers = {}
        self.gaps = 0
        self.after_gap = False
        self.received = 0
        self.subscribed = 0
        self.ready = asyncio.Event()

    def wrong(self, text):
        self.client.crowd.wrong(f"client {self.client.index} channel {self.number}: {text}")

    async def on_subscribed(self, context):
        self.subscribed += 1
        position = context.stream_position
        if position is None:
            self.wrong("no position")
            return
        if context.was_recovering and not context.recovered:
            self.gaps += 1
            self.after_gap = True
            self.client.crowd.notes["recovery failed"] += 1
            self.offset = position.offset
        elif context.was_recovering:
            self.client.crowd.notes["recovered"] += 1
            if position.offset != self.offset:
                self.wrong(f"recovers from {position.offset} after {self.offset}")
        else:
            if self.subscribed > 1:
                self.wrong("subscribed again without recovery")
            self.offset = position.offset
        self.ready.set()

    async def on_publication(self, context):
        self.received += 1
        self.client.heard()
        self.client.crowd.progress.set()
        publication = context.pub
        if publication.offset != self.offset + 1:
            self.wrong(f"offset {publication.offset} after {self.offset}")
        self.offset = publication.offset
        if "n" not in publication.data:
            return
        source, n = publication.data["source"], publication.data["n"]
        step = self.client.crowd.channels
        before = self.numbers.get(source, self.number - step)
        if n != before + step and not (self.after_gap and n > before):
            self.wrong(f"{source} {n} after {before}")
        self.after_gap = False
        self.numbers[source] = n

    async def on_subscribing(self, context):
        self.client.crowd.notes[f"subscribing {context.code} {context.reason}"] += 1

    async def on_unsubscribed(self, context):
        if not self.client.crowd.over:
            self.wrong(f"unsubscribed: {context.code} {context.reason}")

    async def on_error(self, context):
        self.client.crowd.notes[f"subscription error {context.code} {context.error}"] += 1

    def has(self, counts):
        """Whether it got the last number of every source, given how many each published."""
        step = self.client.crowd.channels
        return all(
            self.numbers.get(source, -1) >= last - (last - self.number) % step
            for source, last in ((source, count - 1) for source, count in counts.items())
            if last >= self.number
        )


class CountingClient(ClientEventHandler):
    """One connection."""

    def __init__(self, crowd, index, url, numbers):
        self.crowd = crowd
        self.index = index
        self.last_heard = None
        self.longest_pause = 0.0
        self.client = Client(url, events=self, min_reconnect_delay=0.1, max_reconnect_delay=1.0)
        self.subscriptions = [CountingSubscription(self, number) for number in numbers]
        self.handles = [
            self.client.new_subscription(
                f"test/{crowd.prefix}/{each.number}", events=each, recoverable=True, max_resubscribe_delay=1.0
            )
            for each in self.subscriptions
        ]

    async def start(self):
        for handle in self.handles:
            await handle.subscribe()
        await self.client.connect()

    def heard(self):
        now = time.monotonic()
        if self.last_heard is not None:
            self.longest_pause = max(self.longest_pause, now - self.last_heard)
        self.last_heard = now

    async def on_connecting(self, context):
        self.crowd.notes[f"connecting {context.code} {context.reason}"] += 1

    async def on_disconnected(self, context):
        if not self.crowd.over:
            self.crowd.wrong(f"client {self.index}: disconnected: {context.code} {context.reason}")

    async def on_error(self, context):
        self.crowd.notes[f"error {context.code} {type(context.error).__name__}"] += 1


class Crowd:
    """All of them."""

    def __init__(self, prefix, channels, clients, subscriptions, urls):
        self.prefix = prefix
        self.channels = channels
        self.errors = []
        self.more_errors = 0
        self.notes = Counter()
        self.over = False
        self.progress = asyncio.Event()
        self.clients = [
            CountingClient(self, index, urls[index % len(urls)], self._numbers(index, subscriptions))
            for index in range(clients)
        ]

    def _numbers(self, index, subscriptions):
        return [(index + step * (self.channels // subscriptions)) % self.channels for step in range(subscriptions)]

    def wrong(self, text):
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(text)
        else:
            self.more_errors += 1

    @property
    def subscriptions(self):
        return [each for client in self.clients for each in client.subscriptions]

    async def run(self):
        loop = asyncio.get_running_loop()
        for client in self.clients:
            await client.start()
        for each in self.subscriptions:
            await each.ready.wait()
        say(subscribed=len(self.subscriptions))
        words = await loop.run_in_executor(None, hear)
        await self._wait(words["counts"], words["seconds"])
        self.over = True
        say(report=self.report(words["counts"]))

    async def _wait(self, counts, seconds):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not all(each.has(counts) for each in self.subscriptions):
                    self.progress.clear()
                    await self.progress.wait()

    def report(self, counts):
        for each in self.subscriptions:
            if not each.has(counts):
                each.wrong(f"ends at {each.numbers} of {counts}")
        pauses = sorted(client.longest_pause for client in self.clients)
        return {
            "errors": self.errors,
            "more_errors": self.more_errors,
            "notes": dict(self.notes),
            "gaps": [each.gaps for each in self.subscriptions],
            "received": sum(each.received for each in self.subscriptions),
            "longest_pause": pauses[-1],
            "median_pause": pauses[len(pauses) // 2],
        }


if __name__ == "__main__":
    prefix, *numbers = sys.argv[1:5]
    asyncio.run(Crowd(prefix, *map(int, numbers), sys.argv[5:]).run())
