"""The background thread: duties when they are due, failures counted, nothing lost on the way to the store."""

from __future__ import annotations

import logging
import threading

import pytest

from athena_tuning.control.metric_sink import MetricDelivery
from athena_tuning.control.periodic import Duty, Housekeeping
from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import MemoryStore, StoreError
from tests.support.clock import Clock


def test_each_duty_is_done_when_it_is_due() -> None:
    done: list[str] = []
    house = Housekeeping(
        [
            Duty("often", 1.0, lambda: done.append("often")),
            Duty("seldom", 3.0, lambda: done.append("seldom")),
        ],
        clock=Clock(100.0),
    )
    waits = [house.tick(100.0 + second) for second in range(4)]
    assert done == ["often", "seldom", "often", "often", "often", "seldom"]
    assert waits == [1.0] * 4


def test_a_duty_that_fails_is_counted_told_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    broken = [True]

    def work() -> None:
        if broken[0]:
            raise OSError("disk full")

    others: list[int] = []
    house = Housekeeping(
        [Duty("work", 1.0, work), Duty("other", 1.0, lambda: others.append(1))], clock=Clock(100.0)
    )
    with caplog.at_level(logging.INFO):
        for second in range(3):
            house.tick(100.0 + second)
        broken[0] = False
        house.tick(110.0)
    assert (house.failures["work"], len(others)) == (3, 4)
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]
    assert "disk full" in caplog.text


def test_the_thread_ends_and_does_the_last_things() -> None:
    turned, last = threading.Event(), []
    house = Housekeeping(
        [Duty("turn", 0.001, turned.set), Duty("last", 3600.0, lambda: last.append(1), at_close=True)]
    )
    house.start()
    assert turned.wait(30)
    before = len(last)
    house.close()
    assert len(last) == before + 1
    assert not any(thread.name == "housekeeping" for thread in threading.enumerate() if thread.is_alive())


class Flaky(MemoryStore):
    """Fails as long as it is down; or takes a batch and loses the answer."""

    down = False
    loses_answer = False

    def append_metrics(self, *batch: object) -> None:
        if self.down:
            raise StoreError("down")
        super().append_metrics(*batch)  # type: ignore[arg-type]
        if self.loses_answer:
            self.loses_answer = False
            raise StoreError("the connection broke")


def record(profiler: PerformanceProfiler, *names: str) -> None:
    for name in names:
        profiler.record_query(
            QueryMetrics(
                name, name, "factual", 100.0, 1.0, None, False, 1, ["semantic"], {"semantic": 1.0}, True
            )
        )


def stored(store: MemoryStore) -> list[str]:
    return [m.query_id for m in store.tail_metrics().records]


def test_records_wait_for_a_store_that_is_down_and_arrive_once() -> None:
    profiler, store = PerformanceProfiler(clock=Clock(100.0)), Flaky()
    delivery = MetricDelivery(profiler, store, "w", 1)
    record(profiler, "a")
    delivery.deliver()
    store.down = True
    record(profiler, "b", "c")
    for _ in range(3):
        with pytest.raises(StoreError):
            delivery.deliver()
    record(profiler, "d")
    store.down = False
    delivery.deliver()
    delivery.deliver()
    assert (stored(store), delivery.dropped) == (["a", "b", "c", "d"], 0)


def test_a_lost_answer_leads_to_no_double() -> None:
    profiler, store = PerformanceProfiler(clock=Clock(100.0)), Flaky()
    delivery = MetricDelivery(profiler, store, "w", 1)
    record(profiler, "a", "b")
    store.loses_answer = True
    with pytest.raises(StoreError):
        delivery.deliver()
    record(profiler, "c")
    delivery.deliver()
    assert stored(store) == ["a", "b", "c"]


def test_what_the_window_let_go_unread_is_counted_as_dropped() -> None:
    profiler, store = PerformanceProfiler(max_metrics=10, clock=Clock(100.0)), Flaky()
    delivery = MetricDelivery(profiler, store, "w", 1)
    store.down = True
    record(profiler, "first")
    with pytest.raises(StoreError):
        delivery.deliver()
    record(profiler, *(f"m{n}" for n in range(25)))
    store.down = False
    delivery.deliver()
    assert stored(store) == ["first", *(f"m{n}" for n in range(15, 25))]
    assert delivery.dropped == 15
