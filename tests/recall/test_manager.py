"""The manager's recalls: what comes back, what is recorded, what a config changes."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_tuning.model import LAYERS, QueryMetrics, TaskOutcome, TuningConfig
from athena_tuning.recall import Item, MemoryManager
from tests.support.waiting import until

WAIT = 30.0
NOTES = [
    {"id": "e1", "layer": "episodic", "text": "The billing deploy failed on Friday", "scope": "billing"},
    {"id": "s1", "layer": "semantic", "text": "Billing runs on two nodes", "scope": "billing"},
    {
        "id": "p1",
        "layer": "procedural",
        "text": "How to deploy billing: run the pipeline",
        "scope": "billing",
    },
    {"id": "t1", "layer": "prospective", "text": "Todo: rotate the billing keys", "scope": "billing"},
    {
        "id": "g1",
        "layer": "graph",
        "text": "Billing depends on the ledger",
        "scope": "billing",
        "edges": [["Billing", "depends on", "ledger"]],
    },
    {"id": "s2", "layer": "semantic", "text": "The search team owns billing alerts", "scope": "search"},
]


class Stub:
    """A layer that counts its calls and answers, fails or waits as it is told to."""

    def __init__(
        self, name: str, answer: Callable[[Any, int, float], Any] = lambda query, k, deadline: []
    ) -> None:
        self.name = name
        self.calls = 0
        self._answer = answer

    def search(self, query: Any, k: int, deadline: float) -> Any:
        self.calls += 1
        return self._answer(query, k, deadline)


def found(*ids: str) -> Callable[[Any, int, float], list[dict[str, str]]]:
    return lambda query, k, deadline: [{"id": i, "text": f"{i} says {query}"} for i in ids]


def failing(query: Any, k: int, deadline: float) -> Any:
    raise ConnectionError("no route")


@pytest.fixture
def manager() -> Iterator[MemoryManager]:
    with MemoryManager(":memory:") as made:
        made.remember_many(NOTES)
        yield made


def over(*layers: Stub, **config: Any) -> MemoryManager:
    made = MemoryManager(":memory:", layers=layers)
    apply(made, layer_selection_enabled=False, **config)
    return made


def apply(manager: MemoryManager, scope: str = "all", **changes: Any) -> None:
    at = manager.configs.in_scope(scope)
    manager.apply_config(
        TuningConfig(**changes),
        expected_version=at.version if at else 0,
        actor="test",
        reason="a test",
        scope=scope,
    )


def last(manager: MemoryManager) -> QueryMetrics:
    return manager.profiler.metrics[-1]


def records(manager: MemoryManager) -> list[QueryMetrics]:
    return list(manager.profiler.metrics)


# What comes back


def test_a_recall_gives_each_layers_items_one_fused_list_and_what_happened(manager: MemoryManager) -> None:
    answer = manager.recall("When did the billing deploy fail?")
    assert [i["id"] for i in answer["episodic"]] == ["e1"]
    assert {i["id"] for i in answer["semantic"]} == {"s1", "s2"}
    assert {i["id"] for i in answer["_fused"]} == {"e1", "s1", "s2"}
    assert answer["_layers"] == ["episodic", "semantic"]
    assert (answer["_query_type"], answer["_success"], answer["_partial"]) == ("temporal", True, False)
    assert (answer["_cache_hit"], answer["_errors"]) == (False, {})
    assert set(answer["_layer_ms"]) == set(answer["_queue_ms"]) == {"episodic", "semantic"}
    assert answer["_latency_ms"] >= max(answer["_layer_ms"].values())


def test_a_scope_and_k_limit_what_comes_back(manager: MemoryManager) -> None:
    assert [i["id"] for i in manager.recall("billing", scope="search")["semantic"]] == ["s2"]
    assert len(manager.recall("billing", k=1)["semantic"]) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"query": ""}, "query must be text"),
        ({"query": "  "}, "query must be text"),
        ({"query": None}, "query must be text"),
        ({"query": "x" * 1_000_001}, "1,000,001 characters"),
        ({"query": "x", "k": 0}, "k must be a whole number from 1 to 1000, not 0"),
        ({"query": "x", "k": True}, "k must be"),
        ({"query": "x", "k": 1001}, "k must be"),
        ({"query": "x", "scope": 5}, "scope must be text"),
        ({"query": "x", "context": ["debugging"]}, "context must be a mapping"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    manager: MemoryManager, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        manager.recall(**arguments)
    with pytest.raises(ValueError, match=reason):
        asyncio.run(manager.arecall(**arguments))
    assert records(manager) == []


def test_changing_an_answer_changes_no_later_one(manager: MemoryManager) -> None:
    answer = manager.recall("billing")
    answer["semantic"][0]["text"] = "spoilt"
    answer["_fused"].clear()
    again = manager.recall("billing")
    assert again["_cache_hit"]
    assert again["_fused"]
    assert all(i["text"] != "spoilt" for i in again["semantic"])


def test_the_type_meta_works_without_a_layer_of_that_name(manager: MemoryManager) -> None:
    answer = manager.recall("What do we know about billing?")
    assert answer["_query_type"] == "meta"
    assert {"s1", "s2"} <= {i["id"] for i in answer["semantic"]}
    manager.register_layer(Stub("meta", found("m1")))
    assert [i["id"] for i in manager.recall("What do we know about billing?")["meta"]] == ["m1"]


def test_debugging_asks_the_episodes_too(manager: MemoryManager) -> None:
    assert "episodic" not in manager.recall("what uses billing")["_layers"]
    assert "episodic" in manager.recall("what uses billing", {"phase": "debugging"})["_layers"]


# What is recorded


def test_every_recall_is_recorded_with_its_layer_tasks(manager: MemoryManager) -> None:
    answer = manager.recall("When did the billing deploy fail?")
    record = last(manager)
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


def test_query_ids_are_unique(manager: MemoryManager) -> None:
    ids = [manager.recall("billing")["_query_id"] for _ in range(20)]
    assert len(set(ids)) == 20


def test_a_hit_is_recorded_as_one_and_ran_no_layer(manager: MemoryManager) -> None:
    first, again = manager.recall("billing"), manager.recall("billing")
    assert (first["_cache_hit"], again["_cache_hit"]) == (False, True)
    assert again["_fused"] == first["_fused"]
    record = last(manager)
    assert (record.cache_hit, record.success, record.layers_queried, record.tasks) == (True, True, [], ())
    assert manager.profiler.summary().cache_hits == 1


def test_a_failing_layer_gives_a_partial_answer_that_says_so() -> None:
    with over(Stub("good", found("a")), Stub("bad", failing)) as manager:
        answer = manager.recall("x")
        assert [i["id"] for i in answer["_fused"]] == ["a"]
        assert (answer["_partial"], answer["_success"]) == (True, True)
        assert answer["_errors"] == {"bad": "ConnectionError: no route"}
        assert "bad" not in answer
        record = last(manager)
        assert (record.partial, record.success, record.error) == (
            True,
            True,
            "bad: ConnectionError: no route",
        )
        assert {t.layer: t.outcome for t in record.tasks} == {"good": "ok", "bad": "error"}
        assert record.layers_queried == ["good", "bad"]


def test_all_layers_failing_is_a_failure_recorded_and_never_cached() -> None:
    layer = Stub("bad", failing)
    with over(layer) as manager:
        for _ in range(2):
            answer = manager.recall("x")
            assert (answer["_success"], answer["_partial"], answer["_fused"]) == (False, False, [])
        assert layer.calls == 2
        assert [(r.success, r.cache_hit) for r in records(manager)] == [(False, False)] * 2
        assert manager.profiler.summary().errors == 2


def test_partial_answers_are_not_cached() -> None:
    good, bad = Stub("good", found("a")), Stub("bad", failing)
    with over(good, bad) as manager:
        manager.recall("x")
        assert not manager.recall("x")["_cache_hit"]
        assert good.calls == 2


@pytest.mark.parametrize(
    "answer",
    [
        5,
        None,
        "text",
        {"id": "a", "text": "x"},
        [{"text": "no id"}],
        ["text"],
        [{"id": "a", "text": 4}],
        [{"id": "a", "text": "x", "evidence": 7}],
        [{"id": "a", "text": "x", "evidence": [["e"]]}],
        iter([{"id": "a", "text": "x"}]),
    ],
)
def test_an_answer_that_cannot_be_read_is_that_layers_error(answer: Any) -> None:
    with over(Stub("odd", lambda q, k, d: answer), Stub("good", found("a"))) as manager:
        given = manager.recall("x")
        assert "cannot be read" in given["_errors"]["odd"]
        assert (given["_partial"], [i["id"] for i in given["good"]]) == (True, ["a"])
        assert {t.layer: t.outcome for t in last(manager).tasks} == {"odd": "error", "good": "ok"}


def test_layers_may_give_items_or_mappings_and_equal_ids_in_two_layers_are_two_things() -> None:
    items = Stub("items", lambda q, k, d: [Item("x", "items", "as an item", evidence=("e",))])
    other = Stub("two", lambda q, k, d: [{"id": "1", "text": "something else"}])
    with over(items, Stub("one", found("1")), other) as manager:
        answer = manager.recall("x")
        assert answer["items"][0]["text"] == "as an item"
        assert sorted((i["layer"], i["id"]) for i in answer["_fused"]) == [
            ("items", "x"),
            ("one", "1"),
            ("two", "1"),
        ]


def test_peak_memory_is_measured_when_it_is_asked_for() -> None:
    def hungry(query: Any, k: int, deadline: float) -> Any:
        return [] if bytearray(8_000_000) else None

    with over(Stub("hungry", hungry)) as manager:
        manager.recall("x", {"track_memory": True})
        assert 8 <= (last(manager).memory_mb or 0) < 100
        manager.recall("x", {"track_memory": True})
        assert not last(manager).cache_hit
        manager.recall("y")
        assert last(manager).memory_mb is None


def test_a_recall_that_its_caller_gave_up_counts_as_unknown() -> None:
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

    with over(Stub("slow", hang)) as manager:
        asyncio.run(main(manager))
        record = last(manager)
        assert (record.success, record.latency_ms, record.error) == (None, None, "given up by its caller")
        end.set()


# The cache


def test_a_write_ends_cached_answers_of_its_layer_only(manager: MemoryManager) -> None:
    manager.recall("When did billing fail?")
    manager.recall("what uses billing")
    manager.remember({"id": "e2", "layer": "episodic", "text": "Billing failed again"})
    again = manager.recall("When did billing fail?")
    assert not again["_cache_hit"]
    assert "e2" in {i["id"] for i in again["episodic"]}
    assert manager.recall("what uses billing")["_cache_hit"], "semantic and graph were not written to"
    assert manager.forget("e2")
    assert "e2" not in {i["id"] for i in manager.recall("When did billing fail?")["episodic"]}


def test_cached_answers_expire_by_layer() -> None:
    now = [0.0]
    with MemoryManager(":memory:", monotonic=lambda: now[0]) as manager:
        manager.remember_many(NOTES)
        manager.recall("When did billing fail?")
        now[0] = 179.9
        assert manager.recall("When did billing fail?")["_cache_hit"]
        now[0] = 180.0
        assert not manager.recall("When did billing fail?")["_cache_hit"]


def test_what_was_asked_differently_is_not_answered_from_the_cache(manager: MemoryManager) -> None:
    manager.recall("billing")
    for other in ({"k": 4}, {"scope": "search"}, {"context": {"phase": "debugging"}}, {"use_cache": False}):
        assert not manager.recall("billing", **other)["_cache_hit"], other
    assert manager.recall("billing")["_cache_hit"]


def test_a_very_long_query_is_answered_and_not_kept(manager: MemoryManager) -> None:
    text = "billing " * 100_000
    assert manager.recall(text)["semantic"]
    assert not manager.recall(text)["_cache_hit"]


def test_a_write_by_another_process_ends_cached_answers(tmp_path: Path) -> None:
    with MemoryManager(tmp_path / "m.db") as one, MemoryManager(tmp_path / "m.db") as two:
        one.remember_many(NOTES)
        two.recall("billing")
        one.remember({"id": "s9", "layer": "semantic", "text": "Billing moved"})
        until(lambda: "s9" in {i["id"] for i in two.recall("billing")["semantic"]})


def test_identical_recalls_at_the_same_time_ask_the_layers_once() -> None:
    started, end = threading.Event(), threading.Event()

    def slow(query: Any, k: int, deadline: float) -> Any:
        started.set()
        end.wait(WAIT)
        return [{"id": "a", "text": "a"}]

    layer = Stub("slow", slow)
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


def test_identical_recalls_in_one_event_loop_do_not_wait_for_each_other_for_ever() -> None:
    """A blocking recall cannot wait for one that only its own thread can end."""

    async def main(manager: MemoryManager) -> None:
        first = asyncio.ensure_future(manager.arecall("x"))
        await asyncio.sleep(0)
        blocking = manager.recall("x")
        assert [i["id"] for i in blocking["_fused"]] == [i["id"] for i in (await first)["_fused"]] == ["a"]

    async def search(query: Any, k: int, deadline: float) -> Any:
        await asyncio.sleep(0.01)
        return [{"id": "a", "text": "a"}]

    layer = Stub("remote")
    layer.search = search  # type: ignore[method-assign, assignment]
    with over(layer) as manager:
        asyncio.run(main(manager))


# What a config changes


def test_a_config_acts_on_the_next_recall_and_is_recorded_with_it(manager: MemoryManager) -> None:
    apply(manager, layer_selection_enabled=False)
    answer = manager.recall("billing")
    assert set(answer["_layers"]) == set(LAYERS)
    assert answer["_config_version"] == last(manager).config_version == 1
    apply(manager, skipped_layers=["graph"])
    answer = manager.recall("billing")
    assert answer["_layers"] == ["episodic", "semantic"]
    assert answer["_config_version"] == 2


def test_a_types_own_config_acts_on_that_type_only(manager: MemoryManager) -> None:
    apply(manager, "temporal", layer_selection_enabled=False)
    assert len(manager.recall("When did billing fail?")["_layers"]) == 5
    assert len(manager.recall("what uses billing")["_layers"]) == 2


def test_enable_cache_off_answers_nothing_from_the_cache(manager: MemoryManager) -> None:
    apply(manager, enable_cache=False)
    manager.recall("billing")
    assert not manager.recall("billing")["_cache_hit"]


def test_enable_parallel_off_asks_one_layer_after_another() -> None:
    inside, most, lock = [0], [0], threading.Lock()

    def search(query: Any, k: int, deadline: float) -> Any:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        threading.Event().wait(0.01)
        with lock:
            inside[0] -= 1
        return []

    layers = [Stub(name, search) for name in "abcd"]
    with over(*layers, enable_parallel=False) as manager:
        manager.recall("x")
        assert most[0] == 1
        assert (last(manager).parallel_execution, last(manager).concurrency_level) == (False, 1)
        apply(manager, layer_selection_enabled=False)
        manager.recall("y", use_parallel=False)
        assert most[0] == 1
        manager.recall("z")
        assert 1 < most[0] <= 4
        assert (last(manager).parallel_execution, last(manager).concurrency_level) == (True, 4)


def test_max_concurrent_bounds_the_layer_tasks_of_32_threads_and_resizes_live() -> None:
    inside, most, lock = [0], [0], threading.Lock()

    def search(query: Any, k: int, deadline: float) -> Any:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        threading.Event().wait(0.002)
        with lock:
            inside[0] -= 1
        return []

    with over(*(Stub(name, search) for name in "abcde"), max_concurrent=3, enable_cache=False) as manager:

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
        apply(manager, max_concurrent=9, enable_cache=False, layer_selection_enabled=False)
        most[0] = 0
        ask_all("second")
        assert 4 <= most[0] <= 9
        assert max(task.in_flight for r in records(manager) for task in r.tasks) <= 9
        assert (manager.in_flight, manager.waiting) == (0, 0)
        apply(manager, "temporal", max_concurrent=100)
        assert manager.config.max_concurrent == 9, "a type's own config does not decide the shared limit"


def test_timeouts_act_by_layer_and_count_as_partial() -> None:
    end = threading.Event()

    def hang(query: Any, k: int, deadline: float) -> Any:
        end.wait(WAIT)
        return []

    slow, good = Stub("slow", hang), Stub("good", found("a"))
    with over(slow, good, layer_timeouts={"slow": 0.02}) as manager:
        answer = manager.recall("x")
        assert (answer["_partial"], answer["_errors"]) == (True, {"slow": "timed out after 0.02 s"})
        task = next(t for t in last(manager).tasks if t.layer == "slow")
        assert task.outcome is TaskOutcome.TIMEOUT
        assert task.service_ms >= 20
        assert manager.in_flight == 1, "the call has not ended, so its slot is taken"
        end.set()
        until(lambda: manager.in_flight == 0)


def test_timeout_seconds_acts_on_every_layer() -> None:
    end = threading.Event()

    def hang(query: Any, k: int, deadline: float) -> Any:
        end.wait(WAIT)
        return []

    with over(Stub("a", hang), Stub("b", hang), timeout_seconds=0.02) as manager:
        answer = manager.recall("x")
        assert not answer["_success"]
        assert set(answer["_errors"]) == {"a", "b"}
        end.set()


def test_the_deadline_of_the_recall_gives_what_there_is() -> None:
    end = threading.Event()

    def hang(query: Any, k: int, deadline: float) -> Any:
        end.wait(WAIT)
        return []

    with over(Stub("slow", hang), Stub("good", found("a")), deadline_seconds=0.05) as manager:
        answer = manager.recall("x")
        assert answer["_partial"]
        assert "deadline" in answer["_errors"]["slow"]
        assert [i["id"] for i in answer["_fused"]] == ["a"]
        end.set()


def test_a_layer_that_got_no_slot_in_time_did_not_run_and_has_no_service_time() -> None:
    end = threading.Event()

    def hang(query: Any, k: int, deadline: float) -> Any:
        end.wait(WAIT)
        return []

    with over(
        Stub("slow", hang), Stub("next", found("a")), deadline_seconds=0.03, max_concurrent=1
    ) as manager:
        answer = manager.recall("x")
        assert answer["_errors"]["next"] == "no free slot in time"
        assert list(answer["_layer_ms"]) == last(manager).layers_queried == ["slow"]
        assert manager.profiler.get_layer_metrics("next") is None
        end.set()


def test_a_sqlite_layer_is_interrupted_at_its_timeout(manager: MemoryManager) -> None:
    class Endless:
        name = "endless"
        keeps_deadline = True

        def search(self, query: str, k: int, deadline: float) -> Any:
            sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
            return manager.memory.file.read(sql, (), deadline)

    manager.register_layer(Endless())
    apply(manager, layer_timeouts={"endless": 0.03})
    answer = manager.recall("billing")
    assert list(answer["_errors"]) == ["endless"]
    assert answer["semantic"]
    until(lambda: manager.in_flight == 0)


# Event loops, threads, the end


def test_many_recalls_await_at_once_in_one_loop(manager: MemoryManager) -> None:
    async def main() -> list[dict[str, Any]]:
        return await asyncio.gather(*(manager.arecall(f"billing {n}") for n in range(200)))

    answers = asyncio.run(main())
    assert all(a["_success"] and not a["_partial"] for a in answers)
    assert len(records(manager)) == 200
    assert manager.in_flight == 0


def test_awaiting_a_recall_does_not_block_the_loop() -> None:
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

    with over(Stub("slow", hang)) as manager:
        asyncio.run(main(manager))


def test_a_blocking_recall_works_inside_a_running_loop(manager: MemoryManager) -> None:
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


def test_recalls_from_32_threads_while_others_remember(manager: MemoryManager) -> None:
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


def test_closing_ends_every_thread_and_refuses_what_comes_after() -> None:
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


def test_a_call_that_never_ends_does_not_keep_a_manager_from_closing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    end = threading.Event()

    def hang(query: Any, k: int, deadline: float) -> Any:
        end.wait(WAIT)
        return []

    manager = over(Stub("slow", hang), timeout_seconds=0.01)
    manager.recall("x")
    with caplog.at_level(logging.WARNING):
        manager.close(timeout_seconds=0.05)
    assert "1 layer calls did not end" in caplog.text
    end.set()


@pytest.mark.parametrize("layer", [object(), Stub(""), Stub("_fused"), type("NoSearch", (), {"name": "x"})()])
def test_what_is_no_layer_is_refused(manager: MemoryManager, layer: Any) -> None:
    with pytest.raises(ValueError, match="layer"):
        manager.register_layer(layer)


def test_remembering_what_does_not_fit_is_refused(manager: MemoryManager) -> None:
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
