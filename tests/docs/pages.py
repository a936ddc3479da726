"""The pages that there are, and which of their blocks are checked elsewhere."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROSE = [
    *(path for path in PAGES if path.parent.name != "reference"),
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
]
"""Those that people write: test_reference.py compares the others with the code that makes them."""

WHOLE_ELSEWHERE = {"docs/tutorial.md": "tests/packaging/test_tutorial.py"}
"""Pages whose blocks are steps of one long test: a project that is made from them, in an environment of its own."""

PYTHON_ELSEWHERE = {
    "docs/embedding.md": "tests/test_embedding.py",
    "docs/plugins.md": "tests/plugins/test_docs.py",
    "docs/testing.md": "tests/testing/test_docs.py",
}
"""Pages whose Python is run by a test in another folder."""


def own_test(path):
    """The test that runs a page's Python and says what becomes of it, test_<page>.py here; None: there is none."""
    here = Path(__file__).with_name(f"test_{path.stem.lower().replace('-', '_')}.py")
    test = ROOT / (WHOLE_ELSEWHERE | PYTHON_ELSEWHERE).get(name_of(path), here)
    return test if test.exists() else None


def name_of(path):
    """How a page is called: its path in the repository."""
    return path.relative_to(ROOT).as_posix()
