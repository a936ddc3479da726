"""The demo's agent: reads this machine's metrics and pushes them as Influx line protocol, as Telegraf would.

One HTTP POST a second over a kept connection, all lines with one time stamp. A site that is away, or refuses, never
ends the agent: it tries again later and later, and prints one line per change of state.

    LIVE_TOKEN=… python -m project.agent --url http://127.0.0.1:8000/api/live/push/host
"""

import argparse
import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import psutil

TIMEOUT = 5.0  # seconds for one request
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0  # seconds between tries while the site is away or refuses
MOST_DISKS = 8

Value = float | int
_TAG_ESCAPES = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ ", "\n": "\\ ", "\r": "\\ "})


def tag(text: str) -> str:
    """A tag's key or value with the characters escaped that line protocol gives a meaning."""
    # A backslash at the end would escape the separator that follows.
    return text.translate(_TAG_ESCAPES).rstrip("\\") or "unknown"


def line(measurement: str, tags: Mapping[str, str], fields: Mapping[str, Value], time_ns: int) -> str:
    """One line of Influx line protocol: int fields with an `i`, floats rounded to what a chart can show."""
    names = "".join(f",{tag(key)}={tag(value)}" for key, value in sorted(tags.items()))
    values = ",".join(
        f"{key}={value}i" if isinstance(value, int) else f"{key}={value:.3f}" for key, value in fields.items()
    )
    return f"{measurement}{names} {values} {time_ns}"


class Readings:
    """Reads the metrics. Rates and cpu shares are over the time since the call before, so the first call has none."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._network: dict[str, tuple[int, int]] = {}
        self._network_at = 0.0
        psutil.cpu_times_percent(percpu=True)  # the first call has nothing to compare with
        psutil.cpu_times_percent()
        self._rates(time.monotonic())

    def lines(self) -> list[str]:
        """All measurements of this moment: cpu, mem, disk, net, system; names and fields as Telegraf has them."""
        now = time.time_ns()
        rows = [*self._cpu(), self._memory(), *self._disks(), *self._rates(time.monotonic()), self._system()]
        return [line(name, {"host": self.host, **tags}, fields, now) for name, tags, fields in rows]

    def _cpu(self) -> list[tuple[str, dict[str, str], dict[str, Value]]]:
        shares = [("cpu-total", psutil.cpu_times_percent())]
        shares += [(f"cpu{number}", each) for number, each in enumerate(psutil.cpu_times_percent(percpu=True))]
        kinds = ("user", "system", "idle", "iowait")
        return [
            ("cpu", {"cpu": name}, {f"usage_{kind}": float(getattr(each, kind, 0.0)) for kind in kinds})
            for name, each in shares
        ]

    def _memory(self) -> tuple[str, dict[str, str], dict[str, Value]]:
        memory = psutil.virtual_memory()
        fields: dict[str, Value] = {
            "used_percent": float(memory.percent),
            "available_percent": 100.0 * memory.available / memory.total,
            "used": int(memory.used),
            "available": int(memory.available),
        }
        return "mem", {}, fields

    def _disks(self) -> list[tuple[str, dict[str, str], dict[str, Value]]]:
        rows: list[tuple[str, dict[str, str], dict[str, Value]]] = []
        seen: set[str] = set()
        for mount in [*psutil.disk_partitions(), None]:
            path = mount.mountpoint if mount else "/"
            device = mount.device if mount else "/"
            # One device may be mounted many times; inside a container "/" is no physical mount but all there is.
            if device in seen or (mount is None and rows) or len(rows) == MOST_DISKS or not os.path.isdir(path):
                continue
            try:
                usage = psutil.disk_usage(path)
            except OSError:  # unmounted, or not ours to look at
                continue
            seen.add(device)
            fields: dict[str, Value] = {"used_percent": usage.percent, "free": usage.free, "total": usage.total}
            rows.append(("disk", {"path": path}, fields))
        return rows

    def _rates(self, now: float) -> list[tuple[str, dict[str, str], dict[str, Value]]]:
        """Network counters, and bytes a second since the call before for interfaces that were there then."""
        rows: list[tuple[str, dict[str, str], dict[str, Value]]] = []
        seconds, before = now - self._network_at, self._network
        counters = psutil.net_io_counters(pernic=True)
        self._network = {name: (each.bytes_recv, each.bytes_sent) for name, each in counters.items()}
        self._network_at = now
        for name, (received, sent) in self._network.items():
            # An interface that never carried a byte (tunnels, bridges of containers) would only be noise.
            if name not in before or not received + sent or seconds <= 0:
                continue
            fields: dict[str, Value] = {
                "bytes_recv": received,
                "bytes_sent": sent,
                # A counter that went back was reset.
                "bytes_recv_rate": max(0, received - before[name][0]) / seconds,
                "bytes_sent_rate": max(0, sent - before[name][1]) / seconds,
            }
            rows.append(("net", {"interface": name}, fields))
        return rows

    def _system(self) -> tuple[str, dict[str, str], dict[str, Value]]:
        load1, load5, load15 = psutil.getloadavg()
        return (
            "system",
            {},
            {"load1": load1, "load5": load5, "load15": load15, "uptime": int(time.time() - psutil.boot_time())},
        )


class Refused(Exception):
    """The site answered, but not with success; the message is the status and what the site said."""


class Pusher:
    """Posts bodies over one kept connection."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http(s) address: {url}")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.connection = kind(parts.hostname, parts.port, timeout=TIMEOUT)
        self.path = parts.path or "/"
        self.headers = {"Authorization": f"Token {token}", "Content-Type": "text/plain; charset=utf-8"}

    def push(self, body: bytes) -> None:
        """Raises OSError or HTTPException when the site is away, Refused when it does not take the body."""
        kept = self.connection.sock is not None
        try:
            status, text = self._post(body)
        except (OSError, http.client.HTTPException):
            self.connection.close()
            if not kept:
                raise
            # The server may close an idle connection at any time; only a fresh one tells that it is away.
            try:
                status, text = self._post(body)
            except (OSError, http.client.HTTPException):
                self.connection.close()
                raise
        if status >= 300:
            raise Refused(f"{status}: {text}")

    def _post(self, body: bytes) -> tuple[int, str]:
        self.connection.request("POST", self.path, body, self.headers)
        response = self.connection.getresponse()
        return response.status, message(response.read())


def message(body: bytes) -> str:
    """What the server's answer says: the message of a JSON body, or the start of the text."""
    text = body.decode(errors="replace").strip()
    try:
        answer = json.loads(text)
    except ValueError:
        return " ".join(text.split())[:200]
    if isinstance(answer, dict):
        return str(answer.get("message") or answer.get("detail") or text)[:200]
    return text[:200]


class Agent:
    """Reads and pushes on a fixed beat until it is told to stop."""

    def __init__(self, readings: Readings, pusher: Pusher, interval: float, stop: threading.Event) -> None:
        self.readings = readings
        self.pusher = pusher
        self.interval = interval
        self.stop = stop
        self.state = ""
        self.pause = FIRST_PAUSE

    def run(self) -> None:
        """Returns when `stop` is set."""
        due = time.monotonic() + self.interval
        while not self.stop.wait(max(0.0, due - time.monotonic())):
            pause = self.push_once()
            # On the beat, whatever the push took; beats that were missed are left out.
            now = time.monotonic()
            due = now + pause if pause else due + self.interval * max(1, 1 + (now - due) // self.interval)

    def push_once(self) -> float:
        """Pushes one batch; returns how many seconds to wait before the next try, 0 to keep the beat."""
        body = "\n".join(self.readings.lines()).encode()
        try:
            self.pusher.push(body)
        except Refused as problem:
            self.tell(f"the site refuses the push: {problem}")
        except (OSError, http.client.HTTPException) as problem:
            self.tell(f"the site is away: {problem or type(problem).__name__}; trying again")
        else:
            self.tell("pushing")
            self.pause = FIRST_PAUSE
            return 0.0
        pause, self.pause = self.pause, min(2 * self.pause, LONGEST_PAUSE)
        return pause

    def tell(self, state: str) -> None:
        """Prints a state once; that everything is well only after it was not."""
        if state != self.state and (self.state or state != "pushing"):
            print(f"agent: {state}", file=sys.stderr, flush=True)
        self.state = state


def main() -> int:
    """Reads the command line and runs until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m project.agent", description="Pushes this machine's metrics to Live."
    )
    parser.add_argument("--url", required=True, help="the push endpoint, …/api/live/push/<stream id>")
    parser.add_argument("--token", help="the push token; LIVE_TOKEN in the environment goes before it and stays unseen")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between pushes (default 1)")
    options = parser.parse_args()
    token = os.environ.get("LIVE_TOKEN") or options.token
    if not token:
        parser.error("no token: set LIVE_TOKEN or give --token")
    if not 0.05 <= options.interval <= 3600:
        parser.error("--interval is between 0.05 and 3600 seconds")
    try:
        pusher = Pusher(options.url, token)
    except ValueError as problem:
        parser.error(str(problem))
    # Nothing has to be finished or put away, so a signal ends the process where it stands.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    Agent(Readings(socket.gethostname()), pusher, options.interval, threading.Event()).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
