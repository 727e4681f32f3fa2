"""The limit as a fleet has it: one for each manager, or one budget with a share for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from athena_tuning.control.limit_share import told_demands, told_shares
from athena_tuning.control.limit_shares import FLOOR
from athena_tuning.control.scope_watch import ScopeFinding, told_finding
from athena_tuning.model import LimitScope, TuningConfig
from athena_tuning.store import Store


@dataclass(frozen=True, slots=True)
class Share:
    """Slots of one manager: what it may use, and tasks that hold or wait for one, in the mean of late."""

    slots: int
    wanted: float | None = None


@dataclass(frozen=True, slots=True)
class FleetLimit:
    """The limit of all managers on a store.

    Attributes:
        scope: what the limit speaks of.
        limit: of each manager, or the budget of all.
        workers: managers that are alive.
        shares: by manager; empty where each has the limit.
        finding: what the tuner that leads says of the scope; None while it has said nothing.
    """

    scope: LimitScope
    limit: int
    workers: int
    shares: Mapping[str, Share] = field(default_factory=dict)
    finding: ScopeFinding | None = None

    def share(self, worker: str) -> Share:
        """Return what a manager that is alive may use: its share, or the limit where each has it."""
        return (
            Share(self.limit) if self.scope is LimitScope.MANAGER else self.shares.get(worker, Share(FLOOR))
        )

    @property
    def sentence(self) -> str:
        """What the limit caps, in a sentence."""
        if self.scope is LimitScope.MANAGER:
            most = f", {self.limit * self.workers} at most together" if self.workers > 1 else ""
            return f"Limit {self.limit} for each manager{most}."
        sentence = f"Limit {self.limit} for all managers together, shared by demand."
        if self.workers <= self.limit:
            return sentence
        return f"{sentence} {self.workers} managers are more than slots: each has one."

    @property
    def advice(self) -> str:
        """What to do about the scope, in a sentence; "" where there is nothing to say."""
        if self.finding is None:
            return ""
        if self.finding.is_proposal and self.finding.proposed is not None:
            other = f"`athena-tuning config apply --limit-scope {self.finding.proposed.value}`"
            share = self.finding.proposed is LimitScope.FLEET
            minds = "slow each other down" if share else "do not mind each other"
            return f"Managers {minds}: {self.finding.why}. The other scope fits better: {other}."
        return f"No step up: {self.finding.held}." if self.finding.held else ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {
            "scope": self.scope.value,
            "limit": self.limit,
            "workers": self.workers,
            "shares": {name: {"slots": s.slots, "wanted": s.wanted} for name, s in self.shares.items()},
            "finding": None if self.finding is None else self.finding.to_dict(),
            "sentence": self.sentence,
            "advice": self.advice,
        }


def fleet_limit(store: Store, config: TuningConfig, workers: int) -> FleetLimit:
    """Return how the limit stands.

    Args:
        store: where shares and findings are told.
        config: in force for all types.
        workers: managers that are alive.

    Raises:
        StoreError: if the store cannot be read.
    """
    limit, finding = config.max_concurrent, told_finding(store)
    if config.limit_scope is LimitScope.MANAGER:
        return FleetLimit(config.limit_scope, limit, workers, finding=finding)
    demands = told_demands(store)
    shares = {
        name: Share(slots, demands[name].wanted if name in demands else None)
        for name, slots in told_shares(store).by_worker.items()
    }
    return FleetLimit(config.limit_scope, limit, workers, shares, finding)
