"""The set-up's own rules: what is skipped the second time, and what is said when something is missing."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from project.bootstrap import debian, environment, npm
from project.bootstrap.steps import SetupError, Steps, digest, is_stamped, run

ROOT = Path(__file__).resolve().parent.parent.parent


def fake_program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_a_failed_command_shows_the_end_of_its_output() -> None:
    with pytest.raises(SetupError, match=r"ended with code 3:\n(?s:.*)last words") as caught:
        run([sys.executable, "-c", "for n in range(100): print(n)\nprint('last words'); raise SystemExit(3)"])
    assert "\n50\n" not in str(caught.value)


def test_a_step_says_its_number_time_and_remark(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps(2)
    with steps.step("first") as remarks:
        remarks.append("present")
    with pytest.raises(ZeroDivisionError), steps.step("second"):
        raise ZeroDivisionError
    assert re.fullmatch(r"1/2 first … \d+\.\d s \(present\)\n2/2 second … failed\n", capsys.readouterr().out)


def test_a_stamp_holds_until_a_file_changes(tmp_path: Path) -> None:
    source, stamp = tmp_path / "source", tmp_path / "stamp"
    before = digest("text", source)
    source.write_text("1")
    stamp.write_text(digest("text", source))
    assert is_stamped(stamp, digest("text", source))
    source.write_text("2")
    assert not is_stamped(stamp, digest("text", source))
    assert not is_stamped(stamp, before)
    assert not is_stamped(tmp_path / "none", before)


def test_requirements_come_from_the_project_files() -> None:
    wanted = environment.requirements(["demo", "dev"])
    assert any(each.startswith("Django>=") for each in wanted)
    assert any(each.startswith("psutil") for each in wanted)
    assert any(each.startswith("pytest>=") for each in wanted)
    assert not any(each.startswith("#") for each in wanted)


def test_missing_debian_packages_are_named_when_they_may_not_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_program(tmp_path, "apt-get", "exit 1")
    fake_program(tmp_path, "sudo", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError) as caught:
        debian.require([debian.BROWSER, debian.REDIS])
    assert str(caught.value) == (
        "Missing Debian packages: chromium fonts-liberation redis-server. "
        "Install them with: sudo apt-get install chromium fonts-liberation redis-server"
    )


def test_missing_debian_packages_are_installed_with_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    fake_program(tmp_path, "apt-get", f'echo "$@" >> {log}')
    fake_program(tmp_path, "sudo", 'shift; exec "$@"')
    fake_program(tmp_path, "true", "")
    fake_program(tmp_path, "redis-server", "")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(debian, "missing", lambda needs: ["chromium"])
    assert debian.require([debian.BROWSER]) == "installed chromium"
    assert log.read_text() == "update --quiet\ninstall --yes --quiet --no-install-recommends chromium\n"


def test_a_system_without_apt_is_told_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match=r"Missing: redis-server \(Debian's names\)"):
        debian.require([debian.REDIS])


def test_an_old_node_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_program(tmp_path, "npm", "echo 6")
    assert npm.node_version({"PATH": str(tmp_path)}) == 0
    for printed, version in (("v16.20.2", 16), ("v22.1.0", 22), ("broken", 0)):
        fake_program(tmp_path, "node", f"echo {printed}")
        assert npm.node_version({"PATH": str(tmp_path)}) == version


def test_without_a_python_that_is_new_enough_the_found_ones_are_named(tmp_path: Path) -> None:
    for name in ("python3", "python3.11"):
        # Answers as a Python 3.9 would to both questions of the script.
        fake_program(tmp_path, name, 'case "$2" in *exit*) exit 1;; *) echo 3.9;; esac')
    fake_program(tmp_path, "dirname", 'exec /usr/bin/dirname "$@"')
    script = ROOT / "project/bootstrap/run"
    env = {"PATH": str(tmp_path)}
    result = subprocess.run(["/bin/sh", script, "demo"], env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Python 3.11 or newer is needed; python3 is 3.9; python3.11 is 3.9;" in result.stderr


def test_an_unknown_word_is_answered_with_the_known_ones() -> None:
    command = [sys.executable, "-m", "project.bootstrap", "serve"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "demo,cluster,test" in result.stderr
