"""Advisors: who is asked when, that changes are few, and that harm is undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from athena_tuning.model import (
    Action,
    ConfigSet,
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
from athena_tuning.testing.virtual_manager import TunedConfigs
from athena_tuning.tuning.estimation.telemetry import Telemetry
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import Advice, Advisor
from athena_tuning.tuning.policies.canary import Canary, Rates, Trial
from athena_tuning.tuning.policies.model_policy import ModelMemory, ModelPolicy, SearchSchedule
from athena_tuning.tuning.policies.paired_comparison import PairedComparison
from athena_tuning.tuning.settings import ADVISORS, CANARY

NOW = 1_750_000_000.0
GRAPH = LayerTask("graph", 0.0, 0.0, 10.0, 1)


FIRST, PACE, FIRST_BAN = ADVISORS.first, ADVISORS.pace, CANARY.advisor_first_ban
SLACK = 150  # recalls for a search that is under way when an advisor wants to be asked


class Wants(Advisor):
    """Holds a value right, and counts how often it was asked to look."""

    def __init__(self, parameter: str, value: object, scope: str = "all") -> None:
        self.name = f"wants {parameter}"  # type: ignore[misc]
        self.parameters = frozenset({parameter})  # type: ignore[misc]
        self.reason = Reason(parameter, value, "wanted", {}, 1)
        self.scope = scope
        self.reviews = 0

    def review(self, evidence: Evidence, found: None) -> Iterator[None]:
        self.reviews += 1
        yield

    def scopes(self, evidence: Evidence) -> tuple[str, ...]:
        return (self.scope,)

    def advise(self, evidence: Evidence, found: None, scope: str) -> Advice | None:
        differs = getattr(evidence.incumbent(scope), self.reason.parameter) != self.reason.value
        return Advice((self.reason,), differs, "as wanted", 1) if scope == self.scope else None


class World(TunedConfigs):
    """A tuner with some advisors, and recalls that come in."""

    def __init__(self, *advisors: Advisor) -> None:
        super().__init__(ModelPolicy(advisors=advisors))
        self.position = 0

    def feed(self, n: int, *, partial: bool = False, query_type: str = "factual") -> None:
        for _ in range(n):
            self.clock.now += 0.1
            self.position += 1
            outcome = TaskOutcome.TIMEOUT if partial else TaskOutcome.OK
            task = LayerTask("graph", 0.0, 0.0, 10.0, 1, outcome)
            now, layers = self.clock.now, {"graph": 10.0}
            self.profiler.record_query(
                QueryMetrics(
                    *("q", "?", query_type, now, 10.0, None, False, 1, list(layers), layers, True),
                    tasks=(task,),
                    partial=partial,
                )
            )

    def run(self, recalls: int, **how: object) -> None:
        for _ in range(recalls // 25):
            self.feed(25, **how)  # type: ignore[arg-type]
            self.step()
            self.step()  # a review has two slices here

    @property
    def made(self) -> list[Decision]:
        """What was decided, "no change" left out."""
        return [d for d in self.decisions if d.action is not Action.KEEP]


def test_an_advisor_is_not_asked_before_its_time_and_its_change_has_its_reason() -> None:
    advisor = Wants("timeout_seconds", 7.0)
    world = World(advisor)
    world.run(FIRST - 25)
    assert advisor.reviews == 0
    world.run(SLACK)
    (made,) = world.made
    assert (made.action, made.after.timeout_seconds, made.reasons) == (Action.CHANGE, 7.0, (advisor.reason,))


def test_no_advisor_is_asked_while_a_limit_is_on_trial_or_failures_are_watched() -> None:
    policy = ModelPolicy(advisors=(Wants("timeout_seconds", 7.0),))
    recalls = Telemetry().after(
        QueryMetrics("q", "?", "meta", NOW + i, 10.0, None, False, 1, [], {}, True, tasks=(GRAPH,))
        for i in range(FIRST)
    )
    memory = ModelMemory(schedule=SearchSchedule(next_at=10_000))
    evidence = Evidence(
        *(ConfigSet(), TuningStrategy.BALANCED, TuningBounds(), 10, 100, NOW), telemetry=recalls
    )
    config = TuningConfig()
    made = Decision("d", NOW, "model", "all", Action.CANARY, config, replace(config, max_concurrent=8), "", 1)
    trial = Trial(made, PairedComparison().name, NOW, 400, Rates())

    def asked(canary: Canary) -> bool:
        return policy.study(replace(evidence, memory=replace(memory, canary=canary))).slices is not None

    assert asked(Canary())
    assert not asked(Canary().begun(trial))
    assert not asked(Canary(watch_until=FIRST + 1))


def test_a_good_change_is_confirmed_and_then_the_next_advisor_has_its_turn() -> None:
    world = World(Wants("timeout_seconds", 7.0), Wants("enable_cache", False))
    world.run(3 * PACE)
    assert [d.action for d in world.made] == [Action.CHANGE, Action.CONFIRM, Action.CHANGE, Action.CONFIRM]
    assert world.made[1].verdict_on == world.made[0].decision_id
    assert world.configs.default.config == TuningConfig(timeout_seconds=7.0, enable_cache=False)


@pytest.mark.slow
def test_changes_are_at_most_one_in_a_thousand_recalls() -> None:
    class Restless(Wants):
        def review(self, evidence: Evidence, found: None) -> Iterator[None]:
            self.reviews += 1
            self.reason = replace(self.reason, value=5.0 + self.reviews % 7)
            yield

    world = World(Restless("timeout_seconds", 7.0), Restless("deadline_seconds", 7.0))
    world.run(10 * PACE)
    assert 2 <= len(world.changes) <= 11


@pytest.mark.slow
def test_more_partial_answers_roll_a_change_back_and_ban_it_for_twice_as_long_each_time() -> None:
    world = World(Wants("timeout_seconds", 7.0))
    world.run(FIRST + SLACK)
    assert world.configs.default.config.timeout_seconds == 7.0
    world.run(100, partial=True)
    (back,) = [d for d in world.made if d.action is Action.ROLLBACK]
    assert back.after == TuningConfig()
    assert "failed, partial or refused" in back.summary
    assert str(FIRST_BAN) in back.summary
    world.run(FIRST_BAN - 200)
    assert world.configs.default.config == TuningConfig()
    while world.configs.default.config == TuningConfig():
        world.run(25)
    assert world.position <= FIRST + FIRST_BAN + PACE + 200 + 2 * SLACK
    world.run(200, partial=True)
    assert str(2 * FIRST_BAN) in world.made[-1].summary


def test_a_change_that_somebody_else_overwrote_is_not_judged() -> None:
    world = World(Wants("timeout_seconds", 7.0))
    world.run(FIRST + SLACK)
    world.write(TuningConfig(timeout_seconds=20.0))
    world.feed(200, partial=True)
    assert all(d.action is Action.KEEP for d in world.step())
    assert world.configs.default.config.timeout_seconds == 20.0


def test_types_with_a_config_of_their_own_follow_unless_a_person_steers_them() -> None:
    world = World(Wants("timeout_seconds", 7.0))
    own = TuningConfig(skipped_layers=frozenset({"graph"}))
    world.write(own, "meta")
    world.write(own, "planning", Mode.PINNED)
    world.run(FIRST + SLACK)
    assert world.configs.by_type["meta"].config == replace(own, timeout_seconds=7.0)
    assert world.configs.by_type["planning"].config == own


def test_a_change_of_one_type_is_judged_by_that_type() -> None:
    world = World(Wants("enable_cache", False, "meta"))
    world.run(FIRST + SLACK, query_type="meta")
    assert not world.configs.for_type("meta").enable_cache
    world.feed(300, partial=True)  # factual recalls fail, which says nothing about meta
    assert all(d.action is not Action.ROLLBACK for d in world.step())
    world.feed(100, partial=True, query_type="meta")
    assert [d.action for d in world.step()] == [Action.ROLLBACK]


@pytest.mark.slow
def test_the_model_policy_sets_timeouts_and_a_switch_keeps_the_order() -> None:
    world = TunedConfigs(ModelPolicy())
    for i in range(1200):
        world.clock.now += 0.5
        slow = 400.0 * (1 + i % 40)  # up to 16 s
        world.profiler.record_query(
            QueryMetrics(
                *("q", "?", "factual", world.clock.now - slow / 1000, slow, None, False, 1),
                ["graph"],
                {"graph": slow},
                True,
                tasks=(LayerTask("graph", 0.0, 0.0, slow, 1),),
            )
        )
        world.step()
    assert any(r.parameter == "timeout_seconds" for d in world.decisions for r in d.reasons)
    assert world.configs.default.config.timeout_seconds > 15.0
    proposed = []
    for strategy in (TuningStrategy.LATENCY, TuningStrategy.BALANCED, TuningStrategy.THROUGHPUT):
        world.tuner.update_strategy(strategy)
        proposed.append(world.tuner.propose().after.timeout_seconds)
    assert proposed[0] <= proposed[1] <= proposed[2] <= 30.0
