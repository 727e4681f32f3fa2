"""Many threads, late readers, readers that never come: nothing torn or lost uncounted, memory bounded."""

from __future__ import annotations

import threading
import weakref

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.recording import _SLACK
from tests.support.examples import examples

NOW = 1_750_000_000.0


def test_the_store_reads_each_record_once_and_is_told_what_it_missed(recall, clock):
    profiler = PerformanceProfiler(max_metrics=100, clock=clock)
    for i in range(80):
        profiler.record_query(recall(query_text=f"text {i}"))
    records, cursor, missed = profiler.read_since(0, limit=50)
    assert ([m.query_text for m in records], missed) == ([f"text {i}" for i in range(50)], 0)
    records, cursor, missed = profiler.read_since(cursor)
    assert ([m.query_text for m in records], missed) == ([f"text {i}" for i in range(50, 80)], 0)
    for i in range(80, 330):
        profiler.record_query(recall(query_text=f"text {i}"))
        if i % 10 == 0:
            profiler.fold()
    records, cursor, missed = profiler.read_since(cursor)
    assert ([m.query_text for m in records], missed) == ([f"text {i}" for i in range(230, 330)], 150)
    assert profiler.read_since(cursor) == ([], cursor, 0)


def test_a_late_reader_is_told_of_what_nobody_ever_folded_too(recall, clock):
    profiler = PerformanceProfiler(max_metrics=100, clock=clock)
    total = 10_000
    for i in range(total):
        profiler.record_query(recall(query_text=f"text {i}"))
    records, _, missed = profiler.read_since(0)
    assert [m.query_text for m in records] == [f"text {i}" for i in range(total - 100, total)]
    assert missed == total - 100
    counters = profiler.counters
    assert counters["recorded"] + counters["dropped_unread"] == total


@settings(max_examples=examples(40), deadline=None)
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

    for _ in range(20_000):
        layers = Layers(["graph"])
        alive.append(weakref.ref(layers))
        profiler.record_query(recall(layers_queried=layers))
        assert len(profiler._pending) <= 500 + _SLACK
    del layers
    assert sum(ref() is not None for ref in alive) <= 500 + _SLACK


def test_memory_stays_bounded_while_a_fold_runs(recall, clock, monkeypatch):
    """Records that come while a fold holds the lock wait; the fold sheds what the window cannot hold."""
    from athena_tuning.profiling import recording as module

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
    record = recall()

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
