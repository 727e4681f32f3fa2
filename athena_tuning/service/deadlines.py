"""What deadlines would do to the recalls of a view."""

from __future__ import annotations

from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service.view import View
from athena_tuning.tuning.estimation.deadline_curve import DeadlineCurve, deadline_curve

NEWEST = 20_000
"""Recalls that a curve rests on at most: more make it no smoother."""


def trade(profiler: PerformanceProfiler, view: View) -> DeadlineCurve:
    """Return the trade-off on a view's newest recalls, over all layers: a deadline is the whole recall's."""
    oldest = profiler.metrics[-NEWEST : -NEWEST + 1]
    start = max([view.start, *(record.timestamp for record in oldest)])
    if start >= view.end:
        return DeadlineCurve((), 0)
    return deadline_curve(profiler.tasks(**view.only(start=start, layer=None).where))
