"""A manager with Athena's parts is measured, tuned and run by ours under its own names."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import athena_tuning
from athena_tuning import MemoryManager, adopt
from athena_tuning.model import Mode, TuningConfig
from athena_tuning.store import ConfigChange, MemoryStore
from athena_tuning.testing.waiting import until
from tests.support.known_manager import KnownManager, Strategy


def apply(control, config):
    """Put a config in force through the store, as somebody else would, and wait until it is obeyed."""
    until(lambda: control.store.config_set().head)
    at = control.store.config_set().default.version
    control.store.apply_config(ConfigChange(config, expected_version=at, actor="ana", reason="try"))
    until(lambda: control.current_config() == config)


class Methods:
    """The layers: what they find, and how many work at once."""

    def __init__(self):
        self.together = threading.Barrier(1)

    def semantic(self, query, context, k):
        self.together.wait(10)
        return [{"id": 1, "content": "Ana owns billing."}, {"id": 2, "content": "Bo owns search."}][:k]

    def episodic(self, query, context, k):
        self.together.wait(10)
        return [{"id": 1, "content": "The deploy failed."}]

    def graph(self, query, context, k):
        raise OSError("graph is down")


@pytest.fixture
def methods():
    return Methods()


@pytest.fixture
def manager(methods):
    named = {name: getattr(methods, name) for name in ("semantic", "episodic", "graph")}
    return KnownManager(named, {"semantic": [" "], "episodic": ["when"], "graph": ["depends"]})


@pytest.fixture
def store():
    with MemoryStore() as opened:
        yield opened


@pytest.fixture
def control(manager, store):
    with adopt(manager, store=store) as made:
        yield made


def test_recalls_are_records_of_what_the_layers_really_did(manager, control):
    answer = manager.recall("when did the deploy fail?")
    assert {name: len(items) for name, items in answer.items()} == {"semantic": 2, "episodic": 1}
    [m] = control.profiler.metrics
    assert (m.query_text, m.query_type, m.success, m.result_count) == (
        "when did the deploy fail?",
        "temporal",
        True,
        3,
    )
    assert set(m.layers_queried) == {"semantic", "episodic"}
    assert {task.layer: task.result_count for task in m.tasks} == {"semantic": 2, "episodic": 1}
    assert m.parallel_execution
    assert manager.performance_profiler is control.profiler is manager.strategy_selector.profiler


def test_a_recall_of_one_layer_is_measured_too(manager, control):
    assert [item["id"] for item in manager.recall("who owns billing?")["semantic"]] == [1, 2]
    [m] = control.profiler.metrics
    assert (m.layers_queried, m.parallel_execution, len(m.tasks)) == (["semantic"], False, 1)


def test_a_layer_that_fails_leaves_a_partial_answer_and_is_counted(manager, control):
    assert manager.recall("what depends on it?")["graph"] == []
    [m] = control.profiler.metrics
    assert (m.success, m.partial, m.error) == (True, True, "graph: OSError: graph is down")
    assert manager.parallel_tier1_executor.get_statistics() == {
        "total_parallel_queries": 1,
        "total_sequential_queries": 0,
        "failed_tasks": 1,
    }


def test_its_executor_tells_what_it_told(control, manager):
    manager.recall("when?  ")
    executor = manager.parallel_tier1_executor.executor
    executor.record_speedup(30.0, 10.0)
    executor.record_speedup(10.0, 30.0)
    stats = executor.get_stats()
    assert (stats["total_queries"], stats["parallel_percentage"], stats["avg_speedup_ms"]) == (
        1,
        "100.0%",
        "20.00",
    )


def test_threads_do_not_see_each_others_layers(manager, control):
    def ask(n):
        manager.recall("when did it fail?" if n % 2 else "who owns it?")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(100)))
    records = control.profiler.metrics
    assert len(records) == 100
    assert {(m.query_type, tuple(sorted(m.layers_queried))) for m in records} == {
        ("temporal", ("episodic", "semantic")),
        ("factual", ("semantic",)),
    }


def test_layers_handed_to_the_loops_pool_run_as_wide_as_the_limit(methods, store):
    """18 at once: a pool of a few threads would keep them apart, and the barrier shut."""
    names = [f"layer {n}" for n in range(18)]
    manager = KnownManager(dict.fromkeys(names, methods.semantic), {name: ["all"] for name in names})
    with adopt(manager, store=store) as control:
        apply(control, TuningConfig(max_concurrent=18))
        methods.together = threading.Barrier(18)
        answer = manager.recall("all")
    assert {len(items) for items in answer.values()} == {2}


def test_the_strategy_is_switched_by_its_own_name_for_all_on_the_store(manager, control, store):
    assert control.current_config().strategy.value == "cost"  # as it was before
    manager.update_tuning_strategy(Strategy.LATENCY)
    assert manager.auto_tuner.strategy.value == "latency"
    assert store.config_set().default.config.strategy.value == "latency"
    assert store.config_set().default.author == "athena"


def test_reports_and_statistics_have_its_keys(manager, control):
    manager.recall("when did it fail?")
    report = manager.get_tuning_report()
    assert set(report) >= {"strategy", "current_config", "metrics", "recommendations"}
    assert report["metrics"]["total_queries"] == 1
    assert set(manager.get_performance_statistics()) >= {"cache_effectiveness", "temporal_pattern"}


def test_the_configs_of_the_store_are_obeyed(manager, control, store):
    apply(control, TuningConfig(max_concurrent=9, timeout_seconds=7, skipped_layers={"episodic"}))
    assert set(manager.recall("when did it fail?")) == {"semantic"}
    executor = manager.parallel_tier1_executor.executor
    assert (executor.max_concurrent, executor.timeout_seconds) == (9, 7)


def test_it_is_a_worker_that_may_tune_by_itself(control, store):
    assert control.mode is Mode.AUTO
    until(lambda: [worker.worker_id for worker in store.workers()] == [control.worker_id])


def test_after_close_it_has_what_it_had(manager, store):
    before = dict(vars(manager))
    tier = dict(vars(manager.parallel_tier1_executor))
    with adopt(manager, store=store):
        assert vars(manager) != before
    assert vars(manager) == before
    assert vars(manager.parallel_tier1_executor) == tier
    assert manager.strategy_selector.profiler is manager.performance_profiler


def test_what_is_no_such_manager_is_told_so():
    with pytest.raises(TypeError, match="no manager of Athena, it has no performance_profiler, auto_tuner"):
        adopt(object())
    assert "adopt" in dir(athena_tuning)


def test_a_manager_of_ours_takes_the_rows_of_its_layers(manager):
    class Semantic:
        name = "semantic"

        def search(self, query, k, deadline):
            return manager.parallel_tier1_executor.query_methods["semantic"](query, {}, k)

    with MemoryManager(":memory:", layers=[Semantic()]) as ours:
        answer = ours.recall("who owns billing?")["semantic"]
    assert [(item["id"], item["text"]) for item in answer] == [
        ("1", "Ana owns billing."),
        ("2", "Bo owns search."),
    ]
