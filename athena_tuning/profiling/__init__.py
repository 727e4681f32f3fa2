"""Measures: the columnar window of recalls and the statistics over it."""

from athena_tuning.profiling.columns.selection import Filter
from athena_tuning.profiling.histogram import LatencyHistogram
from athena_tuning.profiling.profiler import Found, MetricsSequence, PerformanceProfiler
from athena_tuning.profiling.questions.cache_effectiveness import CacheReport, CacheRow
from athena_tuning.profiling.questions.concurrency import ConcurrencyReport, ConcurrencyRow, TaskTable
from athena_tuning.profiling.questions.statistics import WindowSummary
from athena_tuning.profiling.questions.temporal import HourWeekday, TimeSeries
from athena_tuning.profiling.questions.trending import TrendingQuery

__all__ = [
    "CacheReport",
    "CacheRow",
    "ConcurrencyReport",
    "ConcurrencyRow",
    "Filter",
    "Found",
    "HourWeekday",
    "LatencyHistogram",
    "MetricsSequence",
    "PerformanceProfiler",
    "TaskTable",
    "TimeSeries",
    "TrendingQuery",
    "WindowSummary",
]
