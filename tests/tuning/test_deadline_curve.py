"""The deadline's trade-off curve, exact on tiny records."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning.estimation.deadline_curve import DeadlineCurve, deadline_curve

NOW = 1_750_000_000.0


def window(*recalls: dict[str, float], late: str = "", query_type: str = "meta") -> PerformanceProfiler:
    """A recall for each {layer: ms from its start to the layer's end}."""
    profiler = PerformanceProfiler(clock=lambda: NOW)
    for ends in recalls:
        tasks = tuple(
            LayerTask(n, ms / 4, ms / 4, ms / 2, 1, TaskOutcome.TIMEOUT if n == late else TaskOutcome.OK)
            for n, ms in ends.items()
        )
        profiler.record_query(
            QueryMetrics(
                *("q", "?", query_type, NOW, max(ends.values()), None, False, 1, list(ends)),
                {n: ms / 2 for n, ms in ends.items()},
                True,
                tasks=tasks,
            )
        )
    return profiler


def test_the_wait_for_a_slot_counts_and_late_layers_are_lost() -> None:
    profiler = window({"a": 10, "b": 40}, {"a": 20, "b": 30}, {"a": 50, "b": 60})
    curve = deadline_curve(profiler.tasks(), [35.0])
    at, none = curve.points
    assert (at.p50_ms, at.p99_ms) == (35.0, 35.0)
    assert (at.partial, at.failed) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert at.lost == pytest.approx((0.5 + 0 + 1) / 3)
    assert none == (math.inf, 40.0, 60.0, 0.0, 0.0, 0.0)
    assert curve.recalls == 3


def test_a_layer_that_adds_nothing_is_no_loss() -> None:
    profiler = window({"a": 10, "b": 40})
    worth = {("meta", "b"): 0.0, ("factual", "a"): 0.0}
    assert deadline_curve(profiler.tasks(), [20.0], worth).points[0].lost == 0.0
    assert deadline_curve(profiler.tasks(), [20.0], {("meta", "a"): 0.25}).points[0].lost == 0.8


def test_what_was_given_up_is_late_under_every_deadline() -> None:
    curve = deadline_curve(window({"a": 10, "b": 20}, late="b").tasks(), [100.0])
    assert [point.partial for point in curve.points] == [1.0, 1.0]


def test_without_tasks_there_is_no_curve() -> None:
    curve = deadline_curve(PerformanceProfiler().tasks())
    assert curve == DeadlineCurve((), 0)
    assert curve.shortest(0.1) is None


def test_the_shortest_deadline_for_a_loss() -> None:
    curve = deadline_curve(window(*({"a": 10, "b": 20 + i} for i in range(100))).tasks(), [15, 100, 110, 115])
    assert curve.shortest(0.05).deadline_ms == 110  # type: ignore[union-attr]
    assert curve.shortest(0.0).deadline_ms == math.inf  # type: ignore[union-attr]
    assert curve.shortest(1.0).deadline_ms == 15  # type: ignore[union-attr]


ends = st.dictionaries(st.sampled_from("abc"), st.floats(0.5, 1000.0), min_size=1)


@given(st.lists(ends, min_size=1, max_size=30))
def test_a_longer_deadline_is_later_and_loses_less(recalls: list[dict[str, float]]) -> None:
    curve = deadline_curve(window(*recalls).tasks())
    assert curve.recalls == len(recalls)
    assert curve.points[-1].deadline_ms == math.inf
    for short, long in zip(curve.points, curve.points[1:], strict=False):
        assert short.deadline_ms < long.deadline_ms
        assert short.p99_ms <= long.p99_ms
        assert short.p50_ms <= short.p99_ms <= short.deadline_ms
        for name in ("partial", "failed", "lost"):
            assert 0 <= getattr(long, name) <= getattr(short, name) + 1e-12 <= 1 + 1e-9
        assert short.failed <= short.lost + 1e-12 <= short.partial + 1e-9
