"""The set-up that the demo, the tests and the benchmark share; a second run finds all done and takes a second."""

import contextlib
import fcntl
from collections.abc import Iterable, Iterator

from project.bootstrap import debian, environment, npm
from project.bootstrap.steps import ROOT, Steps

STEPS = 3


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keeps two `make` in one checkout from setting it up at the same time: the second waits for the first."""
    with (ROOT / "Makefile").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another `make` is setting up this checkout; waiting for it.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepare_python(steps: Steps, groups: Iterable[str]) -> None:
    """Virtual environment and the Python packages of these groups: two steps."""
    with alone():
        with steps.step("virtual environment .venv") as remarks:
            remarks.append(environment.create())
        with steps.step("Python packages") as remarks:
            remarks.append(environment.install(*groups))


def prepare(steps: Steps, groups: Iterable[str]) -> None:
    """The above and the npm packages: three steps."""
    prepare_python(steps, groups)
    with alone(), steps.step("npm packages of the pages") as remarks:
        remarks.append(npm.build())


def require_debian(steps: Steps, title: str, needs: Iterable[debian.Need]) -> None:
    """Programs from Debian's packages: one step."""
    with alone(), steps.step(title) as remarks:
        remarks.append(debian.require(needs))
