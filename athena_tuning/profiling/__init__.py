"""Measures: the columnar window of recalls and the statistics over it."""

from athena_tuning.profiling.columns.selection import Filter
from athena_tuning.profiling.histogram import LatencyHistogram
from athena_tuning.profiling.metrics_sequence import MetricsSequence
from athena_tuning.profiling.profiler import PerformanceProfiler
from athena_tuning.profiling.questions.cache_effectiveness import CacheReport, CacheRow
from athena_tuning.profiling.questions.concurrency import ConcurrencyReport, ConcurrencyRow, TaskTable
from athena_tuning.profiling.questions.statistics import WindowSummary
from athena_tuning.profiling.questions.temporal import HourWeekday, TimeSeries
from athena_tuning.profiling.questions.trending import TrendingQuery
from athena_tuning.profiling.recording import FoundItems

__all__ = [
    "CacheReport",
    "CacheRow",
    "ConcurrencyReport",
    "ConcurrencyRow",
    "Filter",
    "FoundItems",
    "HourWeekday",
    "LatencyHistogram",
    "MetricsSequence",
    "PerformanceProfiler",
    "TaskTable",
    "TimeSeries",
    "TrendingQuery",
    "WindowSummary",
]
