"""The tests over the versions that `live` is for: `nox`, or `nox --list` and one of what that shows.

Each session has an environment of its own, made with the Python it names; those whose Python is not on this machine are
skipped. `make dist` or `make test` comes first: it builds the libraries of the pages. `nox -- tests/store` runs what is
named after the two dashes in place of everything that the versions can make a difference to.
"""

from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13")
DJANGOS = {"5.2": "3.11", "6.0": "3.12", "6.1": "3.12"}
"""Series of Django, and the oldest Python that each takes."""
REDIS = ("5", "6", "7")
"""Major versions of redis-py."""

# Browsers, Node.js and the make targets are the same whatever is installed here.
TESTS = ("tests", "--ignore=tests/bootstrap", "--ignore=tests/browser")
BUILT = Path(__file__).parent / "live/static/live/vendor"

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "venv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.stop_on_first_error = False


def number(version: str) -> tuple[int, ...]:
    """A version as it is compared."""
    return tuple(map(int, version.split(".")))


MATRIX = [
    nox.param(
        python, django, redis, id=f"{python}-django{django}-redis{redis}", tags=[f"django{django}", f"redis{redis}"]
    )
    for python in PYTHONS
    for django, oldest in DJANGOS.items()
    if number(python) >= number(oldest)
    for redis in REDIS
]


@nox.session
@nox.parametrize("python,django,redis", MATRIX)
def tests(session: nox.Session, django: str, redis: str) -> None:
    """The tests with one version of Python, of Django and of redis-py."""
    if not BUILT.is_dir():
        session.error("The libraries of the pages are not built yet: run `make dist` first.")
    pyproject = nox.project.load_toml("pyproject.toml")
    tools = nox.project.dependency_groups(pyproject, "dev")
    demo = pyproject["project"]["optional-dependencies"]["demo"]
    session.install(
        "--requirement=requirements.txt", *demo, *tools, f"Django=={django}.*", f"redis=={redis}.*", silent=True
    )
    session.run("python", "-m", "pip", "check")
    chosen = session.posargs or ["-n", "2", "--dist", "loadfile", *TESTS]
    session.run("python", "-m", "pytest", "-q", *chosen, env={"LIVE_VAR": session.create_tmp()})
