"""Whether a promise breaks under a config that is tried: what ends an experiment at once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from athena_tuning.model import Experiment, Objective, QueryMetrics
from athena_tuning.model.objective import WITHIN

CHANCE = 0.001
"""A promise is broken where chance alone would give so many misses this rarely."""
LEAST_MISSES = 5
ALLOWED = 0.05
"""What nobody promised is broken by more incomplete answers than before by this share of all recalls."""
BEFORE_SECONDS = 60.0
"""What the minute before the start met is known of the config in force."""


@dataclass(slots=True)
class _Misses:
    """Recalls and those that missed a promise: in each block of the tried config, and under that in force."""

    tried: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    in_force: list[int] = field(default_factory=lambda: [0, 0])


class PromiseWatch:
    """Counts what misses promises under either config.

    Every recall counts here, also while a block settles: somebody waits for it.

    Args:
        plan: of the experiment.
        tried: the version that is tried.
        promises: what operators promised.
    """

    def __init__(self, plan: Experiment, tried: int, promises: Sequence[Objective]) -> None:
        self._plan = plan
        self._tried = tried
        self._promises = [*_single(promises), Objective(plan.scope)]
        self._misses = [_Misses() for _ in self._promises]

    def count(self, records: Iterable[QueryMetrics]) -> None:
        """Count recalls."""
        for record in records:
            tried = record.config_version == self._tried
            if not tried and record.config_version != self._plan.base:
                continue
            block = self._plan.block_at(record.timestamp) if tried else None
            if tried and block is None:
                block = -1
            for promise, misses in zip(self._promises, self._misses, strict=True):
                if promise.scope in ("all", record.query_type):
                    seen = misses.in_force if block is None else misses.tried[block]
                    seen[0] += 1
                    seen[1] += _misses(promise, record)

    def broken(self) -> str:
        """Return which promise breaks under the config that is tried and how, in words; "" if none does.

        A promise that the config in force breaks as much is not held against the other one. Else the misses
        of a block, or of all, are too many by chance: P(X ≥ misses) < ``CHANCE`` for a binomial X with the
        share that may miss or, if that is more, the upper end of what is known of the config in force.
        """
        for promise, misses in zip(self._promises, self._misses, strict=True):
            may = max(_budget(promise), _upper(*misses.in_force) + (ALLOWED if promise.is_none else 0.0))
            blocks = [*misses.tried.values()]
            for recalls, missed in (*blocks, [sum(of) for of in zip(*blocks, strict=True)] or [0, 0]):
                if missed >= LEAST_MISSES and _tail(recalls, missed, may) < CHANCE:
                    return f"{_words(promise)}: {missed:,} of {recalls:,} recalls missed it"
        return ""


def _single(promises: Iterable[Objective]) -> list[Objective]:
    """Return promises of one thing each."""
    made = []
    for promise in promises:
        if promise.p99_ms is not None:
            made.append(Objective(promise.scope, p99_ms=promise.p99_ms))
        if promise.success is not None:
            made.append(Objective(promise.scope, success=promise.success))
    return made


def _misses(promise: Objective, record: QueryMetrics) -> bool:
    if promise.p99_ms is not None:
        return record.refused or (record.latency_ms or 0.0) > promise.p99_ms
    if promise.success is not None:
        return record.success is False
    return record.success is False or record.partial


def _budget(promise: Objective) -> float:
    if promise.p99_ms is not None:
        return 1 - WITHIN
    return 1 - promise.success if promise.success is not None else 0.0


def _upper(recalls: int, missed: int) -> float:
    """Return the share that may miss at most, by two standard errors; 0 where nothing is known."""
    if not recalls:
        return 0.0
    share = missed / recalls
    return share + 2 * math.sqrt(share * (1 - share) / recalls)


def _tail(n: int, least: int, share: float) -> float:
    """Return the probability of ``least`` or more among n, each with the same probability."""
    if share >= 1:
        return 1.0
    if share <= 0:
        return 0.0
    term = math.lgamma(n + 1) - math.lgamma(least + 1) - math.lgamma(n - least + 1)
    term = math.exp(term + least * math.log(share) + (n - least) * math.log1p(-share))
    total = 0.0
    for k in range(least, n + 1):
        total += term
        term *= (n - k) / (k + 1) * share / (1 - share)
        if term < total * 1e-9 and k > n * share:
            break
    return min(total, 1.0)


def _words(promise: Objective) -> str:
    whose = "" if promise.scope == "all" else f" of {promise.scope}"
    if promise.p99_ms is not None:
        return f"the promised p99{whose} of {promise.p99_ms:g} ms broke"
    if promise.success is not None:
        return f"the promised success{whose} of {promise.success * 100:g} % broke"
    return "more answers were refused, failed or incomplete than before"


def promises_for(scope: str, promises: Mapping[str, Objective]) -> list[Objective]:
    """Return the promises that recalls of a scope are among."""
    return [each for name, each in promises.items() if scope == "all" or name in ("all", scope)]
