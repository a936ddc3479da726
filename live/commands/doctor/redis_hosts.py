"""Each Redis of the channel layer: whether it is there, what it is, and whether it keeps what it is given.

Asked over connections made as the store makes its own. What Redis says about errors is told by its first word only:
the rest may hold what nobody should read.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from redis import exceptions as redis_errors
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import RedisError

from live.commands.doctor.finding import NOT_KNOWN, Finding, bounded, error, ok, warning
from live.commands.doctor.redis_sentinels import check_sentinels, reason
from live.store.redis.topology import Host, Topology

DOCUMENTED_VERSION, LEAST_VERSION = (6, 2), (5, 0)
"""What docs/deploy.md asks for, and what the scripts need: writing after TIME."""
LEAST_HARD, LEAST_SOFT = 64 * 2**20, 16 * 2**20
"""Bytes for a subscriber below which a busy site is cut off; deploy/redis.conf has four times as many."""
CLOCK_SKEW = 1.0
"""Seconds between Redis' clock and this machine's that nobody minds."""
_FULL = 0.9


async def check_redis(topology: Topology, where: str) -> list[Finding]:
    """What is found on every host, one after the other; `where` names the hosts' place in the settings."""
    findings: list[Finding] = []
    for host in topology.hosts:
        if host.options.get("master_name") is not None:
            findings += await bounded("redis-sentinel", _collect(check_sentinels(host)))
        findings += await bounded("redis", _collect(_host(host, topology.prefix, where)))
    return findings


async def _collect(findings: AsyncIterator[Finding]) -> list[Finding]:
    return [finding async for finding in findings]


class _Asker:
    """One connection to a host; answers as text."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def answers_all(self) -> bool:
        """Whether SUBSCRIBE has an answer as other commands have: not in version 3 of Redis' protocol."""
        return str(self._connection.protocol) == "2"

    async def ask(self, *words: str | int) -> Any:
        """The answer; raises a `RedisError` for a refusal."""
        await self._connection.send_command(*words)
        return _text(await self._connection.read_response())

    async def info(self) -> dict[str, str]:
        """INFO by its names; empty where this user may not ask."""
        try:
            lines = (line.partition(":") for line in str(await self.ask("INFO")).splitlines())
        except redis_errors.NoPermissionError:
            return {}
        return {name: value for name, colon, value in lines if colon}


def _text(answer: Any) -> Any:
    if isinstance(answer, bytes):
        return answer.decode(errors="replace")
    return [_text(part) for part in answer] if isinstance(answer, (list, tuple)) else answer


async def _host(host: Host, prefix: str, where: str) -> AsyncIterator[Finding]:
    pool = host.pool()
    connection = pool.connection()
    try:
        started = time.monotonic()
        try:
            await connection.connect()
            redis = _Asker(connection)
            # Not PING: that is refused like a write where Redis cannot save.
            info = await redis.info()
            milliseconds = (time.monotonic() - started) * 1000
        except (RedisError, OSError) as failure:
            yield error("redis", f"{host.label}: {reason(failure)}", _way_out(failure, host, where))
            return
        name = f"{host.label}: "
        if host.options.get("master_name") is not None:
            name = f"{host.label} at {connection.host}:{connection.port}: "
        yield ok("redis", f"{name}answers, connected in {milliseconds:.0f} ms")
        for finding in (_version(info), _role(info)):
            yield _named(name, finding)
        yield _named(name, await _access(redis, prefix))
        yield _named(name, await _output_buffer(redis))
        for finding in (*_eviction(info), _persistence(info)):
            yield _named(name, finding)
        yield _named(name, await _clock(redis))
    finally:
        try:
            await connection.disconnect(nowait=True)
            await pool.close()
        except (RedisError, OSError):
            pass


def _named(name: str, finding: Finding) -> Finding:
    return Finding(finding.check, finding.level, name + finding.found, finding.why, finding.fix)


def _way_out(failure: BaseException, host: Host, where: str) -> str:
    if isinstance(failure, (redis_errors.AuthenticationError, redis_errors.NoPermissionError)):
        return f"Put the right user and password into {where}; Redis: ACL LIST shows the users and their rights."
    if isinstance(failure, MasterNotFoundError):
        name = host.options["master_name"]
        return f"redis-cli -p 26379 SENTINEL MASTERS on a sentinel shows the names it knows; {where} has {name!r}."
    address, _, port = host.label.rpartition(":")
    command = f"redis-cli -s {port} PING" if address == "unix" else f"redis-cli -h {address} -p {port} PING"
    return f"{command}; systemctl start redis-server, or correct {where}"


def _version(info: dict[str, str]) -> Finding:
    found = info.get("redis_version", "")
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    fix = "Install Redis 6.2 or newer, or a Valkey."
    if info.get("cluster_enabled") == "1":
        return error("redis-version", "a node of a Redis Cluster, which is not supported", "Name several single hosts.")
    if not numbers:
        return ok("redis-version", NOT_KNOWN)
    if numbers < LEAST_VERSION:
        return error("redis-version", f"Redis {found}", fix)
    if numbers < DOCUMENTED_VERSION:
        return warning("redis-version", f"Redis {found}", fix, "Live is tested with 6.2 and newer.")
    return ok("redis-version", f"Redis {found}")


def _role(info: dict[str, str]) -> Finding:
    role = info.get("role", "")
    if role != "slave":
        replicas = info.get("connected_slaves", "0")
        return ok("redis-role", f"primary, {replicas} replicas" if role else NOT_KNOWN)
    primary = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
    fix = f"Name the primary in place of it, {primary}, or the sentinels; or make it one: redis-cli REPLICAOF NO ONE"
    return error("redis-role", f"a replica of {primary}", fix)


async def _access(redis: _Asker, prefix: str) -> Finding:
    """Does what the store and the layer do; nothing is left that somebody would notice."""
    key = f"{prefix}:live:doctor"
    group = f"{prefix}__group__live.doctor"
    commands: list[tuple[str | int, ...]] = [
        ("SET", key, "", "PX", 1000),
        ("EVAL", "return redis.call('GET', KEYS[1])", 1, key),
        ("PUBLISH", group, ""),
    ]
    if redis.answers_all:
        commands += [("SUBSCRIBE", group), ("UNSUBSCRIBE", group)]
    for words in commands:
        try:
            await redis.ask(*words)
        except RedisError as failure:
            return _refusal(str(words[0]), failure, prefix)
    return ok("redis-access", f"takes what is written and announced below {prefix!r}")


def _refusal(command: str, failure: RedisError, prefix: str) -> Finding:
    found = f"{command} is refused"
    text = str(failure)
    if isinstance(failure, redis_errors.NoPermissionError):
        fix = f"redis-cli ACL SETUSER <user> '~{prefix}*' '&{prefix}*' +@all -@admin -@dangerous +info"
        return error("redis-access", f"{found}: this user may not", fix)
    if isinstance(failure, redis_errors.ReadOnlyError) or "READONLY" in text:
        return error("redis-access", f"{found}: a replica takes nothing", "See redis-role.")
    if "MISCONF" in text:
        fix = "Make room on Redis' disk; redis-cli LASTSAVE and its log say when and why saving failed."
        return error("redis-access", f"{found}: it cannot save to its disk", fix)
    if isinstance(failure, redis_errors.OutOfMemoryError) or "OOM" in text:
        fix = "redis-cli CONFIG SET maxmemory <more>, and the same in redis.conf"
        return error("redis-access", f"{found}: its memory is full", fix)
    return error("redis-access", f"{found}: {reason(failure)}", f"redis-cli {command}, and Redis' log")


async def _output_buffer(redis: _Asker) -> Finding:
    try:
        words = (await redis.ask("CONFIG", "GET", "client-output-buffer-limit"))[1].split()
        place = words.index("pubsub")
        hard, soft, seconds = (int(word) for word in words[place + 1 : place + 4])
    except (RedisError, LookupError, ValueError, AttributeError, TypeError):
        return ok("redis-output-buffer", f"{NOT_KNOWN}: Redis does not tell its configuration")
    found = f"{_size(hard)}, or {_size(soft)} for {seconds} s"
    if (hard and hard < LEAST_HARD) or (soft and soft < LEAST_SOFT):
        fix = "redis-cli CONFIG SET client-output-buffer-limit 'pubsub 256mb 64mb 60', and the same in redis.conf"
        return warning("redis-output-buffer", found, fix)
    return ok("redis-output-buffer", found)


def _eviction(info: dict[str, str]) -> Iterator[Finding]:
    if "maxmemory" not in info:
        yield ok("redis-eviction", NOT_KNOWN)
        return
    most, used = (int(info.get(name, 0)) for name in ("maxmemory", "used_memory"))
    policy = info.get("maxmemory_policy", "")
    if not most:
        yield ok("redis-eviction", f"no limit of memory, {_size(used)} in use")
        return
    found = f"{policy}, {_size(used)} of {_size(most)} in use"
    if policy != "noeviction":
        fix = "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf"
        yield warning("redis-eviction", found, fix)
    elif used > _FULL * most:
        yield warning("redis-eviction", found, "redis-cli CONFIG SET maxmemory <more>, and the same in redis.conf")
    else:
        yield ok("redis-eviction", found)


def _persistence(info: dict[str, str]) -> Finding:
    if "aof_enabled" not in info:
        return ok("redis-persistence", NOT_KNOWN)
    log = "an append-only file" if info["aof_enabled"] == "1" else "no append-only file"
    failed = [
        what
        for what, name in (("the log", "aof_last_write_status"), ("a snapshot", "rdb_last_bgsave_status"))
        if info.get(name, "ok") != "ok"
    ]
    if failed:
        fix = "Make room on Redis' disk; its log says why writing failed."
        return warning("redis-persistence", f"{log}; writing {' and '.join(failed)} failed last", fix)
    return ok("redis-persistence", log)


async def _clock(redis: _Asker) -> Finding:
    before = time.time()
    try:
        seconds, microseconds = await redis.ask("TIME")
    except (RedisError, ValueError, TypeError):
        return ok("redis-clock", NOT_KNOWN)
    there = int(seconds) + int(microseconds) / 1e6
    # When in between Redis looked at its clock is not known: an answer that comes late makes no clock a wrong one.
    skew = min(there - before, 0.0) or max(there - time.time(), 0.0)
    found = f"{abs(skew):.3f} s {'ahead of' if skew > 0 else 'behind'} this machine"
    if abs(skew) <= CLOCK_SKEW:
        return ok("redis-clock", found)
    return warning("redis-clock", found, "timedatectl set-ntp true, on this machine and on that of Redis")


def _size(number: int) -> str:
    return f"{number / 2**20:,.0f} MiB" if number else "no limit"
