"""Time series and hours of the week: filters, gaps, timezones, days of 23 and 25 hours."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.questions.groups import Groups
from tests.support.examples import examples

NOW = 1_750_000_000.0


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """How many groups were computed from their rows, each time that some were."""
    means = []
    really = Groups._compute
    monkeypatch.setattr(
        Groups,
        "_compute",
        lambda self, wanted, *rest: (means.append(len(wanted)), really(self, wanted, *rest)),
    )
    return means


def quarters_of_day(zone: str, year: int, month: int, day: int) -> list[float]:
    """Unix seconds of every quarter of an hour of a local day."""
    start = datetime(year, month, day, tzinfo=ZoneInfo(zone))
    end = datetime.combine(start.date() + timedelta(days=1), start.timetz()).timestamp()
    return np.arange(start.timestamp(), end, 900).tolist()


def measured_at(times, recall, **fields) -> PerformanceProfiler:
    profiler = PerformanceProfiler(clock=lambda: max(times))
    for at in times:
        profiler.record_query(recall(timestamp=at, **fields))
    return profiler


@pytest.mark.parametrize(
    ("zone", "day", "hours", "odd"),
    [
        ("Europe/Berlin", (2025, 3, 30), 23, {2: 0}),
        ("Europe/Berlin", (2025, 10, 26), 25, {2: 8}),
        ("America/New_York", (2025, 3, 9), 23, {2: 0}),
        ("America/New_York", (2025, 11, 2), 25, {1: 8}),
        ("Australia/Lord_Howe", (2025, 4, 6), 24.5, {1: 6}),
        ("Asia/Kathmandu", (2025, 3, 30), 24, {}),
        ("UTC", (2025, 3, 30), 24, {}),
    ],
)
def test_a_day_has_as_many_hours_as_it_has_there(recall, zone, day, hours, odd):
    times = quarters_of_day(zone, *day)
    assert len(times) == hours * 4
    profiler = PerformanceProfiler(window_hours=30, clock=lambda: times[-1])
    for at in times:
        profiler.record_query(recall(timestamp=at))
    count = profiler.hour_weekday(zone).count
    weekday = datetime(*day, tzinfo=ZoneInfo(zone)).weekday()
    assert count[weekday].tolist() == [odd.get(hour, 4) for hour in range(24)]
    assert count.sum() == len(times)


def test_the_same_moment_is_another_hour_elsewhere(recall):
    at = datetime(2025, 6, 15, 23, 50, tzinfo=ZoneInfo("UTC")).timestamp()  # a Sunday
    profiler = measured_at([at], recall)
    for zone, cell in (
        ("UTC", (6, 23)),
        ("Europe/Berlin", (0, 1)),
        ("America/New_York", (6, 19)),
        ("Asia/Kathmandu", (0, 5)),
    ):
        report = profiler.hour_weekday(zone)
        assert report.timezone == zone
        assert [tuple(place) for place in np.argwhere(report.count)] == [cell]


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe", "\0"])
def test_a_timezone_that_is_none_is_refused_by_name(name):
    with pytest.raises(ValueError, match="no timezone is called"):
        PerformanceProfiler().hour_weekday(name)


def test_an_empty_window_has_all_cells_and_no_figures():
    report = PerformanceProfiler().hour_weekday("UTC")
    assert report.count.shape == report.p99.shape == (7, 24)
    assert not report.count.any()
    assert not report.errors.any()
    for figures in (report.mean, report.p50, report.p95, report.p99, report.success_rate):
        assert np.isnan(figures).all()


@pytest.mark.parametrize("bins", [1, 24, 96])
def test_the_pattern_of_a_day_has_every_part_even_when_empty(bins):
    pattern = PerformanceProfiler(temporal_bins=bins).get_temporal_pattern()
    assert list(pattern) == list(range(bins))
    assert all(
        part == {"avg_latency_ms": 0.0, "query_count": 0, "success_rate": 0.0} for part in pattern.values()
    )


def test_a_series_is_filtered_by_type_layer_version_and_range(recall, clock):
    profiler = PerformanceProfiler(clock=clock)
    minute = math.floor(clock.now / 60) * 60
    for i in range(12):
        profiler.record_query(
            recall(
                float(i),
                timestamp=minute - 60.0 * (i // 4),
                query_type=("temporal", "factual")[i % 2],
                config_version=i // 6,
                layers_queried=["graph"] if i % 3 else ["graph", "semantic"],
                layer_latencies={"graph": 100.0 + i},
                success=i != 7,
            )
        )
    every = profiler.time_series(60)
    assert every.time.tolist() == [minute - 120, minute - 60, minute]
    assert every.count.tolist() == [4, 4, 4]
    assert every.errors.tolist() == [0, 1, 0]
    assert every.p50.tolist() == [10.0, 6.0, 2.0]
    assert profiler.time_series(60, query_type="factual").count.tolist() == [2, 2, 2]
    assert profiler.time_series(60, config_version=1).count.tolist() == [4, 2]
    assert profiler.time_series(60, layer="graph").p99.tolist() == [111.0, 107.0, 103.0]
    assert profiler.time_series(60, layer="semantic").p50.tolist() == [9.0, 6.0, 3.0]
    assert profiler.time_series(
        60, query_type="factual", layer="semantic", config_version=0
    ).count.tolist() == [1]
    ranged = profiler.time_series(60, start=minute - 60, end=minute)
    assert (ranged.time.tolist(), ranged.count.tolist()) == ([minute - 60], [4])
    cut = profiler.time_series(60, start=minute - 30)
    assert cut.count.tolist() == [4, 4], "a bucket that the range cuts is shown whole"
    assert len(profiler.time_series(60, query_type="no such type").time) == 0


@pytest.mark.parametrize("bucket", [1, 60, 300, 3600])
def test_buckets_follow_each_other_without_a_gap(recall, clock, bucket):
    profiler = PerformanceProfiler(clock=clock)
    for back in (0, 3 * bucket, 7 * bucket):
        profiler.record_query(recall(timestamp=clock.now - back))
    series = profiler.time_series(bucket)
    assert np.diff(series.time).tolist() == [bucket] * 7
    assert series.count.tolist() == [1, 0, 0, 0, 1, 0, 0, 1]
    assert np.isnan(series.p50[series.count == 0]).all()
    assert np.isnan(series.mean[series.count == 0]).all()


@pytest.mark.parametrize("bucket", [0, 0.05, -1, 90_000, math.nan, math.inf])
def test_a_bucket_of_no_use_is_refused(bucket):
    with pytest.raises(ValueError, match=r"a bucket is 0\.1 to 86,400 seconds"):
        PerformanceProfiler().time_series(bucket)


def test_more_buckets_than_anybody_looks_at_are_refused_with_a_way_out(recall, clock):
    profiler = PerformanceProfiler(window_hours=24 * 365, clock=clock)
    for back in (0, 300 * 86_400):
        profiler.record_query(recall(timestamp=clock.now - back))
    with pytest.raises(ValueError, match="ask for longer buckets or a shorter range"):
        profiler.time_series(1)
    assert profiler.time_series(1, start=clock.now - 60).count.tolist() == [1]
    assert profiler.time_series(86_400).count.sum() == 2


def test_a_range_is_computed_without_the_rest_and_the_rest_is_right_later(recall, clock, computed):
    profiler = PerformanceProfiler(clock=clock)
    for back in range(100):
        profiler.record_query(recall(float(back), timestamp=clock.now - 60 * back))
    assert profiler.time_series(60, start=clock.now - 600).count.sum() == 11
    assert computed == [11]
    clock.now += 3600
    assert profiler.time_series(60).count.sum() == 100
    assert computed == [11, 89]
    clock.now += 23.5 * 3600
    assert len(profiler.time_series(60, end=clock.now - 86_400).time) == 0
    assert len(profiler.time_series(60).time) == 0


def test_an_unchanged_prefix_is_not_computed_again(recall, clock, computed):
    profiler = PerformanceProfiler(clock=clock)
    for back in range(50):
        profiler.record_query(recall(timestamp=clock.now - 60 * back))
    profiler.time_series(60)
    computed.clear()
    for ms in (1.0, 2.0, 3.0):
        profiler.record_query(recall(ms))
        assert profiler.time_series(60).count.tolist()[-1] == 1 + ms
    assert computed == [1], "once the bucket that gained a record; then each record is counted into it"


def slow_figures(records: list[QueryMetrics], layer: str | None):
    """Count, errors, mean, p50, p95, p99 of some records, told plainly."""
    ms, outcomes = [], []
    for m in records:
        task = next((t for t in m.tasks if t.layer == layer), None)
        time = (
            m.latency_ms
            if layer is None
            else m.layer_latencies.get(layer, task.service_ms if task else m.latency_ms)
        )
        outcome = m.success if task is None else task.outcome == TaskOutcome.OK
        ms += [] if time is None else [time]
        outcomes += [] if outcome is None else [outcome]
    ordered = sorted(ms)
    at = [ordered[int(q * len(ordered))] if ordered else math.nan for q in (0.5, 0.95, 0.99)]
    return [len(records), outcomes.count(False), sum(ms) / len(ms) if ms else math.nan, *at]


@settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), most=st.sampled_from([5, 30, 400]), layer=st.sampled_from([None, "graph"]))
def test_single_records_that_come_and_go_move_the_figures_as_counting_again_would(recall, seed, most, layer):
    rng = random.Random(seed)
    now = [NOW]
    profiler = PerformanceProfiler(window_hours=1, max_metrics=most, clock=lambda: now[0])
    held: list[QueryMetrics] = []
    for _ in range(120):
        now[0] += rng.expovariate(1 / 20)
        tasks = (
            (LayerTask("graph", 0.0, 1.0, 7.0, 1, rng.choice(list(TaskOutcome))),)
            if rng.random() < 0.5
            else ()
        )
        record = recall(
            rng.choice((None, 5.0, 100 * rng.random())),
            timestamp=now[0] - rng.choice((0.0, 900.0 * rng.random())),
            layers_queried=rng.choice((["graph"], ["graph", "semantic"], ["semantic"])),
            success=rng.choice((None, True, False)),
        )
        record = record._replace(tasks=tasks if "graph" in record.layers_queried else ())
        profiler.record_query(record)
        held.append(record)
        held = [m for m in held[-most:] if m.timestamp >= now[0] - 3600]
        if rng.random() < 0.6:
            continue
        buckets = defaultdict(list)
        for m in held:
            if layer is None or layer in m.layers_queried:
                buckets[math.floor(m.timestamp / 300) * 300].append(m)
        series = profiler.time_series(300, **({} if layer is None else {"layer": layer}))
        columns = (series.count, series.errors, series.mean, series.p50, series.p95, series.p99)
        for at, *means in zip(series.time.tolist(), *columns, strict=True):
            expected = slow_figures(buckets.pop(int(at), []), layer)
            assert np.allclose(means, expected, rtol=1e-9, atol=1e-9, equal_nan=True)
        assert not buckets
