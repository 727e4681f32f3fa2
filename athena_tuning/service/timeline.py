"""What happened while figures moved: configs, load runs, notes and incidents, for the lane under a chart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from athena_tuning.model import Action, Annotation, ConfigVersion, Decision, Source, SourceBatch
from athena_tuning.profiling.questions.temporal import TimeSeries
from athena_tuning.service import text, units

MOST = 24
"""Happenings of a period that are shown: the newest."""

_LEAST = 10
"""Recalls of a bucket from which on its p99 says that a promise was missed."""


class Lane(StrEnum):
    """The kinds of happenings, the upper first."""

    CONFIG = "config"
    RUN = "run"
    NOTE = "note"
    INCIDENT = "incident"


class Happening(NamedTuple):
    """Something that happened at a moment or for a while.

    Attributes:
        start: Unix seconds.
        lane: of which kind it is.
        label: a word or two.
        about: what happened, in a sentence.
        end: Unix seconds; None for a moment.
    """

    start: float
    lane: Lane
    label: str
    about: str
    end: float | None = None


def happenings(
    start: float,
    end: float,
    *,
    history: Iterable[ConfigVersion] = (),
    batches: Iterable[SourceBatch] = (),
    notes: Iterable[Annotation] = (),
    decisions: Iterable[Decision] = (),
) -> list[Happening]:
    """Return what happened within a period, oldest first, at most ``MOST``.

    Args:
        start: Unix seconds.
        end: Unix seconds.
        history: config versions.
        batches: of all sources; load runs are taken.
        notes: of people.
        decisions: of the tuner; those that took something back or left a layer out are taken.
    """
    configs = (
        Happening(v.time, Lane.CONFIG, f"v{v.version}", f"v{v.version}{what_of(v)} by {v.author}: {v.reason}")
        for v in history
    )
    runs = (
        Happening(
            b.oldest,
            Lane.RUN,
            f"run {b.id}"[:12],
            f"load run {b.id}, {units.count(b.records)} recalls",
            b.newest,
        )
        for b in batches
        if b.kind == Source.LOAD
    )
    said = (
        Happening(n.time, Lane.NOTE, n.text, f"{n.text} ({n.author})" if n.author else n.text) for n in notes
    )
    acts = (
        Happening(d.time, Lane.INCIDENT, _ACTS[d.action], d.summary) for d in decisions if d.action in _ACTS
    )
    found = [
        each._replace(label=text.plain(each.label, 16), about=text.plain(each.about, 120))
        for each in (*configs, *runs, *said, *acts)
        if each.start < end and (each.end or each.start) >= start
    ]
    return sorted(found)[-MOST:]


def what_of(version: ConfigVersion) -> str:
    """Return behind a version's number what it is about, where that is not all query types."""
    if version.ends_experiment:
        return f", end of the experiment with v{version.parent},"
    whom = "" if version.applies_to == "all" else f" for {version.applies_to}"
    return f"{whom}, tried in turns with v{version.experiment.base}," if version.experiment else whom


_ACTS = {Action.ROLLBACK: "taken back", Action.ISOLATE: "layer left out"}


def promise_missed(series: TimeSeries, bucket_seconds: float, slo_ms: float | None) -> Iterator[Happening]:
    """Yield the stretches in which p99 was above what is promised, neighbouring buckets as one."""
    if slo_ms is None:
        return
    over = [
        (float(at), float(p99))
        for at, n, p99 in zip(series.time, series.count, series.p99, strict=True)
        if n >= _LEAST and p99 > slo_ms
    ]
    for stretch in _stretches(over, bucket_seconds):
        worst = max(p99 for _, p99 in stretch)
        about = f"p99 above the promised {units.ms(slo_ms)}, up to {units.ms(worst)}"
        yield Happening(stretch[0][0], Lane.INCIDENT, "over", about, stretch[-1][0] + bucket_seconds)


def _stretches(
    buckets: Sequence[tuple[float, float]], bucket_seconds: float
) -> Iterator[list[tuple[float, float]]]:
    stretch: list[tuple[float, float]] = []
    for bucket in buckets:
        if stretch and bucket[0] > stretch[-1][0] + 1.5 * bucket_seconds:
            yield stretch
            stretch = []
        stretch.append(bucket)
    if stretch:
        yield stretch


def neighbours(at: Happening, others: Iterable[Happening]) -> tuple[float | None, float | None]:
    """Return when the config changed last before a happening and next after it; None where it did not."""
    moments = [other.start for other in others if other.lane is Lane.CONFIG and other.start != at.start]
    earlier = [moment for moment in moments if moment < at.start]
    later = [moment for moment in moments if moment > at.start]
    return max(earlier, default=None), min(later, default=None)
