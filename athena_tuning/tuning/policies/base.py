"""The contract of all policies: from evidence to a decision with reasons."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

from athena_tuning.model import Action, ConfigVersion, Decision, TuningConfig
from athena_tuning.tuning.evidence import Evidence


class Policy(ABC):
    """Turns evidence into decisions. It is asked; it owns no loop, no thread and no clock.

    A policy that only looks at the window implements ``propose``. One with a rhythm or a memory of its own
    (a canary under way) overrides ``due``, ``decide`` and ``applied`` too. Calls never overlap.
    """

    name: ClassVar[str]

    def due(self, evidence: Evidence) -> bool:
        """Whether ``decide`` has something to do now. Asked several times a second, so it must be cheap."""
        return evidence.urgent or evidence.fresh >= evidence.interval

    @abstractmethod
    def propose(self, evidence: Evidence, scope: str = "all") -> Decision:
        """Return what it would choose now for "all" or a query type; change nothing."""

    def decide(self, evidence: Evidence) -> tuple[Decision, ...]:
        """Return the decisions to record and, where the mode allows it, to apply."""
        return (self.propose(evidence),)

    def applied(self, decision: Decision, version: ConfigVersion) -> None:  # noqa: B027
        """Note that a decision is in force as ``version``."""


def decision(
    policy: Policy,
    evidence: Evidence,
    scope: str,
    after: TuningConfig,
    summary: str,
    samples: int,
    **more: Any,
) -> Decision:
    """Make the record of a decision of ``policy``; its action follows from ``after``."""
    before = evidence.incumbent(scope)
    action = Action.KEEP if after == before else Action.CHANGE
    fields = {"action": action, "before": before, "after": after, "summary": summary, "samples": samples}
    return Decision(uuid.uuid4().hex, evidence.now, policy.name, scope, **{**fields, **more})


def with_shared_limit(made: Decision, limit: int) -> Decision:
    """Return a query type's decision with the limit that all types share: only "all" decides it."""
    if made.scope == "all" or made.after.max_concurrent == limit:
        return made
    after = replace(made.after, max_concurrent=limit)
    reasons = tuple(
        replace(r, value=limit, bound="shared by all types") if r.parameter == "max_concurrent" else r
        for r in made.reasons
    )
    action = Action.KEEP if after == made.before else made.action
    return replace(made, after=after, action=action, reasons=reasons)
