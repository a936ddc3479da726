"""``python -m project.reference`` writes docs/reference; with ``--check`` it names what is not as the code is now."""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "docs" / "reference"
SHOWN = 20
"""Lines of difference that are printed of each page."""


def pages() -> dict[str, Callable[[], str]]:
    """What makes each file of the folder; Django has to be set up."""
    from project.reference import api, asyncapi, codes, commands, http, metrics, options, protocol

    return {
        "settings.md": options.settings_page,
        "codes.md": codes.codes_page,
        "metrics.md": metrics.metrics_page,
        "commands.md": commands.commands_page,
        "python.md": api.python_page,
        "http.md": http.http_page,
        "protocol.md": protocol.protocol_page,
        "asyncapi.yaml": asyncapi.asyncapi_yaml,
    }


def set_up(folder: str) -> None:
    """Sets Django up with settings of its own, whose state is kept in `folder`."""
    os.environ |= {"LIVE_VAR": folder, "DJANGO_SETTINGS_MODULE": "project.reference.django_settings"}
    import django

    django.setup()


def differences(name: str, made: str) -> Iterator[str]:
    """What is different in the folder's file, as lines of a unified diff."""
    path = FOLDER / name
    there = path.read_text() if path.exists() else ""
    lines = difflib.unified_diff(
        there.splitlines(), made.splitlines(), f"docs/reference/{name}", "the code", lineterm=""
    )
    return islice(lines, SHOWN)


def main(arguments: list[str]) -> int:
    """Writes, or checks; 1 where a page is not current."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m project.reference [--check]", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="live-reference-") as folder:
        set_up(folder)
        return write_or_check(check=bool(arguments))


def write_or_check(*, check: bool) -> int:
    """Writes the pages unless they are only to be checked, and prints what is different then."""
    wrong = False
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in pages().items():
        text = make()
        if not check:
            (FOLDER / name).write_text(text)
        for line in differences(name, text):
            wrong = True
            print(line)
    if wrong:
        print("\ndocs/reference is not what the code says: run `python -m project.reference`")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
