"""What would be under other configs: sweeps, changes with intervals, and what was then observed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import Prediction, change_words, percent, percent_change
from athena_tuning.tuning.simulation.what_if import Estimate, Outcome
from athena_tuning.ui.charts.panel import NAMES, Axis, Chart, Line, Panel, Rule, highest, listed
from athena_tuning.ui.charts.plotly_figure import figure, row_height
from athena_tuning.ui.theme import AMBER, BLUE, CRIMSON, MARK, SLATE, TEAL

Measure = tuple[str, str, bool]
"""A measure of an outcome: its attribute, its name, and whether more of it is better."""

MEASURES: tuple[Measure, ...] = (
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

    def line(field: str, name: str, colour: str, hover: str, *, band: bool = False) -> Line:
        estimates: list[Estimate] = [getattr(outcome, field) for _, outcome in ordered]
        values, ends = [e.value for e in estimates], [(e.low, e.high) for e in estimates]
        about = f"{hover} at %{{x}}{unit}"
        return Line(x, values, name, colour, hover=about, width=2.2, dots=7, band=ends if band else ())

    latency = [
        line(f"{name}_ms", name, colour, f"{name} %{{y:.4g}} ms", band=name == "p99")
        for name, colour in (("p99", CRIMSON), ("p95", AMBER), ("p50", BLUE))
    ]
    if limited := _moves([outcome.per_second for _, outcome in ordered]):
        buys = line("per_second", "capacity, recalls/s", TEAL, "%{y:.4g} recalls/s", band=True)
    else:
        buys = line("full_rate", "full answers", TEAL, "%{y:.2%} full answers")
    rules = [Rule(in_force, f"in force: {in_force:g}{unit}", before=in_force >= x[len(x) // 2])]
    if beyond := [value for value, outcome in ordered if outcome.beyond]:
        rules.append(Rule(_between(x, beyond[0]), "beyond what was seen", to=beyond[-1] * 1.06))
    figures = (
        f"{value:g}{unit}: p99 {units.ms(o.p99_ms.value)}, {units.rate(o.per_second.value)} at most, "
        f"{units.percent(o.full_rate.value)} full"
        for value, o in ordered
    )
    words = f"Simulated by {what}, {in_force:g}{unit} in force. {listed(figures, 'Nothing yet')}."
    values = Axis(f"{what}{f',{unit}' if unit else ''}", kind="log", ticks=_ticks(x))
    above = Panel(
        latency, replace(values, title="", labels=False), _latency_axis(ordered), words, rules=rules
    )
    up = Axis(buys.name, from_zero=True, percent=not limited, most_ticks=4)
    below = Panel([buys], values, up, rules=[replace(rule, label="") for rule in rules])
    return figure(above, below, height=430, heights=(2, 1))


def changes(outcomes: Sequence[Outcome]) -> Chart:
    """Draw what each case would change against what is in force, with 95 % intervals: filled where sure."""
    names = [text.plotly(outcome.name, 24) for outcome in outcomes]
    panels = []
    for place, (field, title, more_is_better) in enumerate(MEASURES):
        estimates: list[Estimate] = [getattr(outcome, field) for outcome in outcomes]
        ends = [v for e in estimates for v in e if math.isfinite(v)]
        ticks = _change_ticks(min([-0.02, *ends]), max([0.02, *ends]))
        dots = Line(
            [e.value for e in estimates],
            names,
            colour=[_colour(e, more_is_better) for e in estimates],
            notes=[change_words(e) for e in estimates],
            hover=f"%{{y}}: {title} %{{customdata}}",
            width=0,
            dots=11,
            hollow=[not e.sure for e in estimates],
            x_ends=[(e.low, e.high) for e in estimates],
        )
        x = Axis(title, ticks={v: percent(v) if v else "0 %" for v in ticks})
        y = replace(NAMES, labels=place == 0)
        panels.append(Panel([dots], x, y, rules=[Rule(0.0, dash="dot")]))
    figures = (
        f"{text.plain(o.name, 24)}: "
        + ", ".join(f"{title} {change_words(getattr(o, field))}" for field, title, _ in MEASURES)
        for o in outcomes
    )
    drawn = figure(*panels, height=row_height(len(outcomes), each=38), columns=len(panels))
    return drawn._replace(
        alt=f"Simulated changes against what is in force. {listed(figures, 'Nothing yet')}."
    )


def expected_and_observed(points: Sequence[Prediction]) -> Chart:
    """Draw what changes were expected to bring against what they brought; on the line they are equal."""
    expected, observed = (
        [_in_percent(getattr(p, side)) for p in points] for side in ("expected", "observed")
    )
    most = highest([10.0, *(abs(e.value) * 1.25 for e in (*expected, *observed) if math.isfinite(e.value))])
    equal = Line((-most, most), (-most, most), "as expected", MARK, width=1.4, dash="dash")
    words = [
        f"{p.measure} expected {change_words(p.expected)}, seen {change_words(p.observed)}" for p in points
    ]
    dots = Line(
        [e.value for e in expected],
        [e.value for e in observed],
        "config change",
        BLUE,
        labels=[text.plotly(p.name, 12) for p in points],
        notes=[f"{change}, n = {units.count(p.n)}" for change, p in zip(words, points, strict=True)],
        hover="%{text}: %{customdata}",
        width=0,
        dots=11,
        x_ends=[(e.low, e.high) for e in expected],
        y_ends=[(e.low, e.high) for e in observed],
    )
    figures = (
        f"{text.plain(p.name, 12)}: {change} (n = {units.count(p.n)})"
        for change, p in zip(words, points, strict=True)
    )
    x, y = (Axis(title, "%", span=(-most, most)) for title in ("expected change", "change that was seen"))
    alt = f"Expected and seen change by config change. {listed(figures, 'Nothing yet')}."
    return figure(Panel([equal, dots], x, y, alt))


def _in_percent(change: Estimate) -> Estimate:
    """Return a change with its interval in percent; NaN where it is unknown."""
    ends = (percent_change(v) for v in change)
    return Estimate(*(math.nan if v is None else v for v in ends))


def _between(x: Sequence[float], first: float) -> float:
    before = [value for value in x if value < first]
    return math.sqrt(before[-1] * first) if before else first * 0.94


def _ticks(x: Sequence[float]) -> dict[float, str]:
    """Return the values to label: neighbours that are closer than a fifth apart share one label."""
    chosen: list[float] = []
    for value in x:
        if not chosen or value / chosen[-1] > 1.24:
            chosen.append(value)
    return {value: f"{value:g}" for value in chosen}


def _latency_axis(ordered: Sequence[tuple[float, Outcome]]) -> Axis:
    values = [estimate.value for _, o in ordered for estimate in (o.p99_ms, o.p50_ms)]
    known = [v for v in values if math.isfinite(v) and v > 0]
    if known and max(known) / min(known) > 20:
        return Axis("ms", kind="log", step=1)
    return Axis("ms", from_zero=True)


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
