"""`make cluster`: the demo on two nodes with Redis between them and nginx in front, for a person to try to break.

All are ordinary processes of this machine on free ports, nginx with deploy/nginx.conf. Whatever ends is started again a
moment later, as systemd would. Nothing this starts outlives it.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from project.bootstrap import debian, deploy, environment, prepare
from project.bootstrap.demo import START_SECONDS, Address, start_agent, start_daphne
from project.bootstrap.processes import Child, Service, answers, catch_stops, end, end_with_parent, free_port
from project.bootstrap.steps import Steps, end_by_interrupt_on, error, run

NODES = 2
DRAIN_SECONDS = 1
STOP_SECONDS = DRAIN_SECONDS + 3.0


class Cluster:
    """Redis, two nodes, nginx and the agent."""

    def __init__(self, folder: Path, address: Address, token: str) -> None:
        self.folder = folder
        self.address = address
        self.token = token
        self.redis_port = free_port()
        self.ports = [free_port() for _ in range(NODES)]
        self.nginx = deploy.nginx_command(folder, self._listen, [f"127.0.0.1:{port}" for port in self.ports])
        self.stops: list[int] = []
        self.redis = Service("Redis", self._start_redis)
        self.nodes = [Service(f"node {number}", self._node(port)) for number, port in enumerate(self.ports, 1)]
        self.front = Service("nginx", lambda: Child("nginx", self.nginx, at_end=signal.SIGTERM))
        self.agent = Service("agent", lambda: start_agent(address.url, token))

    @property
    def _listen(self) -> str:
        host = f"[{self.address.ip}]" if ":" in self.address.ip else self.address.ip
        return f"{host}:{self.address.port}"

    def _start_redis(self) -> Child:
        path = self.folder / "redis.conf"
        path.write_text(deploy.rendered("redis.conf", {}))
        options = ["--bind", "127.0.0.1", "--port", str(self.redis_port), "--dir", self.folder]
        log = ["--logfile", self.folder / "redis.log"]
        return Child("Redis", [debian.program(debian.REDIS), path, *options, *log])

    def _node(self, port: int) -> Callable[[], Child]:
        env = {
            "LIVE_REDIS_URL": f"redis://127.0.0.1:{self.redis_port}",
            "LIVE_DRAIN_SECONDS": str(DRAIN_SECONDS),
            "LIVE_MAX_CONNECTIONS": "1000",
        }
        endpoint = f"tcp:port={port}:interface=127.0.0.1:backlog=1024"
        return lambda: start_daphne("node", endpoint, env, "--proxy-headers")

    def run(self) -> int:
        """Runs until a signal; returns the exit code."""
        self.stops = catch_stops()
        try:
            if not self._start():
                return 0 if self.stops else 1
            self._print_welcome()
            self.agent.tend()
            while not self.stops:
                for service in (self.redis, *self.nodes, self.front, self.agent):
                    if service.tend() and service is not self.agent:
                        print(f"The {service.name} runs again: pid {pid(service)}", flush=True)
                time.sleep(0.1)
            print("\nStopping …", flush=True)
            return 0
        finally:
            self._end()

    def _start(self) -> bool:
        """Starts all but the agent and waits until each works; False when one does not, or at a signal."""
        services = [self.redis, *self.nodes, self.front]
        for service in services:
            service.tend()
        local = "127.0.0.1"
        waiting = [lambda port=port: answers(local, port, "/readyz", most=200) for port in self.ports]
        waiting.append(lambda: answers(self.address.local_ip, self.address.port))
        deadline = time.monotonic() + START_SECONDS
        while waiting and not self.stops:
            for service in services:
                if service.child is not None and service.child.code() is not None:
                    error(f"The {service.name} did not start; see the files in {self.folder}.")
                    return False
            if time.monotonic() > deadline:
                error(f"The site did not answer at {self.address.url} within {START_SECONDS:.0f} s.")
                return False
            waiting = [works for works in waiting if not works()]
            time.sleep(0.1)
        return not self.stops

    def _end(self) -> None:
        received = len(self.stops)
        hurry: Callable[[], bool] = lambda: len(self.stops) > received  # noqa: E731
        killed = []
        # Redis last, so that the nodes do not miss it.
        for services in ([self.agent, self.front, *self.nodes], [self.redis]):
            children = [service.child for service in services if service.child is not None]
            killed += end(children, STOP_SECONDS, hurry)
        if killed:
            error(f"{' and '.join(killed)} did not end in {STOP_SECONDS:.0f} s and had to be killed.")
        elif self.stops:
            print("Stopped.", flush=True)

    def _print_welcome(self) -> None:
        url = self.address.url
        push = f"{url}/api/live/push/demo"
        nodes = "".join(
            f"  {node.name}        http://127.0.0.1:{port}, pid {pid(node)}\n"
            for node, port in zip(self.nodes, self.ports, strict=True)
        )
        print(
            f"\n"
            f"Live is running on {NODES} nodes behind nginx at {url}\n"
            f"  sign in       demo / demo\n"
            f"{nodes}"
            f"  Redis         redis-cli -p {self.redis_port}, pid {pid(self.redis)}\n"
            f"  nginx         pid {pid(self.front)}\n"
            f"  logs          {self.folder}\n"
            f"  push token    {self.token}\n"
            f"  push          curl -i -H 'Authorization: Token {self.token}'"
            f" --data-binary 'weather,city=Oslo temperature=21.5' {push}\n"
            f"  kill a node   kill -9 {pid(self.nodes[0])}   (it comes back; open pages go on with the other one)\n"
            f"  kill Redis    kill -9 {pid(self.redis)}   (pages stay connected and get what they missed)\n"
            f"  end           Ctrl-C\n",
            flush=True,
        )


def pid(service: Service) -> int:
    """The process id of a service that runs, 0 of one that does not."""
    return service.child.process.pid if service.child is not None else 0


def main() -> int:
    """Sets up, then supervises; returns the exit code."""
    end_by_interrupt_on(signal.SIGTERM, signal.SIGHUP)
    if "MAKELEVEL" in os.environ:
        end_with_parent(signal.SIGTERM)
    address = Address({"PORT": str(free_port())} | os.environ)
    address.check_free()
    steps = Steps(prepare.STEPS + 3)
    prepare.prepare(steps, ["demo"])
    prepare.require_debian(steps, "Redis and nginx", [debian.REDIS, debian.NGINX])
    with steps.step("database"):
        run([environment.PYTHON, "manage.py", "migrate", "--verbosity", "0"])
    with steps.step("demo user and dashboards"):
        token = run([environment.PYTHON, "manage.py", "seed_demo", "--show-token"]).split()[-1]
    with tempfile.TemporaryDirectory(prefix="live-cluster-") as folder:
        return Cluster(Path(folder), address, token).run()


if __name__ == "__main__":
    sys.exit(main())
