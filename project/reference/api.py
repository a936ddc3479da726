"""docs/reference/python.md: the public names of `live`, and the few that projects use from its modules."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from typing import Any

import live
from live import signals, testing
from live.exceptions import LiveError
from project.reference.text import attributes, code, line, markdown, page, signature, table

INTRO = """
What `import live` gives, by what it is for; names that begin with `a` are for async code. Everything else below `live`
may change in any release, but for what stands at the end of this page.
"""

TOPICS = {
    "Publishing": ("live.publishing", "live.store.base"),
    "Channels and handlers": ("live.channel", "live.handlers.base", "live.handlers.registry"),
    "Dashboards": ("live.handlers.dashboard",),
    "Data frames": ("live.frames",),
    "Plugins and data sources": ("live.plugins.base", "live.plugins.registry", "live.plugins.sources"),
    "Rights that are taken away": ("live.access",),
}

TESTING = "[Testing](../testing.md) shows how they are used."

OTHERS = (
    ("live.asgi", "live_application"),
    ("live.handlers.stream", "StreamHandler"),
    ("live.metrics", "MetricsView"),
    ("live.metrics.collector", "register"),
)

ERRORS = "[Codes and errors](codes.md#exceptions) has what each of them means, and the code that clients are told."


def python_page() -> str:
    """The page."""
    left = {name for name in live.__all__ if not name.startswith("_")}
    parts: list[str] = []
    for topic, modules in TOPICS.items():
        names = [name for name in live.__all__ if live._WHERE.get(name) in modules]
        left -= set(names)
        parts += [f"## {topic}", *(_entry(f"live.{name}", getattr(live, name)) for name in names)]
    errors = sorted(name for name in left if issubclass(getattr(live, name), LiveError))
    if left != set(errors):
        raise LookupError(f"no topic of the Python reference has {sorted(left - set(errors))}; add their module there")
    parts += ["## Errors", ", ".join(code(f"live.{name}") for name in errors), ERRORS, "## Signals", _signals()]
    parts += ["## For tests", TESTING]
    parts += [_entry(f"live.testing.{name}", getattr(testing, name)) for name in testing.__all__]
    others = [_entry(f"{module}.{name}", getattr(import_module(module), name)) for module, name in OTHERS]
    return page("Python", INTRO, *parts, "## From the modules", *others)


def _entry(name: str, value: Any) -> str:
    if not inspect.isclass(value):
        return "\n\n".join([f"### `{name}`", _block(_call(name, value)), markdown(value.__doc__)])
    parts = [f"### `{name}`"]
    if not issubclass(value, Enum):
        parts.append(_block(f"class {name}{_constructor(value)}"))
    parts += [markdown(_documentation(value)), *_attributes(value), *_methods(value)]
    return "\n\n".join(part for part in parts if part)


def _block(text: str) -> str:
    return f"```python\n{text}\n```" if len(text) <= 80 else f"```python\n{_wrapped(text)}\n```"


def _wrapped(text: str) -> str:
    """One parameter a line, as in code that does not fit."""
    head, _, rest = text.partition("(")
    inner, _, tail = rest.rpartition(")")
    parts, depth = [""], 0
    for char in inner:
        depth += {"[": 1, "(": 1, "{": 1, "]": -1, ")": -1, "}": -1}.get(char, 0)
        if char == "," and not depth:
            parts.append("")
        else:
            parts[-1] += char
    body = "".join(f"    {part.strip()},\n" for part in parts)
    return f"{head}(\n{body}){tail}"


def _call(name: str, function: Any, *, drop: int = 0) -> str:
    keyword = "async def" if inspect.iscoroutinefunction(function) else "def"
    return f"{keyword} {name}{signature(function, drop=drop)}"


def _documentation(value: type) -> str:
    """Its own docstring, not the one that dataclasses make or a base class has."""
    text = value.__dict__.get("__doc__") or ""
    return "" if text.startswith(f"{value.__name__}(") else text


def _constructor(value: type) -> str:
    bases = [base.__name__ for base in value.__bases__ if base is not object and base.__module__.startswith("live")]
    if "__init__" not in value.__dict__:
        return f"({', '.join(bases)})" if bases else ""
    return signature(value.__init__, drop=1).removesuffix(" -> None")  # type: ignore[misc]


def _attributes(value: type) -> Iterator[str]:
    if issubclass(value, Enum):
        said = attributes(value)
        rows = [[code(each.name), code(repr(each.value)), line(said.get(each.name, ("", ""))[1])] for each in value]
        yield table(["member", "value", ""], rows)
        return
    rows = []
    for name, (annotation, text) in attributes(value).items():
        if name.startswith("_"):
            continue
        default = value.__dict__.get(name, inspect.Parameter.empty)
        known = default is not inspect.Parameter.empty and not inspect.ismemberdescriptor(default)
        rows.append(
            [code(name), code(annotation) if annotation else "", code(repr(default)) if known else "", line(text)]
        )
    rows += [
        [code(name), code(_returned(found)), "", line(found.__doc__)]
        for name, found in vars(value).items()
        if isinstance(found, property) and not name.startswith("_") and found.__doc__
    ]
    if rows:
        yield table(["attribute", "type", "default", "what"], rows)


def _returned(found: property) -> str:
    annotation = inspect.signature(found.fget).return_annotation if found.fget else ""
    return str(annotation)


def _methods(value: type) -> Iterator[str]:
    for name, found in vars(value).items():
        plain = found.__func__ if isinstance(found, (classmethod, staticmethod)) else found
        if name.startswith("_") or not inspect.isfunction(plain) or not plain.__doc__:
            continue
        drop = 1 if isinstance(found, classmethod) else 0
        yield f"#### `{value.__name__}.{name}`\n\n{_block(_call(name, plain, drop=drop))}\n\n{markdown(plain.__doc__)}"


def _signals() -> str:
    parts = [f"### `live.signals.{name}`\n\n{markdown(text)}" for name, (_, text) in attributes(signals).items()]
    return "\n\n".join(parts)
