"""What if: recorded recalls, met again under other configs in virtual time. No load, no manager, no clock."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from athena_tuning.model import ConfigSet, QueryMetrics, TuningStrategy
from athena_tuning.tuning.estimation.plan_evidence import PlanEvidence
from athena_tuning.tuning.settings import CONTRIBUTION, SEARCH, WHAT_IF
from athena_tuning.tuning.simulation.intervals import (
    UNKNOWN,
    Doubt,
    Estimate,
    change,
    difference,
    level,
    share,
)
from athena_tuning.tuning.simulation.objective import Score, objective
from athena_tuning.tuning.simulation.planned_recalls import WayOf, answer_lost, unknown_way
from athena_tuning.tuning.simulation.replay import RecordedWorkload, SimulatedOutcome

__all__ = ["UNKNOWN", "Estimate", "Outcome", "WhatIf", "what_if", "with_config"]

Floats = npt.NDArray[np.float64]


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
        full_rate: share of the answered with every layer that they asked.
        refused_rate: share of recalls that would be refused. Latencies are of the others.
        second_calls: calls of layers that would be made a second time, for each first one. Where recalls were
            recorded with a layer's second calls, what they took is the first answer, and no other is known.
        p99_change: log ratio to the base, on the same recalls.
        typical_change: likewise, of the geometric mean of latencies: what a live comparison can see.
        refused_change: difference to the base's share.
        capacity_change: likewise, of ``per_second``.
        cost_change: likewise, of ``slot_ms``.
        gain: the strategy's objective as ``objective`` has it; below 0 is better. What is refused counts.
        beyond: whether the limit is beyond what the contention law can be asked for.
        calls: layers that a recall asks, 0 where the cache answers.
        calls_change: log ratio to the base, on the same recalls.
        lost: part of the best pieces of an answer that it loses and the base does not; NaN where nobody knows
            what the layers are worth.
    """

    name: str
    configs: ConfigSet
    p50_ms: Estimate
    p95_ms: Estimate
    p99_ms: Estimate
    per_second: Estimate
    slot_ms: Estimate
    full_rate: Estimate
    refused_rate: Estimate
    second_calls: Estimate
    p99_change: Estimate
    typical_change: Estimate
    refused_change: Estimate
    capacity_change: Estimate
    cost_change: Estimate
    gain: Estimate
    beyond: bool
    calls: Estimate = UNKNOWN
    calls_change: Estimate = UNKNOWN
    lost: Estimate = UNKNOWN

    @property
    def keeps_answers(self) -> bool:
        """Whether it surely loses next to nothing of the answers; not, where nobody knows what it loses."""
        return self.lost.high <= CONTRIBUTION.score_loss

    @property
    def surely_better(self) -> bool:
        """Whether it gains, no more is surely refused, and the limit is within what the law can be asked."""
        return self.gain.high < 0 and not self.beyond and self.refused_change.low <= 0

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
        measured_p99_ms: what those of them really took that were answered, under whatever was in force then.
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
            "promising": self.promising.name if self.promising else None,
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
        sure = [o for o in self.outcomes if o.surely_better and o.keeps_answers]
        return min(sure, key=lambda o: o.gain.value, default=None)

    @property
    def promising(self) -> Outcome | None:
        """The one worth a try where none is surely better: it probably gains as much as a change must.

        Only a limit next to what was seen, for a step that is wrong costs little there. None: there is none.
        """
        if self.best is not None:
            return None
        may = [o for o in self.outcomes if not o.beyond and o.keeps_answers and o.gain.value <= -SEARCH.gain]
        return min((o for o in may if o.refused_change.value <= 0), key=lambda o: o.gain.value, default=None)


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
    evidence: PlanEvidence | None = None,
    way_of: WayOf = unknown_way,
) -> Steps:
    """Simulate recorded recalls under some configs and under others.

    Works are freed from contention by the fitted law, and every config runs on the same recalls: as they
    were recorded, and as they could come again under laws that are possible (``RecordedWorkload.replicate``).
    Figures are those of the recorded ones; changes are means over all. Intervals hold what replicates differ
    by and, as far as the base was in force, what the simulation of it misses the measurement by. A recall
    that the cache answered stays answered where a config has the cache on; where it is off, it works as a
    like one did that was not in the cache. Under another plan recalls ask other layers, some of them in a
    second round, with the odds that the evidence shows (``planned_recalls.PlannedRecalls``).

    Where it misleads: how long a task would have taken that was given up is an estimate (a tail of those
    that came back, and the rest never); a layer that no recall asked cannot be asked here; a limit beyond
    1.5 times what was seen is marked, and there capacity is taken to be at least what it was.

    Args:
        records: recalls, in any order.
        base: what to compare with.
        others: what to try, by name.
        scope: figures of recalls of this type only ("all": of all); all are simulated.
        strategy: what counts as better; None: the base's.
        speed: run the arrivals so many times as fast.
        seed: of refits and resamples.
        evidence: what layers are worth, and how often the others agree without them; None: nobody knows, and
            whether a second round is called for may be anything.
        way_of: tells the layers that a recall's own question calls for, where a config decides by question.

    Raises:
        ValueError: if fewer than 50 recalls carry task telemetry, none is of the scope's type, the speed is
            not above 0, or what a config would ask hangs on texts that are not known.
    """
    if not (math.isfinite(speed) and speed > 0):
        raise ValueError(f"speed must be above 0, not {speed}")
    known = evidence or PlanEvidence()
    workload = RecordedWorkload(records, scope, speed, np.random.default_rng(seed), base, known, way_of)
    for name, configs in others.items():
        if why := workload.why_unknown(configs):
            raise ValueError(f"{name!r} cannot be simulated: {why}")
    replicates = [workload.replicate(i) for i in range(WHAT_IF.replicates)]
    cases = {"": base, **others}
    figures: dict[str, Floats] = {}
    calls: dict[str, list[float]] = {name: [] for name in cases}
    error = (0.0, 0.0)
    for done, (name, configs) in enumerate(cases.items()):
        rows = []
        for i, replicate in enumerate((workload.recorded, *replicates)):
            run = workload.outcome(configs, replicate)
            rows.append(_figures(run))
            calls[name].append(float(run.calls.mean()))
            if not name and not i and speed == 1.0:
                error = _error(workload, workload.as_it_was(base), base.default.version)
            yield (done + (i + 1) / (len(replicates) + 1)) / len(cases)
        figures[name] = np.array(rows).T
    wanted = strategy or base.default.config.strategy
    trusted = workload.contention.trusted
    reach = max(trusted, base.default.config.max_concurrent)
    widened = max(1.0, WHAT_IF.finite_variance / workload.tail_index)

    def outcome(name: str) -> Outcome:
        other_limit = cases[name].default.config.max_concurrent != base.default.config.max_concurrent
        doubts = error if cases[name] != base or not name else (0.0, 0.0)
        simulated = _outcome(
            name, cases[name], figures[name], figures[""], wanted, reach, *doubts, widened, other_limit
        )
        asked, before = np.array(calls[name]), np.array(calls[""])
        return replace(
            simulated,
            calls=level(asked),
            calls_change=change(np.log(np.maximum(asked, 1e-9) / np.maximum(before, 1e-9))),
            lost=Estimate(*answer_lost(known, base, cases[name], workload.counted_recalls)),
        )

    return WhatIf(
        outcome(""),
        tuple(outcome(name) for name in others),
        wanted,
        len(workload.counted),
        workload.seconds,
        _percentile(workload.latency_ms[workload.counted][~workload.refused], 0.99),
        workload.given_up,
        trusted,
    )


def _figures(run: SimulatedOutcome) -> Floats:
    answered = run.latency_ms[~run.refused]
    n = max(len(answered), 1)
    failed, partial = run.failed[~run.refused].sum(), run.partial[~run.refused].sum()
    return np.array(
        [
            _percentile(answered, 0.5),
            _percentile(answered, 0.95),
            _percentile(answered, 0.99),
            np.log(np.maximum(answered, 1e-3)).mean() if len(answered) else math.nan,
            1000 * run.limit / max(run.busy_ms.mean(), 1e-9),
            run.slot_ms.sum() / max(n - failed, 1),
            1.0 - failed / n,
            1.0 - partial / n,
            run.refused.mean(),
            run.second_calls,
        ]
    )


def _error(workload: RecordedWorkload, run: SimulatedOutcome, version: int) -> tuple[float, float]:
    """Return by how much, as log ratios, simulated latencies miss those that were measured under the base.

    The geometric mean and p99 of recalls that began under it; 0 where fewer than 50 are known to have.
    """
    under = workload.under(version)
    if under.sum() < WHAT_IF.least:
        return 0.0, 0.0
    under = under & ~run.refused & np.isfinite(workload.latency_ms[workload.counted])
    took, simulated = workload.latency_ms[workload.counted][under], run.latency_ms[under]
    if not len(took):
        return 0.0, 0.0
    typical = float(np.log(np.maximum(simulated, 1e-3) / np.maximum(took, 1e-3)).mean())
    p99 = math.log(max(_percentile(simulated, 0.99), 1e-3) / max(_percentile(took, 0.99), 1e-3))
    return abs(typical), abs(p99)


def _outcome(
    name: str,
    configs: ConfigSet,
    own: Floats,
    base: Floats,
    strategy: TuningStrategy,
    reach: int,
    typical_error: float,
    p99_error: float,
    widened: float,
    other_limit: bool,
) -> Outcome:
    p50, p95, p99, typical, capacity, slots, _, full, refused, again = own
    gains = [
        objective(strategy, *(_score(f) for f in (ours, theirs)))
        for ours, theirs in zip(own.T, base.T, strict=True)
    ]
    of_p99 = Doubt(p99_error, widened, of_tail=True, other_limit=other_limit)
    of_typical = Doubt(typical_error, widened, other_limit=other_limit)
    of_law = Doubt(0.0, widened, other_limit=other_limit)
    return Outcome(
        name,
        configs,
        level(p50, of_typical),
        level(p95, of_p99),
        level(p99, of_p99),
        level(capacity, of_law),
        level(slots, of_law),
        share(full),
        share(refused),
        share(again),
        p99_change=change(np.log(p99 / base[2]), of_p99),
        typical_change=change(typical - base[3], of_typical),
        refused_change=difference(refused - base[8]),
        capacity_change=change(np.log(capacity / base[4]), of_law),
        cost_change=change(np.log(np.maximum(slots, 1e-9) / np.maximum(base[5], 1e-9)), of_law),
        gain=change(np.array(gains), of_p99),
        beyond=configs.default.config.max_concurrent > reach,
    )


def _score(figures: Floats) -> Score:
    _, _, p99, _, capacity, slots, success, full, refused, _ = figures
    return Score(p99, capacity, slots / 1000, success, full, refused_rate=refused)


def _percentile(values: Floats, q: float) -> float:
    """Return ``sorted(values)[int(q · n)]``, NaN without any."""
    if not len(values):
        return math.nan
    k = min(int(q * len(values)), len(values) - 1)
    return float(np.partition(values, k)[k])


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
