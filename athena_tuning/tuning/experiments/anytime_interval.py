"""An interval for a mean that holds at every look, however often one looks and whenever one stops."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

PRIOR = 4.0
"""Variance, in units of that of a difference, of the effects that the mixture expects. Arithmetic: of 1, 2, 4
and 10 the one that speaks from five pairs on, 3 % wider than the narrowest at 15 pairs."""


def anytime_interval(differences: Sequence[float], error: float) -> tuple[float, float, float]:
    """Return the mean of differences, and the bounds between which their true mean lies.

    The bounds are those of a t-test that is valid at all times at once: with probability 1 − ``error`` the
    true mean never leaves them, however many differences there are at a look. With n of them, mean m and
    standard deviation s, t = (m − μ) √n / s and ν = n − 1, the ratio of the likelihood with an effect, drawn
    from N(0, g) standard deviations, to that without one is

        E = (1 + n g)^(−1/2) · [(1 + t²/ν) / (1 + t²/(ν (1 + n g)))]^(n/2).

    For the true μ it is a martingale of mean 1, whatever the variance is, and so exceeds 1/error at any
    time with probability ``error`` at most (Ville's inequality). The bounds hold all μ with E < 1/error:
    with K = (√(1 + n g) / error)^(2/n) and u = (K − 1) / (1 − K/(1 + n g)) they are m ± s √(ν u / n); where
    K ≥ 1 + n g, nothing is excluded yet.

    Sources: T. L. Lai, On confidence sequences, Annals of Statistics 4 (1976); H. Wang and A. Ramdas,
    Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance, 2023
    (arXiv:2310.03722), the Gaussian mixture. It takes differences for independent and about normal.

    Args:
        differences: one a pair of blocks.
        error: probability with which the true mean may be outside at some time, above 0 and below 1.

    Examples:
        >>> anytime_interval([0.2, 0.21, 0.19], 0.05)[1:]
        (-inf, inf)
        >>> mean, low, high = anytime_interval([0.2, 0.21, 0.19, 0.2, 0.22, 0.18, 0.2], 0.05)
        >>> round(mean, 3), 0.15 < low < high < 0.25
        (0.2, True)
    """
    n = len(differences)
    if not n:
        return math.nan, -math.inf, math.inf
    values = np.asarray(differences, dtype=float)
    mean = float(values.mean())
    room = 1 + n * PRIOR
    ratio = math.exp(2 / n * (0.5 * math.log(room) - math.log(error)))
    if n < 2 or ratio >= room:
        return mean, -math.inf, math.inf
    half = float(values.std(ddof=1)) * math.sqrt((n - 1) * (ratio - 1) / (1 - ratio / room) / n)
    return mean, mean - half, mean + half
