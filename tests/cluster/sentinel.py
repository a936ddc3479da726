"""Redis with Sentinel: a primary, two replicas, three sentinels, and HAProxy in front where it is wanted."""

import signal

from project.bootstrap import debian, deploy
from tests.cluster.fronts import haproxy_command
from tests.cluster.process import Process, wait_until
from tests.redis_server import RedisServer
from tests.site import free_port

HOST = "127.0.0.1"
MASTER = "live"
DOWN_AFTER = 1000
"""Milliseconds; deploy/sentinel.conf has 5000, which would only make the tests longer."""


class Redis(RedisServer):
    """A Redis with a copy of deploy/redis.conf, which Sentinel has it rewrite."""

    def command(self):
        line = super().command()
        path = self.folder / "redis.conf"
        if not path.exists():
            path.write_text(deploy.rendered("redis.conf", {}))
        # A file of settings comes first, what the command line says goes before it.
        return [line[0], str(path), *line[1:]]


class Sentinel(Process):
    """deploy/sentinel.conf, watching the Redis on a port of this machine."""

    def __init__(self, folder, name, redis_port):
        self.name = name
        super().__init__(folder)
        self.port = free_port()
        changes = {
            "monitor live redis-1 6379 2": f"monitor live {HOST} {redis_port} 2",
            "down-after-milliseconds live 5000": f"down-after-milliseconds live {DOWN_AFTER}",
            "failover-timeout live 30000": "failover-timeout live 5000",
        }
        self.path = folder / f"{name}.conf"
        self.path.write_text(deploy.rendered("sentinel.conf", changes))

    def command(self):
        options = ["--port", self.port, "--bind", HOST, "--dir", self.folder]
        return [debian.program(debian.REDIS), str(self.path), "--sentinel", *map(str, options)]


class SentinelGroup:
    """Three Redis and three sentinels that agree on the primary."""

    def __init__(self, folder):
        self.folder = folder
        # The first copy to a replica otherwise waits 5 s for others that might want one.
        self.servers = [Redis(folder / f"redis-{number}", repl_diskless_sync_delay=0) for number in (1, 2, 3)]
        for replica in self.servers[1:]:
            replica.options["replicaof"] = f"{HOST} {self.servers[0].port}"
        port = self.servers[0].port
        self.sentinels = [Sentinel(folder / f"sentinel-{n}", f"sentinel-{n}", port) for n in (1, 2, 3)]

    @property
    def env(self):
        """What the demo's settings read."""
        addresses = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return {"LIVE_REDIS_SENTINELS": addresses, "LIVE_REDIS_MASTER": MASTER}

    def start(self):
        """Starts all and waits until the replicas have everything and the sentinels know of each other."""
        for server in self.servers:
            server.start()
        # The sentinels look for replicas when they start, and then every 10 s.
        wait_until(self._is_synced, lambda: "\n".join(server.log for server in self.servers))
        for sentinel in self.sentinels:
            sentinel.start()
        wait_until(self._is_settled, lambda: "\n".join(sentinel.log for sentinel in self.sentinels))

    def _is_synced(self):
        return all(replica.info("replication")["master_link_status"] == "up" for replica in self.servers[1:])

    def _is_settled(self):
        known = {"num-slaves": "2", "num-other-sentinels": "2"}.items()
        return all(known <= self._ask(sentinel).items() for sentinel in self.sentinels)

    def _ask(self, sentinel):
        """What a sentinel says of the primary, by name."""
        words = self._cli(sentinel, "SENTINEL", "MASTER", MASTER).split("\n")
        return dict(zip(words[::2], words[1::2], strict=False))

    def _cli(self, sentinel, *words):
        client = RedisServer(self.folder, port=sentinel.port)
        return client.cli(*words)

    @property
    def primary(self):
        """The server that the sentinels call the primary."""
        _, port = self._cli(self.sentinels[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER).split("\n")
        return next(server for server in self.servers if server.port == int(port))

    def kill_primary(self):
        """Kills it, as a crash does; returns it."""
        primary = self.primary
        primary.kill()
        return primary

    def wait_for_another(self, former):
        """Waits until all sentinels name another primary than `former`."""

        def changed():
            ports = {self._cli(s, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER) for s in self.sentinels}
            return len(ports) == 1 and self.primary is not former

        wait_until(changed, lambda: "\n".join(sentinel.log for sentinel in self.sentinels))

    def stop(self):
        """Ends all."""
        for sentinel in self.sentinels:
            sentinel.stop(signal.SIGKILL)
        for server in self.servers:
            server.stop()


class HAProxyRedis(Process):
    """The part "redis" of deploy/haproxy.cfg in front of a group; the other part has no node behind it."""

    name = "haproxy"

    def __init__(self, folder, group):
        super().__init__(folder)
        self.group = group
        self.port = free_port()

    @property
    def env(self):
        """What the demo's settings read."""
        return {"LIVE_REDIS_URL": f"redis://{HOST}:{self.port}"}

    def command(self):
        changes = {
            "bind :80 ": f"bind {HOST}:{free_port()} ",
            "bind :6379\n": f"bind {HOST}:{self.port}\n",
            "web-1:8000": f"{HOST}:{free_port()}",
            "web-2:8000": f"{HOST}:{free_port()}",
        }
        for number, (server, sentinel) in enumerate(zip(self.group.servers, self.group.sentinels, strict=True), 1):
            changes |= {
                f"redis-{number}:6379": f"{HOST}:{server.port}",
                f"sentinel-{number}:26379": f"{HOST}:{sentinel.port}",
                # The sentinels answer with a name where they have names; here only the ports differ.
                f"16 string redis-{number}\n": f"16 string {server.port}\n",
            }
        return haproxy_command(self.folder, changes)

    def works(self):
        """Whether it leads to a primary."""
        return RedisServer(self.folder, port=self.port).answers()
