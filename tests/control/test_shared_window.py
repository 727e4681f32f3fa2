"""Of several managers one tunes, on the recalls of all: also when the one that tuned is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from athena_tuning.control.lease import LEASE
from athena_tuning.control.shared_window import SharedWindow
from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.store import MemoryStore, StoreError, open_store
from athena_tuning.testing.waiting import until

NOW = 1_700_000_000.0
PROGRAM = """
import sys, threading
from athena_tuning import MemoryManager, open_store
store = open_store(sys.argv[1])
with MemoryManager(":memory:", store=store, worker_id=sys.argv[2]) as manager:
    manager.remember({"id": "s1", "layer": "semantic", "text": "Billing runs on two nodes"})
    for number in range(int(sys.argv[3])):
        manager.recall(f"billing node {number}")
    print("ready", flush=True)
    threading.Event().wait()
"""


def recall(number: int, worker: str) -> QueryMetrics:
    return QueryMetrics(f"{worker}-{number}", "q", "meta", NOW + number, 10.0, None, False, 1, [], {}, True)


def holder_of(store: Any) -> str | None:
    rows = store._database.read("SELECT holder FROM leases WHERE name = ?", (LEASE,))
    return rows[0][0] if rows else None


def test_own_recalls_come_from_the_own_window_and_others_through_the_store() -> None:
    store = MemoryStore(clock=lambda: NOW + 60)
    own = PerformanceProfiler(clock=lambda: NOW + 60)
    shared = SharedWindow(own, store, "me", clock=lambda: NOW + 60)
    for number in range(3):
        own.record_query(recall(number, "me"))
    store.append_metrics("me", 1, [recall(number, "me") for number in range(3)])
    store.append_metrics("you", 1, [recall(number, "you") for number in range(4)])
    shared.take_own()
    assert [m.query_id for m in shared.profiler.metrics] == ["me-0", "me-1", "me-2"]
    shared.take_others()
    shared.take_others()
    store.append_metrics("you", 2, [recall(9, "you")])
    own.record_query(recall(9, "me"))
    shared.take_others()
    shared.take_own()
    ids = [m.query_id for m in shared.profiler.metrics]
    assert sorted(ids) == ["me-0", "me-1", "me-2", "me-9", "you-0", "you-1", "you-2", "you-3", "you-9"]


def test_own_recalls_wait_until_those_of_others_are_there_where_they_are_counted_together() -> None:
    own = PerformanceProfiler(clock=lambda: NOW + 60)
    shared = SharedWindow(own, MemoryStore(), "me", clock=lambda: NOW + 60)
    for number in range(4):
        own.record_query(recall(number, "me"))
    shared.take_own(NOW + 1.5)
    assert [m.query_id for m in shared.profiler.metrics] == ["me-0", "me-1"]
    shared.take_own(NOW + 1.5)
    assert len(shared.profiler.metrics) == 2
    shared.take_own()
    assert [m.query_id for m in shared.profiler.metrics] == ["me-0", "me-1", "me-2", "me-3"]


def test_nobody_is_steered_by_samples_imports_and_simulations() -> None:
    store = MemoryStore(clock=lambda: NOW + 60)
    own = PerformanceProfiler(clock=lambda: NOW + 60)
    shared = SharedWindow(own, store, "me", clock=lambda: NOW + 60)
    own.record_query(recall(0, "me"))
    own.record_query(recall(1, "me")._replace(source="sample"))
    others = [recall(2, "you"), recall(3, "you")._replace(source="imported"), recall(4, "you")]
    store.append_metrics("you", 1, others)
    store.append_metrics("forward", 1, [recall(5, "forward")._replace(source="simulated")])
    shared.take_own()
    shared.take_others()
    assert [m.query_id for m in shared.profiler.metrics] == ["me-0", "you-2", "you-4"]


def test_of_a_long_past_only_what_the_window_holds_is_read() -> None:
    store = MemoryStore(clock=lambda: NOW + 600)
    for batch in range(20):
        store.append_metrics("you", batch, [recall(10 * batch + i, "you") for i in range(10)])
    own = PerformanceProfiler(max_metrics=30, clock=lambda: NOW + 600)
    shared = SharedWindow(own, store, "me", clock=lambda: NOW + 600)
    shared.take_others()
    assert shared.profiler.counters["recorded"] == 30
    assert shared.profiler.metrics[-1].query_id == "you-199"


def test_a_store_that_is_down_keeps_nobody_from_the_own_recalls() -> None:
    store = MemoryStore()
    own = PerformanceProfiler(clock=lambda: NOW + 60)
    shared = SharedWindow(own, store, "me", clock=lambda: NOW + 60)
    store.close()
    own.record_query(recall(0, "me"))
    shared.take_own()
    assert len(shared.profiler.metrics) == 1
    with pytest.raises(StoreError, match="closed"):
        shared.take_others()


def test_the_manager_that_leads_decides_on_the_recalls_of_all() -> None:
    store = MemoryStore()
    with (
        MemoryManager(":memory:", store=store, worker_id="leads") as leads,
        MemoryManager(":memory:", store=store, worker_id="follows") as follows,
    ):
        for manager in (leads, follows):
            manager.remember({"id": "s1", "layer": "semantic", "text": "Billing runs on two nodes"})
        for number in range(20):
            follows.recall(f"billing node {number}")
        for number in range(5):
            leads.recall(f"billing node {number}")
        until(lambda: leads.get_tuning_report()["metrics"]["total_queries"] == 25)
        assert len(leads.profiler.metrics) == 5
        assert follows.get_tuning_report()["metrics"]["total_queries"] == 20
    assert len(store.tail_metrics().records) == 25, "nothing that was gathered is delivered again"


@pytest.mark.slow
def test_another_process_takes_over_within_ten_seconds_with_the_evidence_of_the_one_killed(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    first = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url, "first", "30"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        with open_store(url) as store:
            until(lambda: holder_of(store) == "first")
            until(lambda: len(store.tail_metrics().records) == 30)
            with MemoryManager(":memory:", store=store, worker_id="second") as second:
                os.kill(first.pid, signal.SIGKILL)
                first.wait()
                took = until(lambda: holder_of(store) == "second")
                assert took < 10.0, f"taken over after {took:.1f} s"
                until(lambda: second.get_tuning_report()["metrics"]["total_queries"] == 30)
    finally:
        first.kill()
        first.wait()
        if first.stdout is not None:
            first.stdout.close()
