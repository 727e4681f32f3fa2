"""Measures: the columnar window of recalls and the statistics over it."""

from athena_tuning.profiling.cache import CacheReport, CacheRow
from athena_tuning.profiling.concurrency import ConcurrencyReport, ConcurrencyRow, TaskTable
from athena_tuning.profiling.histogram import LatencyHistogram
from athena_tuning.profiling.profiler import MetricsSequence, PerformanceProfiler
from athena_tuning.profiling.selection import Filter
from athena_tuning.profiling.statistics import WindowSummary
from athena_tuning.profiling.temporal import HourWeekday, TimeSeries
from athena_tuning.profiling.trending import TrendingQuery

__all__ = [
    "CacheReport",
    "CacheRow",
    "ConcurrencyReport",
    "ConcurrencyRow",
    "Filter",
    "HourWeekday",
    "LatencyHistogram",
    "MetricsSequence",
    "PerformanceProfiler",
    "TaskTable",
    "TimeSeries",
    "TrendingQuery",
    "WindowSummary",
]
