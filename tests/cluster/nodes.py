"""Several nodes of one site: one database, one Redis, a daphne each."""

import json
import subprocess
import sys

import psutil

from tests.cluster.process import START_SECONDS, uncovered_environment, wait_until
from tests.site import ROOT, Site


class Node(Site):
    """One daphne of a site whose database others use too; `redis` are the variables that name the Redis."""

    daphne_options = ("--proxy-headers", "--verbosity", "0")

    def __init__(self, name, var, redis, **live):
        super().__init__(var, **live)
        self.name = name
        self.log_path = var / f"{name}.log"
        self.env = {
            **uncovered_environment(),
            "DJANGO_SETTINGS_MODULE": "tests.cluster.settings",
            "LIVE_VAR": str(var),
            "LIVE_TEST_SETTINGS": json.dumps(live),
            "PYTHONUNBUFFERED": "1",
            **redis,
        }

    def start(self):
        """Starts daphne and waits until the node is ready."""
        self.launch()
        self.wait_ready()

    def launch(self):
        """Starts daphne; see `wait_ready`."""
        endpoint = f"tcp:port={self.port}:interface=127.0.0.1:backlog=1024"
        command = [sys.executable, "-m", "daphne", "-e", endpoint, "--no-server-name", *self.daphne_options]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "project.asgi:application"], cwd=ROOT, env=self.env, stdout=log, stderr=log
            )

    def wait_ready(self):
        """Waits until ``/readyz`` says so."""
        wait_until(self._is_ready, lambda: f"{self.name} is not ready: {self.readiness()}\n{self.log}", START_SECONDS)

    def _is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.log}")
        return self.readiness() == (200, b"ok\n")

    def readiness(self):
        """(status, body) of ``/readyz``; (0, why) while nobody answers."""
        try:
            return self.request("GET", "/readyz")
        except OSError as error:
            return 0, str(error).encode()

    def connections(self):
        """How many connections to it are open."""
        found = psutil.Process(self.process.pid).net_connections("tcp")
        return sum(each.status == psutil.CONN_ESTABLISHED and each.laddr.port == self.port for each in found)


class Nodes:
    """Two nodes or more on one database under `folder`."""

    def __init__(self, folder, redis, count=2, **live):
        self.var = folder / "var"
        self.var.mkdir(parents=True)
        self.all = [Node(f"node-{number}", self.var, redis, **live) for number in range(1, count + 1)]

    def __iter__(self):
        return iter(self.all)

    def __getitem__(self, index):
        return self.all[index]

    @property
    def ports(self):
        """Where they listen."""
        return [node.port for node in self.all]

    @property
    def env(self):
        """The environment of a process of the same site."""
        return self.all[0].env

    def start(self):
        """Makes the database, starts all at once and waits until each is ready."""
        self.all[0].prepare()
        for node in self.all:
            node.launch()
        for node in self.all:
            node.wait_ready()

    def stop(self):
        """Ends those that run."""
        for node in self.all:
            if node.process is not None and node.process.poll() is None:
                node.process.kill()
        for node in self.all:
            if node.process is not None:
                node.process.wait()
                node.process = None

    @property
    def logs(self):
        """What all of them printed."""
        return "\n".join(f"--- {node.name}\n{node.log}" for node in self.all)
