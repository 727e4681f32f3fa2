"""Where time goes: by percentile, by layer and type, over time, within one recall."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import QUANTILES, Row, trusted
from athena_tuning.ui.charts.panel import NAMES, Axis, Chart, Line, Panel, Rule, highest, listed
from athena_tuning.ui.charts.plotly_figure import figure, row_height
from athena_tuning.ui.theme import BLUE, MARK, PERCENTILES, QUIET, TARGET

_TICKS = (0.0, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995)


LABEL = 24
"""Characters of a name on a chart."""


def percentile_plot(
    current: Sequence[float],
    previous: Sequence[float] | None = None,
    *,
    counts: tuple[int, int],
    names: tuple[str, str] = ("this period", "previous period"),
    slo_ms: float | None = None,
) -> Chart:
    """Draw latency against percentile on a log 1/(1−p) axis, so that the tail has room.

    Quantiles that too few samples carry are left out (``trusted``).

    Args:
        current: ms at each of ``QUANTILES``.
        previous: the same for what it is compared with.
        counts: recalls behind the two.
        names: what the two are called.
        slo_ms: the promised latency, drawn as a line.
    """
    lines = []
    for before, values in ((True, previous), (False, current)):
        name, count = names[before], counts[before]
        if values is None or not count:
            continue
        pairs = zip(QUANTILES, values, strict=True)
        known = [(q, ms) for q, ms in pairs if trusted(q, count) and math.isfinite(ms)]
        lines.append(
            Line(
                [_tail(q) for q, _ in known],
                [ms for _, ms in known],
                f"{text.plotly(name)} (n = {units.count(count)})",
                MARK if before else BLUE,
                width=1.6 if before else 2.6,
                dash="dot" if before else "solid",
                notes=[f"p{q * 100:.5g}" for q, _ in known],
                hover="%{customdata}: %{y:.4g} ms",
            )
        )
    top = max((_tail(q) for q in QUANTILES if trusted(q, max(counts))), default=1.0)
    ticks = {_tail(q): f"{q * 100:g}" for q in _TICKS if _tail(q) <= top + 0.02}
    x, y = Axis("percentile", ticks=ticks, span=(0, top * 1.02)), Axis("ms", from_zero=True)
    words = _percentile_words(current, previous, counts, names)
    return figure(Panel(lines, x, y, words, rules=slo_rule(slo_ms)))


def by_name(rows: Sequence[Row], *, what: str, slo_ms: float | None = None, beside: int = 0) -> Chart:
    """Draw p50, p95 and p99 of each layer or type as three dots on a line; slowest first.

    Args:
        rows: in any order.
        what: what the names are.
        slo_ms: the promised p99, drawn as a line.
        beside: rows of the chart next to it, to be as high.
    """
    ordered = sorted(rows, key=lambda row: -row.p99 if math.isfinite(row.p99) else 0.0)
    names = [text.plotly(row.name, LABEL) for row in ordered]
    ends = [end for row in ordered for end in (row.p50, row.p99, None)]
    spans = Line(ends, [name for name in names for _ in range(3)], colour=QUIET, width=5)
    counts = [units.count(row.n) for row in ordered]
    dots = []
    for name, colour in PERCENTILES.items():
        hover = f"%{{y}} {name}: %{{x:.4g}} ms (n = %{{customdata}})"
        values = [getattr(row, name) for row in ordered]
        dots.append(Line(values, names, name, colour, notes=counts, hover=hover, width=0, dots=11))
    figures = (
        f"{text.plain(r.name, 24)} p50 {units.ms(r.p50)}, p99 {units.ms(r.p99)} (n = {r.n})" for r in ordered
    )
    words = f"Latency by {what}, slowest first: {listed(figures)}."
    panel = Panel(
        [spans, *dots], Axis("ms", from_zero=True), NAMES, words, rules=slo_rule(slo_ms, level=False)
    )
    return figure(panel, height=row_height(max(len(rows), beside)))


def small_multiples(series: Mapping[str, Any], *, timezone: str) -> Chart:
    """Draw p50 and p99 over time, one small chart a layer or type, all on one scale."""
    columns = 1 if len(series) == 1 else 2 if len(series) <= 4 else 3
    rows = max(1, math.ceil(len(series) / columns))
    tops = {name: highest(data.p99) for name, data in series.items()}
    times = {name: units.wall_clock(data.time, timezone) for name, data in series.items()}
    moments = [moment for each in times.values() for moment in each]
    x = Axis(kind="time", most_ticks=3, span=(min(moments), max(moments)) if moments else None)
    y = Axis(unit="ms", most_ticks=4, span=(0, max(tops.values(), default=1) * 1.05))
    panels = []
    for index, (name, data) in enumerate(series.items()):
        lines = [
            Line(
                times[name],
                getattr(data, label),
                label,
                PERCENTILES[label],
                hover=f"%{{x|%H:%M:%S}} {label} %{{y:.4g}} ms",
                width=1.8,
                dots=0 if len(times[name]) > 3 else 6,
            )
            for label in ("p50", "p99")
        ]
        labelled = replace(y, labels=index % columns == 0)
        panels.append(Panel(lines, x, labelled, title=text.plotly(name, 24)))
    worst = max(tops, key=tops.__getitem__, default=None)
    at_worst = f", highest for {text.plain(worst, 24)} at {units.ms(tops[worst])}" if worst else ""
    drawn = figure(*panels, height=90 + 165 * rows, columns=columns, gaps=(0.04, 76 / (165 * rows)))
    return drawn._replace(alt=f"p50 and p99 over time for {len(series)} of them on one scale{at_worst}.")


def slo_rule(slo_ms: float | None, *, level: bool = True) -> list[Rule]:
    """Return the line at a promised latency, if one is promised."""
    if slo_ms is None:
        return []
    return [Rule(slo_ms, f"SLO {units.ms(slo_ms)}", level=level, before=not level, colour=TARGET)]


def _percentile_words(
    current: Sequence[float],
    previous: Sequence[float] | None,
    counts: tuple[int, int],
    names: tuple[str, str],
) -> str:
    def figures(values: Sequence[float], count: int) -> str:
        known = [q for q in (0.5, 0.9, 0.99, 0.999) if trusted(q, count)]
        return ", ".join(f"p{q * 100:g} {units.ms(_at(values, q))}" for q in known) or "too few recalls"

    words = f"{text.plain(names[0], 40)}: {figures(current, counts[0])}"
    if previous is not None and counts[1]:
        words += f"; {text.plain(names[1], 40)}: {figures(previous, counts[1])}"
    return f"Latency by percentile. {words[0].upper()}{words[1:]}."


def _at(values: Sequence[float], quantile: float) -> float:
    return values[int(np.argmin(np.abs(np.array(QUANTILES) - quantile)))]


def _tail(quantile: float) -> float:
    return -math.log10(1 - quantile)
