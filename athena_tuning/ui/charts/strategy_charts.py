"""Strategies on a map: what each wants to be small, over the limit; p99 against the load it could take."""

from __future__ import annotations

import math
from collections.abc import Sequence

from athena_tuning.model import TuningStrategy
from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import percent
from athena_tuning.service.strategy_map import LimitPoint, StrategyMap
from athena_tuning.ui.charts.panel import Axis, Chart, Line, Panel, Rule, listed
from athena_tuning.ui.charts.plotly_figure import figure
from athena_tuning.ui.theme import AMBER, BLUE, CRIMSON, MARK, TEAL

COLOURS = {
    TuningStrategy.LATENCY: CRIMSON,
    TuningStrategy.THROUGHPUT: BLUE,
    TuningStrategy.COST: TEAL,
    TuningStrategy.BALANCED: AMBER,
}
_TOP = math.log(2.0)
_APART = 0.07
"""Share of the chart's width or height between two labels."""

_TICKS = {math.log1p(p / 100): f"{p:+d} %".replace("-", "−") for p in (-75, -50, -25, 25, 50, 100)}


def objectives(told: StrategyMap) -> Chart:
    """Draw each strategy's objective over the limit, where it would go, and past versions."""
    limits = [float(point.limit) for point in told.points]
    lines, dots = [], []
    for strategy, colour in COLOURS.items():
        values = [point.objectives[strategy] for point in told.points]
        drawn = [value if value <= _TOP * 1.2 else None for value in values]
        notes = [percent(value) if math.isfinite(value) else "too few full answers" for value in values]
        hover = f"{strategy.value} at %{{x}}: %{{customdata}}"
        lines.append(Line(limits, drawn, strategy.value, colour, notes=notes, hover=hover, width=2.2, dots=5))
        goal = told.goals.get(strategy)
        known = [value for limit, value in zip(limits, drawn, strict=True) if limit == goal]
        if goal is not None and known and known[0] is not None:
            about = f"{strategy.value} would go to {goal}"
            dots.append(Line([float(goal)], known, colour=colour, hover=about, width=0, dots=13))
    past = [(each, each.change.value) for each in told.past if each.change is not None]
    diamonds = Line(
        [float(each.limit) for each, _ in past],
        [min(value, _TOP) for _, value in past],
        "what a past version really gave",
        MARK,
        labels=[f"v{each.version}" for each, _ in past],
        notes=[percent(value) for _, value in past],
        hover="%{text}, %{x} at once: typical latency %{customdata}",
        width=0,
        dots=11,
        symbol="diamond",
        hollow=[True] * len(past),
    )
    rules = [Rule(float(told.in_force), f"{told.in_force}, in force"), Rule(0.0, level=True, dash="dot")]
    if beyond := [float(point.limit) for point in told.points if point.beyond]:
        rules.append(Rule(beyond[0], "beyond what was seen", to=beyond[-1]))
    low = min([-0.05, *(v for line in lines for v in line.y if v is not None)])
    y = Axis("against what is in force", ticks={0.0: "in force", **_TICKS}, span=(low * 1.25, _TOP))
    words = ", ".join(f"{s.value} would go to {n}" for s, n in told.goals.items())
    panel = Panel(
        [*lines, *dots, *([diamonds] if past else [])],
        _limits(limits),
        y,
        f"{told.sentence} {words}.",
        rules=rules,
    )
    return figure(panel, height=360)


def p99_against_load(told: StrategyMap) -> Chart:
    """Draw p99 against the load that a limit could take, limit by limit."""
    points = [p for p in told.points if math.isfinite(p.p99_ms + p.per_second) and p.p99_ms > 0]
    goals = set(told.goals.values())
    colours = [CRIMSON if p.limit == told.in_force else TEAL if p.limit in goals else MARK for p in points]
    known = [p.p99_ms for p in points]
    wide = bool(known) and max(known) / min(known) > 20
    line = Line(
        [p.per_second for p in points],
        [p.p99_ms for p in points],
        colour=MARK,
        width=1.4,
    )
    dots = Line(
        [p.per_second for p in points],
        [p.p99_ms for p in points],
        colour=colours,
        labels=_labels_apart(points, (told.in_force, *sorted(goals)), log=wide),
        notes=[p.limit for p in points],
        hover="%{customdata} at once: p99 %{y:.4g} ms, takes %{x:.4g} recalls/s",
        width=0,
        dots=10,
    )
    figures = (f"{p.limit}: p99 {units.ms(p.p99_ms)} at up to {units.rate(p.per_second)}" for p in points)
    words = f"p99 against the load that each limit could take. {text.plain(listed(figures), 600)}."
    y = Axis("p99, ms", kind="log", step=1) if wide else Axis("p99, ms", from_zero=True)
    return figure(Panel([line, dots], Axis("recalls/s it could take"), y, words), height=360)


def _labels_apart(points: Sequence[LimitPoint], first: Sequence[int], *, log: bool) -> list[str]:
    """Return the limits as labels; "" where one would lie on another. Some are written first."""
    along = _shares([p.per_second for p in points])
    up = _shares([math.log(p.p99_ms) for p in points] if log else [0.0, *(p.p99_ms for p in points)])
    places = dict(zip((p.limit for p in points), zip(along, up[-len(along) :], strict=True), strict=True))
    told: list[int] = []
    for limit in dict.fromkeys([*(n for n in first if n in places), *places]):
        x, y = places[limit]
        if all(abs(x - places[n][0]) > _APART or abs(y - places[n][1]) > _APART for n in told):
            told.append(limit)
    return [str(p.limit) if p.limit in told else "" for p in points]


def _shares(values: Sequence[float]) -> list[float]:
    """Return where values lie between the lowest and the highest."""
    low, span = min(values, default=0.0), max(values, default=0.0) - min(values, default=0.0)
    return [(value - low) / (span or 1.0) for value in values]


def _limits(limits: list[float]) -> Axis:
    ticks: dict[float, str] = {}
    for limit in limits:
        if not ticks or limit / list(ticks)[-1] > 1.24:
            ticks[limit] = f"{limit:g}"
    return Axis("layer tasks at once, in each manager", kind="log", ticks=ticks, lines=False)
