"""docs/testing.md as a project of somebody else: outside the repository, with own handler, plugin and tests, typed."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import live

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "testing.md"
BLOCKS = re.findall(r"^```(\w*)\n# (\S+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)

PROJECT = {
    "greenhouse/__init__.py": "",
    "greenhouse/settings.py": """\
SECRET_KEY = "for tests"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "live", "garden"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "greenhouse.urls"
ASGI_APPLICATION = "greenhouse.asgi.application"
USE_TZ = True
""",
    "greenhouse/urls.py": """\
from django.urls import path

from garden.views import water

urlpatterns = [path("water/<house>/", water)]
""",
    "greenhouse/asgi.py": """\
from live.asgi import live_application

application = live_application()
""",
    "garden/__init__.py": "",
    "garden/apps.py": """\
from django.apps import AppConfig


class GardenConfig(AppConfig):
    name = "garden"

    def ready(self) -> None:
        import garden.channels  # noqa: F401
""",
}
"""What the page takes for granted."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The page's blocks as the files that their first lines name, beside what every project has."""
    folder = tmp_path_factory.mktemp("somebody")
    for name, text in [*PROJECT.items(), *((name, text) for _, name, text in BLOCKS)]:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The metadata of an installed package, by which pytest finds its plugin; the code is the repository's."""
    folder = tmp_path_factory.mktemp("installed")
    info = folder / f"channels_live-{live.__version__}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: channels-live\nVersion: {live.__version__}\n")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in groups[group].items()) for group in groups
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def run(project, installed):
    """Runs a module of Python in the project, which sees the package and nothing else of the repository's settings."""

    def call(*arguments, **more):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "DJANGO"))}
        environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(installed)]), "LC_ALL": "C.UTF-8", **more}
        command = [sys.executable, "-m", *map(str, arguments)]
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=170)
        return done.returncode, done.stdout + done.stderr

    return call


def test_every_block_is_a_file_of_the_project():
    assert len(BLOCKS) == PAGE.read_text().count("\n```") / 2
    assert {language for language, _, _ in BLOCKS} == {"python", "toml"}


def test_its_tests_pass(run):
    code, output = run("pytest", "-q", "-p", "no:cacheprovider", "tests", "garden/tests.py")
    assert code == 0, output
    tests = sum(len(re.findall(r"^ *(?:async )?def test_", text, re.MULTILINE)) for _, _, text in BLOCKS)
    assert re.search(rf"^{tests} passed", output, re.MULTILINE), output


def test_its_tests_pass_with_djangos_runner(run):
    code, output = run("django", "test", "garden", DJANGO_SETTINGS_MODULE="greenhouse.settings", PYTHONWARNINGS="error")
    assert code == 0, output
    assert "Ran 2 tests" in output


def test_a_failure_says_what_was_published(run, project):
    (project / "broken").mkdir()
    (project / "broken" / "test_broken.py").write_text(
        "import live\nfrom live.testing import assert_publishes\n\n\n"
        "def test_it(live_node):\n"
        "    with assert_publishes('garden/notes/north', timeout=0.01):\n"
        "        live.publish('garden/notes/south', 1)\n"
    )
    code, output = run("pytest", "-q", "-p", "no:cacheprovider", "broken")
    assert code == 1
    assert "elsewhere: garden/notes/south (1)" in output


@pytest.mark.timeout(180)  # The types of Django are read, too.
def test_its_types_are_right(run):
    code, output = run("mypy", "--strict", "greenhouse", "garden", "tests")
    assert code == 0, output


@pytest.mark.timeout(180)
def test_a_wrong_name_is_found_by_mypy(run, project):
    (project / "wrong.py").write_text("import live\nimport live.testing\n\nlive.publich\nlive.testing.Recordr\n")
    code, output = run("mypy", "--strict", "wrong.py")
    assert code == 1
    for line, meant in ((4, "publish"), (5, "Recorder")):
        assert re.search(rf'^wrong.py:{line}: error: Module has no attribute .*"{meant}"', output, re.MULTILINE), output
