"""The plot beside the table: CPU for a delivery and memory for a client, of each kind of server, as an SVG."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape

from bench.limits.table import CPU_US, MEMORY_KB, Results
from bench.measure import RATE

KINDS = (("stock", "stock consumer"), ("bare", "bare server"), ("live", "live"))
WIDTH, LINE, LEFT, PANEL, RIGHT = 860, 26, 190, 540, 130
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.faint { fill: #57606a }
.grid { stroke: #d0d7de }
.goal { stroke: #cf222e; stroke-dasharray: 4 3 }
.goal-text { fill: #cf222e }
.stem { stroke-width: 8; stroke-linecap: round }
.stock { stroke: #8c959f }
.bare { stroke: #bf8700 }
.live { stroke: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .faint { fill: #9198a1 }
  .grid { stroke: #3d444d }
  .goal { stroke: #ff7b72 }
  .goal-text { fill: #ff7b72 }
  .bare { stroke: #d29922 }
  .live { stroke: #4493f8 }
}
"""

Scale = Callable[[float], float]


def draw(results: list[Results]) -> str:
    """The SVG: a panel for each number, a bar for each kind of server on each program."""
    cpu = _bars(results, lambda each, kind: each.deliveries[kind].beats[RATE].cpu_us)
    memory = _bars(results, lambda each, kind: each.many[kind].memory_kb)
    top_cpu = max(1000.0, *(value for _, _, value in cpu))
    top_memory = 10 * math.ceil(max(60.0, *(value for _, _, value in memory)) / 10)
    ticks = [10.0**power for power in range(math.ceil(math.log10(top_cpu)) + 1)]
    first, height = _panel(
        f"CPU per delivery, µs (logarithmic; {RATE} publications/s)", cpu, CPU_US, _log(ticks[-1]), ticks, 0
    )
    second, height = _panel(
        "memory per client, KB", memory, MEMORY_KB, _linear(top_memory), list(range(0, top_memory + 1, 10)), height
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img"><title>CPU per delivery and memory per client</title><style>{STYLE}</style>\n'
        f"{first}\n{second}\n</svg>\n"
    )


def _bars(results: list[Results], value: Callable[[Results, str], float]) -> list[tuple[str, str, float]]:
    """(kind, label, value) of each bar."""
    return [(kind, f"{words}, {each.program}", value(each, kind)) for kind, words in KINDS for each in results]


def _log(top: float) -> Scale:
    return lambda value: PANEL * math.log10(max(1.0, value)) / math.log10(top)


def _linear(top: float) -> Scale:
    return lambda value: PANEL * value / top


def _panel(
    title: str, bars: list[tuple[str, str, float]], goal: float, scale: Scale, ticks: list[float] | list[int], top: int
) -> tuple[str, int]:
    """The elements of one panel below `top`, and where it ends."""
    first, end = top + 64, top + 64 + LINE * len(bars)
    parts = [_text(0, top + 24, title, "title")]
    for tick in ticks:
        x = LEFT + scale(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{first - 10}" y2="{end - 6}"/>')
        parts.append(_text(x, end + 10, f"{tick:,.0f}", "faint", "middle"))
    x = LEFT + scale(goal)
    parts.append(f'<line class="goal" x1="{x:.1f}" x2="{x:.1f}" y1="{first - 16}" y2="{end - 6}"/>')
    parts.append(_text(x, first - 20, f"goal {goal:g}", "goal-text", "middle"))
    for number, (kind, label, value) in enumerate(bars):
        y = first + LINE * number + 4
        x = LEFT + scale(value)
        parts.append(_text(LEFT - 12, y + 4, label, "", "end"))
        parts.append(f'<line class="stem {kind}" x1="{LEFT}" x2="{x:.1f}" y1="{y}" y2="{y}"/>')
        parts.append(_text(x + 12, y + 4, f"{value:,.1f}", ""))
    return "\n".join(parts), end + 24


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
