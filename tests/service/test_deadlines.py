from __future__ import annotations

from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service import deadlines
from athena_tuning.service.view import View

NOW = 1_750_000_000.0


def window(n: int) -> PerformanceProfiler:
    profiler = PerformanceProfiler(max_metrics=10**6, clock=lambda: NOW)
    for i in range(n):
        ends = {"graph": 10.0, "semantic": 20.0 + i % 50}
        tasks = tuple(LayerTask(name, 0.0, 0.0, ms, 1) for name, ms in ends.items())
        profiler.record_query(
            QueryMetrics(
                *(f"q{i}", "?", "meta", NOW - 3000 + i * 0.01, 40.0, None, False, 1, list(ends), ends, True),
                tasks=tasks,
            )
        )
    return profiler


def test_a_view_of_one_layer_is_still_about_whole_recalls() -> None:
    profiler = window(50)
    whole = deadlines.trade(profiler, View(NOW - 3600, NOW))
    assert whole.recalls == 50
    assert deadlines.trade(profiler, View(NOW - 3600, NOW, layer="graph")) == whole
    assert 0 < whole.points[0].lost < 0.5  # of two layers one may be late


def test_only_the_newest_count_and_an_empty_view_is_empty() -> None:
    profiler = window(deadlines.NEWEST + 500)
    assert deadlines.trade(profiler, View(NOW - 3600, NOW)).recalls == deadlines.NEWEST
    assert deadlines.trade(profiler, View(NOW - 7200, NOW - 3600)).recalls == 0
    assert deadlines.trade(PerformanceProfiler(), View(NOW - 3600, NOW)).points == ()
