"""Streams of plugins over two nodes and one Redis: one run for each watched channel, whatever happens around it.

The plugins write down when they run (tests/cluster/streams.py), and every publication names its run: two runs that are
heard at once would be seen by any subscriber. ``LIVE_TEST_PAUSE`` and ``LIVE_TEST_CROWD`` are the seconds for which a
node is paused and for which a crowd comes and goes: 30 and 60 by hand, shorter here.
"""

import asyncio
import collections
import contextlib
import itertools
import json
import os
import random
import re
import signal
import threading
import time

import psutil
import pytest
import websockets

from tests.cluster.conftest import running
from tests.cluster.nodes import Nodes
from tests.cluster.process import wait_until
from tests.cluster.sentinel import Redis
from tests.cluster.streams import RUNS
from tests.peers import eventually
from tests.visitors import Visitor

pytestmark = [pytest.mark.timeout(150)]

PAUSE_SECONDS = float(os.environ.get("LIVE_TEST_PAUSE", "10"))
CROWD_SECONDS = float(os.environ.get("LIVE_TEST_CROWD", "12"))
CROWD = 200
TAKEOVER_SECONDS = 15
"""How long a watcher may be without a run: 8 s for a lease and a round, and what a busy machine takes."""
HANDOVER_SECONDS = 3
"""The same where a node hands over: less than what is left of a lease without that, 4 s at least."""
UNWATCHED_SECONDS = 40
"""Within this a run that nobody watches has stopped: 5 s after another node asked for it, three looks of 5 s."""
TOKEN = "metrics"
PLUGINS = {"counting": "tests.cluster.streams.CountingPlugin", "faults": "tests.cluster.streams.FaultsPlugin"}


class Runs:
    """What the plugins of all nodes wrote down."""

    def __init__(self, path):
        self.path = path

    def lines(self, channel):
        """Everything about a channel."""
        text = self.path.read_text() if self.path.exists() else ""
        return [line for line in map(json.loads, text.splitlines()) if line["channel"] == channel]

    def spans(self, channel):
        """Each start of a run: (start, stop or its last sign of life), in the order of starts."""
        spans = {}
        for line in self.lines(channel):
            first, _ = spans.get(line["run"], (line["at"], None))
            spans[line["run"]] = (first, line["at"])
        return sorted(spans.values())

    def starts(self, channel):
        return [line for line in self.lines(channel) if line["what"] == "start"]

    def going_on(self, channel):
        """The runs that have not stopped, nor died with their process."""
        stopped = {line["run"] for line in self.lines(channel) if line["what"] == "stop"}
        return [line for line in self.starts(channel) if line["run"] not in stopped and psutil.pid_exists(line["pid"])]

    def assert_one_at_a_time(self, channel):
        """No run began before the one before it had ended."""
        spans = self.spans(channel)
        for (_, end), (start, _) in itertools.pairwise(spans):
            assert end <= start, spans

    def assert_one_is_heard(self, channel):
        """No run published anything after another had published: those of a paused process may still be there."""
        sent = collections.defaultdict(list)
        for line in self.lines(channel):
            if line["what"] == "sent":
                sent[line["run"]].append(line["began"])
        spans = sorted((times[0], times[-1]) for times in sent.values())
        for (_, last), (first, _) in itertools.pairwise(spans):
            assert last <= first, spans


class PluginCluster:
    """Two nodes on one Redis, with the plugins of these tests."""

    def __init__(self, folder):
        self.redis = Redis(folder / "redis")
        self.runs = Runs(folder / "runs.jsonl")
        env = {"LIVE_REDIS_URL": self.redis.url, RUNS: str(self.runs.path)}
        self.nodes = Nodes(folder, env, MAX_CONNECTIONS=1000, DRAIN_SECONDS=1.0, PLUGINS=PLUGINS, METRICS_TOKEN=TOKEN)
        self.channels = 0

    def start(self):
        self.redis.start()
        self.nodes.start()

    def stop(self):
        self.nodes.stop()
        self.redis.stop()

    def channel(self):
        """A channel nobody used yet."""
        self.channels += 1
        return f"plugin/counting/{self.channels}"

    def node_of(self, pid):
        """The node with that process, and the other one."""
        one, two = self.nodes
        return (one, two) if one.process.pid == pid else (two, one)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = PluginCluster(tmp_path_factory.mktemp("plugins"))
    with running(made):
        yield made


class Watcher:
    """One subscriber: keeps what it gets with the time, and subscribes again when it is told to."""

    def __init__(self, peer, channel):
        self.peer = peer
        self.channel = channel
        self.heard = []
        """(time, data) of each publication, also of the last value that it began with."""
        self.ended = []
        self.task = None

    async def start(self):
        while "subscribe" not in (reply := await self.peer.subscribe(self.channel)):
            # Clients try again: a node that a plugin holds up may miss the answer of its store.
            assert reply["error"].get("temporary"), reply
        self.began = time.monotonic()
        self.task = asyncio.create_task(self._watch())
        return self

    async def stop(self):
        """Reads no more."""
        while not self.task.done():
            # More than once: `asyncio.wait_for` loses a cancellation that comes together with a message.
            self.task.cancel()
            await asyncio.wait([self.task], timeout=0.1)

    async def _watch(self):
        # The end of a node is what some of these tests are about.
        with contextlib.suppress(websockets.ConnectionClosed):
            await self._read()

    async def _read(self):
        while True:
            try:
                message = await self.peer.receive()
            except TimeoutError:
                # Its node may be asleep for longer.
                continue
            push = message.get("push", {})
            if "pub" in push:
                self.heard.append((time.monotonic(), push["pub"]["data"]))
            elif "unsubscribe" in push:
                self.ended.append((push["unsubscribe"]["code"], push["unsubscribe"]["reason"]))
                if push["unsubscribe"]["code"] >= 2500:
                    await self.peer.send({"subscribe": {"channel": self.channel}})
            elif "error" in message:
                # The engine is away; official clients wait as well.
                await asyncio.sleep(0.2)
                await self.peer.send({"subscribe": {"channel": self.channel}})

    async def hear(self, count=1, seconds=TAKEOVER_SECONDS):
        """Waits for so many more publications; the last one's data."""
        wanted = len(self.heard) + count
        async with asyncio.timeout(seconds):
            await eventually(lambda: len(self.heard) >= wanted)
        return self.heard[-1][1]

    async def hear_another_run(self, run, seconds):
        """Waits for a publication of another run; how long there was none of any."""
        async with asyncio.timeout(seconds):
            await eventually(lambda: self.heard[-1][1]["run"] != run)
        times = [at for at, data in self.heard if data["run"] == run]
        return next(at for at, data in self.heard if data["run"] != run) - times[-1]

    def assert_one_after_the_other(self):
        """Runs follow each other, and each one's numbers grow: nothing is doubled."""
        heard = [(data["run"], data["n"]) for _, data in self.heard]
        order = list(dict.fromkeys(run for run, _ in heard))
        assert [run for run, _ in heard] == sorted((run for run, _ in heard), key=order.index), "two runs at once"
        for run in order:
            numbers = [n for each, n in heard if each == run]
            assert numbers == sorted(set(numbers)), f"{run} was doubled"

    def longest_silence(self, until):
        """Seconds between two publications, or at the beginning, or up to then."""
        times = [self.began, *(at for at, _ in self.heard), until]
        return max(after - before for before, after in itertools.pairwise(times))


@contextlib.asynccontextmanager
async def watching(channel, *nodes, cookie=""):
    """A subscriber on each node, in the order of the nodes."""
    async with contextlib.AsyncExitStack() as stack:
        watchers = []
        for node in nodes:
            peer = await stack.enter_async_context(node.connect(cookie=cookie, ping_interval=None))
            watchers.append(await Watcher(peer, channel).start())
        try:
            yield watchers
        finally:
            await asyncio.gather(*[watcher.stop() for watcher in watchers])


async def in_thread(function, *args):
    return await asyncio.to_thread(function, *args)


# One run


async def test_two_nodes_have_one_run_which_all_subscribers_hear(cluster):
    channel = cluster.channel()
    async with watching(channel, *cluster.nodes, *cluster.nodes) as watchers:
        for watcher in watchers:
            await watcher.hear(20)
        assert len(cluster.runs.starts(channel)) == 1
        assert len({data["run"] for watcher in watchers for _, data in watcher.heard}) == 1


async def test_the_first_subscriber_waits_for_no_round(cluster):
    waits = []
    # The best of three: a busy machine is not late with all of them.
    while len(waits) < 3 and min(waits, default=1) >= 1:
        async with watching(cluster.channel(), cluster.nodes[0]) as (watcher,):
            await watcher.hear()
            waits.append(watcher.heard[0][0] - watcher.began)
    assert min(waits) < 1


async def test_the_first_subscriber_s_data_reaches_the_run_and_others_are_told(cluster):
    one, two = cluster.nodes
    channel = cluster.channel()
    async with one.connect() as first, two.connect() as second:
        assert "subscribe" in await first.subscribe(channel, data={"unit": "C"})
        reply = await second.subscribe(channel, data={"unit": "F"})
        assert reply["error"]["code"] == 107
        assert "data of its first subscriber" in reply["error"]["message"]
        assert "subscribe" in await second.subscribe(channel, data={"unit": "C"})
        assert (await second.publication())["data"]["n"] >= 0


# Nodes that die, sleep and leave


async def test_a_node_that_is_killed_is_replaced(cluster):
    channel = cluster.channel()
    async with watching(channel, *cluster.nodes) as watchers:
        data = await watchers[0].hear()
        holder, other = cluster.node_of(data["pid"])
        watcher = watchers[list(cluster.nodes).index(other)]
        await watcher.hear()
        holder.stop(signal.SIGKILL)
        silence = await watcher.hear_another_run(data["run"], TAKEOVER_SECONDS + 5)
        print(f"taken over after {silence:.2f} s")
        assert silence < TAKEOVER_SECONDS
        await watcher.hear(20)
        watcher.assert_one_after_the_other()
        assert len(cluster.runs.starts(channel)) == 2
    await in_thread(holder.start)


async def test_a_node_that_leaves_hands_over_without_a_pause(cluster):
    channel = cluster.channel()
    async with watching(channel, *cluster.nodes) as watchers:
        data = await watchers[0].hear()
        holder, other = cluster.node_of(data["pid"])
        watcher = watchers[list(cluster.nodes).index(other)]
        await watcher.hear()
        await in_thread(holder.stop)
        silence = await watcher.hear_another_run(data["run"], TAKEOVER_SECONDS)
        print(f"handed over after {silence:.2f} s")
        assert silence < HANDOVER_SECONDS
        await watcher.hear(20)
        watcher.assert_one_after_the_other()
    await in_thread(holder.start)
    cluster.runs.assert_one_at_a_time(channel)


async def test_a_node_that_is_paused_is_replaced_and_not_heard_when_it_wakes(cluster):
    channel = cluster.channel()
    async with watching(channel, *cluster.nodes) as watchers:
        data = await watchers[0].hear()
        holder, _ = cluster.node_of(data["pid"])
        near, far = watchers if holder is cluster.nodes[0] else reversed(watchers)
        await asyncio.gather(near.hear(), far.hear())
        holder.process.send_signal(signal.SIGSTOP)
        paused = time.monotonic()
        try:
            silence = await far.hear_another_run(data["run"], TAKEOVER_SECONDS + 5)
            await asyncio.sleep(max(0, paused + PAUSE_SECONDS - time.monotonic()))
        finally:
            holder.process.send_signal(signal.SIGCONT)
        print(f"taken over after {silence:.2f} s of {PAUSE_SECONDS:g} s")
        assert silence < TAKEOVER_SECONDS
        # The one that was asleep sees that it is not the one any more.
        async with asyncio.timeout(30):
            await eventually(lambda: len(cluster.runs.going_on(channel)) == 1)
        await asyncio.gather(near.hear(60, 30), far.hear(60, 30))
        for watcher in (near, far):
            watcher.assert_one_after_the_other()
        assert near.heard[-1][1]["run"] == far.heard[-1][1]["run"] != data["run"]
        assert len(cluster.runs.starts(channel)) == 2
    cluster.runs.assert_one_is_heard(channel)
    assert "could not be kept" in holder.log


@pytest.mark.parametrize("empty", [False, True], ids=["with its data", "empty"])
async def test_redis_is_restarted(cluster, empty):
    channel = cluster.channel()
    async with watching(channel, *cluster.nodes) as watchers:
        await asyncio.gather(*[watcher.hear(5) for watcher in watchers])
        await in_thread(cluster.redis.stop)
        if empty:
            for path in (cluster.redis.folder / "appendonlydir").iterdir():
                path.unlink()
        threading.Event().wait(2)
        await in_thread(cluster.redis.start)
        back = time.monotonic()
        await asyncio.gather(*[watcher.hear(40, 3 * TAKEOVER_SECONDS) for watcher in watchers])
        for watcher in watchers:
            watcher.assert_one_after_the_other()
            assert next(at for at, _ in watcher.heard if at > back) - back < TAKEOVER_SECONDS
        # Who was cut off for a moment, and who got the lease: one of them goes on.
        async with asyncio.timeout(TAKEOVER_SECONDS):
            await eventually(lambda: len(cluster.runs.going_on(channel)) == 1)
    cluster.runs.assert_one_is_heard(channel)


# A crowd


async def test_a_crowd_comes_and_goes(cluster):
    """Never two runs, never a watcher without one for long."""
    channel = cluster.channel()
    chance = random.Random(1)
    until = time.monotonic() + CROWD_SECONDS
    silences, visits = [], 0

    async def visitor(number):
        nonlocal visits
        node = cluster.nodes[number % 2]
        async with node.connect(ping_interval=None) as peer:
            while time.monotonic() < until:
                watcher = await Watcher(peer, channel).start()
                await asyncio.sleep(chance.random() * chance.choice([0.2, 2, 6]))
                await watcher.stop()
                peer.waiting.clear()
                await peer.ask({"unsubscribe": {"channel": channel}})
                silences.append(watcher.longest_silence(time.monotonic()))
                watcher.assert_one_after_the_other()
                visits += 1
                # Sometimes nobody is there for a while.
                await asyncio.sleep(chance.random() * chance.choice([0.1, 1, 3]))

    await asyncio.gather(*[visitor(number) for number in range(CROWD)])
    print(f"{visits} visits, longest silence {max(silences):.2f} s, {len(cluster.runs.starts(channel))} runs")
    assert visits > CROWD
    assert max(silences) < TAKEOVER_SECONDS
    cluster.runs.assert_one_at_a_time(channel)
    # One may be about to be handed over.
    async with asyncio.timeout(TAKEOVER_SECONDS):
        await eventually(lambda: len(cluster.runs.going_on(channel)) == 1)


async def test_where_everybody_goes_and_comes_back_there_is_always_one_run(cluster):
    """Subscribers come back just when the run is about to stop, now here, now there."""
    channel = cluster.channel()
    for number in range(12):
        async with watching(channel, cluster.nodes[number % 2]) as (watcher,):
            await watcher.hear(3, TAKEOVER_SECONDS)
            watcher.assert_one_after_the_other()
        # Once for nearly all of the three looks; the lease may be given back just then.
        await asyncio.sleep(14.9 if number == 5 else 0)
    cluster.runs.assert_one_at_a_time(channel)


# Plugins that do everything wrong


async def test_plugins_that_fail_return_and_flood_disturb_nobody(cluster):
    one, two = cluster.nodes
    sound = cluster.channel()
    wrong = ["raises", "returns", "never-yields", "floods", "sends-nan", "sends-too-much", "ignores"]
    async with contextlib.AsyncExitStack() as stack:
        (watcher,) = await stack.enter_async_context(watching(sound, two))
        await watcher.hear()
        peers = {}
        for path in wrong:
            (peers[path],) = await stack.enter_async_context(watching(f"plugin/faults/{path}", one))
        peer = await stack.enter_async_context(one.connect())
        for channel in ("plugin/nonsense/x", "plugin/faults/nonsense", "ds/nonsense/x"):
            assert (await peer.subscribe(channel))["error"]["code"] == 404

        floods = peers["floods"]
        (start,) = cluster.runs.starts("plugin/faults/floods")
        await floods.hear(1500, 40)
        # 1,000 a second are allowed, and a few at once in the beginning, whatever the machine can do.
        assert len(floods.heard) < 150 + 1000 * (time.monotonic() - start["at"])

        await asyncio.gather(*[peers[path].hear(3) for path in ("sends-nan", "sends-too-much", "ignores")])
        assert peers["sends-nan"].heard[-1][1]["data"] == {
            "values": [[None, None, 1]],
            "entities": [{"NaN": [0], "NegInf": [1]}],
        }
        assert peers["sends-too-much"].heard[-1][1] == "too large"
        async with asyncio.timeout(TAKEOVER_SECONDS):
            await eventually(lambda: len(cluster.runs.starts("plugin/faults/raises")) > 2)
        starts = {path: len(cluster.runs.starts(f"plugin/faults/{path}")) for path in wrong if path != "raises"}
        assert set(starts.values()) == {1}, starts
        await watcher.hear(20)
        watcher.assert_one_after_the_other()
        assert watcher.longest_silence(time.monotonic()) < 4
    # The runs end, or are left behind.
    wait_until(lambda: one.log.count("ignores its cancellation") == 2, lambda: one.log[-3000:], UNWATCHED_SECONDS + 10)

    def going_on():
        return {path for path in wrong if cluster.runs.going_on(f"plugin/faults/{path}")}

    # Each is looked at in its own time.
    wait_until(lambda: going_on() <= {"never-yields", "ignores"}, lambda: str(going_on()), UNWATCHED_SECONDS)
    assert going_on() == {"never-yields", "ignores"}
    log = one.log
    assert log.count("ValueError: it always does") == 1
    assert "plugin faults on plugin/faults/raises failed and starts again" in log
    cluster.runs.assert_one_at_a_time(sound)


async def test_a_plugin_that_blocks_its_node_is_named_and_the_other_node_goes_on(cluster):
    one, two = cluster.nodes
    sound, beside = cluster.channel(), cluster.channel()
    async with watching(sound, two) as (watcher,), watching(beside, one) as (neighbour,):
        await watcher.hear()
        await neighbour.hear()
        async with watching("plugin/faults/blocks", one) as (blocked,):
            await blocked.hear(2)
            await watcher.hear(20)
        watcher.assert_one_after_the_other()
        assert watcher.longest_silence(time.monotonic()) < 4
        # What else runs on its node stands still meanwhile, keeps its lease and goes on.
        await neighbour.hear(20)
        neighbour.assert_one_after_the_other()
    assert len(cluster.runs.starts(beside)) == 1
    assert "plugin faults has kept the event loop for" in one.log
    assert "time.sleep(2)" in one.log
    cluster.runs.assert_one_at_a_time(sound)


# Data sources

MAKE = """
from django.contrib.auth import get_user_model
from project.sources.models import DataSource
get_user_model().objects.filter(username="demo").update(is_superuser=True)
DataSource.objects.create(uid="watched", name="Watched", plugin="counting", settings={"port": 1})
"""
CHANGE = """
from project.sources.models import DataSource
source = DataSource.objects.get(uid="watched")
source.settings = {"port": 2}
source.save()
"""
DELETE = """
from project.sources.models import DataSource
DataSource.objects.get(uid="watched").delete()
"""


async def test_a_data_source_is_changed_and_deleted_while_it_is_watched(cluster):
    channel = "ds/watched/x"
    one, two = cluster.nodes
    await in_thread(one.manage, "shell", "-c", MAKE)
    visitor = Visitor(one.url)
    await in_thread(log_in, visitor)
    cookie = f"sessionid={visitor.cookie('sessionid')}"
    async with watching(channel, one, two, cookie=cookie) as watchers:
        await asyncio.gather(*[watcher.hear(3) for watcher in watchers])
        await in_thread(one.manage, "shell", "-c", CHANGE)
        async with asyncio.timeout(TAKEOVER_SECONDS):
            await eventually(lambda: len(cluster.runs.starts(channel)) == 2)
        await asyncio.gather(*[watcher.hear(5) for watcher in watchers])
        assert [line["settings"] for line in cluster.runs.starts(channel)] == [{"port": 1}, {"port": 2}]
        await in_thread(one.manage, "shell", "-c", DELETE)
        async with asyncio.timeout(TAKEOVER_SECONDS):
            await eventually(lambda: all(watcher.ended for watcher in watchers))
            await eventually(lambda: not cluster.runs.going_on(channel))
        for watcher in watchers:
            assert watcher.ended == [(2000, "data source deleted")]
            watcher.assert_one_after_the_other()
    cluster.runs.assert_one_at_a_time(channel)
    async with one.connect(cookie=cookie) as peer:
        assert (await peer.subscribe(channel))["error"]["code"] == 404


async def test_in_the_end_nothing_runs(cluster):
    """What nobody watches stops after three looks; the tests before this one have waited already."""
    channel = cluster.channel()
    async with watching(channel, *cluster.nodes) as watchers:
        await watchers[0].hear(3)
    left = time.monotonic()
    names = [f"plugin/counting/{number}" for number in range(1, cluster.channels + 1)]
    async with asyncio.timeout(UNWATCHED_SECONDS):
        await eventually(lambda: not any(map(cluster.runs.going_on, names)))
    assert time.monotonic() - left > 9
    assert len(cluster.runs.starts(channel)) == 1
    cluster.runs.assert_one_at_a_time(channel)
    for node in cluster.nodes:
        # The plugin's own last line comes first.
        while not re.search(r"^live_plugin_runs 0", found := await in_thread(metrics, node), re.M):
            assert "live_plugin_runs" in found


def metrics(node):
    _, body = node.request("GET", "/metrics", Authorization=f"Bearer {TOKEN}")
    return body.decode()


def log_in(visitor):
    visitor.request("GET", "/accounts/login/")
    form = f"username=demo&password=demo&csrfmiddlewaretoken={visitor.cookie('csrftoken')}"
    status, _ = visitor.send("POST", "/accounts/login/", form.encode(), {})
    assert status == 200
    assert visitor.cookie("sessionid")
