"""What the result cache gives: how often it answers, and how much sooner."""

from __future__ import annotations

import math
from collections.abc import Sequence

from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import HitRow
from athena_tuning.service.window_reads import Saved
from athena_tuning.ui.charts.panel import NAMES, Axis, Bars, Chart, Line, Panel, listed
from athena_tuning.ui.charts.plotly_figure import figure, row_height
from athena_tuning.ui.theme import AMBER, QUIET, TEAL


def hit_rates(rows: Sequence[HitRow], *, what: str) -> Chart:
    """Draw the share of recalls that the cache answered, with n, highest first."""
    ordered = sorted((r for r in rows if r.n), key=lambda row: -row.hit_rate)
    names = [text.plotly(row.name, 24) for row in ordered]
    shares = [f"{units.percent(row.hit_rate)} of {units.count(row.n)}" for row in ordered]
    rates = [row.hit_rate for row in ordered]
    bars = [
        Bars([1.0] * len(ordered), names, colour=QUIET, sideways=True),
        Bars(rates, names, colour=TEAL, labels=shares, hover="%{y}: %{text}", sideways=True),
    ]
    figures = (f"{text.plain(r.name, 24)} {share}" for r, share in zip(ordered, shares, strict=True))
    words = f"Cache hit rate by {what}: {listed(figures)}."
    return figure(
        Panel(bars, Axis(span=(0, 1.02), percent=True), NAMES, words), height=row_height(len(ordered))
    )


def calls_saved(rows: Sequence[Saved], *, beside: int = 0) -> Chart:
    """Draw each layer's calls that ran, and those that cached answers made unnecessary.

    Args:
        rows: the layers' calls.
        beside: rows of the chart next to it, to be as high.
    """
    ordered = sorted(rows, key=lambda row: -(row.ran + row.saved))
    totals = [row.ran + row.saved for row in ordered]
    names = [text.plotly(row.layer, 24) for row in ordered]
    shares = [
        f"{units.percent(row.saved / total, 0)} of {units.count(total)}"
        for row, total in zip(ordered, totals, strict=True)
    ]
    ran, saved = [round(row.ran) for row in ordered], [round(row.saved) for row in ordered]
    bars = [
        Bars(x, names, name, colour, labels, hover=f"%{{y}}: %{{x:,}} {name}", sideways=True, stacked=True)
        for x, name, colour, labels in (
            (ran, "ran", AMBER, ()),
            (saved, "saved by the cache", TEAL, shares),
        )
    ]
    figures = (f"{text.plain(r.layer, 24)} {share}" for r, share in zip(ordered, shares, strict=True))
    words = f"Layer calls that the cache saved: {listed(figures)}."
    panel = Panel(bars, Axis("calls", span=(0, max(totals, default=1) * 1.22)), NAMES, words)
    return figure(panel, height=row_height(max(len(ordered), beside)))


def hits_and_misses(rows: Sequence[HitRow]) -> Chart:
    """Draw the latency of hits beside that of misses (p50, whisker to p95), on a log scale."""
    known = [row for row in rows if row.n]
    names = [text.plotly(row.name, 24) for row in known]
    dots = []
    for name, colour in (("hit", TEAL), ("miss", AMBER)):
        p50s, p95s = ([_positive(getattr(row, f"{name}_{p}")) for row in known] for p in ("p50", "p95"))
        ends, hover = list(zip(p50s, p95s, strict=True)), f"%{{y}} {name} p50 %{{x:.3g}} ms"
        label = f"{name}: p50, whisker to p95"
        dots.append(Line(p50s, names, label, colour, hover=hover, width=0, dots=11, x_ends=ends))
    figures = (
        f"{text.plain(r.name, 24)} {units.ms(r.hit_p50)} against {units.ms(r.miss_p50)}" for r in known
    )
    words = f"Median latency of hits against misses: {listed(figures)}."
    return figure(Panel(dots, Axis("ms (log)", kind="log"), NAMES, words), height=row_height(len(known)))


def _positive(value: float) -> float:
    return value if value > 0 else math.nan
