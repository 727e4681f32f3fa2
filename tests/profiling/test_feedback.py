"""Feedback reaches the record it is about, wherever in the window that lies."""

from __future__ import annotations

import math

import pytest

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.columns.block import BLOCK_ROWS

NOW = 1_750_000_000.0


def record(i: int, at: float = NOW) -> QueryMetrics:
    return QueryMetrics(f"w-{i}", "?", "factual", at, 5.0, None, False, 1, ["graph"], {"graph": 4.0}, True)


def filled(n: int, **more: object) -> PerformanceProfiler:
    profiler = PerformanceProfiler(max_metrics=10**6, clock=lambda: NOW, **more)  # type: ignore[arg-type]
    for i in range(n):
        profiler.record_query(record(i))
    return profiler


def test_it_reaches_a_record_that_is_still_pending() -> None:
    profiler = filled(3)
    rated = profiler.record_feedback("w-1", 0.25)
    assert rated == record(1)._replace(user_satisfaction=0.25)
    assert [m.user_satisfaction for m in profiler.metrics] == [None, 0.25, None]


def test_it_reaches_records_in_sealed_blocks_and_leaves_their_neighbours_alone() -> None:
    n = 2 * BLOCK_ROWS + 10
    profiler = filled(n)
    places = (0, 1023, 1024, BLOCK_ROWS - 1, BLOCK_ROWS, n - 1)
    for i in places:
        assert profiler.record_feedback(f"w-{i}", i / n) is not None
    for i in places:
        assert profiler.metrics[i].user_satisfaction == i / n
    assert sum(m.user_satisfaction is not None for m in profiler.metrics) == len(places)


def test_the_last_score_holds_and_what_is_visible_counts_as_changed() -> None:
    profiler = filled(1)
    profiler.record_feedback("w-0", 0)
    version = profiler.version
    profiler.record_feedback("w-0", 1)
    assert profiler.metrics[0].user_satisfaction == 1.0
    assert profiler.version > version


def test_of_two_with_one_id_the_newest_is_meant() -> None:
    profiler = filled(2)
    profiler.record_query(record(0))
    profiler.record_feedback("w-0", 0.5)
    assert [m.user_satisfaction for m in profiler.metrics] == [None, None, 0.5]


def test_an_unknown_id_and_one_that_has_left_the_window_change_nothing() -> None:
    now = [NOW]
    profiler = PerformanceProfiler(window_hours=1, clock=lambda: now[0])
    profiler.record_query(record(0))
    assert profiler.record_feedback("nobody", 1.0) is None
    now[0] += 3601
    profiler.record_query(record(1, now[0]))
    assert profiler.record_feedback("w-0", 1.0) is None
    assert profiler.record_feedback("w-1", 1.0) is not None


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan, math.inf, True, "good", None])
def test_a_score_is_a_number_from_0_to_1(score: object) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        filled(1).record_feedback("w-0", score)  # type: ignore[arg-type]


def test_figures_stay_as_they_were() -> None:
    profiler = filled(BLOCK_ROWS + 50)
    before = repr(profiler.summary())
    profiler.record_feedback("w-7", 0.5)
    assert repr(profiler.summary()) == before
