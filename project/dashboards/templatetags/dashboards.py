"""Template tags of the dashboard pages."""

from datetime import timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.timesince import timesince

from project.dashboards.panels import COLUMNS

register = template.Library()

ROWS = 10
"""Rows of a dashboard that its small drawing shows."""


@register.simple_tag
def layout_drawing(panels):
    """Return an SVG drawing of where the panels are: attributes only, since the pages allow no inline style."""
    grids = [(panel.get("type"), panel.get("grid") or {}) for panel in panels]
    shapes = format_html_join(
        "",
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="3"/>',
        (
            (kind, grid["x"] * 20 + 2, grid["y"] * 12 + 2, grid["w"] * 20 - 4, grid["h"] * 12 - 4)
            for kind, grid in grids
            if grid.get("y", ROWS) < ROWS
        ),
    )
    return format_html(
        '<svg class="drawing" viewBox="0 0 {} {}" preserveAspectRatio="xMidYMin slice" aria-hidden="true">{}</svg>',
        COLUMNS * 20,
        ROWS * 12,
        shapes,
    )


@register.filter
def ago(moment):
    """Return how long ago `moment` was, in words."""
    if timezone.now() - moment < timedelta(minutes=1):
        return "just now"
    return f"{timesince(moment)} ago"
