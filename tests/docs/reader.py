"""Somebody who reads a page from its beginning: what blocks have set, asked and been answered before."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.site import Site


@dataclass
class Reader:
    """What the checks of a page's blocks share."""

    site: Site
    folder: Path
    """Where commands are run; the page's own."""
    variables: dict[str, str] = field(default_factory=dict)
    """Those of the shell, and of files that ask for them."""
    answer: Any = None
    """Of the last request, where nothing has shown it yet."""
