"""What a strategy wants, as one number: log ratios to a reference on the same recalls."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from athena_tuning.model import TuningStrategy
from athena_tuning.tuning.settings import OBJECTIVE
from athena_tuning.tuning.simulation.simulated_run import SimulatedRun

BALANCE = OBJECTIVE.balance


@dataclass(frozen=True, slots=True)
class Score:
    """What a config achieved on some recalls.

    Attributes:
        p99_ms: of the recalls that were answered, cache hits left out.
        per_second: recalls a second: the capacity, or what was really completed under saturation.
        slot_seconds: slot time per success; work that timed out is paid for too.
        success_rate: share with an answer, of the recalls that were not refused.
        full_rate: share with every layer they asked, likewise.
        typical_ms: geometric mean, over the same recalls as ``p99_ms``: what a trial can see.
        refused_rate: share of recalls that were refused.
    """

    p99_ms: float
    per_second: float
    slot_seconds: float
    success_rate: float = 1.0
    full_rate: float = 1.0
    typical_ms: float = math.nan
    refused_rate: float = 0.0

    @property
    def late_ms(self) -> float:
        """The p99 with what was refused: each 1 % of recalls refused is worth as much as p99 once more.

        ``p99 · (1 + 100 r)``: at most 101 times p99, so that no single figure of a few recalls that were
        refused drowns all others.
        """
        return self.p99_ms * (1 + OBJECTIVE.refused_weighs * self.refused_rate)


def objective(strategy: TuningStrategy, score: Score, reference: Score) -> float:
    """Return how ``score`` compares with ``reference`` for a strategy; below 0 is better, in log ratios.

    LATENCY ``ln(p99/p99₀)``; THROUGHPUT ``−ln(X/X₀)``; COST ``ln(s/s₀)`` with s the slot seconds per
    success; BALANCED 0.7, 0.2 and 0.1 of these. p99 is that of the answered times ``1 + 100 r`` with r the
    share that was refused. A p99 beyond 1.5 (THROUGHPUT) or 1.25 times (COST) the reference's costs its
    excess on top, in log ratio.

    Args:
        strategy: what is wanted.
        score: what was achieved.
        reference: on the same recalls.

    Returns:
        The log ratio; infinite if among those that are answered success or full answers fall by more than
        0.01: no gain buys that.

    Examples:
        >>> fast, slow = Score(100, 50, 0.02), Score(200, 50, 0.02)
        >>> round(objective(TuningStrategy.LATENCY, fast, slow), 3)
        -0.693
    """
    if breaks_hard_limit(score, reference):
        return math.inf
    latency = _log_ratio(score.late_ms, reference.late_ms)
    throughput = -_log_ratio(score.per_second, reference.per_second)
    cost = _log_ratio(score.slot_seconds, reference.slot_seconds)
    if strategy is TuningStrategy.LATENCY:
        return latency
    if strategy is TuningStrategy.BALANCED:
        return BALANCE[0] * latency + BALANCE[1] * throughput + BALANCE[2] * cost
    excess = max(0.0, latency - math.log(OBJECTIVE.p99_may_grow[strategy]))
    return (throughput if strategy is TuningStrategy.THROUGHPUT else cost) + excess


def p99_for(
    strategy: TuningStrategy, value: float, reference: Score, per_second: float, slot_seconds: float
) -> float:
    """Return the p99 in ms above which an objective is surely above ``value``; infinite where none is known.

    Args:
        strategy: what is wanted.
        value: of the objective, as a log ratio.
        reference: on the same recalls.
        per_second: the capacity of the config that is asked about.
        slot_seconds: slot time per success that it takes at least.

    Examples:
        >>> p99_for(TuningStrategy.LATENCY, 0.0, Score(100, 50, 0.02), 80, 0.01)
        100.0
    """
    if not (math.isfinite(value) and reference.late_ms > 0):
        return math.inf
    throughput = -_log_ratio(per_second, reference.per_second)
    cost = _log_ratio(slot_seconds, reference.slot_seconds)
    if strategy is TuningStrategy.BALANCED:
        value = (value - BALANCE[1] * throughput - BALANCE[2] * cost) / BALANCE[0]
    elif strategy is not TuningStrategy.LATENCY:
        value -= throughput if strategy is TuningStrategy.THROUGHPUT else cost
        value = value + math.log(OBJECTIVE.p99_may_grow[strategy]) if value >= 0 else -math.inf
    return reference.late_ms * math.exp(value)


def breaks_hard_limit(score: Score, reference: Score) -> bool:
    """Whether success or full answers are rarer than in the reference by more than 0.01."""
    return (
        score.success_rate < reference.success_rate - OBJECTIVE.rates_may_fall
        or score.full_rate < reference.full_rate - OBJECTIVE.rates_may_fall
    )


def score(run: SimulatedRun, per_second: float | None = None, first: int = 0) -> Score:
    """Return the score of a run.

    Args:
        run: what the recalls met.
        per_second: the capacity where it is known; else recalls completed by the time they took.
        first: leave out the recalls before this one (a warm-up).
    """
    latency, ended, refused = run.latency_ms[first:], run.ended[first:], run.refused[first:]
    over = ~np.isnan(latency)
    answered = over & ~refused
    n = int(answered.sum())
    if not n:
        return Score(math.nan, math.nan, math.nan, refused_rate=float(over.any()))
    succeeded = max(1, n - int(run.failed[first:][answered].sum()))
    if per_second is None:
        begun = ended[over] - np.where(refused[over], 0.0, latency[over] / 1000)
        per_second = n / max(float(ended[over].max() - begun.min()), 1e-9)
    missed = latency[answered & ~run.hits[first:]]
    return Score(
        p99(missed),
        per_second,
        float(run.held_ms[first:].sum()) / 1000 / succeeded,
        succeeded / n,
        1.0 - float(run.partial[first:][answered].mean()),
        geometric_mean(missed),
        1.0 - n / int(over.sum()),
    )


def geometric_mean(latencies: npt.NDArray[np.float64]) -> float:
    """Return the geometric mean, NaN without any."""
    return float(np.exp(np.log(np.maximum(latencies, 1e-3)).mean())) if len(latencies) else math.nan


def p99(latencies: npt.NDArray[np.float64]) -> float:
    """Return ``sorted(latencies)[int(0.99 n)]``, NaN without any."""
    if not len(latencies):
        return math.nan
    k = min(int(0.99 * len(latencies)), len(latencies) - 1)
    return float(np.partition(latencies, k)[k])


def _log_ratio(a: float, b: float) -> float:
    if not (math.isfinite(a) and math.isfinite(b) and a > 0 and b > 0):
        return 0.0
    return math.log(a / b)
