"""The classic rules: bands on p99, a factor for speed-up, a factor for the strategy."""

from __future__ import annotations

from dataclasses import replace

from athena_tuning.model import Decision, Reason, TuningBounds, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.window_figures import NO_FIGURES, SpeedUp, WindowFigures
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.base import (
    Outcome,
    Policy,
    changes_in_words,
    decision,
    with_shared_limit,
    within,
)
from athena_tuning.tuning.settings import RULES


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
        figures = evidence.figures.get(scope, NO_FIGURES)
        enough = figures.known and figures.samples >= evidence.min_samples
        if not enough and scope != "all":
            shared = self.propose(evidence)
            summary = (
                f"{figures.samples} recalls of type {scope}, {evidence.min_samples} are needed: "
                "as for all types."
            )
            return decision(
                self, evidence, scope, shared.after, summary, figures.samples, reasons=shared.reasons
            )
        before = evidence.incumbent(scope)
        if not enough:
            after = replace(before, strategy=evidence.strategy)
            summary = f"No conclusion yet: {figures.samples} recalls, {evidence.min_samples} are needed."
            return decision(self, evidence, scope, after, summary, figures.samples)
        reasons = (
            concurrency(figures, evidence.strategy, evidence.bounds),
            timeout(figures, evidence.strategy, evidence.bounds),
            parallel(figures.speed_up, before.enable_parallel),
            _kept("layer_selection_enabled", before, figures.samples),
            _kept("enable_cache", before, figures.samples),
        )
        after = replace(before, strategy=evidence.strategy, **{r.parameter: r.value for r in reasons})
        summary = _summary(before, after, figures)
        return decision(self, evidence, scope, after, summary, figures.samples, reasons=reasons)

    def decide(self, evidence: Evidence) -> Outcome:
        """Decide for all types, and for each type that calls for something else than it has."""
        shared = self.propose(evidence)
        limit = shared.after.max_concurrent
        made = [shared]
        for query_type in evidence.figures:
            if query_type == "all":
                continue
            proposal = with_shared_limit(self.propose(evidence, query_type), limit)
            if proposal.samples < evidence.min_samples:
                continue
            in_force = evidence.configs.in_scope(query_type)
            reference = in_force.config if in_force else shared.after
            if proposal.after != replace(reference, max_concurrent=limit):
                made.append(proposal)
        return Outcome(tuple(made), evidence.memory)


def concurrency(figures: WindowFigures, strategy: TuningStrategy, bounds: TuningBounds) -> Reason:
    """Return how many layer tasks may be in flight, and why."""
    fast, slow = RULES.fast_ms, RULES.slow_ms
    bands = (f"< {fast:g}", f"< {slow:g}", f"≥ {slow:g}")
    place = (figures.p99_ms >= fast) + (figures.p99_ms >= slow)
    base, band = RULES.limits[place], bands[place]
    gain = figures.speed_up.value
    factor = 1.2 if gain > 2 else 0.7 if gain < 1.1 else 1.0
    share = RULES.limit_factor[strategy]
    value, bound = within(round(base * factor * share), bounds.min_concurrent, bounds.max_concurrent)
    rule = (
        f"p99 {figures.p99_ms:.0f} ms is {band} ms: {base}; speed-up {gain:.2f}: × {factor:g}; "
        f"{strategy}: × {share:g}"
    )
    inputs = {"p99_ms": figures.p99_ms, "speed_up": gain, "speed_up_is": figures.speed_up.kind}
    return Reason("max_concurrent", value, rule, inputs, figures.samples, bound)


def timeout(figures: WindowFigures, strategy: TuningStrategy, bounds: TuningBounds) -> Reason:
    """Return the longest service time in seconds, and why.

    The floors of the strategies lie inside the bounds in the ratio of their factors (5 / 6.25 / 6.25 /
    8.33 s above a lower bound of 5 s), as far as the upper bound allows.
    """
    factor = RULES.timeout_factor[strategy]
    wanted = figures.p99_ms / 1000 * factor
    floor = bounds.min_timeout_seconds * factor / RULES.timeout_factor[TuningStrategy.LATENCY]
    value, bound = within(wanted, floor, bounds.max_timeout_seconds, " s")
    rule = f"p99 {figures.p99_ms:.0f} ms × {factor:g} for {strategy}"
    return Reason("timeout_seconds", value, rule, {"p99_ms": figures.p99_ms}, figures.samples, bound)


def parallel(gain: SpeedUp, before: bool) -> Reason:
    """Return whether layers run at the same time, and why."""
    inputs = {"speed_up": gain.value, "speed_up_is": gain.kind}
    if gain.kind == "unknown":
        return Reason("enable_parallel", before, "no recall asked two layers: as it was", inputs, 0)
    value = gain.value > RULES.parallel_from
    rule = (
        f"{gain.kind} speed-up {gain.value:.2f} is {'above' if value else 'not above'} {RULES.parallel_from}"
    )
    return Reason("enable_parallel", value, rule, inputs, gain.samples)


def _kept(parameter: str, before: TuningConfig, samples: int) -> Reason:
    return Reason(parameter, getattr(before, parameter), "no rule changes it: as it was", {}, samples)


def _summary(before: TuningConfig, after: TuningConfig, figures: WindowFigures) -> str:
    base = f"p99 {figures.p99_ms:.0f} ms over {figures.samples} recalls"
    changes = changes_in_words(before, after)
    if not changes:
        return f"No change: {base} calls for what is in force."
    return f"{base[0].upper()}{base[1:]}: {changes}."
