"""Roll-ups add up: tables of counts and histograms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling.histogram import LatencyHistogram
from athena_tuning.store.encoding import encode
from athena_tuning.store.retention import Level
from athena_tuning.store.rollup import COUNTS, Rollups, from_blobs
from athena_tuning.store.rollup_fold import minutes_of
from athena_tuning.store.segment import Segment
from tests.support.examples import examples

Recalls = Callable[..., list[QueryMetrics]]
LATENCIES = st.lists(st.floats(0, 1e6), min_size=1, max_size=40)


def record(latency: float | None, **more: object) -> QueryMetrics:
    plain = QueryMetrics("q", "?", "meta", 1e9, latency, None, False, 1, [], {}, True)
    return plain._replace(**more)  # type: ignore[arg-type]


def rolled(batch: list[QueryMetrics], worker: str = "w") -> Rollups:
    return minutes_of([(worker, Segment(encode(batch).data))])


@settings(max_examples=examples(60), deadline=None)
@given(LATENCIES, st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_quantiles_are_those_of_the_histogram(latencies: list[float], q: float) -> None:
    rounded = [round(ms, 6) for ms in latencies]
    histogram = LatencyHistogram()
    histogram.add_many(rounded)
    table = rolled([record(ms) for ms in rounded])
    assert table.quantiles((q,))[0, 0] == pytest.approx(histogram.quantile(q))


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(st.lists(LATENCIES, min_size=1, max_size=5))
def test_merged_parts_are_the_whole(parts: list[list[float]]) -> None:
    apart = Rollups.joined(rolled([record(ms) for ms in part]) for part in parts).merged()
    whole = rolled([record(ms) for part in parts for ms in part])
    assert apart.keys == whole.keys
    assert apart.counts.tolist() == whole.counts.tolist()
    assert np.allclose(apart.sums, whole.sums)
    assert (apart.buckets.tolist(), apart.weights.tolist()) == (
        whole.buckets.tolist(),
        whole.weights.tolist(),
    )


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=6))
def test_blobs_bring_every_count_back(weights: list[int]) -> None:
    n = len(weights)
    table = Rollups(
        [(60, 0, "", "meta", 0, str(i)) for i in range(n)],
        np.ones((n, len(COUNTS)), np.int64),
        np.ones((n, 2)),
        np.arange(n, dtype=np.int64) * 7,
        np.array(weights, np.int64),
        np.arange(n + 1, dtype=np.int64),
    )
    back = from_blobs(table.keys, table.counts, table.sums, table.blobs()).merged()
    assert back.buckets.tolist() == table.buckets.tolist()
    assert back.weights.tolist() == weights


def test_a_coarser_level_is_the_sum_of_its_units(recalls: Recalls) -> None:
    minutes = rolled(recalls(1000, step=20))
    hours, days = minutes.at_level(Level.HOUR), minutes.at_level(Level.DAY)
    assert minutes.at_level(Level.MINUTE) is minutes
    for table in (hours, days):
        assert table.summaries("layer")[("",)].count == 1000
        assert table.total().sum_ms == pytest.approx(minutes.total().sum_ms)
    assert len(minutes) > len(hours) > len(days)


def test_a_layer_without_a_time_takes_the_recalls(recalls: Recalls) -> None:
    batch = [
        record(30.0, layers_queried=["graph", "semantic"], layer_latencies={"graph": 12.0}),
        record(None, layers_queried=["semantic"]),
    ]
    by_layer = rolled(batch).summaries("layer")
    assert by_layer[("graph",)].sum_ms == 12.0
    assert (by_layer[("semantic",)].count, by_layer[("semantic",)].known) == (2, 1)
    assert by_layer[("semantic",)].sum_ms == 30.0


def test_a_failed_recall_is_an_error_also_of_layers_without_a_task() -> None:
    by_layer = rolled([record(5.0, layers_queried=["graph"], success=False)]).summaries("layer")
    assert by_layer[("graph",)].errors == by_layer[("",)].errors == 1
    assert by_layer[("",)].error_rate == 1.0


def test_a_latency_that_cannot_be_counts_but_is_in_no_percentile() -> None:
    total = rolled([record(-1.0), record(float("inf")), record(10.0)]).total()
    assert (total.count, total.known) == (3, 1)
    assert total.mean_ms == 10.0


def test_segments_with_other_names_do_not_mix() -> None:
    parts = [
        ("a", Segment(encode([record(1.0, query_type="x"), record(2.0, query_type="y")]).data)),
        ("b", Segment(encode([record(4.0, query_type="y"), record(8.0, query_type="x")]).data)),
    ]
    by_type = minutes_of(parts).summaries("query_type", "worker_id")
    assert {key: summary.sum_ms for key, summary in by_type.items()} == {
        ("x", "a"): 1.0,
        ("y", "a"): 2.0,
        ("y", "b"): 4.0,
        ("x", "b"): 8.0,
    }


def test_no_rows_say_nothing_of_latency() -> None:
    total = Rollups.empty().total()
    assert total.count == 0
    assert np.isnan([total.mean_ms, total.p50_ms, total.error_rate, total.hit_rate]).all()
    assert len(Rollups.empty().merged()) == 0


def test_refused_recalls_are_counted_apart_from_failed_and_partial_ones() -> None:
    batch = [
        record(1.0),
        record(2.0, partial=True),
        record(None, success=False),
        record(None, success=False, partial=True, cache_hit=None, error="refused: overloaded"),
        record(None, success=None, cache_hit=None),
    ]
    table = rolled(batch)
    (row,) = table.merged().counts.tolist()
    counts = dict(zip(COUNTS, row, strict=True))
    assert counts == {
        "count": 5,
        "known": 2,
        "errors": 1,
        "judged": 4,
        "partial": 1,
        "hits": 0,
        "cacheable": 3,
        "refused": 1,
    }
