"""Fit, simulate, verify: the policy that knows why a config is better before it tries it."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from athena_tuning.model import Action, ConfigVersion, Decision, Reason, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall, Telemetry, trace_of
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import Advisor, AdvisorRound, AdvisorScheduler, followers
from athena_tuning.tuning.policies.base import (
    Finding,
    Outcome,
    Policy,
    Study,
    changes_in_words,
    decision,
)
from athena_tuning.tuning.policies.canary import Canary, Rates, Trial
from athena_tuning.tuning.policies.layer_advisor import LayerAdvisor
from athena_tuning.tuning.policies.load_advisor import LoadAdvisor
from athena_tuning.tuning.policies.paired_comparison import PairedComparison
from athena_tuning.tuning.policies.rules import RulePolicy
from athena_tuning.tuning.policies.saturation import SaturationMemory, look
from athena_tuning.tuning.policies.timeouts import TimeoutAdvisor
from athena_tuning.tuning.settings import ADVISORS, REVIEW, SEARCH
from athena_tuning.tuning.simulation.search import SearchResult, Steps, candidates, search
from athena_tuning.tuning.slices import paced, run_through


@dataclass(frozen=True, slots=True)
class LimitInForce:
    """The limit and since when (Unix seconds) it is in force."""

    limit: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchSchedule:
    """When it searched and will search again, in recalls; the load by then, in tasks in flight."""

    last_at: int = 0
    next_at: int = REVIEW.first
    load: float = math.nan


@dataclass(frozen=True, slots=True)
class Announcement:
    """A change that was proposed, and by how many recalls."""

    position: int
    before: TuningConfig
    after: TuningConfig


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """What the model policy remembers from one step to the next."""

    canary: Canary = field(default_factory=Canary)
    limit: LimitInForce = field(default_factory=LimitInForce)
    schedule: SearchSchedule = field(default_factory=SearchSchedule)
    saturation: SaturationMemory = field(default_factory=SaturationMemory)
    advisors: AdvisorRound = field(default_factory=AdvisorRound)
    announced: Announcement | None = None


class ModelPolicy(Policy):
    """Fits contention, simulates every config on the recalls that came, changes, and checks what happened.

    *Search.* At recall 150, 375, 937, … (at the latest every 4,000) and after every change or shift of
    load: own works are freed from contention by the fitted law, and each limit up to 1.5 times what was
    seen, side by side or in turn, is simulated on the same arrivals. It takes what gains 8 % or more in the
    strategy's objective under the law and under refits. Searches run in slices over many steps.

    *Saturation.* A limit that recalls wait for longer than they are served cannot be learned from and must
    not wait for a search: it goes up by 1.6 unless the law says that capacity would not grow.

    *Canary.* Every change is on trial: what its recalls took is compared with the simulated incumbent on the
    same arrivals and backlog, in block means. A bad one is rolled back and banned for a time that doubles.
    More failures or partial answers than before roll back at once, and it only watches for a while.

    Where it misleads: a law fitted on one level says nothing (hence limits are explored); layers whose
    slowness has nothing to do with what is in flight look like noise, which the refits then show. Without
    task telemetry it does what the rules do.

    Args:
        seed: of what is drawn by chance, together with the number of recalls.
        advisors: who is asked about the other parts of a config; None: all there are.
    """

    name = "model"
    memory = ModelMemory

    def __init__(self, *, seed: int = 0, advisors: Sequence[Advisor] | None = None) -> None:
        everyone = (TimeoutAdvisor(seed=seed), LayerAdvisor(), LoadAdvisor())
        self._advisors = AdvisorScheduler(self, everyone if advisors is None else advisors)
        self._paired = PairedComparison()
        self._rules = RulePolicy()
        self._seed = seed
        self._latest: tuple[int, tuple[TuningStrategy, TuningConfig], SearchResult] | None = None

    def due(self, evidence: Evidence) -> bool:
        """Whether recalls came or the strategy has changed."""
        return evidence.fresh > 0 or evidence.urgent

    def reads_figures(self, evidence: Evidence) -> bool:
        """Whether the rules are asked."""
        return evidence.telemetry.position < REVIEW.first and self._rules.due(evidence)

    def propose(self, evidence: Evidence, scope: str = "all") -> Decision:
        """Search in one go, over fewer recalls; all types get the same. Below 150 recalls, the rules."""
        memory: ModelMemory = evidence.memory
        if evidence.telemetry.position < REVIEW.first:
            return self._rules.propose(evidence, scope)
        made = self._conclusion(evidence, self._searched(evidence), scope)
        return self._advisors.dressed(evidence, memory.advisors, memory.canary, made)

    def decide(self, evidence: Evidence) -> Outcome:
        """Judge what is on trial, react to a limit that is waited for: the first that calls for a change."""
        memory: ModelMemory = evidence.memory
        if not evidence.telemetry.position:
            return self._rules.decide(evidence) if self._rules.due(evidence) else Outcome((), memory)
        memory = self._noticed(evidence, memory)
        canary, made = memory.canary.judged(self, evidence, self._paired)
        memory = replace(memory, canary=canary)
        if made is not None:
            if made.action is Action.ROLLBACK:
                memory = self._soon(evidence, memory, REVIEW.first)
            return self._outcome(evidence, memory, made)
        memory, made = self._saturated(evidence, memory)
        if made is not None and not _known(evidence, memory, made):
            return self._outcome(evidence, _announced(evidence, memory, made), made)
        memory = replace(memory, advisors=self._advisors.woken(evidence, memory.advisors))
        for judge in self._advisors.judges:
            canary, made = memory.canary.judged(self, evidence, judge)
            memory = replace(memory, canary=canary)
            if made is not None:
                return self._outcome(evidence, self._advised_later(evidence, memory, made), made)
        return Outcome((), memory)

    def study(self, evidence: Evidence) -> Study:
        """Search if it is time, else let the advisor look whose turn it is, when nothing is on trial."""
        memory: ModelMemory = evidence.memory
        position, schedule = evidence.telemetry.position, memory.schedule
        if not position or position < memory.canary.watch_until:
            return Study(memory)
        if position >= REVIEW.first and position < schedule.next_at:
            schedule = _shifted(evidence.telemetry, schedule)
            memory = replace(memory, schedule=schedule)
        if position >= max(REVIEW.first, schedule.next_at):
            next_at = position + int(min(max(REVIEW.growth * position, REVIEW.first), REVIEW.gap))
            schedule = replace(schedule, last_at=position, next_at=next_at)
            return Study(replace(memory, schedule=schedule), self._review(evidence, memory))
        if self._paired.name in memory.canary.trials:
            return Study(memory)
        memory = replace(memory, advisors=self._advisors.begun(position, memory.advisors))
        return Study(memory, self._advice(evidence, memory) if memory.advisors.waiting else None)

    def restored(self, plain: Any) -> ModelMemory:
        """Return its memory from the plain types that packed evidence holds."""
        memory: ModelMemory = msgspec.convert(plain, ModelMemory)
        return replace(memory, advisors=self._advisors.restored(memory.advisors))

    def applied(self, evidence: Evidence, made: Decision, version: ConfigVersion) -> ModelMemory:
        """Put the change on trial."""
        memory: ModelMemory = evidence.memory
        canary, at = memory.canary, evidence.telemetry.position
        advised = self._advisors.trial(evidence, made, version)
        if advised is not None:
            return replace(memory, canary=canary.begun(advised))
        if made.scope != "all":
            return memory
        before = canary.trials.get(self._paired.name)
        if made.action is Action.CANARY:
            if before is None:
                canary = replace(canary, good=made.before)
            elif memory.saturation.taken_back:
                key = self._paired.key(made.before, "all")
                canary = canary.banned(key, at, self._paired.first_ban)
            rates = Rates.of(evidence.telemetry.newest(1000))
            trial = Trial(made, self._paired.name, version.time, at, rates, since=memory.limit.since)
            canary = canary.begun(trial)
            memory = self._soon(evidence, memory, REVIEW.first)
        limit = memory.limit
        if made.after.max_concurrent != limit.limit:
            limit = LimitInForce(made.after.max_concurrent, version.time)
        return replace(memory, canary=canary, limit=limit, announced=None)

    # -- react -----------------------------------------------------------------------------------------

    def _noticed(self, evidence: Evidence, memory: ModelMemory) -> ModelMemory:
        """Take note of a limit that somebody else has set, and of a strategy that has changed."""
        limit = evidence.incumbent("all").max_concurrent
        if memory.limit.limit != limit:
            memory = replace(memory, limit=LimitInForce(limit, evidence.now))
        return self._soon(evidence, memory, 0) if evidence.urgent else memory

    def _saturated(self, evidence: Evidence, memory: ModelMemory) -> tuple[ModelMemory, Decision | None]:
        position, incumbent = evidence.telemetry.position, evidence.incumbent("all")
        if position < memory.canary.watch_until:
            return memory, None
        on_trial = self._paired.name in memory.canary.trials
        saturation, seen = look(
            evidence.telemetry,
            memory.saturation,
            incumbent.max_concurrent,
            memory.limit.since,
            evidence.bounds,
            explore=evidence.strategy is TuningStrategy.THROUGHPUT and not on_trial,
        )
        memory = replace(memory, saturation=saturation)
        if seen is None:
            return memory, None
        limit, reason = incumbent.max_concurrent, seen.reason
        after = replace(incumbent, max_concurrent=reason.value, strategy=evidence.strategy)
        if reason.value == limit or memory.canary.holds_back(self._paired.key(after, "all"), position):
            waited = position - memory.schedule.last_at
            if waited >= max(2 * REVIEW.first, position // 2):
                memory = self._soon(evidence, memory, 0)
            return memory, None
        return memory, decision(
            self,
            evidence,
            "all",
            after,
            f"Recalls wait {seen.waiting.queue_ms:.0f} ms for a slot and are served in "
            f"{seen.waiting.service_ms:.0f} ms; {reason.rule}: limit {limit} → {reason.value}.",
            reason.samples,
            action=Action.CANARY,
            reasons=(reason,),
        )

    def _outcome(self, evidence: Evidence, memory: ModelMemory, made: Decision) -> Outcome:
        return Outcome((made, *followers(self, evidence, made)), memory)

    def _soon(self, evidence: Evidence, memory: ModelMemory, recalls: int) -> ModelMemory:
        """Return the memory with a search after so many recalls at the latest."""
        at = min(memory.schedule.next_at, evidence.telemetry.position + recalls)
        return replace(memory, schedule=replace(memory.schedule, next_at=at))

    # -- study -----------------------------------------------------------------------------------------

    def _review(self, evidence: Evidence, memory: ModelMemory) -> Generator[None, None, Finding]:
        telemetry = evidence.telemetry
        recalls = telemetry.newest(min(SEARCH.longest, max(SEARCH.at_once, telemetry.position // 2)))
        result = yield from paced(self._search(evidence, recalls), SEARCH.per_step)
        made = self._conclusion(evidence, result, "all")
        if _known(evidence, memory, made):
            return Finding()
        return Finding((made, *followers(self, evidence, made)), lambda now: _announced(evidence, now, made))

    def _advice(self, evidence: Evidence, memory: ModelMemory) -> Generator[None, None, Finding]:
        made, advisor, found = yield from self._advisors.review(evidence, memory.advisors, memory.canary)

        def remember(now: ModelMemory) -> ModelMemory:
            waiting = () if made else tuple(name for name in now.advisors.waiting if name != advisor.name)
            return replace(now, advisors=replace(now.advisors.having(advisor, found), waiting=waiting))

        return Finding(made, remember)

    def _searched(self, evidence: Evidence) -> SearchResult:
        """Return what a search in one go comes to; the last one's answer until there is half as much more."""
        position, question = evidence.telemetry.position, (evidence.strategy, evidence.incumbent("all"))
        if self._latest is not None:
            at, before, result = self._latest
            if before == question and at <= position < at + max(REVIEW.first, at // 2):
                return result
        result = run_through(self._search(evidence, evidence.telemetry.newest(SEARCH.at_once)))
        self._latest = position, question, result
        return result

    def _search(self, evidence: Evidence, recalls: Sequence[MeasuredRecall]) -> Steps:
        telemetry, canary = evidence.telemetry, evidence.memory.canary
        rng = np.random.default_rng([self._seed, telemetry.position])
        incumbent = replace(evidence.incumbent("all"), strategy=evidence.strategy)
        most = telemetry.contention.trusted
        return search(
            trace_of(recalls, telemetry.laws),
            telemetry.laws,
            [telemetry.contention.drawn(rng) for _ in range(SEARCH.refits)],
            incumbent,
            candidates(incumbent, evidence.bounds, most),
            evidence.strategy,
            banned=lambda config: canary.holds_back(self._paired.key(config, "all"), telemetry.position),
            bound=f"limits up to {most}: 1.5 times what was seen"
            if most < evidence.bounds.max_concurrent
            else None,
        )

    def _conclusion(self, evidence: Evidence, result: SearchResult, scope: str) -> Decision:
        incumbent, chosen = evidence.incumbent(scope), result.best
        after = replace(incumbent, strategy=evidence.strategy)
        explained = {"candidates": result.candidates, "bound": result.bound}
        if chosen is None:
            summary = (
                f"No change: nothing else is surely better for {evidence.strategy} "
                f"on {result.recalls} recalls{_nearest(incumbent, result)}."
            )
            return decision(self, evidence, scope, after, summary, result.recalls, **explained)
        limit, parallel = chosen.config.max_concurrent, chosen.config.enable_parallel
        after = replace(after, max_concurrent=limit, enable_parallel=parallel)
        return decision(
            self,
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

    def _advised_later(self, evidence: Evidence, memory: ModelMemory, made: Decision) -> ModelMemory:
        """Return the memory with no new round of advisors for a while after one's change was taken back."""
        if made.action is not Action.ROLLBACK:
            return memory
        at = max(memory.advisors.next_at, evidence.telemetry.position + ADVISORS.pace)
        return replace(memory, advisors=replace(memory.advisors, next_at=at))


def _known(evidence: Evidence, memory: ModelMemory, made: Decision) -> bool:
    """Whether the same change was proposed lately and nobody has carried it out: once is enough."""
    known, position = memory.announced, evidence.telemetry.position
    if made.action is not Action.CANARY or known is None or known.before != made.before:
        return False
    again = REVIEW.repeated if known.after == made.after else REVIEW.repeated // 2
    return position < known.position + again


def _announced(evidence: Evidence, memory: ModelMemory, made: Decision) -> ModelMemory:
    if made.action is not Action.CANARY:
        return memory
    return replace(memory, announced=Announcement(evidence.telemetry.position, made.before, made.after))


def _reasons(telemetry: Telemetry, after: TuningConfig, result: SearchResult) -> tuple[Reason, ...]:
    fitted = {f"slowdown_{layer}": law.factor(after.max_concurrent) for layer, law in telemetry.laws.items()}
    rule = "least objective of all simulated on the same recalls, under the fitted contention"
    return tuple(
        Reason(name, getattr(after, name), rule, fitted, result.recalls, result.bound)
        for name in ("max_concurrent", "enable_parallel")
    )


def _shifted(telemetry: Telemetry, schedule: SearchSchedule) -> SearchSchedule:
    """Return the schedule with a search now if load has moved by half: offered work a second."""
    position = telemetry.position
    if position - schedule.last_at < REVIEW.shift_recalls or position % REVIEW.shift_every:
        return schedule
    recent = telemetry.newest(REVIEW.shift_recalls)
    passed = max(recent[-1].ended - recent[0].ended, 1e-9)
    load = sum(task.service_ms for recall in recent for task in recall.tasks) / 1000 / passed
    moved = schedule.load > 0 and abs(math.log(max(load, 1e-9) / schedule.load)) > REVIEW.shift
    return replace(schedule, load=load, next_at=position if moved else schedule.next_at)


def _nearest(incumbent: TuningConfig, result: SearchResult) -> str:
    """Return what the best candidate would have given, with its interval where one was computed."""
    if not result.candidates:
        return ""
    best = result.candidates[0]
    low, high = math.expm1(best.low), math.expm1(best.high)
    interval = f" ({low:+.0%} to {high:+.0%})" if low < high else ""
    changes = changes_in_words(replace(incumbent, strategy=best.config.strategy), best.config)
    return (
        f"; the best of them, {changes}, changes the objective by {math.expm1(best.predicted):+.0%}{interval}"
    )
