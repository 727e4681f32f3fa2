from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.model import TuningConfig
from athena_tuning.tuning.estimation.concurrency_levels import MOST, Levels, time_beside
from athena_tuning.tuning.estimation.telemetry import Telemetry
from athena_tuning.tuning.settings import CONTENTION
from athena_tuning.tuning.simulation.simulator import Simulation
from athena_tuning.tuning.trace import Arrival, Trace

KEPT = CONTENTION.kept


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.01, 5)), min_size=1, max_size=30))
def test_time_beside_others_adds_up_to_each_tasks_time_and_to_what_all_shared(
    spans: list[tuple[float, float]],
) -> None:
    start = [a for a, _ in spans]
    end = [a + d for a, d in spans]
    beside = time_beside(start, end)
    numbers = np.arange(1, beside.shape[1] + 1)
    for i, row in enumerate(beside):
        shared = sum(max(0.0, min(end[i], e) - max(start[i], s)) for s, e in zip(start, end, strict=True))
        assert row.sum() == pytest.approx(end[i] - start[i], rel=1e-6)
        assert row @ numbers == pytest.approx(shared, rel=1e-6)


def test_more_in_flight_than_are_told_apart_count_as_the_most() -> None:
    beside = time_beside([0.0] * 200, [1.0] * 200)
    assert beside.shape == (200, MOST)
    assert beside[:, MOST - 1].tolist() == pytest.approx([1.0] * 200)


def test_groups_forget_what_is_old_and_keep_what_is_rare() -> None:
    levels = Levels().after([7], np.array([[0.0, 3.0]]), [0])
    levels = levels.after([2] * 3 * KEPT, np.ones((3 * KEPT, 1)), range(1, 3 * KEPT + 1))
    assert levels.tasks[6] == pytest.approx(1)
    assert KEPT * 0.9 < levels.tasks[1] <= KEPT
    levels = levels.without(1)
    assert levels.tasks[6] == 0
    assert levels.tasks[1] > 0


def test_a_group_remembers_what_newer_tasks_met() -> None:
    levels = Levels().after([1] * 100, np.full((100, 1), 10.0), range(100))
    levels = levels.after([1] * 5 * KEPT, np.full((5 * KEPT, 1), 20.0), range(5 * KEPT))
    assert levels.beside[0, 0] / levels.tasks[0] == pytest.approx(20, rel=0.01)


def test_a_kink_stays_a_kink_though_tasks_meet_changing_numbers() -> None:
    def slow(n: int) -> float:
        return 1.0 if n <= 4 else n / 4 + 0.2 * (n - 4)

    rng, now, arrivals = random.Random(5), 0.0, []
    for _ in range(6000):
        now += rng.expovariate(200)
        arrivals.append(Arrival(now, "meta", (("semantic", 0.01 * rng.lognormvariate(0, 0.5)),)))
    simulation = Simulation(Trace(tuple(arrivals)), TuningConfig(max_concurrent=7), {"semantic": slow}).run()
    telemetry = Telemetry().after(simulation.record(recall, 1000.0) for recall in simulation.finished)
    found = telemetry.contention.curve
    assert found is not None
    factor = dict(zip(found.n.tolist(), found.slow.tolist(), strict=True))
    assert factor[4] / factor[2] == pytest.approx(1.0, abs=0.2)
    assert factor[6] / factor[4] == pytest.approx(slow(6), rel=0.2)
