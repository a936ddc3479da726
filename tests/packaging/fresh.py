"""A fresh virtual environment for tests: the built wheel, the packages its metadata asks for, and nothing else.

The packages are links to those of the environment that runs the tests, so nothing is downloaded.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

NAME = "channels-live"
SECONDS = 110
SETTINGS = """
INSTALLED_APPS = ["daphne", *INSTALLED_APPS, "rest_framework", "rest_framework.authtoken", "live"]
ASGI_APPLICATION = "mysite.asgi.application"
LIVE = {"ALLOW_ANONYMOUS": True}
"""
URLS = """
from django.urls import include

urlpatterns += [path("api/live/", include("live.api.urls"))]
"""
ASGI = """
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")

from live.asgi import live_application

application = live_application()
"""


def asked_by(installed: Distribution, extras: Iterable[str] = ()) -> list[Requirement]:
    """What a distribution asks for here, with these extras."""
    chosen = [{"extra": extra} for extra in extras] or [{"extra": ""}]
    listed = [Requirement(line) for line in installed.requires or ()]
    return [each for each in listed if each.marker is None or any(map(each.marker.evaluate, chosen))]


def closure(requirements: Iterable[Requirement]) -> list[Distribution]:
    """The distributions that these requirements and theirs ask for; PackageNotFoundError where one is missing."""
    waiting, found = list(requirements), {}
    while waiting:
        requirement = waiting.pop()
        key = (requirement.name.lower(), frozenset(requirement.extras))
        if key not in found:
            found[key] = distribution(requirement.name)
            waiting += asked_by(found[key], requirement.extras)
    return list(found.values())


def link(distributions: Iterable[Distribution], folder: Path) -> None:
    """Makes links in the folder to what these distributions installed."""
    for each in distributions:
        # Scripts, which lie outside, begin with "..".
        for name in {file.parts[0] for file in each.files or ()} - {"..", "__pycache__"}:
            target = folder / name
            if not target.exists():
                target.symlink_to(each.locate_file(name))


def checked(command: list[str | Path], **options) -> str:
    """Runs a command and returns its output; raises AssertionError with everything it printed when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL, **options)
    words = " ".join(map(str, command))
    assert done.returncode == 0, f"`{words}` ended with code {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


class FreshEnvironment:
    """A virtual environment in `folder` with a wheel in it; `python` is its interpreter."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        checked([sys.executable, "-m", "venv", "--without-pip", folder])
        self.site_packages = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        self.pip("install", "--no-deps", "--no-index", wheel)
        (self.live,) = Distribution.discover(name=NAME, path=[str(self.site_packages)])
        link(closure(asked_by(self.live)), self.site_packages)

    def add(self, *names: str) -> dict[str, str]:
        """The variables with which `run` sees, too, what these extras ask for, or packages of these names."""
        folder = self.folder / f"with-{'-'.join(names)}"
        if not folder.exists():
            folder.mkdir()
            extras = set(self.live.metadata.get_all("Provides-Extra", ()))
            others = [Requirement(name) for name in names if name not in extras]
            link(closure(asked_by(self.live, extras.intersection(names)) + others), folder)
        return {"PYTHONPATH": str(folder)}

    def run(self, *args: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
        """Runs its Python, which sees none of the tests' variables, and returns what that prints."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return checked([self.python, *args], cwd=cwd or self.folder, env=kept | (env or {}))

    def pip(self, *args: str | Path) -> str:
        """Runs pip on it; it has none of its own."""
        return checked([sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python, *args])

    def start_project(self, folder: Path) -> Path:
        """A blank `startproject` with the lines that README.md adds; its folder."""
        folder.mkdir()
        self.run("-m", "django", "startproject", "mysite", folder)
        for name, lines in (("settings", SETTINGS), ("urls", URLS)):
            with (folder / "mysite" / f"{name}.py").open("a") as file:
                file.write(lines)
        (folder / "mysite" / "asgi.py").write_text(ASGI)
        return folder
