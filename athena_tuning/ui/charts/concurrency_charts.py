"""What running layers at the same time gives, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import LevelRow
from athena_tuning.ui.charts.panel import NAMES, Axis, Bars, Cells, Chart, Line, Panel, Rule, highest, listed
from athena_tuning.ui.charts.plotly_figure import figure
from athena_tuning.ui.theme import AMBER, BLUE, CRIMSON, SLATE, TEAL

LEAST = 5
"""Recalls below which a level is drawn hollow: too few to lean on."""


def by_level(rows: Sequence[LevelRow], limit: int | None = None) -> Chart:
    """Draw p50 and p99 against the tasks in flight that a recall saw, with the limit in force."""
    ordered = sorted(rows, key=lambda row: row.level)
    levels = [row.level for row in ordered]
    counts, hollow = [row.n for row in ordered], [row.n < LEAST for row in ordered]
    hover = "%{y} recalls at %{x} in flight"
    marks: list[Line | Bars] = [Bars(levels, counts, "recalls", SLATE, hover=hover, right=True, opacity=0.22)]
    for name, colour in (("p50", BLUE), ("p99", CRIMSON)):
        values, hover = [getattr(row, name) for row in ordered], f"%{{x}} in flight: {name} %{{y:.4g}} ms"
        marks.append(Line(levels, values, name, colour, hover=hover, width=2.2, dots=8, hollow=hollow))
    figures = (
        f"{r.level} in flight: p50 {units.ms(r.p50)}, p99 {units.ms(r.p99)} (n = {r.n})" for r in ordered
    )
    x = Axis("layer tasks in flight (highest that the recall saw)", step=_step(max(levels, default=1)))
    y, right = Axis("ms", from_zero=True), Axis(from_zero=True, lines=False, labels=False)
    words = f"Latency by layer tasks in flight. {listed(figures, 'Nothing yet')}."
    return figure(Panel(marks, x, y, words, right, _limit_rule(limit)))


def throughput(
    measured: Sequence[tuple[int, float, float, float]],
    fitted: Sequence[float],
    *,
    measured_to: int,
    limit: int,
    chosen: int | None,
) -> Chart:
    """Draw layer tasks a second against tasks in flight: as measured, and by the fitted law.

    Args:
        measured: tasks in flight, tasks/s, and the ends of its interval.
        fitted: tasks/s with 1, 2, … in flight; empty where no law could be fitted.
        measured_to: beyond it the law was not measured, and is dotted.
        limit: in force.
        chosen: what the tuner would choose; None if that is what is in force.
    """
    levels, rates = [n for n, *_ in measured], [rate for _, rate, *_ in measured]
    ends, hover = [(low, high) for *_, low, high in measured], "%{x} in flight: %{y:.4g} tasks/s"
    marks = [Line(levels, rates, "measured, 95 % interval", AMBER, hover=hover, width=0, dots=9, y_ends=ends)]
    limits, by_law = range(1, len(fitted) + 1), f"{hover} by the law"
    known, guessed = slice(0, measured_to), slice(measured_to - 1, None)
    if len(fitted[known]) > 1:
        marks.append(Line(limits[known], fitted[known], "fitted law", BLUE, hover=by_law, width=2.4))
    if len(fitted[guessed]) > 1:
        points = limits[guessed], fitted[guessed]
        marks.append(Line(*points, "extrapolated", BLUE, hover=by_law, width=2.4, dash="dot"))
    for name, at, colour in (("in force", limit, SLATE), ("tuner's choice", chosen, TEAL)):
        if at and at <= len(fitted):
            page, about = f"{name}: {at}", f"{name}: {hover}"
            marks.append(
                Line([at], [fitted[at - 1]], page, colour, hover=about, width=0, dots=14, symbol="diamond")
            )
    top = max(limit, len(fitted))
    figures = (f"{n} in flight {units.rate(value)}" for n, value, *_ in measured)
    axis = Axis("layer tasks in flight", step=_step(top), span=(0, top + 0.6))
    up = Axis("tasks/s", span=(0, highest([*fitted, *rates], none=1.0) * 1.3))
    words = f"Layer tasks a second by tasks in flight: {listed(figures)}.{_law_words(fitted, limit, chosen)}"
    return figure(Panel(marks, axis, up, words, rules=_limit_rule(limit)))


def queue_wait(series: Any, *, timezone: str) -> Chart:
    """Draw the median and p99 queue wait over time: the price of the limit."""
    times = units.wall_clock(series.time, timezone)
    lines = [
        Line(times, getattr(series, name), name, colour, hover=f"%{{x|%H:%M:%S}} {name} %{{y:.3g}} ms")
        for name, colour in (("p50", BLUE), ("p99", AMBER))
    ]
    worst = units.ms(highest(series.p99, none=math.nan))
    words = f"Queue wait over time; the highest p99 of a bucket is {worst}."
    return figure(Panel(lines, Axis(kind="time", most_ticks=6), Axis("ms", from_zero=True), words))


def co_occurrence(layers: Sequence[str], matrix: Any) -> Chart:
    """Draw the share of recalls that asked both layers; the diagonal is a layer's own share."""
    names = [text.plotly(layer, 16) for layer in layers]
    size = range(len(layers))
    lower = [[matrix[r][c] * 100 if c <= r else None for c in size] for r in size]
    cells = Cells(names, names, lower, "%", 100, "%{y} and %{x}: %{text}")
    pairs = [(float(matrix[r][c]), layers[r], layers[c]) for r in size for c in range(r)]
    words = "nothing yet"
    if pairs:
        share, one, other = max(pairs)
        words = (
            f"{text.plain(one, 24)} and {text.plain(other, 24)} run together most, "
            f"in {units.percent(share)} of recalls"
        )
    return figure(Panel([cells], NAMES, NAMES, f"Layers that run together: {words}."))


def _law_words(fitted: Sequence[float], limit: int, chosen: int | None) -> str:
    if not fitted:
        return ""
    words = f"the limit of {limit} is beyond it"
    if limit <= len(fitted):
        words = f"{units.rate(fitted[limit - 1])} at the limit of {limit}"
    if chosen and chosen <= len(fitted):
        words += f", {units.rate(fitted[chosen - 1])} at {chosen}, which the tuner would choose"
    return f" The fitted law: {words}."


def _limit_rule(limit: int | None) -> list[Rule]:
    return [] if limit is None else [Rule(limit, f"limit {limit}", before=True)]


def _step(top: int) -> int:
    """Return the distance of whole ticks that labels at most about twelve of them."""
    return max(1, math.ceil(top / 12))
