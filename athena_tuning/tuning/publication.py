"""What a tuner tells everybody: its proposal for every scope, under every strategy, with its own doubt."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from athena_tuning.model import Decision, Forecast, Proposal, StrategyProposal, TuningStrategy
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.base import Policy, decision, with_shared_limit
from athena_tuning.tuning.settings import ADVICE
from athena_tuning.tuning.simulation.objective import Score

SIMULATED = frozenset({"max_concurrent", "enable_parallel"})
"""Parameters whose values rest on the simulation."""


def proposals(
    policy: Policy, evidence: Evidence, scopes: Iterable[str], *, author: str = ""
) -> tuple[Proposal, ...]:
    """Return the proposals for some scopes; nothing is simulated for it.

    Args:
        policy: whose they are.
        evidence: what they rest on.
        scopes: "all" and query types.
        author: who tells them.
    """
    evidence = policy.prepared(evidence)
    by_strategy = {strategy: replace(evidence, strategy=strategy) for strategy in TuningStrategy}
    needed, recalls = policy.least(evidence), policy.recalls(evidence)
    foreseen = policy.foreseen(evidence)
    shared = {
        strategy: _proposed(policy, seen, "all") for strategy, seen in by_strategy.items()
    }  # its limit is everybody's
    told = []
    for scope in scopes:
        decisions = {
            strategy: shared[strategy]
            if scope == "all"
            else with_shared_limit(_proposed(policy, seen, scope), shared[strategy].after.max_concurrent)
            for strategy, seen in by_strategy.items()
        }
        proposal = Proposal(
            scope,
            evidence.now,
            author,
            evidence.configs.head,
            evidence.strategy,
            recalls,
            needed,
            {},
            _forecast(foreseen.in_force) if foreseen else None,
            foreseen.measured_p99_ms if foreseen and math.isfinite(foreseen.measured_p99_ms) else None,
        )
        strategies = {
            strategy: StrategyProposal(
                made,
                doubt(proposal, made, policy.pending(by_strategy[strategy])),
                _forecast(foreseen.by_strategy[strategy])
                if foreseen and strategy in foreseen.by_strategy
                else None,
            )
            for strategy, made in decisions.items()
        }
        told.append(replace(proposal, by_strategy=strategies))
    return tuple(told)


def doubt(proposal: Proposal, made: Decision, pending: str | None = None) -> str:
    """Return why a decision is no advice, in words; "" if it is.

    Below the least evidence; while nothing answers for the config in force; where the interval of the
    objective does not leave out "no change"; where the simulation misses what was measured by more than
    1.5 times.

    Args:
        proposal: what it is a part of.
        made: the decision.
        pending: what is waited for.
    """
    if proposal.missing:
        return f"warming up: {proposal.missing}"
    if pending is not None:
        return pending
    changed = set(made.before.changes_to(made.after)) - {"strategy"}
    return _doubt_of_simulation(proposal, made) if changed & SIMULATED else ""


def _doubt_of_simulation(proposal: Proposal, made: Decision) -> str:
    best = made.candidates[0] if made.candidates else None
    if made.predicted is None or best is None:
        return "what it would bring was not simulated"
    if best.high >= 0:
        return f"it may as well change nothing: {_percent(best.low)} to {_percent(best.high)}"
    off = proposal.error
    if proposal.in_force is None or off is None or 1 / ADVICE.error <= off <= ADVICE.error:
        return ""
    return (
        f"the simulation misses what was measured: p99 {proposal.in_force.p99_ms:.3g} ms simulated, "
        f"{proposal.measured_p99_ms:.3g} ms measured"
    )


def _proposed(policy: Policy, evidence: Evidence, scope: str) -> Decision:
    pending = policy.pending(evidence)
    if pending is None:
        return policy.propose(evidence, scope)
    after = replace(evidence.incumbent(scope), strategy=evidence.strategy)
    summary = f"Nothing is proposed at this moment: {pending}."
    return decision(policy, evidence, scope, after, summary, policy.recalls(evidence))


def _forecast(score: Score) -> Forecast:
    return Forecast(score.p99_ms, score.per_second, score.slot_seconds * 1000, score.full_rate)


def _percent(log_ratio: float) -> str:
    return f"{math.expm1(log_ratio):+.0%}"
