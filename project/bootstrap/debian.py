"""Debian's packages for what pip and npm cannot bring: a browser, a Redis server, a C compiler.

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
COMPILER = (("cc", "gcc", "clang"), ("gcc", "libc6-dev"))

Need = tuple[Sequence[str], Sequence[str]]


def missing(needs: Iterable[Need]) -> list[str]:
    """The packages of those needs for which no program is on PATH."""
    return [
        package
        for programs, packages in needs
        if not any(shutil.which(program) for program in programs)
        for package in packages
    ]


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
