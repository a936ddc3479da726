"""What the measurements of several nodes share: how much is measured, a node, its clients, Redis and its statistics."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.measure import LIVE, QUIET_SECONDS, SERVER_CORE, Load, running, wait_until_quiet
from bench.sizes import Scalable, instead, part
from tests.redis_server import RedisServer

OWN_COMMANDS = frozenset({"info", "config|resetstat", "hello", "client|setinfo", "command|docs", "ping"})
"""What asking for the statistics and connecting cost."""
STALLED_SECONDS = 30.0
"""Without a delivery for so long, what is missing is lost; a busy machine may well halt a server for some."""


@dataclass(frozen=True)
class Size(Scalable):
    """How much is measured; `scaled` makes it less, to see that the benchmark works."""

    subscribers: int = part(500)
    channels: int = part(1000)
    publications: int = part(150_000)
    clients: int = part(1000)
    missed: int = 50
    seconds: float = part(8.0, least=0.25)
    publishing_seconds: float = part(4.0, least=0.1)
    quiet_seconds: float = instead(QUIET_SECONDS, small=0.1)


@dataclass(frozen=True)
class Node:
    """One daphne."""

    pid: int
    port: int


@dataclass(frozen=True)
class Cluster:
    """What every measurement needs: the compiled client, Redis, the environment of a node that uses it, a session."""

    client: Path
    redis: RedisServer
    env: dict[str, str]
    cookie: str
    size: Size

    def load(self, node: Node, channel: str, count: int) -> Load:
        """So many clients of `node`, subscribed; %d in `channel` is the number of the client."""
        first = f'{{"id":1,"connect":{{}}}}\n{{"id":2,"subscribe":{{"channel":"{channel}"}}}}'
        load = Load(self.client, replace(LIVE, first=first), node.port, count, self.cookie)
        load.joined()
        return load

    def settle(self, *nodes: Node) -> None:
        """Returns when none of them has anything to do."""
        for each in nodes:
            wait_until_quiet(each.pid, self.size.quiet_seconds)

    def commands(self) -> dict[str, int]:
        """Calls of each Redis command so far, those in scripts too."""
        stats = self.redis.info("commandstats").items()
        named = {name.removeprefix("cmdstat_"): value for name, value in stats}
        return {
            name: int(value.partition("calls=")[2].partition(",")[0])
            for name, value in named.items()
            if name not in OWN_COMMANDS
        }


@contextmanager
def node(env: dict[str, str], cores: set[int] = SERVER_CORE) -> Iterator[Node]:
    """A fresh node on `cores`."""
    with running(LIVE, env, cores) as (pid, port):
        yield Node(pid, port)


def wait_for(load: Load, wanted: int, stalled: float = STALLED_SECONDS) -> float:
    """Returns the number of deliveries once it is as large as wanted, or when none came for `stalled` seconds."""
    known, since = -1.0, time.monotonic()
    while True:
        delivered = load.ask("count")["deliveries"]
        if delivered >= wanted or time.monotonic() - since > stalled:
            return delivered
        if delivered > known:
            known, since = delivered, time.monotonic()
        time.sleep(0.005)


def say(what: str) -> None:
    """What is measured now, for whoever waits."""
    print(f"{what} …", file=sys.stderr, flush=True)
