"""Analysis charts: pure functions from data to a Plotly figure and its words."""

from athena_tuning.ui.charts.base import CONFIG
from athena_tuning.ui.charts.cache_charts import calls_saved, hit_rates, hits_and_misses
from athena_tuning.ui.charts.concurrency_charts import (
    by_level,
    co_occurrence,
    queue_wait,
    throughput,
)
from athena_tuning.ui.charts.deadline_charts import deadline_trade
from athena_tuning.ui.charts.latency_charts import (
    by_name,
    percentile_plot,
    small_multiples,
    waterfall,
)
from athena_tuning.ui.charts.what_if_charts import (
    changes,
    expected_and_came,
    sweep_curve,
)

__all__ = [
    "CONFIG",
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
    "waterfall",
]
