"""The pages of docs/ and the README: links lead somewhere, what is named exists."""

import re

import pytest

import live
from live.conf import LiveSettings
from tests.docs.markdown import anchors, links
from tests.docs.pages import PAGES, ROOT, name_of


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


def test_the_architecture_has_the_floors_that_the_test_of_imports_has():
    from tests.test_architecture import FLOORS

    page = (ROOT / "docs/architecture.md").read_text()
    rows = dict(re.findall(r"^\| (\d) \| ([^|]*) \|", page, re.MULTILINE))
    for number, rooms in enumerate(FLOORS, 1):
        said = {name.removesuffix(".py").rstrip("/") for name in re.findall(r"`live/([^`]*)`", rows[str(number)])}
        assert said == rooms - {"", "migrations"}
