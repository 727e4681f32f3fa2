from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from athena_tuning.tuning.contention import ContentionLaw, Levels, capacity, fit, nonnegative, overlap


def levels(law: ContentionLaw, seen: range | list[int], tasks: int = 150, spread: float = 0.3) -> Levels:
    rng, made = random.Random(7), Levels()
    for n in seen:
        for i in range(tasks):
            made.add(n, n, 10 * law.factor(n) * math.exp(rng.gauss(0, spread) - spread**2 / 2), i)
    return made


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
    found = fit(levels(truth, range(1, 21)))
    assert found is not None
    for n in (2, 5, 10, 20):
        assert found.factor(n) / found.factor(1) == pytest.approx(truth.factor(n), rel=0.15)
    assert found.work_ms == pytest.approx(10, rel=0.15)


def test_it_follows_a_measured_curve_that_no_sum_of_convex_terms_has() -> None:
    curve = {1: 1.0, 2: 1.31, 3: 2.16, 4: 3.19, 5: 3.7, 6: 4.3}
    seen, rng = Levels(), random.Random(3)
    for n, factor in curve.items():
        for i in range(200):
            seen.add(n, n, 10 * factor * math.exp(rng.gauss(0, 0.3)), i)
    found = fit(seen)
    assert found is not None
    ratio = {n: n / found.factor(n) for n in curve}
    assert max(ratio, key=lambda n: ratio[n]) == 2


def test_a_backend_with_slots_is_flat_up_to_them() -> None:
    found = fit(levels(ContentionLaw(knees=((10, 0.1),)), range(1, 21), tasks=200, spread=0.2))
    assert found is not None
    best = max(range(1, 31), key=lambda n: capacity(n, {"x": 1.0}, {"x": found}))
    assert 8 <= best <= 14 or capacity(20, {"x": 1}, {"x": found}) < 1.1 * capacity(
        10, {"x": 1}, {"x": found}
    )


def test_too_few_tasks_give_no_law_and_one_level_says_that_it_is_one() -> None:
    assert fit(Levels()) is None
    assert fit(levels(ContentionLaw(), [3], tasks=5)) is None
    found = fit(levels(ContentionLaw(), [5]))
    assert found is not None
    assert (found.levels, found.largest, found.trusted) == (1, 5, 7)


def test_levels_forget_what_is_old_and_keep_what_is_rare() -> None:
    seen = Levels()
    for position in range(1000):
        seen.add(2 if position else 7, 2.0, 1.0, position)
    assert set(seen.taken) == {2, 7}
    seen.forget(900)
    assert set(seen.taken) == {2}
    assert len(seen.taken[2]) == 100


@settings(max_examples=80)
@given(st.integers(1, 6), st.integers(0, 10_000))
def test_nonnegative_least_squares_agrees_with_scipy(columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(12, columns)), rng.normal(size=12)
    _expected, residual = nnls(a, b)
    found = np.array(nonnegative(a, b))
    assert (found >= 0).all()
    assert float(np.linalg.norm(a @ found - b)) == pytest.approx(residual, rel=1e-6, abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.01, 5)), min_size=1, max_size=30))
def test_overlap_is_the_mean_number_in_flight_of_each_task(spans: list[tuple[float, float]]) -> None:
    start = [a for a, _ in spans]
    end = [a + d for a, d in spans]
    for i, mean in enumerate(overlap(start, end)):
        shared = sum(max(0.0, min(end[i], e) - max(start[i], s)) for s, e in zip(start, end, strict=True))
        assert mean == pytest.approx(max(1.0, shared / (end[i] - start[i])), rel=1e-6)


def test_capacity_is_slots_over_the_time_a_recall_holds_them() -> None:
    assert capacity(4, {"semantic": 0.01, "graph": 0.03}, {}) == pytest.approx(100)
    law = ContentionLaw(sigma=1.0)
    assert capacity(4, {"semantic": 0.01}, {"semantic": law}) == pytest.approx(100)


def test_a_law_is_not_asked_for_less_than_one_task() -> None:
    with pytest.raises(ValueError, match="at least one task"):
        ContentionLaw().factor(0.5)
