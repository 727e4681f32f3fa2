"""A clock that jumps, either way and by days: at most the records of the jump itself are lost."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.columns.validation import AHEAD_SECONDS
from tests.support.clock import Clock

HOUR, DAY = 3600.0, 86_400.0
RECALL = QueryMetrics("r", "last deploy?", "temporal", 0, 10.0, None, False, 3, ["episodic"], {}, True)


def record(profiler, recall, clock, n):
    for _ in range(n):
        profiler.record_query(recall(timestamp=clock.now))
        clock.now += 1.0


@pytest.mark.parametrize("ahead", [30 * HOUR, 3 * DAY, 400 * DAY])
@pytest.mark.parametrize("n", [1, 10, 100])
def test_after_the_clock_was_ahead_and_is_right_again_all_records_are_taken(recall, ahead, n):
    clock = Clock()
    profiler = PerformanceProfiler(clock=clock)
    record(profiler, recall, clock, n)
    profiler.fold()
    clock.now += ahead
    record(profiler, recall, clock, n)
    assert profiler.summary().count == n
    clock.now -= ahead
    for hours in range(5):
        record(profiler, recall, clock, n)
        assert profiler.summary().count == (hours + 2) * n == len(profiler.metrics)
        clock.now += 4 * HOUR
    assert profiler.counters == {"recorded": 7 * n}
    assert profiler.get_layer_metrics("episodic").total_queries == 6 * n


@pytest.mark.parametrize("behind", [3 * HOUR, 20 * HOUR])
def test_a_clock_that_goes_back_by_less_than_the_window_costs_no_record(recall, behind):
    clock = Clock()
    profiler = PerformanceProfiler(clock=clock)
    record(profiler, recall, clock, 50)
    profiler.fold()
    clock.now -= behind
    record(profiler, recall, clock, 50)
    assert profiler.summary().count == 100
    assert "rejected_in_the_future" not in profiler.counters


def test_a_clock_that_was_days_behind_for_a_moment_costs_no_record_but_those_of_then(recall):
    clock = Clock()
    profiler = PerformanceProfiler(clock=clock)
    record(profiler, recall, clock, 50)
    profiler.fold()
    clock.now -= 3 * DAY
    record(profiler, recall, clock, 1)
    assert profiler.summary().count == 51
    clock.now += 3 * DAY
    record(profiler, recall, clock, 50)
    assert profiler.summary().count == 100


def test_summaries_that_were_read_before_and_during_the_jump_are_right_after_it(recall, clock):
    profiler = PerformanceProfiler(clock=clock)
    reads = [
        lambda: profiler.summary().count,
        lambda: profiler.summary(query_type="meta").count,
        lambda: sum(profiler.time_series(60.0).count),
        lambda: int(sum(row["query_count"] for row in profiler.get_temporal_pattern().values())),
    ]
    for step in (0.0, 3 * DAY, -3 * DAY, 0.0):
        clock.now += step
        for query_type in ("meta", "factual"):
            profiler.record_query(recall(timestamp=clock.now, query_type=query_type))
        counts = [read() for read in reads]
    assert counts == [6, 3, 6, 6]
    assert profiler.query_types() == ["factual", "meta"]


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.0, 60.0, 5 * HOUR, 30 * HOUR, -5 * HOUR, -30 * HOUR, 3 * DAY, -3 * DAY]),
            st.integers(0, 40),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_whatever_the_clock_does_the_window_is_what_the_rule_says(steps):
    clock = Clock()
    profiler = PerformanceProfiler(clock=clock)
    arrived: list[float] = []
    pending: list[float] = []
    cutoff = -math.inf
    for step, n, reads in steps:
        clock.now += step
        for _ in range(n):
            profiler.record_query(RECALL._replace(timestamp=clock.now))
            pending.append(clock.now)
        if not reads:
            continue
        if clock.now < cutoff:  # what was too old, and what came before that, is gone for good
            too_old = [place for place, time in enumerate(arrived) if time < cutoff]
            arrived, cutoff = arrived[too_old[-1] + 1 if too_old else 0 :], clock.now - DAY
        cutoff = max(cutoff, clock.now - DAY)
        arrived += [time for time in pending if cutoff <= time <= clock.now + AHEAD_SECONDS]
        pending = []
        visible = [time for time in arrived if time >= cutoff]
        assert [m.timestamp for m in profiler.metrics] == visible
        assert profiler.summary().count == len(visible)
