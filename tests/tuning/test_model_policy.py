"""The model policy against a simulated manager: what it decides, when, and what it says about it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from athena_tuning.model import Action, ConfigSet, ConfigVersion, Decision, Mode, TuningConfig, TuningStrategy
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning import AutoTuner
from athena_tuning.tuning.policies.model_policy import LEAST, REPEATED, ModelPolicy
from athena_tuning.tuning.simulation.simulator import Simulation, Slowdown
from athena_tuning.tuning.trace import Ask, Trace

EPOCH = 1_750_000_000.0
LATENCY = TuningStrategy.LATENCY


class World:
    """A simulated manager that a tuner steers four times a second."""

    def __init__(self, trace: Trace, slow: dict[str, Slowdown] | None = None, *, apply: bool = True) -> None:
        self.now = EPOCH
        self.profiler = PerformanceProfiler(clock=lambda: self.now)
        self.policy = ModelPolicy()
        self.tuner = AutoTuner(self.profiler, LATENCY, policy=self.policy, clock=lambda: self.now)
        start = replace(ConfigSet().default, config=TuningConfig(strategy=LATENCY), mode=Mode.AUTO)
        self.configs = ConfigSet(default=start)
        self.tuner.in_force(self.configs)
        self.decisions: list[Decision] = []
        self._simulation = Simulation(trace, self.configs, slow)
        self._recorded, self._apply = 0, apply

    def run(self) -> World:
        while not self._simulation.over:
            self.now += 0.25
            self._simulation.run(self.now - EPOCH)
            for recall in self._simulation.finished[self._recorded :]:
                self.profiler.record_query(self._simulation.record(recall, EPOCH))
            self._recorded = len(self._simulation.finished)
            self.profiler.fold()
            for made in self.tuner.step(self.configs, self.now):
                self.decisions.append(made)
                if self._apply and made.after != made.before:
                    self._put(made)
        return self

    def _put(self, made: Decision) -> None:
        number = self.configs.head + 1
        version = ConfigVersion(number, number - 1, made.scope, made.after, Mode.AUTO, "tuner", "", self.now)
        self.configs = self.configs.with_version(version)
        self._simulation.apply(self.configs)
        self.tuner.in_force(self.configs)
        self.tuner.applied(made, version)

    @property
    def limit_decisions(self) -> list[Decision]:
        return [d for d in self.decisions if d.before.max_concurrent != d.after.max_concurrent]


def trace(recalls: int, rate: float, layers: tuple[str, ...] = ("semantic", "graph")) -> Trace:
    rng, now, asks = random.Random(4), 0.0, []
    for _ in range(recalls):
        now += rng.expovariate(rate)
        works = tuple((layer, 0.02 * rng.lognormvariate(0, 0.4)) for layer in layers)
        asks.append(Ask(now, "factual", works))
    return Trace(tuple(asks))


@pytest.fixture(scope="module")
def busy() -> World:
    return World(trace(2500, 220)).run()


@pytest.fixture(scope="module")
def flat() -> World:
    return World(trace(2500, 12)).run()


def test_a_limit_that_recalls_wait_for_is_raised_tried_and_confirmed(busy: World) -> None:
    first = busy.limit_decisions[0]
    assert first.action is Action.CANARY
    assert first.after.max_concurrent > first.before.max_concurrent == 5
    assert busy.configs.default.config.max_concurrent >= 12
    confirmed = [d for d in busy.decisions if d.action is Action.CONFIRM and d.observed is not None]
    assert confirmed
    assert confirmed[0].verdict_on in {d.decision_id for d in busy.decisions}
    assert confirmed[0].observed is not None
    assert confirmed[0].observed < 0


def test_where_all_limits_are_as_good_it_says_so_and_changes_none(flat: World) -> None:
    assert not flat.limit_decisions
    kept = [d for d in flat.decisions if d.action is Action.KEEP]
    assert kept
    assert all(d.summary.startswith("No change:") for d in kept)


def test_a_decision_to_keep_tells_what_it_looked_at(flat: World) -> None:
    told = next(d for d in flat.decisions if d.action is Action.KEEP)
    assert told.samples >= LEAST
    assert 1 <= len(told.candidates) <= 3
    assert all(c.low <= c.predicted <= c.high for c in told.candidates)
    assert [c.predicted for c in told.candidates] == sorted(c.predicted for c in told.candidates)
    assert told.after == told.before


def test_limits_stay_within_the_bounds_and_changes_are_few(busy: World, flat: World) -> None:
    for world in (busy, flat):
        assert all(2 <= d.after.max_concurrent <= 20 for d in world.decisions)
        assert sum(d.after != d.before for d in world.decisions) <= 10


def test_searches_never_ask_the_law_beyond_its_trust(busy: World) -> None:
    largest = 5
    for made in busy.decisions:
        if made.candidates:
            trusted = max(1.5 * largest, largest + 1)
            assert all(c.config.max_concurrent <= trusted for c in made.candidates)
        largest = max(largest, made.after.max_concurrent)


def test_an_embedded_store_gets_fewer_at_once() -> None:
    world = World(
        trace(4000, 55, ("semantic",)), {"semantic": lambda n: 1 if n < 3 else n / 2 + 0.2 * n}
    ).run()
    assert world.configs.default.config.max_concurrent <= 4


def test_a_change_that_nobody_carries_out_is_told_once_in_a_while() -> None:
    world = World(trace(2500, 220), apply=False).run()
    told = [d.after.max_concurrent for d in world.limit_decisions]
    assert told
    for limit in set(told):
        assert told.count(limit) <= 1 + 2500 // REPEATED


def test_failures_under_a_change_roll_back_at_once_and_it_only_watches() -> None:
    world = World(trace(1800, 220))
    real = world._simulation.record

    def failing(recall: int, epoch: float = 0.0):  # type: ignore[no-untyped-def]
        m = real(recall, epoch)
        return m._replace(success=m.config_version == 0 or recall % 2 == 0)

    world._simulation.record = failing  # type: ignore[method-assign]
    world.run()
    back = next(d for d in world.decisions if d.action is Action.ROLLBACK)
    assert back.after.max_concurrent == 5
    assert "Rolled back at once" in back.summary
    later = world.limit_decisions[world.limit_decisions.index(back) + 1 :]
    assert not later


def test_below_the_least_evidence_it_proposes_what_the_rules_would() -> None:
    world = World(trace(LEAST // 2, 50)).run()
    assert world.tuner.propose().policy == "rules"
    assert World(trace(2 * LEAST, 50)).run().tuner.propose().policy == "model"


def test_a_proposal_is_kept_until_there_is_more_to_say(busy: World) -> None:
    first, second = busy.tuner.propose(), busy.tuner.propose()
    assert first.candidates is second.candidates
    by_type = busy.tuner.propose("factual")
    assert by_type.after.max_concurrent == first.after.max_concurrent
