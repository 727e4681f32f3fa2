"""What is recorded of a recall."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from athena_tuning.model import TaskOutcome
from athena_tuning.recall import MemoryManager
from tests.support.memory_layers import StubLayer, failing, items, over, records

WAIT = 30.0


def test_record_has_every_layer_task_of_a_recall(manager: MemoryManager) -> None:
    answer = manager.recall("When did the billing deploy fail?")
    record = records(manager)[-1]
    assert record.query_id == answer["_query_id"]
    assert (record.query_type, record.success, record.cache_hit) == ("temporal", True, False)
    assert (record.memory_mb, record.config_version, record.source) == (None, 0, "live")
    assert record.layers_queried == ["episodic", "semantic"]
    assert record.layer_latencies == answer["_layer_ms"]
    assert record.latency_ms == answer["_latency_ms"]
    assert record.result_count == 3
    assert [task.outcome for task in record.tasks] == [TaskOutcome.OK] * 2
    for task in record.tasks:
        assert 1 <= task.in_flight <= 2
        assert 0 <= task.offset_ms + task.queue_ms + task.service_ms <= answer["_latency_ms"]
    assert [task.result_count for task in record.tasks] == [1, 2]


def test_record_query_ids_are_unique(manager: MemoryManager) -> None:
    ids = [manager.recall("billing")["_query_id"] for _ in range(20)]
    assert len(set(ids)) == 20


def test_record_of_a_cache_hit_has_no_layer_task(manager: MemoryManager) -> None:
    first, again = manager.recall("billing"), manager.recall("billing")
    assert (first["_cache_hit"], again["_cache_hit"]) == (False, True)
    assert again["_fused"] == first["_fused"]
    record = records(manager)[-1]
    assert (record.cache_hit, record.success, record.layers_queried, record.tasks) == (True, True, [], ())
    assert manager.profiler.summary().cache_hits == 1


def test_record_of_a_partial_answer_says_which_layer_failed_and_why() -> None:
    with over(StubLayer("good", items("a")), StubLayer("bad", failing)) as manager:
        answer = manager.recall("x")
        assert [i["id"] for i in answer["_fused"]] == ["a"]
        assert (answer["_partial"], answer["_success"]) == (True, True)
        assert answer["_errors"] == {"bad": "ConnectionError: no route"}
        assert "bad" not in answer
        record = records(manager)[-1]
        assert (record.partial, record.success, record.error) == (
            True,
            True,
            "bad: ConnectionError: no route",
        )
        assert {t.layer: t.outcome for t in record.tasks} == {"good": "ok", "bad": "error"}
        assert record.layers_queried == ["good", "bad"]


def test_record_of_a_recall_whose_layers_all_failed_is_a_failure_that_is_never_cached() -> None:
    layer = StubLayer("bad", failing)
    with over(layer) as manager:
        for _ in range(2):
            answer = manager.recall("x")
            assert (answer["_success"], answer["_partial"], answer["_fused"]) == (False, False, [])
        assert layer.calls == 2
        assert [(r.success, r.cache_hit) for r in records(manager)] == [(False, False)] * 2
        assert manager.profiler.summary().errors == 2


def test_record_of_peak_memory_is_there_when_it_was_asked_for() -> None:
    def hungry(query: Any, k: int, deadline: float) -> Any:
        return [] if bytearray(8_000_000) else None

    with over(StubLayer("hungry", hungry)) as manager:
        manager.recall("x", {"track_memory": True})
        assert 8 <= (records(manager)[-1].memory_mb or 0) < 100
        manager.recall("x", {"track_memory": True})
        assert not records(manager)[-1].cache_hit
        manager.recall("y")
        assert records(manager)[-1].memory_mb is None


def test_record_of_a_recall_given_up_by_its_caller_is_unknown() -> None:
    started, end = threading.Event(), threading.Event()

    def hang(query: Any, k: int, deadline: float) -> Any:
        started.set()
        end.wait(WAIT)
        return []

    async def main(manager: MemoryManager) -> None:
        waiting = asyncio.ensure_future(manager.arecall("x"))
        while not started.is_set():
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with over(StubLayer("slow", hang)) as manager:
        asyncio.run(main(manager))
        record = records(manager)[-1]
        assert (record.success, record.latency_ms, record.error) == (None, None, "given up by its caller")
        end.set()
