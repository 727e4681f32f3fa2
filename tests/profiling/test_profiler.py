"""The profiler as its users know it: the window, every getter, percentiles, what is there when nothing is."""

from __future__ import annotations

import dataclasses
import gc
import math
import subprocess
import sys

import numpy as np
import pytest

from athena_tuning.model import LayerTask
from athena_tuning.profiling import PerformanceProfiler


def recalls_by_getter(profiler: PerformanceProfiler) -> dict[str, object]:
    """How many recalls each getter speaks of."""
    cache, level = profiler.cache_report(), profiler.concurrency_report().levels
    return {
        "metrics": len(profiler.metrics),
        "layer": getattr(profiler.get_layer_metrics("graph"), "total_queries", 0),
        "type": getattr(profiler.get_query_type_metrics("temporal"), "total_queries", 0),
        "summary": profiler.summary().count,
        "trending": sum(query.count for query in profiler.trending(24, limit=1000)),
        "slow": len(profiler.get_slow_queries(percentile=0, limit=1000)),
        "slow records": len(profiler.slow_records(percentile=0, limit=1000)),
        "pattern": sum(part["query_count"] for part in profiler.get_temporal_pattern().values()),
        "hours": int(profiler.hour_weekday("UTC").count.sum()),
        "series": int(profiler.time_series(3600).count.sum()),
        "cache": cache.overall.n,
        "cache by layer": cache.by_layer["graph"].n if cache.by_layer else 0,
        "cache by type": cache.by_type["temporal"].n if cache.by_type else 0,
        "levels": sum(row.n for row in level),
        "tasks": len(profiler.tasks()),
        "read": len(profiler.read_since()[0]),
    }


def whole(recall, i=0, **fields):
    """A recall that every getter has something to say about."""
    task = LayerTask("graph", 0.0, 1.0, 5.0, 2)
    return recall(
        10.0 + i, **{"query_text": f"text {i}", "layers_queried": ["graph"], "tasks": (task,), **fields}
    )


@pytest.mark.parametrize("kept_up", [False, True], ids=["read once", "read all the time"])
def test_every_getter_speaks_of_the_newest_records_and_no_others(recall, clock, kept_up):
    profiler = PerformanceProfiler(max_metrics=50, clock=clock)
    for i in range(130):
        profiler.record_query(whole(recall, i))
        if kept_up:
            assert set(recalls_by_getter(profiler).values()) == {min(i + 1, 50)}
    assert set(recalls_by_getter(profiler).values()) == {50}
    assert profiler.percentiles((0.0, 1.0)).tolist() == [90.0, 139.0]


@pytest.mark.parametrize("kept_up", [False, True], ids=["read once", "read all the time"])
def test_every_getter_forgets_what_is_too_old(recall, clock, kept_up):
    profiler = PerformanceProfiler(window_hours=24, clock=clock)
    for i in range(40):
        profiler.record_query(whole(recall, i))
        clock.now += 3600
        if kept_up:
            assert set(recalls_by_getter(profiler).values()) == {min(i + 1, 24)}
    assert set(recalls_by_getter(profiler).values()) == {24}
    clock.now += 25 * 3600
    assert set(recalls_by_getter(profiler).values()) == {0}
    assert profiler.layers() == profiler.query_types() == []
    assert profiler.get_layer_metrics("graph") is None


def test_texts_and_names_of_pruned_records_are_gone(recall, clock):
    profiler = PerformanceProfiler(max_metrics=10, clock=clock)
    for i in range(300):
        record = whole(recall, i, query_type=f"type {i}", error=f"error {i}", source=f"source {i}")
        layer = f"layer {i}"
        profiler.record_query(record._replace(layers_queried=[layer], tasks=(), layer_latencies={layer: 1.0}))
        if i % 7 == 0:
            profiler.fold()
    newest = range(290, 300)
    assert profiler.query_types() == [f"type {i}" for i in newest]
    assert profiler.layers() == [f"layer {i}" for i in newest]
    names = profiler._window.names
    assert sorted(names.texts.used()) == [f"text {i}" for i in newest]
    for column in ("text", "type", "error", "source"):
        assert len(list(names.by_column[column].items())) == 10, column
        assert len(names.by_column[column]) < 60, "their numbers are used again"


@pytest.mark.slow
def test_a_window_of_distinct_texts_takes_no_more_after_many_rounds(recall, clock):
    profiler = PerformanceProfiler(max_metrics=2_000, clock=clock)

    def held() -> int:
        gc.collect()
        texts = profiler._window.names.texts
        return len(list(texts.items())) + len(texts)

    sizes = []
    for around in range(12):
        for i in range(2_000):
            profiler.record_query(recall(query_text=f"{around} {i}"))
        profiler.fold()
        sizes.append(held())
    assert max(sizes[2:]) <= sizes[2] * 1.1


EMPTY = {
    "get_trending_queries": [],
    "get_slow_queries": [],
    "get_layer_dependency_analysis": {},
    "get_cache_effectiveness": {"overall": 0.0, "by_layer": {}, "by_type": {}},
    "get_concurrency_effectiveness": {"parallel_usage": 0.0, "avg_speedup": 1.0, "successful": 0.0},
    "get_temporal_pattern": {
        hour: {"avg_latency_ms": 0.0, "query_count": 0, "success_rate": 0.0} for hour in range(24)
    },
    "slow_records": [],
    "trending": [],
    "layers": [],
    "query_types": [],
}


@pytest.mark.parametrize("getter", EMPTY)
def test_every_key_is_there_when_nothing_was_recorded(getter):
    assert getattr(PerformanceProfiler(), getter)() == EMPTY[getter]


def test_an_empty_window_is_unknown_not_zero():
    profiler = PerformanceProfiler()
    assert profiler.get_layer_metrics("graph") is None
    assert profiler.get_query_type_metrics("temporal") is None
    summary = dataclasses.asdict(profiler.summary())
    assert {name for name, value in summary.items() if value == 0} == {
        "count", "known_success", "errors", "partial", "refused", "cache_hits", "cache_known",
    }  # fmt: skip
    assert np.isnan(profiler.percentiles((0.5, 0.99))).all()
    assert profiler.counters == {"recorded": 0}
    assert list(profiler.metrics) == profiler.metrics[:] == []
    with pytest.raises(IndexError):
        profiler.metrics[0]
    assert profiler.read_since() == ([], 0, 0)


@pytest.mark.parametrize(
    "values", [[5.0], [1.0, 2.0], list(map(float, range(1, 101))), list(map(float, range(1000)))]
)
def test_a_percentile_is_the_value_at_int_of_q_times_n(recall, clock, values):
    profiler = PerformanceProfiler(clock=clock)
    for ms in reversed(values):
        profiler.record_query(recall(ms, layer_latencies={"episodic": ms}))
    n = len(values)
    metrics = profiler.get_layer_metrics("episodic")
    assert metrics.p50_latency_ms == values[n // 2]
    assert metrics.p90_latency_ms == values[int(0.9 * n)]
    assert metrics.p95_latency_ms == values[int(0.95 * n)]
    assert metrics.p99_latency_ms == values[int(0.99 * n)]
    assert metrics.p999_latency_ms == values[int(0.999 * n)]
    assert profiler.get_query_type_metrics("temporal").p99_latency_ms == values[int(0.99 * n)]


def test_percentiles_stay_exact_when_all_latencies_share_a_bucket(recall, clock, monkeypatch):
    monkeypatch.setattr("athena_tuning.profiling.questions.statistics._MOST_MEMBERS", 100)
    profiler = PerformanceProfiler(max_metrics=400, clock=clock)
    held: list[float] = []
    for i in range(900):
        ms = 10.0 + (i * 37 % 101) / 1000
        profiler.record_query(recall(ms))
        held = [*held[-399:], ms]
        if i % 50 == 0:
            ordered = sorted(held)
            expected = [ordered[int(q * len(held))] for q in (0.5, 0.9, 0.99)]
            assert profiler.percentiles((0.5, 0.9, 0.99)).tolist() == expected


def test_a_layer_without_its_own_latency_gets_the_recalls(recall, clock):
    profiler = PerformanceProfiler(clock=clock)
    profiler.record_query(recall(30.0, layers_queried=["graph", "semantic"], layer_latencies={"graph": 4.0}))
    assert profiler.get_layer_metrics("graph").p50_latency_ms == 4.0
    assert profiler.get_layer_metrics("semantic").p50_latency_ms == 30.0


def test_a_sequence_in_hand_follows_the_window(recall, clock):
    profiler = PerformanceProfiler(max_metrics=3, clock=clock)
    metrics = profiler.metrics
    for i in range(5):
        profiler.record_query(whole(recall, i))
    assert [m.query_text for m in metrics] == ["text 2", "text 3", "text 4"]
    assert metrics[-1].query_text == metrics[2].query_text == "text 4"
    assert [m.query_text for m in metrics[::-2]] == ["text 4", "text 2"]


def test_the_version_grows_with_what_comes_and_with_what_leaves(recall, clock):
    profiler = PerformanceProfiler(clock=clock)
    versions = [profiler.version]
    profiler.record_query(recall())
    versions += [profiler.version, profiler.version]
    clock.now += 25 * 3600
    versions.append(profiler.version)
    assert versions[0] < versions[1] == versions[2] < versions[3]


def test_a_record_that_its_caller_changes_after_the_fold_stays_as_it_was(recall, clock):
    profiler = PerformanceProfiler(clock=clock)
    layers, timed = ["graph"], {"graph": 4.0}
    profiler.record_query(recall(layers_queried=layers, layer_latencies=timed))
    profiler.fold()
    layers.append("semantic")
    timed["graph"] = math.nan
    assert profiler.metrics[0].layers_queried == ["graph"]
    assert profiler.metrics[0].layer_latencies == {"graph": 4.0}


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("window_hours", 0),
        ("window_hours", math.nan),
        ("max_metrics", 0),
        ("temporal_bins", 7),
        ("temporal_bins", 0),
    ],
)
def test_an_argument_out_of_range_is_refused_by_name(argument, value):
    with pytest.raises(ValueError, match=argument):
        PerformanceProfiler(**{argument: value})


def test_recording_and_reading_load_no_heavy_library():
    program = """
import sys
from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
profiler = PerformanceProfiler()
for ms in range(100):
    profiler.record_query(QueryMetrics("q", "?", "factual", 0, ms, None, False, 1, ["graph"], {}, True))
assert profiler.get_layer_metrics("graph").total_queries == 100
profiler.time_series(60), profiler.hour_weekday("UTC"), profiler.trending(), profiler.slow_records()
heavy = {"streamlit", "plotly", "scipy", "pandas", "pyarrow", "opentelemetry", "prometheus_client", "logging"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
