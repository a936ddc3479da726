"""Several nodes with Redis between them: what the way over Redis costs, how much goes over it, how clients come back.

Nodes are on one core, Redis, clients and publishers on another; of two nodes the second is on that one too, as a site
gives each node a core. What a plain process can publish is measured with it in place of a node. Where nothing else is
said the channels keep a history, so that every client checks that each offset follows the one before.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from bench.distinct import distinct_channels
from bench.fan_out import fan_out
from bench.feed import feeding
from bench.measure import CLIENT_CORES, SERVER_CORE
from bench.nodes import Cluster, Size, node, say
from bench.reconnects import reconnects
from bench.rows import Row
from tests.redis_server import RedisServer


def redis_version() -> str:
    """As "Redis 7.0.15"."""
    said = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v=(\S+)", said)
    return f"Redis {found[1] if found else 'of an unknown version'}"


def measure(client: Path, env: dict[str, str], cookie: str, size: Size) -> list[Row]:
    """All rows."""
    os.sched_setaffinity(0, CLIENT_CORES)
    rows = []
    with RedisServer(Path(env["LIVE_VAR"]) / "redis") as redis:
        cluster = Cluster(client, redis, {**env, "LIVE_REDIS_URL": redis.url}, cookie, size)
        rows += fan_out(cluster, env)
        say("plain process")
        rows += plain_process(cluster)
        for words, part in (("distinct channels", distinct_channels), ("reconnects", reconnects)):
            say(words)
            with node(cluster.env) as one:
                rows += part(cluster, one)
    return rows


def plain_process(cluster: Cluster) -> list[Row]:
    """How fast a script publishes."""
    rows = []
    with feeding(cluster.env, SERVER_CORE) as feed:
        for way, name, goal in (("one", "publish", 3_000), ("many", "publish_many", 20_000)):
            for kind, words in (("plain", "without history"), ("history", "with history")):
                number, seconds = feed.publish(way, f"bench/{kind}/feed", seconds=cluster.size.publishing_seconds)
                rate = number / seconds
                text, promised = f"{rate:,.0f} publications/s", f"{goal:,} publications/s"
                rows.append(Row(f"plain process, `live.{name}`, {words}", text, promised, rate >= goal))
    return rows
