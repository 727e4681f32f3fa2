"""Fit, simulate, verify: the policy that knows why a config is better before it tries it."""

from __future__ import annotations

import math
from collections.abc import Generator, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from athena_tuning.model import Action, ConfigVersion, Decision, Reason, TuningStrategy
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.admission_advisor import AdmissionAdvisor
from athena_tuning.tuning.policies.advisors import Advisor, AdvisorScheduler, followers
from athena_tuning.tuning.policies.base import (
    Finding,
    Foreseen,
    Outcome,
    Policy,
    Study,
    decision,
)
from athena_tuning.tuning.policies.canary import Judgement, Rates, Trial, Verdict
from athena_tuning.tuning.policies.config_search import Searched, alike, conclusion, search_configs
from athena_tuning.tuning.policies.fusion_advisor import FusionAdvisor
from athena_tuning.tuning.policies.hedging_advisor import HedgingAdvisor
from athena_tuning.tuning.policies.layer_advisor import LayerAdvisor
from athena_tuning.tuning.policies.load_advisor import LoadAdvisor
from athena_tuning.tuning.policies.model_memory import (
    Announcement,
    LimitInForce,
    ModelMemory,
    SearchSchedule,
    announced,
    is_known,
    shifted,
)
from athena_tuning.tuning.policies.paired_comparison import PairedComparison
from athena_tuning.tuning.policies.question_advisor import QuestionAdvisor
from athena_tuning.tuning.policies.rules import RulePolicy
from athena_tuning.tuning.policies.saturation import look
from athena_tuning.tuning.policies.timeouts import TimeoutAdvisor
from athena_tuning.tuning.settings import ADVISORS, REVIEW, SEARCH
from athena_tuning.tuning.slices import paced, run_through

__all__ = ["Announcement", "LimitInForce", "ModelMemory", "ModelPolicy", "SearchSchedule", "Searched"]


class ModelPolicy(Policy):
    """Fits contention, simulates every config on the recalls that came, changes, and checks what happened.

    *Search.* When a third of the recalls is new (at recall 150, 225, 337, …), at the latest every 4,000, and
    after every change or shift of load: own works are freed from contention by the fitted law, and each limit
    up to 1.5 times what was seen, side by side or in turn, is simulated on the same arrivals. It takes what
    gains 8 % or more in the strategy's objective under the law and under refits; what each other strategy
    would take is judged on the same simulations. Searches run in slices over many steps.

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
        layers = LayerAdvisor(), QuestionAdvisor(), FusionAdvisor()
        slots = LoadAdvisor(), AdmissionAdvisor(), HedgingAdvisor()
        everyone = (TimeoutAdvisor(seed=seed), *layers, *slots)
        self._advisors = AdvisorScheduler(self, everyone if advisors is None else advisors)
        self._paired = PairedComparison()
        self._rules = RulePolicy()
        self._seed = seed
        self._latest: Searched | None = None

    def due(self, evidence: Evidence) -> bool:
        """Whether recalls came or the strategy has changed."""
        return evidence.fresh > 0 or evidence.urgent

    def reads_figures(self, evidence: Evidence) -> bool:
        """Whether the rules are asked."""
        return evidence.telemetry.position < REVIEW.first and self._rules.due(evidence)

    def prepared(self, evidence: Evidence) -> Evidence:
        """Return the evidence with what advisors that review at once say: the same for all scopes."""
        memory: ModelMemory = evidence.memory
        if evidence.telemetry.position < REVIEW.first:
            return evidence
        reviewed = self._advisors.reviewed(evidence, memory.advisors)
        return replace(evidence, memory=replace(memory, advisors=reviewed))

    def propose(self, evidence: Evidence, scope: str = "all") -> Decision:
        """Return what the last search says, or one in one go over fewer recalls; below 150, what rules do.

        All types get the same, but for what the advisors say of them.
        """
        memory: ModelMemory = evidence.memory
        if evidence.telemetry.position < REVIEW.first:
            return self._rules.propose(evidence, scope)
        made = conclusion(self, evidence, self._searched(evidence).results[evidence.strategy], scope)
        turn = self._advisors.reviewed(evidence, memory.advisors)
        return self._advisors.dressed(evidence, turn, memory.canary, made)

    def least(self, evidence: Evidence) -> int:
        """Return the recalls from which it searches; without telemetry, what the rules need."""
        return REVIEW.first if evidence.telemetry.position else evidence.min_samples

    def recalls(self, evidence: Evidence) -> int:
        """Return the recalls with telemetry; without any, what the rules look at."""
        return evidence.telemetry.position or super().recalls(evidence)

    def pending(self, evidence: Evidence) -> str | None:
        """Return why there is nothing to propose yet, though there are recalls enough."""
        memory: ModelMemory = evidence.memory
        position = evidence.telemetry.position
        if position < REVIEW.first or (memory.searched and memory.searched.answers(evidence)):
            return None
        left = memory.schedule.next_at - position
        if memory.searched is None or left <= 0:
            return "the newest recalls are being simulated"
        return f"the config has changed, {left} recalls under it are waited for"

    def news(self, evidence: Evidence) -> Hashable:
        """Return when it searched last, what advisors have found since, and what is on trial."""
        memory: ModelMemory = evidence.memory
        searched = memory.searched.position if memory.searched else 0
        trials = tuple(sorted(memory.canary.trials))
        return searched, memory.advisors.found_so_far, trials, self.pending(evidence) is None

    def foreseen(self, evidence: Evidence) -> Foreseen | None:
        """Return what the simulations of the last search say."""
        searched: Searched | None = evidence.memory.searched
        if searched is None or not searched.answers(evidence) or evidence.telemetry.position < REVIEW.first:
            return None
        scores = {strategy: r.achieved or r.base for strategy, r in searched.results.items()}
        base = searched.results[evidence.strategy].base
        if base is None:
            return None
        achieved = {strategy: score for strategy, score in scores.items() if score is not None}
        return Foreseen(base, achieved, searched.measured_p99_ms, searched.position)

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
        if made is not None and not is_known(evidence, memory, made):
            return self._outcome(evidence, announced(evidence, memory, made), made)
        memory = replace(memory, advisors=self._advisors.woken(evidence, memory.advisors))
        for judge in self._advisors.judges(memory.canary):
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
            schedule = shifted(evidence.telemetry, schedule)
            memory = replace(memory, schedule=schedule)
        if position >= max(REVIEW.first, schedule.next_at):
            next_at = position + int(min(max(REVIEW.growth * position, REVIEW.first / 2), REVIEW.gap))
            asked = evidence.incumbent("all")
            schedule = replace(schedule, last_at=position, next_at=next_at, asked=asked)
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
        recent = tuple(n for n in memory.changed_at if at - n < REVIEW.within)
        memory = replace(memory, changed_at=(*recent, at))
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
        limit, on_trial = evidence.incumbent("all").max_concurrent, self._paired.name in memory.canary.trials
        if memory.limit.limit != limit:
            memory = replace(memory, limit=LimitInForce(limit, evidence.now))
        asked = memory.schedule.asked
        overtaken = asked is not None and not on_trial and not alike(asked, evidence.incumbent("all"))
        return self._soon(evidence, memory, 0) if evidence.urgent or overtaken else memory

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
            strategy=evidence.strategy,
            explore=evidence.strategy is TuningStrategy.THROUGHPUT and not on_trial,
        )
        memory = replace(memory, saturation=saturation)
        if seen is None:
            return memory, None
        limit, reason = incumbent.max_concurrent, seen.reason
        if saturation.paid is not None and reason.value == limit and on_trial:
            return self._paid(evidence, memory, saturation.paid, reason)
        after = replace(incumbent, max_concurrent=reason.value, strategy=evidence.strategy)
        if reason.value == limit or self._paired.leads_past_a_ban(memory.canary, after, limit, position):
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

    def _paid(
        self, evidence: Evidence, memory: ModelMemory, growth: float, reason: Reason
    ) -> tuple[ModelMemory, Decision]:
        """Confirm a step up that got more done: what comes later is no verdict on it."""
        trial = memory.canary.trials[self._paired.name]
        why = f"its slots got × {growth:.2f} done"
        judgement = Judgement(Verdict.GOOD, why, reason.samples, math.log(growth), measure="capacity")
        canary, made = memory.canary.concluded(self, evidence, self._paired, trial, judgement)
        return replace(memory, canary=canary), made

    def _outcome(self, evidence: Evidence, memory: ModelMemory, made: Decision) -> Outcome:
        return Outcome((made, *followers(self, evidence, made)), memory)

    def _soon(self, evidence: Evidence, memory: ModelMemory, recalls: int) -> ModelMemory:
        """Return the memory with a search after so many recalls at the latest."""
        at = min(memory.schedule.next_at, evidence.telemetry.position + recalls)
        return replace(memory, schedule=replace(memory.schedule, next_at=at))

    # -- study -----------------------------------------------------------------------------------------

    def _review(self, evidence: Evidence, memory: ModelMemory) -> Generator[None, None, Finding]:
        telemetry = evidence.telemetry
        pieces = telemetry.spread(min(SEARCH.longest, max(SEARCH.at_once, telemetry.position // 4)))
        searched = yield from paced(self._search(evidence, pieces, TuningStrategy), SEARCH.per_step)
        made = conclusion(self, evidence, searched.results[evidence.strategy], "all")
        if is_known(evidence, memory, made):
            return Finding(remember=lambda now: replace(now, searched=searched))
        return Finding(
            (made, *followers(self, evidence, made)),
            lambda now: announced(evidence, replace(now, searched=searched), made),
        )

    def _advice(self, evidence: Evidence, memory: ModelMemory) -> Generator[None, None, Finding]:
        made, advisor, finding = yield from self._advisors.review(evidence, memory.advisors, memory.canary)

        def remember(now: ModelMemory) -> ModelMemory:
            waiting = () if made else tuple(name for name in now.advisors.waiting if name != advisor.name)
            return replace(now, advisors=replace(now.advisors.having(advisor, finding), waiting=waiting))

        return Finding(made, remember)

    def _searched(self, evidence: Evidence) -> Searched:
        """Return what the last search came to, or one in one go that holds until half as much more came."""
        known: Searched | None = evidence.memory.searched
        if known is not None and known.answers(evidence):
            return known
        position, latest = evidence.telemetry.position, self._latest
        if latest is not None and latest.answers(evidence):
            at = latest.position
            if at <= position < at + max(REVIEW.first, at // 2):
                return latest
        recalls = evidence.telemetry.newest(SEARCH.at_once)
        self._latest = run_through(self._search(evidence, [recalls], (evidence.strategy,)))
        return self._latest

    def _search(
        self,
        evidence: Evidence,
        pieces: Sequence[Sequence[MeasuredRecall]],
        strategies: Iterable[TuningStrategy],
    ) -> Generator[int, None, Searched]:
        canary, position = evidence.memory.canary, evidence.telemetry.position
        return search_configs(
            evidence,
            pieces,
            strategies,
            seed=self._seed,
            banned=lambda config: canary.holds_back(self._paired.key(config, "all"), position),
        )

    def _advised_later(self, evidence: Evidence, memory: ModelMemory, made: Decision) -> ModelMemory:
        """Return the memory with no new round of advisors for a while after one's change was taken back."""
        if made.action is not Action.ROLLBACK:
            return memory
        at = max(memory.advisors.next_at, evidence.telemetry.position + ADVISORS.pace)
        return replace(memory, advisors=replace(memory.advisors, next_at=at))
