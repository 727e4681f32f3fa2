"""A layer that recalls itself: answered, not waited for, and within the slot that it has."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from athena_tuning.recall import MemoryManager
from athena_tuning.recall.current import MAX_DEPTH
from tests.support.memory_layers import StubLayer, items, over
from tests.support.waiting import until

WAIT = 30.0


class Nested:
    """A layer that asks the manager again, with what it makes of the query."""

    def __init__(self, name: str, again: Any = str, **options: Any) -> None:
        self.name = name
        self.again = again
        self.options = options
        self.manager: MemoryManager
        self.answers: list[dict[str, Any]] = []

    def search(self, query: Any, k: int, deadline: float) -> Any:
        answer = self.manager.recall(self.again(query), **self.options)
        self.answers.append(answer)
        return [{**item, "id": f"{self.name}:{item['id']}"} for item in answer["_fused"]]


class NestedCoroutine(Nested):
    async def search(self, query: Any, k: int, deadline: float) -> Any:  # type: ignore[override]
        answer = await self.manager.arecall(self.again(query), **self.options)
        self.answers.append(answer)
        return [{**item, "id": f"{self.name}:{item['id']}"} for item in answer["_fused"]]


class NestedLocal(Nested):
    keeps_deadline = True


def slots_are_back(manager: MemoryManager) -> None:
    until(lambda: manager.in_flight == 0)
    ledger = manager._executor.ledger
    assert (ledger.given - ledger.returned, ledger.held, ledger.waiting) == (0, {}, {})
    assert manager._executor.get_stats()["slots_reclaimed"] == 0


def test_recursion_into_the_same_query_is_answered_by_the_other_layers_at_once() -> None:
    for kind in (Nested, NestedCoroutine, NestedLocal):
        for limit in (1, 2, 5):
            layer = kind("self")
            with over(layer, StubLayer("other", items("a")), max_concurrent=limit) as manager:
                layer.manager = manager
                for answer in (manager.recall("q"), asyncio.run(manager.arecall("r"))):
                    assert answer["_errors"] == {}
                    assert [i["id"] for i in answer["self"]] == ["self:a"]
                    assert answer["_latency_ms"] < 5000, "nobody waited for a time-out"
                inner = layer.answers[0]
                assert inner["_errors"] == {"self": "it asks for this very answer itself"}
                assert [i["id"] for i in inner["other"]] == ["a"]
                slots_are_back(manager)


def test_recursion_through_two_layers_ends_with_an_answer() -> None:
    first, second = Nested("first", again=lambda q: "to second"), Nested("second", again=lambda q: "to first")
    with over(first, second, StubLayer("other", items("a")), max_concurrent=1) as manager:
        first.manager = second.manager = manager
        answer = manager.recall("to first")
        assert answer["_success"]
        assert [i["id"] for i in answer["other"]] == ["a"]
        slots_are_back(manager)


def test_recursion_into_ever_new_queries_ends_at_a_depth() -> None:
    layer = Nested("self", again=lambda query: f"{query}+")
    with over(layer, max_concurrent=1) as manager:
        layer.manager = manager
        answer = manager.recall("q", use_cache=False)
        assert answer["_success"]
        assert len(layer.answers) == MAX_DEPTH
        assert layer.answers[0]["_errors"] == {"self": f"recalls are nested more than {MAX_DEPTH} deep"}
        slots_are_back(manager)


def test_nested_recalls_of_many_callers_never_wait_for_each_other_for_ever() -> None:
    layers = [Nested("a", again=lambda q: "to b"), NestedCoroutine("b", again=lambda q: "to a")]
    with over(*layers, StubLayer("other", items("x")), max_concurrent=2) as manager:
        for layer in layers:
            layer.manager = manager
        answers: list[dict[str, Any]] = []
        threads = [
            threading.Thread(target=lambda n=n: answers.append(manager.recall(("to a", "to b")[n % 2])))
            for n in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        assert len(answers) == 16
        assert all(answer["_success"] for answer in answers)
        slots_are_back(manager)


def test_nested_recall_runs_in_the_slot_of_its_layer_so_the_limit_holds() -> None:
    inside, most, lock = [0], [0], threading.Lock()

    def work(query: Any, k: int, deadline: float) -> Any:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        threading.Event().wait(0.005)
        with lock:
            inside[0] -= 1
        return []

    layer = Nested("nested", again=lambda q: "inner", use_cache=False)
    leaves = [StubLayer(name, work) for name in "abc"]
    with over(layer, *leaves, max_concurrent=1) as manager:
        layer.manager = manager
        answer = manager.recall("outer", use_cache=False)
        assert answer["_errors"] == {}
        assert most[0] == 1
        assert [leaf.calls for leaf in leaves] == [3, 3, 3], "outer, inner, and inner within inner"
        slots_are_back(manager)


def test_nested_recall_that_outlives_its_layer_keeps_the_slot_until_it_has_ended() -> None:
    started, end = threading.Event(), threading.Event()

    def hang(query: Any, k: int, deadline: float) -> Any:
        started.set()
        assert end.wait(WAIT)
        return []

    class Leaves:
        """Goes on without the recall that it began."""

        name = "leaves"
        event_loop = "manager"

        async def search(self, query: Any, k: int, deadline: float) -> Any:
            if str(query) == "outer":
                self.task = asyncio.ensure_future(manager.arecall("inner", use_cache=False))
                while not started.is_set():
                    await asyncio.sleep(0.001)
            return []

    with over(
        Leaves(), StubLayer("hangs", lambda q, k, d: hang(q, k, d) if str(q) == "inner" else [])
    ) as manager:
        answer = manager.recall("outer", use_cache=False)
        assert answer["_errors"] == {}
        assert manager.in_flight == 1, "what was begun in the layer's slot still runs"
        end.set()
        slots_are_back(manager)


def test_nested_recall_of_another_manager_has_slots_of_its_own() -> None:
    layer = Nested("remote")
    with (
        over(StubLayer("leaf", items("x")), max_concurrent=1) as other,
        over(layer, max_concurrent=1) as manager,
    ):
        layer.manager = other
        answer = manager.recall("q")
        assert [i["id"] for i in answer["remote"]] == ["remote:x"]
        assert other._executor.ledger.given == 1
        slots_are_back(manager)
        slots_are_back(other)
