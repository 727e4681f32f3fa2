"""The classic rules: bands on p99, a factor for speed-up, a factor for the strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from athena_tuning.model import Decision, QueryMetrics, Reason, TuningBounds, TuningConfig, TuningStrategy
from athena_tuning.tuning.evidence import Evidence, Figures, SpeedUp, figures, newest
from athena_tuning.tuning.policies.base import Policy, decision, with_shared_limit

FAST_MS, SLOW_MS = 100, 500
"""Below the first p99 a workload is fast, from the second on it is slow."""

TIMEOUT_FACTOR = {
    TuningStrategy.LATENCY: 1.2,
    TuningStrategy.BALANCED: 1.5,
    TuningStrategy.COST: 1.5,
    TuningStrategy.THROUGHPUT: 2.0,
}
CONCURRENCY_FACTOR = {
    TuningStrategy.LATENCY: 0.6,
    TuningStrategy.COST: 0.85,
    TuningStrategy.BALANCED: 1.0,
    TuningStrategy.THROUGHPUT: 1.6,
}
PARALLEL_FROM = 1.2
"""Speed-up above which layers run at the same time."""


class RulePolicy(Policy):
    """Three rules on p99 and speed-up.

    ``max_concurrent``: 15 / 8 / 4 for p99 < 100 / < 500 / ≥ 500 ms; ×1.2 if speed-up > 2, ×0.7 if < 1.1;
    ×0.6 / 0.85 / 1 / 1.6 for LATENCY / COST / BALANCED / THROUGHPUT. ``timeout_seconds``: p99 × 1.2 / 1.5 /
    1.5 / 2.0 with floors in the same ratio, so that strategies differ where the bound would make them
    equal. ``enable_parallel``: speed-up > 1.2. What it has no rule for stays as it is.

    When it misleads: p99 contains queue wait, so a queue makes it lower the limit and the queue longer; and
    it cannot tell an embedded store from a remote one. It needs few samples and no telemetry, which makes
    it the fallback of policies that do.
    """

    name = "rules"

    def propose(self, evidence: Evidence, scope: str = "all") -> Decision:
        """Apply the rules to the scope's recalls; a type that lacks samples gets what all types get."""
        return self._propose(evidence, scope, newest(evidence.profiler))

    def _propose(self, evidence: Evidence, scope: str, recent: Sequence[QueryMetrics]) -> Decision:
        seen = figures(evidence.profiler, scope, recent)
        if scope != "all" and not _enough(seen, evidence):
            return self._like_all(evidence, scope, seen.samples, recent)
        before = evidence.incumbent(scope)
        if not _enough(seen, evidence):
            after = replace(before, strategy=evidence.strategy)
            summary = f"No conclusion yet: {seen.samples} recalls, {evidence.min_samples} are needed."
            return decision(self, evidence, scope, after, summary, seen.samples)
        reasons = (
            concurrency(seen, evidence.strategy, evidence.bounds),
            timeout(seen, evidence.strategy, evidence.bounds),
            parallel(seen.speed_up, before.enable_parallel),
            _kept("layer_selection_enabled", before, seen.samples),
            _kept("enable_cache", before, seen.samples),
        )
        after = replace(before, strategy=evidence.strategy, **{r.parameter: r.value for r in reasons})
        return decision(
            self, evidence, scope, after, _summary(before, after, seen), seen.samples, reasons=reasons
        )

    def decide(self, evidence: Evidence) -> tuple[Decision, ...]:
        """Decide for all types, and for each type that calls for something else than it has."""
        recent = newest(evidence.profiler)
        shared = self._propose(evidence, "all", recent)
        limit = shared.after.max_concurrent
        made = [shared]
        for query_type in evidence.profiler.query_types():
            proposal = with_shared_limit(self._propose(evidence, query_type, recent), limit)
            if proposal.samples < evidence.min_samples:
                continue
            in_force = evidence.configs.in_scope(query_type)
            reference = in_force.config if in_force else shared.after
            if proposal.after != replace(reference, max_concurrent=limit):
                made.append(proposal)
        return tuple(made)

    def _like_all(
        self, evidence: Evidence, scope: str, samples: int, recent: Sequence[QueryMetrics]
    ) -> Decision:
        shared = self._propose(evidence, "all", recent)
        summary = f"{samples} recalls of type {scope}, {evidence.min_samples} are needed: as for all types."
        return decision(self, evidence, scope, shared.after, summary, samples, reasons=shared.reasons)


def concurrency(seen: Figures, strategy: TuningStrategy, bounds: TuningBounds) -> Reason:
    """Return how many layer tasks may be in flight, and why."""
    base, band = (
        (15, "< 100") if seen.p99_ms < FAST_MS else (8, "< 500") if seen.p99_ms < SLOW_MS else (4, "≥ 500")
    )
    gain = seen.speed_up.value
    factor = 1.2 if gain > 2 else 0.7 if gain < 1.1 else 1.0
    share = CONCURRENCY_FACTOR[strategy]
    wanted = round(base * factor * share)
    value = min(max(wanted, bounds.min_concurrent), bounds.max_concurrent)
    rule = (
        f"p99 {seen.p99_ms:.0f} ms is {band} ms: {base}; speed-up {gain:.2f}: × {factor:g}; "
        f"{strategy}: × {share:g}"
    )
    inputs = {"p99_ms": seen.p99_ms, "speed_up": gain, "speed_up_is": seen.speed_up.kind}
    bound = None if value == wanted else f"{'at least' if value > wanted else 'at most'} {value}"
    return Reason("max_concurrent", value, rule, inputs, seen.samples, bound)


def timeout(seen: Figures, strategy: TuningStrategy, bounds: TuningBounds) -> Reason:
    """Return the longest service time in seconds, and why.

    The floors of the strategies lie inside the bounds in the ratio of their factors (5 / 6.25 / 6.25 /
    8.33 s above a lower bound of 5 s), as far as the upper bound allows.
    """
    factor = TIMEOUT_FACTOR[strategy]
    wanted = seen.p99_ms / 1000 * factor
    floor = bounds.min_timeout_seconds * factor / TIMEOUT_FACTOR[TuningStrategy.LATENCY]
    value = round(min(max(wanted, floor), bounds.max_timeout_seconds), 3)
    bound = None
    if wanted > bounds.max_timeout_seconds:
        bound = f"at most {value:g} s"
    elif wanted < floor:
        bound = f"at least {value:g} s"
    rule = f"p99 {seen.p99_ms:.0f} ms × {factor:g} for {strategy}"
    return Reason("timeout_seconds", value, rule, {"p99_ms": seen.p99_ms}, seen.samples, bound)


def parallel(gain: SpeedUp, before: bool) -> Reason:
    """Return whether layers run at the same time, and why."""
    inputs = {"speed_up": gain.value, "speed_up_is": gain.kind}
    if gain.kind == "unknown":
        return Reason("enable_parallel", before, "no recall asked two layers: as it was", inputs, 0)
    value = gain.value > PARALLEL_FROM
    rule = f"{gain.kind} speed-up {gain.value:.2f} is {'above' if value else 'not above'} {PARALLEL_FROM}"
    return Reason("enable_parallel", value, rule, inputs, gain.samples)


def _enough(seen: Figures, evidence: Evidence) -> bool:
    return seen.known and seen.samples >= evidence.min_samples


def _kept(parameter: str, before: TuningConfig, samples: int) -> Reason:
    return Reason(parameter, getattr(before, parameter), "no rule changes it: as it was", {}, samples)


def _summary(before: TuningConfig, after: TuningConfig, seen: Figures) -> str:
    base = f"p99 {seen.p99_ms:.0f} ms over {seen.samples} recalls"
    changes = before.changes_to(after)
    if not changes:
        return f"No change: {base} calls for what is in force."
    told = ", ".join(f"{name} {old} → {new}" for name, (old, new) in changes.items())
    return f"{base[0].upper()}{base[1:]}: {told}."
