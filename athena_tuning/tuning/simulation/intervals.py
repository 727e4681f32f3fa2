"""Figures with what they may be wrong by: intervals from replicates of what was recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.tuning.settings import WHAT_IF

Floats = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out 0: a change is a change."""
        return self.low > 0 or self.high < 0


UNKNOWN = Estimate(math.nan, math.nan, math.nan)
"""What nobody knows."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a figure may be wrong by beyond what its replicates differ by.

    Attributes:
        error: what the simulation of the base misses its measurement by, as a log ratio.
        widened: times that replicates differ by too little: their works have a tail without a variance.
        of_tail: whether it is one of the slowest recalls. Near saturation a replicate of them can run away,
            and a spread that one in sixteen makes says nothing of the others.
        other_limit: whether limits differ: alike in all replicates, as behind a pool, is not surely the same.
    """

    error: float = 0.0
    widened: float = 1.0
    of_tail: bool = False
    other_limit: bool = False


def change(row: Floats, doubt: Doubt = Doubt()) -> Estimate:
    """Return the mean of a change over all replicates, with its 95 % interval.

    One replay of the recalls is one chance of what met what; the mean over many is nearer to what comes.
    What differs in no replicate, by no error and not by its limit, is the same config.

    Where a change of the slowest has the same sign in every replicate, it is a factor that nobody denies and
    whose size is in doubt: its bound toward 0 is ``exp(mean ln|d| − t·sd ln|d|)`` less the error, if the
    usual one is beyond that.

    Args:
        row: log ratios; the first is of the recalls as they were recorded.
        doubt: beyond them.
    """
    if not (doubt.error or doubt.other_limit or row.any()):
        return Estimate(0.0, 0.0, 0.0)
    error = math.hypot(doubt.error, WHAT_IF.least_error)
    found = _interval(_mean(row), row, error, doubt)
    if not doubt.of_tail or not np.isfinite(row).all() or not ((row < 0).all() or (row > 0).all()):
        return found
    size = np.log(np.abs(row))
    near = max(0.0, math.exp(float(size.mean()) - WHAT_IF.t * float(size.std())) - error)
    if row[0] < 0:
        return found._replace(high=min(found.high, -near))
    return found._replace(low=max(found.low, near))


def level(row: Floats, doubt: Doubt = Doubt()) -> Estimate:
    """Return the estimate of a figure above 0, by its logarithm; of the recorded recalls."""
    logs = np.log(np.maximum(row, 1e-9))
    _, low, high = _interval(float(logs[0]), logs, doubt.error, doubt)
    value = float(row[0])
    return Estimate(value, min(value, math.exp(low)), max(value, math.exp(high)))


def difference(row: Floats) -> Estimate:
    """Return the difference of two shares, with its 95 % interval."""
    return _interval(_mean(row), row, 0.0, Doubt())


def share(row: Floats) -> Estimate:
    """Return a share of the recorded recalls, with its 95 % interval."""
    value, low, high = _interval(float(row[0]), row, 0.0, Doubt())
    return Estimate(value, max(low, 0.0), min(high, 1.0))


def _mean(row: Floats) -> float:
    """Return the mean of the replicates in which there is something to compare."""
    known = row[~np.isnan(row)]
    return float(known.mean()) if len(known) else math.nan


def _interval(value: float, row: Floats, error: float, doubt: Doubt) -> Estimate:
    """Return a figure with a 95 % interval by how far replicates lie to either side of it.

    ``v ± √((w·d)² + error²)`` with ``d = t·√(2 · mean(d²))`` over the distances d to that side: with a spread
    that is alike on both sides, the usual interval. Of the slowest, d is at most the furthest replicate and a
    tenth of all their range.
    """
    row = row[~np.isnan(row)]
    if not len(row) or math.isnan(value):
        return Estimate(value, -math.inf, math.inf)
    if not math.isfinite(value) or not np.isfinite(row).all():
        return Estimate(value, min(value, float(row.min())), max(value, float(row.max())))
    furthest = float(row.max() - row.min()) * WHAT_IF.beyond
    sides = []
    for side in (value - row, row - value):
        away = WHAT_IF.t * math.sqrt(2 * float((np.maximum(side[1:], 0.0) ** 2).mean()))
        if doubt.of_tail:
            away = min(away, max(float(side.max()), 0.0) + furthest)
        sides.append(math.hypot(doubt.widened * away, error))
    return Estimate(value, value - sides[0], value + sides[1])
