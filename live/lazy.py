"""Public names that are loaded when they are first used: what they need is not there before Django is set up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(module: str, where: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of `module`; `where` has the module that each of its names is loaded from."""

    def load(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        value = getattr(import_module(where[name]), name)
        setattr(sys.modules[module], name, value)
        return value

    return load
