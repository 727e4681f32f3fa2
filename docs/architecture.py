"""Draws ``architecture.svg`` from the package's own imports: ``python docs/architecture.py``.

A room stands above every room that it imports. Drawn are the arrows that say something new: where a room
reaches another through a third as well, the direct arrow is left out (transitive reduction).
"""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Mapping
from pathlib import Path

import grimp

import athena_tuning

PICTURE = Path(__file__).with_name("architecture.svg")
OLD_PATHS = {"workload"}
"""Packages that only keep an older import path alive."""

_WIDTH, _BOX, _HIGH, _GAP = 760, 236, 76, 36

Arrows = Mapping[str, set[str]]
"""The rooms that each room imports."""


def arrows() -> Arrows:
    """Return which rooms import which, read from the code."""
    graph = grimp.build_graph("athena_tuning", cache_dir=None)
    rooms = sorted(
        room.removeprefix("athena_tuning.")
        for room in graph.find_children("athena_tuning")
        if graph.find_children(room)
    )
    return {
        room: {
            other
            for other in rooms
            if other != room
            and graph.direct_import_exists(
                importer=f"athena_tuning.{room}", imported=f"athena_tuning.{other}", as_packages=True
            )
        }
        - OLD_PATHS
        for room in rooms
        if room not in OLD_PATHS
    }


def levels(imports: Arrows) -> dict[str, int]:
    """Return how high each room stands: 0 imports no other room, n imports at least one on level n − 1."""
    heights: dict[str, int] = {}

    def height(room: str) -> int:
        if room not in heights:
            heights[room] = 1 + max((height(other) for other in imports[room]), default=-1)
        return heights[room]

    return {room: height(room) for room in imports}


def reduced(imports: Arrows) -> list[tuple[str, str]]:
    """Return the arrows without those that a longer way says too."""

    def reached(room: str) -> set[str]:
        return imports[room].union(*(reached(other) for other in imports[room]))

    return sorted(
        (room, other)
        for room, others in imports.items()
        for other in others
        if not any(other in reached(between) for between in others - {other})
    )


def caption(room: str) -> str:
    """Return the first sentence of a room's docstring, without its full stop."""
    text = (Path(athena_tuning.__file__).parent / room / "__init__.py").read_text("utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    return re.split(r"[.;](?:\s|$)", docstring.splitlines()[0])[0].replace("`", "")


def draw(imports: Arrows) -> str:
    """Return the picture as SVG."""
    heights = levels(imports)
    top = max(heights.values())
    places: dict[str, tuple[float, float]] = {}
    for level in range(top + 1):
        row = sorted(room for room, height in heights.items() if height == level)
        left = (_WIDTH - len(row) * _BOX - (len(row) - 1) * _GAP) / 2
        for number, room in enumerate(row):
            places[room] = (left + number * (_BOX + _GAP), 24 + (top - level) * (_HIGH + _GAP))
    high = 24 + (top + 1) * (_HIGH + _GAP)
    parts = [_line(places[room], places[other]) for room, other in reduced(imports)]
    parts += [_box(room, *place) for room, place in sorted(places.items())]
    return _FRAME.format(width=_WIDTH, height=high, body="\n".join(parts))


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1, x2, y2 = start[0] + _BOX / 2, start[1] + _HIGH, end[0] + _BOX / 2, end[1] - 6
    bend = max(24.0, (y2 - y1) / 2)
    return f'<path d="M{x1:g},{y1:g} C{x1:g},{y1 + bend:g} {x2:g},{y2 - bend:g} {x2:g},{y2:g}"/>'


def _box(room: str, x: float, y: float) -> str:
    lines = _wrapped(caption(room), 40)
    texts = "".join(
        f'<text class="what" x="{x + _BOX / 2:g}" y="{y + 36 + 13 * n:g}">{html.escape(line)}</text>'
        for n, line in enumerate(lines)
    )
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{_BOX}" height="{_HIGH}" rx="8"/>'
        f'<text class="room" x="{x + _BOX / 2:g}" y="{y + 20:g}">{room}</text>{texts}'
    )


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


_FRAME = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"
 aria-label="The rooms of athena_tuning; an arrow means: imports">
<style>
rect {{ fill: #f4f8fd; stroke: #0b5fc0; stroke-width: 1.2 }}
path {{ fill: none; stroke: #7b8794; stroke-width: 1.2; marker-end: url(#tip) }}
text {{ font-family: system-ui, sans-serif; text-anchor: middle; fill: #16202e }}
.room {{ font-size: 14px; font-weight: 600 }}
.what {{ font-size: 10px; fill: #5f6b7a }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<polygon points="0,0 8,4 0,8" fill="#7b8794"/></marker></defs>
<rect x="0" y="0" width="{width}" height="{height}" style="fill:#ffffff;stroke:none"/>
{body}
</svg>
"""


if __name__ == "__main__":
    PICTURE.write_text(draw(arrows()), "utf-8")
