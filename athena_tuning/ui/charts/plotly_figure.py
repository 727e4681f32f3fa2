"""Panels as a Plotly figure: for what changes only when somebody asks, since it is drawn anew each time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from plotly.basedatatypes import BaseFigure
from plotly.io import templates

from athena_tuning.ui.charts.panel import (
    Axis,
    Bars,
    Cells,
    Chart,
    Ends,
    Line,
    Panel,
    Rule,
    Values,
    number,
    numbers,
)
from athena_tuning.ui.theme import CLEAR, FAINT, MARK, QUIET

CONFIG = {
    "modeBarButtons": [["toImage"]],
    "toImageButtonOptions": {"format": "png", "scale": 2},
    "displaylogo": False,
    "scrollZoom": False,
    "responsive": True,
}
"""Plotly's own settings for every chart: under the pointer it can be saved as an image, and nothing else."""

_TITLE_PX = 26


def figure(
    *panels: Panel,
    height: int = 330,
    columns: int = 1,
    heights: Sequence[float] = (),
    gaps: tuple[float, float] = (0.04, 0.1),
) -> Chart:
    """Return a chart of panels, row by row.

    Args:
        panels: what is drawn.
        height: in px.
        columns: panels in a row.
        heights: how high the rows are to each other; empty: all alike.
        gaps: shares of width and height between two panels.
    """
    rows = heights or [1.0] * math.ceil(len(panels) / columns)
    titled = _TITLE_PX if any(panel.title for panel in panels) else 0
    marks = [mark for panel in panels for mark in panel.marks]
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 30 + titled, "b": 8},
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02 + titled / height,
            "yanchor": "bottom",
        },
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "barmode": "stack" if any(isinstance(m, Bars) and m.stacked for m in marks) else "overlay",
        "bargap": 0.35,
        "dragmode": "select" if any(panel.x.kind == "time" for panel in panels) else False,
        "selectdirection": "h",
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "shapes": [],
        "annotations": [],
    }
    for index, panel in enumerate(panels):
        n, other = str(index + 1) if index else "", str(len(panels) + index + 1)
        row, column = divmod(index, columns)
        across = _share([1.0] * columns, column, gaps[0])
        up = _share(rows[::-1], len(rows) - 1 - row, gaps[1])
        layout[f"xaxis{n}"] = {**_axis(panel.x), "anchor": f"y{n}", "domain": across}
        layout[f"yaxis{n}"] = {**_axis(panel.y, upright=True), "anchor": f"x{n}", "domain": up}
        if panel.right:
            over = {"overlaying": f"y{n}", "side": "right", "anchor": f"x{n}"}
            layout[f"yaxis{other}"] = {**_axis(panel.right), **over}
        for mark in panel.marks:
            on = other if isinstance(mark, Line | Bars) and mark.right else n
            for trace in _traces(mark):
                legend = bool(trace["name"]) and trace["name"] not in [t["name"] for t in traces]
                group = {"showlegend": legend, "legendgroup": trace["name"]}
                traces.append({**trace, "xaxis": f"x{n}", "yaxis": f"y{on}", **group})
        layout["shapes"] += [_shape(rule, f"x{n}", f"y{n}") for rule in panel.rules]
        layout["annotations"] += [_title(panel.title, n)] if panel.title else []
    return Chart({"data": traces, "layout": layout}, " ".join(p.words for p in panels if p.words))


class Drawing(BaseFigure):  # type: ignore[misc]  # plotly has no types
    """A chart as Plotly and Streamlit take it, without Plotly's look at every value.

    That look takes several times as long as all else that a page does; the tests let it pass over each chart.

    Args:
        chart: from ``figure``.
        paper: what is behind it in a saved image; on the page the style sheet lets the card be seen through.
    """

    def __init__(self, chart: Chart, paper: str = CLEAR) -> None:
        self._chart = chart
        self._paper = {"paper_bgcolor": paper}

    def to_dict(self) -> dict[str, Any]:
        """Return data and layout, with the template of the theme, and without what is not set."""
        data, layout = _set(self._chart.spec["data"]), _set(self._chart.spec["layout"])
        return {
            "data": data,
            "layout": {"template": _template(str(templates.default)), **layout, **self._paper},
        }


@cache
def _template(name: str) -> Any:
    return templates[name].to_plotly_json()


def _set(value: Any) -> Any:
    """Return a part of a figure without the fields that are None; values that are unknown stay None."""
    if isinstance(value, dict):
        return {name: _set(each) for name, each in value.items() if each is not None}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_set(each) for each in value]
    return value


def row_height(rows: int, *, least: int = 150, each: int = 34) -> int:
    """Return the height in px of a chart with one bar or row of dots for each name."""
    return max(least, 78 + each * rows)


def _share(sizes: Sequence[float], place: int, gap: float) -> list[float]:
    """Return where one of several sizes begins and ends between 0 and 1, with gaps between them."""
    free = (1 - gap * (len(sizes) - 1)) / sum(sizes)
    start = sum(sizes[:place]) * free + gap * place
    return [round(start, 4), round(start + sizes[place] * free, 4)]


def _axis(axis: Axis, *, upright: bool = False) -> dict[str, Any]:
    down = upright and axis.kind == "category"
    return {
        "type": {"linear": None, "time": "date"}.get(axis.kind, axis.kind),
        "title": {"text": axis.title, "standoff": 8},
        "range": axis.span and numbers(axis.span),
        "autorange": "reversed" if down else None,
        "rangemode": "tozero" if axis.from_zero else None,
        "tickvals": list(axis.ticks) if axis.ticks else None,
        "ticktext": list(axis.ticks.values()) if axis.ticks else None,
        "tickformat": ".0%" if axis.percent else None,
        "ticksuffix": f" {axis.unit}" if axis.unit else None,
        "dtick": axis.step,
        "nticks": axis.most_ticks,
        "showticklabels": axis.labels,
        "ticks": "",
        "gridcolor": QUIET if axis.lines else CLEAR,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
    }


def _traces(mark: Line | Bars | Cells) -> Iterator[dict[str, Any]]:
    if isinstance(mark, Line):
        if mark.band:
            low, high = zip(*mark.band, strict=True)
            edge = _line(replace(mark, y=low, name="", width=0.001, dots=0, hover=""))
            yield edge
            yield {**edge, "y": numbers(high), "fill": "tonexty", "opacity": 0.5}
        yield _line(mark)
    else:
        yield _bars(mark) if isinstance(mark, Bars) else _cells(mark)


def _line(mark: Line) -> dict[str, Any]:
    colour = mark.colour if isinstance(mark.colour, str) else MARK
    parts = {"lines": mark.width, "markers": mark.dots, "text": mark.labels}
    symbols = [f"{mark.symbol}-open" if hollow else mark.symbol for hollow in mark.hollow]
    dot = {"size": mark.dots, "color": mark.colour, "symbol": symbols or mark.symbol}
    return {
        **_series(mark),
        "type": "scatter",
        "mode": "+".join(part for part, drawn in parts.items() if drawn),
        "line": {"width": mark.width, "color": colour, "dash": mark.dash} if mark.width else None,
        "marker": {**dot, "line": {"width": 2 if symbols else 0, "color": mark.colour}}
        if mark.dots
        else None,
        "textposition": "top right",
        "error_x": _whiskers(mark.x, mark.x_ends, colour),
        "error_y": _whiskers(mark.y, mark.y_ends, colour),
    }


def _bars(mark: Bars) -> dict[str, Any]:
    return {
        **_series(mark),
        "type": "bar",
        "orientation": "h" if mark.sideways else "v",
        "base": mark.base and numbers(mark.base),
        "width": mark.thickness,
        "marker": {"color": mark.colour, "opacity": mark.opacity},
        "textposition": "outside",
        "cliponaxis": False,
    }


def _series(mark: Line | Bars) -> dict[str, Any]:
    return {
        "name": mark.name,
        "x": numbers(mark.x),
        "y": numbers(mark.y),
        "text": list(mark.labels) or None,
        "customdata": list(mark.notes) or None,
        **_hover(mark.hover),
    }


def _cells(mark: Cells) -> dict[str, Any]:
    return {
        "type": "heatmap",
        "name": "",
        "x": list(mark.x),
        "y": list(mark.y),
        "z": [numbers(row) for row in mark.values],
        "zmin": 0,
        "zmax": mark.most,
        "xgap": 2,
        "ygap": 2,
        "showscale": False,
        "text": [["" if v is None else f"{v:.0f} {mark.unit}" for v in numbers(row)] for row in mark.values],
        "texttemplate": "%{text}",
        "hoverongaps": False,
        **_hover(mark.hover),
    }


def _hover(template: str) -> dict[str, str]:
    return {"hovertemplate": f"{template}<extra></extra>"} if template else {"hoverinfo": "skip"}


def _whiskers(values: Values, ends: Ends, colour: str) -> dict[str, Any] | None:
    if not ends:
        return None
    middle, (low, high) = np.array(values, dtype=float), np.array(ends, dtype=float).T
    with np.errstate(invalid="ignore"):  # what has no end has no whisker
        up, down = (np.nan_to_num(np.maximum(gap, 0), posinf=0.0) for gap in (high - middle, middle - low))
    form = {"type": "data", "symmetric": False, "color": colour, "thickness": 1.4, "width": 4}
    return {**form, "array": numbers(up), "arrayminus": numbers(down)}


def _shape(rule: Rule, x: str, y: str) -> dict[str, Any]:
    end = rule.at if rule.to is None else rule.to
    along, across = ("y", "x") if rule.level else ("x", "y")
    words = {"text": rule.label, "font": {"size": 11, "color": rule.colour}, "textangle": 0, "padding": 4}
    if rule.to is None:
        place = "start" if rule.level else "end"
        anchor = {"xanchor": "right" if rule.before else "left", "yanchor": "top"}
        drawn = {"type": "line", "label": {**words, "textposition": place, **anchor}}
    else:
        drawn = {"type": "rect", "fillcolor": FAINT, "label": {**words, "textposition": "bottom right"}}
    return {
        **drawn,
        "line": {"color": rule.colour, "width": 1.4 if rule.to is None else 0, "dash": rule.dash},
        "layer": "below",
        "xref": f"{x} domain" if rule.level else x,
        "yref": y if rule.level else f"{y} domain",
        f"{along}0": number(rule.at),
        f"{along}1": number(end),
        f"{across}0": 0,
        f"{across}1": 1,
    }


def _title(title: str, n: str) -> dict[str, Any]:
    place = {
        "xref": f"x{n} domain",
        "x": 0,
        "xanchor": "left",
        "yref": f"y{n} domain",
        "y": 1,
        "yanchor": "bottom",
    }
    return {"text": f"<b>{title}</b>", **place, "yshift": 4, "showarrow": False}
