"""The small make targets: soak, format, dist, clean."""

import os
import shutil
import signal
import tempfile

from project.bootstrap import environment, prepare
from project.bootstrap.checks import CODE, GROUPS, Check, python, run_all
from project.bootstrap.npm import BUILT, MODULES
from project.bootstrap.processes import end_with_parent
from project.bootstrap.steps import ROOT, Steps, end_by_interrupt_on, run

MADE = (environment.VENV, MODULES, *BUILT, *(ROOT / name for name in ("var", "dist", "build")))
SOAK_SECONDS = "120"
CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis")


def format_code() -> int:
    """Puts imports in order and the code in ruff's format."""
    prepare.prepare_python(Steps(2), GROUPS)
    print(run(python("-m", "ruff", "check", "--select", "I", "--fix", *CODE)), end="")
    print(run(python("-m", "ruff", "format", *CODE)), end="")
    return 0


def soak() -> int:
    """Runs the soak for two minutes, or for the seconds in LIVE_SOAK_SECONDS, and prints what it counts."""
    end_by_interrupt_on(signal.SIGTERM, signal.SIGHUP)
    if "MAKELEVEL" in os.environ:
        end_with_parent(signal.SIGTERM)
    prepare.prepare(Steps(prepare.STEPS), GROUPS)
    check = Check("soak", python("-m", "pytest", "-s", "tests/integration/test_soak.py"))
    with tempfile.TemporaryDirectory(prefix="live-soak-") as folder:
        env = {"LIVE_SOAK_SECONDS": SOAK_SECONDS} | os.environ | {"LIVE_VAR": folder, "PYTHONUNBUFFERED": "1"}
        return run_all([check], env)


def dist() -> int:
    """Builds the wheel and the source archive, with the pages' libraries in both."""
    steps = Steps(prepare.STEPS + 1)
    prepare.prepare(steps, GROUPS)
    with steps.step("wheel and source archive in dist/"):
        run(python("-m", "hatchling", "build", "--directory", "dist"))
    return 0


def clean() -> int:
    """Removes everything that the other targets made, the demo's database included."""
    for path in (*MADE, *(ROOT / name for name in CACHES)):
        shutil.rmtree(path, ignore_errors=True)
    for path in ROOT.glob(".coverage*"):
        path.unlink()
    return 0
