"""When it is slow and when busy, by hour and weekday: what the Patterns page shows."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.questions.temporal import HourWeekday
from athena_tuning.service import units
from athena_tuning.service.chart_rows import LONG_DAYS
from athena_tuning.service.view import View

LEAST = 5
"""Recalls below which an hour's latency is not judged."""


def hour_weekday(profiler: PerformanceProfiler, view: View) -> HourWeekday:
    """Return figures by weekday and hour in the view's timezone."""
    return profiler.hour_weekday(view.timezone, **view.where)


def measure_of(grid: HourWeekday, measure: str) -> Any:
    """Return the 7 × 24 values of "p50", "p95", "p99" (ms), "volume" (recalls) or "errors" (%)."""
    if measure == "volume":
        return np.where(grid.count > 0, grid.count.astype(float), np.nan)
    if measure == "errors":
        return (1.0 - grid.success_rate) * 100
    return getattr(grid, measure)


def worst_and_busiest(profiler: PerformanceProfiler, view: View) -> tuple[str, str]:
    """Say which hour is worst by p99 and which is busiest."""
    grid = hour_weekday(profiler, view)
    usual = profiler.summary(**view.where)
    known = np.where((grid.count >= LEAST) & np.isfinite(grid.p99), grid.p99, -math.inf)
    day, hour = divmod(int(np.argmax(known)), 24)
    worst = "No hour has enough recalls to be judged."
    if math.isfinite(known[day, hour]):
        times = known[day, hour] / usual.p99_latency_ms if usual.p99_latency_ms else math.nan
        worst = (
            f"{_hour(day, hour)}: p99 {units.ms(known[day, hour])} over {units.count(grid.count[day, hour])} "
            f"recalls, {units.times(times)} the p99 of the period."
        )
    day, hour = divmod(int(np.argmax(grid.count)), 24)
    share = grid.count[day, hour] / max(1, int(grid.count.sum()))
    busiest = (
        f"{_hour(day, hour)}: {units.count(grid.count[day, hour])} recalls, {units.percent(share)} of all, "
        f"p99 {units.ms(float(grid.p99[day, hour]))}."
    )
    return worst, busiest


def in_hour(profiler: PerformanceProfiler, view: View, day: int, hour: int, limit: int) -> list[QueryMetrics]:
    """Return the slowest recalls of one hour of one weekday, over all its turns in the view.

    Args:
        profiler: the window.
        view: the period and what to keep of it.
        day: 0 is Monday.
        hour: 0 to 23.
        limit: how many.
    """
    zone = units.zone(view.timezone)
    turn = datetime.fromtimestamp(view.start, zone).replace(hour=hour, minute=0, second=0, microsecond=0)
    turn += timedelta(days=(day - turn.weekday()) % 7) - timedelta(days=7)
    slow: list[QueryMetrics] = []
    while turn.timestamp() < view.end:
        start, end = max(turn.timestamp(), view.start), min(turn.timestamp() + 3600, view.end)
        if start < end:
            slow += profiler.slow_records(limit, percentile=0, **view.only(start=start, end=end).where)
        turn += timedelta(days=7)
    return sorted(slow, key=lambda record: -(record.latency_ms or 0.0))[:limit]


def _hour(day: int, hour: int) -> str:
    return f"{LONG_DAYS[day]}, {hour:02d}:00 to {(hour + 1) % 24:02d}:00"
