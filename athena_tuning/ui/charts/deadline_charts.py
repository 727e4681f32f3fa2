"""What an overall deadline buys, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from athena_tuning.service import units
from athena_tuning.tuning.estimation.deadline_curve import DeadlineCurve
from athena_tuning.ui.charts.panel import Axis, Chart, Line, Panel, Rule
from athena_tuning.ui.charts.plotly_figure import figure
from athena_tuning.ui.theme import AMBER, BLUE, CRIMSON, TEAL

SMALL_LOSS = 0.01
"""Share of the layers' answers that hardly anybody misses."""


def deadline_trade(curve: DeadlineCurve, in_force_ms: float | None = None) -> Chart:
    """Draw latency, partial answers and what they lack against the deadline.

    Args:
        curve: what recorded recalls would have met.
        in_force_ms: the deadline in force; None: none.
    """
    points = [point for point in curve.points if math.isfinite(point.deadline_ms)]
    deadlines = [point.deadline_ms for point in points]
    lines = [
        Line(
            deadlines,
            [getattr(point, field) for point in points],
            name,
            colour,
            hover=f"deadline %{{x:.4g}} ms: {name} {'%{y:.1%}' if share else '%{y:.4g} ms'}",
            right=share,
            width=2.2,
            dash="dot" if share else "solid",
            dots=6,
        )
        for name, colour, field, share in (
            ("p99", CRIMSON, "p99_ms", False),
            ("p50", BLUE, "p50_ms", False),
            ("partial answers", AMBER, "partial", True),
            ("layers missing", TEAL, "lost", True),
        )
    ]
    x = Axis("deadline of the whole recall, ms", kind="log", ticks=_ticks(deadlines))
    y = Axis("p50 and p99, ms", from_zero=True, most_ticks=6)
    shares = Axis("share of recalls or layers", span=(0, 1), percent=True, step=0.2, lines=False)
    words = f"Latency and partial answers by deadline. {_conclusion(curve)}"
    return figure(Panel(lines, x, y, words, shares, [Rule(in_force_ms)] if in_force_ms else []))


def _ticks(values: Sequence[float]) -> dict[float, str]:
    """Return ticks at 1, 2 and 5 of each decade, in full: left alone, Plotly writes 0.5 as a small 5."""
    positive = [value for value in values if value > 0]
    if not positive:
        return {}
    decades = range(math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive))) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    return {tick: f"{tick:g}" for tick in ticks}


def _conclusion(curve: DeadlineCurve) -> str:
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
