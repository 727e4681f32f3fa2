from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.model import QueryMetrics, TuningBounds, TuningStrategy
from athena_tuning.tuning.estimation.window_figures import SpeedUp, WindowFigures, speed_up
from athena_tuning.tuning.policies.rules import concurrency, parallel, timeout

L, B, C, T = (
    TuningStrategy.LATENCY,
    TuningStrategy.BALANCED,
    TuningStrategy.COST,
    TuningStrategy.THROUGHPUT,
)
BOUNDS = TuningBounds()


def figures_with(p99_ms: float, gain: float = 1.5) -> WindowFigures:
    return WindowFigures(100, p99_ms / 2, p99_ms, 1.0, SpeedUp(gain, 100, "measured"))


def record(parallel: bool, **layers: float) -> QueryMetrics:
    return QueryMetrics(
        *("q", "?", "factual", 1.0, sum(layers.values()), 0.0, False, 1, list(layers), layers, True),
        parallel_execution=parallel,
    )


@pytest.mark.parametrize(
    ("p99_ms", "gain", "expected"),
    [
        (99.9, 1.5, 15),
        (100, 1.5, 8),
        (499.9, 1.5, 8),
        (500, 1.5, 4),
        (50, 2.1, 18),
        (50, 1.0, 10),
        (100, 1.0, 6),
        (900, 1.0, 3),
        (900, 2.1, 5),
    ],
)
def test_balanced_concurrency_follows_p99_and_speed_up(p99_ms: float, gain: float, expected: int) -> None:
    assert concurrency(figures_with(p99_ms, gain), B, BOUNDS).value == expected


def test_strategies_shift_concurrency_as_promised_at_100_ms_without_speed_up() -> None:
    chosen = {s: concurrency(figures_with(100, 1.0), s, BOUNDS).value for s in TuningStrategy}
    assert 4 <= chosen[C] <= 12
    assert chosen[T] >= 8
    assert chosen[L] < chosen[C] < chosen[B] < chosen[T]


@given(st.floats(0.01, 1e6), st.floats(0.1, 20))
def test_concurrency_stays_within_bounds_and_throughput_asks_for_more_than_latency(
    p99_ms: float, gain: float
) -> None:
    chosen = {s: concurrency(figures_with(p99_ms, gain), s, BOUNDS).value for s in TuningStrategy}
    assert all(2 <= value <= 20 for value in chosen.values())
    assert chosen[L] <= chosen[C] <= chosen[B] < chosen[T]


def test_a_bound_that_decides_concurrency_is_named() -> None:
    reason = concurrency(figures_with(50, 2.5), T, BOUNDS)
    assert (reason.value, reason.bound) == (20, "at most 20")
    assert concurrency(figures_with(50, 1.5), B, BOUNDS).bound is None


@given(st.floats(0.01, 1e6))
def test_timeouts_are_within_bounds_and_ordered_by_strategy(p99_ms: float) -> None:
    chosen = {s: timeout(figures_with(p99_ms), s, BOUNDS).value for s in TuningStrategy}
    assert all(5 <= value <= 30 for value in chosen.values())
    assert chosen[B] == chosen[C]
    for lower, higher in itertools.pairwise((L, B, T)):
        assert chosen[lower] < chosen[higher] or chosen[lower] == 30


def test_timeouts_below_the_bound_keep_the_strategies_apart_and_say_so() -> None:
    reasons = {s: timeout(figures_with(100), s, BOUNDS) for s in (L, B, T)}
    assert [reasons[s].value for s in (L, B, T)] == [5, 6.25, 8.333]
    assert reasons[B].bound == "at least 6.25 s"


def test_timeouts_above_the_floor_are_p99_times_the_factor() -> None:
    assert [timeout(figures_with(10_000), s, BOUNDS).value for s in (L, B, C, T)] == [12, 15, 15, 20]
    assert timeout(figures_with(10_000), B, BOUNDS).bound is None
    assert timeout(figures_with(29_000), T, BOUNDS).bound == "at most 30 s"


def test_parallel_needs_a_speed_up_above_the_threshold() -> None:
    assert parallel(SpeedUp(1.21, 50, "measured"), before=False).value is True
    assert parallel(SpeedUp(1.2, 50, "measured"), before=True).value is False


def test_without_recalls_of_two_layers_parallel_stays_as_it_was() -> None:
    assert parallel(SpeedUp(), before=True).value is True
    assert parallel(SpeedUp(), before=False).value is False


def test_sequential_recalls_show_what_parallel_would_give() -> None:
    gain = speed_up([record(False, semantic=30, graph=30)] * 5)
    assert (gain.value, gain.kind, gain.samples) == (2.0, "possible", 5)


def test_layers_that_slow_each_other_down_show_no_speed_up_once_seen_alone() -> None:
    alone, together = record(False, semantic=10, graph=10), record(True, semantic=20, graph=20)
    assert speed_up([together] * 5).value == 2.0
    assert speed_up([together] * 5 + [alone] * 5).value == 1.0


def test_cache_hits_and_single_layers_say_nothing_about_speed_up() -> None:
    hit = record(True, semantic=10, graph=10)._replace(cache_hit=True)
    assert speed_up([hit, record(True, semantic=10)]) == SpeedUp()
