"""Analysis charts: pure functions from data to a Plotly figure and its words."""

from athena_tuning.ui.figures.base import CONFIG
from athena_tuning.ui.figures.cache import HitRow, calls_saved, hit_rates, hits_and_misses
from athena_tuning.ui.figures.concurrency import LevelRow, by_level, co_occurrence, queue_wait, throughput
from athena_tuning.ui.figures.deadline import deadline_trade
from athena_tuning.ui.figures.latency import (
    QUANTILES,
    Row,
    by_name,
    percentile_plot,
    small_multiples,
    trusted,
    waterfall,
)
from athena_tuning.ui.figures.whatif import Foretold, changes, expected_and_came, sweep_curve, told_change

__all__ = [
    "CONFIG",
    "QUANTILES",
    "Foretold",
    "HitRow",
    "LevelRow",
    "Row",
    "by_level",
    "by_name",
    "calls_saved",
    "changes",
    "co_occurrence",
    "deadline_trade",
    "expected_and_came",
    "hit_rates",
    "hits_and_misses",
    "percentile_plot",
    "queue_wait",
    "small_multiples",
    "sweep_curve",
    "throughput",
    "told_change",
    "trusted",
    "waterfall",
]
