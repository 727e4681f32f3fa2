from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.model import TuningConfig, TuningStrategy
from athena_tuning.tuning.simulation.objective import Score, objective, p99, p99_for, score
from athena_tuning.tuning.simulation.simulator import simulate
from athena_tuning.tuning.trace import Arrival, Trace

BASE = Score(p99_ms=100, per_second=50, slot_seconds=0.02)
TIMES = st.floats(0.001, 1e5)
SCORES = st.builds(Score, TIMES, TIMES, TIMES)


def test_each_strategy_weighs_what_it_wants() -> None:
    better = Score(p99_ms=50, per_second=100, slot_seconds=0.01)
    half = -math.log(2)
    for strategy in TuningStrategy:
        assert objective(strategy, better, BASE) == pytest.approx(half)
    slower = replace(BASE, p99_ms=200)
    assert objective(TuningStrategy.LATENCY, slower, BASE) == pytest.approx(-half)
    assert objective(TuningStrategy.BALANCED, slower, BASE) == pytest.approx(-0.7 * half)


@pytest.mark.parametrize(
    ("strategy", "allowed"), [(TuningStrategy.THROUGHPUT, 1.5), (TuningStrategy.COST, 1.25)]
)
def test_p99_may_grow_so_far_and_costs_its_excess_beyond(strategy: TuningStrategy, allowed: float) -> None:
    assert objective(strategy, replace(BASE, p99_ms=100 * allowed), BASE) == pytest.approx(0)
    found = objective(strategy, replace(BASE, p99_ms=200 * allowed), BASE)
    assert found == pytest.approx(math.log(2))


def test_what_is_refused_counts_beside_the_p99_of_the_answered_and_is_bounded() -> None:
    some, all_of_them = replace(BASE, refused_rate=0.01), replace(BASE, refused_rate=1.0)
    assert objective(TuningStrategy.LATENCY, some, BASE) == pytest.approx(math.log(2))
    assert objective(TuningStrategy.LATENCY, all_of_them, BASE) == pytest.approx(math.log(101))
    assert objective(TuningStrategy.COST, some, BASE) == pytest.approx(math.log(2 / 1.25))


@pytest.mark.parametrize("rate", ["success_rate", "full_rate"])
def test_no_gain_buys_failures_or_partial_answers(rate: str) -> None:
    gain = Score(p99_ms=1, per_second=1000, slot_seconds=0.001)
    for strategy in TuningStrategy:
        assert objective(strategy, replace(gain, **{rate: 0.98}), BASE) == math.inf
        assert objective(strategy, replace(gain, **{rate: 0.995}), BASE) < 0


@given(SCORES, st.sampled_from(list(TuningStrategy)))
def test_a_config_is_as_good_as_itself(one: Score, strategy: TuningStrategy) -> None:
    assert objective(strategy, one, one) == 0


@given(SCORES, SCORES)
def test_balanced_and_latency_compare_the_same_both_ways_round(one: Score, other: Score) -> None:
    for strategy in (TuningStrategy.LATENCY, TuningStrategy.BALANCED):
        there, back = objective(strategy, one, other), objective(strategy, other, one)
        assert there == pytest.approx(-back, abs=1e-9)


@given(st.lists(TIMES, min_size=1, max_size=400))
def test_p99_is_the_sorted_value_at_its_place(values: list[float]) -> None:
    assert p99(np.array(values)) == sorted(values)[int(0.99 * len(values))]


def test_a_score_counts_slot_time_rates_and_what_was_done() -> None:
    arrivals = tuple(Arrival(float(i), "meta", (("semantic", 0.1 if i else 9.0),)) for i in range(20))
    found = score(simulate(Trace(arrivals), TuningConfig(timeout_seconds=5.0)))
    assert found.success_rate == pytest.approx(0.95)
    assert found.full_rate == pytest.approx(0.95)
    assert found.slot_seconds == pytest.approx((5.0 + 19 * 0.1) / 19)
    assert found.per_second == pytest.approx(20 / 19.1)


def test_hits_are_no_part_of_p99_and_a_warm_up_is_left_out() -> None:
    arrivals = tuple(
        Arrival(float(i), "meta", (("semantic", 0.5 if i < 5 else 0.1),), "same") for i in range(200)
    )
    run = simulate(Trace(arrivals), TuningConfig())
    assert score(run).p99_ms == pytest.approx(500)
    run = simulate(Trace(arrivals), TuningConfig(enable_cache=False))
    assert score(run, first=5).p99_ms == pytest.approx(100)


@pytest.mark.parametrize("strategy", TuningStrategy)
@given(
    value=st.floats(-1.0, 2.0),
    per_second=st.floats(20.0, 300.0),
    p99_ms=st.floats(1.0, 5000.0),
    slot_seconds=st.floats(0.005, 0.2),
    refused=st.floats(0.0, 0.3),
)
def test_a_p99_above_what_an_objective_allows_never_has_that_objective(
    strategy: TuningStrategy,
    value: float,
    per_second: float,
    p99_ms: float,
    slot_seconds: float,
    refused: float,
) -> None:
    achieved = Score(p99_ms, per_second, slot_seconds, refused_rate=refused)
    if p99_ms > p99_for(strategy, value, BASE, per_second, 0.005) * (1 + 1e-9):
        assert objective(strategy, achieved, BASE) > value
