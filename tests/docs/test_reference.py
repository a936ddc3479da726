"""docs/reference says what the code says now, and leaves out nothing that has to be in it."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

import live
from live.conf import LiveSettings, find_problems
from live.exceptions import DisconnectCode, ErrorCode, UnsubscribeCode
from live.management.commands.live import SUBCOMMANDS
from live.metrics.collector import COUNTERS, GAUGES
from live.protocol.commands import Method
from project.reference import __main__ as generator
from tests.docs.markdown import blocks

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "docs/reference"


def page(name):
    return (FOLDER / name).read_text()


def test_every_page_is_current():
    """In a process of its own: the OpenAPI document needs an app that the demo does not have."""
    command = [sys.executable, "-m", "project.reference", "--check"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_page_is_left_from_before():
    there = {path.name for path in FOLDER.iterdir()}
    assert there == {*generator.pages(), "index.md"}


def test_a_page_that_is_not_current_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generator, "FOLDER", tmp_path)
    monkeypatch.setattr(generator, "pages", lambda: {"codes.md": lambda: "new\n"})
    (tmp_path / "codes.md").write_text("old\n")
    assert generator.write_or_check(check=True) == 1
    said = capsys.readouterr().out
    assert "--- docs/reference/codes.md" in said
    assert "-old" in said
    assert "+new" in said
    assert "run `python -m project.reference`" in said
    assert generator.write_or_check(check=False) == 0
    assert generator.write_or_check(check=True) == 0


def test_unknown_arguments_are_refused(capsys):
    assert generator.main(["--chek"]) == 2
    assert "usage" in capsys.readouterr().err


def test_every_setting_is_there():
    keys = {field.name.upper() for field in dataclasses.fields(LiveSettings)}
    assert set(re.findall(r"^## `([A-Z_]+)`$", page("settings.md"), re.MULTILINE)) == keys


@pytest.mark.parametrize("codes", [ErrorCode, DisconnectCode, UnsubscribeCode])
def test_every_code_is_there(codes):
    rows = re.findall(r"^\| (\d+) \| `([A-Z_]+)` \|", page("codes.md"), re.MULTILINE)
    assert {(str(int(each)), each.name) for each in codes} <= set(rows)


def test_every_metric_is_there():
    rows = re.findall(r"^\| `(live_[a-z_]+)` \|", page("metrics.md"), re.MULTILINE)
    assert {row.removesuffix("_total") for row in rows} == {*GAUGES, *COUNTERS}


def test_every_subcommand_is_there():
    assert set(re.findall(r"^## `([a-z]+)`$", page("commands.md"), re.MULTILINE)) == set(SUBCOMMANDS)


def test_every_public_name_is_there():
    names = [name for name in live.__all__ if not name.startswith("_")]
    assert [name for name in names if f"`live.{name}`" not in page("python.md")] == []


def test_every_command_of_the_protocol_is_there():
    assert set(re.findall(r"^\| `([a-z_]+)` \| (?:yes|no)", page("protocol.md"), re.MULTILINE)) == set(Method)


def test_the_settings_that_are_shown_are_sound():
    (block,) = (text for language, text in blocks(page("settings.md")) if language == "python")
    shown: dict[str, object] = {}
    exec(compile(block, "docs/reference/settings.md", "exec"), shown)
    assert find_problems(shown["LIVE"]) == []
