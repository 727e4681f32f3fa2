"""Live charts: pure functions from data to an ECharts option and its words.

ECharts updates in place, so these may be redrawn on a timer; times are drawn as wall clock of the chosen zone
(``useUTC`` with shifted times).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import DAYS, LONG_DAYS, Mark
from athena_tuning.ui.charts.chart import Chart
from athena_tuning.ui.theme import BAD, FAINT, GOOD, MARK, PLAIN, QUIET, TARGET

_APART = 0.07
"""Share of the period that a mark's label takes up."""


def latency_over_time(
    series: Any,
    *,
    timezone: str,
    marks: Sequence[Mark] = (),
    slo_ms: float | None = None,
    period: tuple[float, float] | None = None,
) -> Chart:
    """Draw p50, p95 and p99 over time, with config changes, notes and the promised latency.

    Args:
        series: time (Unix s), p50, p95, p99 (ms) by bucket.
        timezone: whose clock the axis shows.
        marks: moments to mark.
        slo_ms: the promised p99.
        period: the axis' start and end in Unix seconds.
    """
    names = ("p50", "p95", "p99")
    lines: list[dict[str, Any]] = [
        {
            "type": "line",
            "name": name,
            "encode": {"x": "t", "y": name},
            "showSymbol": len(series.time) < 4,
            "lineStyle": {"width": 2.2 if name == "p99" else 1.7},
            "emphasis": {"disabled": True},
        }
        for name in names
    ]
    guides = [
        {
            "xAxis": units.wall_ms(mark.time, timezone),
            "label": {"formatter": text.plain(mark.label, 18), "position": "end"},
        }
        for mark in _apart(marks, period)
    ]
    if slo_ms is not None:
        guides.append(
            {
                "yAxis": slo_ms,
                "lineStyle": {"color": TARGET, "type": "dashed", "width": 1.4},
                "label": {
                    "formatter": f"SLO {units.ms(slo_ms)}",
                    "position": "insideStartTop",
                    "color": TARGET,
                },
            }
        )
    if guides:
        lines[-1]["markLine"] = _guides(guides)
    option = _over_time(lines, timezone, "ms", period)
    columns = {name: getattr(series, name) for name in names}
    option["dataset"] = _columns(series.time, columns, timezone)
    newest = {name: _last(getattr(series, name)) for name in names}
    said = ", ".join(f"{name} {units.ms(value)}" for name, value in newest.items())
    changes = f"; {len(marks)} changes marked" if marks else ""
    return Chart(
        option, f"Latency over time, newest {said}; highest p99 {units.ms(_top(series.p99))}{changes}."
    )


def throughput_over_time(
    series: Any, *, bucket_seconds: float, timezone: str, period: tuple[float, float] | None = None
) -> Chart:
    """Draw recalls per second, those that the cache answered and those that failed, stacked."""
    rest = [n - h - e for n, h, e in zip(series.count, series.cache_hits, series.errors, strict=True)]
    parts = (
        ("asked layers", rest, PLAIN),
        ("from the cache", series.cache_hits, GOOD),
        ("failed", series.errors, BAD),
    )
    bars = [
        {
            "type": "bar",
            "name": name,
            "stack": "recalls",
            "encode": {"x": "t", "y": name},
            "barCategoryGap": "18%",
            "itemStyle": {"color": colour},
        }
        for name, _, colour in parts
    ]
    option = _over_time(bars, timezone, "/s", period)
    rates = {name: [max(0.0, float(v)) / bucket_seconds for v in values] for name, values, _ in parts}
    option["dataset"] = _columns(series.time, rates, timezone)
    total, errors = sum(map(int, series.count)), sum(map(int, series.errors))
    top = _top(series.count) / bucket_seconds
    return Chart(option, f"{total} recalls, {errors} failed; at most {units.rate(top)} in a bucket.")


def stacked(top: Chart, bottom: Chart, share: float = 0.62) -> Chart:
    """Put two charts over the same times one above the other, under one time axis and one pointer.

    Args:
        top: drawn over time from a ``dataset``.
        bottom: likewise, of the same times.
        share: of the height, for the upper one.
    """
    grids, series = [], []
    places: dict[str, dict[str, Any]] = {
        "top": {"top": 34, "height": f"{share * 100 - 14:.0f}%"},
        "bottom": {"top": f"{share * 100:.0f}%"},
    }
    for number, (place, part) in enumerate(zip(places.values(), (top.spec, bottom.spec), strict=True)):
        margins = {key: value for key, value in part["grid"].items() if key not in {"top", "bottom"}}
        grids.append({**margins, "bottom": 4, **place} if number else {**margins, **place})
        told = {"valueFormatter": part["tooltip"]["valueFormatter"]}
        series += [{**s, "xAxisIndex": number, "yAxisIndex": number, "tooltip": told} for s in part["series"]]
    source = top.spec["dataset"]["source"] | bottom.spec["dataset"]["source"]
    upper, lower = top.spec["xAxis"], bottom.spec["xAxis"]
    option = {
        **top.spec,
        "grid": grids,
        "xAxis": [{**upper, "axisLabel": {"show": False}}, {**lower, "gridIndex": 1}],
        "yAxis": [top.spec["yAxis"], {**bottom.spec["yAxis"], "gridIndex": 1, "splitNumber": 2}],
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "tooltip": {"trigger": "axis", "confine": True},
        "series": series,
        "dataset": {"source": source},
    }
    return Chart(option, f"{top.alt} {bottom.alt}")


def lines_over_time(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    timezone: str,
    unit: str,
    step: bool = False,
    period: tuple[float, float] | None = None,
) -> Chart:
    """Draw named lines over time: the gauges of a run, a rate."""
    lines = [
        {
            "type": "line",
            "name": text.plain(name, 24),
            "data": [[units.wall_ms(t, timezone), _number(v)] for t, v in points],
            "showSymbol": len(points) < 4,
            "emphasis": {"disabled": True},
            **({"step": "end"} if step else {}),
        }
        for name, points in series.items()
    ]
    newest = ", ".join(
        f"{text.plain(name, 24)} {points[-1][1]:g}{unit}" for name, points in series.items() if points
    )
    return Chart(_over_time(lines, timezone, unit.strip(), period), f"Now {newest or 'nothing yet'}.")


def ranked(rows: Sequence[tuple[str, float, int]], *, unit: str = "ms") -> Chart:
    """Draw names by a value in ms, largest first, with n."""
    ordered = sorted(rows, key=lambda row: -row[1] if math.isfinite(row[1]) else 0)
    option: dict[str, Any] = {
        "animation": False,
        "grid": {"left": 4, "right": 64, "top": 4, "bottom": 4, "containLabel": True},
        "tooltip": {"show": False},
        "xAxis": {"type": "value", "show": False},
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": [text.plain(name, 20) for name, _, _ in ordered],
            "axisLine": {"show": False},
            "axisTick": {"show": False},
        },
        "series": [
            {
                "type": "bar",
                "barWidth": 12,
                "itemStyle": {"borderRadius": 3},
                "data": [
                    {"value": _number(value), "label": {"formatter": units.ms(value)}}
                    for _, value, _ in ordered
                ],
                "label": {"show": True, "position": "right"},
                "cursor": "default",
            }
        ],
    }
    said = ", ".join(f"{text.plain(name, 20)} {units.ms(value)} (n = {n})" for name, value, n in ordered)
    return Chart(option, f"By {unit}, highest first: {said or 'nothing yet'}.")


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
    cells = []
    for day in range(7):
        for hour in range(24):
            value, n = float(values[day][hour]), int(counts[day][hour])
            if math.isfinite(value) and n >= least:
                cells.append([hour, day, _short(value)])
    shown = [cell[2] for cell in cells]
    option: dict[str, Any] = {
        "animation": False,
        "grid": {
            "left": 4,
            "right": 8,
            "top": 8,
            "bottom": 46,
            "containLabel": True,
            "show": True,
            "backgroundColor": FAINT,
            "borderWidth": 0,
        },
        "tooltip": {"trigger": "item", "formatter": f"{name}: {{@[2]}} {unit}"},
        "xAxis": {
            "type": "category",
            "data": [f"{hour:02d}" for hour in range(24)],
            "axisTick": {"show": False},
            "axisLine": {"show": False},
        },
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": list(DAYS),
            "axisTick": {"show": False},
            "axisLine": {"show": False},
        },
        "visualMap": {
            "min": min(shown, default=0),
            "max": max(shown, default=1) or 1,
            "calculable": False,
            "orient": "horizontal",
            "left": "center",
            "bottom": 0,
            "itemHeight": 220,
            "itemWidth": 10,
            "text": [f"{max(shown, default=0):g} {unit}", f"{min(shown, default=0):g}"],
        },
        "series": [
            {
                "type": "heatmap",
                "name": name,
                "data": cells,
                "label": {"show": len(cells) <= 60, "fontSize": 10},
                "selectedMode": "single",
                "itemStyle": {"borderWidth": 2, "borderColor": "transparent", "borderRadius": 4},
                "select": {"itemStyle": {"borderColor": TARGET, "borderWidth": 2}},
            }
        ],
    }
    return Chart(option, extremes(cells, name, unit, flip=flip))


def extremes(cells: Sequence[Sequence[float]], name: str, unit: str, *, flip: bool = False) -> str:
    """Say which hour is worst or busiest, and which is its opposite.

    Example:
        >>> extremes([[9, 0, 120.0], [3, 6, 20.0]], "p99", "ms")
        'p99 is highest on Monday 09:00 to 10:00 (120 ms) and lowest on Sunday 03:00 to 04:00 (20 ms).'
    """
    if not cells:
        return f"{name}: nothing to show yet."
    high, low = max(cells, key=lambda cell: cell[2]), min(cells, key=lambda cell: cell[2])
    if flip:
        high, low = low, high
    first, last = ("lowest", "highest") if flip else ("highest", "lowest")
    said = f"{name} is {first} on {_hour(high)} ({high[2]:g} {unit})"
    return said + ("." if len(cells) == 1 else f" and {last} on {_hour(low)} ({low[2]:g} {unit}).")


def _apart(marks: Sequence[Mark], period: tuple[float, float] | None) -> list[Mark]:
    """Return marks so far apart that their labels can be read: near ones become one, with how many more."""
    ordered = sorted(marks)
    times = [mark.time for mark in ordered]
    span = period[1] - period[0] if period else max(times, default=0.0) - min(times, default=0.0)
    groups: list[list[Mark]] = []
    for mark in ordered:
        if groups and mark.time - groups[-1][0].time < _APART * span:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return [
        Mark(group[-1].time, text.plain(group[-1].label, 14) + (f" +{len(group) - 1}" if group[1:] else ""))
        for group in groups
    ]


def _hour(cell: Sequence[float]) -> str:
    hour, day = int(cell[0]), int(cell[1])
    return f"{LONG_DAYS[day]} {hour:02d}:00 to {(hour + 1) % 24:02d}:00"


def _over_time(
    series: list[dict[str, Any]], timezone: str, unit: str, period: tuple[float, float] | None
) -> dict[str, Any]:
    x_axis: dict[str, Any] = {"type": "time", "axisTick": {"show": False}, "splitLine": {"show": False}}
    if period:
        x_axis["min"], x_axis["max"] = (units.wall_ms(t, timezone) for t in period)
    escaped = unit.replace("%", "%%")
    return {
        "useUTC": True,
        "animation": False,
        "grid": {"left": 4, "right": 14, "top": 34, "bottom": 4, "containLabel": True},
        "legend": {"type": "scroll", "top": 0, "left": 0, "itemWidth": 14, "itemHeight": 8},
        "tooltip": {"trigger": "axis", "valueFormatter": f"%.4g {escaped}", "confine": True},
        "xAxis": x_axis,
        "yAxis": {
            "type": "value",
            "min": 0,
            "axisLabel": {"formatter": f"{{value}} {unit}"},
            "splitLine": {"lineStyle": {"color": QUIET}},
            "splitNumber": 4,
        },
        "series": series,
    }


def _guides(data: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "symbol": "none",
        "silent": True,
        "animation": False,
        "lineStyle": {"color": MARK, "type": "dotted", "width": 1.3},
        "label": {"color": MARK, "fontSize": 10},
        "data": data,
    }


def _columns(times: Any, columns: Mapping[str, Any], timezone: str) -> dict[str, Any]:
    """Return columns that share their times: half the bytes of pairs, which a live chart sends every time."""
    moments = [round(units.wall_ms(float(t), timezone)) for t in times]
    known = {name: [_figure(float(v)) for v in values] for name, values in columns.items()}
    return {"source": {"t": moments, **known}}


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 4)


def _figure(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.3g}")
    return int(short) if short.is_integer() else short


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def _last(values: Any) -> float | None:
    known = [float(v) for v in values if math.isfinite(v)]
    return known[-1] if known else None


def _top(values: Any) -> float:
    return max((float(v) for v in values if math.isfinite(v)), default=0.0)
