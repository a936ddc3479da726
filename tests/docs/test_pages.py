"""The pages of docs/ and the README: links lead somewhere, what is named exists, blocks are in their language."""

import ast
import json
import re
import sys
import textwrap
import tomllib
import types
from pathlib import Path

import pytest
import yaml
from django.contrib.auth.models import AnonymousUser, User

import live
from live.conf import LiveSettings
from live.handlers.registry import find_handler, unregister
from tests.docs.markdown import anchors, blocks, links

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROSE = [path for path in PAGES if path.parent.name != "reference"]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_inside_lead_somewhere(path):
    for target, _, anchor in (link.partition("#") for link in links(path.read_text())):
        if "://" in target or target.startswith("mailto:"):
            continue
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), f"{target} is nowhere"
        assert found.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(found.read_text()), f"{target} has no heading #{anchor}"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_files_that_are_named_exist(path):
    named = re.findall(r"`((?:live|project|tests|bench|deploy|docs)/[\w./@-]*[\w/])`", path.read_text())
    # The URLs of static files are not those of the repository.
    files = [name for name in named if not name.startswith(("live/live.", "live/frames."))]
    assert [name for name in files if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_settings_that_are_named_exist(path):
    named = set(re.findall(r"LIVE\[[\"']([A-Z_]+)[\"']\]", path.read_text()))
    assert {name for name in named if name.lower() not in LiveSettings.__dataclass_fields__} == set()


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_public_names_that_are_named_exist(path):
    named = re.findall(r"\blive\.([A-Z]\w*|\w+(?=\())", path.read_text())
    assert {name for name in named if name not in live.__all__} == set()


@pytest.mark.parametrize("path", PROSE, ids=name_of)
def test_blocks_are_of_the_language_they_say(path):
    for language, text in blocks(path.read_text()):
        match language:
            case "python":
                # A part of a dictionary is shown as such in one place.
                text = textwrap.dedent(text)
                whole = text if not re.match(r'"\w+": ', text) else "{" + text + "}"
                compile(whole, name_of(path), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            case "toml":
                tomllib.loads(text)
            case "yaml":
                list(yaml.compose_all(text))
            case "json":
                json.loads(text)
            case _:
                assert language in {"sh", "text", "html", "css", "js", "ts", "{toctree}", "{include}", ""}


def test_the_architecture_has_the_floors_that_the_test_of_imports_has():
    from tests.test_architecture import FLOORS

    page = (ROOT / "docs/architecture.md").read_text()
    rows = dict(re.findall(r"^\| (\d) \| ([^|]*) \|", page, re.MULTILINE))
    for number, rooms in enumerate(FLOORS, 1):
        said = {name.removesuffix(".py").rstrip("/") for name in re.findall(r"`live/([^`]*)`", rows[str(number)])}
        assert said == rooms - {"", "migrations"}


@pytest.fixture
def answers():
    """docs/faq.md after its Python block."""
    module = types.ModuleType("faq")
    sys.modules["faq"] = module
    for language, text in blocks((ROOT / "docs/faq.md").read_text()):
        if language == "python":
            exec(compile(text, "docs/faq.md", "exec"), vars(module))
    yield module
    del sys.modules["faq"]
    unregister("user")


async def test_an_inbox_is_for_its_user(answers):
    channel = live.Channel.parse("user/7/inbox")
    handler = find_handler(channel)
    assert isinstance(handler, answers.Inbox)
    assert await handler.can_subscribe(User(pk=7), channel, None)
    assert not await handler.can_subscribe(User(pk=8), channel, None)
    assert not await handler.can_subscribe(AnonymousUser(), channel, None)
