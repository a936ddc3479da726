"""What a node holds, and whether it holds anything when everybody left; and somebody whom nothing may disturb."""

import asyncio
import contextlib
import ctypes
import gc
import sys
from collections import Counter
from dataclasses import asdict

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families as read_text

import live
from live.node import current_node
from tests.integration.handlers import ROOMS

TOKEN = "scrape-me"

ALONE = {"clients": 1, "channels": 1, "joined": 1, "tasks": 0, "members": 0, "subscriptions": 1, "pings": 1}
"""What a node holds when nobody is there but who asks."""

OF_CLIENTS = ("Client", "Subscriptions", "Subscription", "FastOutbox", "WebSocketProtocol", "WebRequest", "Task")
"""Types of which each client of a daphne has some."""


class Stats(live.ChannelHandler):
    """Tells what the node holds, and how many it disconnected for which code."""

    async def can_subscribe(self, user, channel, data):
        return True

    async def initial_data(self, user, channel, data):
        node = current_node()
        return {**asdict(node.stats()), "pings": len(node.pings), "disconnects": dict(node.counters.disconnects)}


class Leftovers(live.ChannelHandler):
    """Tells how many are present in the channels asked for, and what the process has allocated."""

    async def can_subscribe(self, user, channel, data):
        return True

    async def initial_data(self, user, channel, data):
        node = current_node()
        present = sum([(await node.presence_stats(live.Channel.parse(name))).clients for name in data])
        gc.collect()
        found = Counter(type(each).__name__ for each in gc.get_objects())
        counts = {name: found[name] for name in OF_CLIENTS}
        del found
        blocks = sys.getallocatedblocks()
        # Where the C library can give back what was freed: else memory tells of the busiest moment.
        if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
            trim(0)
        return {"present": present, "blocks": blocks, **counts}


HANDLERS = {**ROOMS, "stats": "tests.integration.held.Stats", "leftovers": "tests.integration.held.Leftovers"}


async def stats_of(site):
    """What the node holds, with the client that asks."""
    async with site.connect() as peer:
        return (await peer.subscribe("stats/of/node"))["subscribe"]["data"]


async def leftovers_of(site, channels, seconds=30):
    """Who is present in these channels, and the objects of the process, once daphne has no connection but this.

    It looks for those that are done with once a second.
    """
    async with site.connect() as peer, asyncio.timeout(seconds):
        while True:
            left = (await peer.subscribe("leftovers/of/process", data=channels))["subscribe"]["data"]
            if left["WebSocketProtocol"] == 1:
                return left
            await peer.ask({"unsubscribe": {"channel": "leftovers/of/process"}})
            await asyncio.sleep(0.1)


async def alone(site, seconds=30):
    """Waits until the node holds nothing but the client that asks."""
    found = {}
    try:
        async with asyncio.timeout(seconds):
            while {name: found.get(name) for name in ALONE} != ALONE:
                found = await stats_of(site)
    except TimeoutError:
        pytest.fail(f"still held: {found}")


def memory(site):
    """Bytes of the server's process in RAM."""
    return psutil.Process(site.process.pid).memory_info().rss


def cpu_seconds(site):
    """What the server's process used of the processors so far."""
    times = psutil.Process(site.process.pid).cpu_times()
    return times.user + times.system


def open_files(site):
    """Sockets and files of the server's process."""
    return psutil.Process(site.process.pid).num_fds()


def scrape(site):
    """The metrics of a site with `TOKEN`: values by name, with the value of the label after it, as ``name:value``."""
    status, body = site.request("GET", "/metrics", Authorization=f"Bearer {TOKEN}")
    assert status == 200, body
    samples = [sample for family in read_text(body.decode()) for sample in family.samples]
    return {":".join([sample.name, *sample.labels.values()]): sample.value for sample in samples}


class Bystander:
    """Somebody who is told everything that somebody else says, and says so when something is missing."""

    def __init__(self, speaker, listener, channel):
        self.speaker, self.listener, self.channel = speaker, listener, channel
        self.said = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def on(cls, site, channel="kept/quiet/x"):
        async with site.connect() as speaker, site.connect() as listener:
            result = (await listener.subscribe(channel))["subscribe"]
            bystander = cls(speaker, listener, channel)
            bystander.said = result.get("offset", 0)
            yield bystander

    async def hears_one(self, size=20):
        """One publication from one to the other."""
        self.said += 1
        data = [self.said, "x" * size]
        assert "publish" in await self.speaker.ask({"publish": {"channel": self.channel, "data": data}})
        publication = await self.listener.publication()
        assert (publication["offset"], publication["data"]) == (self.said, data)
