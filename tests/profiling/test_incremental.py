"""Summaries catch up with the window instead of being made again, and those nobody reads are let go."""

from __future__ import annotations

import pytest

from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.columns.block import BLOCK_ROWS
from athena_tuning.profiling.columns.incremental import MOST_KEPT
from athena_tuning.profiling.questions.statistics import Totals


@pytest.fixture
def counted(monkeypatch):
    """How many rows summaries took in or out."""
    rows = []
    many, one = Totals.apply, Totals.apply_one
    monkeypatch.setattr(
        Totals, "apply", lambda self, some, sign: (rows.append(len(some)), many(self, some, sign))
    )
    monkeypatch.setattr(Totals, "apply_one", lambda self, *of: (rows.append(1), one(self, *of)))
    return rows


def test_a_reading_after_one_new_record_counts_one_in_and_one_out(recall, clock, counted):
    profiler = PerformanceProfiler(max_metrics=500, clock=clock)
    for i in range(700):
        profiler.record_query(recall(float(i)))
    assert profiler.summary().count == 500
    counted.clear()
    for i in range(5):
        profiler.record_query(recall(float(i)))
        assert profiler.summary().count == 500
    assert counted == [1] * 10


def test_however_many_filters_are_read_only_so_many_are_kept_and_all_are_right(recall, clock):
    profiler = PerformanceProfiler(clock=clock)
    for i in range(3 * MOST_KEPT):
        profiler.record_query(recall(config_version=i))
    for _ in range(2):
        assert all(profiler.summary(config_version=i).count == 1 for i in range(3 * MOST_KEPT))
    assert len(profiler._summaries._kept) == MOST_KEPT


def test_what_is_not_read_any_more_is_let_go_when_blocks_leave(recall, clock, counted):
    profiler = PerformanceProfiler(max_metrics=BLOCK_ROWS, clock=clock)
    profiler.record_query(recall())
    profiler.summary()
    for _ in range(5 * BLOCK_ROWS // 1000):
        for _ in range(1000):
            profiler.record_query(recall())
        profiler.fold()
    assert not profiler._summaries._kept
    counted.clear()
    assert profiler.summary().count == BLOCK_ROWS
    assert sum(counted) == BLOCK_ROWS
