"""A manager among threads and event loops, and its end."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from athena_tuning.recall import MemoryManager
from tests.support.memory_layers import NOTES, StubLayer, over, records, set_config

WAIT = 30.0


@pytest.mark.slow
def test_event_loop_awaits_many_recalls_at_once(manager: MemoryManager) -> None:
    async def main() -> list[dict[str, Any]]:
        return await asyncio.gather(*(manager.arecall(f"billing {n}") for n in range(200)))

    set_config(manager, overload_after_seconds=None)  # a slow machine would refuse some
    answers = asyncio.run(main())
    assert [a["_errors"] for a in answers if a["_errors"] or not a["_success"]] == []
    assert len(records(manager)) == 200
    assert manager.in_flight == 0


def test_event_loop_is_not_blocked_by_an_awaited_recall() -> None:
    started, end = threading.Event(), threading.Event()

    def hang(query: Any, k: int, deadline: float) -> Any:
        started.set()
        end.wait(WAIT)
        return []

    async def main(manager: MemoryManager) -> None:
        waiting = asyncio.ensure_future(manager.arecall("x"))
        while not started.is_set():
            await asyncio.sleep(0)
        end.set()
        assert (await waiting)["_success"]

    with over(StubLayer("slow", hang)) as manager:
        asyncio.run(main(manager))


def test_event_loop_may_run_while_a_recall_blocks(manager: MemoryManager) -> None:
    async def main() -> dict[str, Any]:
        return manager.recall("billing")

    assert asyncio.run(main())["_success"]


def test_coroutine_layers_wait_without_threads_under_the_same_limit() -> None:
    together, arrived, everybody = 100, [0], asyncio.Event()

    class Remote:
        name = "remote"

        async def search(self, query: str, k: int, deadline: float) -> Any:
            arrived[0] += 1
            if arrived[0] == together:
                everybody.set()
            await asyncio.wait_for(everybody.wait(), WAIT)
            return [{"id": "r", "text": "r"}]

    async def main(manager: MemoryManager) -> None:
        before = threading.active_count()
        answers = await asyncio.gather(*(manager.arecall(f"x {n}") for n in range(together)))
        assert all(a["_success"] for a in answers)
        assert threading.active_count() <= before + 1

    with over(Remote(), max_concurrent=together) as manager:  # type: ignore[arg-type]
        asyncio.run(main(manager))
        assert max(task.in_flight for r in records(manager) for task in r.tasks) == together


def test_threads_recall_while_others_remember(manager: MemoryManager) -> None:
    failures: list[Any] = []

    def ask(number: int) -> None:
        for turn in range(5):
            answer = manager.recall(f"billing {number % 4} {turn}")
            if not answer["_success"] or answer["_partial"]:
                failures.append(answer["_errors"])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for n in range(20):
        manager.remember({"id": f"new{n}", "layer": "semantic", "text": "billing"})
    for thread in threads:
        thread.join(WAIT)
    assert failures == []
    assert len(records(manager)) == 160
    assert (manager.in_flight, manager.waiting) == (0, 0)


def test_close_ends_every_thread_and_refuses_later_recalls() -> None:
    before = set(threading.enumerate())
    manager = MemoryManager(":memory:")
    manager.remember_many(NOTES)
    manager.recall("When did it fail, and how do we deploy?")
    manager.close()
    manager.close()
    assert set(threading.enumerate()) <= before
    for call in (lambda: manager.recall("x"), lambda: asyncio.run(manager.arecall("x"))):
        with pytest.raises(RuntimeError, match="closed"):
            call()


def test_close_leaves_a_call_behind_that_never_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    end = threading.Event()

    def hang(query: Any, k: int, deadline: float) -> Any:
        end.wait(WAIT)
        return []

    manager = over(StubLayer("slow", hang), timeout_seconds=0.01)
    manager.recall("x")
    with caplog.at_level(logging.WARNING):
        manager.close(timeout_seconds=0.05)
    assert "1 layer calls did not end" in caplog.text
    end.set()


@pytest.mark.parametrize(
    "layer", [object(), StubLayer(""), StubLayer("_fused"), type("NoSearch", (), {"name": "x"})()]
)
def test_register_refuses_what_is_no_layer(manager: MemoryManager, layer: Any) -> None:
    with pytest.raises(ValueError, match="layer"):
        manager.register_layer(layer)


def test_a_url_in_place_of_a_store_is_refused_with_the_way_out() -> None:
    with pytest.raises(TypeError, match="open_store"):
        MemoryManager(":memory:", store="sqlite:///shared.db")  # type: ignore[arg-type]


def test_remember_refuses_what_does_not_fit(manager: MemoryManager) -> None:
    with pytest.raises(ValueError, match="text is missing"):
        manager.remember({"id": "a", "layer": "semantic"})
    with pytest.raises(ValueError, match="dreams"):
        manager.remember_many([{"id": "a", "layer": "dreams", "text": "x"}])


def test_counts_are_by_layer(manager: MemoryManager) -> None:
    assert manager.counts() == {"episodic": 1, "semantic": 2, "procedural": 1, "prospective": 1, "graph": 1}


def test_statistics_have_every_part(manager: MemoryManager) -> None:
    manager.recall("billing")
    assert set(manager.get_performance_statistics()) == {
        "cache_effectiveness",
        "concurrency_effectiveness",
        "slow_queries",
        "trending_queries",
        "layer_dependencies",
        "temporal_pattern",
    }
    assert manager.get_tuning_report()["metrics"]["total_queries"] == 1


def test_a_recall_that_names_its_layers_asks_these_and_no_others(tmp_path: Any) -> None:
    with MemoryManager(tmp_path / "memory.db") as manager:
        for layer in ("episodic", "semantic", "procedural"):
            manager.remember({"id": layer, "layer": layer, "text": f"billing, as {layer} has it"})
        whole = manager.recall("billing")
        chosen = manager.recall("billing", layers=["procedural", "episodic", "procedural"])
        assert chosen["_layers"] == ["procedural", "episodic"]
        assert {item["id"] for item in chosen["_fused"]} == {"procedural", "episodic"}
        assert manager.recall("billing")["_layers"] == whole["_layers"], "the next one is its own"
        assert manager.recall("billing", layers=["episodic"])["_cache_hit"]
        for wrong, told in (
            (["dreams"], "there is no layer 'dreams'"),
            ([], "at least one"),
            ("graph", "a list"),
        ):
            with pytest.raises(ValueError, match=told):
                manager.recall("billing", layers=wrong)
