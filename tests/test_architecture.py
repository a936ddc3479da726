"""The floors of the house: a module imports from its own floor or from below, and never the demo or a server."""

import ast
from pathlib import Path

import pytest

import live

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "live"

FLOORS = [
    {"channel", "exceptions", "conf", "lazy", "logs", "origin", "senders", "signals", "users", "waiting"},
    {"protocol", "frames"},
    {"store"},
    {"node"},
    {"handlers", "plugins", "publishing", "access", "notices", "sessions", "session_checks"},
    {"client", "login"},
    {"consumers", "push_consumer", "api", "models", "migrations", "admin"},
    {"asgi", "drain", "health", "apps", "checks", "metrics", "management", "commands", "templatetags", "testing", ""},
]
FORBIDDEN = {"project", "daphne", "uvicorn", "twisted", "autobahn"}


def floor_of(module: str) -> int:
    room = module.split(".")[1] if "." in module else ""
    return next(number for number, rooms in enumerate(FLOORS, 1) if room in rooms)


def imports_of(path: Path, *, nested: bool) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if nested else tree.body
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def _modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield pytest.param(name, path, id=name)


MODULES = list(_modules())


@pytest.mark.parametrize(("name", "path"), MODULES)
def test_imports_only_go_down(name, path):
    own = floor_of(name)
    for imported in imports_of(path, nested=True):
        if imported.startswith("live."):
            assert floor_of(imported) <= own, f"{name} (floor {own}) imports {imported} from above"


@pytest.mark.parametrize(("name", "path"), MODULES)
def test_no_module_imports_the_demo_or_a_server(name, path):
    assert not {imported.split(".")[0] for imported in imports_of(path, nested=False)} & FORBIDDEN


@pytest.mark.parametrize(("name", "path"), MODULES)
def test_modules_stay_small_and_say_what_they_are_for(name, path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    if text.strip() and "migrations" not in name:
        assert ast.get_docstring(ast.parse(text)), f"{name} does not say what it is for"


def test_the_public_api_is_what_it_says():
    assert sorted(live.__all__) == live.__all__
    assert dir(live) == live.__all__
    for name in live.__all__:
        value = getattr(live, name)
        assert name == "__version__" or value.__doc__, f"live.{name} has no docstring"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = live.nothing
