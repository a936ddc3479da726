"""A plain script of the site that publishes numbers, as a cron job or a worker would.

``python -m tests.cluster.publisher <prefix> <channels> <rate> <source>``: on "go" it publishes ``{"source", "n"}`` with
n = 0, 1, 2, ... to ``test/<prefix>/<n mod channels>``, `rate` a second, until "last" says how many at least. A number
that Redis did not take is tried again with the same key until it is taken. Says how far it is and, in the end, what it
took.
"""

import sys
import threading
import time

import django

django.setup()

import live  # noqa: E402
from tests.cluster.lines import hear, say  # noqa: E402

REPORT_EVERY = 100
BEHIND = 0.02
"""Seconds it may catch up; after an outage it goes on at its pace instead of publishing everything at once."""


class Publisher:
    def __init__(self, prefix, channels, rate, source):
        self.prefix = prefix
        self.channels = channels
        self.rate = rate
        self.source = source
        self.last = None
        self.retries = 0
        self.longest = 0.0

    def run(self):
        live.publish(f"test/{self.prefix}/warm-up", {})
        say(ready=True)
        hear()
        listening = threading.Thread(target=self._listen, daemon=True)
        listening.start()
        n = 0
        started = due = time.monotonic()
        while self.last is None or n < self.last:
            due = max(due + 1 / self.rate, time.monotonic() - BEHIND)
            if (pause := due - time.monotonic()) > 0:
                time.sleep(pause)
            self.publish(n)
            n += 1
            if n % REPORT_EVERY == 0:
                say(at=n)
        seconds = time.monotonic() - started
        say(done={"count": n, "retries": self.retries, "longest": round(self.longest, 3), "seconds": round(seconds, 1)})
        hear()

    def _listen(self):
        self.last = hear()["last"]

    def publish(self, n):
        started = time.monotonic()
        while True:
            try:
                live.publish(
                    f"test/{self.prefix}/{n % self.channels}",
                    {"source": self.source, "n": n},
                    idempotency_key=f"{self.source}-{n}",
                )
                break
            except live.EngineUnavailable:
                self.retries += 1
                time.sleep(0.05)
        self.longest = max(self.longest, time.monotonic() - started)


if __name__ == "__main__":
    prefix, channels, rate, source = sys.argv[1:]
    Publisher(prefix, int(channels), float(rate), source).run()
