"""The wheel alone in a fresh environment: all of `live` is there and works in a blank project."""

import json
import shutil
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT
from tests.packaging.fresh import FreshEnvironment

TRY_OUT = Path(__file__).with_name("try_out.py")
TEST = """
import live
from live.testing import assert_publishes


def test_news(live_node):
    with assert_publishes("grafana/broadcast/news", data={"number": 1}):
        live.publish("grafana/broadcast/news", {"number": 1})
"""
NEEDS = {
    "live.api.schema": "drf_spectacular",
    "live.metrics": "prometheus_client",
    "live.testing.plugin": "pytest",
}
"""Modules, with those whose names go on from there, that need more than the package requires; and what they miss."""

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> FreshEnvironment:
    return FreshEnvironment(tmp_path_factory.mktemp("fresh") / "venv", wheel)


@pytest.fixture(scope="module")
def project(environment: FreshEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = environment.start_project(tmp_path_factory.mktemp("blank") / "mysite")
    environment.run("manage.py", "migrate", "--verbosity=0", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def found(environment: FreshEnvironment, project: Path) -> dict:
    shutil.copy(TRY_OUT, project)
    return json.loads(environment.run(TRY_OUT.name, cwd=project))


def names(folder: str, suffix: str = "") -> list[str]:
    """The files below a folder of the repository, as `try_out` names them."""
    start = ROOT / folder
    paths = [path for path in start.rglob(f"*{suffix}") if path.is_file() and "__pycache__" not in path.parts]
    return sorted(path.relative_to(start).as_posix() for path in paths)


def test_what_is_installed_satisfies_the_metadata(environment: FreshEnvironment) -> None:
    assert environment.pip("check").strip() == "No broken requirements found."


def test_nothing_else_of_the_repository_is_there(environment: FreshEnvironment, found: dict) -> None:
    assert Path(found["where"]).parent == environment.site_packages
    assert found["foreign"] == []


def test_every_public_name_is_there(environment: FreshEnvironment, found: dict) -> None:
    assert found["undocumented"] == []
    # Before Django is set up, too.
    environment.run("-c", "import live; live.Channel, live.LiveError")


def test_only_what_has_an_extra_needs_more_than_the_package_requires(found: dict) -> None:
    missing = found["missing"]
    known = {module: next((name for name in NEEDS if module.startswith(name)), "") for module in missing}
    assert {known[module] or module: name for module, name in missing.items()} == NEEDS


def test_lua_templates_and_static_files_are_there_and_typing_is(found: dict) -> None:
    assert found["typed"]
    assert found["lua"] == names("live/store", ".lua")
    assert found["templates"] == names("live/templates", ".html")
    assert found["static"] == names("live/static")
    assert found["not found"] == []
    assert {"live/live.js", "live/vendor/centrifuge.js"} <= set(found["static"])


def test_pages_and_the_websocket_answer(found: dict) -> None:
    assert set(found["pages"].values()) == {200}
    accepted, reply = found["connect"]
    assert accepted == "websocket.accept"
    assert reply["id"] == 1
    assert reply["connect"]["client"]


def test_a_blank_project_passes_djangos_checks(environment: FreshEnvironment, project: Path) -> None:
    checked = environment.run("manage.py", "check", "--fail-level", "WARNING", cwd=project)
    assert "no issues" in checked
    environment.run("manage.py", "makemigrations", "--check", "--dry-run", cwd=project)


def test_the_command_is_there(environment: FreshEnvironment, project: Path) -> None:
    shown = environment.run("manage.py", "live", "--help", cwd=project)
    for word in ("push", "publish", "listen", "channels", "token", "doctor"):
        assert f"\n    {word} " in shown


@pytest.mark.parametrize(
    ("extra", "use"),
    [
        ("redis", "from channels_redis.pubsub import RedisPubSubChannelLayer"),
        ("metrics", "from live.metrics import MetricsView"),
        ("schema", "from live.api import schema"),
        ("host", "from live.plugins.host import find_psutil; assert find_psutil()"),
        ("cli", "from websockets.sync.client import connect"),
    ],
)
def test_an_extra_brings_what_it_is_for(environment: FreshEnvironment, project: Path, extra: str, use: str) -> None:
    code = f"import mysite.asgi; {use}"
    environment.run("-c", code, cwd=project, env=environment.add(extra))


def test_with_all_extras_every_module_loads(environment: FreshEnvironment, project: Path) -> None:
    code = (
        "import importlib, pkgutil, mysite.asgi, live\n"
        "for module in pkgutil.walk_packages(live.__path__, 'live.'): importlib.import_module(module.name)"
    )
    environment.run("-c", code, cwd=project, env=environment.add("redis", "metrics", "schema", "host", "cli", "pytest"))


def test_pytest_finds_the_fixture_by_itself(environment: FreshEnvironment, project: Path) -> None:
    (project / "test_news.py").write_text(TEST)
    options = ("--ds=mysite.settings", "-p", "no:cacheprovider", "-q")
    shown = environment.run("-m", "pytest", *options, cwd=project, env=environment.add("pytest", "pytest-django"))
    assert "1 passed" in shown
