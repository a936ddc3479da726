"""The whole measurement of the limits."""

from __future__ import annotations

import os
from pathlib import Path

from bench.limits import deliveries, many, slow
from bench.limits.host import KINDS, METRICS_TOKEN, Limits, Size, allow_open_files
from bench.limits.people import sign_in_everybody
from bench.limits.table import Results, rows
from bench.measure import CLIENT_CORES
from bench.nodes import say
from bench.rows import Row
from live.conf import live_settings
from tests.redis_server import RedisServer

PROGRAMS = ("daphne", "uvicorn")


def measure(client: Path, env: dict[str, str], token: str, size: Size) -> tuple[dict[str, list[Row]], list[Results]]:
    """The rows of each program, and the numbers they are made of."""
    os.sched_setaffinity(0, CLIENT_CORES)
    allow_open_files(size)
    say(f"{size.many:,} users with a session each")
    cookie = sign_in_everybody(max(size.many, size.listeners, size.subscribers))
    with RedisServer(Path(env["LIVE_VAR"]) / "redis-limits") as redis:
        env = {**env, "LIVE_REDIS_URL": redis.url, "LIVE_METRICS_TOKEN": METRICS_TOKEN}
        results = [_program(Limits(program, client, env, cookie, size), token) for program in PROGRAMS]
    daphne_idle = results[0].many["bare"].idle
    queue_max = live_settings.client_queue_max_bytes
    return {each.program: rows(each, size, daphne_idle, queue_max) for each in results}, results


def _program(limits: Limits, token: str) -> Results:
    return Results(
        program=limits.program,
        deliveries={kind.name: deliveries.measure(limits, kind, token) for kind in KINDS},
        many={kind.name: many.measure(limits, kind) for kind in KINDS},
        slow=slow.measure(limits, overflow=False),
        overflow=slow.measure(limits, overflow=True),
    )
