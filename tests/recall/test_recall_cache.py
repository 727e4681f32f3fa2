"""When an answer is repeated, and when it is not."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from athena_tuning.recall import MemoryManager
from athena_tuning.recall.request import RecallRequest
from athena_tuning.testing.waiting import until
from tests.support.memory_layers import NOTES, StubLayer, failing, items, over, records

WAIT = 30.0


def test_cache_is_not_changed_by_what_a_caller_does_to_its_answer(manager: MemoryManager) -> None:
    answer = manager.recall("billing")
    answer["semantic"][0]["text"] = "spoilt"
    answer["_fused"].clear()
    again = manager.recall("billing")
    assert again["_cache_hit"]
    assert again["_fused"]
    assert all(i["text"] != "spoilt" for i in again["semantic"])


def test_cache_keeps_what_the_other_layers_gave_when_one_fails() -> None:
    good, bad = StubLayer("good", items("a")), StubLayer("bad", failing)
    with over(good, bad) as manager:
        first, second = manager.recall("x"), manager.recall("x")
        assert (good.calls, bad.calls) == (1, 2)
        assert first["_fused"] == second["_fused"]
        assert not second["_cache_hit"], "a layer was asked for it"
        assert second["_partial"]
        bad.answer = items("b")
        whole = manager.recall("x")
        assert ([i["id"] for i in whole["_fused"]], good.calls) == (["a", "b"], 1)
        assert manager.recall("x")["_cache_hit"]
        assert (good.calls, bad.calls) == (1, 3)


def test_cache_entry_ends_with_a_write_to_one_of_its_layers_only(manager: MemoryManager) -> None:
    manager.recall("When did billing fail?")
    manager.recall("what uses billing")
    manager.remember({"id": "e2", "layer": "episodic", "text": "Billing failed again"})
    again = manager.recall("When did billing fail?")
    assert not again["_cache_hit"]
    assert "e2" in {i["id"] for i in again["episodic"]}
    assert manager.recall("what uses billing")["_cache_hit"], "semantic and graph were not written to"
    assert manager.forget("e2")
    assert "e2" not in {i["id"] for i in manager.recall("When did billing fail?")["episodic"]}


def test_cache_entry_expires_after_the_lifetime_of_its_layers() -> None:
    now = [0.0]
    with MemoryManager(":memory:", monotonic=lambda: now[0]) as manager:
        manager.remember_many(NOTES)
        manager.recall("When did billing fail?")
        now[0] = 179.9
        assert manager.recall("When did billing fail?")["_cache_hit"]
        now[0] = 180.0
        assert not manager.recall("When did billing fail?")["_cache_hit"]


def test_cache_does_not_answer_what_was_asked_differently(manager: MemoryManager) -> None:
    manager.recall("billing")
    for other in ({"scope": "search"}, {"context": {"phase": "debugging"}}, {"use_cache": False}):
        assert not manager.recall("billing", **other)["_cache_hit"], other
    assert manager.recall("billing")["_cache_hit"]


def many(query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
    return [{"id": f"n{number}", "text": f"note {number}"} for number in range(k)]


def test_cache_serves_a_smaller_k_from_what_it_keeps_with_the_answer_that_the_layer_would_give() -> None:
    layer = StubLayer("notes", many)
    with over(layer) as manager:
        manager.recall("x", k=40)
        for k in (3, 20, 39, 40):
            kept, made = manager.recall("x", k=k), manager.recall("x", k=k, use_cache=False)
            assert kept["_cache_hit"]
            assert (kept["notes"], kept["_fused"]) == (made["notes"], made["_fused"])
            assert len(kept["notes"]) == k
        assert layer.calls == 5, "one for the cache, and the four that were not to use it"


def test_cache_serves_a_larger_k_only_where_the_layer_had_no_more() -> None:
    full, short = StubLayer("full", many), StubLayer("short", items("a", "b"))
    with over(full, short) as manager:
        manager.recall("x", k=5)
        answer = manager.recall("x", k=50)
        assert (full.calls, short.calls) == (2, 1)
        assert (len(answer["full"]), len(answer["short"])) == (50, 2)
        assert not answer["_cache_hit"]
        assert len(manager.recall("x", k=5)["full"]) == 5
        assert manager.recall("x", k=50)["_cache_hit"]
        assert (full.calls, short.calls) == (2, 1)


def test_cache_does_not_live_longer_for_being_asked_with_another_k() -> None:
    now = [0.0]
    with MemoryManager(":memory:", monotonic=lambda: now[0]) as manager:
        manager.remember_many(NOTES)
        for now[0], k in ((0.0, 5), (100.0, 4), (179.9, 3)):
            answer = manager.recall("When did billing fail?", k=k)
        assert answer["_cache_hit"]
        now[0] = 180.0
        assert not manager.recall("When did billing fail?", k=2)["_cache_hit"]


def test_cache_does_not_keep_a_very_long_query(manager: MemoryManager) -> None:
    text = "billing " * 100_000
    assert manager.recall(text)["semantic"]
    assert not manager.recall(text)["_cache_hit"]


def test_cache_entry_ends_with_a_write_by_another_process(tmp_path: Path) -> None:
    with MemoryManager(tmp_path / "m.db") as one, MemoryManager(tmp_path / "m.db") as two:
        one.remember_many(NOTES)
        two.recall("billing")
        one.remember({"id": "s9", "layer": "semantic", "text": "Billing moved"})
        until(lambda: "s9" in {i["id"] for i in two.recall("billing")["semantic"]})


def test_single_flight_of_identical_recalls_asks_the_layers_once() -> None:
    started, end = threading.Event(), threading.Event()

    def slow(query: Any, k: int, deadline: float) -> Any:
        started.set()
        end.wait(WAIT)
        return [{"id": "a", "text": "a"}]

    layer = StubLayer("slow", slow)
    with over(layer) as manager:
        answers: list[dict[str, Any]] = []
        threads = [threading.Thread(target=lambda: answers.append(manager.recall("x"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert started.wait(WAIT)
        end.set()
        for thread in threads:
            thread.join(WAIT)
        assert layer.calls == 1
        assert [[i["id"] for i in a["_fused"]] for a in answers] == [["a"]] * 8
        assert sorted(a["_cache_hit"] for a in answers) == [False] + [True] * 7
        assert sum(bool(r.tasks) for r in records(manager)) == 1


def test_single_flight_whose_caller_is_gone_is_waited_for_once_only() -> None:
    layer = StubLayer("a", items("1"))
    with over(layer, timeout_seconds=0.05) as manager:
        plan = manager._recaller._plan(RecallRequest("q"))

        def board() -> None:  # a caller that neither answers nor gives up
            assert manager._recaller._join(plan)[1]

        caller = threading.Thread(target=board)
        caller.start()
        caller.join(WAIT)
        first = manager.recall("q")
        assert ([i["id"] for i in first["a"]], first["_latency_ms"] >= 50) == (["1"], True)
        manager._cache.clear()
        assert manager._recaller._join(plan)[1], "the next one begins a new flight"


def test_single_flight_in_one_event_loop_does_not_deadlock_a_blocking_recall() -> None:
    """A blocking recall cannot wait for one that only its own thread can end."""

    async def main(manager: MemoryManager) -> None:
        first = asyncio.ensure_future(manager.arecall("x"))
        await asyncio.sleep(0)
        blocking = manager.recall("x")
        assert [i["id"] for i in blocking["_fused"]] == [i["id"] for i in (await first)["_fused"]] == ["a"]

    async def search(query: Any, k: int, deadline: float) -> Any:
        await asyncio.sleep(0.01)
        return [{"id": "a", "text": "a"}]

    layer = StubLayer("remote")
    layer.search = search  # type: ignore[method-assign, assignment]
    with over(layer) as manager:
        asyncio.run(main(manager))
