"""What an experiment has shown so far: measures with intervals, and the verdict on what is tried."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from athena_tuning.model import ExperimentMeasure, ExperimentVerdict
from athena_tuning.tuning.experiments.anytime_interval import anytime_interval
from athena_tuning.tuning.experiments.block_pairs import (
    LEAST_FOR_P99,
    BlockTally,
    latency_difference,
    p99_difference,
)

ERROR = 0.05
"""Probability that any interval of an experiment is wrong at any look."""

Pair = tuple[BlockTally, BlockTally]
_MORE_IS_BETTER = {"complete"}


def measures(pairs: Sequence[Pair]) -> tuple[ExperimentMeasure, ...]:
    """Return what pairs of blocks say of each measure.

    Each interval has its part of ``ERROR`` (Bonferroni), so all of them hold together.
    """
    whole = BlockTally(), BlockTally()
    for pair in pairs:
        for side, tally in zip(whole, pair, strict=True):
            side.add(tally)
    made: list[
        tuple[str, str, Callable[[BlockTally], float], Callable[[BlockTally, BlockTally], float | None]]
    ]
    made = [
        ("typical latency", "ms", lambda side: side.typical_ms, latency_difference),
        ("p99", "ms", _p99, p99_difference),
        ("refused", "share", lambda side: side.share(side.refused), _of_shares(lambda side: side.refused)),
        ("complete", "share", lambda side: side.share(side.complete), _of_shares(lambda side: side.complete)),
    ]
    return tuple(
        _measure(name, unit, figure, difference, whole, pairs, ERROR / len(made))
        for name, unit, figure, difference in made
    )


def verdict(known: Sequence[ExperimentMeasure]) -> ExperimentVerdict:
    """Return what measures with an interval beside "no change" come to."""
    signs = set()
    for measure in known:
        if measure.low > 0 or measure.high < 0:
            rises = measure.low > 0
            signs.add(rises == (measure.name in _MORE_IS_BETTER))
    if len(signs) == 2:
        return ExperimentVerdict.MIXED
    if not signs:
        return ExperimentVerdict.OPEN
    return ExperimentVerdict.BETTER if signs.pop() else ExperimentVerdict.WORSE


def _measure(
    name: str,
    unit: str,
    figure: Callable[[BlockTally], float],
    difference: Callable[[BlockTally, BlockTally], float | None],
    whole: Pair,
    pairs: Sequence[Pair],
    error: float,
) -> ExperimentMeasure:
    differences = [found for pair in pairs if (found := difference(*pair)) is not None]
    was, now = map(figure, whole)
    return ExperimentMeasure(name, unit, was, now, *anytime_interval(differences, error), len(differences))


def _of_shares(count: Callable[[BlockTally], int]) -> Callable[[BlockTally, BlockTally], float | None]:
    def difference(in_force: BlockTally, tried: BlockTally) -> float | None:
        if not in_force.recalls or not tried.recalls:
            return None
        return tried.share(count(tried)) - in_force.share(count(in_force))

    return difference


def _p99(side: BlockTally) -> float:
    return side.latency.quantile(0.99) if side.timed >= LEAST_FOR_P99 else math.nan
