"""Second calls are proposed where they pay by simulation, and end where few of them answer first."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from athena_tuning.model import (
    Action,
    ConfigSet,
    Decision,
    LayerTask,
    QueryMetrics,
    TaskOutcome,
    TuningBounds,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.testing.virtual_manager import VirtualManager
from athena_tuning.tuning.estimation.telemetry import Telemetry
from athena_tuning.tuning.evidence import Evidence, pack, unpack
from athena_tuning.tuning.policies.advisors import Advice
from athena_tuning.tuning.policies.hedging_advisor import HedgingAdvisor
from athena_tuning.tuning.policies.model_policy import ModelPolicy
from athena_tuning.tuning.simulation.hedged import HedgedSimulation
from athena_tuning.tuning.simulation.what_if import what_if, with_config
from athena_tuning.tuning.slices import run_through
from athena_tuning.tuning.trace import Arrival, Trace

LAYERS = ("graph", "semantic")
BEGAN = 1_750_000_000.0


def records(busy: float, blips: float, recalls: int = 1500) -> list[QueryMetrics]:
    rng, now, made = random.Random(1), BEGAN, []
    for i in range(recalls):
        now += rng.expovariate(busy * 10 / 0.048)
        times = {name: 20.0 * (20 if rng.random() < blips else rng.uniform(0.9, 1.1)) for name in LAYERS}
        tasks = tuple(LayerTask(name, 0.0, 0.0, ms, 1) for name, ms in times.items())
        latency = max(times.values())
        head = (f"q{i}", f"text {i}", "factual", now, latency, None, False, 1, list(LAYERS), times, True)
        made.append(QueryMetrics(*head, tasks=tasks))
    return made


def seen(
    came: list[QueryMetrics],
    idempotent: tuple[str, ...] = LAYERS,
    strategy: TuningStrategy = TuningStrategy.LATENCY,
    hedged: tuple[str, ...] = (),
) -> Evidence:
    config = TuningConfig(10, 60.0, strategy=strategy, hedged_layers=frozenset(hedged))
    configs = ConfigSet(default=replace(ConfigSet().default, config=config))
    telemetry = Telemetry().after(sorted(came, key=lambda m: m.timestamp + (m.latency_ms or 0) / 1000))
    return Evidence(
        *(configs, strategy, TuningBounds(), 10, 100, came[-1].timestamp),
        telemetry=telemetry,
        idempotent=frozenset(idempotent),
    )


def advice(evidence: Evidence) -> Advice | None:
    advisor = HedgingAdvisor()
    found = run_through(advisor.review(evidence, advisor.finding()))  # type: ignore[arg-type]
    return advisor.advise(evidence, found, "all")


def called_again(won: float, ran_ms: float = 40.0, recalls: int = 400) -> list[QueryMetrics]:
    rng, came = random.Random(2), records(0.2, 0.0, recalls)
    for i in range(0, recalls, 5):
        first = came[i].tasks[0]
        outcome = TaskOutcome.OK if rng.random() < won else TaskOutcome.TIMEOUT
        second = first._replace(layer="graph (2nd)", offset_ms=20.0, service_ms=ran_ms, outcome=outcome)
        came[i] = came[i]._replace(tasks=(*came[i].tasks, second))
    return came


def test_second_calls_are_proposed_where_a_call_in_a_hundred_is_slow() -> None:
    made = advice(seen(records(0.3, 0.01)))
    assert made is not None
    assert made.material
    assert made.values == {"hedged_layers": ["graph", "semantic"]}
    [reason] = made.reasons
    assert reason.inputs["then_ms"] < reason.inputs["p99_ms"] / 3
    assert 0 < reason.inputs["second_calls"] <= 0.05
    assert "p99" in made.summary
    assert "more calls" in made.summary


def test_only_layers_that_say_that_they_are_idempotent_are_called_twice() -> None:
    came = records(0.3, 0.01)
    one = advice(seen(came, ("graph",)))
    assert one is None or one.values == {"hedged_layers": ["graph"]}
    assert advice(seen(came, ())) is None
    assert advice(seen(came, ("elsewhere",))) is None


@pytest.mark.parametrize(
    ("busy", "blips", "strategy"),
    [
        (0.3, 0.0, TuningStrategy.LATENCY),
        (0.3, 0.01, TuningStrategy.COST),
        (0.3, 0.01, TuningStrategy.THROUGHPUT),
    ],
)
def test_nothing_is_proposed_where_nothing_is_slow_or_another_thing_is_wanted(
    busy: float, blips: float, strategy: TuningStrategy
) -> None:
    made = advice(seen(records(busy, blips), strategy=strategy))
    if strategy is TuningStrategy.COST and made is not None:  # a cancelled slow call holds its slot no longer
        assert made.predicted is not None
        assert made.predicted < 0
    else:
        assert made is None


def test_second_calls_end_where_few_of_them_answer_first() -> None:
    made = advice(seen(called_again(0.1), hedged=("graph", "semantic")))
    assert made is not None
    assert made.back
    assert made.values == {"hedged_layers": ["semantic"]}
    assert "graph are no longer made again" in made.summary
    assert advice(seen(called_again(1.0, ran_ms=20.0), hedged=("graph", "semantic"))) is None
    few = called_again(0.02, ran_ms=1.0)  # the first ones answered before any second one could have
    assert advice(seen(few, hedged=("graph", "semantic"))) is None


def test_second_calls_are_part_of_packed_evidence() -> None:
    evidence = seen(called_again(0.1), hedged=("graph",))
    back = unpack(pack(evidence))
    assert back.idempotent == evidence.idempotent
    assert [r.second for r in back.telemetry.recalls] == [r.second for r in evidence.telemetry.recalls]
    assert advice(back) == advice(evidence)


def test_what_if_tells_the_tail_with_second_calls_and_how_many_there_would_be() -> None:
    base = with_config(ConfigSet(), "all", max_concurrent=10, timeout_seconds=60.0)
    hedged = with_config(base, "all", hedged_layers=frozenset(LAYERS))
    answer = run_through(what_if(records(0.2, 0.02), base, {"hedged": hedged}))
    [outcome] = answer.outcomes
    assert outcome.p99_change.high < 0
    assert outcome.p99_ms.value < answer.base.p99_ms.value / 3
    assert answer.base.second_calls.value == 0
    assert 0.005 < outcome.second_calls.value <= 0.05


def test_recalls_that_were_called_twice_are_taken_as_they_were() -> None:
    base = with_config(ConfigSet(), "all", max_concurrent=10, timeout_seconds=60.0)
    hedged = with_config(base, "all", hedged_layers=frozenset({"graph"}))
    [outcome] = run_through(what_if(called_again(0.5), base, {"hedged": hedged})).outcomes
    assert outcome.second_calls.value == 0
    assert outcome.p99_change.value == 0


def virtual_manager(same_again: bool) -> VirtualManager:
    rng, now, arrivals = random.Random(4), 0.0, []
    for _ in range(5000):
        now += rng.expovariate(50)
        works = tuple((n, 0.02 * (20 if rng.random() < 0.015 else rng.uniform(0.7, 1.3))) for n in LAYERS)
        arrivals.append(Arrival(now, "factual", works))
    trace, start = Trace(tuple(arrivals)), TuningConfig(10, 60.0, strategy=TuningStrategy.LATENCY)
    manager = VirtualManager(trace, ModelPolicy(), None, start)
    simulated = SlowQuestions if same_again else HedgedSimulation
    manager.simulation = simulated(trace, manager.configs)
    manager.tuner.idempotent = frozenset(LAYERS)
    return manager.run()


class SlowQuestions(HedgedSimulation):
    """A second call takes as long as the first: the question is slow."""

    def _call_again(self, t: int) -> None:
        layer = self._layer[t]
        drawn, self._works[layer] = self._works[layer], [self._work[t]]
        super()._call_again(t)
        self._works[layer] = drawn


def hedging(manager: VirtualManager) -> list[Decision]:
    return [d for d in manager.decisions if d.before.hedged_layers != d.after.hedged_layers]


@pytest.mark.slow
def test_the_tuner_tries_second_calls_and_keeps_them_where_calls_are_slow_by_chance() -> None:
    manager = virtual_manager(same_again=False)
    [made] = hedging(manager)
    assert manager.configs.default.config.hedged_layers == set(LAYERS)
    assert any(d.action is Action.CONFIRM and d.verdict_on == made.decision_id for d in manager.decisions)
    latency = manager.simulation.result().latency_ms
    assert np.percentile(latency[:500], 98) > 4 * np.percentile(latency[-1500:], 98)


@pytest.mark.slow
def test_the_tuner_takes_second_calls_back_where_questions_are_slow() -> None:
    manager = virtual_manager(same_again=True)
    tried, back = hedging(manager)[:2]
    assert (tried.after.hedged_layers, back.after.hedged_layers) == (set(LAYERS), set())
    assert "answered first" in back.summary
    assert not manager.configs.default.config.hedged_layers
