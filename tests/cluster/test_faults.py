"""Ten faults in the middle of 10,000 numbered publications: every client gets every number exactly once and in order.

50 official Python clients over two nodes, 100 subscriptions to 20 channels, about 1,000 publications a second from a
plain script; each client checks each number and each offset. Where Redis comes back empty they get exactly one
announced gap instead.
"""

import contextlib
import json
import signal
import threading
import time

import pytest

from tests.cluster.lines import Script

pytestmark = [pytest.mark.timeout(150)]

CHANNELS = 20
CLIENTS = 50
SUBSCRIPTIONS = 2  # of each client, so five subscribers a channel
RATE = 1000
COUNT = 10_000
MIDDLE = 3500
AFTER = 2000
"""Publications between the end of a fault and the end of the run, at least."""
REST_SECONDS = 20
"""How long the last ones may take to be everywhere."""


class Run:
    """One run: the clients, the publisher, and what came of it."""

    def __init__(self, cluster, fault, urls):
        self.cluster = cluster
        self.fault = fault
        self.prefix = f"fault-{fault.split()[0]}-{time.monotonic_ns()}"
        self.urls = urls
        self.counts = {}
        self.report = None
        self.published = None

    @contextlib.contextmanager
    def going(self, pauses, rate=RATE):
        """Starts everything, leaves the block in the middle, then lets it end and reads the clients' report."""
        with contextlib.ExitStack() as stack:
            env = self.cluster.nodes.env
            arguments = [self.prefix, CHANNELS, CLIENTS, SUBSCRIPTIONS, *self.urls]
            clients = self._script(stack, "counting", arguments, env)
            publisher = self._script(stack, "publisher", [self.prefix, CHANNELS, rate, "script"], env)
            publisher.expect("ready")
            clients.expect("subscribed")
            spread = [node.connections() for node in self.cluster.nodes]
            assert min(spread) > CLIENTS / 4, spread
            publisher.tell(go=True)
            publisher.expect("at", least=MIDDLE)
            yield
            # How far it is now is the newest thing it said.
            far = publisher.expect("at", least=MIDDLE + 1)
            while not publisher.said.empty():
                far = publisher.expect("at")
            publisher.tell(last=max(COUNT, far + AFTER))
            self.published = publisher.expect("done", seconds=60)
            self.counts["script"] = self.published["count"]
            clients.tell(counts=self.counts, seconds=REST_SECONDS)
            self.report = clients.expect("report", seconds=REST_SECONDS + 20)
        pauses[self.fault] = self.report["longest_pause"]
        print(f"{self.fault}: {self.published} {self.report}")

    def _script(self, stack, name, arguments, env):
        script = Script(f"tests.cluster.{name}", arguments, env, self.cluster.folder / f"{self.prefix}-{name}.log")
        stack.callback(script.stop)
        return script

    def assert_nothing_lost(self, gaps=0):
        """Everybody got everything, or what was announced; `gaps` of them in each subscription."""
        detail = (
            json.dumps({**self.report, "gaps": sorted(set(self.report["gaps"]))}, indent=1)
            + json.dumps(self.published)
            + self.cluster.nodes.logs[-5000:]
        )
        assert self.report["errors"] == [], detail
        assert set(self.report["gaps"]) == {gaps}, detail


@pytest.fixture
def make_run(pauses):
    """Runs a fault: ``with make_run(cluster, "1 ...") as run``; through nginx unless `urls` say otherwise."""

    @contextlib.contextmanager
    def make(cluster, fault, urls=None, **options):
        cluster.nginx.wait_for_all()
        run = Run(cluster, fault, urls or [cluster.nginx.ws_url])
        with run.going(pauses, **options):
            yield run

    return make


def direct(cluster):
    """The nodes' own addresses: half of the clients on each."""
    return [node.ws_url for node in cluster.nodes]


def test_1_the_subscriber_connections_are_killed(cluster, make_run):
    with make_run(cluster, "1 CLIENT KILL TYPE pubsub", direct(cluster)) as run:
        assert int(cluster.redis.cli("CLIENT", "KILL", "TYPE", "pubsub")) >= 2
    run.assert_nothing_lost()


def test_2_redis_is_restarted_with_its_data(cluster, make_run):
    with make_run(cluster, "2 Redis restarted with its data, 2 s down", direct(cluster)) as run:
        cluster.redis.stop()
        threading.Event().wait(2)
        cluster.redis.start()
    run.assert_nothing_lost()


def test_3_redis_is_restarted_empty(cluster, make_run):
    with make_run(cluster, "3 Redis restarted empty", direct(cluster)) as run:
        cluster.redis.stop()
        for path in (cluster.redis.folder / "appendonlydir").iterdir():
            path.unlink()
        cluster.redis.start()
    run.assert_nothing_lost(gaps=1)


def test_4_the_primary_is_killed_and_the_nodes_ask_the_sentinels(sentinel_cluster, make_run):
    group = sentinel_cluster.redis
    with make_run(sentinel_cluster, "4 Sentinel failover", direct(sentinel_cluster)) as run:
        group.wait_for_another(group.kill_primary())
    run.assert_nothing_lost()


def test_5_the_primary_is_killed_behind_haproxy(haproxy_cluster, make_run):
    group = haproxy_cluster.redis
    with make_run(haproxy_cluster, "5 Sentinel failover behind HAProxy", direct(haproxy_cluster)) as run:
        group.wait_for_another(group.kill_primary())
    run.assert_nothing_lost()


def test_6_a_node_is_killed(cluster, make_run):
    with make_run(cluster, "6 a node killed with -9") as run:
        cluster.nodes[0].stop(signal.SIGKILL)
    run.assert_nothing_lost()
    cluster.nodes[0].start()


def test_7_both_nodes_are_restarted_one_after_the_other(cluster, make_run):
    with make_run(cluster, "7 rolling restart of both nodes") as run:
        for node in cluster.nodes:
            node.stop()
            node.start()
    run.assert_nothing_lost()


def test_8_nginx_is_reloaded(cluster, make_run):
    with make_run(cluster, "8 nginx reloaded") as run:
        cluster.nginx.reload()
    run.assert_nothing_lost()


def test_9_three_publish_to_the_same_channels_at_once(cluster, make_run):
    each = 1500
    with make_run(cluster, "9 three publishers", direct(cluster), rate=700) as run:
        headers = {"Authorization": f"Token {cluster.nodes[0].token}", "Content-Type": "application/json"}
        threads = [threading.Thread(target=post, args=(node, run, each, headers)) for node in cluster.nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert run.counts == {node.name: each for node in cluster.nodes}
    run.assert_nothing_lost()


def post(node, run, count, headers):
    """Publishes numbers over HTTP at one node, a request for ten of them."""
    for first in range(0, count, 10):
        body = [
            {"channel": f"test/{run.prefix}/{n % CHANNELS}", "data": {"source": node.name, "n": n}}
            for n in range(first, first + 10)
        ]
        status, answer = node.request("POST", "/api/live/publish", json.dumps(body), **headers)
        assert status == 200, answer
    run.counts[node.name] = count


def test_10_redis_is_paused(cluster, make_run):
    with make_run(cluster, "10 Redis paused for 10 s (DEBUG SLEEP)", direct(cluster)) as run:
        cluster.redis.cli("DEBUG", "SLEEP", "10", timeout=20)
    run.assert_nothing_lost()
    assert run.report["longest_pause"] > 9
