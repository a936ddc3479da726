"""Debian's packages for what pip and npm cannot bring: a browser, Redis, proxies, a C compiler.

A program counts as present when it can be found, wherever it came from. What is missing is installed when this is root
or sudo asks for no password; otherwise one message names the packages and the command.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence

from project.bootstrap.steps import SetupError, run

# Names under which a program may be found, and the packages that bring it.
BROWSER = (("chromium", "chromium-browser", "google-chrome"), ("chromium", "fonts-liberation"))
REDIS = (("redis-server", "valkey-server"), ("redis-server",))
NGINX = (("nginx",), ("nginx",))
HAPROXY = (("haproxy",), ("haproxy",))
COMPOSE = (("docker-compose",), ("docker-compose",))
# Checks units; nothing of it runs.
SYSTEMD = (("systemd-analyze",), ("systemd",))
# What docs/tutorial.md has its readers type.
CURL = (("curl",), ("curl",))
COMPILER = (("cc", "gcc", "clang"), ("gcc", "libc6-dev"))

# Packages that start a server of their own when they are installed. It is not wanted: who wants it had it before.
SERVICES = ("redis-server", "nginx", "haproxy")

Need = tuple[Sequence[str], Sequence[str]]


def missing(needs: Iterable[Need]) -> list[str]:
    """The packages of those needs for which no program is on PATH."""
    return [
        package
        for programs, packages in needs
        if not any(find(program) for program in programs)
        for package in packages
    ]


def find(program: str) -> str | None:
    """Where a program is: on PATH, or where servers are installed, which only root has on PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/local/sbin:/usr/sbin:/sbin")


def program(need: Need) -> str:
    """The program of a need that was required before."""
    found = next(filter(None, map(find, need[0])), None)
    if found is None:
        raise SetupError(f"{need[0][0]} cannot be found; it is in Debian's package {need[1][0]}.")
    return found


def require(needs: Iterable[Need]) -> str:
    """Installs what is missing; returns a word on what was done. Raises SetupError where it must not install."""
    packages = missing(needs)
    if not packages:
        return "present"
    install(packages)
    return "installed " + " ".join(packages)


def install(packages: Sequence[str]) -> None:
    """Installs packages with apt-get as root or by a sudo that asks nothing; raises SetupError otherwise."""
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise SetupError(f"Missing: {names} (Debian's names). Install them with this system's package manager.")
    prefix = privileges()
    if prefix is None:
        raise SetupError(f"Missing Debian packages: {names}. Install them with: sudo apt-get install {names}")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run([*prefix, "apt-get", "update", "--quiet"], env=env)
    run([*prefix, "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages], env=env)
    stop_services([*prefix], [package for package in packages if package in SERVICES])


def stop_services(prefix: Sequence[str], services: Sequence[str]) -> None:
    """Stops what the packages just installed have started, and keeps it from starting with the machine."""
    if services and os.path.isdir("/run/systemd/system"):
        run([*prefix, "systemctl", "disable", "--quiet", "--now", *services])


def privileges() -> list[str] | None:
    """What to put before a command to run it as root: nothing, sudo, or None when there is no way."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    return None
