"""The package: one list of requirements, and a wheel that holds `live` with everything it needs and nothing else."""

import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def metadata(wheel: zipfile.ZipFile) -> dict[str, list[str]]:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    parsed = Parser().parsestr(wheel.read(name).decode())
    return {key: parsed.get_all(key) for key in set(parsed.keys())}


def test_requirements_txt_and_pyproject_agree() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"] == listed


def test_the_wheel_holds_live_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"live", "channels_live-0.1.0.dist-info"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name or name.endswith(".pyc")]


def test_the_wheel_holds_every_file_of_live(wheel: zipfile.ZipFile) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "live").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files - set(wheel.namelist()) == set()
    assert "live/py.typed" in files


def test_the_wheel_holds_the_built_client_library(wheel: zipfile.ZipFile) -> None:
    assert "live/static/live/vendor/centrifuge.js" in wheel.namelist()


def test_the_metadata_says_name_python_licence_and_requirements(wheel: zipfile.ZipFile) -> None:
    told = metadata(wheel)
    assert told["Name"] == ["channels-live"]
    assert told["Requires-Python"] == [">=3.11"]
    assert told["License-Expression"] == ["Apache-2.0"]
    assert any(each.lower().startswith("django<6.2,>=5.2") for each in told["Requires-Dist"])
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
