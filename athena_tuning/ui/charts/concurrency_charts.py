"""What running layers at the same time gives, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import LevelRow
from athena_tuning.ui.charts.base import axis, figure
from athena_tuning.ui.charts.chart import Chart
from athena_tuning.ui.theme import AMBER, BLUE, CLEAR, CRIMSON, MARK, SLATE, TEAL

LEAST = 5
"""Recalls below which a level is drawn hollow: too few to lean on."""


def by_level(rows: Sequence[LevelRow], limit: int | None = None) -> Chart:
    """Draw p50 and p99 against the tasks in flight that a recall saw, with the limit in force."""
    ordered = sorted(rows, key=lambda row: row.level)
    traces: list[dict[str, Any]] = [
        {
            "type": "bar",
            "name": "recalls",
            "x": [r.level for r in ordered],
            "y": [r.n for r in ordered],
            "yaxis": "y2",
            "marker": {"color": SLATE, "opacity": 0.22},
            "hovertemplate": "%{y} recalls at %{x} in flight<extra></extra>",
        }
    ]
    for name, colour in (("p50", BLUE), ("p99", CRIMSON)):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": [r.level for r in ordered],
                "y": [_known(getattr(r, name)) for r in ordered],
                "line": {"width": 2.2, "color": colour},
                "marker": {
                    "size": 8,
                    "symbol": ["circle" if r.n >= LEAST else "circle-open" for r in ordered],
                },
                "hovertemplate": f"%{{x}} in flight: {name} %{{y:.4g}} ms<extra></extra>",
            }
        )
    shapes, notes = _limit_line(limit)
    spec = figure(
        traces,
        height=330,
        shapes=shapes,
        annotations=notes,
        xaxis=axis("layer tasks in flight (highest that the recall saw)", dtick=_step(ordered)),
        yaxis=axis("ms", rangemode="tozero"),
        yaxis2=axis(overlaying="y", side="right", showgrid=False, showticklabels=False, rangemode="tozero"),
    )
    said = "; ".join(
        f"{r.level} in flight: p50 {units.ms(r.p50)}, p99 {units.ms(r.p99)} (n = {r.n})" for r in ordered
    )
    return Chart(spec, f"Latency by layer tasks in flight. {said or 'Nothing yet'}.")


def throughput(
    met: Sequence[tuple[int, float, float, float]],
    fitted: Sequence[float],
    *,
    seen_to: int,
    limit: int,
    chosen: int | None,
) -> Chart:
    """Draw layer tasks a second against tasks in flight: as met, and as the fitted law has it.

    Args:
        met: tasks in flight, tasks/s, and the ends of its interval.
        fitted: tasks/s with 1, 2, … in flight; empty where no law could be fitted.
        seen_to: beyond it the law was not measured, and is dotted.
        limit: in force.
        chosen: what the tuner would choose; None if that is what is in force.
    """
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "met, 95 % interval",
            "x": [n for n, *_ in met],
            "y": [_known(value) for _, value, *_ in met],
            "error_y": {
                "type": "data",
                "symmetric": False,
                "array": [_known(high - value) for _, value, _, high in met],
                "arrayminus": [_known(value - low) for _, value, low, _ in met],
                "color": AMBER,
                "thickness": 1.4,
                "width": 4,
            },
            "marker": {"size": 9, "color": AMBER},
            "hovertemplate": "%{x} in flight: %{y:.4g} tasks/s<extra></extra>",
        }
    ]
    known = list(enumerate(fitted, start=1))
    for name, points, dash in (
        ("fitted law", [p for p in known if p[0] <= seen_to], "solid"),
        ("beyond what was met", [p for p in known if p[0] >= seen_to], "dot"),
    ):
        if len(points) > 1:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": name,
                    "x": [n for n, _ in points],
                    "y": [_known(v) for _, v in points],
                    "line": {"width": 2.4, "color": BLUE, "dash": dash},
                    "hovertemplate": "%{x} in flight: %{y:.4g} tasks/s by the law<extra></extra>",
                }
            )
    marks = [("in force", limit, SLATE), *([("tuner's choice", chosen, TEAL)] if chosen else [])]
    for name, at, colour in marks:
        if 1 <= at <= len(fitted):
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": f"{name}: {at}",
                    "x": [at],
                    "y": [_known(fitted[at - 1])],
                    "marker": {"size": 14, "color": colour, "symbol": "diamond"},
                    "hovertemplate": f"{name}: %{{x}} in flight, %{{y:.4g}} tasks/s<extra></extra>",
                }
            )
    shapes, notes = _limit_line(limit)
    top = max(limit, len(fitted))
    highest = max([*fitted, *(value for _, value, *_ in met)], default=1.0)
    spec = figure(
        traces,
        height=330,
        shapes=shapes,
        annotations=notes,
        xaxis=axis("layer tasks in flight", dtick=max(1, math.ceil(top / 12)), range=[0, top + 0.6]),
        yaxis=axis("tasks/s", range=[0, highest * 1.3]),
    )
    said = "; ".join(f"{n} in flight {units.rate(value)}" for n, value, *_ in met)
    law = ""
    if fitted:
        here = f"{units.rate(fitted[limit - 1])} at the limit of {limit}" if limit <= len(fitted) else ""
        law = f" The fitted law: {here or f'the limit of {limit} is beyond it'}"
        if chosen and chosen <= len(fitted):
            law += f", {units.rate(fitted[chosen - 1])} at {chosen}, which the tuner would choose"
        law += "."
    return Chart(spec, f"Layer tasks a second by tasks in flight: {said or 'nothing yet'}.{law}")


def queue_wait(series: Any, *, timezone: str) -> Chart:
    """Draw the median and p99 queue wait over time: the price of the limit."""
    times = [units.wall_ms(float(t), timezone) for t in series.time]
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": times,
            "y": [_known(v) for v in values],
            "line": {"width": 2, "color": colour},
            "hovertemplate": f"%{{x|%H:%M:%S}} {name} %{{y:.3g}} ms<extra></extra>",
        }
        for name, values, colour in (("p50", series.p50, BLUE), ("p99", series.p99, AMBER))
    ]
    spec = figure(traces, height=260, xaxis=axis(type="date", nticks=6), yaxis=axis("ms", rangemode="tozero"))
    worst = max((v for v in map(_known, series.p99) if v is not None), default=None)
    return Chart(spec, f"Queue wait over time; the highest p99 of a bucket is {units.ms(worst)}.")


def co_occurrence(layers: Sequence[str], matrix: Any) -> Chart:
    """Draw the share of recalls that asked both layers; the diagonal is a layer's own share."""
    labels = [text.plotly(layer, 16) for layer in layers]
    shares = [[float(matrix[r][c]) for c in range(len(layers))] for r in range(len(layers))]
    lower = [[v if c <= r else None for c, v in enumerate(row)] for r, row in enumerate(shares)]
    spec = figure(
        [
            {
                "type": "heatmap",
                "x": labels,
                "y": labels,
                "z": lower,
                "zmin": 0,
                "zmax": 1,
                "xgap": 2,
                "ygap": 2,
                "showscale": False,
                "text": [["" if v is None else f"{v * 100:.0f} %" for v in row] for row in lower],
                "texttemplate": "%{text}",
                "hoverongaps": False,
                "hovertemplate": "%{y} and %{x}: %{text}<extra></extra>",
            }
        ],
        height=330,
        xaxis=axis(gridcolor=CLEAR),
        yaxis=axis(gridcolor=CLEAR, autorange="reversed"),
    )
    pairs = [(shares[r][c], layers[r], layers[c]) for r in range(len(layers)) for c in range(r)]
    best = max(pairs, default=None)
    said = (
        f"{text.plain(best[1], 24)} and {text.plain(best[2], 24)} run together most, "
        f"in {units.percent(best[0])} of recalls"
        if best
        else "nothing yet"
    )
    return Chart(spec, f"Layers that run together: {said}.")


def _limit_line(limit: int | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if limit is None:
        return [], []
    shape = {
        "type": "line",
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "x0": limit,
        "x1": limit,
        "line": {"color": MARK, "width": 1.4, "dash": "dash"},
    }
    note = {
        "text": f"limit {limit}",
        "x": limit,
        "yref": "paper",
        "y": 1,
        "showarrow": False,
        "xanchor": "right",
        "xshift": -4,
        "font": {"size": 11, "color": MARK},
    }
    return [shape], [note]


def _step(rows: Sequence[LevelRow]) -> int:
    return max(1, math.ceil((rows[-1].level if rows else 1) / 12))


def _known(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
