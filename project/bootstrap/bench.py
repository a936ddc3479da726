"""`make bench`: sets up, then measures with `python -m bench`."""

import os
import sys

from project.bootstrap import debian, environment, prepare
from project.bootstrap.steps import ROOT, Steps


def main() -> int:
    """Becomes the benchmark once everything it needs is there."""
    steps = Steps(prepare.STEPS + 1)
    prepare.prepare(steps, ["demo", "dev"])
    prepare.require_debian(steps, "C compiler and Redis server", [debian.COMPILER, debian.REDIS])
    sys.stdout.flush()
    os.chdir(ROOT)
    os.execv(environment.PYTHON, [str(environment.PYTHON), "-m", "bench"])  # noqa: S606
