"""Docstrings and signatures as Markdown."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from itertools import pairwise
from typing import Any

HEAD = "<!-- Written by `python -m project.reference` from the code, which is the place to change what it says. -->\n"


_NOTES = re.compile(r" \((?:grafana-live |client-protocol )?§[^)]*\)| \(pitfalls? [^)]*\)")
"""Where a docstring names the place in the project's notes that it follows: of use beside the code only."""


def markdown(docstring: str | None) -> str:
    """A docstring of this project: paragraphs, with names between one or two backticks."""
    return _NOTES.sub("", inspect.cleandoc(docstring or "")).replace("``", "`")


def line(docstring: str | None) -> str:
    """A docstring as one line, to stand in a table."""
    return " ".join(markdown(docstring).split()).replace("|", "\\|")


def summary(docstring: str | None) -> str:
    """The first paragraph as one line."""
    return line(markdown(docstring).partition("\n\n")[0])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def page(title: str, *parts: str) -> str:
    """A whole page."""
    return "\n\n".join([f"{HEAD}\n# {title}", *(part.strip("\n") for part in parts)]) + "\n"


def attributes(source: type | Any) -> dict[str, tuple[str, str]]:
    """Annotation and docstring of each attribute of a class or module that has a docstring below it."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(source)))
    body = tree.body[0].body if isinstance(source, type) else tree.body  # type: ignore[attr-defined]
    found = {}
    for statement, after in pairwise(body):
        target = statement.target if isinstance(statement, ast.AnnAssign) else None
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            kind = ast.unparse(statement.annotation) if isinstance(statement, ast.AnnAssign) else ""
            found[target.id] = (kind, str(after.value.value))
    return found


def signature(function: Any, *, drop: int = 0) -> str:
    """The parameters as they are written; `drop` leaves out so many of the first, as `self`."""
    found = inspect.signature(function)
    parameters = list(found.parameters.values())[drop:]
    parts: list[str] = []
    star = False
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        text = f"{prefix}{parameter.name}{_annotation(parameter.annotation, ': ')}"
        if parameter.default is not parameter.empty:
            equals = " = " if parameter.annotation is not parameter.empty else "="
            text += equals + _default(parameter.default)
        parts.append(text)
    return f"({', '.join(parts)}){_annotation(found.return_annotation, ' -> ')}"


def _annotation(annotation: Any, before: str) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    return before + (annotation if isinstance(annotation, str) else inspect.formatannotation(annotation))


def _default(value: Any) -> str:
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    # A factory's mark or another object without a readable form.
    return re.sub(r"^<.*>$", "...", repr(value))


def code(text: object) -> str:
    """`text` as code, also inside a table."""
    return f"`{text}`".replace("|", "\\|")


def choices(values: Mapping[str, str] | Sequence[object]) -> str:
    """Values as a list in a sentence."""
    return ", ".join(map(code, values))
