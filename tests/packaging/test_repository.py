"""What the repository says to those who use it, report to it or work on it is there, and leads somewhere."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.packaging.conftest import ROOT

PAGES = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/versions.md")
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("name", PAGES)
def test_links_inside_the_repository_lead_somewhere(name: str) -> None:
    page = ROOT / name
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    inside = [target for target in targets if "://" not in target]
    assert [target for target in inside if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_make_targets_that_are_named_exist(name: str) -> None:
    named = set(re.findall(r"^    make ([a-z]+)|`make ([a-z]+)", (ROOT / name).read_text(), re.MULTILINE))
    words = {word for pair in named for word in pair if word}
    (line,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert words
    assert words <= set(line.split())


def test_the_extras_are_explained() -> None:
    listed = re.findall(r"^\| `([a-z]+)` \|", (ROOT / "docs/versions.md").read_text(), re.MULTILINE)
    # `demo` is for the demo site, which the wheel does not hold.
    assert set(listed) == set(PROJECT["optional-dependencies"]) - {"demo"}


def test_there_are_forms_for_issues() -> None:
    assert [path.name for path in FORMS] == ["bug.yml", "documentation.yml", "idea.yml"]
    assert yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/config.yml").read_text()) == {"blank_issues_enabled": False}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_is_one_that_github_shows(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert set(form) == {"name", "description", "labels", "body"}
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"input", "textarea", "dropdown", "checkboxes"}
    ids = [field["id"] for field in fields]
    assert len(set(ids)) == len(ids)
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)
