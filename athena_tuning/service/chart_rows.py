"""The rows that charts draw and tables list: percentiles, hit rates, levels, marks, expected and observed."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from athena_tuning.service import units
from athena_tuning.tuning.simulation.what_if import Estimate

QUANTILES = tuple(float(q) for q in np.unique(np.r_[np.linspace(0, 0.9, 37), 1 - np.logspace(-1, -3.3, 40)]))
"""What the percentile plot asks for: evenly up to p90, then evenly on its axis up to p99.95."""

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LONG_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

LARGE_PERCENT = 900
"""Percent from which a growth is written as a factor."""

_BEYOND = 5


class Row(NamedTuple):
    """Percentiles of one layer or query type, in ms."""

    name: str
    n: int
    p50: float
    p95: float
    p99: float


def trusted(quantile: float, count: int) -> bool:
    """Whether ``count`` samples carry that quantile: at least five of them must lie beyond it.

    Examples:
        >>> trusted(0.95, 100), trusted(0.99, 100), trusted(0.99, 500)
        (True, False, True)
    """
    return count * (1 - quantile) >= _BEYOND - 1e-9


class HitRow(NamedTuple):
    """Cache figures of one layer or query type; latencies in ms, NaN where unknown."""

    name: str
    n: int
    hits: int
    hit_rate: float
    hit_p50: float
    hit_p95: float
    miss_p50: float
    miss_p95: float


class LevelRow(NamedTuple):
    """Recalls that saw at most ``level`` layer tasks in flight; ms and layer tasks/s."""

    level: int
    n: int
    p50: float
    p99: float
    throughput: float


class Mark(NamedTuple):
    """A moment to mark on a time axis: a config version or a note.

    Attributes:
        time: Unix seconds.
        label: a word or two.
        about: what happened, in a sentence.
    """

    time: float
    label: str
    about: str = ""


class Prediction(NamedTuple):
    """A change as it was expected and as it was observed: log ratios of one measure, with 95 % intervals."""

    name: str
    expected: Estimate
    observed: Estimate
    n: int
    measure: str = "latency"


class Incomparable(NamedTuple):
    """A change whose expectation cannot be held against what came, and why not."""

    name: str
    why: str


def percent_change(log_ratio: float) -> float | None:
    """Return a log ratio as percent; None if it is none."""
    return round(math.expm1(log_ratio) * 100, 3) if math.isfinite(log_ratio) else None


_BEYOND_PERCENT = 9900.0


def change_words(estimate: Estimate) -> str:
    """Write a change with its 95 % interval.

    Examples:
        >>> change_words(Estimate(math.log(0.8), math.log(0.7), math.log(1.05)))
        '−20 % (−30 to +5)'
        >>> change_words(Estimate(0.0, 0.0, 0.0))
        'unchanged'
    """
    if estimate == (0.0, 0.0, 0.0):
        return "unchanged"
    low, high = (percent(v).removesuffix(" %") for v in (estimate.low, estimate.high))
    return f"{percent(estimate.value)} ({low} to {high})"


def share_words(estimate: tuple[float, float, float]) -> str:
    """Write a difference of shares with its 95 % interval, in percent of the whole.

    Examples:
        >>> share_words((0.021, 0.004, 0.038)), share_words((0.0, 0.0, 0.0))
        ('2.1 % (0.4 to 3.8)', 'nothing')
    """
    mean, low, high = estimate
    if math.isnan(mean):
        return units.UNKNOWN
    if estimate == (0.0, 0.0, 0.0):
        return "nothing"
    return f"{mean:.1%} ({low * 100:.1f} to {high * 100:.1f})".replace("%", " %").replace("-", "−")


def percent(log_ratio: float | None) -> str:
    """Write a log ratio as a change in whole percent, with its sign; a large one as a factor.

    A factor beyond a hundred says that, and no figure more.

    Examples:
        >>> [percent(value) for value in (math.log(0.8), math.log(1.1), 0.001, math.log(14), 9.0, None)]
        ['−20 %', '+10 %', '0 %', '14x', 'over 100x', '–']
    """
    change = None if log_ratio is None else percent_change(log_ratio)
    if change is None:
        return units.UNKNOWN
    if change >= _BEYOND_PERCENT:
        return "over 100x"
    if change >= LARGE_PERCENT:
        return f"{1 + change / 100:,.0f}x"
    sign = "+" if change >= 0.5 else "−" if change <= -0.5 else ""
    return f"{sign}{abs(change):.0f} %"
