"""The virtual environment `.venv` and the Python packages in it.

What is installed is read from requirements.txt and from pyproject.toml's extras and groups: one list of each.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from project.bootstrap import debian
from project.bootstrap.steps import ROOT, SetupError, digest, is_stamped, run

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
_PROBE = "import importlib.util as u, sys; sys.exit(sys.version_info < (3, 11) or u.find_spec('pip') is None)"


def is_usable() -> bool:
    """Whether `.venv` holds a Python that starts, is new enough and has pip."""
    try:
        return subprocess.run([PYTHON, "-c", _PROBE], stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def create() -> str:
    """Makes `.venv` unless there is a usable one; returns a word on what was done."""
    if is_usable():
        return "present"
    ensure_venv_module()
    run([sys.executable, "-m", "venv", "--clear", VENV])
    if not is_usable():
        raise SetupError(f"{sys.executable} -m venv made no usable environment in {VENV}.")
    return "created"


def ensure_venv_module() -> None:
    """Debian splits venv off Python: installs the package where possible, raises SetupError naming it otherwise."""
    probe = [sys.executable, "-c", "import ensurepip, venv"]
    if subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return
    package = "python{}.{}-venv".format(*sys.version_info) if is_debians_python() else ""
    if not package:
        raise SetupError(f"{sys.executable} has no `venv` and `ensurepip` modules; set PYTHON=/path/to/another/python.")
    debian.install([package])


def is_debians_python() -> bool:
    """Whether this interpreter came with the system, so that apt can complete it."""
    return Path(sys.base_prefix) == Path("/usr") and shutil.which("apt-get") is not None


def requirements(groups: Iterable[str] = ()) -> list[str]:
    """The requirement lines of requirements.txt and of pyproject.toml's extras or dependency groups of these names."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = pyproject["project"]["optional-dependencies"] | pyproject["dependency-groups"]
    for group in groups:
        wanted += named[group]
    return wanted


def install(*groups: str) -> str:
    """Installs requirements.txt and these groups unless that was done before; returns a word on what was done."""
    wanted = requirements(groups)
    stamp = VENV / f"installed-{'-'.join(groups) or 'runtime'}"
    key = digest(*wanted, os.readlink(PYTHON) if PYTHON.is_symlink() else "")
    if is_stamped(stamp, key):
        return "present"
    run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted])
    stamp.write_text(key)
    return "installed"


def site_packages() -> Path:
    """Where `.venv` keeps its packages."""
    return Path(run([PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
