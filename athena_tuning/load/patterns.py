"""When recalls arrive: patterns as arrival times, from a seeded generator.

Every pattern is pure: it takes a rate, a duration and a ``numpy.random.Generator``, and returns ascending
arrival times in seconds from the start of the run. The rate is the mean over the run for every pattern, so
that patterns can be compared at the same load.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from athena_tuning.load.bursts import Burstiness, burst_rate, renewals

Times = NDArray[np.float64]

RAMP_FROM, RAMP_TO = 0.2, 1.8
"""A ramp rises from and to these shares of its mean rate."""

SPIKE_HEIGHT, SPIKE_SHARE = 5.0, 0.1
"""A spike is this many times its base rate, for this share of the run, in its middle."""

DAY_PEAK_TO_TROUGH = 2.6
"""The busiest moment of a day against the quietest; real services have 1.5 to 2.6."""

USUAL_BURSTS = Burstiness()
"""How bursty "bursty" is where nothing else is asked for."""

DAY_SECONDS = 86400.0
_GRID = 4096


def steady(rate: float, duration: float, rng: np.random.Generator) -> Times:
    """Return Poisson arrivals: independent of each other, at one rate (inter-arrival CV 1)."""
    return _shaped(np.ones_like, rate, duration, rng)


def ramp(rate: float, duration: float, rng: np.random.Generator) -> Times:
    """Return Poisson arrivals whose rate rises evenly from 0.2 to 1.8 times the mean."""
    return _shaped(lambda x: RAMP_FROM + (RAMP_TO - RAMP_FROM) * x, rate, duration, rng)


def spike(rate: float, duration: float, rng: np.random.Generator) -> Times:
    """Return Poisson arrivals with one spike of five times the base rate, in the middle tenth."""
    return _shaped(lambda x: np.where(abs(x - 0.5) < SPIKE_SHARE / 2, SPIKE_HEIGHT, 1.0), rate, duration, rng)


def day(rate: float, duration: float, rng: np.random.Generator) -> Times:
    """Return Poisson arrivals with a day's rhythm, midnight to midnight, pressed into the run.

    Quiet before dawn, a peak at lunch and a lower one in the evening. A run of several days has it on each.
    """
    days = max(1, round(duration / DAY_SECONDS))
    return _shaped(lambda x: day_rhythm(x * days % 1), rate, duration, rng)


def day_rhythm(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the relative rate at the share ``x`` (0 to 1) of a day, from 1 up to ``DAY_PEAK_TO_TROUGH``.

    Examples:
        >>> rate = day_rhythm(np.array([4 / 24, 12.5 / 24, 19 / 24]))
        >>> bool(rate[0] < 1.1 < rate[2] < rate[1] <= DAY_PEAK_TO_TROUGH)
        True
    """
    hour = 24 * x
    lunch, evening = (np.exp(-0.5 * ((hour - at) / wide) ** 2) for at, wide in ((12.5, 2.6), (19.0, 1.9)))
    return np.asarray(1 + (DAY_PEAK_TO_TROUGH - 1) * np.minimum(1.0, lunch + 0.7 * evening))


def bursty(
    rate: float, duration: float, rng: np.random.Generator, burstiness: Burstiness = USUAL_BURSTS
) -> Times:
    """Return arrivals with the inter-arrival CV and the index of dispersion that are asked for.

    A renewal process with gamma-distributed gaps (short clusters) runs in a time that a slowly changing
    lognormal rate bends (bursts of minutes); see ``bursts``.

    Raises:
        ValueError: if no such process has both figures at this rate; the message says which to change.
    """
    path, gap_variance = burst_rate(rate, duration, rng, burstiness)
    grid = np.linspace(0.0, duration, len(path) + 1)
    due = np.concatenate([[0.0], np.cumsum(path * rate * (duration / len(path)))])
    return np.asarray(np.interp(renewals(due[-1], gap_variance, rng), due, grid))


def replay(recorded: Sequence[float] | Times, speed: float = 1.0) -> Times:
    """Return recorded times as arrivals: sorted, from zero, ``speed`` times as fast.

    Raises:
        ValueError: if nothing was recorded, a time is not finite or the speed is not positive.

    Examples:
        >>> replay([100.0, 104.0, 102.0], speed=2.0).tolist()
        [0.0, 1.0, 2.0]
    """
    times = np.sort(np.asarray(recorded, dtype=np.float64))
    if not len(times) or not np.isfinite(times).all():
        raise ValueError("a replay needs at least one recorded time, and all of them finite")
    if not (math.isfinite(speed) and speed > 0):
        raise ValueError(f"speed must be above 0, not {speed}")
    return np.asarray((times - times[0]) / speed)


PATTERNS: dict[str, Callable[[float, float, np.random.Generator], Times]] = {
    "steady": steady,
    "ramp": ramp,
    "spike": spike,
    "bursty": bursty,
    "day": day,
}
"""Patterns that need a rate and a duration only; "replay" needs a recording."""


@dataclass(frozen=True, slots=True)
class Spacing:
    """How arrivals are spaced. NaN where there are too few of them.

    Attributes:
        rate_per_s: arrivals a second.
        cv: standard deviation of the gaps between arrivals, divided by their mean; 1 for Poisson.
        dispersion: variance of the count in a window, divided by its mean; 1 for Poisson.
    """

    rate_per_s: float
    cv: float
    dispersion: float


def spacing(times: Sequence[float] | Times, duration: float, window_s: float = 60.0) -> Spacing:
    """Measure arrivals within ``duration`` seconds, the dispersion over whole windows of ``window_s``.

    Examples:
        >>> spacing(np.arange(0.0, 100.0, 1.0), 100.0, 10.0)
        Spacing(rate_per_s=1.0, cv=0.0, dispersion=0.0)
    """
    at = np.asarray(times, dtype=np.float64)
    gaps = np.diff(at)
    windows = int(duration // window_s)
    counts = np.histogram(at, bins=windows, range=(0.0, windows * window_s))[0] if windows else at[:0]
    return Spacing(
        len(at) / duration,
        float(gaps.std() / gaps.mean()) if len(gaps) > 1 and gaps.mean() > 0 else math.nan,
        float(counts.var() / counts.mean()) if windows > 1 and counts.mean() > 0 else math.nan,
    )


def _shaped(
    shape: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    rate: float,
    duration: float,
    rng: np.random.Generator,
) -> Times:
    """Return Poisson arrivals of a changing rate: unit arrivals, taken back through the summed rate."""
    middles = (np.arange(_GRID) + 0.5) / _GRID
    due = np.concatenate([[0.0], np.cumsum(shape(middles))])
    due *= rate * duration / due[-1]
    arrivals = renewals(due[-1], 1.0, rng)
    return np.asarray(np.interp(arrivals, due, np.linspace(0.0, duration, _GRID + 1)))
