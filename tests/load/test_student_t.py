"""Quantiles of Student's t are those of the printed tables."""

from __future__ import annotations

import math

import pytest

from athena_tuning.load.student_t import two_sided

# NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2: upper critical values by degrees of freedom,
# for the one-sided probabilities 0.95, 0.975 and 0.995, which are 90 %, 95 % and 99 % on both sides.
CONFIDENCES = (0.90, 0.95, 0.99)
TABLE = {
    1: (6.314, 12.706, 63.657),
    2: (2.920, 4.303, 9.925),
    3: (2.353, 3.182, 5.841),
    4: (2.132, 2.776, 4.604),
    5: (2.015, 2.571, 4.032),
    9: (1.833, 2.262, 3.250),
    10: (1.812, 2.228, 3.169),
    19: (1.729, 2.093, 2.861),
    20: (1.725, 2.086, 2.845),
    29: (1.699, 2.045, 2.756),
    30: (1.697, 2.042, 2.750),
    39: (1.685, 2.023, 2.708),
    100: (1.660, 1.984, 2.626),
}


@pytest.mark.parametrize("degrees", TABLE)
def test_quantiles_of_students_t_are_those_of_the_table(degrees: int) -> None:
    quantiles = [two_sided(confidence, degrees) for confidence in CONFIDENCES]
    assert quantiles == pytest.approx(TABLE[degrees], abs=0.00051)


@pytest.mark.parametrize("confidence", [0.01, 0.5, 0.95, 0.999, 0.999999])
def test_quantiles_of_one_and_two_degrees_are_their_closed_forms(confidence: float) -> None:
    assert two_sided(confidence, 1) == pytest.approx(math.tan(math.pi * confidence / 2), rel=1e-9)
    closed = confidence * math.sqrt(2 / ((1 - confidence) * (1 + confidence)))
    assert two_sided(confidence, 2) == pytest.approx(closed, rel=1e-9)


def test_quantiles_of_students_t_fall_to_those_of_the_normal_law() -> None:
    quantiles = [two_sided(0.95, degrees) for degrees in range(1, 2000)]
    assert quantiles == sorted(quantiles, reverse=True)
    assert quantiles[-1] == pytest.approx(1.959964, abs=2e-3)
    assert quantiles[-1] > 1.959964


@pytest.mark.parametrize(("confidence", "degrees"), [(1.0, 5), (-0.1, 5), (math.nan, 5), (0.95, 0)])
def test_what_has_no_quantile_of_students_t_is_refused(confidence: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        two_sided(confidence, degrees)
