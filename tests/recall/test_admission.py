"""In an overload whole recalls are refused, at once and first-class; nothing else is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from athena_tuning.model import TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.testing.waiting import until

OVERLOAD = TuningConfig(
    1, overload_after_seconds=0.01, overload_wait_seconds=0.001, layer_selection_enabled=False
)


class Gate:
    """A layer whose answers wait until it is open."""

    keeps_deadline = True

    def __init__(self, name: str = "gate") -> None:
        self.name = name
        self.gate = threading.Event()
        self.gate.set()
        self.calls = 0

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        self.calls += 1
        self.gate.wait(30)
        return [{"id": self.name, "text": str(query)}]


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.gate.set()


@pytest.fixture
def manager(gate: Gate) -> Iterator[MemoryManager]:
    with MemoryManager(":memory:", layers=[gate, Gate("free")]) as manager:
        manager.apply_config(OVERLOAD, expected_version=0, actor="test", reason="a short patience")
        manager.recall("warm?")
        yield manager


@pytest.fixture
def callers(gate: Gate) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as callers:
        yield callers
        gate.gate.set()


def held(manager: MemoryManager, gate: Gate, callers: ThreadPoolExecutor) -> Any:
    """Let one recall hold the only slot; return what will become of it."""
    gate.gate.clear()
    holder = callers.submit(manager.recall, "the holder?")
    until(lambda: gate.calls == 2 and manager.waiting == 1)
    return holder


def refused(manager: MemoryManager, asynchronous: bool = False) -> dict[str, Any]:
    return asyncio.run(manager.arecall("tea?")) if asynchronous else manager.recall("tea?")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_refused_recall_says_so_and_when_to_try_again(
    manager: MemoryManager, gate: Gate, callers: ThreadPoolExecutor, asynchronous: bool
) -> None:
    holder = held(manager, gate, callers)
    answer = refused(manager, asynchronous)
    assert (answer["_refused"], answer["_success"], answer["_partial"]) == (True, False, False)
    assert answer["_retry_after_s"] > 0
    assert answer["_fused"] == []
    assert "gate" not in answer
    assert "free" not in answer
    assert set(answer["_errors"]) == {"gate", "free"}
    assert all(why.startswith("refused: overloaded") for why in answer["_errors"].values())
    assert manager.overloaded_seconds > 0
    gate.gate.set()
    whole = holder.result()
    assert (whole["_success"], whole["_partial"], whole["_refused"]) == (True, False, False)
    assert whole["_retry_after_s"] is None
    until(lambda: manager.in_flight == 0)
    assert manager.waiting == 0


def test_its_record_has_an_outcome_of_its_own_and_no_latency(
    manager: MemoryManager, gate: Gate, callers: ThreadPoolExecutor
) -> None:
    held(manager, gate, callers)
    answer = refused(manager)
    gate.gate.set()
    (record,) = [m for m in manager.profiler.metrics if m.query_id == answer["_query_id"]]
    assert record.refused
    assert record.latency_ms is None
    assert record.cache_hit is None
    assert record.error is not None
    assert record.error.startswith("refused: overloaded")
    summary = manager.profiler.summary()
    assert (summary.refused, summary.errors, summary.partial) == (1, 0, 0)


def test_a_refused_recall_is_answered_once_there_is_room(
    manager: MemoryManager, gate: Gate, callers: ThreadPoolExecutor
) -> None:
    holder = held(manager, gate, callers)
    assert refused(manager)["_refused"]
    gate.gate.set()
    holder.result()
    until(lambda: manager.waiting == 0)
    again = manager.recall("tea?")
    assert (again["_refused"], again["_cache_hit"]) == (False, False)
    assert manager.overloaded_seconds == 0


def test_the_cache_answers_in_an_overload(
    manager: MemoryManager, gate: Gate, callers: ThreadPoolExecutor
) -> None:
    held(manager, gate, callers)
    assert refused(manager)["_refused"]
    assert manager.recall("warm?")["_cache_hit"]


def test_priority_does_not_keep_answers_apart(manager: MemoryManager) -> None:
    assert manager.recall("warm?", {"priority": "background"})["_cache_hit"]


def test_nobody_is_refused_where_it_is_off(
    manager: MemoryManager, gate: Gate, callers: ThreadPoolExecutor
) -> None:
    off = TuningConfig.from_dict({**OVERLOAD.to_dict(), "overload_after_seconds": None})
    manager.apply_config(
        off, expected_version=manager.configs.default.version, actor="test", reason="all may wait"
    )
    holder = held(manager, gate, callers)
    waiting = [callers.submit(manager.recall, f"tea {n}?") for n in range(5)]
    until(lambda: manager.waiting == 11)
    gate.gate.set()
    assert not any(each.result()["_refused"] for each in [holder, *waiting])


@pytest.mark.slow
def test_a_lower_limit_sheds_what_waits_too_long(gate: Gate, callers: ThreadPoolExecutor) -> None:
    calm = {**OVERLOAD.to_dict(), "overload_after_seconds": 3600.0}
    wide, narrow = (TuningConfig.from_dict({**calm, "max_concurrent": limit}) for limit in (2, 1))
    with MemoryManager(":memory:", layers=[gate]) as manager:
        manager.apply_config(wide, expected_version=0, actor="test", reason="wide")
        manager.recall("warm?")
        gate.gate.clear()
        holders = [callers.submit(manager.recall, f"holder {n}?") for n in range(2)]
        until(lambda: manager.in_flight == 2)
        waiting = callers.submit(manager.recall, "tea?")
        until(lambda: manager.waiting == 1)
        manager.apply_config(narrow, expected_version=1, actor="test", reason="taken back")
        until(waiting.done)
        assert waiting.result()["_refused"]
        gate.gate.set()
        assert all(holder.result()["_success"] for holder in holders)


def test_a_doomed_crowd_leaves_at_once_and_every_slot_comes_back(manager: MemoryManager, gate: Gate) -> None:
    with ThreadPoolExecutor(200) as crowd:
        gate.gate.clear()
        asked = [crowd.submit(manager.recall, f"tea {n}?", use_cache=False) for n in range(200)]
        until(lambda: sum(each.done() for each in asked) == 199)
        assert all(each.result()["_refused"] for each in asked if each.done())
        gate.gate.set()
        assert sum(each.result()["_success"] for each in asked) == 1
    until(lambda: manager.in_flight == 0 and manager.waiting == 0)
    ledger = manager._executor.ledger
    assert (ledger.given, ledger.held, ledger.waiting) == (ledger.returned, {}, {})
