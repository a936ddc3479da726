"""`make test` and `make lint`: every check with its name, time and result; all are run, whatever fails.

The checks get an environment with the set-up's node and npm on PATH and a state folder of their own, so they neither
see nor change the developer's database. pytest's closing line is printed last, for CI and for people.
"""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from project.bootstrap import debian, environment, npm, prepare
from project.bootstrap.processes import describe, die_with_parent, end_with_parent
from project.bootstrap.steps import ROOT, Steps, end_by_interrupt_on, error

GROUPS = ("demo", "dev")
LEAST_COVERAGE = 95
STOP_SECONDS = 15.0
CODE = ("live", "project", "tests", "bench", "manage.py", "noxfile.py", "docs/conf.py")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Check:
    """One command and, once it ran, how it ended."""

    name: str
    args: Sequence[str | Path]
    code: int = 0
    seconds: float = 0.0
    last_line: str = ""

    def run(self, env: Mapping[str, str]) -> None:
        """Runs the command, passing its output on as it comes."""
        print(f"\n== {self.name}", flush=True)
        started = time.monotonic()
        process = subprocess.Popen(
            [str(arg) for arg in self.args],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Its own group, so that Ctrl-C reaches it once and only through the code below.
            process_group=0,
            preexec_fn=die_with_parent(os.getpid(), signal.SIGINT),
        )
        try:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                self.last_line = line.strip() or self.last_line
            process.wait()
        except BaseException:
            self._interrupt(process)
            raise
        self.code, self.seconds = process.returncode, time.monotonic() - started
        print(f"-- {self.name}: {self.result} in {self.seconds:.1f} s", flush=True)

    @staticmethod
    def _interrupt(process: subprocess.Popen[str]) -> None:
        """Lets pytest end the processes that its tests started; what is left after that is killed."""
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    @property
    def result(self) -> str:
        """How it ended, in words."""
        return "passed" if self.code == 0 else f"FAILED ({describe(self.code)})"


def python(*args: str | Path) -> list[str | Path]:
    """A command line for the environment's Python."""
    return [environment.PYTHON, *args]


def lint_checks() -> list[Check]:
    """What reads the code without running it."""
    return [
        Check("ruff check", python("-m", "ruff", "check", *CODE)),
        Check("ruff format --check", python("-m", "ruff", "format", "--check", *CODE)),
        Check("mypy --strict live", python("-m", "mypy", "--strict", "live")),
    ]


def django_checks() -> list[Check]:
    """What Django itself can tell."""
    return [
        Check("makemigrations --check", python("manage.py", "makemigrations", "--check", "--dry-run")),
        Check("manage.py check", python("manage.py", "check", "--fail-level", "WARNING")),
    ]


def node_checks() -> list[Check]:
    """Node's test runner over tests/js; the files are named because its versions disagree on what a folder means."""
    files = sorted(path.relative_to(ROOT) for path in (ROOT / "tests/js").rglob("*.test.*js"))
    return [Check("node --test tests/js", ["node", "--test", *files])] if files else []


def pytest_checks() -> list[Check]:
    """pytest over everything, and the coverage of `live` with the processes that the tests started.

    Most tests wait for other processes more than they compute, so three at a time keep two cores busy. The tests of a
    file stay together: they share a site. Files begin in the order of tests/conftest.py, the longest first.
    """
    three = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
    return [
        Check("pytest", python("-m", "coverage", "run", "-m", "pytest", *three)),
        Check("coverage combine", python("-m", "coverage", "combine", "--quiet")),
        Check("coverage of live", python("-m", "coverage", "report", f"--fail-under={LEAST_COVERAGE}")),
    ]


def docs_checks(folder: Path) -> list[Check]:
    """The pages of docs/, made below `folder`; every warning is an error, as broken links and pages left out are."""
    options = ("-W", "--keep-going", "-q", "-b", "html", "-d", folder / "doctrees")
    return [Check("sphinx docs", python("-m", "sphinx", *options, "docs", folder / "html"))]


def run_all(checks: Sequence[Check], env: Mapping[str, str]) -> int:
    """Runs every check, prints how each ended, and returns the exit code."""
    started = time.monotonic()
    for check in checks:
        check.run(env)
    print(f"\n== summary: {time.monotonic() - started:.0f} s")
    for check in checks:
        print(f"{check.seconds:7.1f} s  {check.name}: {check.result}")
    for check in sorted(checks, key=lambda each: each.name == "pytest"):
        if check.name in ("pytest", "coverage of live"):
            print(_COLOUR.sub("", check.last_line))
    failed = [check.name for check in checks if check.code]
    if failed:
        error(f"Failed: {', '.join(failed)}")
    return 1 if failed else 0


def test() -> int:
    """Sets up and runs everything."""
    end_by_interrupt_on(signal.SIGTERM, signal.SIGHUP)
    if "MAKELEVEL" in os.environ:
        end_with_parent(signal.SIGTERM)
    steps = Steps(prepare.STEPS + 1)
    prepare.prepare(steps, GROUPS)
    needs = [debian.BROWSER, debian.REDIS, debian.NGINX, debian.HAPROXY, debian.COMPOSE, debian.SYSTEMD, debian.CURL]
    prepare.require_debian(steps, "browser, Redis, nginx, HAProxy, docker-compose, systemd, curl", needs)
    env, _ = npm.node_env()
    # Where it is set, each of the hundreds of Python processes compiles every module anew.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="live-test-") as folder:
        docs = docs_checks(Path(folder, "docs"))
        checks = [*lint_checks(), *docs, *django_checks(), *node_checks(), *pytest_checks()]
        env |= {"LIVE_VAR": folder, "COVERAGE_FILE": f"{folder}/coverage", "PYTHONUNBUFFERED": "1"}
        return run_all(checks, env)


def lint() -> int:
    """Sets up Python only and runs what reads the code."""
    steps = Steps(2)
    prepare.prepare_python(steps, GROUPS)
    with tempfile.TemporaryDirectory(prefix="live-lint-") as folder:
        return run_all(lint_checks(), os.environ | {"LIVE_VAR": folder})
