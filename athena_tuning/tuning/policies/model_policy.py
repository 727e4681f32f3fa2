"""Fit, simulate, verify: the policy that knows why a config is better before it tries it."""

from __future__ import annotations

import math
from collections.abc import Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from athena_tuning.model import Action, ConfigVersion, Decision, Reason, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall, Telemetry, trace_of
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.admission_advisor import AdmissionAdvisor
from athena_tuning.tuning.policies.advisors import Advisor, AdvisorRound, AdvisorScheduler, followers
from athena_tuning.tuning.policies.base import (
    Finding,
    Foreseen,
    Outcome,
    Policy,
    Study,
    changes_in_words,
    decision,
)
from athena_tuning.tuning.policies.canary import Canary, Judgement, Rates, Trial, Verdict
from athena_tuning.tuning.policies.fusion_advisor import FusionAdvisor
from athena_tuning.tuning.policies.hedging_advisor import HedgingAdvisor
from athena_tuning.tuning.policies.layer_advisor import LayerAdvisor
from athena_tuning.tuning.policies.load_advisor import LoadAdvisor
from athena_tuning.tuning.policies.paired_comparison import PairedComparison
from athena_tuning.tuning.policies.question_advisor import QuestionAdvisor
from athena_tuning.tuning.policies.rules import RulePolicy
from athena_tuning.tuning.policies.saturation import SaturationMemory, look
from athena_tuning.tuning.policies.timeouts import TimeoutAdvisor
from athena_tuning.tuning.settings import ADVISORS, REVIEW, SEARCH
from athena_tuning.tuning.simulation.objective import objective, p99
from athena_tuning.tuning.simulation.search import SearchResult, Simulations, candidates, search
from athena_tuning.tuning.slices import paced, run_through


@dataclass(frozen=True, slots=True)
class LimitInForce:
    """The limit and since when (Unix seconds) it is in force."""

    limit: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchSchedule:
    """When it searched and will search again, in recalls; the load by then, in tasks in flight.

    ``asked`` is the config that was in force when the last search began.
    """

    last_at: int = 0
    next_at: int = REVIEW.first
    load: float = math.nan
    asked: TuningConfig | None = None


@dataclass(frozen=True, slots=True)
class Announcement:
    """A change that was proposed, and by how many recalls."""

    position: int
    before: TuningConfig
    after: TuningConfig


@dataclass(frozen=True, slots=True)
class Searched:
    """What the last search came to: each config simulated once, judged by what every strategy wants.

    Attributes:
        position: recalls by then.
        incumbent: the config that was in force.
        results: by strategy.
        measured_p99_ms: what the recalls that were simulated really took.
    """

    position: int
    incumbent: TuningConfig
    results: Mapping[TuningStrategy, SearchResult]
    measured_p99_ms: float

    def answers(self, evidence: Evidence) -> bool:
        """Whether it was about the config that is in force, under the strategy that is wanted."""
        return evidence.strategy in self.results and _alike(self.incumbent, evidence.incumbent("all"))


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """What the model policy remembers between steps; ``changed_at``: recalls by each recent change."""

    canary: Canary = field(default_factory=Canary)
    limit: LimitInForce = field(default_factory=LimitInForce)
    schedule: SearchSchedule = field(default_factory=SearchSchedule)
    saturation: SaturationMemory = field(default_factory=SaturationMemory)
    advisors: AdvisorRound = field(default_factory=AdvisorRound)
    announced: Announcement | None = None
    searched: Searched | None = None
    changed_at: tuple[int, ...] = ()


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
        made = self._conclusion(evidence, self._searched(evidence).results[evidence.strategy], scope)
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
        if made is not None and not _known(evidence, memory, made):
            return self._outcome(evidence, _announced(evidence, memory, made), made)
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
            schedule = _shifted(evidence.telemetry, schedule)
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
        overtaken = asked is not None and not on_trial and not _alike(asked, evidence.incumbent("all"))
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
        made = self._conclusion(evidence, searched.results[evidence.strategy], "all")
        if _known(evidence, memory, made):
            return Finding(remember=lambda now: replace(now, searched=searched))
        return Finding(
            (made, *followers(self, evidence, made)),
            lambda now: _announced(evidence, replace(now, searched=searched), made),
        )

    def _advice(self, evidence: Evidence, memory: ModelMemory) -> Generator[None, None, Finding]:
        made, advisor, found = yield from self._advisors.review(evidence, memory.advisors, memory.canary)

        def remember(now: ModelMemory) -> ModelMemory:
            waiting = () if made else tuple(name for name in now.advisors.waiting if name != advisor.name)
            return replace(now, advisors=replace(now.advisors.having(advisor, found), waiting=waiting))

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
        telemetry, canary = evidence.telemetry, evidence.memory.canary
        rng = np.random.default_rng([self._seed, telemetry.position])
        incumbent = replace(evidence.incumbent("all"), strategy=evidence.strategy)
        most, laws = telemetry.contention.trusted, telemetry.laws
        refits = [telemetry.contention.drawn(rng) for _ in range(SEARCH.refits)]
        simulations = Simulations([trace_of(recalls, laws) for recalls in pieces], laws, refits)
        results = {}
        for strategy in sorted(strategies, key=lambda wanted: wanted is not evidence.strategy):
            results[strategy] = yield from search(
                simulations,
                replace(incumbent, strategy=strategy),
                [replace(c, strategy=strategy) for c in candidates(incumbent, evidence.bounds, most)],
                strategy,
                thorough=strategy is evidence.strategy,
                banned=lambda config: canary.holds_back(self._paired.key(config, "all"), telemetry.position),
                bound=f"limits up to {most}: 1.5 times what was seen"
                if most < evidence.bounds.max_concurrent
                else None,
            )
        bound = yield from self._lifted(evidence, simulations, incumbent, results[evidence.strategy], most)
        if bound:
            results[evidence.strategy] = replace(results[evidence.strategy], bound=bound)
        answered = (r for recalls in pieces for r in recalls if not (r.hit or r.refused))
        took = np.array([recall.latency_ms for recall in answered])
        return Searched(telemetry.position, incumbent, results, p99(took))

    def _lifted(
        self,
        evidence: Evidence,
        simulations: Simulations,
        incumbent: TuningConfig,
        result: SearchResult,
        most: int,
    ) -> Generator[int, None, str | None]:
        """Return what the limit beyond the operator's bound would bring, if the bound decided; else None."""
        upper = evidence.bounds.max_concurrent
        beyond = next((n for n in SEARCH.limits if upper < n <= most), None)
        best = result.best.config if result.best else incumbent
        if beyond is None or best.max_concurrent != upper:
            return None
        here = yield from simulations.of(best)
        there = yield from simulations.of(replace(best, max_concurrent=beyond))
        gain = objective(evidence.strategy, there, here)
        if gain > -SEARCH.gain:
            return None
        brings = _in_words(math.expm1(gain))
        why = evidence.held or "the operator's bound"
        return f"at most {upper}, {why}: {beyond} would make the objective {brings}"

    def _conclusion(self, evidence: Evidence, result: SearchResult, scope: str) -> Decision:
        incumbent, chosen = evidence.incumbent(scope), result.best
        after = replace(incumbent, strategy=evidence.strategy)
        explained = {"candidates": result.candidates, "bound": result.bound}
        if chosen is None:
            summary = (
                f"No change: nothing else is surely better for {evidence.strategy} "
                f"on {result.recalls} recalls{_nearest(incumbent, result)}."
                f"{f' {evidence.held}.' if evidence.held else ''}"
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


def _alike(a: TuningConfig, b: TuningConfig) -> bool:
    """Whether two configs are the same in what a search looks at."""
    return (a.max_concurrent, a.enable_parallel) == (b.max_concurrent, b.enable_parallel)


def _known(evidence: Evidence, memory: ModelMemory, made: Decision) -> bool:
    """Whether a change is not to be told: there were many, or nobody has carried it out since it was.

    One of the changes that are allowed is left for taking the last one back.
    """
    known, position = memory.announced, evidence.telemetry.position
    recent = sum(position - at < REVIEW.within for at in memory.changed_at)
    if made.action is Action.CANARY and recent >= REVIEW.changes - (not memory.saturation.taken_back):
        return True
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
    if result.typical_change is not None and result.base and result.achieved:
        fitted |= dict(zip(("latency_change", "low", "high"), result.typical_change, strict=True))
        fitted["capacity_change"] = math.log(result.achieved.per_second / result.base.per_second)
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
    recent = telemetry.lately(REVIEW.shift_recalls, REVIEW.shift_s)
    passed = max(recent[-1].ended - recent[0].ended, 1e-9)
    load = sum(task.service_ms for recall in recent for task in recall.tasks) / 1000 / passed
    moved = schedule.load > 0 and abs(math.log(max(load, 1e-9) / schedule.load)) > REVIEW.shift
    return replace(schedule, load=load, next_at=position if moved else schedule.next_at)


def _nearest(incumbent: TuningConfig, result: SearchResult) -> str:
    """Return what the best candidate would have given, with its interval where one was computed."""
    if not result.candidates:
        return ""
    best = result.candidates[0]
    changes = changes_in_words(replace(incumbent, strategy=best.config.strategy), best.config)
    low, high = math.expm1(best.low), math.expm1(best.high)
    interval = f" (change {low:+.0%} to {high:+.0%})" if low < high else ""
    brings = _in_words(math.expm1(best.predicted))
    return f"; the best of them, {changes}, would make the objective {brings}{interval}"


def _in_words(change: float) -> str:
    """Return a relative change of something of which less is better.

    Examples:
        >>> _in_words(-0.081), _in_words(0.4), _in_words(0.004)
        ('8 % better', '40 % worse', 'less than 1 % different')
    """
    if abs(change) < 0.005:
        return "less than 1 % different"
    return f"{abs(change) * 100:.0f} % {'better' if change < 0 else 'worse'}"
