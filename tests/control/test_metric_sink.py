"""Metrics of a manager reach the store, or are seen there as dropped; recalls never wait for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from athena_tuning.control.metric_sink import BATCH, MetricSink
from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.store import MemoryStore, StoreError
from tests.support.clock import Clock
from tests.support.waiting import until

NOTE = {"id": "s1", "layer": "semantic", "text": "Billing runs on two nodes"}


class Blocking(MemoryStore):
    """Takes metrics only while the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.waits = threading.Event()

    def append_metrics(self, worker_id: str, sequence: int, records: Sequence[QueryMetrics]) -> None:
        self.waits.set()
        assert self.gate.wait(60)
        super().append_metrics(worker_id, sequence, records)


class Down(MemoryStore):
    """Takes no metrics while it is down."""

    down = True

    def append_metrics(self, worker_id: str, sequence: int, records: Sequence[QueryMetrics]) -> None:
        if self.down:
            raise StoreError("memory://: the network is gone")
        super().append_metrics(worker_id, sequence, records)


class LosesAnswer(MemoryStore):
    """Takes the first batch and loses the answer."""

    lost = False

    def append_metrics(self, worker_id: str, sequence: int, records: Sequence[QueryMetrics]) -> None:
        super().append_metrics(worker_id, sequence, records)
        if not self.lost:
            self.lost = True
            raise StoreError("memory://: the connection broke")


def recalls(n: int, first: int = 0) -> list[QueryMetrics]:
    return [
        QueryMetrics(f"q{first + i}", "q", "meta", 1_700_000_000.0, 5.0, None, False, 1, [], {}, True)
        for i in range(n)
    ]


def profiler(most: int = 10_000) -> PerformanceProfiler:
    return PerformanceProfiler(max_metrics=most, clock=lambda: 1_700_000_001.0)


def record(source: PerformanceProfiler, *names: str) -> None:
    for template, name in zip(recalls(len(names)), names, strict=True):
        source.record_query(template._replace(query_id=name))


def stored(store: MemoryStore) -> list[str]:
    return [m.query_id for m in store.tail_metrics().records]


def test_much_is_delivered_in_batches() -> None:
    source, store = profiler(2 * BATCH + 5), MemoryStore()
    for recall in recalls(2 * BATCH + 5):
        source.record_query(recall)
    MetricSink(source, store, "w").deliver()
    assert len(store.tail_metrics().records) == 2 * BATCH + 5
    assert [s.n for s in store.tail_metrics().records.segments] == [BATCH, BATCH, 5]  # type: ignore[attr-defined]


def test_records_wait_for_a_store_that_is_down_and_arrive_once() -> None:
    source, store = profiler(), Down()
    store.down = False
    sink = MetricSink(source, store, "w")
    record(source, "a")
    sink.deliver()
    store.down = True
    record(source, "b", "c")
    for _ in range(3):
        with pytest.raises(StoreError):
            sink.deliver()
    record(source, "d")
    store.down = False
    sink.deliver()
    sink.deliver()
    assert (stored(store), sink.dropped, sink.give_up()) == (["a", "b", "c", "d"], 0, 0)


def test_a_lost_answer_leads_to_no_double() -> None:
    source, store = profiler(), LosesAnswer()
    sink = MetricSink(source, store, "w")
    record(source, "a", "b")
    with pytest.raises(StoreError):
        sink.deliver()
    record(source, "c")
    sink.deliver()
    assert stored(store) == ["a", "b", "c"]


def test_a_worker_that_starts_again_under_its_name_is_heard_whatever_the_clock_was() -> None:
    store = MemoryStore()
    for now, name in ((1_700_259_200.0, "before"), (1_700_000_000.0, "after")):
        source = PerformanceProfiler(clock=Clock(now))
        for number in (1, 2):
            source.record_query(recalls(1)[0]._replace(query_id=f"{name} {number}", timestamp=now))
        MetricSink(source, store, "w").deliver()
    assert stored(store) == ["before 1", "before 2", "after 1", "after 2"]


def test_records_that_the_window_let_go_unread_count_as_dropped() -> None:
    source, store = profiler(10), Down()
    sink = MetricSink(source, store, "w")
    record(source, "first")
    with pytest.raises(StoreError):
        sink.deliver()
    record(source, *(f"m{n}" for n in range(25)))
    store.down = False
    sink.deliver()
    assert stored(store) == ["first", *(f"m{n}" for n in range(15, 25))]
    assert sink.dropped == 15
    assert sink.give_up() == 0


def test_a_sink_that_gives_up_counts_what_it_did_not_deliver_and_delivers_nothing_more() -> None:
    source, store = profiler(10), Down()
    sink = MetricSink(source, store, "w")
    record(source, "first")
    with pytest.raises(StoreError):
        sink.deliver()
    record(source, *(f"m{n}" for n in range(300)))  # more than the window and its slack hold
    assert sink.give_up() == 301
    store.down = False
    sink.deliver()
    assert (stored(store), sink.dropped) == ([], 301)


@pytest.mark.slow
def test_dropped_metrics_are_seen_in_the_store_once_it_is_back() -> None:
    store = Down()
    with MemoryManager(
        ":memory:", store=store, worker_id="w", profiler=PerformanceProfiler(max_metrics=20)
    ) as manager:
        manager.remember(NOTE)
        for number in range(60):
            assert manager.recall(f"billing {number}")["_success"]
        until(lambda: manager.housekeeping_failures.get("metric delivery", 0) > 0)
        for number in range(60):
            assert manager.recall(f"nodes {number}")["_success"]
        store.down = False
        until(lambda: manager.status().dropped_metrics > 0)
        until(lambda: store.workers()[0].dropped_metrics == manager.status().dropped_metrics)
    records = store.tail_metrics().records
    assert len({m.query_id for m in records}) == len(records)
    assert len(records) + store.workers()[0].dropped_metrics == 120


def test_recalls_do_not_wait_for_a_store_that_hangs() -> None:
    store = Blocking()
    with MemoryManager(":memory:", store=store) as manager:
        manager.remember(NOTE)
        ids = [manager.recall("billing")["_query_id"]]
        assert store.waits.wait(30)
        ids += [manager.recall("billing", use_cache=False)["_query_id"] for _ in range(50)]
        assert len(store.tail_metrics().records) == 0
        store.gate.set()
        until(lambda: len(store.tail_metrics().records) == 51)
    assert [m.query_id for m in store.tail_metrics().records] == ids
