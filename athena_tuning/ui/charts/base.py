"""What all analysis charts share: a quiet frame, axes with units, no chart junk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from athena_tuning.ui.theme import CLEAR, QUIET

CONFIG = {"displayModeBar": False, "scrollZoom": False, "responsive": True}
"""Plotly's own settings for every chart: no tool bar over the data."""


def figure(traces: Sequence[dict[str, Any]], *, height: int = 300, **layout: Any) -> dict[str, Any]:
    """Return a Plotly figure of these traces, in the common frame."""
    frame = {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 30, "b": 8},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "bargap": 0.35,
        "dragmode": False,
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
    }
    return {"data": list(traces), "layout": {**frame, **layout}}


def axis(title: str | None = None, **more: Any) -> dict[str, Any]:
    """Return an axis that keeps out of the data's way."""
    base: dict[str, Any] = {
        "gridcolor": QUIET,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
        "ticks": "",
    }
    if title:
        base["title"] = {"text": title, "standoff": 8}
    return {**base, **more}


def names_axis(**more: Any) -> dict[str, Any]:
    """Return a category axis that reads from the top."""
    return axis(autorange="reversed", gridcolor=CLEAR, type="category", **more)


def row_height(rows: int, *, least: int = 150, each: int = 34) -> int:
    """Return the height in pixels of a chart with one bar or row of dots per name."""
    return max(least, 78 + each * rows)
