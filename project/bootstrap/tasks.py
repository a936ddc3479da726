"""The small make targets: soak, format, docs, dist, clean."""

import os
import shutil
import signal
import tempfile

from project.bootstrap import environment, prepare
from project.bootstrap.checks import CODE, GROUPS, Check, docs_checks, python, run_all
from project.bootstrap.npm import BUILT, MODULES
from project.bootstrap.processes import end_with_parent
from project.bootstrap.steps import ROOT, Steps, end_by_interrupt_on, run

DIST = ROOT / "dist"
MADE = (environment.VENV, MODULES, *BUILT, DIST, *(ROOT / name for name in ("var", "build")))
SOAK_SECONDS = "120"
CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".nox")


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


def docs() -> int:
    """Writes the reference from the code, and makes the pages of docs/ in var/docs/html."""
    prepare.prepare_python(Steps(2), GROUPS)
    folder = ROOT / "var/docs"
    code = run_all([Check("reference", python("-m", "project.reference")), *docs_checks(folder)], os.environ)
    if not code:
        print(folder / "html/index.html")
    return code


def dist() -> int:
    """Builds the wheel and the source archive, with the pages' libraries in both, and tries out just these files."""
    steps = Steps(prepare.STEPS + 2)
    prepare.prepare(steps, GROUPS)
    with steps.step("wheel and source archive in dist/") as remarks:
        # `pip install dist/*.whl` and an upload take whatever is there.
        for old in DIST.glob("channels_live-*"):
            old.unlink()
        run(python("-m", "hatchling", "build", "--directory", DIST))
        remarks += sorted(path.name for path in DIST.glob("channels_live-*"))
    with steps.step("the wheel, alone in a fresh environment"), tempfile.TemporaryDirectory(prefix="live-dist-") as var:
        # The tutorial needs a browser; `make test` follows it.
        tests = ("tests/packaging", "--ignore=tests/packaging/test_tutorial.py")
        run(python("-m", "pytest", "-q", *tests), env=os.environ | {"LIVE_DIST": str(DIST), "LIVE_VAR": var})
    return 0


def clean() -> int:
    """Removes everything that the other targets made, the demo's database included."""
    for path in (*MADE, *(ROOT / name for name in CACHES)):
        shutil.rmtree(path, ignore_errors=True)
    for path in ROOT.glob(".coverage*"):
        path.unlink()
    return 0
