"""Sentinel and HAProxy with the files of deploy/: one primary, and the way that leads to it."""

import pytest

from tests.cluster.conftest import running
from tests.cluster.process import wait_until
from tests.cluster.sentinel import HAProxyRedis, SentinelGroup
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.timeout(120)]


def test_haproxy_leads_to_the_primary_and_never_to_a_former_one(tmp_path):
    group = SentinelGroup(tmp_path / "sentinel")
    haproxy = HAProxyRedis(tmp_path / "haproxy", group)
    with running(group, haproxy):
        client = RedisServer(tmp_path, port=haproxy.port)

        def leads_to():
            """The port of the server that HAProxy leads to; None while there is none."""
            try:
                return int(client.cli("CONFIG", "GET", "port").split("\n")[1])
            except (RuntimeError, IndexError):
                return None

        former = group.primary
        wait_until(lambda: leads_to() == former.port, lambda: haproxy.log)
        client.cli("SET", "kept", "1")
        client.cli("WAIT", "2", "5000")
        former.kill()
        group.wait_for_another(former)
        primary = group.primary
        wait_until(lambda: leads_to() == primary.port, lambda: haproxy.log)
        assert client.cli("GET", "kept") == "1"

        # What the sentinels agreed on has to have come to HAProxy's ears, half a second later.
        number = group.servers.index(former) + 1
        wait_until(lambda: f"'sentinels-say-redis-{number}' has no server" in haproxy.log, lambda: haproxy.log)
        # It believes to be the primary until the sentinels have told it better.
        former.start()
        assert former.info("replication")["role"] == "master"
        up = haproxy.log.count(f"Server primary/redis-{number} is UP")
        seen = set()

        def is_taken_for_one():
            seen.add(leads_to())
            return haproxy.log.count(f"Server primary/redis-{number} is UP") > up

        wait_until(is_taken_for_one, lambda: haproxy.log)
        asked = 0
        # On a busy machine the sentinels are sooner than twenty questions.
        while asked < 20 and former.info("replication")["role"] == "master":
            seen.add(leads_to())
            asked += 1
        assert asked
        # Nowhere, where a busy machine kept HAProxy from looking in time; never to the former one.
        assert seen - {None} == {primary.port}
