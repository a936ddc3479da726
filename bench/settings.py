"""The demo's settings for measuring: no limit of connections, no debug mode, channels with and without history."""

import os

from project.settings import *  # noqa: F403
from project.settings import LIVE as _LIVE

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
LIVE = {
    **_LIVE,
    "ALLOW_ANONYMOUS": False,
    "MAX_CONNECTIONS": -1,
    "DRAIN_SECONDS": 0.0,
    "PING_INTERVAL": int(os.environ.get("BENCH_PING_INTERVAL", "25")),
    "HANDLERS": {"bench/plain": "bench.handlers.PlainHandler", "bench/history": "bench.handlers.HistoryHandler"},
}
