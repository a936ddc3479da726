"""The wheel and the source archive: one list of requirements, `live` with everything it needs, and nothing else."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

import live
from tests.packaging.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def opened(wheel: Path) -> zipfile.ZipFile:
    with zipfile.ZipFile(wheel) as archive:
        yield archive


@pytest.fixture
def metadata(opened: zipfile.ZipFile) -> Message:
    (name,) = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(opened.read(name).decode())


def test_requirements_txt_and_pyproject_agree() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert PROJECT["dependencies"] == [line for line in lines if line and not line.startswith("#")]


def test_what_an_extra_repeats_is_the_same_everywhere() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {"redis", "metrics", "schema"} <= set(extras)
    # These are required today, so the extra may not ask for something else.
    assert set(extras["redis"]) <= set(PROJECT["dependencies"])
    assert set(extras["demo"]) == {*extras["metrics"], *extras["host"]}


def test_the_wheel_holds_live_and_nothing_else(opened: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in opened.namelist()}
    assert tops == {"live", f"channels_live-{live.__version__}.dist-info"}
    assert not [name for name in opened.namelist() if "__pycache__" in name or name.endswith(".pyc")]


def test_the_wheel_holds_every_file_of_live(opened: zipfile.ZipFile) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "live").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files - set(opened.namelist()) == set()
    assert {"live/py.typed", "live/static/live/vendor/centrifuge.js"} <= files


def test_the_metadata_says_name_python_licence_and_requirements(metadata: Message, opened: zipfile.ZipFile) -> None:
    assert metadata["Name"] == "channels-live"
    assert metadata["Version"] == live.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert any(each.lower().startswith("django<6.2,>=5.2") for each in metadata.get_all("Requires-Dist"))
    assert set(metadata.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    assert any(name.endswith("licenses/LICENSE") for name in opened.namelist())


def test_the_classifiers_name_versions_that_may_be_installed() -> None:
    named = "\n".join(PROJECT["classifiers"])
    pythons = re.findall(r"^Programming Language :: Python :: (3\.\d+)$", named, re.MULTILINE)
    djangos = re.findall(r"^Framework :: Django :: (\d\.\d)$", named, re.MULTILINE)
    (django,) = (each for each in PROJECT["dependencies"] if each.startswith("Django"))
    assert pythons == ["3.11", "3.12", "3.13"]
    assert all(SpecifierSet(PROJECT["requires-python"]).contains(version) for version in pythons)
    series = [f"{major}.{minor}" for major in range(4, 8) for minor in range(3)]
    allowed = SpecifierSet(django.removeprefix("Django"))
    assert djangos == [version for version in series if allowed.contains(version)]


def test_the_source_archive_holds_the_tests_and_what_they_need_but_nothing_that_was_made(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = ("pyproject.toml", "noxfile.py", "manage.py", "LICENSE", "project/settings.py", "tests/conftest.py")
    assert set(wanted) <= names
    tops = {name.split("/")[0] for name in names}
    assert not tops & {".venv", "node_modules", "var", "dist", ".git", ".hypothesis"}
    assert not [name for name in names if name.startswith("project/static/project/vendor") or "__pycache__" in name]


def test_the_source_archive_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "again"]
    subprocess.run(command, cwd=source, check=True)
    assert (source / "again" / wheel.name).read_bytes() == wheel.read_bytes()
