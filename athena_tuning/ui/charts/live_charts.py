"""Charts that renew themselves or whose cells can be chosen: over time, ranked, by hour and weekday."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import DAYS, LONG_DAYS, Mark
from athena_tuning.service.timeline import Happening, Lane
from athena_tuning.ui.charts.echarts_option import cells
from athena_tuning.ui.charts.latency_charts import slo_rule
from athena_tuning.ui.charts.panel import (
    NAMES,
    Axis,
    Bars,
    Cells,
    Chart,
    Line,
    Panel,
    Rule,
    highest,
    listed,
    number,
)
from athena_tuning.ui.theme import BAD, GOOD, MARK, NOTED, PLAIN, TARGET

_APART = 0.07
"""Share of the period that a mark's label takes up."""

_LANES = {Lane.CONFIG: PLAIN, Lane.RUN: MARK, Lane.NOTE: NOTED, Lane.INCIDENT: BAD}

_EXPLAINED = 2
"""Marks that share a label of which the newest are explained."""


def latency_over_time(
    series: Any,
    *,
    timezone: str,
    marks: Sequence[Mark] = (),
    slo_ms: float | None = None,
    period: tuple[float, float] | None = None,
) -> Panel:
    """Draw p50, p95 and p99 over time, with config changes, notes and the promised latency.

    Args:
        series: time (Unix s), p50, p95, p99 (ms) by bucket.
        timezone: whose clock the axis shows.
        marks: moments to mark.
        slo_ms: the promised p99.
        period: the axis' start and end in Unix seconds.
    """
    names, times = ("p50", "p95", "p99"), units.wall_clock(series.time, timezone)
    lines = [Line(times, getattr(series, name), name, width=2.2 if name == "p99" else 1.7) for name in names]
    newest = ", ".join(f"{name} {units.ms(_last(getattr(series, name)))}" for name in names)
    changes = f"; {len(marks)} changes marked" if marks else ""
    words = f"Latency over time, newest {newest}; highest p99 {units.ms(highest(series.p99))}{changes}."
    rules = [*_mark_rules(marks, timezone, period), *slo_rule(slo_ms)]
    return Panel(lines, _time_axis(timezone, period), Axis(unit="ms"), words, rules=rules)


def throughput_over_time(
    series: Any, *, bucket_seconds: float, timezone: str, period: tuple[float, float] | None = None
) -> Panel:
    """Draw recalls per second, those that the cache answered, failed and refused ones apart, stacked."""
    parts = (series.count, series.cache_hits, series.errors, series.refused)
    asked = [n - h - e - r for n, h, e, r in zip(*parts, strict=True)]
    total, errors, refused = (sum(map(int, part)) for part in (series.count, series.errors, series.refused))
    peak = highest(series.count) / bucket_seconds
    times = units.wall_clock(series.time, timezone)
    bars = [
        Bars(times, [max(0.0, float(v)) / bucket_seconds for v in values], name, colour, stacked=True)
        for name, values, colour in (
            ("asked layers", asked, PLAIN),
            ("from the cache", series.cache_hits, GOOD),
            ("failed", series.errors, BAD),
            *([("refused", series.refused, TARGET)] if refused else []),
        )
    ]
    told = f", {refused} refused" if refused else ""
    words = f"{total} recalls, {errors} failed{told}; at most {units.rate(peak)} in a bucket."
    return Panel(bars, _time_axis(timezone, period), Axis(unit="/s"), words)


def lane(
    happenings: Sequence[Happening], *, timezone: str, period: tuple[float, float] | None = None
) -> Panel:
    """Draw what happened over the same time: a bar where it lasted, and a dot that can be chosen."""
    bars = [
        Line(
            units.wall_clock([max(each.start, period[0]) if period else each.start, each.end], timezone),
            [each.lane.value] * 2, colour=_LANES[each.lane], width=9.0,
        )
        for each in happenings
        if each.end is not None
    ]  # fmt: skip
    dots = Line(
        units.wall_clock([max(h.start, period[0]) if period else h.start for h in happenings], timezone),
        [each.lane.value for each in happenings],
        colour=[_LANES[each.lane] for each in happenings],
        labels=[each.label for each in happenings],
        notes=[each.about for each in happenings],
        width=0.0,
        dots=11.0,
    )
    told = "; ".join(each.about for each in happenings)
    names = Axis(kind="category", ticks={float(n): name for n, name in enumerate(Lane)}, lines=False)
    words = f"{len(happenings)} happenings: {told}." if happenings else "Nothing happened beside."
    return Panel([*bars, dots], _time_axis(timezone, period), names, words)


def lines_over_time(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    timezone: str,
    unit: str,
    steps: bool = False,
    period: tuple[float, float] | None = None,
) -> Panel:
    """Draw named lines over time: the gauges of a run, a rate."""
    newest = (f"{text.plain(name, 24)} {points[-1][1]:g} {unit}" for name, points in series.items() if points)
    lines = []
    for name, points in series.items():
        times = units.wall_clock([time for time, _ in points], timezone)
        lines.append(Line(times, [value for _, value in points], text.plain(name, 24), steps=steps))
    return Panel(lines, _time_axis(timezone, period), Axis(unit=unit), f"Now {listed(newest)}.")


def hour_weekday(
    values: Any, *, unit: str, name: str, counts: Any, least: int = 1, flip: bool = False
) -> Chart:
    """Draw hour of day by weekday; a cell can be chosen.

    Args:
        values: 7 × 24, Monday first, NaN where unknown.
        unit: what stands behind a value ("ms", "recalls", "%").
        name: what is shown ("p99").
        counts: recalls behind each cell, 7 × 24.
        least: cells with fewer recalls stay empty.
        flip: low values are the bad ones.
    """
    known = [
        [number(values[day][hour], 3) if counts[day][hour] >= least else None for hour in range(24)]
        for day in range(7)
    ]
    listed_cells = [
        (hour, day, v) for day, row in enumerate(known) for hour, v in enumerate(row) if v is not None
    ]
    hours = [f"{hour:02d}" for hour in range(24)]
    grid = Cells(hours, DAYS, known, unit, hover=f"{name}: {{@[2]}} {unit}")
    return cells(Panel([grid], NAMES, NAMES, extremes(listed_cells, name, unit, flip=flip)))


def extremes(cells: Sequence[Sequence[float]], name: str, unit: str, *, flip: bool = False) -> str:
    """Say which hour is worst or busiest, and which is its opposite.

    Examples:
        >>> extremes([[9, 0, 120.0], [3, 6, 20.0]], "p99", "ms")
        'p99 is highest on Monday 09:00 to 10:00 (120 ms) and lowest on Sunday 03:00 to 04:00 (20 ms).'
    """
    if not cells:
        return f"{name}: nothing to show yet."
    high, low = max(cells, key=lambda cell: cell[2]), min(cells, key=lambda cell: cell[2])
    if flip:
        high, low = low, high
    first, last = ("lowest", "highest") if flip else ("highest", "lowest")
    words = f"{name} is {first} on {_hour(high)} ({high[2]:g} {unit})"
    return words + ("." if len(cells) == 1 else f" and {last} on {_hour(low)} ({low[2]:g} {unit}).")


def _mark_rules(marks: Sequence[Mark], timezone: str, period: tuple[float, float] | None) -> list[Rule]:
    """Return lines at marks; those whose labels would overlap share one, with how many more there are."""
    ordered = sorted(marks)
    if not ordered:
        return []
    if not any(mark.label for mark in ordered):  # a lane below says what they are
        return [Rule(units.wall_ms(mark.time, timezone), dash="dot") for mark in ordered]
    start, end = period or (ordered[0].time, ordered[-1].time)
    groups: list[list[Mark]] = []
    for mark in ordered:
        if groups and mark.time - groups[-1][0].time < _APART * (end - start):
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return [
        Rule(
            units.wall_ms(group[-1].time, timezone),
            text.plain(group[-1].label, 14) + (f" +{len(group) - 1}" if group[1:] else ""),
            "\n".join(text.plain(mark.about or mark.label, 42) for mark in group[-_EXPLAINED:]),
            before=group[-1].time > (start + end) / 2,
            dash="dot",
        )
        for group in groups
    ]


def _hour(cell: Sequence[float]) -> str:
    hour, day = int(cell[0]), int(cell[1])
    return f"{LONG_DAYS[day]} {hour:02d}:00 to {(hour + 1) % 24:02d}:00"


def _time_axis(timezone: str, period: tuple[float, float] | None) -> Axis:
    ends = period and (units.wall_ms(period[0], timezone), units.wall_ms(period[1], timezone))
    return Axis(kind="time", span=ends)


def _last(values: Any) -> float | None:
    known = [float(v) for v in values if math.isfinite(v)]
    return known[-1] if known else None
