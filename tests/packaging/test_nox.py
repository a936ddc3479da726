"""noxfile.py has a session for each combination of versions that the package says it is for. None is run here."""

import json
import re
import subprocess
import sys
import tomllib
from itertools import product

import pytest

from tests.packaging.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def sessions() -> list[dict]:
    command = [sys.executable, "-m", "nox", "--noxfile", ROOT / "noxfile.py", "--list", "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def classified(what: str) -> list[str]:
    return [line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if re.search(rf":: {what} :: \d\.\d+$", line)]


def test_there_is_a_session_for_each_combination(sessions: list[dict]) -> None:
    def number(text: str) -> tuple[int, ...]:
        return tuple(map(int, text.split(".")))

    # Django 6 needs Python 3.12.
    wanted = {
        f"tests({python}-django{django}-redis{redis})"
        for python, django, redis in product(classified("Python"), classified("Django"), "567")
        if number(django) < (6,) or number(python) >= (3, 12)
    }
    assert len(wanted) == 21
    assert {each["session"] for each in sessions} == wanted


def test_the_majors_of_redis_py_are_those_that_may_be_installed(sessions: list[dict]) -> None:
    assert "redis>=5.0.1,<8" in PROJECT["dependencies"]
    majors = {re.search(r"redis(\d+)", each["session"])[1] for each in sessions}
    assert majors == {"5", "6", "7"}


def test_a_session_can_be_chosen_by_what_it_varies(sessions: list[dict]) -> None:
    chosen = [each for each in sessions if {"django6.0", "redis7"} <= set(each["tags"])]
    assert {each["python"] for each in chosen} == {"3.12", "3.13"}
