"""Who steers, and that what was decided is in force: through the store, past its failures."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from athena_tuning.control import operations
from athena_tuning.control.config_follower import ConfigFollower
from athena_tuning.model import (
    Action,
    ConfigSet,
    ConfigVersion,
    Decision,
    Mode,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.recall import MemoryManager
from athena_tuning.store import ConfigChange, ConfigConflict, MemoryStore, StoreError, open_store
from athena_tuning.testing.waiting import until
from athena_tuning.tuning import Contributions

WAIT = 30.0
NOTE = {"id": "s1", "layer": "semantic", "text": "Billing runs on two nodes"}


class Failing(MemoryStore):
    """A store that is down when it is told to be."""

    down = False

    def _open(self) -> Any:
        if self.down:
            raise StoreError("memory://: the network is gone")
        return super()._open()


class Decider:
    """A tuner that decides once, what it is told to."""

    strategy = TuningStrategy.BALANCED
    idempotent: frozenset[str] = frozenset()

    def __init__(self, after: TuningConfig, scope: str = "all") -> None:
        self.after, self.scope = after, scope
        self.contributions = Contributions()
        self.told: list[ConfigSet] = []
        self.done: list[tuple[Decision, ConfigVersion]] = []
        self._left = 1

    def in_force(self, configs: ConfigSet) -> None:
        self.told.append(configs)

    def step(self, in_force: ConfigSet, now: float) -> tuple[Decision, ...]:
        if not self._left:
            return ()
        self._left -= 1
        version = in_force.in_scope(self.scope) or in_force.default
        return (
            Decision(
                "d1",
                now,
                "test",
                self.scope,
                Action.CHANGE,
                version.config,
                self.after,
                "because it helps",
                99,
            ),
        )

    def evidence_of(self, decision_id: str) -> None:
        return None

    def proposals(self, configs: ConfigSet, now: float, worker_id: str) -> tuple[()]:
        return ()

    def applied(self, decision: Decision, version: ConfigVersion) -> None:
        self.done.append((decision, version))


@pytest.fixture
def store() -> Iterator[Failing]:
    made = Failing()
    yield made
    made.down = False
    made.close()


def decided(store: MemoryStore, mode: Mode, after: TuningConfig, scope: str = "all") -> tuple[Any, ...]:
    """Run a manager until its tuner's one decision is recorded."""
    tuner = Decider(after, scope)
    with MemoryManager(":memory:", store=store, mode=mode, tuner=tuner) as manager:  # type: ignore[arg-type]
        until(lambda: bool(store.decisions()))
        return tuner, manager.configs, manager.latest_decisions, manager.in_flight


def test_in_auto_a_decision_becomes_a_config_version(store: Failing) -> None:
    after = TuningConfig(max_concurrent=11)
    tuner, configs, latest, _ = decided(store, Mode.AUTO, after)
    version = configs.default
    assert (version.config, version.author, version.reason) == (after, "tuner", "because it helps")
    assert version.mode is Mode.AUTO
    assert [v.version for _, v in tuner.done] == [version.version]
    assert store.decisions()[0].config_version == latest["all"].config_version == version.version
    assert tuner.told[-1].default == version


def test_in_auto_a_decision_for_one_type_is_written_for_that_type(store: Failing) -> None:
    after = TuningConfig(timeout_seconds=7.0)
    _, configs, latest, _ = decided(store, Mode.AUTO, after, "temporal")
    assert configs.for_type("temporal") == after
    assert configs.by_type["temporal"].mode is Mode.AUTO
    assert configs.for_type("factual").timeout_seconds == 10.0
    assert set(latest) == {"temporal"}


@pytest.mark.parametrize("mode", [Mode.ADVISE, Mode.PINNED])
def test_in_other_modes_a_decision_is_only_recorded(store: Failing, mode: Mode) -> None:
    tuner, configs, latest, _ = decided(store, mode, TuningConfig(max_concurrent=11))
    assert configs.default.config.max_concurrent == 5
    assert latest["all"].after.max_concurrent == 11
    assert store.decisions()[0].config_version is None
    assert tuner.done == []


def test_in_auto_a_decision_to_keep_writes_nothing(store: Failing) -> None:
    _, configs, latest, _ = decided(store, Mode.AUTO, TuningConfig())
    assert configs.default.author == "manager", "only what it was started with"
    assert latest["all"].config_version is None


def test_an_applied_config_is_in_force_and_drives_the_limit_at_once(store: Failing) -> None:
    with MemoryManager(":memory:", store=store) as manager:
        version = manager.apply_config(
            TuningConfig(max_concurrent=17), expected_version=0, actor="ana", reason="more load"
        )
        assert manager.configs.default == version
        assert manager.status().config_version == version.version
        assert manager.config.max_concurrent == 17
        assert manager.limit == 17


def test_a_stale_write_is_refused_and_what_is_in_force_is_obeyed(store: Failing) -> None:
    with MemoryManager(":memory:", store=store) as manager:
        nine = TuningConfig(max_concurrent=9)
        first = store.apply_config(ConfigChange(nine, expected_version=0, actor="bo", reason="r"))
        with pytest.raises(ConfigConflict) as refused:
            manager.apply_config(TuningConfig(), expected_version=0, actor="ana", reason="r")
        assert refused.value.current == first
        assert manager.limit == 9


@pytest.mark.slow
def test_what_another_process_writes_reaches_the_manager(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = open_store(url)
    with MemoryManager(":memory:", store=store) as manager:
        process = multiprocessing.get_context("spawn").Process(target=write_elsewhere, args=(url,))
        process.start()
        until(lambda: manager.limit == 13)
        process.join(WAIT)
        assert manager.configs.for_type("temporal").enable_cache is False
        assert manager.mode is Mode.PINNED
        until(lambda: [w.config_version for w in store.workers()] == [2])
    store.close()


def write_elsewhere(url: str) -> None:
    store = open_store(url)
    for scope, config in (
        ("temporal", TuningConfig(enable_cache=False)),
        ("all", TuningConfig(max_concurrent=13)),
    ):
        store.apply_config(
            ConfigChange(
                config, expected_version=0, actor="elsewhere", reason="r", scope=scope, mode=Mode.PINNED
            )
        )
    store.close()


def test_metrics_and_status_reach_the_store_at_the_close_at_the_latest(store: Failing) -> None:
    with MemoryManager(":memory:", store=store, worker_id="w1") as manager:
        manager.remember(NOTE)
        ids = [manager.recall("billing")["_query_id"] for _ in range(5)]
    assert [m.query_id for m in store.tail_metrics().records] == ids
    (worker,) = store.workers()
    assert (worker.worker_id, worker.recalls, worker.dropped_metrics) == ("w1", 5, 0)


def test_recalls_go_on_while_the_store_is_down_and_nothing_is_lost(store: Failing) -> None:
    with MemoryManager(":memory:", store=store) as manager:
        manager.remember(NOTE)
        manager.apply_config(
            TuningConfig(max_concurrent=7, enable_cache=False), expected_version=0, actor="a", reason="r"
        )
        store.down = True
        until(lambda: manager.housekeeping_failures.get("config watch", 0) > 0)
        answers = [manager.recall("billing") for _ in range(10)]
        assert all(a["_success"] and a["_config_version"] == 1 for a in answers)
        assert manager.limit == 7
        with pytest.raises(StoreError):
            manager.apply_config(TuningConfig(), expected_version=1, actor="a", reason="r")
        with pytest.raises(StoreError):
            manager.update_tuning_strategy(TuningStrategy.COST)
        assert manager.config.max_concurrent == 7
        store.down = False
        until(lambda: {a["_query_id"] for a in answers} <= {m.query_id for m in store.tail_metrics().records})
        ids = [m.query_id for m in store.tail_metrics().records]
        assert len(ids) == len(set(ids))
        assert manager.status().dropped_metrics == 0


def test_a_manager_starts_while_the_store_is_down_and_finds_it_later(store: Failing) -> None:
    store.down = True
    with MemoryManager(":memory:", store=store, strategy=TuningStrategy.COST, mode=Mode.AUTO) as manager:
        manager.remember(NOTE)
        assert manager.recall("billing")["_success"]
        assert (manager.config.strategy, manager.mode) == (TuningStrategy.COST, Mode.AUTO)
        store.down = False
        until(lambda: store.config_set().head == 1)
        written = store.config_set().default
        assert (written.config.strategy, written.mode, written.author) == (
            TuningStrategy.COST,
            Mode.AUTO,
            "manager",
        )


def test_what_the_store_holds_comes_before_what_a_manager_is_started_with(store: Failing) -> None:
    three = TuningConfig(max_concurrent=3)
    store.apply_config(ConfigChange(three, expected_version=0, actor="ana", reason="r", mode=Mode.PINNED))
    with MemoryManager(":memory:", store=store, strategy=TuningStrategy.COST, mode=Mode.AUTO) as manager:
        assert (manager.limit, manager.mode) == (3, Mode.PINNED)
        assert manager.config.strategy is TuningStrategy.BALANCED
    assert store.config_set().head == 1


def measured(manager: MemoryManager, latency_ms: float = 200.0) -> None:
    """Give the tuner something to decide on."""
    manager.remember(NOTE)
    manager.recall("billing")
    (seen,) = list(manager.profiler.metrics)
    for _ in range(40):
        manager.profiler.record_query(
            seen._replace(latency_ms=latency_ms, layer_latencies={"semantic": latency_ms}, tasks=())
        )


def test_switching_the_strategy_changes_what_the_next_recall_runs_under(store: Failing) -> None:
    with MemoryManager(":memory:", store=store) as manager:
        measured(manager)
        seen = {}
        for strategy in TuningStrategy:
            manager.update_tuning_strategy(strategy, actor="ana")
            answer = manager.recall("billing", use_cache=False)
            assert answer["_config_version"] == manager.configs.default.version
            assert manager.config.strategy is manager.tuner.strategy is strategy
            assert manager.limit == manager.config.max_concurrent
            seen[strategy] = (manager.limit, manager.config.timeout_seconds)
        limits = {strategy: limit for strategy, (limit, _) in seen.items()}
        timeouts = {strategy: timeout for strategy, (_, timeout) in seen.items()}
        assert limits[TuningStrategy.THROUGHPUT] > limits[TuningStrategy.LATENCY]
        assert timeouts[TuningStrategy.LATENCY] < timeouts[TuningStrategy.BALANCED]
        assert timeouts[TuningStrategy.COST] < timeouts[TuningStrategy.THROUGHPUT]
        assert {v.author for v in store.config_history()} == {"ana"}


def test_switching_the_strategy_keeps_the_values_of_a_pinned_config(store: Failing) -> None:
    with MemoryManager(":memory:", store=store, mode=Mode.PINNED) as manager:
        measured(manager)
        before = manager.config
        manager.update_tuning_strategy("throughput")  # type: ignore[arg-type]
        assert manager.config == replace(before, strategy=TuningStrategy.THROUGHPUT)


def test_switching_the_strategy_reaches_the_exceptions_by_type(store: Failing) -> None:
    with MemoryManager(":memory:", store=store) as manager:
        manager.apply_config(
            TuningConfig(enable_cache=False), expected_version=0, actor="a", reason="r", scope="temporal"
        )
        manager.update_tuning_strategy(TuningStrategy.LATENCY)
        assert manager.configs.for_type("temporal").strategy is TuningStrategy.LATENCY


def test_an_unknown_strategy_is_refused(store: Failing) -> None:
    with (
        MemoryManager(":memory:", store=store) as manager,
        pytest.raises(ValueError, match="fastest"),
    ):
        manager.update_tuning_strategy("fastest")  # type: ignore[arg-type]


def test_the_mode_is_set_for_all_types_and_each_exception(store: Failing) -> None:
    with MemoryManager(":memory:", store=store) as manager:
        manager.apply_config(
            TuningConfig(enable_cache=False), expected_version=0, actor="a", reason="r", scope="temporal"
        )
        manager.set_mode(Mode.AUTO, actor="ana", reason="let it run")
        assert manager.mode is Mode.AUTO
        assert manager.configs.by_type["temporal"].mode is Mode.AUTO
        assert manager.configs.for_type("temporal").enable_cache is False


@pytest.mark.slow
def test_of_two_managers_on_a_store_one_tunes_and_the_other_takes_over(store: Failing) -> None:
    one = MemoryManager(":memory:", store=store, worker_id="one")
    two = MemoryManager(":memory:", store=store, worker_id="two")
    assert (one._membership.lease.held is None, two._membership.lease.held is None) == (False, True)
    assert not store.acquire_lease("tuner", "somebody", 1.0)
    one.close()  # gives the lease back
    until(lambda: two._membership.lease.held is not None)
    assert not store.acquire_lease("tuner", "somebody", 1.0)
    two.close()
    assert store.acquire_lease("tuner", "somebody", 1.0)


class Held(MemoryStore):
    """A store whose next answer to another thread is held back, and so is old when it arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.hold = False
        self.read, self.go_on = threading.Event(), threading.Event()

    def config_set(self) -> ConfigSet:
        configs = super().config_set()
        if self.hold and threading.current_thread() is not threading.main_thread():
            self.hold = False
            self.read.set()
            self.go_on.wait(WAIT)
        return configs


def test_a_late_older_read_of_configs_does_not_win() -> None:
    store, tuner = Held(), Decider(TuningConfig())
    with MemoryManager(":memory:", store=store, tuner=tuner) as manager:  # type: ignore[arg-type]
        store.hold = True
        first = ConfigChange(TuningConfig(max_concurrent=9), expected_version=0, actor="bo", reason="r")
        store.apply_config(first)
        assert store.read.wait(WAIT), "the background thread never read version 1"
        manager.apply_config(TuningConfig(max_concurrent=11), expected_version=1, actor="ana", reason="r")
        store.go_on.set()
        third = ConfigChange(TuningConfig(max_concurrent=13), expected_version=2, actor="bo", reason="r")
        store.apply_config(third)
        until(lambda: manager.limit == 13)
    heads = [configs.head for configs in tuner.told]
    assert heads == sorted(heads), "version 1 came back after version 2"
    assert {2, 3} <= set(heads)


def test_a_mode_for_all_reaches_an_exception_that_another_has_just_made() -> None:
    store = MemoryStore()
    follower = ConfigFollower(store, ConfigSet(), lambda _: None, lambda: 1.0)  # that looks by itself never
    store.apply_config(
        ConfigChange(TuningConfig(3), expected_version=0, actor="bo", reason="r", scope="temporal")
    )
    written = follower.rewrite(
        lambda configs: operations.set_mode(configs, Mode.PINNED, actor="ana", reason="r", scope="all")
    )
    assert {version.scope for version in written} == {"all", "temporal"}


def test_several_scopes_are_applied_together_or_not_at_all_and_obeyed(store: Failing) -> None:
    with MemoryManager(":memory:", store=store) as manager:
        both = [
            ConfigChange(TuningConfig(max_concurrent=9), expected_version=0, actor="ana", reason="r"),
            ConfigChange(
                TuningConfig(enable_cache=False), expected_version=0, actor="ana", reason="r", scope="meta"
            ),
        ]
        versions = manager.apply_configs(both)
        assert manager.configs.default == versions[0]
        assert manager.limit == 9
        assert manager.configs.for_type("meta").enable_cache is False
        store.apply_config(replace(both[1], expected_version=2))
        with pytest.raises(ConfigConflict):
            manager.apply_configs(
                [replace(both[0], expected_version=1), replace(both[1], expected_version=2)]
            )
        assert manager.configs == store.config_set()
        assert manager.configs.head == 3
