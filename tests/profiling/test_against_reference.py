"""Every getter against a slow, obvious reference: lists, sorted(), loops."""

from __future__ import annotations

import math
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from tests.profiling.reference import (
    LAYERS,
    START,
    TYPES,
    Reference,
    any_record,
    known,
    mean,
    near,
    own_ms,
    percentile,
    same,
    succeeded,
)
from tests.support.examples import examples

histories = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(1, 60)),
        st.tuples(st.just("wait"), st.floats(0, 3000)),
        st.tuples(st.just("read"), st.just(0)),
    ),
    max_size=10,
)
"""Steps: record some and fold, let time pass, read everything."""


@dataclass
class Rig:
    profiler: PerformanceProfiler
    reference: Reference

    @classmethod
    def make(cls, most: int, hours: float = 2.0) -> Rig:
        reference = Reference(hours, most)
        return cls(PerformanceProfiler(hours, most, clock=lambda: reference.now), reference)

    def record(self, m: QueryMetrics) -> None:
        self.profiler.record_query(m)
        self.reference.record(m)

    def run(self, rng: random.Random, steps) -> None:
        for step, amount in steps:
            if step == "record":
                for _ in range(amount):
                    self.record(any_record(rng, self.reference.now))
                self.profiler.fold()
            elif step == "wait":
                self.reference.now += amount
            else:
                check_everything(self.profiler, self.reference)


def check_everything(profiler: PerformanceProfiler, reference: Reference) -> None:
    check_window(profiler, reference)
    for chosen in (
        {},
        {"query_type": "temporal"},
        {"layer": "graph"},
        {"config_version": 1, "layer": "semantic"},
        {"start": reference.now - 1000, "end": reference.now - 5},
    ):
        rows = reference.select(**chosen)
        check_summary(profiler, rows, chosen)
        check_time_series(profiler, reference, chosen)
        check_cache(profiler, rows, chosen)
        assert profiler.sources(**chosen) == Counter(m.source for m in rows)
        check_concurrency(profiler, rows, chosen)
        check_hours(profiler, rows, chosen)
    check_metrics(profiler, reference)
    check_classic(profiler, reference)


def check_window(profiler, reference):
    rows = reference.window()
    assert list(profiler.metrics) == rows
    assert len(profiler.metrics) == len(rows)
    assert profiler.metrics[1:-1:2] == rows[1:-1:2]
    assert profiler.metrics[::-1] == rows[::-1]
    if rows:
        assert profiler.metrics[0] == rows[0]
        assert profiler.metrics[-1] == rows[-1]
    assert profiler.layers() == sorted({layer for m in rows for layer in m.layers_queried})
    assert profiler.query_types() == sorted({m.query_type for m in rows})
    names = profiler._window.names
    assert sorted(names.texts.used()) == sorted({m.query_text for m in rows})
    assert set(names.errors.used()) == {m.error for m in rows}


def check_summary(profiler, rows, chosen):
    layer = chosen.get("layer")
    summary = profiler.summary(**chosen)
    ms = known(own_ms(m, layer) for m in rows)
    outcomes = known(succeeded(m, layer) for m in rows)
    waits = [t.queue_ms for m in rows for t in m.tasks if layer in (None, t.layer)]
    assert summary.count == len(rows)
    refused = sum(m.refused for m in rows) if layer is None else 0
    assert (summary.known_success, summary.errors) == (len(outcomes), outcomes.count(False) - refused)
    assert (summary.partial, summary.refused) == (sum(m.partial for m in rows) - refused, refused)
    assert summary.cache_known == len(known(m.cache_hit for m in rows))
    assert summary.cache_hits == sum(m.cache_hit is True for m in rows)
    assert same(summary.mean_latency_ms, mean(ms))
    qs = (0.5, 0.9, 0.95, 0.99, 0.999)
    expected = [percentile(ms, q) for q in qs]
    found = [getattr(summary, f"p{n}_latency_ms") for n in ("50", "90", "95", "99", "999")]
    assert np.array_equal(found, expected, equal_nan=True)
    assert np.array_equal(
        profiler.percentiles((0, 0.25, 1), **chosen),
        [percentile(ms, q) for q in (0, 0.25, 1)],
        equal_nan=True,
    )
    times = [m.timestamp for m in rows]
    assert same(summary.first_timestamp, min(times, default=math.nan))
    assert same(summary.last_timestamp, max(times, default=math.nan))
    assert same(summary.mean_queue_ms, mean(waits))
    assert near(summary.p99_queue_ms, percentile(waits, 0.99))
    slow = profiler.slow_records(5, 50, **chosen)
    threshold = percentile(ms, 0.5)
    slowest = sorted(
        (m for m in rows if (own_ms(m, layer) is not None) and own_ms(m, layer) >= threshold),
        key=lambda m: -own_ms(m, layer),
    )
    assert slow == slowest[:5]
    table = profiler.tasks(**chosen)
    expected_tasks = sorted(
        (m.timestamp, t.layer, t.offset_ms, t.queue_ms, own_ms(m, t.layer), t.in_flight, m.query_type)
        for m in rows
        for t in m.tasks
        if layer in (None, t.layer)
    )
    columns = (table.offset_ms, table.queue_ms, table.service_ms, table.in_flight)
    found_tasks = sorted(
        (time, table.layers[which], *values, table.query_types[kind])
        for time, which, *values, kind in zip(
            table.time, table.layer, *columns, table.query_type, strict=True
        )
    )
    assert [task[:2] + task[5:] for task in found_tasks] == [task[:2] + task[5:] for task in expected_tasks]
    assert np.allclose([task[2:5] for task in found_tasks], [task[2:5] for task in expected_tasks], atol=1e-6)


def check_time_series(profiler, reference, chosen):
    series = profiler.time_series(60, **chosen)
    layer = chosen.get("layer")
    start = math.floor(chosen["start"] / 60) * 60 if "start" in chosen else None
    end = math.ceil(chosen["end"] / 60) * 60 if "end" in chosen else None
    buckets = defaultdict(list)
    for m in reference.select(**{**chosen, "start": start, "end": end}):
        buckets[math.floor(m.timestamp / 60) * 60].append(m)
    assert series.count.sum() == sum(map(len, buckets.values()))
    for i, at in enumerate(series.time.tolist()):
        rows = buckets.get(int(at), [])
        ms = known(own_ms(m, layer) for m in rows)
        assert series.count[i] == len(rows)
        refused = sum(m.refused for m in rows) if layer is None else 0
        assert series.refused[i] == refused
        assert series.errors[i] == sum(succeeded(m, layer) is False for m in rows) - refused
        assert series.cache_hits[i] == sum(m.cache_hit is True for m in rows)
        assert same(series.mean[i], mean(ms))
        figures = [series.p50[i], series.p95[i], series.p99[i]]
        assert np.array_equal(figures, [percentile(ms, q) for q in (0.5, 0.95, 0.99)], equal_nan=True)


def check_hours(profiler, rows, chosen):
    for name in ("Asia/Kathmandu", "America/New_York"):
        cells = defaultdict(list)
        for m in rows:
            local = datetime.fromtimestamp(m.timestamp, ZoneInfo(name))
            cells[local.weekday(), local.hour].append(m)
        report = profiler.hour_weekday(name, **chosen)
        assert report.count.sum() == len(rows)
        for (day, hour), some in cells.items():
            ms = known(own_ms(m, chosen.get("layer")) for m in some)
            outcomes = known(succeeded(m, chosen.get("layer")) for m in some)
            assert report.count[day, hour] == len(some)
            assert same(report.mean[day, hour], mean(ms))
            found = [figures[day, hour] for figures in (report.p50, report.p95, report.p99)]
            expected = [percentile(ms, q) for q in (0.5, 0.95, 0.99)]
            assert np.array_equal(found, expected, equal_nan=True)
            assert same(report.success_rate[day, hour], mean(outcomes))
            refused = 0 if chosen.get("layer") else sum(m.refused for m in some)
            assert report.errors[day, hour] == outcomes.count(False) - refused


def check_cache(profiler, rows, chosen):
    report = profiler.cache_report(**chosen)
    layer = chosen.get("layer")
    groups = {name: [m for m in rows if m.query_type == name] for name in {m.query_type for m in rows}}
    groups = {name: some for name, some in groups.items() if known(m.cache_hit for m in some)}
    assert set(report.by_type) == set(groups)
    saved = []
    for name, some in groups.items():
        saved.append(check_cache_row(report.by_type[name], some, layer))
    assert report.overall.n == len(known(m.cache_hit for m in rows))
    assert same(report.overall.time_saved_s, math.fsum(known(saved)))
    asked = {name for m in rows for name in m.layers_queried if m.cache_hit is not None}
    assert set(report.by_layer) == (asked if layer is None else asked & {layer})
    for name, row in report.by_layer.items():
        check_cache_row(row, [m for m in rows if name in m.layers_queried], name)


def check_cache_row(row, some, layer) -> float:
    """Compare one row; return the seconds that were saved."""
    hits = [m for m in some if m.cache_hit]
    hit_ms = known(own_ms(m, layer) for m in hits)
    miss_ms = known(own_ms(m, layer) for m in some if m.cache_hit is False)
    assert (row.n, row.hits) == (len(known(m.cache_hit for m in some)), len(hits))
    assert same(row.hit_rate, row.hits / row.n)
    for q, hit, miss in ((0.5, row.hit_p50_ms, row.miss_p50_ms), (0.95, row.hit_p95_ms, row.miss_p95_ms)):
        assert near(hit, percentile(hit_ms, q))
        assert near(miss, percentile(miss_ms, q))
    saved = len(hit_ms) * (mean(miss_ms) - mean(hit_ms)) / 1000 if hits else 0.0
    assert same(row.time_saved_s, saved)
    return saved


def span_of(m: QueryMetrics) -> tuple[float, float]:
    if m.tasks:
        edges = [(t.offset_ms + t.queue_ms, t.offset_ms + t.queue_ms + t.service_ms) for t in m.tasks]
        points = sorted({point for edge in edges for point in edge})
        busy = sum(
            right - left
            for left, right in pairwise(points)
            if any(start <= left and right <= end for start, end in edges)
        )
        return sum(t.service_ms for t in m.tasks), busy
    work = sum(m.layer_latencies.values())
    return (work, m.latency_ms) if work and m.latency_ms else (0.0, 0.0)


def check_concurrency(profiler, rows, chosen):
    report = profiler.concurrency_report(**chosen)
    parallel = [m for m in rows if m.parallel_execution]
    assert same(report.parallel_share, len(parallel) / len(rows) if rows else math.nan)
    if "layer" not in chosen:
        work, span = (sum(values) for values in zip(*map(span_of, parallel), (0.0, 0.0), strict=True))
        if span > 1:
            assert report.speed_up == pytest.approx(
                work / span, rel=1e-3, abs=1e-6
            )  # works of ps are kept as 0
    layer = chosen.get("layer")
    tasks = [(m, t) for m in rows for t in m.tasks if layer in (None, t.layer)]
    waits = [t.queue_ms for _, t in tasks]
    assert near(report.queue_p50_ms, percentile(waits, 0.5))
    assert near(report.queue_p95_ms, percentile(waits, 0.95))
    assert near(report.queue_p99_ms, percentile(waits, 0.99))
    levels = defaultdict(list)
    for m in rows:
        levels[max((t.in_flight for t in m.tasks), default=0)].append(m)
    levels.pop(0, None)
    assert [(row.level, row.n) for row in report.levels] == sorted(
        (k, len(some)) for k, some in levels.items()
    )
    for row in report.levels:
        ms = known(own_ms(m, layer) for m in levels[row.level])
        service = mean([own_ms(m, t.layer) for m, t in tasks if t.in_flight == row.level])
        assert near(row.p50_latency_ms, percentile(ms, 0.5))
        assert near(row.p99_latency_ms, percentile(ms, 0.99))
        assert same(1000 * row.level / row.throughput_per_s, service if service > 0 else math.nan)
    layers, both = profiler.co_occurrence(**chosen)
    assert layers == sorted({name for m in rows for name in m.layers_queried})
    for i, a in enumerate(layers):
        for j, b in enumerate(layers):
            share = mean([{a, b} <= set(m.layers_queried) for m in rows])
            assert same(both[i, j], share)


def check_metrics(profiler, reference):
    for layer in LAYERS:
        rows = reference.select(layer=layer)
        metrics = profiler.get_layer_metrics(layer)
        if not rows:
            assert metrics is None
            continue
        ms = known(own_ms(m, layer) for m in rows)
        outcomes = known(succeeded(m, layer) for m in rows)
        assert (metrics.layer_name, metrics.total_queries) == (layer, len(rows))
        assert metrics.successful_queries == outcomes.count(True)
        assert same(metrics.error_rate, 1 - mean(outcomes))
        assert same(metrics.cache_hit_rate, mean(known(m.cache_hit for m in rows)))
        assert metrics.avg_memory_mb == pytest.approx(
            mean(known(m.memory_mb for m in rows)), abs=1e-4, nan_ok=True
        )
        check_percentiles(metrics, ms)
        waits = [t.queue_ms for m in rows for t in m.tasks if t.layer == layer]
        assert same(metrics.avg_queue_ms, mean(waits))
        assert near(metrics.p99_queue_ms, percentile(waits, 0.99))
    for kind in TYPES:
        rows = reference.select(query_type=kind)
        metrics = profiler.get_query_type_metrics(kind)
        if not rows:
            assert metrics is None
            continue
        assert metrics.total_queries == len(rows)
        assert metrics.avg_accuracy == pytest.approx(mean([m.accuracy_score for m in rows]), abs=1e-4)
        assert same(metrics.success_rate, mean(known(m.success for m in rows)))
        assert same(metrics.cache_hit_rate, mean(known(m.cache_hit for m in rows)))
        check_percentiles(metrics, known(m.latency_ms for m in rows))


def check_percentiles(metrics, ms):
    assert same(metrics.avg_latency_ms, mean(ms))
    found = [getattr(metrics, f"p{n}_latency_ms") for n in ("50", "90", "95", "99", "999")]
    assert np.array_equal(found, [percentile(ms, q) for q in (0.5, 0.9, 0.95, 0.99, 0.999)], equal_nan=True)


def check_classic(profiler, reference):
    rows = reference.window()
    recent = [m for m in rows if m.timestamp >= reference.now - 3600]
    counts = Counter(m.query_text for m in recent)
    scores = defaultdict(float)
    for m in recent:
        scores[m.query_text] += 2 ** ((m.timestamp - reference.now) / 1800)
    trending = profiler.trending(hours=1, limit=1000)
    assert {query.text: query.count for query in trending} == dict(counts)
    for query in trending:
        assert query.score == pytest.approx(scores[query.text], rel=1e-6)
    assert [query.score for query in trending] == sorted((q.score for q in trending), reverse=True)
    pattern = profiler.get_temporal_pattern()
    assert list(pattern) == list(range(24))
    for hour, figures in pattern.items():
        some = [m for m in rows if time.localtime(m.timestamp).tm_hour == hour]
        assert figures["query_count"] == len(some)
        ms, outcomes = known(m.latency_ms for m in some), known(m.success for m in some)
        assert same(figures["avg_latency_ms"], mean(ms) if ms else 0.0)
        assert same(figures["success_rate"], mean(outcomes) if outcomes else 0.0)
    hits = known(m.cache_hit for m in rows)
    assert same(profiler.get_cache_effectiveness()["overall"], mean(hits) if hits else 0.0)
    parallel = [m for m in rows if m.parallel_execution]
    outcomes = known(m.success for m in parallel)
    effect = profiler.get_concurrency_effectiveness()
    assert same(effect["parallel_usage"], len(parallel) / len(rows) if rows else 0.0)
    assert same(effect["successful"], mean(outcomes) if outcomes else 0.0)
    assert effect["avg_speedup"] == profiler.concurrency_report().speed_up
    assert [m.query_text for m in profiler.slow_records(10)] == [
        text for text, _ in profiler.get_slow_queries()
    ]
    assert profiler.get_trending_queries(1, 1000) == [query.text for query in trending]
    for a, others in profiler.get_layer_dependency_analysis().items():
        with_a = [m for m in rows if a in m.layers_queried]
        for b, rate in others.items():
            assert same(rate, mean([b in m.layers_queried for m in with_a]))


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None)
@given(seed=st.integers(0, 2**32), steps=histories, most=st.sampled_from([1, 3, 25, 60, 1000]))
def test_every_getter_agrees_with_the_reference_whatever_happens(seed, steps, most):
    rig = Rig.make(most)
    rig.run(random.Random(seed), steps)
    check_everything(rig.profiler, rig.reference)


@pytest.mark.slow
@pytest.mark.parametrize("most", [700, 20_000])
def test_getters_agree_over_many_blocks_large_folds_and_expiry(most):
    rng = random.Random(most)
    rig = Rig.make(most, hours=1.0)
    for _ in range(18):
        for i in range(rng.choice((1, 5, 300, 2500))):
            rig.record(any_record(rng, rig.reference.now))
            if i % most == most - 1:
                rig.profiler.fold()  # what is unread and too much would be dropped
        rig.profiler.fold()
        rig.reference.now += rng.random() * 300
        if rng.random() < 0.3:
            check_summary(rig.profiler, rig.reference.select(), {})
            check_summary(rig.profiler, rig.reference.select(layer="graph"), {"layer": "graph"})
            check_time_series(rig.profiler, rig.reference, {"layer": "semantic"})
            check_hours(rig.profiler, rig.reference.select(), {})
    check_everything(rig.profiler, rig.reference)


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(17, 60))
def test_one_by_one_and_in_bulk_give_the_same_columns(seed, n):
    rng = random.Random(seed)
    some = [any_record(rng, START) for _ in range(n)]
    bulk, single = (PerformanceProfiler(clock=lambda: START) for _ in range(2))
    for m in some:
        bulk.record_query(m)
        single.record_query(m)
        single.fold()
    bulk.fold()
    (a,), (b,) = bulk._window.view.blocks, single._window.view.blocks
    for name in a.records.columns:
        if name not in ("text", "type", "shape", "error", "source"):  # numbered in another order
            atol = 1 if name in ("work", "span") else 0
            assert np.allclose(a.records[name], b.records[name], rtol=0, atol=atol, equal_nan=True), name
    assert a.tasks.keys() == b.tasks.keys()
    for layer, table in a.tasks.items():
        for name in table.columns:
            assert np.array_equal(table[name], b.tasks[layer][name], equal_nan=True)
    assert list(bulk.metrics) == list(single.metrics) == some
