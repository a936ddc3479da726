"""Two thousand clients that come and leave at random under publications leave nothing behind, and no memory taken.

For ``LIVE_SOAK_SECONDS`` (12), in waves: everybody comes, all come and go, everybody leaves. The first wave is the
warm-up; each of the others is compared with it. `make soak` runs this for two minutes. What is random comes from
``LIVE_TEST_SEED``.
"""

import asyncio
import os
import random
import resource
import time

import pytest

from tests.integration.crowd import Crowd
from tests.integration.crowd.visitors import ALL, HALLS, KEPT, ROOMS, WAYS
from tests.integration.held import (
    HANDLERS,
    TOKEN,
    Bystander,
    alone,
    cpu_seconds,
    leftovers_of,
    memory,
    open_files,
    scrape,
    stats_of,
)
from tests.peers import eventually
from tests.site import Site

SECONDS = float(os.environ.get("LIVE_SOAK_SECONDS", "12"))
CLIENTS = 2000
WAVES = max(2, round(SECONDS / 15))
STAY = 8.0
"""Most seconds of one client."""
PAUSE = 0.1
"""Seconds between two publications to everybody."""
SERVER_FILES = CLIENTS + 500

GROWN_MEMORY = 16 * 2**20
"""How much more may stay in RAM than after the warm-up: its waves may be busier, and memory is in pieces then."""
GROWN_BLOCKS = 3_000
"""How many more blocks Python may have allocated: one for each client that came after the warm-up would be too many."""
WRONG = ("gaps", "refused", "failed", "unanswered", "goodbyes_unanswered")
"""What the clients count and what must not happen: answers that were missing or no, publications out of order."""

# Under the coverage of `make test` and beside other work everything takes longer.
pytestmark = pytest.mark.timeout(120 + 4 * SECONDS)


@pytest.fixture
def site(tmp_path):
    site = Site(
        tmp_path,
        HANDLERS=HANDLERS,
        METRICS_TOKEN=TOKEN,
        MAX_CONNECTIONS=-1,
        CONNECT_TIMEOUT=5,
        PING_INTERVAL=4,
        PONG_TIMEOUT=3.9,
    )
    # As in production: otherwise Django keeps the last 9,000 queries of each connection to the database.
    site.env["DEBUG"] = "0"
    site.prepare()
    site.start()
    try:
        _, hard = resource.prlimit(site.process.pid, resource.RLIMIT_NOFILE)
        assert hard < 0 or hard >= SERVER_FILES, f"the hard limit of open files is {hard}; {SERVER_FILES} are needed"
        resource.prlimit(site.process.pid, resource.RLIMIT_NOFILE, (SERVER_FILES, hard))
        yield site
    finally:
        site.stop()
    assert "Traceback" not in site.log, site.log


async def wave(site, cookie, seed):
    """One wave under publications to everybody; what the clients say of it, and the number of these publications."""
    options = {"clients": CLIENTS, "seconds": SECONDS / WAVES, "stay": STAY, "seed": seed, "cookie": cookie}
    async with Crowd.of("visitors", port=site.port, **options) as crowd, Bystander.on(site, ALL) as bystander:
        before, slowest, cpu = bystander.said, 0.0, cpu_seconds(site)
        reporting = asyncio.create_task(crowd.hear())
        try:
            while not reporting.done():
                asked = time.monotonic()
                await bystander.hears_one()
                slowest = max(slowest, time.monotonic() - asked)
                await asyncio.wait([reporting], timeout=PAUSE)
        finally:
            reporting.cancel()
        said, cpu = bystander.said - before, cpu_seconds(site) - cpu
        return {**await reporting, "said_to_all": said, "slowest": round(slowest, 2), "server_cpu": round(cpu, 1)}


async def nothing_held(site):
    """Waits until the server holds nothing for anybody, in every place where it could; its objects and its memory."""
    await alone(site, 30)
    gauges = ("live_clients", "live_subscriptions", "live_channels", "live_queue_bytes")
    await eventually(lambda: not any(scrape(site)[name] for name in gauges))
    for channel in (ALL, ROOMS[0], HALLS[0], KEPT[0]):
        status, body = await asyncio.to_thread(site.request, "GET", f"/api/live/info/{channel}")
        assert (status, b'"subscribers":0' in body) == (200, True), body
    left = await leftovers_of(site, [*ROOMS, *HALLS])
    assert left["present"] == 0
    assert left["Client"] == left["FastOutbox"] == left["Subscription"] == 1, left
    return {**left, "files": open_files(site), "memory": memory(site)}


async def test_two_thousand_that_come_and_go_leave_nothing_behind(site, login):
    seed = int(os.environ.get("LIVE_TEST_SEED", "20261122"))
    print(f"LIVE_TEST_SEED={seed}")
    dice = random.Random(seed)
    cookie = login(site)
    left = [await nothing_held(site)]
    for number in range(WAVES):
        told = await wave(site, cookie, dice.random())
        left.append(await nothing_held(site))
        print(f"wave {number + 1}: {told}\n  left: {left[-1]}, {left[-1]['memory'] >> 10} KiB")
        # A busy machine may be too late with a few pongs while everybody comes.
        assert told["most_at_once"] > CLIENTS * 0.9
        assert told["connections"] > CLIENTS * 1.2
        assert min(told["left"].get(way, 0) for way in WAYS) > 0
        assert told["deliveries"] > told["said_to_all"] > 0
        assert not any(told.get(name, 0) for name in WRONG), told
        # Who is mute is found; a busy machine may be too late to see that the server said so. Nobody else is sent away.
        assert all(how == "3012" or how.startswith("mute: ") for how in told["ended_by_server"]), told
    disconnects = (await stats_of(site))["disconnects"]
    print(f"disconnected: {disconnects}")
    assert set(disconnects) <= {"3009", "3012", "4002"}
    warm, last = left[1], left[-1]
    assert last["memory"] - warm["memory"] < GROWN_MEMORY, [each["memory"] >> 10 for each in left]
    assert last["blocks"] - warm["blocks"] < GROWN_BLOCKS, [each["blocks"] for each in left]
    assert last["files"] - warm["files"] < 10, [each["files"] for each in left]
