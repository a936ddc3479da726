"""The site's servers on this machine: what limits they run with, and the backlogs they listen with. Linux only.

A shell has other limits than a service, so what runs is asked where something runs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
_PROGRAMS = {"daphne", "uvicorn", "hypercorn", "granian", "gunicorn"}


class Listener(NamedTuple):
    """A listening TCP socket."""

    address: str
    port: int
    backlog: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Limit(NamedTuple):
    """A limit of a process; None is no limit."""

    soft: int | None
    hard: int | None


@dataclass(frozen=True, slots=True)
class Server:
    """A process that serves the application."""

    pid: int
    program: str
    """The server's name, as ``daphne``."""
    files: Limit | None
    """How many files it may open; None: not known."""
    listeners: tuple[Listener, ...]

    def __str__(self) -> str:
        return f"{self.program} (process {self.pid})"


def find_servers(application: str, port: int | None = None) -> list[Server]:
    """The processes that were started to serve `application` (``package.module.name``), by their ids.

    Only those that listen on `port`, where there are such.
    """
    module, _, name = application.rpartition(".")
    if not module or not (PROC / "self" / "cmdline").exists():
        return []
    known = _listeners()
    servers = []
    for folder in PROC.iterdir():
        # Processes may end while they are looked at, or belong to somebody else.
        with contextlib.suppress(OSError):
            if not folder.name.isdigit():
                continue
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if f"{module}:{name}" in words:
                listeners = tuple(known[inode] for inode in _sockets(folder) if inode in known)
                servers.append(Server(int(folder.name), _program(words), _files(folder), listeners))
    servers.sort(key=lambda server: server.pid)
    # Others only start one, as sudo and timeout do.
    servers = [server for server in servers if server.listeners] or servers
    return [server for server in servers if any(at.port == port for at in server.listeners)] or servers


def _program(words: list[str]) -> str:
    """The server among the words of a command line: a script of that name, or the module of ``python -m``."""
    names = [os.path.basename(word) for word in words]
    return next((name for name in names if name in _PROGRAMS), names[0])


def _files(folder: Path) -> Limit | None:
    for line in (folder / "limits").read_text().splitlines():
        if line.startswith("Max open files"):
            soft, hard = (None if word == "unlimited" else int(word) for word in line.split()[3:5])
            return Limit(soft, hard)
    return None


def _sockets(folder: Path) -> Iterator[int]:
    """The inodes of a process's sockets; none where they are not ours to see."""
    with contextlib.suppress(OSError):
        for descriptor in (folder / "fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(descriptor)
                if target.startswith("socket:["):
                    yield int(target[8:-1])


# What follows is the kernel's interface (linux/netlink.h, sock_diag.h, inet_diag.h) that `ss -ltn` reads too: the
# backlog stands nowhere below /proc.

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_REQUEST = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states, no particular socket
_SOCKET = struct.Struct("=4x2s2x16s16x4x8x4x4xIxxxxI")  # port, address, longest queue, inode
_LISTENING = 1 << 10  # TCP_LISTEN
_ANSWER_SECONDS = 1.0


def _listeners() -> dict[int, Listener]:
    """The listening TCP sockets of this network namespace by inode; empty where the kernel does not tell."""
    found = {}
    with contextlib.suppress(OSError, AttributeError, struct.error):
        for family in (socket.AF_INET, socket.AF_INET6):
            for port, address, backlog, inode in _ask_kernel(family):
                packed = address[:4] if family == socket.AF_INET else address
                found[inode] = Listener(str(ip_address(packed)), int.from_bytes(port), backlog)
    return found


def _ask_kernel(family: int) -> Iterator[tuple[bytes, bytes, int, int]]:
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _LISTENING)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(_ANSWER_SECONDS)
        kernel.send(_HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _DUMP, 1, 0) + body)
        while True:
            data = kernel.recv(65536)
            while len(data) >= _HEADER.size:
                length, kind, *_ = _HEADER.unpack_from(data)
                if kind != _SOCK_DIAG_BY_FAMILY or length < _HEADER.size:
                    return
                yield _SOCKET.unpack_from(data, _HEADER.size)
                data = data[(length + 3) & ~3 :]
