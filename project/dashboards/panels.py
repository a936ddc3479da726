"""The shape of a dashboard's panels: what may be stored, with errors that name the panel and the field.

Panels come from browsers and from the admin, and are drawn by everybody who looks: every size is bounded here, so that
no stored dashboard can freeze a viewer's page.
"""

import re

from django.core.exceptions import ValidationError

import live

COLUMNS = 12
"""Width of the grid in columns."""
MAX_PANELS = 60
MAX_ROW = 1000
MAX_HEIGHT = 40
MAX_FIELDS = 30
MAX_TEXT = 120
"""Longest title, field name and label filter, in characters."""
TYPES = ("timeseries", "stat", "raw")
UNITS = ("", "percent", "bytes", "bytes/s")

_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_REQUIRED = ("id", "type", "title", "channel", "fields", "grid")
_OPTIONAL = ("labels", "unit")
_GRID = {"x": (0, COLUMNS - 1), "y": (0, MAX_ROW), "w": (1, COLUMNS), "h": (1, MAX_HEIGHT)}


def validate_panels(panels):
    """Check the list of panels of one dashboard.

    A panel is `{"id", "type", "title", "channel", "fields": [...], "grid": {"x", "y", "w", "h"}}` with optional
    `"labels"` (show only series with these labels, `k=v, k2=v2`) and `"unit"`. Raises `ValidationError` with one
    message for each fault, such as `panel 2 (cpu): field "grid.w": must be from 1 to 12`.
    """
    if not isinstance(panels, list):
        raise ValidationError("panels: must be a list")
    if len(panels) > MAX_PANELS:
        raise ValidationError(f"panels: at most {MAX_PANELS} are allowed, not {len(panels)}")
    errors = []
    seen = set()
    for number, panel in enumerate(panels, start=1):
        name = f"panel {number}"
        if not isinstance(panel, dict):
            errors.append(f"{name}: must be an object")
            continue
        panel_id = panel.get("id")
        if isinstance(panel_id, str) and _ID.fullmatch(panel_id):
            name = f"{name} ({panel_id})"
            if panel_id in seen:
                errors.append(f'{name}: field "id": is used by another panel')
            seen.add(panel_id)
        errors.extend(f'{name}: field "{field}": {reason}' for field, reason in _faults(panel))
    if errors:
        raise ValidationError(errors)


def _faults(panel):
    """Yield (field, reason) for each fault of one panel."""
    for key in _REQUIRED:
        if key not in panel:
            yield key, "is missing"
    for key in panel:
        if key not in _REQUIRED and key not in _OPTIONAL:
            yield str(key)[:40], "is not known"
    checks = {
        "id": _id_fault,
        "type": lambda value: _choice_fault(value, TYPES),
        "title": _text_fault,
        "channel": _channel_fault,
        "fields": _fields_fault,
        "labels": _text_fault,
        "unit": lambda value: _choice_fault(value, UNITS),
    }
    for key, check in checks.items():
        if key in panel and (reason := check(panel[key])):
            yield key, reason
    if "grid" in panel:
        yield from _grid_faults(panel["grid"])


def _id_fault(value):
    if not isinstance(value, str) or not _ID.fullmatch(value):
        return "must be 1 to 40 letters, digits, - or _"
    return None


def _choice_fault(value, choices):
    if not isinstance(value, str) or value not in choices:
        return "must be one of " + ", ".join(choice or '""' for choice in choices)
    return None


def _text_fault(value):
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        return f"must be a text of at most {MAX_TEXT} characters"
    if not value.isprintable():
        return "must not contain control characters"
    return None


def _channel_fault(value):
    if not isinstance(value, str):
        return "must be a text"
    try:
        live.Channel.parse(value)
    except live.InvalidChannel as error:
        return str(error)
    return None


def _fields_fault(value):
    if not isinstance(value, list) or len(value) > MAX_FIELDS:
        return f"must be a list of at most {MAX_FIELDS} names"
    for name in value:
        if not name or _text_fault(name):
            return f"each name must be a text of 1 to {MAX_TEXT} characters"
    if len(set(value)) != len(value):
        return "names a field twice"
    return None


def _grid_faults(grid):
    if not isinstance(grid, dict):
        yield "grid", "must be an object"
        return
    for key in grid:
        if key not in _GRID:
            yield f"grid.{str(key)[:40]}", "is not known"
    valid = True
    for key, (low, high) in _GRID.items():
        value = grid.get(key)
        # bool is an int in Python, but true is no column.
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            valid = False
            yield f"grid.{key}", f"must be a whole number from {low} to {high}"
    if valid and grid["x"] + grid["w"] > COLUMNS:
        yield "grid.w", f"reaches over the right edge: x + w must be at most {COLUMNS}"
