"""Where time goes: by percentile, by layer and type, over time, within one recall."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from athena_tuning.model import QueryMetrics, TaskOutcome
from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import QUANTILES, Row, trusted
from athena_tuning.ui.charts.base import axis, figure, names_axis, row_height
from athena_tuning.ui.charts.chart import Chart
from athena_tuning.ui.theme import MARK, PERCENTILES, QUIET, SERIES, TARGET

_TICKS = (0.0, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995)


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
    traces = []
    sides = [(names[1], previous, counts[1], True), (names[0], current, counts[0], False)]
    for name, values, count, quiet in sides:
        if values is None or not count:
            continue
        kept = [
            (q, v) for q, v in zip(QUANTILES, values, strict=True) if trusted(q, count) and math.isfinite(v)
        ]
        line = {"width": 1.6, "dash": "dot", "color": MARK} if quiet else {"width": 2.6, "color": SERIES[0]}
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"{text.plotly(name)} (n = {units.count(count)})",
                "x": [_tail(q) for q, _ in kept],
                "y": [round(v, 4) for _, v in kept],
                "customdata": [f"p{q * 100:.5g}" for q, _ in kept],
                "hovertemplate": "%{customdata}: %{y:.4g} ms<extra></extra>",
                "line": line,
            }
        )
    shapes, notes = _target_line(slo_ms)
    top = max((_tail(q) for q in QUANTILES if trusted(q, max(counts))), default=1.0)
    ticks = [q for q in _TICKS if _tail(q) <= top + 0.02]
    spec = figure(
        traces,
        height=330,
        shapes=shapes,
        annotations=notes,
        xaxis=axis(
            "percentile",
            tickvals=[_tail(q) for q in ticks],
            ticktext=[f"{q * 100:g}" for q in ticks],
            range=[0, top * 1.02],
        ),
        yaxis=axis("ms", rangemode="tozero"),
    )
    return Chart(spec, _percentile_words(current, previous, counts, names))


def by_name(rows: Sequence[Row], *, what: str, slo_ms: float | None = None, beside: int = 0) -> Chart:
    """Draw p50, p95 and p99 of each layer or type as three dots on a line; slowest first.

    Args:
        rows: in any order.
        what: what the names are.
        slo_ms: the promised p99, drawn as a line.
        beside: rows of the chart next to it, to be as high.
    """
    ordered = sorted(rows, key=lambda row: -_or_zero(row.p99))
    labels = [text.plotly(row.name, 24) for row in ordered]
    spans: list[Any] = []
    for label, row in zip(labels, ordered, strict=True):
        spans += [(row.p50, label), (row.p99, label), (None, label)]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [_number(x) for x, _ in spans],
            "y": [y for _, y in spans],
            "line": {"width": 5, "color": QUIET},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]
    traces.extend(
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [_number(getattr(row, name)) for row in ordered],
            "y": labels,
            "customdata": [units.count(row.n) for row in ordered],
            "marker": {"size": 11, "color": colour},
            "hovertemplate": f"%{{y}} {name}: %{{x:.4g}} ms (n = %{{customdata}})<extra></extra>",
        }
        for name, colour in PERCENTILES.items()
    )
    shapes, notes = _target_line(slo_ms, vertical=True)
    spec = figure(
        traces,
        height=row_height(max(len(rows), beside)),
        shapes=shapes,
        annotations=notes,
        xaxis=axis("ms", rangemode="tozero"),
        yaxis=names_axis(),
    )
    said = "; ".join(
        f"{text.plain(r.name, 24)} p50 {units.ms(r.p50)}, p99 {units.ms(r.p99)} (n = {r.n})" for r in ordered
    )
    return Chart(spec, f"Latency by {what}, slowest first: {said or 'nothing yet'}.")


def small_multiples(series: Mapping[str, Any], *, timezone: str) -> Chart:
    """Draw p50 and p99 over time, one small chart a layer or type, all on one scale."""
    names = list(series)
    columns = 1 if len(names) == 1 else 2 if len(names) <= 4 else 3
    rows = max(1, math.ceil(len(names) / columns))
    traces, layout = [], {"grid": {"rows": rows, "columns": columns, "pattern": "independent", "ygap": 0.34}}
    top = max((_top(s.p99) for s in series.values()), default=1.0)
    moments = [units.wall_ms(float(t), timezone) for s in series.values() for t in s.time]
    span = [min(moments), max(moments)] if moments else None
    notes = []
    for index, name in enumerate(names, start=1):
        data, suffix = series[name], "" if index == 1 else str(index)
        times = [units.wall_ms(float(t), timezone) for t in data.time]
        traces += [
            {
                "type": "scatter",
                "mode": "lines" if len(times) > 3 else "lines+markers",
                "name": label,
                "legendgroup": label,
                "showlegend": index == 1,
                "x": times,
                "y": [_number(v) for v in getattr(data, label)],
                "xaxis": f"x{suffix}",
                "yaxis": f"y{suffix}",
                "line": {"width": 1.8, "color": PERCENTILES[label]},
                "hovertemplate": f"%{{x|%H:%M:%S}} {label} %{{y:.4g}} ms<extra></extra>",
            }
            for label in ("p50", "p99")
        ]
        layout[f"xaxis{suffix}"] = axis(type="date", nticks=3, tickangle=0, range=span)
        layout[f"yaxis{suffix}"] = axis(
            range=[0, top * 1.05], nticks=4, ticksuffix=" ms", showticklabels=index % columns == 1 % columns
        )
        notes.append(
            {
                "text": f"<b>{text.plotly(name, 24)}</b>",
                "xref": f"x{suffix} domain",
                "yref": f"y{suffix} domain",
                "x": 0,
                "y": 1.16,
                "showarrow": False,
                "xanchor": "left",
            }
        )
    spec = figure(traces, height=60 + 165 * rows, annotations=notes, **layout)
    spec["layout"]["margin"]["t"] = 56
    spec["layout"]["legend"]["y"] = 1 + 30 / (165 * rows)
    worst = max(series, key=lambda name: _top(series[name].p99), default=None)
    said = f", highest for {text.plain(worst, 24)} at {units.ms(_top(series[worst].p99))}" if worst else ""
    return Chart(spec, f"p50 and p99 over time for {len(names)} of them on one scale{said}.")


def waterfall(record: QueryMetrics) -> Chart:
    """Draw one recall along its time: all of it, then each layer's wait for a slot and its own time."""
    tasks = sorted(record.tasks, key=lambda task: task.offset_ms)
    labels = [f"{text.plotly(task.layer, 24)}" for task in tasks]
    parts = [
        ("waits for a slot", [t.offset_ms for t in tasks], [t.queue_ms for t in tasks], MARK),
        ("works", [t.offset_ms + t.queue_ms for t in tasks], [t.service_ms for t in tasks], None),
    ]
    whole = [record.latency_ms] if record.latency_ms is not None else []
    traces: list[dict[str, Any]] = [
        {
            "type": "bar",
            "orientation": "h",
            "name": "the whole recall",
            "x": whole,
            "y": ["recall"] * len(whole),
            "width": [0.3] * len(whole),
            "marker": {"color": QUIET},
            "hovertemplate": "the whole recall %{x:.3g} ms<extra></extra>",
        }
    ]
    for name, base, length, colour in parts:
        fate = [SERIES[0] if t.outcome == TaskOutcome.OK else SERIES[2] for t in tasks]
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "base": base,
                "x": length,
                "y": labels,
                "marker": {"color": colour or fate, "opacity": 0.55 if colour else 1.0},
                "hovertemplate": f"%{{y}} {name} %{{x:.3g}} ms<extra></extra>",
            }
        )
    spec = figure(
        traces,
        height=row_height(len(tasks) + 1, least=140, each=32),
        barmode="overlay",
        showlegend=True,
        xaxis=axis("ms since the recall began", rangemode="tozero"),
        yaxis=names_axis(),
    )
    said = "; ".join(
        f"{text.plain(t.layer, 24)} waited {units.ms(t.queue_ms)}, worked {units.ms(t.service_ms)}"
        + ("" if t.outcome == TaskOutcome.OK else f" ({t.outcome})")
        for t in tasks
    )
    return Chart(spec, f"A recall of {units.ms(record.latency_ms)}: {said or 'no layer ran'}.")


def _percentile_words(
    current: Sequence[float],
    previous: Sequence[float] | None,
    counts: tuple[int, int],
    names: tuple[str, str],
) -> str:
    def told(values: Sequence[float], count: int) -> str:
        marks = [(f"p{q * 100:g}", q) for q in (0.5, 0.9, 0.99, 0.999) if trusted(q, count)]
        return ", ".join(f"{name} {units.ms(_at(values, q))}" for name, q in marks)

    said = f"{text.plain(names[0], 40)}: {told(current, counts[0]) or 'too few recalls'}"
    if previous is not None and counts[1]:
        said += f"; {text.plain(names[1], 40)}: {told(previous, counts[1]) or 'too few recalls'}"
    return f"Latency by percentile. {said[0].upper()}{said[1:]}."


def _at(values: Sequence[float], quantile: float) -> float:
    return values[int(np.argmin(np.abs(np.array(QUANTILES) - quantile)))]


def _tail(quantile: float) -> float:
    return -math.log10(1 - quantile)


def _target_line(
    slo_ms: float | None, *, vertical: bool = False
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if slo_ms is None:
        return [], []
    line = {"color": TARGET, "width": 1.4, "dash": "dash"}
    along, across = ("y", "x") if vertical else ("x", "y")
    shape = {
        "type": "line",
        "line": line,
        f"{along}ref": "paper",
        f"{along}0": 0,
        f"{along}1": 1,
        f"{across}0": slo_ms,
        f"{across}1": slo_ms,
    }
    note = {
        "text": f"SLO {units.ms(slo_ms)}",
        "font": {"color": TARGET, "size": 11},
        "showarrow": False,
        f"{along}ref": "paper",
        along: 1 if vertical else 0,
        across: slo_ms,
        "xanchor": "left",
        "yanchor": "bottom",
    }
    return [shape], [note]


def _top(values: Any) -> float:
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return float(known.max()) if known.size else 0.0


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 4)


def _or_zero(value: float) -> float:
    return value if math.isfinite(value) else 0.0
