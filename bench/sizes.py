"""How much a benchmark measures, and less of it where it is only to be seen that it works."""

from __future__ import annotations

from dataclasses import field, fields, replace
from typing import Any, Self


def part(whole: float, least: float = 1) -> Any:
    """A field of which a smaller benchmark has its share, but not less than `least`."""
    return field(default=whole, metadata={"least": least})


def instead(whole: float, small: float) -> Any:
    """A field that has another value in every smaller benchmark."""
    return field(default=whole, metadata={"small": small})


class Scalable:
    """The base of dataclasses whose fields are `part`, `instead`, or the same in every benchmark."""

    def scaled(self, share: float) -> Self:
        """`share` of everything that has parts."""
        if share == 1:
            return self
        smaller = {}
        for each in fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            if "least" in each.metadata:
                smaller[each.name] = max(each.metadata["least"], type(value)(value * share))
            elif "small" in each.metadata:
                smaller[each.name] = each.metadata["small"]
        return replace(self, **smaller)  # type: ignore[type-var]
