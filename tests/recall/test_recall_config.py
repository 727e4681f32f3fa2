"""What a config changes in the next recall."""

from __future__ import annotations

import threading
from typing import Any

from athena_tuning.model import LAYERS, TaskOutcome
from athena_tuning.recall import MemoryManager
from athena_tuning.testing.waiting import until
from tests.support.memory_layers import StubLayer, items, over, records, set_config

WAIT = 30.0


def test_config_acts_on_the_next_recall_and_is_recorded_with_it(manager: MemoryManager) -> None:
    set_config(manager, layer_selection_enabled=False)
    answer = manager.recall("billing")
    assert set(answer["_layers"]) == set(LAYERS)
    assert answer["_config_version"] == records(manager)[-1].config_version == 1
    set_config(manager, skipped_layers=["graph"])
    answer = manager.recall("billing")
    assert answer["_layers"] == ["episodic", "semantic"]
    assert answer["_config_version"] == 2


def test_config_of_a_type_acts_on_that_type_only(manager: MemoryManager) -> None:
    set_config(manager, "temporal", layer_selection_enabled=False)
    assert len(manager.recall("When did billing fail?")["_layers"]) == 5
    assert len(manager.recall("what uses billing")["_layers"]) == 2


def test_config_without_cache_answers_nothing_from_it(manager: MemoryManager) -> None:
    set_config(manager, enable_cache=False)
    manager.recall("billing")
    assert not manager.recall("billing")["_cache_hit"]


def test_config_without_parallel_asks_one_layer_after_another() -> None:
    inside, most, lock = [0], [0], threading.Lock()

    def search(query: Any, k: int, deadline: float) -> Any:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        threading.Event().wait(0.01)
        with lock:
            inside[0] -= 1
        return []

    layers = [StubLayer(name, search) for name in "abcd"]
    with over(*layers, enable_parallel=False) as manager:
        manager.recall("x")
        assert most[0] == 1
        assert (records(manager)[-1].parallel_execution, records(manager)[-1].concurrency_level) == (False, 1)
        set_config(manager, layer_selection_enabled=False)
        manager.recall("y", use_parallel=False)
        assert most[0] == 1
        manager.recall("z")
        assert 1 < most[0] <= 4
        assert (records(manager)[-1].parallel_execution, records(manager)[-1].concurrency_level) == (True, 4)


def test_config_max_concurrent_bounds_the_layer_tasks_of_32_threads_and_resizes_live() -> None:
    inside, most, lock = [0], [0], threading.Lock()

    def search(query: Any, k: int, deadline: float) -> Any:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        threading.Event().wait(0.002)
        with lock:
            inside[0] -= 1
        return []

    with over(
        *(StubLayer(name, search) for name in "abcde"), max_concurrent=3, enable_cache=False
    ) as manager:

        def ask_all(round_name: str) -> None:
            threads = [
                threading.Thread(target=manager.recall, args=(f"{round_name} {n}",)) for n in range(32)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(WAIT)
            assert not any(thread.is_alive() for thread in threads)

        ask_all("first")
        assert 2 <= most[0] <= 3
        set_config(manager, max_concurrent=9, enable_cache=False, layer_selection_enabled=False)
        most[0] = 0
        ask_all("second")
        assert 4 <= most[0] <= 9
        assert max(task.in_flight for r in records(manager) for task in r.tasks) <= 9
        assert (manager.in_flight, manager.waiting) == (0, 0)
        set_config(manager, "temporal", max_concurrent=100)
        assert manager.config.max_concurrent == 9, "a type's own config does not decide the shared limit"


def test_config_layer_timeouts_act_by_layer_and_make_the_answer_partial() -> None:
    end = threading.Event()

    def hang(query: Any, k: int, deadline: float) -> Any:
        end.wait(WAIT)
        return []

    slow, good = StubLayer("slow", hang), StubLayer("good", items("a"))
    with over(slow, good, layer_timeouts={"slow": 0.02}) as manager:
        answer = manager.recall("x")
        assert (answer["_partial"], answer["_errors"]) == (True, {"slow": "timed out after 0.02 s"})
        task = next(t for t in records(manager)[-1].tasks if t.layer == "slow")
        assert task.outcome is TaskOutcome.TIMEOUT
        assert task.service_ms >= 20
        assert manager.in_flight == 1, "the call has not ended, so its slot is taken"
        end.set()
        until(lambda: manager.in_flight == 0)


def test_config_timeout_acts_on_every_layer() -> None:
    end = threading.Event()

    def hang(query: Any, k: int, deadline: float) -> Any:
        end.wait(WAIT)
        return []

    with over(StubLayer("a", hang), StubLayer("b", hang), timeout_seconds=0.02) as manager:
        answer = manager.recall("x")
        assert not answer["_success"]
        assert set(answer["_errors"]) == {"a", "b"}
        end.set()


def test_config_deadline_gives_what_there_is() -> None:
    end = threading.Event()

    def hang(query: Any, k: int, deadline: float) -> Any:
        end.wait(WAIT)
        return []

    with over(StubLayer("slow", hang), StubLayer("good", items("a")), deadline_seconds=0.05) as manager:
        answer = manager.recall("x")
        assert answer["_partial"]
        assert "deadline" in answer["_errors"]["slow"]
        assert [i["id"] for i in answer["_fused"]] == ["a"]
        end.set()


def test_layer_without_a_slot_in_time_did_not_run_and_has_no_service_time() -> None:
    end = threading.Event()

    def hang(query: Any, k: int, deadline: float) -> Any:
        end.wait(WAIT)
        return []

    with over(
        StubLayer("slow", hang), StubLayer("next", items("a")), deadline_seconds=0.03, max_concurrent=1
    ) as manager:
        answer = manager.recall("x")
        assert answer["_errors"]["next"] == "no free slot in time"
        assert list(answer["_layer_ms"]) == records(manager)[-1].layers_queried == ["slow"]
        assert manager.profiler.get_layer_metrics("next") is None
        end.set()


def test_sqlite_layer_is_interrupted_at_its_timeout(manager: MemoryManager) -> None:
    class Endless:
        name = "endless"
        keeps_deadline = True

        def search(self, query: str, k: int, deadline: float) -> Any:
            sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
            return manager.memory.file.read(sql, (), deadline)

    manager.register_layer(Endless())
    set_config(manager, layer_timeouts={"endless": 0.03})
    answer = manager.recall("billing")
    assert list(answer["_errors"]) == ["endless"]
    assert answer["semantic"]
    until(lambda: manager.in_flight == 0)
