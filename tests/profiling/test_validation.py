"""Whatever is recorded: no exception, no poisoned figure, and every refusal and mending counted by reason."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.columns.validation import (
    AHEAD_SECONDS,
    LONGEST_MS,
    LONGEST_NAME,
    LONGEST_TEXT,
    MOST_LAYERS,
)
from tests.support.examples import examples

NOW = 1_750_000_000.0
GOOD = QueryMetrics(
    "r",
    "last deploy?",
    "temporal",
    NOW,
    10.0,
    1.0,
    False,
    3,
    ["graph"],
    {"graph": 4.0},
    True,
    accuracy_score=0.5,
)


def recorded(*records: object) -> PerformanceProfiler:
    profiler = PerformanceProfiler(clock=lambda: NOW)
    for record in records:
        profiler.record_query(record)  # type: ignore[arg-type]
    return profiler


def in_bulk(record: object) -> PerformanceProfiler:
    """The record in the middle of enough others to be folded by columns."""
    return recorded(*[GOOD] * 20, record, *[GOOD] * 20)


@pytest.mark.parametrize(
    ("reason", "record"),
    [
        ("not_a_record", "a text"),
        ("not_a_record", tuple(GOOD)),
        ("not_a_record", None),
        ("no_time", GOOD._replace(timestamp=math.nan)),
        ("no_time", GOOD._replace(timestamp=math.inf)),
        ("no_time", GOOD._replace(timestamp=-1.0)),
        ("no_time", GOOD._replace(timestamp="now")),
        ("no_time", GOOD._replace(timestamp=None)),
        ("in_the_future", GOOD._replace(timestamp=NOW + AHEAD_SECONDS + 1)),
        ("in_the_future", GOOD._replace(timestamp=1e300)),
        ("too_old", GOOD._replace(timestamp=NOW - 24 * 3600 - 1)),
        ("too_old", GOOD._replace(timestamp=1.0)),
    ],
)
def test_an_impossible_record_is_rejected_and_its_reason_counted(reason, record):
    for profiler, others in ((recorded(record), 0), (in_bulk(record), 40)):
        assert profiler.counters[f"rejected_{reason}"] == 1
        assert profiler.counters["recorded"] == len(profiler.metrics) == others


@pytest.mark.parametrize("zero", [0, 0.0, -0.0])
def test_a_time_of_zero_becomes_now_by_the_profilers_clock_and_is_no_oddity(zero):
    record = GOOD._replace(timestamp=zero)
    assert [m.timestamp for m in recorded(record).metrics] == [NOW]
    assert {m.timestamp for m in in_bulk(record).metrics} == {NOW}
    assert recorded(record).counters == {"recorded": 1}


@pytest.mark.parametrize(
    ("reason", "odd", "becomes"),
    [
        ("latency", {"latency_ms": math.nan}, {"latency_ms": None}),
        ("latency", {"latency_ms": math.inf}, {"latency_ms": None}),
        ("latency", {"latency_ms": -0.001}, {"latency_ms": None}),
        ("latency", {"latency_ms": LONGEST_MS * 1.01}, {"latency_ms": None}),
        ("latency", {"latency_ms": "12 ms"}, {"latency_ms": None}),
        ("memory", {"memory_mb": -1.0}, {"memory_mb": None}),
        ("cache_hit", {"cache_hit": "yes"}, {"cache_hit": None}),
        ("success", {"success": 7}, {"success": None}),
        ("result_count", {"result_count": -3}, {"result_count": None}),
        ("result_count", {"result_count": 2.5}, {"result_count": None}),
        ("result_count", {"result_count": 2**40}, {"result_count": None}),
        ("concurrency", {"concurrency_level": math.inf}, {"concurrency_level": 1}),
        ("config_version", {"config_version": -1}, {"config_version": 0}),
        ("satisfaction", {"user_satisfaction": 1.5}, {"user_satisfaction": None}),
        ("query_type", {"query_type": ""}, {"query_type": "unknown"}),
        ("query_type", {"query_type": 5}, {"query_type": "unknown"}),
        ("query_type", {"query_type": ["temporal"]}, {"query_type": "unknown"}),
        ("source", {"source": ""}, {"source": "live"}),
        ("text", {"query_text": "x" * 2**20}, {"query_text": "x" * LONGEST_TEXT}),
        ("text", {"query_text": b"bytes"}, {"query_text": ""}),
        ("query_id", {"query_id": "i" * 300}, {"query_id": "i" * LONGEST_NAME}),
        ("error", {"error": "e" * 2**20}, {"error": "e" * LONGEST_TEXT}),
        ("time_unit", {"timestamp": NOW * 1e3}, {"timestamp": NOW}),
        ("time_unit", {"timestamp": NOW * 1e6}, {"timestamp": NOW}),
        ("time_unit", {"timestamp": int(NOW) * 10**9}, {"timestamp": NOW}),
        ("layers", {"layers_queried": ["graph", "graph"]}, {}),
        ("layers", {"layers_queried": ["graph", 7, "", None, "n" * 300]}, {}),
        ("layers", {"layers_queried": None}, {}),
        ("layers", {"layers_queried": "graph"}, {}),
        ("layers", {"layers_queried": []}, {}),
        ("layer_latencies", {"layer_latencies": {"graph": 4.0, "semantic": math.nan}}, {}),
        ("layer_latencies", {"layer_latencies": {"graph": 4.0, 3: 1.0}}, {}),
        ("layer_latencies", {"layer_latencies": None}, {"layer_latencies": {}}),
        ("tasks", {"tasks": (LayerTask("graph", 0.0, 0.0, math.nan, 1),)}, {}),
        ("tasks", {"tasks": (LayerTask("graph", 0.0, 0.0, 1.0, 1, "lost"),)}, {}),
        ("tasks", {"tasks": ("graph",)}, {}),
        ("tasks", {"tasks": 3}, {}),
    ],
)
def test_an_odd_field_is_made_normal_by_its_rule_and_counted(reason, odd, becomes):
    for profiler, place in ((recorded(GOOD._replace(**odd)), 0), (in_bulk(GOOD._replace(**odd)), 20)):
        assert profiler.metrics[place] == GOOD._replace(**becomes)
        mended = {name: n for name, n in profiler.counters.items() if name.startswith("normalised")}
        assert mended == {f"normalised_{reason}": 1}


def test_an_impossible_accuracy_becomes_unknown():
    for odd in (-0.1, 1.1, math.inf, "good"):
        for profiler, place in (
            (recorded(GOOD._replace(accuracy_score=odd)), 0),
            (in_bulk(GOOD._replace(accuracy_score=odd)), 20),
        ):
            assert math.isnan(profiler.metrics[place].accuracy_score)
            assert profiler.counters["normalised_accuracy"] == 1
            average = profiler.get_query_type_metrics("temporal").avg_accuracy
            assert math.isnan(average) if place == 0 else average == 0.5


def test_an_accuracy_of_nan_is_unknown_and_nothing_odd():
    for profiler in (
        recorded(GOOD._replace(accuracy_score=math.nan)),
        in_bulk(GOOD._replace(accuracy_score=math.nan)),
    ):
        assert "normalised_accuracy" not in profiler.counters


def test_layers_beyond_the_most_are_left_out_with_their_times():
    layers = [f"layer {i}" for i in range(MOST_LAYERS + 10)]
    record = GOOD._replace(
        layers_queried=layers,
        layer_latencies=dict.fromkeys(layers, 2.0),
        tasks=tuple(LayerTask(layer, 0.0, 0.0, 2.0, 1) for layer in layers),
    )
    for profiler, place in ((recorded(record), 0), (in_bulk(record), 20)):
        kept = profiler.metrics[place]
        assert kept.layers_queried == list(kept.layer_latencies) == [t.layer for t in kept.tasks]
        assert kept.layers_queried == layers[:MOST_LAYERS]
        assert profiler.counters["normalised_layers"] == 1


def test_an_unlisted_layer_with_a_time_is_added():
    profiler = recorded(GOOD._replace(layers_queried=["semantic"]))
    assert profiler.metrics[0].layers_queried == ["semantic", "graph"]


def test_numbers_of_other_kinds_are_numbers():
    record = GOOD._replace(
        timestamp=int(NOW),
        latency_ms=np.float32(10.0),
        memory_mb=Decimal(1),
        cache_hit=np.bool_(False),
        result_count=np.int64(3),
        success=1,
        concurrency_level=2.0,
        layer_latencies={"graph": np.float64(4.0)},
    )
    for profiler, place in ((recorded(record), 0), (in_bulk(record), 20)):
        assert profiler.metrics[place] == GOOD._replace(concurrency_level=2)
        assert not [name for name in profiler.counters if name.startswith(("rejected", "normalised"))]


class Hostile:
    """Raises at whatever is done with it."""

    def _raise(self, *_):
        raise RuntimeError("looked at")

    __float__ = __bool__ = __len__ = __iter__ = __str__ = __getattribute__ = _raise

    def __eq__(self, other):
        raise RuntimeError("compared")

    def __hash__(self):
        raise RuntimeError("hashed")


class HostileDict(dict):
    def items(self):
        raise RuntimeError("items")

    values = keys = __iter__ = items


@pytest.mark.parametrize("field", QueryMetrics._fields)
def test_an_object_that_raises_costs_its_own_record_at_most(field):
    for hostile in (Hostile(), HostileDict(graph=1.0), [Hostile()], (Hostile(),), {"graph": Hostile()}):
        for profiler, others in (
            (recorded(GOOD._replace(**{field: hostile})), 0),
            (in_bulk(GOOD._replace(**{field: hostile})), 40),
        ):
            kept = profiler.counters["recorded"]
            refused = sum(n for name, n in profiler.counters.items() if name.startswith("rejected"))
            assert (kept - others, refused) in {(1, 0), (0, 1)}
            assert len(profiler.metrics) == kept


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(
        [math.nan, math.inf, -math.inf, -1.0, 5e-324, NOW, NOW * 1e3, NOW + 61, NOW - 90_000, 1e308]
    ),
    st.text(max_size=5),
    st.just("ä" * 2**20),
    st.binary(max_size=3),
    st.lists(st.one_of(st.text(max_size=3), st.integers(), st.none()), max_size=4),
    st.dictionaries(
        st.one_of(st.text(max_size=3), st.integers()), st.one_of(st.floats(), st.text(max_size=2)), max_size=3
    ),
    st.builds(object),
    st.builds(complex),
    st.builds(
        LayerTask,
        st.sampled_from(["graph", "", "semantic"]),
        st.floats(),
        st.floats(),
        st.floats(),
        st.integers(),
        st.one_of(st.sampled_from(TaskOutcome), st.text(max_size=2)),
        st.integers(),
    ).map(lambda task: (task, task)),
)
bad_records = st.one_of(
    junk,
    st.dictionaries(st.sampled_from(QueryMetrics._fields), junk, min_size=1, max_size=6).map(
        lambda odd: GOOD._replace(**odd)
    ),
)


def read_everything(profiler: PerformanceProfiler) -> None:
    for layer in profiler.layers():
        metrics = profiler.get_layer_metrics(layer)
        times = [metrics.p50_latency_ms, metrics.p99_latency_ms, metrics.p999_latency_ms]
        assert all(math.isnan(ms) or 0 <= ms <= LONGEST_MS for ms in times)
        assert times == sorted(times) or math.isnan(times[0])
    for query_type in profiler.query_types():
        assert profiler.get_query_type_metrics(query_type).total_queries > 0
    list(profiler.metrics)
    profiler.summary()
    profiler.time_series(60)
    profiler.hour_weekday("Europe/Berlin")
    profiler.get_trending_queries()
    profiler.get_slow_queries()
    profiler.slow_records()
    profiler.get_temporal_pattern()
    profiler.get_layer_dependency_analysis()
    profiler.get_cache_effectiveness()
    profiler.get_concurrency_effectiveness()
    profiler.cache_report()
    profiler.concurrency_report()
    profiler.co_occurrence()
    profiler.tasks()
    profiler.read_since()


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bad=st.lists(bad_records, max_size=30), good=st.integers(0, 30), at_once=st.booleans())
def test_no_junk_raises_or_gets_lost_uncounted(bad, good, at_once):
    profiler = PerformanceProfiler(clock=lambda: NOW)
    for record in [*bad, *[GOOD] * good]:
        profiler.record_query(record)
        if not at_once:
            profiler.fold()
    read_everything(profiler)
    counters = profiler.counters
    refused = sum(n for name, n in counters.items() if name.startswith("rejected"))
    assert counters["recorded"] + refused == len(bad) + good
    assert len(profiler.metrics) == counters["recorded"]


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(
    good=st.lists(st.floats(0, 1e6), min_size=1, max_size=40),
    bad=st.lists(
        st.one_of(
            st.just(math.nan),
            st.just(math.inf),
            st.just(-math.inf),
            st.floats(max_value=-1e-300),
            st.text(max_size=3),
        ),
        max_size=40,
    ),
    order=st.randoms(use_true_random=False),
)
def test_impossible_latencies_move_no_percentile(good, bad, order):
    mixed = [*good, *bad]
    order.shuffle(mixed)
    records = [GOOD._replace(latency_ms=ms, layer_latencies={"graph": ms}) for ms in mixed]
    profiler = recorded(*records)
    ordered = sorted(good)
    expected = [ordered[int(q * len(good))] for q in (0.5, 0.95, 0.99)]
    assert profiler.percentiles((0.5, 0.95, 0.99)).tolist() == expected
    assert profiler.percentiles((0.5, 0.95, 0.99), layer="graph").tolist() == expected
    assert Counter(profiler.counters) == Counter(
        recorded=len(mixed), normalised_latency=len(bad), normalised_layer_latencies=len(bad)
    )
