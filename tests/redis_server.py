"""A real redis-server for tests: a process of its own on a free port, stopped, killed and started again at will."""

import contextlib
import signal
import subprocess
import time
from pathlib import Path

from live.store.redis import topology
from tests.site import free_port

HOST = "127.0.0.1"
START_SECONDS = 20
SOCKET_PATH_MAX = 104
"""Longest path that every system allows for a Unix socket; in a deeper folder there is none."""


def wait_long_for_redis(patch):
    """Has stores made from now on wait for Redis however busy the machine is; that it is gone shows at once anyhow."""
    for name in ("CONNECT_TIMEOUT", "SOCKET_TIMEOUT"):
        patch.setattr(topology, name, 40.0)


class RedisServer:
    """One redis-server; it keeps its port and its `folder` over restarts, its data only with ``appendonly="yes"``.

    `options` are those of redis.conf, with ``_`` for ``-``; `password` is ``requirepass``. `socket` is the path of a
    Unix socket, which it listens on beside the port.
    """

    program = "redis-server"

    def __init__(self, folder: Path, *, port=None, password="", **options):
        self.folder = Path(folder)
        self.port = port or free_port()
        self._may_move = port is None
        self.password = password
        self.options = options
        self.socket = self.folder / "redis.sock"
        self.log_path = self.folder / "redis.log"
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self.stop()

    @property
    def address(self):
        """(host, port), as ``CHANNEL_LAYERS`` takes it."""
        return HOST, self.port

    @property
    def url(self):
        """Its redis:// URL, with the password."""
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}{HOST}:{self.port}"

    def command(self):
        """The command line it is started with."""
        options = {
            "port": self.port,
            "bind": HOST,
            "dir": self.folder,
            "save": "",
            "daemonize": "no",
            "enable-debug-command": "yes",
            **{name.replace("_", "-"): value for name, value in self.options.items()},
        }
        if len(str(self.socket)) < SOCKET_PATH_MAX:
            options["unixsocket"] = self.socket
        if self.password:
            options |= {"requirepass": self.password, "masterauth": self.password}
        line = [self.program]
        for name, value in options.items():
            # redis-server splits on blanks by itself where an option takes several words.
            line += [f"--{name}", *(str(value).split(" ") if value != "" else [""])]
        return line

    def start(self):
        """Starts it and waits until it answers, its data loaded."""
        for _ in range(3):
            try:
                self._start()
            except RuntimeError:
                # Somebody else took the free port first; once it ran, it keeps the one it had.
                if not self._may_move or "Address already in use" not in self.log:
                    raise
                self.port = free_port()
            else:
                self._may_move = False
                return self
        raise RuntimeError(f"{self.program} found no free port:\n{self.log}")

    def _start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop(signal.SIGKILL)
                raise RuntimeError(f"{self.program} did not start:\n{self.log}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)

    def answers(self):
        """Whether it answers commands now."""
        try:
            return self.cli("PING", timeout=2) == "PONG"
        except (RuntimeError, subprocess.TimeoutExpired):
            return False

    def stop(self, how=signal.SIGTERM):
        """Ends it and waits for the end; what an append-only file holds is written out."""
        if self.process is not None:
            self.process.send_signal(how)
            if how == signal.SIGTERM:
                # It may be paused.
                self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def kill(self):
        """Ends it with SIGKILL, as a crash does."""
        self.stop(signal.SIGKILL)

    def restart(self):
        """Ends it as on a planned restart, and starts it again on the same port."""
        self.stop()
        self.start()

    def pause(self):
        """Stops the process where it stands: connections stay open and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        """Goes on after `pause`."""
        self.process.send_signal(signal.SIGCONT)

    def cli(self, *arguments, timeout=15):
        """Runs one command with redis-cli; what it prints. Raises RuntimeError when that fails."""
        line = ["redis-cli", "-h", HOST, "-p", str(self.port)]
        if self.password:
            line += ["-a", self.password, "--no-auth-warning"]
        done = subprocess.run(
            [*line, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            raise RuntimeError(f"redis-cli {arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def info(self, section):
        """One section of INFO as a dictionary of texts."""
        lines = (line.partition(":") for line in self.cli("INFO", section).splitlines())
        return {name: value for name, colon, value in lines if colon}

    @property
    def log(self):
        """What it printed so far."""
        return self.log_path.read_text() if self.log_path.exists() else ""
