"""Whether the cache is worth it."""

from __future__ import annotations

import math

import pytest

from athena_tuning.profiling import PerformanceProfiler


@pytest.fixture
def profiler(clock):
    return PerformanceProfiler(clock=clock)


def test_hits_and_misses_with_their_times_and_the_time_saved(profiler, recall):
    for hit, ms in ((True, 1.0), (True, 3.0), (False, 100.0), (False, 104.0), (None, 5000.0)):
        profiler.record_query(recall(ms, cache_hit=hit))
    row = profiler.cache_report().overall
    assert (row.n, row.hits, row.hit_rate) == (4, 2, 0.5)
    assert (row.hit_p50_ms, row.miss_p95_ms) == pytest.approx((3.0, 104.0), rel=1 / 64)
    assert row.time_saved_s == pytest.approx(2 * (102.0 - 2.0) / 1000)


def test_time_is_saved_type_by_type(profiler, recall):
    for kind, hit, ms in (
        ("fast", True, 1.0),
        ("fast", False, 2.0),
        ("slow", True, 1.0),
        ("slow", False, 501.0),
    ):
        profiler.record_query(recall(ms, query_type=kind, cache_hit=hit))
    report = profiler.cache_report()
    assert {kind: row.time_saved_s for kind, row in report.by_type.items()} == pytest.approx(
        {"fast": 0.001, "slow": 0.5}
    )
    assert report.overall.time_saved_s == pytest.approx(0.501)


def test_a_cache_slower_than_asking_costs_time(profiler, recall):
    for hit, ms in ((True, 20.0), (False, 10.0)):
        profiler.record_query(recall(ms, cache_hit=hit))
    assert profiler.cache_report().overall.time_saved_s == pytest.approx(-0.01)


def test_without_a_miss_nobody_knows_what_was_saved(profiler, recall):
    profiler.record_query(recall(1.0, cache_hit=True))
    report = profiler.cache_report()
    assert math.isnan(report.by_type["temporal"].time_saved_s)
    assert report.overall.hit_rate == 1.0


def test_rates_by_layer_and_type_and_every_key_when_empty(profiler, recall):
    assert profiler.get_cache_effectiveness() == {"overall": 0.0, "by_layer": {}, "by_type": {}}
    for hit, kind, layers in (
        (True, "factual", ["semantic"]),
        (False, "factual", ["semantic", "graph"]),
        (False, "relational", ["graph"]),
        (None, "relational", ["episodic"]),
    ):
        profiler.record_query(recall(cache_hit=hit, query_type=kind, layers_queried=layers))
    assert profiler.get_cache_effectiveness() == {
        "overall": pytest.approx(1 / 3),
        "by_layer": {"semantic": 0.5, "graph": 0.0},
        "by_type": {"factual": 0.5, "relational": 0.0},
    }
