"""JSON in and out, in one place: orjson, bytes, no newline, no NaN.

A payload is encoded once, where it enters; from there on it travels as the bytes made here and is embedded raw.
"""

from __future__ import annotations

from typing import Any

import orjson
from django.utils.functional import Promise

from live.exceptions import BadData

_OPTIONS = orjson.OPT_NON_STR_KEYS


def _default(value: Any) -> Any:
    # Translated texts are what Django projects put into everything; all else is the caller's to convert.
    if isinstance(value, Promise):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def dump_json(value: Any) -> bytes:
    """`value` as one line of JSON in UTF-8; NaN and infinities become null.

    Takes what orjson takes (also dataclasses, dates and UUIDs) and translated texts. Raises `BadData` naming the type
    that is no JSON.
    """
    try:
        return orjson.dumps(value, default=_default, option=_OPTIONS)
    except (TypeError, RecursionError) as error:
        raise BadData(f"data is not JSON: {error}") from error


def load_json(text: str | bytes) -> Any:
    """The value that `text` holds; raises `BadData` with the place of the first fault."""
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise BadData(f"invalid json: {error}") from error
