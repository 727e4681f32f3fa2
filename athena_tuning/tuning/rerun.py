"""Makes a decision again from the evidence that was kept beside it."""

from __future__ import annotations

from dataclasses import replace

from athena_tuning.model import Decision
from athena_tuning.tuning.evidence import unpack
from athena_tuning.tuning.policies.base import Policy
from athena_tuning.tuning.policies.registry import make_policy
from athena_tuning.tuning.slices import run_through


def rerun(data: bytes, policy: Policy | None = None) -> tuple[Decision, ...]:
    """Return what is decided on packed evidence: the same again, but for the decisions' ids and times.

    Args:
        data: what ``AutoTuner.evidence_of`` gave.
        policy: who is asked; None: the policy of that name.

    Raises:
        ValueError: if the evidence cannot be read, or there is no such policy.
    """
    evidence = unpack(data)
    policy = policy or make_policy(evidence.policy)
    evidence = replace(evidence, memory=policy.restored(evidence.memory))
    outcome = policy.decide(evidence)
    if outcome.decisions:
        return outcome.decisions
    study = policy.study(replace(evidence, memory=outcome.memory))
    return run_through(study.slices).decisions if study.slices is not None else ()
