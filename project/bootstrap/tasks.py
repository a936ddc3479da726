"""The small make targets: format, dist, clean."""

import shutil

from project.bootstrap import environment, prepare
from project.bootstrap.checks import CODE, GROUPS, python
from project.bootstrap.npm import BUILT, MODULES
from project.bootstrap.steps import ROOT, Steps, run

MADE = (environment.VENV, MODULES, *BUILT, *(ROOT / name for name in ("var", "dist", "build")))
CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis")


def format_code() -> int:
    """Puts imports in order and the code in ruff's format."""
    prepare.prepare_python(Steps(2), GROUPS)
    print(run(python("-m", "ruff", "check", "--select", "I", "--fix", *CODE)), end="")
    print(run(python("-m", "ruff", "format", *CODE)), end="")
    return 0


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
