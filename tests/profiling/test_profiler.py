"""The profiler as its users know it: the window, every getter, many threads, late readers, bounded memory."""

from __future__ import annotations

import dataclasses
import gc
import math
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.profiler import _SLACK

NOW = 1_750_000_000.0


def told(profiler: PerformanceProfiler) -> dict[str, object]:
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
            assert set(told(profiler).values()) == {min(i + 1, 50)}
    assert set(told(profiler).values()) == {50}
    assert profiler.percentiles((0.0, 1.0)).tolist() == [90.0, 139.0]


@pytest.mark.parametrize("kept_up", [False, True], ids=["read once", "read all the time"])
def test_every_getter_forgets_what_is_too_old(recall, clock, kept_up):
    profiler = PerformanceProfiler(window_hours=24, clock=clock)
    for i in range(40):
        profiler.record_query(whole(recall, i))
        clock.now += 3600
        if kept_up:
            assert set(told(profiler).values()) == {min(i + 1, 24)}
    assert set(told(profiler).values()) == {24}
    clock.now += 25 * 3600
    assert set(told(profiler).values()) == {0}
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
        "count", "known_success", "errors", "partial", "cache_hits", "cache_known",
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
    monkeypatch.setattr("athena_tuning.profiling.statistics._MOST_MEMBERS", 100)
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


def test_the_store_reads_each_record_once_and_is_told_what_it_missed(recall, clock):
    profiler = PerformanceProfiler(max_metrics=100, clock=clock)
    for i in range(80):
        profiler.record_query(whole(recall, i))
    records, cursor, missed = profiler.read_since(0, limit=50)
    assert ([m.query_text for m in records], missed) == ([f"text {i}" for i in range(50)], 0)
    records, cursor, missed = profiler.read_since(cursor)
    assert ([m.query_text for m in records], missed) == ([f"text {i}" for i in range(50, 80)], 0)
    for i in range(80, 330):
        profiler.record_query(whole(recall, i))
        if i % 10 == 0:
            profiler.fold()
    records, cursor, missed = profiler.read_since(cursor)
    assert ([m.query_text for m in records], missed) == ([f"text {i}" for i in range(230, 330)], 150)
    assert profiler.read_since(cursor) == ([], cursor, 0)


def test_a_late_reader_is_told_of_what_nobody_ever_folded_too(recall, clock):
    profiler = PerformanceProfiler(max_metrics=100, clock=clock)
    total = 10_000
    for i in range(total):
        profiler.record_query(whole(recall, i))
    records, _, missed = profiler.read_since(0)
    assert [m.query_text for m in records] == [f"text {i}" for i in range(total - 100, total)]
    assert missed == total - 100
    counters = profiler.counters
    assert counters["recorded"] + counters["dropped_unread"] == total


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("record"), st.integers(1, 700)),
            st.tuples(st.just("fold"), st.just(0)),
            st.tuples(st.just("read"), st.integers(1, 200)),
            st.tuples(st.just("wait"), st.integers(1, 3000)),
        ),
        max_size=12,
    ),
    most=st.sampled_from([1, 10, 40, 500]),
)
def test_read_and_missed_add_up_to_all_that_was_recorded(steps, most):
    now = [NOW]
    profiler = PerformanceProfiler(window_hours=1, max_metrics=most, clock=lambda: now[0])
    recorded, cursor, seen, missed = 0, 0, [], 0
    for step, n in [*steps, ("read", 10_000)]:
        if step == "record":
            for _ in range(n):
                profiler.record_query(
                    QueryMetrics(str(recorded), "?", "factual", now[0], 1.0, None, None, 1, [], {}, True)
                )
                recorded += 1
        elif step == "fold":
            profiler.fold()
        elif step == "wait":
            now[0] += n
        else:
            records, cursor, lost = profiler.read_since(cursor, n)
            seen += [int(m.query_id) for m in records]
            missed += lost
    too_old = profiler.counters.get("rejected_too_old", 0)
    assert len(seen) + missed + too_old == recorded
    assert seen == sorted(set(seen)), "each once, in their order"


def test_memory_stays_bounded_without_a_reader(recall, clock):
    profiler = PerformanceProfiler(max_metrics=500, clock=clock)
    alive: list[weakref.ref[list[str]]] = []

    class Layers(list):
        """The layers of a record, as something whose end can be seen."""

    for i in range(20_000):
        layers = Layers(["graph"])
        alive.append(weakref.ref(layers))
        profiler.record_query(whole(recall, i, layers_queried=layers))
        assert len(profiler._pending) <= 500 + _SLACK
    del layers
    assert sum(ref() is not None for ref in alive) <= 500 + _SLACK


def test_memory_stays_bounded_while_a_fold_runs(recall, clock, monkeypatch):
    """Records that come while a fold holds the lock wait; the fold sheds what the window cannot hold."""
    from athena_tuning.profiling import profiler as module

    profiler = PerformanceProfiler(max_metrics=1_000, clock=clock)
    record, folded, longest = recall(), [0], [0]
    really = module.fold

    def folds_while_others_record(window, records, now, counters):
        for _ in range(5_000 if folded[0] < 40 else 0):
            profiler.record_query(record)
        longest[0] = max(longest[0], len(profiler._pending))
        folded[0] += 1
        really(window, records, now, counters)

    monkeypatch.setattr(module, "fold", folds_while_others_record)
    profiler.record_query(record)
    for _ in range(45):
        profiler.fold()
    assert longest[0] <= 1_000 + _SLACK + 5_000
    counters = profiler.counters
    assert counters["recorded"] + counters["dropped_unread"] == 40 * 5_000 + 1


def test_four_threads_lose_nothing(recall, clock):
    profiler = PerformanceProfiler(max_metrics=100_000, clock=clock)
    record = whole(recall)

    def run():
        for _ in range(20_000):
            profiler.record_query(record)

    crew = [threading.Thread(target=run) for _ in range(4)]
    for thread in crew:
        thread.start()
    while any(thread.is_alive() for thread in crew):
        profiler.fold()
    for thread in crew:
        thread.join()
    assert profiler.counters["recorded"] == len(profiler.metrics) == 80_000


def agreeing(recall, worker: int, i: int) -> QueryMetrics:
    """A record whose fields follow from each other."""
    ms, ok, layers = float(worker * 400 + i + 1), i % 3 > 0, ("episodic", "semantic", "graph")
    return recall(
        3 * ms,
        query_text=f"text {ms:.0f}",
        query_type=f"type {worker % 7}",
        cache_hit=not ok,
        success=ok,
        result_count=worker,
        layers_queried=list(layers),
        layer_latencies=dict.fromkeys(layers, ms),
        tasks=tuple(LayerTask(layer, 0.0, 1.0, ms, worker + 1) for layer in layers),
    )


def disagreements(profiler: PerformanceProfiler) -> list[str]:
    """What in the answers could not be if all records are whole."""
    records, summary = profiler.metrics[-500:], profiler.summary()
    table, cache, both = profiler.tasks(), profiler.cache_report(), profiler.co_occurrence()[1]
    own = [m.layer_latencies["graph"] for m in records]
    checks = {
        "latency": [m.latency_ms for m in records] == [3 * ms for ms in own],
        "text": [m.query_text for m in records] == [f"text {ms:.0f}" for ms in own],
        "type": [m.query_type for m in records] == [f"type {m.result_count % 7}" for m in records],
        "flags": [m.success for m in records] == [not m.cache_hit for m in records],
        "tasks": [[t.service_ms for t in m.tasks] for m in records] == [[ms] * 3 for ms in own],
        "counts": summary.count == summary.known_success == summary.cache_known <= 3_000,
        "errors are hits": summary.errors == summary.cache_hits,
        "three tasks a recall": (np.unique(table.recall, return_counts=True)[1] == 3).all(),
        "one time a recall": len(table) == 0 or not np.ptp(table.service_ms.reshape(-1, 3), axis=1).any(),
        "asked together": (both == 1.0).all(),
        "types add up": cache.overall.n == sum(row.n for row in cache.by_type.values()),
        "layers are whole": all(row.n == cache.overall.n for row in cache.by_layer.values()),
    }
    return [what for what, holds in checks.items() if not holds]


def test_readers_see_whole_records_whatever_32_writers_do(recall, clock):
    profiler = PerformanceProfiler(max_metrics=3_000, clock=clock)
    problems: list[str] = []
    written = threading.Event()

    def write(worker: int) -> None:
        for i in range(400):
            profiler.record_query(agreeing(recall, worker, i))

    def keep_reading() -> None:
        while not written.is_set():
            problems.extend(disagreements(profiler))

    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(32)]
    readers = [threading.Thread(target=keep_reading) for _ in range(2)]
    for thread in [*readers, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    written.set()
    for thread in readers:
        thread.join()
    assert not problems + disagreements(profiler)
    counters = profiler.counters
    assert counters["recorded"] + counters.get("dropped_unread", 0) == 32 * 400
    assert len(profiler.metrics) == 3_000


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
