"""A change on trial: idle → trial → confirmed, or rolled back and banned. One machine for all who judge."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar

from athena_tuning.model import Action, Decision, TuningConfig
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.base import Policy, decision
from athena_tuning.tuning.settings import CANARY


class Verdict(StrEnum):
    """What is known of a change."""

    OPEN = "open"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Rates:
    """Recalls, those that failed, were partial or refused, and the mean slot time of those served (ms).

    ``refused`` are those of ``bad`` that were refused.
    """

    recalls: int = 0
    bad: int = 0
    slot_ms: float = 0.0
    refused: int = 0

    @classmethod
    def of(cls, recalls: Iterable[MeasuredRecall], scope: str = "all") -> Rates:
        """Return the rates of the recalls of a scope."""
        chosen = [recall for recall in recalls if scope in ("all", recall.query_type)]
        held = sum(task.service_ms for recall in chosen for task in recall.tasks)
        refused = sum(recall.refused for recall in chosen)
        bad = sum(recall.bad for recall in chosen)
        return cls(len(chosen), bad, held / max(len(chosen) - refused, 1), refused)

    def had_it_refused(self, share: float) -> Rates:
        """Return the rates as if so many of the recalls had been refused; not fewer than were."""
        refused = max(self.refused, round(share * self.recalls))
        return replace(self, bad=self.bad - self.refused + refused, refused=refused)

    def fell(self, since: Rates) -> bool:
        """Whether failed, partial and refused recalls are more frequent, beyond what is allowed and chance.

        Three standard errors of the difference on top of 0.01; with fewer than 20 recalls, never.
        """
        if min(since.recalls, self.recalls) < CANARY.rates_least:
            return False
        was, now = self.bad / self.recalls, since.bad / since.recalls
        pooled = (self.bad + since.bad + 1) / (self.recalls + since.recalls + 2)
        error = math.sqrt(pooled * (1 - pooled) * (1 / self.recalls + 1 / since.recalls))
        return now - was > CANARY.rates_allowed + CANARY.rates_errors * error


@dataclass(frozen=True, slots=True)
class Trial:
    """A change that has not proved itself yet.

    Attributes:
        made: the decision that is on trial.
        judge: who judges it.
        began: Unix seconds since which it is in force.
        position: recalls by then.
        before: rates by then.
        looks: looks that were taken.
        looked_at: recalls by the last of them.
        since: Unix seconds since which what was before had been in force.
    """

    made: Decision
    judge: str
    began: float
    position: int
    before: Rates
    looks: int = 0
    looked_at: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge says of a trial.

    Attributes:
        verdict: OPEN: go on.
        why: for a person.
        samples: recalls it rests on.
        observed: what happened, as a log ratio; None where nothing was measured.
        measure: of what: "latency", "capacity" or "slot time".
        low: lower end of its interval.
        high: upper end; below 0 the change is surely better, and what was before is not tried again.
        alarm: more failures than before: nothing else is to be tried for a while.
    """

    verdict: Verdict
    why: str = ""
    samples: int = 0
    observed: float | None = None
    low: float = math.nan
    high: float = math.nan
    alarm: bool = False
    measure: str = "latency"


class Judge(ABC):
    """Says how a change on trial does.

    Attributes:
        name: stands in its trials.
        first_ban: recalls for which what has failed once is left alone.
    """

    name: str
    first_ban: ClassVar[int] = CANARY.first_ban

    @abstractmethod
    def judge(self, evidence: Evidence, trial: Trial) -> tuple[Judgement, Trial]:
        """Return the judgement, and the trial as it goes on."""

    @abstractmethod
    def key(self, config: TuningConfig, scope: str) -> str:
        """Return what is banned if ``config`` fails in a scope."""


@dataclass(frozen=True, slots=True)
class Ban:
    """Left alone until so many recalls have come, for the n-th time."""

    until: int
    times: int


@dataclass(frozen=True, slots=True)
class Canary:
    """What is on trial, what failed, what to fall back on. A value.

    Attributes:
        trials: by judge, at most one each.
        bans: by what is banned. Times are recalls, not seconds: a config gets its next chance when there is
            new evidence; each failure doubles the ban.
        good: the config before the first of the changes on trial.
        watch_until: recalls until which nothing is tried.
    """

    trials: Mapping[str, Trial] = field(default_factory=dict)
    bans: Mapping[str, Ban] = field(default_factory=dict)
    good: TuningConfig | None = None
    watch_until: int = 0

    def begun(self, trial: Trial) -> Canary:
        """Return it with a trial, which replaces the one by the same judge."""
        return replace(self, trials={**self.trials, trial.judge: trial})

    def ended(self, judge: str) -> Canary:
        """Return it without a judge's trial."""
        return replace(self, trials={name: t for name, t in self.trials.items() if name != judge})

    def banned(self, key: str, position: int, first: int) -> Canary:
        """Return it with a ban from recall ``position`` on."""
        times = self.bans[key].times + 1 if key in self.bans else 1
        length = min(first * 2 ** (times - 1), CANARY.longest_ban)
        return replace(self, bans={**self.bans, key: Ban(position + length, times)})

    def holds_back(self, key: str, position: int) -> bool:
        """Whether something is banned at recall ``position``."""
        return key in self.bans and self.bans[key].until > position

    def judged(self, policy: Policy, evidence: Evidence, judge: Judge) -> tuple[Canary, Decision | None]:
        """Take a judge's trial one step on.

        A trial ends without a verdict where somebody else's write has overtaken what it changed.

        Returns:
            What follows, and the decision that confirms the change or takes back what it changed, if there
            is one.
        """
        trial = self.trials.get(judge.name)
        if trial is None:
            return self, None
        if not _holds(evidence.incumbent(trial.made.scope), trial.made):
            return self.ended(judge.name), None
        judgement, trial = judge.judge(evidence, trial)
        if judgement.verdict is Verdict.OPEN:
            return self.begun(trial), None
        return self.concluded(policy, evidence, judge, trial, judgement)

    def concluded(
        self, policy: Policy, evidence: Evidence, judge: Judge, trial: Trial, judgement: Judgement
    ) -> tuple[Canary, Decision]:
        """End a trial by a judgement: return what follows, and the decision that confirms or takes back."""
        end = self._confirmed if judgement.verdict is Verdict.GOOD else self._rolled_back
        following, after, fields = end(evidence, judge, judgement, trial)
        made = trial.made
        return following, decision(
            policy,
            evidence,
            made.scope,
            after,
            predicted=made.predicted,
            observed=judgement.observed,
            measure=judgement.measure if judgement.observed is not None else "",
            verdict_on=made.decision_id,
            **fields,
        )

    def _confirmed(
        self, evidence: Evidence, judge: Judge, judgement: Judgement, trial: Trial
    ) -> tuple[Canary, TuningConfig, dict[str, Any]]:
        made, following = trial.made, self.ended(judge.name)
        if made.action is Action.CANARY:
            following = replace(following, good=made.after)
        if judgement.high < 0:
            key = judge.key(made.before, made.scope)
            following = following.banned(key, evidence.telemetry.position, judge.first_ban)
        summary = f"Confirmed: {judgement.why}."
        return (
            following,
            evidence.incumbent(made.scope),
            {"summary": summary, "samples": judgement.samples, "action": Action.CONFIRM},
        )

    def _rolled_back(
        self, evidence: Evidence, judge: Judge, judgement: Judgement, trial: Trial
    ) -> tuple[Canary, TuningConfig, dict[str, Any]]:
        made, position = trial.made, evidence.telemetry.position
        key, before_key = judge.key(made.after, made.scope), judge.key(made.before, made.scope)
        following = self.ended(judge.name).banned(key, position, judge.first_ban)
        summary = f"Rolled back: {judgement.why}."
        if judgement.alarm:
            following = replace(following, watch_until=position + CANARY.watching)
            summary = f"Rolled back at once: {judgement.why}. Only watching for {CANARY.watching} recalls."
        other = before_key != key and self.good is not None and following.holds_back(before_key, position)
        back = self.good if other and self.good else made.before
        fields = {name: getattr(back, name) for name in back.changes_to(made.after)}
        after = replace(evidence.incumbent(made.scope), **{**fields, "strategy": evidence.strategy})
        return (
            following,
            after,
            {
                "summary": f"{summary} Not tried again for {following.bans[key].until - position} recalls.",
                "samples": position - trial.position,
                "action": Action.ROLLBACK,
            },
        )


def _holds(config: TuningConfig, made: Decision) -> bool:
    """Whether what the decision changed still is as it made it."""
    return all(
        getattr(config, name) == getattr(made.after, name) for name in made.before.changes_to(made.after)
    )
