from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.tuning.estimation.concurrency_levels import Levels
from athena_tuning.tuning.estimation.contention import Contention, ContentionLaw, capacity, nonnegative
from tests.support.examples import examples


def met(
    law: Callable[[int], float], seen: Sequence[int], tasks: int = 150, seed: int = 7
) -> dict[str, Levels]:
    """Return what tasks of 10 ms met that each ran beside a constant number of others."""
    rng, levels = random.Random(seed), Levels()
    for n in seen:
        beside = np.zeros((tasks, n))
        beside[:, n - 1] = [10 * law(n) * math.exp(rng.gauss(0, 0.3) - 0.045) for _ in range(tasks)]
        levels = levels.after([n] * tasks, beside, range(tasks))
    return {"semantic": levels}


def fit(levels: dict[str, Levels]) -> Mapping[str, ContentionLaw]:
    return Contention(levels).laws


@pytest.mark.parametrize(
    "truth",
    [
        ContentionLaw(),
        ContentionLaw(sigma=0.1),
        ContentionLaw(sigma=0.02, kappa=0.01),
        ContentionLaw(sigma=1.0),
        ContentionLaw(knees=((8, 0.4),)),
    ],
)
def test_the_fit_finds_the_law_within_what_was_seen(truth: ContentionLaw) -> None:
    found = fit(met(truth.factor, range(1, 21), tasks=400))["semantic"]
    for n in (2, 5, 10, 20):
        assert found.factor(n) == pytest.approx(truth.factor(n), rel=0.15)
    assert found.work_ms == pytest.approx(10, rel=0.15)
    assert (found.largest, found.trusted) == (20, 30)


def test_it_follows_a_measured_curve_that_no_sum_of_convex_terms_has() -> None:
    curve = {1: 1.0, 2: 1.31, 3: 2.16, 4: 3.19, 5: 3.7, 6: 4.3}
    found = fit(met(curve.__getitem__, list(curve), tasks=400))["semantic"]
    assert max(curve, key=lambda n: n / found.factor(n)) == 2


def test_a_backend_with_slots_is_flat_up_to_them() -> None:
    found = fit(met(ContentionLaw(knees=((10, 0.1),)).factor, range(1, 21), tasks=200))["semantic"]
    best = max(range(1, 31), key=lambda n: capacity(n, {"x": 1.0}, {"x": found}))
    assert 8 <= best <= 14 or capacity(20, {"x": 1}, {"x": found}) < 1.1 * capacity(
        10, {"x": 1}, {"x": found}
    )


def test_too_few_tasks_give_no_law_and_one_level_says_that_it_is_one() -> None:
    assert not fit({})
    assert not fit(met(lambda _: 1.0, [3], tasks=5))
    found = fit(met(lambda _: 1.0, [5]))["semantic"]
    assert (found.levels, found.largest, found.trusted) == (1, 5, 7)


def test_a_layer_that_feels_nothing_is_told_from_one_that_feels_all() -> None:
    embedded = met(ContentionLaw(sigma=0.8).factor, range(1, 9))["semantic"]
    remote = met(lambda _: 1.0, range(1, 9), seed=8)["semantic"]
    laws = fit({"semantic": embedded, "graph": remote})
    assert laws["semantic"].factor(8) > 4
    assert laws["graph"].factor(8) < 1.3


def test_laws_drawn_by_chance_lie_around_the_fitted_one() -> None:
    truth = ContentionLaw(sigma=0.3)
    seen, rng = met(truth.factor, range(1, 9)), np.random.default_rng(1)
    drawn = [Contention(seen).drawn(rng)["semantic"].factor(8) for _ in range(40)]
    assert min(drawn) < fit(seen)["semantic"].factor(8) < max(drawn)
    assert float(np.mean(drawn)) == pytest.approx(truth.factor(8), rel=0.2)


@settings(max_examples=examples(80))
@given(st.integers(1, 6), st.integers(0, 10_000))
def test_nonnegative_least_squares_meets_the_conditions_of_kuhn_and_tucker(columns: int, seed: int) -> None:
    """They hold at the optimum of this convex problem and nowhere else."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(12, columns)), rng.normal(size=12)
    found = np.array(nonnegative(a, b))
    rises = a.T @ (a @ found - b)
    assert (found >= 0).all()
    assert (rises > -1e-8).all()  # no value that grew would help
    assert rises[found > 0] == pytest.approx(0, abs=1e-8)  # nor one that shrank


def test_capacity_is_slots_over_the_time_a_recall_holds_them() -> None:
    assert capacity(4, {"semantic": 0.01, "graph": 0.03}, {}) == pytest.approx(100)
    law = ContentionLaw(sigma=1.0)
    assert capacity(4, {"semantic": 0.01}, {"semantic": law}) == pytest.approx(100)


def test_a_law_is_not_asked_for_less_than_one_task() -> None:
    with pytest.raises(ValueError, match="at least one task"):
        ContentionLaw().factor(0.5)
