"""The machine: open files, ports, backlogs, memory, against the clients that the settings allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from live.commands.doctor.finding import NOT_KNOWN, Finding, error, ok, warning
from live.commands.doctor.processes import Limit, Server

UNLIMITED_CLIENTS = 10_000
"""The clients to count with where ``LIVE["MAX_CONNECTIONS"]`` is -1."""
RESERVED_FILES = 128
"""Files of a process that are no clients: modules, the database, Redis, requests under way."""
CLIENT_BYTES = 28 * 1024
"""Memory of one client that subscribes, a little more than was measured with 15,000 (docs/performance.md)."""
PROCESS_BYTES = 100 * 1024 * 1024
"""Memory of a node without clients, with Django and a site's code."""
LEAST_BACKLOG, ENOUGH_BACKLOG = 128, 1024
GOOD_BACKLOG = 4096
"""What to write down: the kernel reserves nothing for it."""
MOST_SOCKETS = 500_000
"""Lines of the kernel's socket table that are read."""

_TIME_WAIT = "06"
_USING = {"01", "02", "04", "05", _TIME_WAIT}
"""States in /proc/net/tcp of a connection that keeps its port: established, opening, closing."""


class Machine:
    """What the kernel tells below `proc` and `cgroups`, against `clients` of one node (-1: no limit)."""

    def __init__(
        self,
        clients: int,
        servers: list[Server],
        *,
        own_files: Limit | None,
        proc: Path = Path("/proc"),
        cgroups: Path = Path("/sys/fs/cgroup"),
    ) -> None:
        self._limited = clients >= 0
        self._clients = clients if self._limited else UNLIMITED_CLIENTS
        self._servers = servers
        self._own_files = own_files
        self._proc = proc
        self._cgroups = cgroups

    @property
    def _for_clients(self) -> str:
        return f"for {self._clients:,} clients" + ("" if self._limited else " (MAX_CONNECTIONS sets no limit)")

    # Files

    def open_files(self) -> Iterator[Finding]:
        """The limit of each server that runs, or of this shell."""
        for server in self._servers:
            if server.files is not None:
                yield self._open_files(str(server), server.files)
        if not any(server.files for server in self._servers):
            if self._own_files is None:
                yield ok("open-files", NOT_KNOWN)
            else:
                yield self._open_files("this shell, as no server runs here", self._own_files)

    def _open_files(self, whose: str, limit: Limit) -> Finding:
        needed = self._clients + RESERVED_FILES
        hard = "" if limit.hard == limit.soft else f" (hard limit {_number(limit.hard)})"
        found = f"{whose}: {_number(limit.soft)} files{hard} {self._for_clients}"
        if limit.soft is None or limit.soft >= needed:
            return ok("open-files", found)
        good = max(65_536, 1 << needed.bit_length())
        fix = f"LimitNOFILE={good} in the [Service] of its systemd unit, `docker run --ulimit nofile={good}`"
        if limit.hard is None or limit.hard >= needed:
            fix += (
                f", or in the shell that starts it: ulimit -n {good if limit.hard is None else min(good, limit.hard)}"
            )
        if self._limited and limit.soft <= self._clients:
            return error("open-files", found, fix)
        return warning("open-files", found, fix)

    def system_files(self) -> Iterator[Finding]:
        """The limit of all processes together, and what of it is in use."""
        numbers = self._numbers("sys/fs/file-nr")
        if len(numbers) != 3:
            yield ok("system-files", NOT_KNOWN)
            return
        used, _, most = numbers
        nodes = max(1, len(self._servers))
        needed = used + nodes * (self._clients + RESERVED_FILES)
        found = f"{used:,} of {most:,} in use"
        if needed <= most:
            yield ok("system-files", found)
        else:
            fix = f"sysctl -w fs.file-max={2 * needed}, and the same line in /etc/sysctl.d/"
            yield error("system-files", f"{found}; {nodes} x {self._clients:,} clients do not fit", fix)

    # Ports

    def ports(self) -> Iterator[Finding]:
        """The range of ports that connections to a node get."""
        span = self._span()
        if span is None:
            yield ok("ports", NOT_KNOWN)
            return
        number = len(span)
        found = f"{number:,} ({span.start} to {span.stop - 1}) {self._for_clients} of a node"
        if number > self._clients:
            yield ok("ports", found)
        else:
            fix = (
                'sysctl -w net.ipv4.ip_local_port_range="10240 65535", and where that is not enough several nodes, '
                "or nodes on several addresses (127.0.0.1, 127.0.0.2)"
            )
            yield warning("ports", found, fix)

    def time_wait(self) -> Iterator[Finding]:
        """Sockets in TIME_WAIT, and how many ports the busiest server's address has taken."""
        span = self._span()
        # The second is missing where the machine has no IPv6.
        tables = [path for name in ("tcp", "tcp6") if (path := self._proc / "net" / name).exists()]
        if span is None or not tables:
            yield ok("time-wait", NOT_KNOWN)
            return
        waiting, taken = 0, Counter[str]()
        for table in tables:
            for local, remote, state in _connections(table):
                waiting += state == _TIME_WAIT
                if state in _USING and int(local.rpartition(":")[2], 16) in span:
                    taken[remote] += 1
        found = f"{waiting:,} sockets"
        if not taken:
            yield ok("time-wait", found)
            return
        [(busiest, number)] = taken.most_common(1)
        found += f"; connections to one address (port {int(busiest.rpartition(':')[2], 16)}) hold {number:,} ports"
        found += f" of {len(span):,}"
        if number <= len(span) / 2:
            yield ok("time-wait", found)
        else:
            fix = (
                'sysctl -w net.ipv4.tcp_tw_reuse=1 net.ipv4.ip_local_port_range="10240 65535", and kept connections '
                "from the proxy to its nodes (`keepalive` in an nginx upstream)"
            )
            yield warning("time-wait", found, fix)

    def _span(self) -> range | None:
        numbers = self._numbers("sys/net/ipv4/ip_local_port_range")
        return range(numbers[0], numbers[1] + 1) if len(numbers) == 2 else None

    # Backlogs

    @property
    def _needed_backlog(self) -> int:
        return max(LEAST_BACKLOG, min(self._clients, ENOUGH_BACKLOG))

    def somaxconn(self) -> Iterator[Finding]:
        """The kernel's limit of backlogs."""
        numbers = self._numbers("sys/net/core/somaxconn")
        if len(numbers) != 1:
            yield ok("somaxconn", NOT_KNOWN)
        elif numbers[0] >= self._needed_backlog:
            yield ok("somaxconn", f"{numbers[0]:,}")
        else:
            fix = f"sysctl -w net.core.somaxconn={GOOD_BACKLOG}, and start the servers anew"
            yield warning("somaxconn", f"{numbers[0]:,} {self._for_clients}", fix)

    def backlog(self) -> Iterator[Finding]:
        """The backlog of each server that runs."""
        listening = [(server, listener) for server in self._servers for listener in server.listeners]
        if not listening:
            runs = "the backlog of the server that runs is not ours to see" if self._servers else "no server runs here"
            yield ok("backlog", f"{NOT_KNOWN}: {runs}; daphne's own is 50, more has to be said in --endpoint")
        for server, listener in listening:
            found = f"{server} on {listener}: {listener.backlog:,}"
            if listener.backlog >= self._needed_backlog:
                yield ok("backlog", found)
            else:
                fix = f"--backlog {GOOD_BACKLOG}"
                if server.program == "daphne":
                    address = listener.address.replace(":", r"\:")
                    fix = f"daphne --endpoint 'tcp:port={listener.port}:interface={address}:backlog={GOOD_BACKLOG}'"
                yield warning("backlog", f"{found} {self._for_clients}", fix)

    # Memory

    def memory(self) -> Iterator[Finding]:
        """What is left for the clients, of the machine and of the control groups the server is in."""
        left = [*self._machine_left(), *self._group_left(self._servers[0].pid if self._servers else None)]
        if not left:
            yield ok("memory", NOT_KNOWN)
            return
        room, whose = min(left)
        needed = self._clients * CLIENT_BYTES + (0 if self._servers else PROCESS_BYTES)
        found = f"{_size(room)} left {whose}; about {_size(needed)} {self._for_clients}"
        fix = (
            "Give it more memory (MemoryMax= in a systemd unit, `docker update --memory`), or lower "
            'LIVE["MAX_CONNECTIONS"] and run nodes on more machines.'
        )
        if needed > room and self._limited:
            yield error("memory", found, fix)
        elif needed > room * 3 / 4:
            yield warning("memory", found, fix)
        else:
            yield ok("memory", found)

    def _machine_left(self) -> Iterator[tuple[int, str]]:
        for line in _lines(self._proc / "meminfo"):
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024, "on this machine"

    def _group_left(self, pid: int | None) -> Iterator[tuple[int, str]]:
        """What each control group above the process leaves, in version 2 and 1."""
        for line in _lines(self._proc / ("self" if pid is None else str(pid)) / "cgroup"):
            _, controllers, path = line.split(":", 2)
            if not controllers:
                base, names = self._cgroups, ("memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                base = self._cgroups / "memory"
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            else:
                continue
            folder = base / path.strip("/")
            # A container sees its own group at the top, whatever the path says.
            for group in (folder, *folder.parents):
                if not group.is_relative_to(base):
                    break
                yield from _left_of(group, *names)

    def _numbers(self, path: str) -> list[int]:
        return [int(word) for line in _lines(self._proc / path) for word in line.split()]


def _left_of(group: Path, limit: str, usage: str, cached: str) -> Iterator[tuple[int, str]]:
    most, used = ([*_lines(group / name)] for name in (limit, usage))
    if most and used and most[0].isdigit():
        stat = dict(line.split() for line in _lines(group / "memory.stat"))
        # The kernel takes cached files back before it kills anybody.
        yield int(most[0]) - int(used[0]) + int(stat.get(cached, 0)), "in its control group"


def _connections(table: Path) -> Iterator[tuple[str, str, str]]:
    """Local and remote address and state of each connection."""
    with table.open() as lines:
        for line in islice(lines, 1, MOST_SOCKETS):
            words = line.split(None, 4)
            yield words[1], words[2], words[3]


def _lines(path: Path) -> Iterable[str]:
    """The lines of a file of the kernel; none where there is no such file."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return ()


def _number(limit: int | None) -> str:
    return "unlimited" if limit is None else f"{limit:,}"


def _size(number: int) -> str:
    mebibytes = max(number, 0) / 2**20
    return f"{mebibytes / 1024:,.1f} GiB" if mebibytes >= 1024 else f"{mebibytes:,.0f} MiB"
