"""Quantiles of Student's t distribution."""

from __future__ import annotations

import math
from functools import lru_cache

_HALVINGS = 60
"""As many as halve a right angle down to the last bit of a float."""


@lru_cache(maxsize=256)
def two_sided(confidence: float, degrees: int) -> float:
    """Return the t such that a Student's t variable lies within ±t with this probability.

    The distribution function of a whole number of degrees of freedom ν is a finite sum in the angle
    θ = atan(t / √ν) (M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 1964, 26.7.3 and
    26.7.4); θ is found by halving.

    Args:
        confidence: the probability, 0 to below 1.
        degrees: degrees of freedom, 1 or more.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> round(two_sided(0.95, 9), 3)
        2.262
    """
    if not 0 <= confidence < 1:
        raise ValueError(f"confidence must be 0 to below 1, not {confidence}")
    if degrees < 1:
        raise ValueError(f"degrees must be 1 or more, not {degrees}")
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _within(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def _within(theta: float, degrees: int) -> float:
    """Return the probability of a t within ±√ν·tan θ."""
    odd = degrees % 2
    cosine = math.cos(theta)
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(1 + odd, degrees, 2):
        total += term
        term *= cosine * cosine * k / (k + 1)
    inner = math.sin(theta) * total
    return 2 / math.pi * (theta + inner) if odd else inner
