"""Records go into a window and out of it as columns; it is then what single records would have made of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.columns.recall_columns import joined
from athena_tuning.store import MemoryStore, Store, TextPolicy
from athena_tuning.store.encoding import encode
from athena_tuning.store.records import StoredRecords, encoded
from athena_tuning.store.segment import Segment, records_of
from athena_tuning.testing.made_recalls import made_recalls
from tests.support.examples import examples

Recalls = Callable[..., list[QueryMetrics]]
NOW = 1_700_000_000.0 + 3600


def window(most: int = 10_000) -> PerformanceProfiler:
    return PerformanceProfiler(window_hours=48, max_metrics=most, clock=lambda: NOW)


def both(store: Store, most: int = 10_000) -> tuple[PerformanceProfiler, PerformanceProfiler]:
    """Return a window over the stored columns, and one over the same records, one by one."""
    by_columns, by_record = window(most), window(most)
    tail = store.tail_metrics()
    tail.records.record_in(by_columns)
    for record in tail.records:
        by_record.record_query(record)
    by_record.fold()
    return by_columns, by_record


def assert_alike(a: PerformanceProfiler, b: PerformanceProfiler) -> None:
    assert repr(list(a.metrics)) == repr(list(b.metrics))  # NaN is not itself
    assert repr(a.summary()) == repr(b.summary())
    assert a.query_types() == b.query_types()
    assert a.layers() == b.layers()
    for layer in a.layers():
        assert repr(a.get_layer_metrics(layer)) == repr(b.get_layer_metrics(layer))
    for query_type in a.query_types():
        assert repr(a.get_query_type_metrics(query_type)) == repr(b.get_query_type_metrics(query_type))
    assert repr(a.cache_report()) == repr(b.cache_report())
    assert repr(a.concurrency_report()) == repr(b.concurrency_report())
    assert a.get_trending_queries() == b.get_trending_queries()


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 1000))
def test_columns_make_the_same_window_as_records(sizes: list[int], seed: int) -> None:
    store = MemoryStore(clock=lambda: NOW)
    for sequence, size in enumerate(sizes):
        store.append_metrics("w", sequence, made_recalls(size, seed=seed + sequence))
    assert_alike(*both(store))


def test_only_the_last_that_a_window_can_hold_are_taken(recalls: Recalls) -> None:
    store = MemoryStore(clock=lambda: NOW)
    for sequence in range(5):
        store.append_metrics("w", sequence, recalls(40, seed=sequence))
    by_columns, by_record = both(store, most=70)
    assert by_columns.counters["recorded"] == 70
    assert list(by_columns.metrics) == list(by_record.metrics)


def test_a_window_takes_records_and_columns_in_turns(recalls: Recalls) -> None:
    store, profiler = MemoryStore(clock=lambda: NOW), window()
    store.append_metrics("w", 1, recalls(300, seed=1))
    mine = recalls(250, seed=2)
    for record in mine[:100]:
        profiler.record_query(record)
    store.tail_metrics().records.record_in(profiler)
    for record in mine[100:]:
        profiler.record_query(record)
    ids = [m.query_id for m in profiler.metrics]
    assert ids == [m.query_id for m in (*mine[:100], *recalls(300, seed=1), *mine[100:])]


@pytest.mark.parametrize(
    "odd",
    [
        {"timestamp": NOW + 3600},
        {"timestamp": NOW - 72 * 3600},
        {"latency_ms": -5.0},
        {"accuracy_score": 7.0},
        {"query_text": "x" * 5000},
        {"query_type": ""},
        {"layers_queried": ["graph", "graph"]},
        {"layers_queried": [], "layer_latencies": {"graph": 1.0}, "tasks": ()},
        {"layers_queried": [f"layer {i}" for i in range(40)]},
        {"concurrency_level": -1},
        {"query_id": "i" * 500},
    ],
    ids="+".join,
)
def test_what_the_rules_have_to_mend_or_reject_goes_through_them(
    recalls: Recalls, odd: dict[str, object]
) -> None:
    store = MemoryStore(clock=lambda: NOW)
    batch = recalls(50)
    store.append_metrics("w", 1, [*batch[:20], batch[20]._replace(**odd), *batch[21:]])  # type: ignore[arg-type]
    by_columns, by_record = both(store)
    assert_alike(by_columns, by_record)
    assert by_columns.counters == by_record.counters


def test_records_without_texts_are_shown_by_their_hash(recalls: Recalls) -> None:
    store = MemoryStore(clock=lambda: NOW, text=TextPolicy.HASH)
    store.append_metrics("w", 1, recalls(50))
    by_columns, by_record = both(store)
    assert_alike(by_columns, by_record)
    assert by_columns.metrics[0].query_text.startswith("#")


def test_what_is_forgotten_leaves_no_names_behind(recalls: Recalls) -> None:
    now = [NOW]
    profiler = PerformanceProfiler(window_hours=1, clock=lambda: now[0])
    store = MemoryStore(clock=lambda: now[0])
    store.append_metrics("w", 1, recalls(100, start=NOW - 60, step=0.1))
    store.tail_metrics().records.record_in(profiler)
    assert profiler.query_types()
    now[0] += 7200
    assert len(profiler.metrics) == 0
    assert profiler.query_types() == []
    assert len(profiler._window.names.texts.used()) == 0


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_joined_segments_hold_the_records_of_all(sizes: list[int]) -> None:
    batches = [made_recalls(size, seed=place) for place, size in enumerate(sizes)]
    encoded = [encode(batch) for batch in batches]
    texts = {key: text for batch in encoded for key, text in batch.texts.items()}
    whole = joined([Segment(batch.data) for batch in encoded])
    assert records_of(whole, texts) == [m for batch in batches for m in batch]


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(0, 1000), st.integers(1, 80))
def test_a_window_gives_as_columns_what_it_gives_as_records(sizes: list[int], seed: int, page: int) -> None:
    profiler = window()
    for place, size in enumerate(sizes):
        for record in made_recalls(size, seed=seed + place):
            profiler.record_query(record)
        profiler.fold()
    cursor = other = 0
    while True:
        records, other, _ = profiler.read_since(other, page)
        columns, cursor, missed = profiler.columns_since(cursor, page)
        assert (cursor, missed) == (other, 0)
        given = StoredRecords.of(columns)
        assert list(given) == records
        if not records:
            return
        stored = encoded(given, TextPolicy.KEEP)
        assert records_of(Segment(stored.data), stored.texts) == records
        plain = encode(records)
        assert (stored.oldest, stored.newest, stored.texts) == (plain.oldest, plain.newest, plain.texts)
        assert len(stored.data) <= len(plain.data) + 64


@pytest.mark.slow
def test_columns_of_a_window_cross_its_blocks_and_outlive_it(recalls: Recalls) -> None:
    now = [NOW]
    profiler = PerformanceProfiler(window_hours=1, max_metrics=40_000, clock=lambda: now[0])
    batch = recalls(20_000, start=NOW - 1800, step=0.01)
    for record in batch:
        profiler.record_query(record)
    columns, _, missed = profiler.columns_since(0, 30_000)
    assert (len(columns), missed) == (2, 0)
    now[0] += 2 * 3600
    assert len(profiler.metrics) == 0
    for record in recalls(50, seed=5, start=now[0] - 30, step=0.1):
        profiler.record_query(record._replace(query_text="a later text"))
    profiler.fold()
    expected = [m._replace(tasks=tuple(map(_to_the_us, m.tasks))) for m in batch]
    assert list(StoredRecords.of(columns)) == expected


def _to_the_us(task: LayerTask) -> LayerTask:
    return task._replace(
        offset_ms=round(task.offset_ms * 1000) / 1000, queue_ms=round(task.queue_ms * 1000) / 1000
    )


@pytest.mark.parametrize("policy", list(TextPolicy))
def test_the_text_policy_holds_for_columns_too(recalls: Recalls, policy: TextPolicy) -> None:
    profiler = window()
    quoting = [m._replace(error="graph: no such word: salary") for m in recalls(30)]
    for record in quoting:
        profiler.record_query(record)
    by_columns, by_record = (
        MemoryStore(clock=lambda: NOW, text=policy),
        MemoryStore(clock=lambda: NOW, text=policy),
    )
    by_columns.append_metrics("w", 1, StoredRecords.of(profiler.columns_since()[0]))
    by_record.append_metrics("w", 1, profiler.read_since()[0])
    assert list(by_columns.tail_metrics().records) == list(by_record.tail_metrics().records)
