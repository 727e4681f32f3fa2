"""Bursts that are calibrated: an inter-arrival CV and an index of dispersion, both as asked.

Real arrivals differ from Poisson at two scales. Within seconds they come in clusters, which the coefficient
of variation (CV) of the gaps shows; over minutes their rate wanders, which the index of dispersion (variance
of the count in a window, divided by its mean) shows. Here gamma gaps of squared CV ``c²`` run in a time that
is bent by a rate ``Λ(t)``, lognormal and correlated over half a window and four windows:

    CV² + 1       = (1 + c²) · E[Λ] · E[1/Λ]
    dispersion(w) = c² + rate · w · Var(Λ over w) / E[Λ]²

The spread of Λ and ``c²`` are solved from these on the very path that was drawn, so that also a short run has
its figures; what is left is the noise of the gaps. The second line needs many arrivals a window: below about
ten, expect the dispersion to be off.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STEPS_PER_WINDOW = 20
_LEAST_WINDOWS = 5
_SCALES = (0.5, 4.0)
_MOST_SPREAD = 3.0
_LEAST_GAP_VARIANCE = 0.02
RELATIVE_VARIANCE = 0.25
"""Variance of the rate over a window, as a share of its square, where no dispersion is asked for."""


@dataclass(frozen=True, slots=True)
class Burstiness:
    """How bursty arrivals are.

    Attributes:
        cv: standard deviation of the gaps divided by their mean; real services have 1.3 to 3.
        dispersion: variance of the count in a window divided by its mean; real services have 50 to 500 over
            60 s. None: the rate over a window varies by half of itself, or by less if the CV is too low
            for that.
        window_s: the window of the dispersion, in seconds. Without a dispersion asked for, runs shorter than
            20 windows take a twentieth of their duration.

    Raises:
        ValueError: if a figure is not positive.
    """

    cv: float = 1.8
    dispersion: float | None = None
    window_s: float = 60.0

    def __post_init__(self) -> None:
        for name, value in (("cv", self.cv), ("dispersion", self.dispersion), ("window_s", self.window_s)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be above 0, not {value}")

    def window_in(self, duration: float) -> float:
        """Return the window for a run of this many seconds.

        Raises:
            ValueError: if a dispersion is asked for and the run is shorter than five of its windows.
        """
        if self.dispersion is None:
            return min(self.window_s, duration / 20)
        if duration < _LEAST_WINDOWS * self.window_s:
            raise ValueError(
                f"an index of dispersion over {self.window_s:g} s needs a run of at least "
                f"{_LEAST_WINDOWS * self.window_s:g} s, not {duration:g}"
            )
        return self.window_s


def burst_rate(
    rate: float, duration: float, rng: np.random.Generator, burstiness: Burstiness
) -> tuple[NDArray[np.float64], float]:
    """Return the relative rate over the run, in even steps and with mean 1, and the squared CV of the gaps.

    Raises:
        ValueError: if the CV and the dispersion that are asked for exclude each other at this rate.
    """
    window = burstiness.window_in(duration)
    steps = max(_STEPS_PER_WINDOW, round(duration / window * _STEPS_PER_WINDOW))
    wandering = _wandering(steps, rng)
    a_window = rate * window
    wanted = burstiness.dispersion or a_window * RELATIVE_VARIANCE + burstiness.cv**2

    def dispersion(spread: float) -> float:
        path = _path(wandering, spread)
        return a_window * _relative_variance(path) + _gap_variance(path, burstiness.cv)

    spread = _largest(lambda spread: dispersion(spread) <= wanted)
    widest = _largest(
        lambda spread: _gap_variance(_path(wandering, spread), burstiness.cv) >= _LEAST_GAP_VARIANCE
    )
    if burstiness.dispersion is not None:
        _check_reach(burstiness, rate, wanted, dispersion)
        if spread > widest:
            least = math.sqrt((1 + _LEAST_GAP_VARIANCE) * float((1 / _path(wandering, spread)).mean()) - 1)
            raise ValueError(
                f"an index of dispersion of {wanted:g} at {rate:g}/s needs an inter-arrival CV of at least "
                f"{least:.2f}, not {burstiness.cv:g}"
            )
    path = _path(wandering, min(spread, widest))
    return path, _gap_variance(path, burstiness.cv)


def renewals(until: float, gap_variance: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return arrivals in ``[0, until)`` with gamma gaps of mean 1 and this variance (1: Poisson)."""
    blocks = []
    reached = 0.0
    while reached < until:
        size = int((until - reached) * 1.1 + 4 * math.sqrt((until - reached) * gap_variance) + 16)
        block = reached + np.cumsum(rng.gamma(1 / gap_variance, gap_variance, size))
        blocks.append(block)
        reached = float(block[-1])
    arrivals = np.concatenate(blocks) if blocks else np.empty(0)
    return arrivals[: int(np.searchsorted(arrivals, until))]


def _wandering(steps: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a path of mean 0 and variance 1 that wanders at two scales (sums of AR(1) processes)."""
    path = np.zeros(steps)
    for scale in _SCALES:
        keep = math.exp(-1 / (scale * _STEPS_PER_WINDOW))
        pushes = rng.standard_normal(steps) * math.sqrt(1 - keep * keep)
        pushes[0] = rng.standard_normal()
        path += _summed(pushes, keep)
    path -= path.mean()
    return np.asarray(path / path.std())


def _summed(pushes: NDArray[np.float64], keep: float) -> NDArray[np.float64]:
    values, value = np.empty_like(pushes), 0.0
    for index, push in enumerate(pushes.tolist()):
        value = keep * value + push
        values[index] = value
    return values


def _path(wandering: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    path = np.exp(spread * wandering)
    return np.asarray(path / path.mean())


def _relative_variance(path: NDArray[np.float64]) -> float:
    whole = len(path) // _STEPS_PER_WINDOW * _STEPS_PER_WINDOW
    return float(path[:whole].reshape(-1, _STEPS_PER_WINDOW).mean(axis=1).var())


def _gap_variance(path: NDArray[np.float64], cv: float) -> float:
    return (cv * cv + 1) / float((1 / path).mean()) - 1


def _check_reach(
    burstiness: Burstiness, rate: float, wanted: float, dispersion: Callable[[float], float]
) -> None:
    if dispersion(0.0) > wanted:
        raise ValueError(f"a CV of {burstiness.cv:g} alone makes the dispersion larger than {wanted:g}")
    if dispersion(_MOST_SPREAD) < wanted:
        raise ValueError(f"an index of dispersion of {wanted:g} is out of reach at {rate:g}/s")


def _largest(holds: Callable[[float], bool]) -> float:
    """Return the largest spread for which it holds, by bisection: what holds for one holds for less."""
    low, high = 0.0, _MOST_SPREAD
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
