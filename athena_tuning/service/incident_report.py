"""An incident as one HTML file: no script, nothing fetched; it opens anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from athena_tuning.load.report import page, svg
from athena_tuning.service import units
from athena_tuning.service.incidents import Timeline, say_of_incident


def incident_report(told: Timeline) -> str:
    """Return the file's text; what came from outside is escaped."""
    incident, view = told.incident, told.view
    title = f"Incident of {units.moment(incident.began, view.timezone)[:16]}"
    figures = {
        "p99 before": units.ms(told.before),
        "p99 during": units.ms(told.during),
        "recalls during": units.count(told.recalls),
        "failed or refused": units.count(told.missed),
    }
    rows = [
        (
            _clock(told, each.start),
            "" if each.end == each.start else _clock(told, each.end),
            each.lane,
            each.words,
        )
        for each in told.occurrences
    ]
    return page.page(
        title,
        [
            page.heading(incident.sentence, f"{say_of_incident(told)} Times are {view.timezone}."),
            page.cards(figures),
            *(page.section(name, chart) for name, chart in _charts(told)),
            page.section("What happened, in order", page.table(("From", "To", "Lane", "What"), rows)),
        ],
    )


def _charts(told: Timeline) -> Iterator[tuple[str, str]]:
    series, bucket = told.series, told.bucket_seconds
    refused = [e + r for e, r in zip(series.errors, series.refused, strict=True)]
    for name, unit, times, values in (
        ("p99", "ms", series.time, series.p99),
        ("Load", "recalls/s", series.time, [n / bucket for n in series.count]),
        ("Wait for a slot, p99", "ms", told.waits.time, told.waits.p99),
        ("Failed or refused", "recalls/s", series.time, [n / bucket for n in refused]),
    ):
        points = list(zip(map(float, times), map(float, values), strict=True))
        if any(math.isfinite(y) for _, y in points):
            yield name, svg.lines([svg.Series(name, "", points)], _times(told), svg.Axis(unit), name)


def _times(told: Timeline) -> svg.Axis:
    start, end = told.view.start, told.view.end
    marks: Sequence[float] = [start + (end - start) * n / 6 for n in range(7)]
    return svg.Axis("", ticks=[(at, _clock(told, at)[:5]) for at in marks], span=(start, end))


def _clock(told: Timeline, at: float) -> str:
    return units.moment(at, told.view.timezone, date=False)
