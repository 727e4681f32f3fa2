"""Which config a fitted model finds best: the search on recalls that came, and what is decided by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from athena_tuning.model import Action, Decision, Reason, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall, Telemetry, trace_of
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.base import Policy, changes_in_words, decision
from athena_tuning.tuning.settings import SEARCH
from athena_tuning.tuning.simulation.objective import objective, p99
from athena_tuning.tuning.simulation.search import SearchResult, Simulations, candidates, search


@dataclass(frozen=True, slots=True)
class Searched:
    """What the last search came to: each config simulated once, judged by what every strategy wants.

    Attributes:
        position: recalls by then.
        incumbent: the config that was in force.
        results: by strategy.
        measured_p99_ms: what the recalls that were simulated really took.
    """

    position: int
    incumbent: TuningConfig
    results: Mapping[TuningStrategy, SearchResult]
    measured_p99_ms: float

    def answers(self, evidence: Evidence) -> bool:
        """Whether it was about the config that is in force, under the strategy that is wanted."""
        return evidence.strategy in self.results and alike(self.incumbent, evidence.incumbent("all"))


def alike(a: TuningConfig, b: TuningConfig) -> bool:
    """Whether two configs are the same in what a search looks at."""
    return (a.max_concurrent, a.enable_parallel) == (b.max_concurrent, b.enable_parallel)


def search_configs(
    evidence: Evidence,
    pieces: Sequence[Sequence[MeasuredRecall]],
    strategies: Iterable[TuningStrategy],
    *,
    seed: int,
    banned: Callable[[TuningConfig], bool],
) -> Generator[int, None, Searched]:
    """Simulate each limit, side by side or in turn, on the pieces, in slices; judge it for each strategy.

    Args:
        evidence: the fitted law, the config in force and the operator's bounds.
        pieces: stretches of recalls that follow each other.
        strategies: each is judged on the same simulations; the one that is wanted, thoroughly.
        seed: of the refits, together with the number of recalls.
        banned: whether a config is not to be tried now.
    """
    telemetry = evidence.telemetry
    rng = np.random.default_rng([seed, telemetry.position])
    incumbent = replace(evidence.incumbent("all"), strategy=evidence.strategy)
    most, laws = telemetry.contention.trusted, telemetry.laws
    refits = [telemetry.contention.drawn(rng) for _ in range(SEARCH.refits)]
    simulations = Simulations([trace_of(recalls, laws) for recalls in pieces], laws, refits)
    results = {}
    for strategy in sorted(strategies, key=lambda wanted: wanted is not evidence.strategy):
        under = replace(incumbent, strategy=strategy)
        results[strategy] = yield from search(
            simulations,
            under,
            candidates(under, evidence.bounds, most),
            strategy,
            thorough=strategy is evidence.strategy,
            banned=banned,
            bound=f"limits up to {most}: 1.5 times what was seen"
            if most < evidence.bounds.max_concurrent
            else None,
        )
    bound = yield from _lifted(evidence, simulations, incumbent, results[evidence.strategy], most)
    if bound:
        results[evidence.strategy] = replace(results[evidence.strategy], bound=bound)
    answered = (r for recalls in pieces for r in recalls if not (r.hit or r.refused))
    took = np.array([recall.latency_ms for recall in answered])
    return Searched(telemetry.position, incumbent, results, p99(took))


def _lifted(
    evidence: Evidence,
    simulations: Simulations,
    incumbent: TuningConfig,
    result: SearchResult,
    most: int,
) -> Generator[int, None, str | None]:
    """Return what the limit beyond the operator's bound would bring, if the bound decided; else None."""
    upper = evidence.bounds.max_concurrent
    beyond = next((n for n in SEARCH.limits if upper < n <= most), None)
    best = result.best.config if result.best else incumbent
    if beyond is None or best.max_concurrent != upper:
        return None
    here = yield from simulations.of(best)
    there = yield from simulations.of(replace(best, max_concurrent=beyond))
    gain = objective(evidence.strategy, there, here)
    if gain > -SEARCH.gain:
        return None
    brings = _in_words(math.expm1(gain))
    why = evidence.held or "the operator's bound"
    return f"at most {upper}, {why}: {beyond} would make the objective {brings}"


def conclusion(policy: Policy, evidence: Evidence, result: SearchResult, scope: str) -> Decision:
    """Return the decision that a search's result comes to, with its reasons."""
    incumbent, chosen = evidence.incumbent(scope), result.best
    after = replace(incumbent, strategy=evidence.strategy)
    explained = {"candidates": result.candidates, "bound": result.bound}
    if chosen is None:
        summary = (
            f"No change: nothing else is surely better for {evidence.strategy} "
            f"on {result.recalls} recalls{_nearest(incumbent, result)}."
            f"{f' {evidence.held}.' if evidence.held else ''}"
        )
        return decision(policy, evidence, scope, after, summary, result.recalls, **explained)
    limit, parallel = chosen.config.max_concurrent, chosen.config.enable_parallel
    after = replace(after, max_concurrent=limit, enable_parallel=parallel)
    return decision(
        policy,
        evidence,
        scope,
        after,
        f"{changes_in_words(incumbent, after)}: {math.expm1(chosen.predicted):+.0%} of the "
        f"{evidence.strategy} objective predicted "
        f"({math.expm1(chosen.low):+.0%} to {math.expm1(chosen.high):+.0%}) on {result.recalls} recalls.",
        result.recalls,
        action=Action.CANARY if after != incumbent else Action.KEEP,
        reasons=_reasons(evidence.telemetry, after, result),
        predicted=chosen.predicted,
        **explained,
    )


def _reasons(telemetry: Telemetry, after: TuningConfig, result: SearchResult) -> tuple[Reason, ...]:
    fitted = {f"slowdown_{layer}": law.factor(after.max_concurrent) for layer, law in telemetry.laws.items()}
    if result.typical_change is not None and result.base and result.achieved:
        fitted |= dict(zip(("latency_change", "low", "high"), result.typical_change, strict=True))
        fitted["capacity_change"] = math.log(result.achieved.per_second / result.base.per_second)
    rule = "least objective of all simulated on the same recalls, under the fitted contention"
    return tuple(
        Reason(name, getattr(after, name), rule, fitted, result.recalls, result.bound)
        for name in ("max_concurrent", "enable_parallel")
    )


def _nearest(incumbent: TuningConfig, result: SearchResult) -> str:
    """Return what the best candidate would have given, with its interval where one was computed."""
    if not result.candidates:
        return ""
    best = result.candidates[0]
    changes = changes_in_words(replace(incumbent, strategy=best.config.strategy), best.config)
    low, high = math.expm1(best.low), math.expm1(best.high)
    interval = f" (change {low:+.0%} to {high:+.0%})" if low < high else ""
    brings = _in_words(math.expm1(best.predicted))
    return f"; the best of them, {changes}, would make the objective {brings}{interval}"


def _in_words(change: float) -> str:
    """Return a relative change of something of which less is better.

    Examples:
        >>> _in_words(-0.081), _in_words(0.4), _in_words(0.004)
        ('8 % better', '40 % worse', 'less than 1 % different')
    """
    if abs(change) < 0.005:
        return "less than 1 % different"
    return f"{abs(change) * 100:.0f} % {'better' if change < 0 else 'worse'}"
