"""Incidents: alerts that belong together, and what happened around them, in order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from athena_tuning.control.isolation import POLICY as BREAKER
from athena_tuning.model import ConfigVersion, Decision
from athena_tuning.profiling import TimeSeries
from athena_tuning.profiling.questions.concurrency import QueueWaits
from athena_tuning.service import parameter_rows, rolled_up, text, units, window_reads
from athena_tuning.service.alerts import Alert
from athena_tuning.service.read_service import ReadService
from athena_tuning.service.timeline import what_of
from athena_tuning.service.view import View

TOGETHER_SECONDS = 300.0
"""An alert that begins so soon after the last one is over belongs to the same incident."""

AROUND_SECONDS = 900.0
"""So much is shown before an incident and after it."""

_MOST_OF = 0.8
"""Share of a period's recalls from which on the window is asked: it knows more of each than the roll-ups."""

LANES = ("Alerts", "Config", "Layers", "Decisions", "Notes", "Store")


@dataclass(frozen=True, slots=True)
class Incident:
    """Alerts that overlap, or follow one another closely.

    Attributes:
        alerts: the first one ahead.
    """

    alerts: tuple[Alert, ...]

    @property
    def id(self) -> str:
        """The id of its first alert."""
        return self.alerts[0].id

    @property
    def began(self) -> float:
        """Unix seconds."""
        return self.alerts[0].began

    @property
    def ended(self) -> float | None:
        """Unix seconds; None while an alert of it holds."""
        ends = [alert.ended for alert in self.alerts if alert.ended is not None]
        return max(ends) if len(ends) == len(self.alerts) else None

    @property
    def level(self) -> str:
        """How bad it was at its worst: "bad" or "warn"."""
        return "bad" if any(alert.level == "bad" for alert in self.alerts) else "warn"

    @property
    def sentence(self) -> str:
        """What its worst alert said first."""
        return min(self.alerts, key=lambda alert: (alert.level != "bad", alert.began)).sentence

    def seconds(self, now: float) -> float:
        """Return how long it took, or takes."""
        return max(0.0, (now if self.ended is None else self.ended) - self.began)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {
            "id": self.id,
            "began": self.began,
            "ended": self.ended,
            "level": self.level,
            "sentence": self.sentence,
            "alerts": [alert.to_dict() for alert in self.alerts],
        }


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something in a lane: from when to when (Unix seconds; alike for a moment), and what, in words."""

    lane: str
    start: float
    end: float
    words: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened around an incident.

    Attributes:
        incident: which.
        view: the period, from a quarter of an hour before.
        series: figures over time.
        bucket_seconds: length of a bucket of it.
        waits: for a slot, over time; none where the figures are those of the roll-ups.
        occurrences: in order.
        before: p99 in ms of the stretch before; NaN where it is not known. The others likewise.
        during: of the incident.
        recalls: of the incident.
        missed: of them, that failed or were refused.
    """

    incident: Incident
    view: View
    series: TimeSeries
    bucket_seconds: float
    waits: QueueWaits
    occurrences: tuple[Occurrence, ...]
    before: float
    during: float
    recalls: int
    missed: int


def incidents_of(alerts: Sequence[Alert]) -> list[Incident]:
    """Return alerts as incidents, the newest first.

    Examples:
        >>> def alert(began, ended):
        ...     return Alert(f"slower@{began}", "slower", "warn", began, "p99 rises.", ended)
        >>> told = alert(900.0, None), alert(50.0, 90.0), alert(0.0, 60.0)
        >>> [len(one.alerts) for one in incidents_of(told)]
        [1, 2]
    """
    groups: list[list[Alert]] = []
    until = -math.inf
    for alert in sorted(alerts, key=lambda alert: alert.began):
        if groups and alert.began <= until + TOGETHER_SECONDS:
            groups[-1].append(alert)
        else:
            groups.append([alert])
            until = -math.inf
        until = max(until, math.inf if alert.ended is None else alert.ended)
    return [Incident(tuple(group)) for group in reversed(groups)]


def timeline(service: ReadService, incident: Incident, timezone: str = "UTC") -> Timeline:
    """Return what happened around an incident.

    Raises:
        StoreError: if the store cannot be read.
    """
    ended = service.now if incident.ended is None else incident.ended
    end = min(service.now, ended + AROUND_SECONDS)
    start = incident.began - AROUND_SECONDS
    view = View(math.floor(start), math.ceil(max(end, start + 60.0)), timezone=timezone)
    held = view.only(start=incident.began, end=max(ended, incident.began + 1.0))
    occurrences = tuple(sorted(_occurrences(service, incident, view), key=lambda each: each.start))
    if (rolled := _rolled_up(service, view)) is not None:
        series, bucket = rolled
        whole = incident.began // bucket * bucket  # a bucket that it began in is not from before
        then = rolled_up.total(service.store, held)
        before = (
            rolled_up.total(service.store, view.only(end=whole)).p99_ms if whole > view.start else math.nan
        )
        return Timeline(
            incident,
            view,
            series,
            bucket,
            QueueWaits([], [], []),
            occurrences,
            before,
            then.p99_ms,
            then.count,
            then.errors + then.refused,
        )
    window, bucket = service.window, view.bucket_seconds(90)
    during = window_reads.summary(window, held)
    return Timeline(
        incident,
        view,
        window_reads.over_time(window, view, bucket),
        bucket,
        window_reads.queue_over_time(window, view),
        occurrences,
        window_reads.summary(window, view.only(end=incident.began)).p99_latency_ms,
        during.p99_latency_ms,
        during.count,
        during.errors + during.refused,
    )


def _rolled_up(service: ReadService, view: View) -> tuple[TimeSeries, float] | None:
    """Return a period's figures from the roll-ups, where the window does not hold most of its recalls."""
    window = service.window
    if window.summary().first_timestamp <= view.start:
        return None
    kept, held = rolled_up.total(service.store, view).count, window_reads.summary(window, view).count
    return rolled_up.over_time(service.store, view) if held < _MOST_OF * kept else None


def _occurrences(service: ReadService, incident: Incident, view: View) -> Iterator[Occurrence]:
    for alert in incident.alerts:
        end = view.end if alert.ended is None else alert.ended
        yield Occurrence("Alerts", alert.began, end, alert.sentence)
    for version in service.history(500):
        if view.start <= version.time < view.end:
            yield _moment("Config", version.time, _of_version(version))
    for decision in service.decisions(500):
        if view.start <= decision.time < view.end:
            lane = "Layers" if decision.policy == BREAKER else "Decisions"
            yield _moment(lane, decision.time, _of_decision(decision))
    for note in service.store.annotations(since=view.start):
        if note.time < view.end:
            yield _moment("Notes", note.time, f"{note.author}: {note.text}")
    for event in service.events():
        if view.start <= event.time < view.end:
            yield _moment("Store", event.time, event.text)


def _moment(lane: str, time: float, words: str) -> Occurrence:
    return Occurrence(lane, time, time, text.plain(words, 240))


def _of_version(version: ConfigVersion) -> str:
    return f"v{version.version}{what_of(version)} by {version.author}: {version.reason}"


def _of_decision(decision: Decision) -> str:
    return f"{decision.action.value}: {parameter_rows.summary_of(decision)}"


def say_of_incident(told: Timeline) -> str:
    """Return an incident in a sentence: how long it took, and what it did to p99 and to recalls."""
    incident, timezone = told.incident, told.view.timezone
    began = units.moment(incident.began, timezone)[:16]
    if incident.ended is None:
        words = f"Since {began}"
    else:
        words = f"{began}, for {units.seconds(incident.seconds(0.0))}"
    if math.isfinite(told.before) and math.isfinite(told.during):
        words += f". p99 {units.ms(told.during)}, before {units.ms(told.before)}"
    if told.recalls:
        words += f". {units.count(told.missed)} of {units.count(told.recalls)} recalls failed or were refused"
    return f"{words}."
