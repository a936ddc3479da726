"""`make demo`: sets everything up, starts daphne and the agent, and watches over both until Ctrl-C.

Nothing this starts outlives it: children are ended on Ctrl-C, SIGTERM and SIGHUP, and by the kernel when this is
killed outright. The agent is started again when it ends; without daphne there is no demo, so its end ends everything.
"""

import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping

from project.bootstrap import environment, prepare
from project.bootstrap.processes import Child, Service, answers, catch_stops, describe, end, end_with_parent
from project.bootstrap.steps import SetupError, Steps, end_by_interrupt_on, error, run

START_SECONDS = 60.0
STOP_SECONDS = 3.0
BACKLOG = 1024  # Twisted's default of 50 drops connections when a thousand tabs come back at once


class Address:
    """Where the site listens, from HOST and PORT, and where a browser on this machine finds it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.host = environ.get("HOST") or "127.0.0.1"
        port = environ.get("PORT") or "8000"
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise SetupError(f"PORT={port} is not a port number (1 to 65535).")
        self.port = int(port)
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as problem:
            raise SetupError(f"HOST={self.host} is not an address of this machine: {problem}.") from problem
        self.family, *_, self.sockaddr = found[0]

    @property
    def ip(self) -> str:
        """The address to listen on, as digits."""
        return str(self.sockaddr[0])

    @property
    def local_ip(self) -> str:
        """An address to connect to: the loopback one where the site listens on all."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.ip, self.ip)  # noqa: S104

    @property
    def url(self) -> str:
        """The site's root without a slash at the end."""
        return f"http://[{self.local_ip}]:{self.port}" if ":" in self.ip else f"http://{self.local_ip}:{self.port}"

    @property
    def endpoint(self) -> str:
        """Twisted's description of the listening socket; a colon inside a value is escaped there."""
        interface = self.ip.replace(":", "\\:")
        return f"tcp:port={self.port}:interface={interface}:backlog={BACKLOG}"

    def check_free(self) -> None:
        """Raises SetupError when the site could not listen here."""
        problem = self._problem(self.port)
        if problem is None:
            return
        if problem.errno == errno.EADDRINUSE:
            others = range(self.port + 1, min(self.port + 50, 65536))
            free = next((port for port in others if self._problem(port) is None), 8001)
            raise SetupError(f"Port {self.port} on {self.ip} is in use; choose another: make demo PORT={free}")
        raise SetupError(f"Cannot listen on {self.ip} port {self.port}: {problem.strerror} (HOST=… and PORT=… choose).")

    def _problem(self, port: int) -> OSError | None:
        with socket.socket(self.family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((self.ip, port, *self.sockaddr[2:]))
                listener.listen()  # two sockets with SO_REUSEADDR may both bind, but not both listen
            except OSError as problem:
                return problem
        return None


def start_daphne(name: str, endpoint: str, env: Mapping[str, str], *options: str) -> Child:
    """One daphne of the demo site; `env` is added to this process's environment."""
    # Verbosity 0: warnings and errors only, no line per request.
    options = ("--endpoint", endpoint, "--no-server-name", "--verbosity", "0", *options)
    return Child(name, [environment.PYTHON, "-m", "daphne", *options, "project.asgi:application"], os.environ | env)


def start_agent(url: str, token: str) -> Child:
    """The agent, pushing to the site at `url`."""
    # The token goes through the environment: arguments are visible to every user of the machine.
    env = os.environ | {"LIVE_TOKEN": token}
    return Child("agent", [environment.PYTHON, "-m", "project.agent", "--url", f"{url}/api/live/push/host"], env)


class Supervisor:
    """Starts the site's two processes, watches over them and ends them."""

    def __init__(self, address: Address, token: str) -> None:
        self.address = address
        self.token = token
        self.stops: list[int] = []
        self.agent = Service("agent", lambda: start_agent(address.url, token))

    def run(self) -> int:
        """Runs until a signal or the end of daphne; returns the exit code."""
        self.stops = catch_stops()
        daphne = self._start_daphne()
        try:
            if not self._wait_for_site(daphne):
                return 1
            if not self.stops:
                self._print_welcome()
            while not self.stops:
                if (code := daphne.code()) is not None:
                    error(f"daphne ended with {describe(code)}; the demo ends.")
                    return 1
                self.agent.tend()
                time.sleep(0.1)
            print("\nStopping …", flush=True)
            return 0
        finally:
            received = len(self.stops)
            children = [daphne] if self.agent.child is None else [self.agent.child, daphne]
            killed = end(children, STOP_SECONDS, hurry=lambda: len(self.stops) > received)
            if killed:
                error(f"{' and '.join(killed)} did not end in {STOP_SECONDS:.0f} s and had to be killed.")
            elif self.stops:
                print("Stopped.", flush=True)

    def _start_daphne(self) -> Child:
        # All clients are told at once that it ends: nobody waits at Ctrl-C.
        return start_daphne("daphne", self.address.endpoint, {"LIVE_DRAIN_SECONDS": "0"})

    def _wait_for_site(self, daphne: Child) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while not self.stops:
            if (code := daphne.code()) is not None:
                error(f"daphne ended with {describe(code)} before the site answered.")
                return False
            if answers(self.address.local_ip, self.address.port):
                return True
            if time.monotonic() > deadline:
                error(f"The site did not answer at {self.address.url} within {START_SECONDS:.0f} s.")
                return False
            time.sleep(0.1)
        return True

    def _print_welcome(self) -> None:
        url = self.address.url
        push = f"{url}/api/live/push/demo"
        print(
            f"\n"
            f"Live is running at {url}\n"
            f"  sign in       demo / demo\n"
            f"  push token    {self.token}\n"
            f"  try           curl -i -H 'Authorization: Token {self.token}'"
            f" --data-binary 'weather,city=Oslo temperature=21.5' {push}\n"
            f"  end           Ctrl-C\n",
            flush=True,
        )


def main() -> int:
    """Sets up, then supervises; returns the exit code."""
    end_by_interrupt_on(signal.SIGTERM, signal.SIGHUP)
    if "MAKELEVEL" in os.environ:
        end_with_parent(signal.SIGTERM)
    address = Address(os.environ)
    address.check_free()
    steps = Steps(prepare.STEPS + 2)
    prepare.prepare(steps, ["demo"])
    with steps.step("database"):
        run([environment.PYTHON, "manage.py", "migrate", "--verbosity", "0"])
    with steps.step("demo user and dashboards"):
        token = run([environment.PYTHON, "manage.py", "seed_demo", "--show-token"]).split()[-1]
    address.check_free()
    return Supervisor(address, token).run()


if __name__ == "__main__":
    sys.exit(main())
