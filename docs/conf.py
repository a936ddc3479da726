"""How Sphinx makes pages of this folder; `make docs`. Nothing is fetched: theme, fonts and search are its own."""

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

project = "live"
release = re.search(r'^__version__ = "(.*)"$', (ROOT / "live/__init__.py").read_text(), re.MULTILINE)[1]
copyright = "the authors of live, Apache-2.0"  # noqa: A001
extensions = ["myst_parser"]
myst_heading_anchors = 4
# Blocks that show a part of something are no whole programs.
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "alabaster"
html_theme_options = {"description": "Real-time for Django", "show_powered_by": False}
html_theme_options |= {"page_width": "1180px", "body_max_width": "100%"}
# What the system has; nothing is fetched.
html_theme_options |= dict.fromkeys(("font_family", "head_font_family"), "system-ui, sans-serif")
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html", "relations.html"]}
html_static_path = ["_static"]
html_css_files = ["page.css"]
html_show_copyright = False
html_copy_source = False

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)(#[^)]*)?\)")


def name_files(app: Any, page: str, source: list[str]) -> None:
    """Links to files of the repository lead nowhere from a page: the file is named instead."""
    folder = (DOCS / page).parent

    def name(match: re.Match[str]) -> str:
        target = (folder / match[2]).resolve()
        if target.is_relative_to(DOCS):
            return match[0]
        path = target.relative_to(ROOT).as_posix()
        return match[1] if path in match[1] else f"{match[1]} (`{path}`)"

    source[0] = LINK.sub(name, source[0])


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", name_files)
