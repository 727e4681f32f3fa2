"""What an overall deadline buys, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from athena_tuning.service import units
from athena_tuning.tuning.estimation.deadline_curve import DeadlineCurve
from athena_tuning.ui.charts.base import axis, figure
from athena_tuning.ui.charts.chart import Chart
from athena_tuning.ui.theme import AMBER, BLUE, CRIMSON, MARK, TEAL

SMALL_LOSS = 0.01
"""Share of the layers' answers that hardly anybody misses."""


def deadline_trade(curve: DeadlineCurve, in_force_ms: float | None = None) -> Chart:
    """Draw latency, partial answers and what they lack against the deadline.

    Args:
        curve: what recorded recalls would have met.
        in_force_ms: the deadline in force; None: none.
    """
    points = [point for point in curve.points if math.isfinite(point.deadline_ms)]
    x = [point.deadline_ms for point in points]
    lines = (
        ("p99", CRIMSON, "y", [point.p99_ms for point in points], "%{y:.4g} ms"),
        ("p50", BLUE, "y", [point.p50_ms for point in points], "%{y:.4g} ms"),
        ("partial answers", AMBER, "y2", [point.partial for point in points], "%{y:.1%}"),
        ("layers missing", TEAL, "y2", [point.lost for point in points], "%{y:.1%}"),
    )
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": x,
            "y": values,
            "yaxis": side,
            "line": {"width": 2.2, "color": colour, "dash": "solid" if side == "y" else "dot"},
            "marker": {"size": 6},
            "hovertemplate": f"deadline %{{x:.4g}} ms: {name} {shown}<extra></extra>",
        }
        for name, colour, side, values, shown in lines
    ]
    at = [in_force_ms] if in_force_ms is not None and in_force_ms > 0 else []
    spec = figure(
        traces,
        height=330,
        shapes=[_upright(ms) for ms in at],
        xaxis=axis("deadline of the whole recall, ms", type="log", **_ticks(x)),
        yaxis=axis("p50 and p99, ms", rangemode="tozero", nticks=6),
        yaxis2=axis(
            "share of recalls or layers",
            overlaying="y",
            side="right",
            showgrid=False,
            tickformat=".0%",
            range=[0, 1],
            tickmode="linear",
            dtick=0.2,
        ),
    )
    return Chart(spec, f"Latency and partial answers by deadline. {_said(curve)}")


def _ticks(values: Sequence[float]) -> dict[str, Any]:
    """Return ticks at 1, 2 and 5 of each decade, in full: left alone, Plotly writes 0.5 as a small 5."""
    positive = [value for value in values if value > 0]
    if not positive:
        return {}
    decades = range(math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive))) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    return {"tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def _said(curve: DeadlineCurve) -> str:
    """Say what the shortest deadline with a small loss would do."""
    best = curve.shortest(SMALL_LOSS)
    if best is None:
        return "Nothing yet."
    none = curve.points[-1]
    recalls = f"{units.count(curve.recalls)} recalls"
    if not math.isfinite(best.deadline_ms):
        return f"On {recalls} every deadline that was looked at would lose more than {SMALL_LOSS:.0%}."
    return (
        f"On {recalls} a deadline of {units.ms(best.deadline_ms)} would give a p99 of "
        f"{units.ms(best.p99_ms)} in place of {units.ms(none.p99_ms)}, with "
        f"{units.percent(best.partial)} partial answers and "
        f"{units.percent(best.lost - none.lost)} of the layers' answers missing."
    )


def _upright(ms: float) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "x",
        "yref": "paper",
        "x0": ms,
        "x1": ms,
        "y0": 0,
        "y1": 1,
        "line": {"color": MARK, "width": 1.4, "dash": "dash"},
    }
