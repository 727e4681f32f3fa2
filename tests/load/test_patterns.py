"""Arrivals are as bursty, as many and as shaped as was asked; the same seed is the same arrivals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.load.bursts import Burstiness
from athena_tuning.load.patterns import PATTERNS, bursty, day, ramp, replay, spacing, spike, steady


@pytest.mark.parametrize("name", PATTERNS)
@settings(deadline=None)
@given(rate=st.floats(0.5, 200), duration=st.floats(5, 300), seed=st.integers(0, 2**32))
def test_arrivals_ascend_within_the_run_and_follow_the_seed(name, rate, duration, seed):
    times = PATTERNS[name](rate, duration, np.random.default_rng(seed))
    again = PATTERNS[name](rate, duration, np.random.default_rng(seed))
    assert np.array_equal(times, again)
    assert (np.diff(times) >= 0).all()
    assert len(times) == 0 or (times[0] >= 0 and times[-1] <= duration)


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_has_the_mean_rate_that_was_asked_for(name):
    times = PATTERNS[name](50, 2000, np.random.default_rng(3))
    assert len(times) / 2000 == pytest.approx(50, rel=0.05)


def test_steady_arrivals_are_poisson():
    measured = spacing(steady(20, 20_000, np.random.default_rng(1)), 20_000, 10)
    assert measured.cv == pytest.approx(1, abs=0.02)
    assert measured.dispersion == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize(("cv", "dispersion"), [(1.3, 50), (1.33, 64), (2.0, 200), (3.0, 500)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bursts_have_the_cv_and_the_dispersion_that_were_asked_for(cv, dispersion, seed):
    times = bursty(8, 4 * 3600, np.random.default_rng(seed), Burstiness(cv, dispersion))
    measured = spacing(times, 4 * 3600)
    assert measured.cv == pytest.approx(cv, rel=0.1)
    assert measured.dispersion == pytest.approx(dispersion, rel=0.1)


def test_bursts_that_exclude_each_other_are_refused_with_a_cv_that_would_do():
    with pytest.raises(ValueError, match=r"CV of at least \d"):
        bursty(2, 3600, np.random.default_rng(1), Burstiness(cv=0.5, dispersion=80))
    with pytest.raises(ValueError, match="alone makes the dispersion larger"):
        bursty(2, 3600, np.random.default_rng(1), Burstiness(cv=3, dispersion=2))
    with pytest.raises(ValueError, match="out of reach"):
        bursty(0.1, 3600, np.random.default_rng(1), Burstiness(cv=3, dispersion=500))


def _counts(times, duration, parts):
    return np.histogram(times, bins=parts, range=(0, duration))[0]


def test_a_ramp_ends_nine_times_as_busy_as_it_begins():
    counts = _counts(ramp(200, 1000, np.random.default_rng(1)), 1000, 100)
    assert counts[-1] / counts[0] == pytest.approx(1.792 / 0.208, rel=0.15)


def test_a_spike_is_five_times_its_surroundings_and_in_the_middle():
    counts = _counts(spike(200, 1000, np.random.default_rng(1)), 1000, 20)
    assert counts[9] / counts[:8].mean() == pytest.approx(5, rel=0.1)
    assert counts[10] / counts[12:].mean() == pytest.approx(5, rel=0.1)


def test_a_day_is_quiet_before_dawn_and_busiest_at_lunch():
    counts = _counts(day(500, 240, np.random.default_rng(1)), 240, 24)
    assert int(counts.argmax()) in {11, 12, 13}
    assert int(counts.argmin()) in {*range(6), 23}
    assert 1.5 < counts.max() / counts.min() < 3.0


def test_a_replay_keeps_the_gaps_and_scales_them():
    assert replay([50.0, 10.0, 30.0], speed=10).tolist() == [0.0, 2.0, 4.0]


@pytest.mark.parametrize(("times", "speed"), [([], 1), ([1.0, float("nan")], 1), ([1.0], 0), ([1.0], -2)])
def test_a_replay_of_nothing_or_at_no_speed_is_refused(times, speed):
    with pytest.raises(ValueError, match=r"replay|speed"):
        replay(times, speed)
