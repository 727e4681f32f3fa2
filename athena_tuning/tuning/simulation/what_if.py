"""What if: recorded recalls, met again under other configs in virtual time. No load, no manager, no clock."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.model import ConfigSet, QueryMetrics, TuningStrategy
from athena_tuning.tuning.settings import WHAT_IF
from athena_tuning.tuning.simulation.objective import Score, objective
from athena_tuning.tuning.simulation.replay import RecordedWorkload, SimulatedOutcome

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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the recalls would have met under some configs.

    Attributes:
        name: what the configs are called.
        configs: what would have been in force.
        p50_ms: whole recalls, answers of the cache included.
        p95_ms: likewise.
        p99_ms: likewise.
        per_second: recalls a second that the layers could serve at most, at this limit.
        slot_ms: slot time for each answered recall.
        full_rate: share of recalls with every layer that they asked.
        p99_change: log ratio to the base, on the same recalls.
        typical_change: likewise, of the geometric mean of latencies: what a live comparison can see.
        capacity_change: likewise, of ``per_second``.
        cost_change: likewise, of ``slot_ms``.
        gain: the strategy's objective as ``objective`` has it; below 0 is better.
        beyond: whether the limit is beyond what the contention law can be asked for.
    """

    name: str
    configs: ConfigSet
    p50_ms: Estimate
    p95_ms: Estimate
    p99_ms: Estimate
    per_second: Estimate
    slot_ms: Estimate
    full_rate: Estimate
    p99_change: Estimate
    typical_change: Estimate
    capacity_change: Estimate
    cost_change: Estimate
    gain: Estimate
    beyond: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as plain JSON types; estimates are [value, low, high]."""
        names = (f.name for f in fields(self) if f.name != "configs")
        values = {name: getattr(self, name) for name in names}
        plain = {name: list(v) if isinstance(v, Estimate) else v for name, v in values.items()}
        by_type = {scope: v.config.to_dict() for scope, v in self.configs.by_type.items()}
        return {**plain, "config": self.configs.default.config.to_dict(), "config_by_type": by_type}


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What would have been.

    Attributes:
        base: under the configs that all others are compared with.
        outcomes: under the others, in the order in which they were asked for.
        strategy: what ``gain`` is measured by.
        recalls: recalls that were simulated.
        seconds: time that they span.
        measured_p99_ms: what they really took, under whatever was in force then.
        given_up: tasks that were given up at a timeout. How long they would have taken is an estimate.
        trusted: largest limit that the contention law may be asked for.
    """

    base: Outcome
    outcomes: tuple[Outcome, ...]
    strategy: TuningStrategy
    recalls: int
    seconds: float
    measured_p99_ms: float
    given_up: int
    trusted: int

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON types."""
        return {
            "base": self.base.to_dict(),
            "outcomes": [outcome.to_dict() for outcome in self.outcomes],
            "best": self.best.name if self.best else None,
            "strategy": self.strategy.value,
            "recalls": self.recalls,
            "seconds": self.seconds,
            "measured_p99_ms": self.measured_p99_ms,
            "given_up": self.given_up,
            "trusted": self.trusted,
        }

    @property
    def best(self) -> Outcome | None:
        """The surely better outcome with the least objective, within what the law may be asked; or None."""
        sure = [o for o in self.outcomes if o.gain.high < 0 and not o.beyond]
        return min(sure, key=lambda o: o.gain.value, default=None)


Steps = Generator[float, None, WhatIf]
"""A what-if under way: yields the share that is done."""


def what_if(
    records: Sequence[QueryMetrics],
    base: ConfigSet,
    others: Mapping[str, ConfigSet],
    *,
    scope: str = "all",
    strategy: TuningStrategy | None = None,
    speed: float = 1.0,
    seed: int = 0,
) -> Steps:
    """Simulate recorded recalls under some configs and under others.

    Arrivals are as recorded, works are freed from contention by the fitted law, and every config runs on the
    same recalls. Intervals come from two doubts together: the law (refits on what could have been seen) and
    the recalls (a bootstrap of blocks). A recall that the cache answered stays answered where a config has
    the cache on; where it is off, it works as a like one did that was not in the cache.

    Where it misleads: how long a task would have taken that was given up is an estimate (a tail of those
    that came back, and the rest never); layers that were not asked cannot be asked here; a limit beyond
    1.5 times what was seen is marked, and there capacity is taken to be at least what it was.

    Args:
        records: recalls, in any order.
        base: what to compare with.
        others: what to try, by name.
        scope: figures of recalls of this type only ("all": of all); all are simulated.
        strategy: what counts as better; None: the base's.
        speed: run the arrivals so many times as fast.
        seed: of refits and resamples.

    Raises:
        ValueError: if fewer than 50 recalls carry task telemetry, none is of the scope's type, or the
            speed is not above 0.
    """
    if not (math.isfinite(speed) and speed > 0):
        raise ValueError(f"speed must be above 0, not {speed}")
    workload = RecordedWorkload(records, scope, speed, np.random.default_rng(seed))
    runs: dict[str, list[SimulatedOutcome]] = {}
    cases = {"": base, **others}
    for done, name in enumerate(cases):
        runs[name] = []
        for i, laws in enumerate(workload.laws):
            runs[name].append(workload.outcome(cases[name], laws, workload.works[i]))
            yield (done + (i + 1) / len(workload.laws)) / len(cases)
    wanted = strategy or base.default.config.strategy
    draws = _draws(len(workload.counted), np.random.default_rng([seed, 1]))
    figures = {name: _figures(outcomes, draws) for name, outcomes in runs.items()}
    trusted = max((law.trusted for law in workload.laws[0].values()), default=2)

    reach = max(trusted, base.default.config.max_concurrent)

    def outcome(name: str) -> Outcome:
        return _outcome(name, cases[name], figures[name], figures[""], wanted, reach)

    return WhatIf(
        outcome(""),
        tuple(outcome(name) for name in others),
        wanted,
        len(workload.counted),
        workload.seconds,
        float(_percentile(workload.latency_ms[None, workload.counted], 0.99)[0]),
        workload.given_up,
        trusted,
    )


def _figures(runs: Sequence[SimulatedOutcome], draws: npt.NDArray[np.intp]) -> Floats:
    """Return figures × (1 + all resamples); the first column is the fitted law on all recalls."""
    plain = _of(runs[0], np.arange(draws.shape[1])[None, :])
    per_law = -(-len(draws) // len(runs))
    parts = [_of(run, draws[i * per_law : (i + 1) * per_law]) for i, run in enumerate(runs)]
    return np.concatenate([plain, *parts], axis=1)


def _of(run: SimulatedOutcome, index: npt.NDArray[np.intp]) -> Floats:
    latency = run.latency_ms[index]
    succeeded = np.maximum(1, (~run.failed[index]).sum(axis=1))
    return np.array(
        [
            _percentile(latency, 0.5),
            _percentile(latency, 0.95),
            _percentile(latency, 0.99),
            np.log(np.maximum(latency, 1e-3)).mean(axis=1),
            1000 * run.limit / np.maximum(run.busy_ms[index].mean(axis=1), 1e-9),
            run.slot_ms[index].sum(axis=1) / succeeded,
            1.0 - run.failed[index].mean(axis=1),
            1.0 - run.partial[index].mean(axis=1),
        ]
    )


def _outcome(
    name: str, configs: ConfigSet, own: Floats, base: Floats, strategy: TuningStrategy, reach: int
) -> Outcome:
    p50, p95, p99, typical, capacity, slots, _, full = own
    gains = [
        objective(strategy, *(Score(f[2], f[4], f[5] / 1000, f[6], f[7]) for f in (ours, theirs)))
        for ours, theirs in zip(own.T, base.T, strict=True)
    ]
    return Outcome(
        name,
        configs,
        _estimate(p50),
        _estimate(p95),
        _estimate(p99),
        _estimate(capacity),
        _estimate(slots),
        _estimate(full),
        p99_change=_estimate(np.log(p99 / base[2])),
        typical_change=_estimate(typical - base[3]),
        capacity_change=_estimate(np.log(capacity / base[4])),
        cost_change=_estimate(np.log(np.maximum(slots, 1e-9) / np.maximum(base[5], 1e-9))),
        gain=_estimate(np.array(gains)),
        beyond=configs.default.config.max_concurrent > reach,
    )


def _estimate(row: Floats) -> Estimate:
    value = float(row[0])
    low, high = (float(v) for v in np.quantile(row, (0.025, 0.975), method="nearest"))
    return Estimate(value, min(low, value), max(high, value))


def _draws(n: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return resamples × recalls: whole blocks of neighbours, drawn with replacement."""
    block = WHAT_IF.block
    blocks = -(-n // block)
    starts = rng.integers(0, max(1, n - block + 1), (WHAT_IF.laws * WHAT_IF.resamples, blocks))
    drawn = (starts[:, :, None] + np.arange(block)[None, None, :]).reshape(len(starts), -1)[:, :n]
    return np.asarray(np.minimum(drawn, n - 1), np.intp)


def _percentile(rows: Floats, q: float) -> Floats:
    """Return ``sorted(row)[int(q · n)]`` of every row."""
    k = min(int(q * rows.shape[1]), rows.shape[1] - 1)
    return np.asarray(np.partition(rows, k, axis=1)[:, k], float)


def with_config(configs: ConfigSet, scope: str, **fields: object) -> ConfigSet:
    """Return the set as if the scope ("all" or a type) had these values too.

    Raises:
        ValueError: if a value does not fit.

    Examples:
        >>> with_config(ConfigSet(), "meta", timeout_seconds=2.0).for_type("meta").timeout_seconds
        2.0
    """
    at = configs.in_scope(scope) or replace(configs.default, scope=scope)
    config = replace(at.config, **fields)  # type: ignore[arg-type]
    return configs.with_version(replace(at, config=config, restores=None))
