"""What the result cache gives: how often it answers, and how much sooner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import HitRow
from athena_tuning.ui.charts.base import axis, figure, names_axis, row_height
from athena_tuning.ui.charts.chart import Chart
from athena_tuning.ui.theme import AMBER, QUIET, TEAL


def hit_rates(rows: Sequence[HitRow], *, what: str) -> Chart:
    """Draw the share of recalls that the cache answered, with n, highest first."""
    ordered = sorted((r for r in rows if r.n), key=lambda row: -row.hit_rate)
    labels = [text.plotly(row.name, 24) for row in ordered]
    spec = figure(
        [
            {
                "type": "bar",
                "orientation": "h",
                "x": [1.0] * len(ordered),
                "y": labels,
                "marker": {"color": QUIET},
                "hoverinfo": "skip",
            },
            {
                "type": "bar",
                "orientation": "h",
                "x": [round(row.hit_rate, 4) for row in ordered],
                "y": labels,
                "marker": {"color": TEAL},
                "text": [f"{units.percent(row.hit_rate)} of {units.count(row.n)}" for row in ordered],
                "textposition": "outside",
                "cliponaxis": False,
                "hovertemplate": "%{y}: %{text}<extra></extra>",
            },
        ],
        height=row_height(len(ordered)),
        barmode="overlay",
        showlegend=False,
        xaxis=axis(range=[0, 1.02], tickformat=".0%"),
        yaxis=names_axis(),
    )
    said = "; ".join(f"{text.plain(r.name, 24)} {units.percent(r.hit_rate)} of {r.n}" for r in ordered)
    return Chart(spec, f"Cache hit rate by {what}: {said or 'nothing yet'}.")


def calls_saved(rows: Sequence[Any], *, beside: int = 0) -> Chart:
    """Draw each layer's calls that ran, and those that cached answers made unnecessary.

    Args:
        rows: with ``layer``, ``ran`` and ``saved``.
        beside: rows of the chart next to it, to be as high.
    """
    ordered = sorted(rows, key=lambda row: -(row.ran + row.saved))
    labels = [text.plotly(row.layer, 24) for row in ordered]
    shares = [
        f"{units.percent(row.saved / (row.ran + row.saved), 0)} of {units.count(row.ran + row.saved)}"
        for row in ordered
    ]
    most = max((row.ran + row.saved for row in ordered), default=1)
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "x": [round(getattr(row, field)) for row in ordered],
            "y": labels,
            "marker": {"color": colour},
            "hovertemplate": f"%{{y}}: %{{x:,}} {name}<extra></extra>",
            **({"text": shares, "textposition": "outside", "cliponaxis": False} if field == "saved" else {}),
        }
        for name, field, colour in (("ran", "ran", AMBER), ("saved by the cache", "saved", TEAL))
    ]
    spec = figure(
        traces,
        height=row_height(max(len(ordered), beside)),
        barmode="stack",
        xaxis=axis("calls", range=[0, most * 1.22]),
        yaxis=names_axis(),
    )
    said = "; ".join(
        f"{text.plain(row.layer, 24)} {units.percent(row.saved / (row.ran + row.saved))} of "
        f"{units.count(row.ran + row.saved)}"
        for row in ordered
    )
    return Chart(spec, f"Layer calls that the cache saved: {said or 'nothing yet'}.")


def hits_and_misses(rows: Sequence[HitRow]) -> Chart:
    """Draw the latency of hits beside that of misses (p50, whisker to p95), on a log scale."""
    kept = [r for r in rows if r.n]
    labels = [text.plotly(row.name, 24) for row in kept]
    traces = []
    for name, colour, low, high in (
        ("hit", TEAL, "hit_p50", "hit_p95"),
        ("miss", AMBER, "miss_p50", "miss_p95"),
    ):
        middle = [_known(getattr(row, low)) for row in kept]
        upper = [_known(getattr(row, high)) for row in kept]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": f"{name}: p50, whisker to p95",
                "x": middle,
                "y": labels,
                "marker": {"size": 11, "color": colour},
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [_beyond(a, b) for a, b in zip(middle, upper, strict=True)],
                    "arrayminus": [0] * len(kept),
                    "color": colour,
                    "thickness": 2,
                    "width": 4,
                },
                "hovertemplate": f"%{{y}} {name} p50 %{{x:.3g}} ms<extra></extra>",
            }
        )
    spec = figure(
        traces, height=row_height(len(kept)), xaxis=axis("ms (log)", type="log"), yaxis=names_axis()
    )
    said = "; ".join(
        f"{text.plain(r.name, 24)} {units.ms(r.hit_p50)} against {units.ms(r.miss_p50)}" for r in kept
    )
    return Chart(spec, f"Median latency of hits against misses: {said or 'nothing yet'}.")


def _known(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) and value > 0 else None


def _beyond(low: float | None, high: float | None) -> Any:
    return max(0.0, high - low) if low is not None and high is not None else 0
