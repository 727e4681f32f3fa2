"""The figures that stand large on Overview: of the last minute, with those of the whole view beneath."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.questions.statistics import WindowSummary
from athena_tuning.service import units
from athena_tuning.service.chart_rows import trusted
from athena_tuning.service.view import View
from athena_tuning.service.window_reads import TOO_FEW

_NOW_SECONDS = (60.0, 300.0, 900.0)
"""What "now" may be: the shortest that has recalls enough for a p99."""


class HeadlineFigure(NamedTuple):
    """One figure.

    Attributes:
        label: what it is.
        value: now, with its unit.
        beneath: the same over the view, and over the period before.
        level: whether it breaks what is promised.
    """

    label: str
    value: str
    beneath: str
    level: Literal["", "bad"] = ""


class Slots(NamedTuple):
    """The slots of all managers that are alive: how many layer tasks have, want and may have one."""

    held: int
    waiting: int
    limit: int


def now_seconds(profiler: PerformanceProfiler, view: View) -> float:
    """Return how many seconds "now" is: 60, or so many that a p99 can be told."""
    for seconds in _NOW_SECONDS:
        seen = profiler.summary(**_now(view, seconds).where)
        if trusted(0.99, seen.count):
            return seconds
    return _NOW_SECONDS[0]


def headline_figures(
    profiler: PerformanceProfiler, view: View, promised_ms: float | None, slots: Slots
) -> list[HeadlineFigure]:
    """Return the figures; what too few recalls carry says so.

    Args:
        profiler: the window.
        view: the whole view; now is its end.
        promised_ms: the p99 that is promised, or looked at as if it were.
        slots: of all managers.
    """
    current = _now(view, now_seconds(profiler, view))
    views = (current, view, view.before)
    now, whole, before = (profiler.summary(**each.where) for each in views)
    began = profiler.summary(sources=view.sources).first_timestamp
    rates = [_rate(s, v, began) for s, v in zip((now, whole, before), views, strict=True)]
    figures = [
        _quantile(name, q, (now, whole, before), promised_ms) for name, q in (("p99", 0.99), ("p50", 0.5))
    ]
    if promised_ms:
        within = [_within(profiler, each, promised_ms) for each in views]
        missed = within[0] < 0.99
        words = f"{_also(units.percent, *within[1:])} · promised 99 %"
        label = f"Within {units.ms(promised_ms)}"
        figures.append(HeadlineFigure(label, units.percent(within[0]), words, "bad" if missed else ""))
    else:
        hits = [_share(s.cache_hits, s.cache_known) for s in (now, whole, before)]
        figures.append(
            HeadlineFigure("From the cache", units.percent(hits[0]), _also(units.percent, *hits[1:]))
        )
    lacking = [_share(s.partial, s.count) for s in (now, whole, before)]
    failed = f"failed {units.percent(_share(whole.errors, whole.known_success))}"
    return [
        *figures,
        HeadlineFigure("Recalls", units.rate(rates[0]), _also(units.rate, *rates[1:])),
        HeadlineFigure(
            "Tasks waiting", units.count(slots.waiting), f"{slots.held} of {slots.limit} slots busy"
        ),
        HeadlineFigure(
            "Partial answers", units.percent(lacking[0]), f"{_also(units.percent, lacking[1])} · {failed}"
        ),
    ]


def _now(view: View, seconds: float) -> View:
    return view.only(start=view.end - min(seconds, view.seconds))


def _quantile(
    name: str, quantile: float, summaries: tuple[WindowSummary, ...], promised_ms: float | None
) -> HeadlineFigure:
    values = [getattr(s, f"{name}_latency_ms") if trusted(quantile, s.count) else math.nan for s in summaries]
    value = units.ms(values[0]) if math.isfinite(values[0]) else TOO_FEW
    bad = name == "p99" and promised_ms is not None and values[0] > promised_ms
    return HeadlineFigure(name, value, _also(units.ms, *values[1:]), "bad" if bad else "")


def _also(write: Callable[[float], str], whole: float, before: float = math.nan) -> str:
    words = f"in all {write(whole)}"
    return words + (f" · before {write(before)}" if math.isfinite(before) else "")


def _within(profiler: PerformanceProfiler, view: View, ms: float) -> float:
    seen = profiler.summary(**view.where)
    return 1 - _share(profiler.slower_than(ms, **view.where) + seen.refused, seen.count)


def _rate(seen: WindowSummary, view: View, began: float) -> float:
    """Return recalls a second over the part of a view that the window covers: what was before is unknown."""
    covered = view.end - max(view.start, began)
    return seen.count / covered if covered > 0 else math.nan


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
