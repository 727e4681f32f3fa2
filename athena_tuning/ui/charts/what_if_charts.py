"""What would be under other configs: the curve of a sweep, changes with intervals, and what then came."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import Foretold, percent, percent_change, told_change
from athena_tuning.tuning.simulation.what_if import Estimate, Outcome
from athena_tuning.ui.charts.base import axis, figure, names_axis, row_height
from athena_tuning.ui.charts.chart import Chart
from athena_tuning.ui.theme import AMBER, BLUE, CLEAR, CRIMSON, FAINT, MARK, QUIET, SLATE, TEAL

Panel = tuple[str, str, bool]
"""A measure of an outcome: its attribute, its name, and whether more of it is better."""

PANELS: tuple[Panel, ...] = (
    ("p99_change", "p99 latency", False),
    ("capacity_change", "capacity", True),
    ("cost_change", "slot time per answer", False),
)


def sweep_curve(outcomes: Sequence[tuple[float, Outcome]], *, what: str, in_force: float, unit: str) -> Chart:
    """Draw latency against the value that was swept, and below it what the value buys.

    Args:
        outcomes: value and outcome, the value in force included.
        what: what was swept, as the axis says it.
        in_force: the value in force.
        unit: of the values, with a space before it; "" for none.
    """
    ordered = sorted(outcomes, key=lambda pair: pair[0])
    x = [value for value, _ in ordered]
    traces: list[dict[str, Any]] = []
    for name, colour in (("p99", CRIMSON), ("p95", AMBER), ("p50", BLUE)):
        estimates = [getattr(outcome, f"{name}_ms") for _, outcome in ordered]
        if name == "p99":
            traces += _band(x, estimates, colour, "y")
        traces.append(_line(x, estimates, name, colour, "y", f"{name} %{{y:.4g}} ms at %{{x}}{unit}"))
    capacity = [outcome.per_second for _, outcome in ordered]
    full = [outcome.full_rate for _, outcome in ordered]
    if _moves(capacity):
        lower, title = capacity, "capacity, recalls/s"
        traces += _band(x, capacity, TEAL, "y2")
        traces.append(_line(x, capacity, title, TEAL, "y2", f"%{{y:.4g}} recalls/s at %{{x}}{unit}"))
    else:
        lower, title = full, "full answers"
        traces.append(_line(x, full, title, TEAL, "y2", f"%{{y:.2%}} full answers at %{{x}}{unit}"))
    beyond = [value for value, outcome in ordered if outcome.beyond]
    shapes = [_upright(in_force, in_force, {"color": MARK, "width": 1.4, "dash": "dash"})]
    notes = [_note(in_force, f"in force: {in_force:g}{unit}", "left")]
    if beyond:
        shapes.append(_upright(_between(x, beyond[0]), beyond[-1] * 1.06, {"width": 0}, fill=FAINT))
        notes.append(_note(beyond[-1] * 1.06, "beyond what was seen", "right"))
    ticks = _ticks(x)
    spec = figure(
        traces,
        height=430,
        shapes=shapes,
        annotations=notes,
        xaxis=axis(f"{what}{f',{unit}' if unit else ''}", type="log", tickvals=ticks, anchor="y2"),
        yaxis=axis("ms", domain=[0.4, 1], **_latency_scale(ordered)),
        yaxis2=axis(
            title, domain=[0, 0.3], rangemode="tozero", tickformat=".0%" if lower is full else "~s", nticks=4
        ),
    )
    said = "; ".join(
        f"{value:g}{unit}: p99 {units.ms(o.p99_ms.value)}, {units.rate(o.per_second.value)} at most, "
        f"{units.percent(o.full_rate.value)} full"
        for value, o in ordered
    )
    return Chart(spec, f"Simulated by {what}, {in_force:g}{unit} in force. {said or 'Nothing yet'}.")


def changes(outcomes: Sequence[Outcome]) -> Chart:
    """Draw what each case would change against what is in force, with 95 % intervals: filled where sure."""
    names = [text.plotly(outcome.name, 24) for outcome in outcomes]
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"yaxis": names_axis()}
    for i, (attribute, title, more_is_better) in enumerate(PANELS, start=1):
        estimates: list[Estimate] = [getattr(outcome, attribute) for outcome in outcomes]
        ends = [v for e in estimates for v in e if math.isfinite(v)]
        ticks = _change_ticks(min([-0.02, *ends]), max([0.02, *ends]))
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": title,
                "x": [_known(e.value) for e in estimates],
                "y": names,
                "xaxis": f"x{i}" if i > 1 else "x",
                "showlegend": False,
                "error_x": _error(estimates, lambda v: v),
                "marker": {
                    "size": 11,
                    "color": [_colour(e, more_is_better) for e in estimates],
                    "symbol": ["circle" if e.sure else "circle-open" for e in estimates],
                    "line": {"width": 2},
                },
                "customdata": [[percent(e.value), percent(e.low), percent(e.high)] for e in estimates],
                "hovertemplate": f"%{{y}}: {title} %{{customdata[0]}} "
                "(%{customdata[1]} to %{customdata[2]})<extra></extra>",
            }
        )
        width = 1 / len(PANELS)
        layout[f"xaxis{i}" if i > 1 else "xaxis"] = axis(
            title,
            domain=[(i - 1) * width + (0.02 if i > 1 else 0), i * width - 0.02],
            tickvals=ticks,
            ticktext=[percent(v) if v else "0 %" for v in ticks],
            zeroline=True,
            zerolinecolor=QUIET,
            zerolinewidth=2,
        )
    spec = figure(traces, height=row_height(len(outcomes), each=38), **layout)
    said = "; ".join(
        f"{text.plain(o.name, 24)}: "
        + ", ".join(f"{title} {told_change(getattr(o, attribute))}" for attribute, title, _ in PANELS)
        for o in outcomes
    )
    return Chart(spec, f"Simulated changes against what is in force. {said or 'Nothing yet'}.")


def expected_and_came(points: Sequence[Foretold]) -> Chart:
    """Draw what changes were expected to bring against what they brought; on the line they are equal."""
    ends = [percent_change(v) for p in points for v in (p.expected.value, p.came.value)]
    most = max([10.0, *(abs(v) * 1.25 for v in ends if v is not None)])
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "as expected",
            "x": [-most, most],
            "y": [-most, most],
            "line": {"color": MARK, "width": 1.4, "dash": "dash"},
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "markers+text",
            "name": "config change",
            "x": [percent_change(p.expected.value) for p in points],
            "y": [percent_change(p.came.value) for p in points],
            "text": [text.plotly(p.name, 12) for p in points],
            "textposition": "top right",
            "error_x": _error([p.expected for p in points]),
            "error_y": _error([p.came for p in points]),
            "marker": {"size": 11, "color": BLUE},
            "customdata": [[told_change(p.expected), told_change(p.came), units.count(p.n)] for p in points],
            "hovertemplate": "%{text}: expected %{customdata[0]}, came %{customdata[1]}, "
            "n = %{customdata[2]}<extra></extra>",
        },
    ]
    spec = figure(
        traces,
        height=330,
        xaxis=axis("expected change of latency", ticksuffix=" %", range=[-most, most]),
        yaxis=axis("what came", ticksuffix=" %", range=[-most, most]),
    )
    said = "; ".join(
        f"{text.plain(p.name, 12)}: expected {told_change(p.expected)}, came {told_change(p.came)} "
        f"(n = {units.count(p.n)})"
        for p in points
    )
    return Chart(spec, f"Expected and observed change of latency by config change. {said or 'Nothing yet'}.")


def _band(x: list[float], estimates: Sequence[Estimate], colour: str, y: str) -> list[dict[str, Any]]:
    common = {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "yaxis": y,
        "xaxis": "x",
        "line": {"width": 0, "color": colour},
        "showlegend": False,
        "hoverinfo": "skip",
    }
    return [
        {**common, "y": [_known(e.low) for e in estimates]},
        {**common, "y": [_known(e.high) for e in estimates], "fill": "tonexty", "opacity": 0.5},
    ]


def _line(
    x: list[float], estimates: Sequence[Estimate], name: str, colour: str, y: str, hover: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": x,
        "y": [_known(e.value) for e in estimates],
        "yaxis": y,
        "xaxis": "x",
        "line": {"width": 2.2, "color": colour},
        "marker": {"size": 7},
        "hovertemplate": f"{hover}<extra></extra>",
    }


def _upright(start: float, end: float, line: dict[str, Any], *, fill: str = CLEAR) -> dict[str, Any]:
    across = {"x0": start, "x1": end, "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "below"}
    return {"type": "line", **across} if start == end else {"type": "rect", "fillcolor": fill, **across}


def _note(at: float, words: str, side: str) -> dict[str, Any]:
    return {
        "text": words,
        "x": math.log10(at),
        "yref": "paper",
        "y": 1,
        "showarrow": False,
        "xanchor": side,
        "xshift": 4 if side == "left" else -4,
        "yanchor": "top",
        "font": {"size": 11, "color": MARK},
    }


def _between(x: Sequence[float], first: float) -> float:
    before = [value for value in x if value < first]
    return math.sqrt(before[-1] * first) if before else first * 0.94


def _ticks(x: Sequence[float]) -> list[float]:
    """Return the values to label: neighbours that are closer than a fifth apart share one label."""
    chosen: list[float] = []
    for value in x:
        if not chosen or value / chosen[-1] > 1.24:
            chosen.append(value)
    return chosen


def _latency_scale(ordered: Sequence[tuple[float, Outcome]]) -> dict[str, Any]:
    values = [estimate.value for _, o in ordered for estimate in (o.p99_ms, o.p50_ms)]
    known = [v for v in values if math.isfinite(v) and v > 0]
    if known and max(known) / min(known) > 20:
        return {"type": "log", "dtick": 1}
    return {"rangemode": "tozero"}


def _moves(estimates: Sequence[Estimate]) -> bool:
    values = [e.value for e in estimates if math.isfinite(e.value) and e.value > 0]
    return bool(values) and max(values) / min(values) > 1.5


def _colour(estimate: Estimate, more_is_better: bool) -> str:
    if not estimate.sure:
        return SLATE
    return BLUE if (estimate.value > 0) is more_is_better else CRIMSON


def _change_ticks(low: float, high: float) -> list[float]:
    """Return about four round changes from ``low`` to ``high``, as log ratios; 0 is one of them."""
    steps = (5, 10, 20, 50, 100, 300, 1000, 3000, 10_000, 100_000)
    up = [math.log1p(p / 100) for p in steps]
    down = [math.log1p(-p / 100) for p in (5, 10, 20, 35, 50, 75, 90, 97, 99)]
    least = (high - low) / 4.5
    chosen = [0.0]
    for ticks in (up, down):
        for value in ticks:
            if low * 1.2 <= value <= high * 1.2 and all(abs(value - other) >= least for other in chosen):
                chosen.append(value)
    return sorted(chosen)


def _error(
    estimates: Sequence[Estimate], scaled: Callable[[float], float | None] | None = None
) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [_gap(e.high, e.value, scaled) for e in estimates],
        "arrayminus": [_gap(e.value, e.low, scaled) for e in estimates],
        "thickness": 1.4,
        "width": 3,
        "color": MARK,
    }


def _gap(high: float, low: float, scaled: Callable[[float], float | None] | None) -> float:
    if not (math.isfinite(high) and math.isfinite(low)):
        return 0.0
    ends = [(scaled or percent_change)(v) or 0.0 for v in (high, low)]
    return round(max(0.0, ends[0] - ends[1]), 5)


def _known(value: float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None
