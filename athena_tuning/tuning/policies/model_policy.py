"""Fit, simulate, verify: the policy that knows why a config is better before it tries it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from athena_tuning.model import Action, ConfigVersion, Decision, Reason, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.telemetry import Seen, Telemetry
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies import canary
from athena_tuning.tuning.policies.advisors import Board
from athena_tuning.tuning.policies.base import Policy, decision
from athena_tuning.tuning.policies.daily_load import LoadAdvisor
from athena_tuning.tuning.policies.layer_advisor import LayerAdvisor
from athena_tuning.tuning.policies.paired_comparison import log_ratios
from athena_tuning.tuning.policies.rules import RulePolicy
from athena_tuning.tuning.policies.saturation import Reflex
from athena_tuning.tuning.policies.timeouts import TimeoutAdvisor
from athena_tuning.tuning.simulation.search import REFITS, Found, Steps, candidates, run_through, search

LEAST = 150
"""Recalls with telemetry before the first search."""

PER_STEP = 1500
"""Recalls to simulate in one step: about 10 ms."""

AT_ONCE, LONGEST_TRACE = 300, 1000
"""Recalls to simulate for somebody who waits for the answer, and in steps."""

REPEATED = 1000
"""Recalls until a change that nobody carried out is proposed again; another one comes after half as many."""

LAST_REVIEW_GAP = 4000


class ModelPolicy(Policy):
    """Fits contention, simulates every config on the recalls that came, changes, and checks what happened.

    *Search.* At recall 150, 300, 600, … (at the latest every 4,000) and after every change or shift of
    load: own works are freed from contention by the fitted law, and each limit up to 1.5 times what was
    seen, side by side or in turn, is simulated on the same arrivals. It takes what gains 8 % or more in the
    strategy's objective under the law and under refits. Searches run in slices over many steps.

    *Reflex.* A limit that recalls wait for longer than they are served cannot be learned from and must not
    wait for a search: it goes up by 1.6 unless the law says that capacity would not grow.

    *Guard.* Every change is on trial: what its recalls took is compared with the simulated incumbent on the
    same arrivals and backlog, in block means. A bad one is rolled back and banned for a time that doubles.
    More failures or partial answers than before roll back at once, and it only watches for a while.

    Where it misleads: a law fitted on one level says nothing (hence the reflex explores); layers whose
    slowness has nothing to do with what is in flight look like noise, which the refits then show. Without
    task telemetry it does what the rules do.
    """

    name = "model"

    def __init__(self, *, seed: int = 0) -> None:
        self._telemetry = Telemetry()
        self._rules = RulePolicy()
        self._random = np.random.default_rng(seed)
        self._search: Steps | None = None
        self._next_review = LEAST
        self._reviewed = 0
        self._trial: canary.Trial | None = None
        self._bans = canary.Bans()
        self._good: TuningConfig | None = None
        self._quiet_until = 0
        self._limit_since = 0.0
        self._limit: int | None = None
        self._load = math.nan
        self._reflexes = Reflex()
        self._proposed: tuple[int, tuple[TuningStrategy, TuningConfig], Found] | None = None
        self._told: tuple[int, TuningConfig, TuningConfig] | None = None
        self._board = Board(self, (TimeoutAdvisor(seed=seed), LayerAdvisor(), LoadAdvisor()))

    def due(self, evidence: Evidence) -> bool:
        """Whether recalls came, a search is under way or the strategy has changed."""
        return evidence.fresh > 0 or evidence.urgent or self._search is not None

    def propose(self, evidence: Evidence, scope: str = "all") -> Decision:
        """Search in one go, over fewer recalls; all types get the same. Below ``LEAST``, the rules."""
        self._telemetry.take(evidence.profiler)
        if self._telemetry.measured < LEAST:
            return self._rules.propose(evidence, scope)
        found = self._conclusion(evidence, self._searched(evidence), scope)
        return self._board.dressed(evidence, self._telemetry, found)

    def _searched(self, evidence: Evidence) -> Found:
        """Return what a search in one go comes to; the last one's answer until there is half as much more."""
        position, asked = self._telemetry.position, (evidence.strategy, evidence.incumbent("all"))
        if self._proposed is not None:
            at, before, found = self._proposed
            if before == asked and position < at + max(LEAST, at // 2):
                return found
        found = run_through(self._begin(evidence, self._telemetry.asking(AT_ONCE)))
        self._proposed = position, asked, found
        return found

    def decide(self, evidence: Evidence) -> tuple[Decision, ...]:
        """Take in what came, then judge, react, or go on searching: the first that has something to say."""
        self._telemetry.take(evidence.profiler)
        if not self._telemetry.measured:
            return self._rules.decide(evidence) if self._rules.due(evidence) else ()
        self._notice(evidence)
        made = self._judged(evidence) or self._reflex(evidence) or self._reviewed_now(evidence)
        if made is not None and self._known(made):
            return ()
        if made is not None:
            return (made, *self._board.followers(evidence, made))
        return self._board.decide(evidence, self._telemetry, calm=self._calm)

    def _known(self, made: Decision) -> bool:
        """Whether the same change was told lately and nobody has carried it out: once is enough."""
        if made.action is not Action.CANARY:
            return False
        position, told = self._telemetry.position, self._told
        if told is not None and told[1] == made.before:
            again = REPEATED if told[2] == made.after else REPEATED // 2
            if position < told[0] + again:
                return True
        self._told = position, made.before, made.after
        return False

    @property
    def _calm(self) -> bool:
        """Whether nothing is on trial, being looked for or only watched."""
        return self._trial is None and self._search is None and self._telemetry.position >= self._quiet_until

    def applied(self, decision: Decision, version: ConfigVersion) -> None:
        """Put the change on trial."""
        if self._board.applied(decision, version, self._telemetry) or decision.scope != "all":
            return
        self._search = self._told = None
        at = self._telemetry.position
        if decision.action is Action.CANARY:
            if self._trial is None:
                self._good = decision.before
            elif self._reflexes.taken_back:
                self._bans.ban(decision.before, at)
            self._trial = canary.Trial(decision, version.time, at)
            self._next_review = min(self._next_review, at + LEAST)
        else:
            self._trial = None
        self._limit, self._limit_since = decision.after.max_concurrent, version.time

    def _notice(self, evidence: Evidence) -> None:
        """Let go of what somebody else's write has overtaken."""
        incumbent = evidence.incumbent("all")
        if self._trial is not None and incumbent != self._trial.decision.after:
            self._trial = None
        if self._limit != incumbent.max_concurrent:
            self._limit, self._limit_since = incumbent.max_concurrent, evidence.now
        if evidence.urgent:
            self._search = None
            self._next_review = min(self._next_review, self._telemetry.position)

    # -- judge -----------------------------------------------------------------------------------------

    def _judged(self, evidence: Evidence) -> Decision | None:
        trial = self._trial
        if trial is None:
            return None
        since = self._telemetry.since(trial.began)
        asked = [s for s in since if s.tasks]
        return self._alarmed(evidence, trial, since) or self._looked_at(evidence, trial, asked)

    def _alarmed(self, evidence: Evidence, trial: canary.Trial, since: list[Seen]) -> Decision | None:
        bad = _bad(since)
        if not bad:
            return None
        before = [s for s in self._telemetry.newest(len(since) + 1000) if s.ended < trial.began]
        if not canary.rates_fell(_bad(before), len(before), bad, len(since)):
            return None
        self._quiet_until = self._telemetry.position + canary.QUIET
        why = f"{bad} of {len(since)} recalls failed or were partial, {_bad(before)} of {len(before)} before"
        return self._rolled_back(
            evidence, trial, f"Rolled back at once: {why}. Only watching for {canary.QUIET} recalls."
        )

    def _looked_at(self, evidence: Evidence, trial: canary.Trial, asked: list[Seen]) -> Decision | None:
        if not canary.look_due(len(asked), trial.looks):
            return None
        ratios, tolerated = log_ratios(self._telemetry, trial, evidence.strategy)
        judged = canary.judge(ratios, trial.looks, tolerated)
        trial.looks += 1
        figures = (
            f"log ratio {judged.mean:+.3f} ({judged.low:+.3f} to {judged.high:+.3f}), {judged.blocks} blocks,"
        )
        if judged.verdict is canary.Verdict.BAD:
            why = f"Rolled back: {figures} against what it was before."
            return self._rolled_back(evidence, trial, why, judged.mean)
        if judged.verdict is canary.Verdict.OPEN:
            return None
        self._trial, self._good = None, trial.decision.after
        if judged.high < 0:
            self._bans.ban(trial.decision.before, self._telemetry.position)
        return decision(
            self,
            evidence,
            "all",
            evidence.incumbent("all"),
            f"Confirmed: {figures} against what it was before.",
            len(asked),
            action=Action.CONFIRM,
            predicted=trial.decision.predicted,
            observed=judged.mean,
            verdict_on=trial.decision.decision_id,
        )

    def _rolled_back(
        self, evidence: Evidence, trial: canary.Trial, summary: str, observed: float | None = None
    ) -> Decision:
        position = self._telemetry.position
        length = self._bans.ban(trial.decision.after, position)
        self._next_review = min(self._next_review, position + LEAST)
        before = trial.decision.before
        good = self._good if self._bans.holds(before, position) else before
        back = replace(good or before, strategy=evidence.strategy)
        return decision(
            self,
            evidence,
            "all",
            back,
            f"{summary} Not tried again for {length} recalls.",
            position - trial.position,
            action=Action.ROLLBACK,
            predicted=trial.decision.predicted,
            observed=observed,
            verdict_on=trial.decision.decision_id,
        )

    # -- react -----------------------------------------------------------------------------------------

    def _reflex(self, evidence: Evidence) -> Decision | None:
        position = self._telemetry.position
        if position < self._quiet_until:
            return None
        incumbent = evidence.incumbent("all")
        limit = incumbent.max_concurrent
        explore = evidence.strategy is TuningStrategy.THROUGHPUT and self._trial is None
        reason = self._reflexes.look(
            self._telemetry, limit, self._limit_since, evidence.bounds, explore=explore
        )
        waiting = self._reflexes.waiting
        if reason is None or waiting is None:
            return None
        after = replace(incumbent, max_concurrent=reason.value, strategy=evidence.strategy)
        if reason.value == limit or self._bans.holds(after, position):
            if position - self._reviewed >= max(2 * LEAST, position // 2):
                self._next_review = min(self._next_review, position)
            return None
        return decision(
            self,
            evidence,
            "all",
            after,
            f"Recalls wait {waiting.queue_ms:.0f} ms for a slot and are served in "
            f"{waiting.service_ms:.0f} ms; {reason.rule}: limit {limit} → {reason.value}.",
            reason.samples,
            action=Action.CANARY,
            reasons=(reason,),
        )

    # -- search ----------------------------------------------------------------------------------------

    def _reviewed_now(self, evidence: Evidence) -> Decision | None:
        position = self._telemetry.position
        if self._search is None:
            if position < max(self._quiet_until, LEAST) or (
                position < self._next_review and not self._shifted(evidence)
            ):
                return None
            self._search = self._begin(
                evidence, self._telemetry.newest(min(LONGEST_TRACE, max(300, position // 2)))
            )
            self._reviewed = position
            self._next_review = position + min(max(3 * position // 2, LEAST), LAST_REVIEW_GAP)
        simulated = 0
        while simulated < PER_STEP:
            try:
                simulated += next(self._search)
            except StopIteration as end:
                self._search = None
                return self._conclusion(evidence, end.value, "all")
        return None

    def _begin(self, evidence: Evidence, recalls: list[Seen]) -> Steps:
        telemetry = self._telemetry
        laws = telemetry.laws()
        refits = [telemetry.refitted(self._random) for _ in range(REFITS)]
        trace = telemetry.trace(recalls, laws)
        incumbent = replace(evidence.incumbent("all"), strategy=evidence.strategy)
        most = max((law.trusted for law in laws.values()), default=2)
        grid = candidates(incumbent, evidence.bounds, most)
        bound = (
            f"limits up to {most}: 1.5 times what was seen" if most < evidence.bounds.max_concurrent else None
        )

        def banned(config: TuningConfig) -> bool:
            return self._bans.holds(config, telemetry.position)

        return search(trace, laws, refits, incumbent, grid, evidence.strategy, banned=banned, bound=bound)

    def _conclusion(self, evidence: Evidence, found: Found, scope: str) -> Decision:
        incumbent = evidence.incumbent(scope)
        if found.best is None:
            after = replace(incumbent, strategy=evidence.strategy)
            told = (
                f"No change: nothing else is surely better for {evidence.strategy} "
                f"on {found.recalls} recalls{_nearest(incumbent, found)}."
            )
            return decision(
                self,
                evidence,
                scope,
                after,
                told,
                found.recalls,
                candidates=found.candidates,
                bound=found.bound,
            )
        chosen = found.best
        after = replace(
            incumbent,
            strategy=evidence.strategy,
            max_concurrent=chosen.config.max_concurrent,
            enable_parallel=chosen.config.enable_parallel,
        )
        changes = _changes(incumbent, after)
        return decision(
            self,
            evidence,
            scope,
            after,
            f"{changes}: {math.expm1(chosen.predicted):+.0%} of the {evidence.strategy} objective predicted "
            f"({math.expm1(chosen.low):+.0%} to {math.expm1(chosen.high):+.0%}) on {found.recalls} recalls.",
            found.recalls,
            action=Action.CANARY if after != incumbent else Action.KEEP,
            reasons=self._reasons(after, found),
            candidates=found.candidates,
            bound=found.bound,
            predicted=chosen.predicted,
        )

    def _reasons(self, after: TuningConfig, found: Found) -> tuple[Reason, ...]:
        laws = self._telemetry.laws()
        fitted = {f"slowdown_{layer}": law.factor(after.max_concurrent) for layer, law in laws.items()}
        rule = "least objective of all simulated on the same recalls, under the fitted contention"
        return tuple(
            Reason(name, getattr(after, name), rule, fitted, found.recalls, found.bound)
            for name in ("max_concurrent", "enable_parallel")
        )

    def _shifted(self, evidence: Evidence) -> bool:
        """Whether load has moved by half since the last search: offered work a second, over 200 recalls."""
        position = self._telemetry.position
        if position - self._reviewed < 200 or position % 50:
            return False
        recent = self._telemetry.newest(200)
        passed = max(recent[-1].ended - recent[0].ended, 1e-9)
        load = sum(t.service_ms for s in recent for t in s.tasks) / 1000 / passed
        before, self._load = self._load, load
        return bool(abs(math.log(max(load, 1e-9) / before)) > 0.4) if before > 0 else False


def _bad(recalls: list[Seen]) -> int:
    return sum(s.partial or not s.success for s in recalls)


def _nearest(incumbent: TuningConfig, found: Found) -> str:
    """Return what the best candidate would have given, with its interval where one was computed."""
    if not found.candidates:
        return ""
    best = found.candidates[0]
    low, high = math.expm1(best.low), math.expm1(best.high)
    interval = f" ({low:+.0%} to {high:+.0%})" if low < high else ""
    changes = _changes(replace(incumbent, strategy=best.config.strategy), best.config)
    return (
        f"; the best of them, {changes}, changes the objective by {math.expm1(best.predicted):+.0%}{interval}"
    )


def _changes(before: TuningConfig, after: TuningConfig) -> str:
    return ", ".join(f"{name} {was} → {then}" for name, (was, then) in before.changes_to(after).items())
