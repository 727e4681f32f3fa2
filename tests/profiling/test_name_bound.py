"""Query types and layers without end: the first are told apart, the rest is one name, and nothing is lost."""

from __future__ import annotations

import logging
from collections import Counter

import pytest

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.columns.name_bound import OTHER, most_names
from athena_tuning.recall import MemoryManager
from athena_tuning.store import MemoryStore, StoredRecords

NOW = 1_750_000_000.0


def recall(n: int, query_type: str, *layers: str) -> QueryMetrics:
    tasks = tuple(LayerTask(layer, 0.0, 1.0, 5.0, 1, TaskOutcome.OK, 2) for layer in layers)
    timed = dict.fromkeys(layers, 5.0)
    return QueryMetrics(
        f"q{n}", "t", query_type, NOW, 9.0, None, False, 2, list(layers), timed, True, tasks=tasks
    )


def profiler(most: int = 10) -> PerformanceProfiler:
    return PerformanceProfiler(clock=lambda: NOW, most_names=most)


@pytest.mark.parametrize("at_once", [1, 7, 500], ids=lambda n: f"{n} folded at once")
def test_the_first_names_are_told_apart_and_the_rest_is_counted_as_one(at_once: int) -> None:
    window = profiler()
    for n in range(500):
        window.record_query(recall(n, f"type {n // 2}", f"layer {n // 2}"))
        if n % at_once == 0:
            window.fold()
    types = {f"type {n}" for n in range(10)}
    assert set(window.query_types()) == types | {OTHER}
    assert set(window.layers()) == {f"layer {n}" for n in range(10)} | {OTHER}
    by_type = Counter(record.query_type for record in window.metrics)
    assert by_type == Counter(dict.fromkeys(types, 2) | {OTHER: 480})
    assert window.counters["normalised_names"] == 480
    assert window.summary().count == window.counters["recorded"] == 500
    assert sum(record.layer_latencies[record.layers_queried[0]] for record in window.metrics) == 2500


def test_names_that_are_known_stay_themselves_after_the_bound() -> None:
    window = profiler(2)
    for n, name in enumerate(["a", "b", "c", "a", "d", "b"]):
        window.record_query(recall(n, name, name))
    assert [record.query_type for record in window.metrics] == ["a", "b", OTHER, "a", OTHER, "b"]


def test_several_layers_beyond_the_bound_are_one_with_the_work_of_all() -> None:
    window = profiler(1)
    window.record_query(recall(1, "a", "known"))
    window.record_query(recall(2, "a", "x", "known", "y", "z"))
    record = window.metrics[1]
    assert record.layers_queried == [OTHER, "known"]
    assert record.layer_latencies == {"known": 5.0, OTHER: 15.0}
    merged = record.tasks[-1]
    assert (merged.layer, merged.service_ms, merged.result_count) == (OTHER, 15.0, 6)


def test_records_from_a_store_are_bounded_as_well() -> None:
    source, window = profiler(1000), profiler(10)
    for n in range(200):
        source.record_query(recall(n, f"type {n}", f"layer {n}"))
    StoredRecords.of(source.columns_since(0, 200)[0]).record_in(window)
    assert len(window.query_types()) == len(window.layers()) == 11
    assert window.summary().count == 200


def test_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    window = profiler(3)
    with caplog.at_level(logging.WARNING):
        for n in range(50):
            window.record_query(recall(n, f"type {n}"))
            window.fold()
    assert len([r for r in caplog.records if "ATHENA_TUNING_NAMES" in r.getMessage()]) == 1


@pytest.mark.parametrize("odd", ["0", "-3", "many", "1.5"])
def test_a_bound_that_is_no_number_is_refused_in_words(odd: str) -> None:
    with pytest.raises(ValueError, match=r"ATHENA_TUNING_NAMES is .* a whole number above 0"):
        most_names({"ATHENA_TUNING_NAMES": odd})


@pytest.mark.slow
def test_a_manager_delivers_thousands_of_names_whole_and_counts_what_it_called_other() -> None:
    store = MemoryStore()
    with MemoryManager(":memory:", store=store) as manager:
        for n in range(9000):
            manager.profiler.record_query(recall(n, f"type {n}", f"layer {n}")._replace(timestamp=0.0))
    delivered = store.tail_metrics().records
    assert len(delivered) + manager.status().dropped_metrics == 9000
    assert manager.status().dropped_metrics == 0
    assert len({record.query_type for record in delivered}) == 1001
    assert manager.profiler.counters["normalised_names"] == 8000
