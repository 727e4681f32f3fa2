"""What an interval holds: what replicates differ by, the simulator's error, a tail without a variance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from athena_tuning.tuning.settings import WHAT_IF
from athena_tuning.tuning.simulation.intervals import Doubt, change, level, share

SLOWEST = Doubt(of_tail=True)


def row(*values: float) -> np.ndarray:
    return np.array(values)


def test_what_differs_in_no_replicate_is_exactly_the_same() -> None:
    assert change(np.zeros(17), SLOWEST) == (0.0, 0.0, 0.0)


def test_a_change_is_the_mean_and_its_interval_the_usual_one_where_replicates_are_alike_on_both_sides() -> (
    None
):
    around = row(0.3, *[0.2, 0.4] * 8)
    value, low, high = change(around)
    away = math.hypot(WHAT_IF.t * 0.1, WHAT_IF.least_error)
    assert (value, low, high) == pytest.approx((0.3, 0.3 - away, 0.3 + away))


def test_a_change_of_the_slowest_that_no_replicate_denies_leaves_out_nothing_at_all() -> None:
    all_gain = -row(0.45, 0.2, 0.1, 0.5, 0.3, 0.5, 0.7, 0.7, 0.5, 0.4, 0.8, 0.6, 0.3, 0.5, 0.4, 0.6, 0.2)
    denied = all_gain.copy()
    denied[3] = 0.01
    sure, unsure, typical = change(all_gain, SLOWEST), change(denied, SLOWEST), change(all_gain)
    assert sure.high < 0 < unsure.high
    assert typical.high > sure.high
    assert change(-all_gain, SLOWEST) == pytest.approx((-sure.value, -sure.high, -sure.low))


def test_what_the_simulator_misses_the_base_by_takes_sureness_away() -> None:
    gain = -row(*np.linspace(0.05, 0.25, 17))
    assert change(gain, SLOWEST).high < 0
    assert change(gain, Doubt(0.3, of_tail=True)).high >= 0


def test_one_replicate_that_runs_away_does_not_make_the_slowest_unknown() -> None:
    runs_away = row(0.0, *[-0.1, 0.1] * 7, 0.0, 5.0)
    assert change(runs_away, SLOWEST).low > change(runs_away).low - 0.5
    assert change(runs_away, SLOWEST).high < 5.0 + WHAT_IF.beyond * 5.1 + 0.1


def test_works_without_a_variance_widen_what_replicates_differ_by() -> None:
    around = row(0.0, *[-0.1, 0.1] * 8)
    once, twice = change(around), change(around, Doubt(widened=2.0))
    assert twice.high == pytest.approx(math.hypot(2 * WHAT_IF.t * 0.1, WHAT_IF.least_error))
    assert once.high < twice.high


def test_figures_are_those_of_the_recorded_recalls_and_a_share_stays_one() -> None:
    assert level(row(100.0, 90.0, 120.0)).value == 100.0
    assert share(row(0.01, 0.0, 0.2)).low == 0.0
    assert share(row(0.99, 0.2, 1.0)).high == 1.0
