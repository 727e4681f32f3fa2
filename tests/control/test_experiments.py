"""Experiments on real managers: whose turn it is, what is counted, and what ends them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from athena_tuning.control import Control, operations
from athena_tuning.control.config_follower import BLIND_SECONDS, ConfigFollower
from athena_tuning.control.experiment_judge import told_report
from athena_tuning.control.objectives import keep
from athena_tuning.model import (
    EXPERIMENT,
    Action,
    ConfigSet,
    ConfigVersion,
    Experiment,
    ExperimentReport,
    ExperimentVerdict,
    Mode,
    Objective,
    TuningConfig,
)
from athena_tuning.recall import MemoryManager
from athena_tuning.store import ConfigConflict, MemoryStore, Store, StoreError, open_store
from athena_tuning.testing.clock import Clock
from athena_tuning.testing.waiting import until

WAIT = 30.0
BASE = TuningConfig(max_concurrent=4, enable_cache=False, exploration_share=0.0)
ONE_AT_A_TIME = replace(BASE, enable_parallel=False)
SECONDS = 100.0


class Slow:
    """A layer that takes its time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds = 0.004

    def search(self, query: Any, k: int, deadline: float) -> Sequence[Any]:
        time.sleep(self.seconds)
        return [{"id": f"{self.name}-1", "layer": self.name, "text": "a node"}]


def manager(store: Store, clock: Clock, **how: Any) -> MemoryManager:
    layers = [Slow(name) for name in ("one", "two", "three")]
    return MemoryManager(":memory:", store=store, clock=clock, layers=layers, **how)


def apply(store: Store, config: TuningConfig, scope: str = "all") -> ConfigVersion:
    [version] = store.apply_configs(
        operations.apply(store.config_set(), config, actor="ana", reason="a base", scope=scope)
    )
    return version


def start(store: Store, config: TuningConfig, clock: Clock, **how: Any) -> ConfigVersion:
    plan = {"actor": "ana", "reason": "is it better?", "now": clock.now, "seed": 3, "seconds": SECONDS, **how}
    [version] = store.apply_configs(operations.start_experiment(store.config_set(), config, **plan))
    return version


def plan_of(version: ConfigVersion) -> Experiment:
    assert version.experiment is not None
    return version.experiment


def ask(one: MemoryManager, times: int = 8) -> set[int]:
    """Ask so often, and return the versions that the recalls ran under."""
    layers = ["one", "two", "three"]
    return {one.recall(f"what about node {n}?", layers=layers)["_config_version"] for n in range(times)}


def run(
    managers: Sequence[MemoryManager], clock: Clock, version: ConfigVersion, blocks: range | None = None
) -> None:
    """Let managers recall in the blocks of an experiment, as time passes, until it has ended."""
    plan = plan_of(version)
    until(lambda: all(one.configs.tried is not None for one in managers), WAIT)
    for block in range(2 * plan.pairs) if blocks is None else blocks:
        clock.now = plan.starts_at(block) + plan.settling_seconds + 0.1
        if managers[0].configs.on_trial is None:
            return
        for one in managers:
            until(partial(has_turned, one, version.version if plan.tries(block) else plan.base), WAIT)
            ask(one)
    for one in managers:
        until(partial(has_delivered, one), WAIT)


def has_delivered(one: MemoryManager) -> bool:
    return one._membership.sink._delivered >= one.status().recalls


def has_turned(one: MemoryManager, wanted: int) -> bool:
    return in_turn(one) == wanted or one.configs.on_trial is None


def in_turn(one: MemoryManager) -> int:
    return one._follower.obeyed.default.version


def outcome(store: Store, version: ConfigVersion) -> ExperimentReport:
    """Wait for the end of an experiment and return what came of it."""

    def is_over() -> bool:
        report = told_report(store, version.version)
        return report is not None and report.is_over

    until(is_over, WAIT)
    report = told_report(store, version.version)
    assert report is not None
    return report


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


@pytest.fixture
def store(clock: Clock, tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


@contextmanager
def two_managers(store: Store, clock: Clock) -> Iterator[tuple[MemoryManager, MemoryManager]]:
    with (
        manager(store, clock, worker_id="w1") as first,
        manager(store, clock, worker_id="w2") as second,
    ):
        until(lambda: first._membership.lease.held or second._membership.lease.held, WAIT)
        yield first, second


def test_two_managers_take_turns_and_the_slower_config_is_called_worse(store: Store, clock: Clock) -> None:
    apply(store, BASE)
    with two_managers(store, clock) as managers:
        version = start(store, ONE_AT_A_TIME, clock)
        run(managers, clock, version)
        clock.now = plan_of(version).ends + 30
        report = outcome(store, version)
        until(lambda: all(in_turn(one) == plan_of(version).base for one in managers), WAIT)
        assert ask(managers[0]) == {1}
    typical = report.of("typical latency")
    assert report.verdict is ExperimentVerdict.WORSE
    assert report.ended == "the difference is clear"
    assert typical.tried > 1.5 * typical.in_force
    assert 0 < typical.low < typical.change < typical.high
    assert report.pairs < report.planned
    assert not any("another config" in note for note in report.notes)
    assert store.config_set().default.version == 1
    assert store.config_set().on_trial is None


def test_the_outcome_is_kept_as_a_decision_that_says_what_was_observed(store: Store, clock: Clock) -> None:
    apply(store, BASE)
    with manager(store, clock) as one:
        until(lambda: one._membership.lease.held, WAIT)
        version = start(store, ONE_AT_A_TIME, clock)
        run([one], clock, version)
        report = outcome(store, version)
        until(store.decisions, WAIT)
    [decision] = [d for d in store.decisions() if d.action is Action.EXPERIMENT]
    assert (decision.before, decision.after, decision.config_version) == (BASE, ONE_AT_A_TIME, 2)
    assert decision.observed == pytest.approx(report.of("typical latency").change)
    assert decision.summary.startswith("Worse than what is in force. Observed in ")
    assert "typical latency" in decision.summary


def test_recalls_say_which_config_they_ran_under(store: Store, clock: Clock) -> None:
    apply(store, BASE)
    with manager(store, clock) as one:
        version = start(store, ONE_AT_A_TIME, clock)
        plan = plan_of(version)
        until(lambda: one.configs.on_trial is not None, WAIT)
        assert ask(one, 2) == {1}  # it has not begun
        for block in range(2):
            clock.now = plan.starts_at(block) + 0.1
            until(lambda block=block: in_turn(one) == (2 if plan.tries(block) else 1), WAIT)
            assert ask(one, 2) == {2 if plan.tries(block) else 1}
        assert one.config == BASE
        assert one.configs.default.version == 1


def test_an_experiment_of_one_type_leaves_the_others_alone(store: Store, clock: Clock) -> None:
    apply(store, BASE)
    with manager(store, clock) as one:
        version = start(store, ONE_AT_A_TIME, clock, scope="temporal")
        plan = plan_of(version)
        until(lambda: one.configs.on_trial is not None, WAIT)
        clock.now = plan.starts_at(next(n for n in range(2) if plan.tries(n))) + 0.1
        until(lambda: one._follower.obeyed.for_type("temporal") == ONE_AT_A_TIME, WAIT)
        assert one.recall("when was the last deploy?", layers=["one"])["_config_version"] == 2
        assert one.recall("what is a node?", layers=["one"])["_config_version"] == 1


def test_a_system_of_ones_own_is_told_whose_turn_it_is(store: Store, clock: Clock) -> None:
    apply(store, BASE)
    with Control(store, clock=clock) as control:
        until(lambda: control.configs.default.version == 1, WAIT)
        version = start(store, replace(BASE, max_concurrent=9), clock)
        plan = plan_of(version)
        until(lambda: control.configs.on_trial is not None, WAIT)
        clock.now = plan.starts_at(next(n for n in range(2) if plan.tries(n))) + 0.1
        until(lambda: control.current_config().max_concurrent == 9, WAIT)
        with control.measure("q", "meta"):
            pass
        control.profiler.fold()
        assert control.profiler.metrics[-1].config_version == version.version


def test_somebody_who_applies_a_config_ends_it_and_the_report_says_who(store: Store, clock: Clock) -> None:
    apply(store, BASE)
    with manager(store, clock) as one:
        until(lambda: one._membership.lease.held, WAIT)
        version = start(store, ONE_AT_A_TIME, clock)
        run([one], clock, version, range(2))
        one.apply_config(replace(BASE, max_concurrent=7), expected_version=1, actor="bo", reason="more")
        report = outcome(store, version)
        until(lambda: one.configs.tried is not None and one.configs.tried.ends_exception, WAIT)
        assert ask(one, 1) == {3}
    assert report.ended == "v3 was written by bo: more"
    assert report.verdict is ExperimentVerdict.OPEN


def test_a_promise_that_breaks_ends_it_at_once(store: Store, clock: Clock) -> None:
    apply(store, BASE)
    keep(store, Objective(p99_ms=60.0))
    with manager(store, clock) as one:
        until(lambda: one._membership.lease.held, WAIT)
        version = start(store, replace(BASE, rank_constant=61), clock)
        plan = plan_of(version)
        first = next(n for n in range(2) if plan.tries(n))
        run([one], clock, version, range(first))
        clock.now = plan.starts_at(first) + 0.1
        until(lambda: in_turn(one) == version.version, WAIT)
        for layer in one._recaller.layers.values():
            layer.layer.seconds = 0.08
        ask(one, 10)
        report = outcome(store, version)
        assert in_turn(one) == 1
    assert report.ended.startswith("stopped at once: the promised p99 of 60 ms broke")
    assert clock.now < plan.starts_at(first + 1)


def test_it_ends_when_its_time_is_over_and_says_that_no_difference_was_shown(
    store: Store, clock: Clock
) -> None:
    apply(store, BASE)
    with manager(store, clock) as one:
        until(lambda: one._membership.lease.held, WAIT)
        version = start(store, replace(BASE, rank_constant=61), clock, seconds=60.0)
        run([one], clock, version, range(4))
        clock.now = plan_of(version).ends + 3
        report = outcome(store, version)
    assert report.ended == "its time is over"
    assert report.verdict is ExperimentVerdict.OPEN
    assert report.of("typical latency").pairs == 2


def test_a_new_leader_judges_what_the_one_before_began(store: Store, clock: Clock) -> None:
    apply(store, BASE)
    with manager(store, clock, worker_id="w1") as first:
        until(lambda: first._membership.lease.held, WAIT)
        version = start(store, ONE_AT_A_TIME, clock)
        run([first], clock, version, range(4))
        with manager(store, clock, worker_id="w2") as second:
            until(lambda: second.configs.on_trial is not None, WAIT)
            first.close()
            until(lambda: second._membership.lease.held, WAIT)
            clock.now = plan_of(version).ends + 10
            report = outcome(store, version)
    assert report.of("typical latency").pairs == 2
    assert report.recalls == (16, 16)


def test_the_tuner_takes_no_step_while_it_runs_and_never_sees_what_was_only_tried(
    store: Store, clock: Clock
) -> None:
    apply(store, BASE)
    with manager(store, clock, mode=Mode.AUTO) as one:
        until(lambda: one._membership.lease.held, WAIT)
        steps: list[ConfigSet] = []
        real, one.tuner.step = one.tuner.step, lambda *given: steps.append(given[0]) or real(*given)  # type: ignore[method-assign]
        version = start(store, ONE_AT_A_TIME, clock)
        until(lambda: one.configs.on_trial is not None, WAIT)
        run([one], clock, version, range(2))
        assert all(step.on_trial is None for step in steps)
        before = len(steps)
        store.apply_configs(operations.end_experiment(store.config_set(), actor="ana", reason="enough"))
        until(lambda: len(steps) > before, WAIT)
        seen = {m.config_version for m in one.tuner.profiler.metrics}
        assert {m.config_version for m in one.profiler.metrics} == {1, 2}
        assert seen == {1}


def test_a_manager_that_cannot_see_the_store_tries_nothing(clock: Clock) -> None:
    class Down(MemoryStore):
        down = False

        def _open(self) -> Any:
            if self.down:
                raise StoreError("memory://: the network is gone")
            return super()._open()

    monotonic, store = Clock(100.0), Down()
    apply(store, BASE)
    follower = ConfigFollower(store, ConfigSet(), lambda _: None, clock, monotonic)
    version = start(store, ONE_AT_A_TIME, clock)
    follower.watch()
    plan = plan_of(version)
    clock.now = plan.starts_at(next(n for n in range(2) if plan.tries(n))) + 0.1
    follower.take_turns()
    assert follower.obeyed.default.version == version.version
    store.down = True
    with pytest.raises(StoreError):
        follower.watch()
    monotonic.now += BLIND_SECONDS + 0.1
    follower.take_turns()
    assert follower.obeyed.default.version == 1


# What is refused


def test_a_second_experiment_is_refused_until_the_first_has_ended(store: Store, clock: Clock) -> None:
    apply(store, BASE)
    version = start(store, ONE_AT_A_TIME, clock)
    with pytest.raises(ValueError, match=r"an experiment by ana is running \(v2\): end it first"):
        start(store, replace(BASE, max_concurrent=9), clock)
    store.apply_configs(operations.end_experiment(store.config_set(), actor="ana", reason="enough"))
    with pytest.raises(ValueError, match="no experiment is running"):
        operations.end_experiment(store.config_set(), actor="ana", reason="again")
    start(store, replace(BASE, max_concurrent=9), clock)
    clock.now = plan_of(version).ends + 300
    start(store, replace(BASE, max_concurrent=10), clock)  # nobody ended the second one, its time is over


def test_two_who_start_one_at_the_same_time_get_one(store: Store, clock: Clock) -> None:
    apply(store, BASE)
    seen = store.config_set()
    plan = {"actor": "ana", "reason": "race", "now": clock.now, "seed": 1}
    both = [operations.start_experiment(seen, ONE_AT_A_TIME, **plan) for _ in range(2)]
    store.apply_configs(both[0])
    with pytest.raises(ConfigConflict):
        store.apply_configs(both[1])


@pytest.mark.parametrize(
    ("config", "scope", "why"),
    [
        (BASE, "all", "the values are the same"),
        (replace(BASE, concurrency_bounds=(2, 9)), "all", "concurrency_bounds alone changes no recall"),
        (replace(BASE, max_concurrent=9), "temporal", "max_concurrent alone changes no recall"),
        (replace(BASE, limit_scope="fleet"), "all", "cannot be tried in turns"),
    ],
)
def test_what_makes_no_difference_is_refused_with_the_reason(
    store: Store, clock: Clock, config: TuningConfig, scope: str, why: str
) -> None:
    apply(store, BASE)
    with pytest.raises(ValueError, match=why):
        start(store, config, clock, scope=scope)


def test_a_writer_who_saw_another_version_is_refused(store: Store, clock: Clock) -> None:
    apply(store, BASE)
    with pytest.raises(ConfigConflict):
        start(store, ONE_AT_A_TIME, clock, expected_version=0)


def test_a_config_that_was_tried_can_be_brought_into_force_by_its_version(store: Store, clock: Clock) -> None:
    apply(store, BASE)
    start(store, ONE_AT_A_TIME, clock)
    [ended] = store.apply_configs(operations.end_experiment(store.config_set(), actor="a", reason="enough"))
    by = {"actor": "ana", "reason": "it was better"}
    history = store.config_history()
    [restored] = store.apply_configs(operations.roll_back(store.config_set(), history, 2, **by))
    assert (restored.scope, restored.config, restored.restores) == ("all", ONE_AT_A_TIME, 2)
    with pytest.raises(ValueError, match="is the end of an experiment"):
        operations.roll_back(store.config_set(), history, ended.version, **by)
    undone = store.apply_configs(operations.undo(store.config_set(), store.config_history(), actor="ana"))
    assert [version.config for version in undone] == [BASE]


def test_only_experiments_stand_in_their_scope(store: Store) -> None:
    with pytest.raises(ValueError, match=r"\(experiment\) is for experiments"):
        apply(store, BASE, scope=EXPERIMENT)
