"""Who knows one part of a config well: asked by a policy in turn, when nothing else is under way."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from athena_tuning.model import Action, ConfigVersion, Decision, Mode, Reason, TuningConfig
from athena_tuning.tuning.estimation.telemetry import Seen, Telemetry
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies import canary
from athena_tuning.tuning.policies.base import Policy, decision

FIRST = 500
"""Recalls before anybody is asked."""

PACE = 1000
"""Recalls between two rounds, and for which a change is watched: at most one change in so many."""

LOOK = 50
"""Recalls between two looks at a change on trial."""

FIRST_BAN, LONGEST_BAN = 4000, 64_000


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
    """Advises on one part of a config. Calls never overlap."""

    at_once = False
    """Whether a proposal that cannot wait for its turn may have it review in one go."""

    def wakes(self, evidence: Evidence, telemetry: Telemetry) -> bool:
        """Note that recalls came; whether to be asked now, out of turn. Asked at every step: cheap."""
        return False

    @abstractmethod
    def review(self, evidence: Evidence, telemetry: Telemetry) -> Iterator[None]:
        """Look at what was seen, in slices of some ms: one is carried out a step."""

    @abstractmethod
    def advise(self, evidence: Evidence, scope: str) -> Advice | None:
        """Return what it holds right for "all" or a type after its last review. Cheap."""

    def scopes(self, evidence: Evidence) -> tuple[str, ...]:
        """Return the scopes that it may have something to say about."""
        return ("all",)

    def harm(self, evidence: Evidence, telemetry: Telemetry, made: Decision) -> str | None:
        """Return what has become worse by a change of its own that is on trial, beyond chance."""
        return None


@dataclass(frozen=True, slots=True)
class _Figures:
    """Recalls, those of them that failed or were partial, mean slot time (ms) of those that asked layers."""

    recalls: int
    bad: int
    slot_ms: float

    def __str__(self) -> str:
        return f"{self.bad / max(self.recalls, 1):.1%} of {self.recalls} recalls failed or partial"


@dataclass(slots=True)
class _Trial:
    made: Decision
    advisor: Advisor
    began: float
    position: int
    before: _Figures
    looked: int


@dataclass(slots=True)
class Board:
    """Asks advisors in turn and sees to it that their changes are few and do no harm.

    A round begins after ``FIRST`` recalls and then every ``PACE``: the advisors review in turn, and the first
    that has something material to say about a scope changes it, alone, which ends the round. The change is
    on trial for the next ``PACE`` recalls of its scope: more failures or partial answers than before, or
    what the advisor calls harm, roll it back and keep that advisor from the scope for a time that doubles.
    An advisor that wakes is asked at once, also during a trial; a canary is judged by the policy.

    Args:
        policy: in whose name it decides.
        advisors: in the order in which they are asked.
    """

    policy: Policy
    advisors: Sequence[Advisor]
    _left: list[Advisor] = field(default_factory=list)
    _reviewing: tuple[Advisor, Iterator[None]] | None = None
    _position: int = 0
    _next: int = FIRST
    _made: tuple[Decision, Advisor] | None = None
    _trial: _Trial | None = None
    _bans: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)

    def decide(self, evidence: Evidence, telemetry: Telemetry, *, calm: bool) -> tuple[Decision, ...]:
        """Judge the change on trial, else go on with the round.

        Args:
            evidence: configs, strategy and bounds.
            telemetry: what was seen.
            calm: whether the policy has nothing of its own under way; else nothing new is begun.
        """
        position = self._position = telemetry.position
        awake = [advisor for advisor in self.advisors if advisor.wakes(evidence, telemetry)]
        self._left = awake + [advisor for advisor in self._left if advisor not in awake]
        if self._trial is not None and (made := self._judged(evidence, telemetry, self._trial)):
            return made
        if calm and not self._left and self._reviewing is None and position >= self._next:
            self._left = list(self.advisors)
            self._next = position + PACE
        return self._reviewed(evidence, telemetry) if calm else ()

    def _reviewed(self, evidence: Evidence, telemetry: Telemetry) -> tuple[Decision, ...]:
        """Go on with the advisor whose turn it is, by one slice; decide if it has done and wants a change."""
        if self._reviewing is None:
            if not self._left:
                return ()
            advisor = self._left.pop(0)
            self._reviewing = advisor, advisor.review(evidence, telemetry)
        advisor, slices = self._reviewing
        if next(slices, self) is None:
            return ()
        self._reviewing = None
        for scope in advisor.scopes(evidence):
            advice = self._advice(evidence, advisor, scope)
            if advice is not None:
                if self._trial is not None and not advice.canary:
                    return ()  # one at a time
                self._left = []
                made = self._decision(evidence, scope, advice)
                self._made = None if advice.canary else (made, advisor)
                return (made, *self.followers(evidence, made))
        return ()

    def followers(self, evidence: Evidence, made: Decision) -> tuple[Decision, ...]:
        """Return what a change for all types means for the types that have a config of their own.

        Such a type differs in the layers that it leaves out; the rest it has in common with all. Those that
        a person steers stay as they are.
        """
        if made.scope != "all":
            return ()
        names = set(made.before.changes_to(made.after)) - {"max_concurrent"}
        found = []
        for query_type, version in evidence.configs.by_type.items():
            after = replace(version.config, **{name: getattr(made.after, name) for name in names})
            if version.mode is Mode.AUTO and after != version.config:
                told = f"As for all types: {made.summary}"
                found.append(decision(self.policy, evidence, query_type, after, told, made.samples))
        return tuple(found)

    def dressed(self, evidence: Evidence, telemetry: Telemetry, made: Decision) -> Decision:
        """Return a proposal with what the advisors hold right for its scope.

        Those that may, review at once; the others tell what their last review came to.
        """
        after, reasons = made.after, made.reasons
        under_review = self._reviewing[0] if self._reviewing else None
        for advisor in self.advisors:
            if advisor.at_once and advisor is not under_review:
                deque(advisor.review(evidence, telemetry), maxlen=0)
            advice = self._advice(evidence, advisor, made.scope)
            if advice is not None:
                after, reasons = replace(after, **advice.values), (*reasons, *advice.reasons)
        action = Action.CHANGE if made.action is Action.KEEP and after != made.before else made.action
        return replace(made, after=after, reasons=reasons, action=action)

    def applied(self, made: Decision, version: ConfigVersion, telemetry: Telemetry) -> bool:
        """Put a change of its own on trial; False if somebody else decided it."""
        if self._made is None or made.decision_id != self._made[0].decision_id:
            return False
        if made.action is not Action.ROLLBACK:
            before = _figures(s for s in telemetry.seen if _within(made.scope, s))
            position = telemetry.position
            self._trial = _Trial(made, self._made[1], version.time, position, before, position)
        return True

    def _advice(self, evidence: Evidence, advisor: Advisor, scope: str) -> Advice | None:
        """Return advice that is worth a change and not banned."""
        banned, _ = self._bans.get((self.advisors.index(advisor), scope), (0, 0))
        advice = advisor.advise(evidence, scope)
        if advice is None or not advice.material or (banned > self._position and not advice.back):
            return None
        return advice

    def _decision(self, evidence: Evidence, scope: str, advice: Advice) -> Decision:
        return decision(
            self.policy,
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

    # -- judging ---------------------------------------------------------------------------------------

    def _judged(self, evidence: Evidence, telemetry: Telemetry, trial: _Trial) -> tuple[Decision, ...]:
        made, position = trial.made, telemetry.position
        if not _holds(evidence.incumbent(made.scope), made):
            self._trial = None  # somebody else's write has overtaken it
            return ()
        if position - trial.looked < LOOK:
            return ()
        trial.looked = position
        since = _figures(s for s in telemetry.since(trial.began) if _within(made.scope, s))
        why = _worse(trial.before, since) or trial.advisor.harm(evidence, telemetry, made)
        observed = _slot_change(trial.before, since) if made.predicted is not None else None
        if why is not None:
            back = self._rolled_back(evidence, trial, why, observed)
            return (back, *self.followers(evidence, back))
        if since.recalls < PACE and position - trial.position < 4 * PACE:
            return ()
        self._trial = None
        return (
            decision(
                self.policy,
                evidence,
                made.scope,
                evidence.incumbent(made.scope),
                f"Confirmed: {since}, {trial.before} before.",
                since.recalls,
                action=Action.CONFIRM,
                predicted=made.predicted,
                observed=observed,
                verdict_on=made.decision_id,
            ),
        )

    def _rolled_back(self, evidence: Evidence, trial: _Trial, why: str, observed: float | None) -> Decision:
        made, advisor, position = trial.made, trial.advisor, self._position
        key = self.advisors.index(advisor), made.scope
        times = self._bans.get(key, (0, 0))[1] + 1
        length = min(FIRST_BAN * 2 ** (times - 1), LONGEST_BAN)
        self._bans[key] = position + length, times
        self._next = max(self._next, position + PACE)
        self._trial = None
        names = made.before.changes_to(made.after)
        back = decision(
            self.policy,
            evidence,
            made.scope,
            replace(evidence.incumbent(made.scope), **{name: getattr(made.before, name) for name in names}),
            f"Rolled back: {why}. Not tried again for {length} recalls.",
            position - trial.position,
            action=Action.ROLLBACK,
            predicted=made.predicted,
            observed=observed,
            verdict_on=made.decision_id,
        )
        self._made = back, advisor
        return back


def _figures(recalls: Iterable[Seen]) -> _Figures:
    n = bad = asked = 0
    held = 0.0
    for s in recalls:
        n += 1
        bad += s.partial or not s.success
        asked += bool(s.tasks)
        held += sum([t.service_ms for t in s.tasks])
    return _Figures(n, bad, held / asked if asked else 0.0)


def _slot_change(before: _Figures, since: _Figures) -> float | None:
    """Return ln(slot time a recall since / before), None where either is unknown."""
    return math.log(since.slot_ms / before.slot_ms) if since.slot_ms and before.slot_ms else None


def _within(scope: str, seen: Seen) -> bool:
    return scope in ("all", seen.query_type)


def _holds(config: TuningConfig, made: Decision) -> bool:
    """Whether what the decision changed still is as it made it."""
    return all(
        getattr(config, name) == getattr(made.after, name) for name in made.before.changes_to(made.after)
    )


def _worse(before: _Figures, since: _Figures) -> str | None:
    if not canary.rates_fell(before.bad, before.recalls, since.bad, since.recalls):
        return None
    return f"{since}, {before} before"
