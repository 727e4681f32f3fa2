"""What a worker's threads may wait for, and what goes on meanwhile."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from athena_tuning.control import Control, membership
from athena_tuning.model import TuningConfig
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.store import ConfigChange, MemoryStore
from athena_tuning.testing.waiting import until
from athena_tuning.tuning import AutoTuner

OWN_THREADS = {
    "config watch",
    "limit share",
    "presence",
    "question learning",
    "store exchange",
    "upkeep",
}


class Hanging(MemoryStore):
    """A store whose calls in ``hang`` do not return until they are released."""

    def __init__(self, *hang: str) -> None:
        super().__init__()
        self.hang = set(hang)
        self.released = threading.Event()
        self.hangs = threading.Event()
        self.lease_calls = 0
        for name in hang:
            setattr(self, name, self._waiting(getattr(self, name)))

    def _waiting(self, call: Any) -> Any:
        def waits(*args: Any, **more: Any) -> Any:
            self.hangs.set()
            assert self.released.wait(60)
            return call(*args, **more)

        return waits

    def acquire_lease(self, name: str, holder: str, ttl_seconds: float) -> Any:
        self.lease_calls += 1
        return super().acquire_lease(name, holder, ttl_seconds)


class Thinking(AutoTuner):
    """A tuner whose step takes until it is released."""

    def __init__(self) -> None:
        super().__init__(PerformanceProfiler())
        self.thinks, self.released = threading.Event(), threading.Event()

    def step(self, *_: Any) -> Any:
        self.thinks.set()
        assert self.released.wait(60)
        return ()


@pytest.fixture
def quick_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "RENEW_SECONDS", 0.01)


def elsewhere(store: MemoryStore, limit: int) -> None:
    at = store.config_set().default.version
    store.apply_config(ConfigChange(TuningConfig(limit), expected_version=at, actor="elsewhere", reason="r"))


def obeys(manager: MemoryManager, store: MemoryStore, limit: int) -> None:
    elsewhere(store, limit)
    until(lambda: manager.limit == limit)


def test_a_manager_has_six_threads_and_ends_them_all() -> None:
    before = set(threading.enumerate())
    with MemoryManager(":memory:"):
        assert {t.name for t in set(threading.enumerate()) - before} == OWN_THREADS
    assert {t.name for t in set(threading.enumerate()) - before} == set()


@pytest.mark.slow
def test_configs_are_obeyed_and_the_lease_is_renewed_while_the_store_takes_no_metrics(
    quick_lease: None,
) -> None:
    store = Hanging("append_metrics")
    with MemoryManager(":memory:", store=store) as manager:
        manager.recall("billing")
        assert store.hangs.wait(30)
        obeys(manager, store, 9)
        before = store.lease_calls
        until(lambda: store.lease_calls > before + 2)
        until(lambda: store.workers()[0].config_version == 1)
        assert len(store.tail_metrics().records) == 0, "it still hangs"
        store.released.set()
    assert len(store.tail_metrics().records) == 1


def test_configs_are_obeyed_and_the_lease_is_renewed_while_the_tuner_thinks(quick_lease: None) -> None:
    store, tuner = Hanging(), Thinking()
    with MemoryManager(":memory:", store=store, tuner=tuner) as manager:
        assert tuner.thinks.wait(30)
        obeys(manager, store, 9)
        before = store.lease_calls
        until(lambda: store.lease_calls > before + 2)
        assert not tuner.released.is_set()
        tuner.released.set()


@pytest.mark.slow
def test_the_window_is_kept_up_while_the_store_answers_nothing() -> None:
    store = Hanging("append_metrics", "tail_metrics", "append_feedback")
    with MemoryManager(":memory:", store=store, profiler=PerformanceProfiler(max_metrics=50)) as manager:
        manager.recall("billing")
        assert store.hangs.wait(30)
        for number in range(400):  # many times what may wait unfolded
            manager.recall(f"billing {number % 3}")
            if number % 40 == 39:
                until(lambda: not manager.profiler._pending)
        assert manager.profiler.counters.get("dropped_unread", 0) == 0
        store.released.set()


def test_a_worker_closes_in_time_and_counts_what_a_hanging_store_did_not_take(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Hanging("append_metrics", "append_feedback")
    manager = MemoryManager(":memory:", store=store, worker_id="w1")
    ids = [manager.recall(f"billing {number}")["_query_id"] for number in range(7)]
    assert store.hangs.wait(30)
    manager.record_feedback(ids[0], 1.0)
    manager.close(0.05)
    assert manager.status().dropped_metrics == 7
    assert "w1 was closed before the store took its last 7 records and 1 scores" in caplog.text
    store.released.set()
    until(lambda: not OWN_THREADS & {thread.name for thread in threading.enumerate()})
    assert manager.status().dropped_metrics == 7


@pytest.mark.slow
def test_losses_at_the_close_are_told_to_a_store_that_takes_no_metrics_but_hears_the_rest() -> None:
    class Full(MemoryStore):
        def append_metrics(self, worker_id: str, sequence: int, records: Any) -> None:
            raise OSError("the disk is full")

    store = Full()
    with Control(store, worker_id="w1") as control, control.measure("who owns billing?", "factual"):
        pass
    assert [(w.worker_id, w.dropped_metrics) for w in store.workers()] == [("w1", 1)]


def test_a_listener_that_hangs_keeps_nobody_from_obeying() -> None:
    store, hangs, released = MemoryStore(), threading.Event(), threading.Event()

    def listen(config: TuningConfig) -> None:
        if config.max_concurrent == 9:
            hangs.set()
            assert released.wait(60)

    with Control(store) as control:
        control.on_change(listen)
        elsewhere(store, 9)
        assert hangs.wait(30)
        elsewhere(store, 11)
        until(lambda: control.current_config().max_concurrent == 11)
        released.set()
