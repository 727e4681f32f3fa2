"""Second calls in virtual time: within budget and room, the first answer counts, nothing is held twice."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.hedging import SHARE
from athena_tuning.model import TaskOutcome, TuningConfig
from athena_tuning.tuning.simulation.hedged import HedgedSimulation, simulation_of
from athena_tuning.tuning.simulation.simulator import Simulation
from athena_tuning.tuning.trace import Arrival, Trace

LAYERS = ("graph", "semantic")
CONFIG = TuningConfig(max_concurrent=10, timeout_seconds=60.0)
HEDGED = replace(CONFIG, hedged_layers=frozenset(LAYERS))


def blips(busy: float = 0.3, recalls: int = 3000, seed: int = 1) -> Trace:
    rng, now, arrivals = random.Random(seed), 0.0, []
    for _ in range(recalls):
        now += rng.expovariate(busy * 10 / 0.048)
        works = tuple((layer, 0.02 * (20 if rng.random() < 0.01 else 1)) for layer in LAYERS)
        arrivals.append(Arrival(now, "factual", works))
    return Trace(tuple(arrivals))


def p99(simulation: Simulation) -> float:
    return float(np.percentile(simulation.run().result().latency_ms, 99))


@pytest.mark.parametrize("slow", [{}, {"graph": lambda n: 1 + 0.02 * n}])
def test_second_calls_cut_the_tail_of_slow_calls_within_the_budget(slow: dict[str, object]) -> None:
    trace = blips()
    hedged = HedgedSimulation(trace, HEDGED, slow)  # type: ignore[arg-type]
    assert p99(Simulation(trace, CONFIG, slow)) > 4 * p99(hedged)  # type: ignore[arg-type]
    again = int(hedged.result().again.sum())
    assert 20 < again <= SHARE * 2 * len(trace)
    assert hedged.in_flight == 0


def test_without_hedged_layers_all_is_as_without_second_calls() -> None:
    trace = blips()
    plain, other = Simulation(trace, CONFIG).run().result(), HedgedSimulation(trace, CONFIG).run().result()
    assert (plain.latency_ms == other.latency_ms).all()
    assert not other.again.any()
    assert type(simulation_of(trace, CONFIG, {}, admission=True)) is Simulation
    assert type(simulation_of(trace, HEDGED, {}, admission=True)) is HedgedSimulation
    done = simulation_of(trace, HEDGED, {}, admission=True, answered=frozenset(LAYERS))
    assert type(done) is Simulation


def test_a_busy_limit_makes_second_calls_rare() -> None:
    calm, busy = (HedgedSimulation(blips(b), HEDGED).run().result().again.mean() for b in (0.3, 0.95))
    assert busy < calm / 5


def test_a_record_tells_the_second_call_and_which_of_the_two_answered() -> None:
    trace = blips()
    hedged = HedgedSimulation(trace, HEDGED).run()
    result = hedged.result()
    outcomes = set()
    for recall in np.flatnonzero(result.again).tolist():
        record = hedged.record(recall)
        by_name = {task.layer: task for task in record.tasks}
        seconds = [task for task in record.tasks if task.is_second_call]
        assert len(seconds) == result.again[recall]
        for second in seconds:
            first = by_name[second.layer.removesuffix(" (2nd)")]
            assert second.offset_ms >= first.offset_ms + first.queue_ms
            assert second.offset_ms + second.service_ms == pytest.approx(
                first.offset_ms + first.queue_ms + first.service_ms
            )
            outcomes.add(second.outcome)
        held = sum(task.service_ms for task in record.tasks)
        assert result.held_ms[recall] == pytest.approx(held)
    assert TaskOutcome.OK in outcomes


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 1000),
    st.integers(1, 12),
    st.sampled_from([None, 0.05, 0.3]),
    st.sampled_from([0.06, 60.0]),
    st.booleans(),
)
def test_every_recall_ends_and_every_slot_comes_back(
    seed: int, limit: int, deadline: float | None, timeout: float, parallel: bool
) -> None:
    trace = blips(0.6, 200, seed)
    config = replace(
        HEDGED,
        max_concurrent=limit,
        deadline_seconds=deadline,
        timeout_seconds=timeout,
        enable_parallel=parallel,
        hedging_quantile=0.5,
    )
    simulation = HedgedSimulation(trace, config, {"graph": lambda n: 1 + 0.1 * n}).run()
    result = simulation.result()
    assert simulation.over
    assert simulation.in_flight == 0
    assert (result.held_ms >= 0).all()
    assert len(simulation.finished) == len(set(simulation.finished)) == len(trace)
