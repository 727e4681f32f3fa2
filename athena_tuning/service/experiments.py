"""The newest experiment, as pages, commands and clients show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from athena_tuning.control.config_follower import LATE_SECONDS
from athena_tuning.control.experiment_judge import number_of, told_report
from athena_tuning.model import (
    EXPERIMENT,
    ConfigSet,
    ConfigVersion,
    Experiment,
    ExperimentReport,
    TuningConfig,
)
from athena_tuning.service import units
from athena_tuning.store import Store
from athena_tuning.tuning.experiments.wording import outcome_in_words

_HISTORY = 1_000


@dataclass(frozen=True, slots=True)
class ExperimentStanding:
    """An experiment and what is known of it.

    Attributes:
        version: the config that is tried.
        plan: when it has its turns.
        base: the config in force meanwhile.
        is_running: whether it goes on.
        ended: why it ended, in words; "" while it runs.
        report: what was observed, as the worker that leads told; None while it has told nothing.
    """

    version: ConfigVersion
    plan: Experiment
    base: TuningConfig
    is_running: bool
    ended: str
    report: ExperimentReport | None

    def sentence(self, now: float) -> str:
        """Return how it stands, in words.

        Args:
            now: Unix seconds.
        """
        known = self.report
        if not self.is_running:
            ended = (
                f"Ended: {self.ended}." if self.ended else "Nobody judged it: no manager led on this store."
            )
            return outcome_in_words(known) if known and known.is_over else ended
        left = max(0.0, self.plan.ends - now)
        whole = f"{known.pairs if known else 0} of {self.plan.pairs} pairs of blocks"
        if now < self.plan.starts:
            return "It begins in a moment, once every manager has heard of it."
        if left <= 0:
            return "Its time is over: the last recalls are waited for."
        return f"{whole} are measured; {units.age(max(left, 2.0))} are left."

    def share_done(self, now: float) -> float:
        """Return how much of its time has passed, 0 to 1."""
        lasts = self.plan.ends - self.plan.starts
        return min(max((now - self.plan.starts) / lasts, 0.0), 1.0) if self.is_running else 1.0

    def to_dict(self, now: float) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {
            "version": self.version.version,
            "author": self.version.author,
            "reason": self.version.reason,
            "time": self.version.time,
            "scope": self.plan.scope,
            "base_version": self.plan.base,
            "changes": {k: list(v) for k, v in self.base.changes_to(self.version.config).items()},
            "starts": self.plan.starts,
            "ends": self.plan.ends,
            "block_seconds": self.plan.block_seconds,
            "settling_seconds": self.plan.settling_seconds,
            "is_running": self.is_running,
            "ended": self.ended,
            "summary": self.sentence(now),
            "report": self.report.to_dict() if self.report else None,
        }


def newest_experiment(store: Store, configs: ConfigSet, now: float) -> ExperimentStanding | None:
    """Return the newest experiment of a store; None where there was none.

    Args:
        store: has what was told of it.
        configs: in force.
        now: Unix seconds.

    Raises:
        StoreError: if the store cannot be read.
    """
    newest = configs.tried
    if newest is None:
        return None
    number = number_of(newest)
    own = [newest] if newest.experiment else store.config_history(limit=2, scope=EXPERIMENT)
    begun = next((version for version in own if version.version == number), None)
    if begun is None or begun.experiment is None:
        return None
    plan, report = begun.experiment, told_report(store, number)
    base = configs.by_type.get(plan.scope, configs.default)
    if base.version != plan.base:
        past = store.config_history(limit=_HISTORY)
        base = next((version for version in past if version.version == plan.base), ConfigSet().default)
    is_open = newest.experiment is not None and configs.on_trial is not None
    ended = "" if newest.experiment else newest.reason
    return ExperimentStanding(
        begun,
        plan,
        base.config,
        is_open and now < plan.ends + LATE_SECONDS,
        report.ended if report and report.is_over else ended,
        report,
    )
