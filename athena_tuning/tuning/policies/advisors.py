"""Who knows one part of a config well: asked by a policy in turn, when nothing else is under way."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import NoneType
from typing import Any, ClassVar

import msgspec

from athena_tuning.model import Action, ConfigVersion, Decision, Mode, Reason, TuningConfig
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.base import Policy, changes_in_words, decision
from athena_tuning.tuning.policies.canary import Canary, Judge, Judgement, Rates, Trial, Verdict
from athena_tuning.tuning.settings import ADVISORS, CANARY
from athena_tuning.tuning.slices import run_through

SHARED = frozenset(
    {
        "max_concurrent",
        "overload_after_seconds",
        "overload_wait_seconds",
        "hedging_quantile",
        "concurrency_bounds",
        "timeout_bounds",
        "limit_scope",
    }
)
"""What all types have in common, whatever configs of their own say: slots, the queue for them, and bounds."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What parts of a config should be.

    Attributes:
        reasons: the values, each with why.
        material: whether they differ enough from what is in force to be worth a change.
        summary: one sentence for a person.
        samples: recalls or tasks it rests on.
        predicted: expected change as a log ratio, of slot time a recall or, of a canary, of the objective;
            None where none is meant.
        back: whether it takes an earlier change back; no ban holds that up.
        canary: whether the policy itself is to put it on trial.
    """

    reasons: tuple[Reason, ...]
    material: bool
    summary: str
    samples: int
    predicted: float | None = None
    back: bool = False
    canary: bool = False

    @property
    def values(self) -> dict[str, Any]:
        """The parts by field."""
        return {reason.parameter: reason.value for reason in self.reasons}


class Advisor(ABC):
    """Advises on one part of a config. It has no state: what it found comes back as its finding.

    Attributes:
        name: whose finding it is.
        parameters: the parts of a config that it advises on.
        finding: the type of what a review comes to; ``finding()`` is what there is before the first.
        at_once: whether a proposal that cannot wait for its turn may have it review in one go.
        trial: recalls of its scope for which a change of its own is on trial.
    """

    name: ClassVar[str]
    parameters: ClassVar[frozenset[str]]
    finding: ClassVar[type] = NoneType
    at_once: ClassVar[bool] = False
    trial: ClassVar[int] = ADVISORS.pace

    def wakes(self, evidence: Evidence, finding: Any) -> Any | None:
        """Return its finding if it wants to be asked out of turn, else None. Asked at every step: cheap."""
        return None

    @abstractmethod
    def review(self, evidence: Evidence, finding: Any) -> Generator[object, None, Any]:
        """Look at what was measured, in slices of some ms; return its finding from now on."""

    @abstractmethod
    def advise(self, evidence: Evidence, finding: Any, scope: str) -> Advice | None:
        """Return what it holds right for "all" or a type after its last review. Cheap."""

    def scopes(self, evidence: Evidence) -> tuple[str, ...]:
        """Return the scopes that it may have something to say about."""
        return ("all",)

    def harm(self, evidence: Evidence, made: Decision) -> str | None:
        """Return what has become worse by a change of its own that is on trial, beyond chance."""
        return None

    def unproven(self, evidence: Evidence, made: Decision) -> str | None:
        """Return why a change that did no harm is taken back at the end of its trial, if it is."""
        return None


class AdvisorJudge(Judge):
    """Judges an advisor's change for a scope: by failures, partial answers and what it calls harm."""

    first_ban = CANARY.advisor_first_ban

    def __init__(self, advisor: Advisor, scope: str) -> None:
        self.name = f"{advisor.name} for {scope}"
        self._advisor = advisor

    def judge(self, evidence: Evidence, trial: Trial) -> tuple[Judgement, Trial]:
        """Look every 50 recalls; what did no harm to so many of its scope is good, if no proof is wanted."""
        position = evidence.telemetry.position
        if position - trial.looked_at < ADVISORS.look:
            return Judgement(Verdict.OPEN), trial
        trial = replace(trial, looked_at=position)
        since = Rates.of(evidence.telemetry.since(trial.began), trial.made.scope)
        words = f"{_bad(since)}, {_bad(trial.before)} before"
        harm = words if trial.before.fell(since) else self._advisor.harm(evidence, trial.made)
        observed = _slot_change(trial.before, since) if trial.made.predicted is not None else None
        if harm is not None:
            return Judgement(Verdict.BAD, harm, since.recalls, observed, measure="slot time"), trial
        if since.recalls < self._advisor.trial and position - trial.position < 4 * ADVISORS.pace:
            return Judgement(Verdict.OPEN), trial
        unproven = self._advisor.unproven(evidence, trial.made)
        if unproven is not None:
            return Judgement(Verdict.BAD, unproven, since.recalls, observed, measure="slot time"), trial
        return Judgement(Verdict.GOOD, words, since.recalls, observed, measure="slot time"), trial

    def key(self, config: TuningConfig, scope: str) -> str:
        """Return the advisor and the scope: whatever it wants next there has to wait."""
        return f"{self._advisor.name} for {scope}"


@dataclass(frozen=True, slots=True)
class AdvisorRound:
    """Whose turn it is, and what each advisor found.

    Attributes:
        waiting: advisors that are to be asked, in order.
        next_at: recalls from which a new round begins.
        findings: by advisor.
        found_so_far: findings so far.
    """

    waiting: tuple[str, ...] = ()
    next_at: int = ADVISORS.first
    findings: Mapping[str, Any] = field(default_factory=dict)
    found_so_far: int = 0

    def finding(self, advisor: Advisor) -> Any:
        """Return what an advisor found last."""
        return self.findings[advisor.name] if advisor.name in self.findings else advisor.finding()

    def having(self, advisor: Advisor, finding: Any) -> AdvisorRound:
        """Return the round with what an advisor has found."""
        findings = {**self.findings, advisor.name: finding}
        return replace(self, findings=findings, found_so_far=self.found_so_far + 1)


class AdvisorScheduler:
    """Asks advisors in turn and sees to it that their changes are few and do no harm.

    A round begins after 500 recalls and then every 1,000: the advisors review in turn, and the first that
    has something material to say about a scope changes it, alone, which ends the round. The change is on
    trial for the next recalls of its scope; meanwhile only other types may be changed, which it does not
    touch. An advisor that wakes is asked at once, also during a trial; a canary is judged by the policy.

    Args:
        policy: in whose name it decides.
        advisors: in the order in which they are asked.
    """

    def __init__(self, policy: Policy, advisors: Sequence[Advisor]) -> None:
        self.advisors = tuple(advisors)
        self._policy = policy

    def judges(self, canary: Canary) -> list[AdvisorJudge]:
        """Return who judges the changes that are on trial."""
        scopes = sorted({trial.made.scope for trial in canary.trials.values()})
        everyone = [AdvisorJudge(advisor, scope) for advisor in self.advisors for scope in scopes]
        return [judge for judge in everyone if judge.name in canary.trials]

    def restored(self, turn: AdvisorRound) -> AdvisorRound:
        """Return a round whose findings are plain types with findings as the advisors know them."""
        findings: dict[str, Any] = {
            advisor.name: msgspec.convert(turn.findings[advisor.name], advisor.finding)
            for advisor in self.advisors
            if advisor.name in turn.findings
        }
        return replace(turn, findings=findings)

    def woken(self, evidence: Evidence, turn: AdvisorRound) -> AdvisorRound:
        """Return the round with the advisors ahead that want to be asked now."""
        for advisor in reversed(self.advisors):
            finding = advisor.wakes(evidence, turn.finding(advisor))
            if finding is not None:
                others = tuple(name for name in turn.waiting if name != advisor.name)
                turn = replace(turn.having(advisor, finding), waiting=(advisor.name, *others))
        return turn

    def begun(self, position: int, turn: AdvisorRound) -> AdvisorRound:
        """Return the round, a new one if it is time for one."""
        if turn.waiting or position < turn.next_at:
            return turn
        names = tuple(advisor.name for advisor in self.advisors)
        return replace(turn, waiting=names, next_at=position + ADVISORS.pace)

    def review(
        self, evidence: Evidence, turn: AdvisorRound, canary: Canary
    ) -> Generator[None, None, tuple[tuple[Decision, ...], Advisor, Any]]:
        """Let the advisor whose turn it is look; return what to decide, who it was, and its finding."""
        advisor = next(a for a in self.advisors if a.name == turn.waiting[0])
        slices = advisor.review(evidence, turn.finding(advisor))
        while True:
            try:
                next(slices)
            except StopIteration as end:
                return self._decided(evidence, canary, advisor, end.value), advisor, end.value
            yield

    def reviewed(self, evidence: Evidence, turn: AdvisorRound) -> AdvisorRound:
        """Return the round after those who may review at once have done so, where they never did."""
        for advisor in self.advisors:
            if advisor.at_once and advisor.name not in turn.findings:
                finding = run_through(advisor.review(evidence, turn.finding(advisor)))
                turn = replace(turn, findings={**turn.findings, advisor.name: finding})
        return turn

    def dressed(self, evidence: Evidence, turn: AdvisorRound, canary: Canary, made: Decision) -> Decision:
        """Return a proposal with what the advisors hold right for its scope, by their last reviews."""
        after, reasons = made.after, made.reasons
        for advisor in self.advisors:
            advice = self._advice(evidence, canary, advisor, turn.finding(advisor), made.scope)
            if advice is not None:
                after, reasons = replace(after, **advice.values), (*reasons, *advice.reasons)
        action = Action.CHANGE if made.action is Action.KEEP and after != made.before else made.action
        beside = changes_in_words(made.after, after)
        summary = f"{made.summary} Beside it: {beside}." if beside else made.summary
        return replace(made, after=after, reasons=reasons, action=action, summary=summary)

    def trial(self, evidence: Evidence, made: Decision, version: ConfigVersion) -> Trial | None:
        """Return the trial of a change that is in force now; None if no advisor wanted it."""
        changed = {reason.parameter for reason in made.reasons}
        advisor = next((a for a in self.advisors if changed and changed <= a.parameters), None)
        if advisor is None or made.policy != self._policy.name or made.action is not Action.CHANGE:
            return None
        position = evidence.telemetry.position
        before = Rates.of(evidence.telemetry.recalls, made.scope)
        judge = AdvisorJudge(advisor, made.scope).name
        return Trial(made, judge, version.time, position, before, looked_at=position)

    def _decided(
        self, evidence: Evidence, canary: Canary, advisor: Advisor, finding: Any
    ) -> tuple[Decision, ...]:
        for scope in advisor.scopes(evidence):
            advice = self._advice(evidence, canary, advisor, finding, scope)
            if advice is None:
                continue
            if not advice.canary and self._is_taken(canary, scope):
                continue
            made = decision(
                self._policy,
                evidence,
                scope,
                replace(evidence.incumbent(scope), **advice.values),
                advice.summary,
                advice.samples,
                reasons=advice.reasons,
                action=Action.CANARY if advice.canary else Action.CHANGE,
                predicted=advice.predicted,
                bound=next((r.bound for r in advice.reasons if r.bound), None),
            )
            return (made, *followers(self._policy, evidence, made))
        return ()

    def _is_taken(self, canary: Canary, scope: str) -> bool:
        """Whether a change on trial touches recalls of a scope: one at a time."""
        on_trial = {canary.trials[judge.name].made.scope for judge in self.judges(canary)}
        return bool(on_trial) if scope == "all" else bool(on_trial & {scope, "all"})

    def _advice(
        self, evidence: Evidence, canary: Canary, advisor: Advisor, finding: Any, scope: str
    ) -> Advice | None:
        """Return advice that is worth a change and not banned."""
        advice = advisor.advise(evidence, finding, scope)
        if advice is None or not advice.material:
            return None
        key = AdvisorJudge(advisor, scope).key(evidence.incumbent(scope), scope)
        banned = canary.holds_back(key, evidence.telemetry.position)
        return None if banned and not advice.back else advice


def followers(policy: Policy, evidence: Evidence, made: Decision) -> tuple[Decision, ...]:
    """Return what a change for all types means for the types that have a config of their own.

    Such a type differs in the layers that it leaves out; the rest it has in common with all. Those that a
    person steers stay as they are.
    """
    if made.scope != "all":
        return ()
    names = set(made.before.changes_to(made.after)) - SHARED
    changes = []
    for query_type, version in evidence.configs.by_type.items():
        after = replace(version.config, **{name: getattr(made.after, name) for name in names})
        if version.mode is Mode.AUTO and after != version.config:
            summary = f"As for all types: {made.summary}"
            changes.append(decision(policy, evidence, query_type, after, summary, made.samples))
    return tuple(changes)


def _slot_change(before: Rates, since: Rates) -> float | None:
    """Return ln(slot time a recall since / before), None where either is unknown."""
    return math.log(since.slot_ms / before.slot_ms) if since.slot_ms and before.slot_ms else None


def _bad(rates: Rates) -> str:
    return f"{rates.bad / max(rates.recalls, 1):.1%} of {rates.recalls} recalls failed, partial or refused"
