"""The check of docs/ in `make test`: what would be a broken page is an error."""

import shutil
import subprocess
from pathlib import Path

import pytest

from project.bootstrap.checks import docs_checks
from project.bootstrap.steps import ROOT

PAGE = "# A page\n\n[a file](../live/__init__.py), [another page](other.md#a-part)\n\n```{toctree}\nother\n```\n"
OTHER = "# Another page\n\n## A part\n\nText.\n"


def build(folder: Path, **pages: str) -> subprocess.CompletedProcess[str]:
    """The check over pages of its own, with the repository's configuration."""
    (folder / "docs").mkdir()
    (folder / "live").mkdir()
    shutil.copy(ROOT / "docs/conf.py", folder / "docs")
    shutil.copytree(ROOT / "docs/_static", folder / "docs/_static")
    shutil.copy(ROOT / "live/__init__.py", folder / "live")
    for name, text in pages.items():
        (folder / f"docs/{name}.md").write_text(text)
    (check,) = docs_checks(folder / "made")
    args = [folder / "docs" if arg == "docs" else arg for arg in check.args]
    return subprocess.run(args, check=False, capture_output=True, text=True, timeout=50)


def test_sound_pages_are_made(tmp_path: Path) -> None:
    assert build(tmp_path, index=PAGE, other=OTHER).returncode == 0
    made = (tmp_path / "made/html/index.html").read_text()
    assert "live/__init__.py" in made
    assert "other.html#a-part" in made


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ({"index": PAGE.replace("other.md", "nowhere.md"), "other": OTHER}, "nowhere.md"),
        ({"index": PAGE.replace("#a-part", "#no-part"), "other": OTHER}, "no-part"),
        ({"index": "# A page\n", "other": OTHER}, "other.md"),
    ],
    ids=["a page that is not there", "a heading that is not there", "a page that nothing leads to"],
)
def test_a_warning_is_an_error(tmp_path: Path, pages: dict[str, str], said: str) -> None:
    done = build(tmp_path, **pages)
    assert done.returncode == 1
    assert any(said in line for line in done.stderr.splitlines() if "WARNING" in line)
