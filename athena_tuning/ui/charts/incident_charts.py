"""An incident along one time axis: consequences above, what people and the tuner did below."""

from __future__ import annotations

from collections.abc import Iterator

from athena_tuning.service import text, units
from athena_tuning.service.incidents import LANES, Occurrence, Timeline
from athena_tuning.ui.charts.panel import Axis, Bars, Chart, Line, Panel, Rule, highest
from athena_tuning.ui.charts.plotly_figure import figure
from athena_tuning.ui.theme import AMBER, BAD, BLUE, CRIMSON, SLATE, TEAL


def lanes(told: Timeline) -> Chart:
    """Draw p99, load, waiting and refused recalls, and the lanes, along one time axis."""
    series, zone = told.series, told.view.timezone
    times = units.wall_clock(series.time, zone)
    ends = units.wall_clock((told.view.start, told.view.end), zone)
    during = units.wall_clock((told.incident.began, told.incident.ended or told.view.end), zone)
    rules = [Rule(during[0], to=during[1], colour=BAD)]
    rates = [n / told.bucket_seconds for n in series.count]
    lost = [(e + r) / told.bucket_seconds for e, r in zip(series.errors, series.refused, strict=True)]
    waits = units.wall_clock(told.waits.time, zone)
    marks: list[tuple[Line | Bars, str, str]] = [
        (Line(times, series.p99.tolist(), colour=CRIMSON, hover="p99 %{y:.3g} ms"), "p99", "ms"),
        (Bars(times, rates, colour=BLUE, hover="%{y:.3g} recalls/s"), "Load", "/s"),
        (Line(waits, told.waits.p99, colour=AMBER, hover="waits %{y:.3g} ms"), "Wait for a slot, p99", "ms"),
        (Bars(times, lost, colour=CRIMSON, hover="%{y:.3g}/s"), "Failed or refused", "/s"),
    ]
    panels = [
        Panel(
            [mark],
            Axis(kind="time", span=(ends[0], ends[1]), labels=False, lines=False),
            Axis(unit=unit, from_zero=True, most_ticks=3),
            f"{title}: at most {highest(mark.y):.3g} {unit}.",
            rules=rules,
            title=title,
        )
        for mark, title, unit in marks
        if highest(mark.y) > 0
    ]
    below = Panel(
        list(_occurrences(told)),
        Axis(kind="time", span=(ends[0], ends[1])),
        Axis(kind="category", lines=False),
        f"{len(told.occurrences)} things happened.",
        rules=rules,
        title="What happened",
    )
    return figure(
        *panels,
        below,
        height=320 + 100 * len(panels),
        heights=[*(2.2 if panel.title == "p99" else 1 for panel in panels), 2.6],
        gaps=(0.04, 0.065),
    )


def _occurrences(told: Timeline) -> Iterator[Line]:
    colours = dict(zip(LANES, (CRIMSON, BLUE, AMBER, TEAL, SLATE, SLATE), strict=True))
    for lane in reversed(LANES):
        inside = [each for each in told.occurrences if each.lane == lane]
        moments = [each for each in inside if each.start == each.end]
        if moments:
            yield _line(told, moments, lane, colours[lane], [each.start for each in moments], width=0)
        for each in inside:
            if each.start != each.end:
                yield _line(told, [each, each], lane, colours[lane], [each.start, each.end], width=7)


def _line(
    told: Timeline, each: list[Occurrence], lane: str, colour: str, times: list[float], *, width: float
) -> Line:
    return Line(
        units.wall_clock(times, told.view.timezone),
        [lane] * len(times),
        colour=colour,
        notes=[text.plotly(one.words, 120) for one in each],
        hover="%{customdata}",
        width=width,
        dots=11,
    )
