"""A plain process that publishes, as a script or a worker does: `python -m bench.feed`, told what by its parent.

One order a line on standard input, as JSON: `way` is "one" (`live.publish`) or "many" (`live.publish_many`), `channel`
the name, with `channels` the beginning of so many names that take turns, and either `count` or `seconds`. The answer is
how many were published in how many seconds. It ends with its standard input.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from bench.measure import CLIENT_CORES, ROOT, BenchError
from bench.publisher import message

BATCH = 500
"""Publications of one `live.publish_many`."""


class Feed:
    """The parent's end of one such process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def publish(self, way: str, channel: str, **order: float) -> tuple[int, float]:
        """(publications, seconds it took); `order` says `channels`, `count`, `seconds`."""
        if self.process.stdin and self.process.stdout:
            print(json.dumps({"way": way, "channel": channel, **order}), file=self.process.stdin, flush=True)
            with contextlib.suppress(ValueError):
                answer = json.loads(self.process.stdout.readline())
                return answer["published"], answer["seconds"]
        raise BenchError("the publishing process failed")


@contextlib.contextmanager
def feeding(env: dict[str, str], cores: set[int]) -> Iterator[Feed]:
    """A publishing process on `cores` that is ready to publish."""
    os.sched_setaffinity(0, cores)  # a child inherits it
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.feed"],
        cwd=ROOT,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.sched_setaffinity(0, CLIENT_CORES)
    try:
        feed = Feed(process)
        # The first one imports, connects and loads scripts.
        for way in ("one", "many"):
            feed.publish(way, "bench/plain/warm", count=1)
        yield feed
    finally:
        process.terminate()
        process.communicate()


def _publishing(way: str) -> Callable[[list[tuple[str, Any]]], object]:
    import live

    if way == "many":
        return live.publish_many
    return lambda pairs: [live.publish(channel, data) for channel, data in pairs]


def _obey(order: dict[str, Any], numbers: Iterator[int]) -> dict[str, float]:
    publish, size = _publishing(order["way"]), BATCH if order["way"] == "many" else 1
    channel, channels = order["channel"], order.get("channels", 0)
    started, published = time.perf_counter(), 0
    while True:
        took = time.perf_counter() - started
        left = order["count"] - published if "count" in order else size * (took < order["seconds"])
        if left <= 0:
            return {"published": published, "seconds": took}
        chosen = [next(numbers) for _ in range(min(size, left))]
        publish([(f"{channel}{number % channels}" if channels else channel, message(number)) for number in chosen])
        published += len(chosen)


def main() -> None:
    """Obeys until there are no more orders."""
    import django

    django.setup()
    numbers = count()
    for line in sys.stdin:
        print(json.dumps(_obey(json.loads(line), numbers)), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
