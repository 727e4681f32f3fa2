"""A mean with its interval: the form of every figure of quality and cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

_WIDTH = 1.96
"""Standard errors to either side of a mean for 95 %."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval; NaN where it is unknown, the interval alone where one value is all."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the mean of some values, ± 1.96 standard errors; unknown of none.

        Examples:
            >>> Estimate.of([0.0, 1.0, 1.0, 0.0]).mean, Estimate.of([]).is_known
            (0.5, False)
        """
        if len(values) == 0:
            return cls.unknown()
        many = np.asarray(values, np.float64)
        error = float(many.std(ddof=1)) / math.sqrt(len(many)) if len(many) > 1 else math.nan
        return cls.by_error(float(many.mean()), error)

    @classmethod
    def by_error(cls, mean: float, error: float) -> Self:
        """Return a mean whose standard error is known."""
        return cls(mean, mean - _WIDTH * error, mean + _WIDTH * error)

    @classmethod
    def unknown(cls) -> Self:
        """Return what nobody knows."""
        return cls(math.nan, math.nan, math.nan)

    @property
    def is_known(self) -> bool:
        """Whether there is a mean."""
        return not math.isnan(self.mean)

    @property
    def error(self) -> float:
        """The standard error; NaN where the interval is unknown."""
        return (self.high - self.low) / (2 * _WIDTH)
