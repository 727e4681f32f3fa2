"""The board: who is asked when, that changes are few, and that harm is undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from athena_tuning.model import (
    Action,
    ConfigSet,
    ConfigVersion,
    Decision,
    LayerTask,
    Mode,
    QueryMetrics,
    Reason,
    TaskOutcome,
    TuningBounds,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning import AutoTuner
from athena_tuning.tuning.estimation.telemetry import Telemetry
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import FIRST, FIRST_BAN, PACE, Advice, Advisor, Board
from athena_tuning.tuning.policies.model_policy import ModelPolicy
from athena_tuning.tuning.policies.rules import RulePolicy

NOW = 1_750_000_000.0


class Wants(Advisor):
    """Holds a value right, and counts how often it was asked to look."""

    def __init__(self, parameter: str, value: object, scope: str = "all") -> None:
        self.reason = Reason(parameter, value, "wanted", {}, 1)
        self.scope = scope
        self.reviews = 0

    def review(self, evidence: Evidence, telemetry: Telemetry) -> Iterator[None]:
        self.reviews += 1
        yield

    def scopes(self, evidence: Evidence) -> tuple[str, ...]:
        return (self.scope,)

    def advise(self, evidence: Evidence, scope: str) -> Advice | None:
        differs = getattr(evidence.incumbent(scope), self.reason.parameter) != self.reason.value
        return Advice((self.reason,), differs, "as wanted", 1) if scope == self.scope else None


class World:
    """A board, a manager's configs and recalls that come in."""

    def __init__(self, *advisors: Advisor) -> None:
        self.now = NOW
        self.profiler = PerformanceProfiler(clock=lambda: self.now)
        self.telemetry = Telemetry()
        self.configs = ConfigSet()
        self.board = Board(RulePolicy(), advisors)
        self.made: list[Decision] = []

    def feed(self, n: int, *, partial: bool = False, query_type: str = "factual") -> None:
        for _ in range(n):
            self.now += 0.1
            outcome = TaskOutcome.TIMEOUT if partial else TaskOutcome.OK
            task = LayerTask("graph", 0.0, 0.0, 10.0, 1, outcome)
            self.profiler.record_query(
                QueryMetrics(
                    *("q", "?", query_type, self.now, 10.0, None, False, 1, ["graph"], {"graph": 10.0}, True),
                    tasks=(task,),
                    partial=partial,
                )
            )
        self.telemetry.take(self.profiler)

    def step(self, *, calm: bool = True) -> tuple[Decision, ...]:
        evidence = Evidence(
            self.profiler, self.configs, TuningStrategy.BALANCED, TuningBounds(), 10, 100, self.now
        )
        made = self.board.decide(evidence, self.telemetry, calm=calm)
        for decision in made:
            if decision.after != decision.before:
                version = self.write(decision.after, decision.scope)
                self.board.applied(decision, version, self.telemetry)
        self.made += made
        return made

    def write(self, config: TuningConfig, scope: str = "all", mode: Mode = Mode.AUTO) -> ConfigVersion:
        version = ConfigVersion(self.configs.head + 1, 0, scope, config, mode, "test", "", self.now)
        self.configs = self.configs.with_version(version)
        return version

    def run(self, recalls: int, **how: object) -> None:
        for _ in range(recalls // 25):
            self.feed(25, **how)  # type: ignore[arg-type]
            self.step()
            self.step()  # a review has two slices here

    @property
    def changes(self) -> list[Decision]:
        return [d for d in self.made if d.after != d.before]


def test_nobody_is_asked_early_or_while_something_else_is_under_way() -> None:
    advisor = Wants("timeout_seconds", 7.0)
    world = World(advisor)
    world.feed(FIRST - 1)
    assert world.step() == ()
    world.feed(1)
    assert world.step(calm=False) == ()
    assert advisor.reviews == 0
    assert world.step() == ()  # the review's first slice
    (made,) = world.step()
    assert (made.action, made.after.timeout_seconds, made.reasons) == (Action.CHANGE, 7.0, (advisor.reason,))


def test_a_good_change_is_confirmed_and_then_the_next_advisor_has_its_turn() -> None:
    world = World(Wants("timeout_seconds", 7.0), Wants("enable_cache", False))
    world.run(3 * PACE)
    assert [d.action for d in world.made] == [Action.CHANGE, Action.CONFIRM, Action.CHANGE, Action.CONFIRM]
    assert world.made[1].verdict_on == world.made[0].decision_id
    assert world.configs.default.config == TuningConfig(timeout_seconds=7.0, enable_cache=False)


def test_changes_are_at_most_one_in_a_thousand_recalls() -> None:
    class Restless(Wants):
        def review(self, evidence: Evidence, telemetry: Telemetry) -> Iterator[None]:
            self.reviews += 1
            self.reason = replace(self.reason, value=5.0 + self.reviews % 7)
            yield

    world = World(Restless("timeout_seconds", 7.0), Restless("deadline_seconds", 7.0))
    world.run(10 * PACE)
    assert 2 <= len(world.changes) <= 11


def test_more_partial_answers_roll_a_change_back_and_ban_it_for_twice_as_long_each_time() -> None:
    world = World(Wants("timeout_seconds", 7.0))
    world.run(FIRST)
    assert world.configs.default.config.timeout_seconds == 7.0
    world.run(100, partial=True)
    (back,) = [d for d in world.made if d.action is Action.ROLLBACK]
    assert back.after == TuningConfig()
    assert "failed or partial" in back.summary
    assert str(FIRST_BAN) in back.summary
    world.run(FIRST_BAN - 200)
    assert world.configs.default.config == TuningConfig()
    while world.configs.default.config == TuningConfig():
        world.run(25)
    assert world.telemetry.position <= FIRST + FIRST_BAN + PACE + 200
    world.run(200, partial=True)
    assert str(2 * FIRST_BAN) in world.made[-1].summary


def test_a_change_that_somebody_else_overwrote_is_not_judged() -> None:
    world = World(Wants("timeout_seconds", 7.0))
    world.run(FIRST)
    world.write(TuningConfig(timeout_seconds=20.0))
    world.feed(200, partial=True)
    assert world.step() == ()
    assert world.configs.default.config.timeout_seconds == 20.0


def test_types_with_a_config_of_their_own_follow_unless_a_person_steers_them() -> None:
    world = World(Wants("timeout_seconds", 7.0))
    own = TuningConfig(skipped_layers=frozenset({"graph"}))
    world.write(own, "meta")
    world.write(own, "planning", Mode.PINNED)
    world.run(FIRST)
    assert world.configs.by_type["meta"].config == replace(own, timeout_seconds=7.0)
    assert world.configs.by_type["planning"].config == own


def test_a_change_of_one_type_is_judged_by_that_type() -> None:
    world = World(Wants("enable_cache", False, "meta"))
    world.run(FIRST, query_type="meta")
    assert not world.configs.for_type("meta").enable_cache
    world.feed(300, partial=True)  # factual recalls fail, which says nothing about meta
    assert all(d.action is not Action.ROLLBACK for d in world.step())
    world.feed(100, partial=True, query_type="meta")
    assert [d.action for d in world.step()] == [Action.ROLLBACK]


@pytest.fixture
def tuner() -> tuple[AutoTuner, PerformanceProfiler, list[float]]:
    now = [NOW]
    profiler = PerformanceProfiler(clock=lambda: now[0])
    return AutoTuner(profiler, policy=ModelPolicy(), clock=lambda: now[0]), profiler, now


def test_the_model_policy_sets_timeouts_and_a_switch_keeps_the_order(
    tuner: tuple[AutoTuner, PerformanceProfiler, list[float]],
) -> None:
    made_by, profiler, now = tuner
    configs = ConfigSet()
    decided: list[Decision] = []
    for i in range(1200):
        now[0] += 0.5
        slow = 400.0 * (1 + i % 40)  # up to 16 s
        profiler.record_query(
            QueryMetrics(
                *("q", "?", "factual", now[0] - slow / 1000, slow, None, False, 1),
                ["graph"],
                {"graph": slow},
                True,
                tasks=(LayerTask("graph", 0.0, 0.0, slow, 1),),
            )
        )
        for decision in made_by.step(configs, now[0]):
            decided.append(decision)
            if decision.after != decision.before:
                version = ConfigVersion(
                    *(configs.head + 1, 0, decision.scope, decision.after, Mode.AUTO, "tuner", "", now[0])
                )
                configs = configs.with_version(version)
                made_by.in_force(configs)
                made_by.applied(decision, version)
    assert any(r.parameter == "timeout_seconds" for d in decided for r in d.reasons)
    assert configs.default.config.timeout_seconds > 15.0
    proposed = []
    for strategy in (TuningStrategy.LATENCY, TuningStrategy.BALANCED, TuningStrategy.THROUGHPUT):
        made_by.update_strategy(strategy)
        proposed.append(made_by.propose().after.timeout_seconds)
    assert proposed[0] <= proposed[1] <= proposed[2] <= 30.0
