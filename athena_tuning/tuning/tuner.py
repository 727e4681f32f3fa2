"""The tuner: keeps strategy and configs, asks a policy when it is time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Hashable
from dataclasses import replace
from typing import Any

from athena_tuning import fork
from athena_tuning.model import (
    ConfigSet,
    ConfigVersion,
    Decision,
    LimitScope,
    Proposal,
    TuningBounds,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning.estimation.contributions import Contributions, layers_since
from athena_tuning.tuning.estimation.daily_load import DailyLoad
from athena_tuning.tuning.estimation.measured_recall import MeasuredRecall
from athena_tuning.tuning.estimation.window_figures import window_figures
from athena_tuning.tuning.evidence import Evidence, pack
from athena_tuning.tuning.observer import Observer
from athena_tuning.tuning.policies.base import Finding, Policy, with_shared_limit
from athena_tuning.tuning.policies.registry import make_policy
from athena_tuning.tuning.publication import proposals
from athena_tuning.tuning.settings import ADVICE, REVIEW
from athena_tuning.tuning.tuning_report import tuning_report

_MOST_SCOPES = 33
"""Scopes that proposals are told for: all types, and so many of them."""


class AutoTuner:
    """Decides better configs from what the profiler saw.

    There are two ways to use it. A manager calls ``step`` again and again and applies what comes back, and
    tells so. Other code calls ``get_optimized_config`` before a query and obeys it. Either way the tuner
    owns no thread and no clock, may be used from any thread, and ``update_strategy`` never waits for a
    decision that is being computed.

    Args:
        profiler: the window to decide on.
        strategy: what the operator wants most.
        adjustment_interval: recalls between two decisions.
        min_samples: recalls below which nothing is concluded.
        bounds: the range to choose from; None: that of the config in force.
        policy: a name ("model", "rules", …) or a policy. The model has the least regret of all in
            ``benchmarks/regret.py``; where records carry no layer tasks, or too few, it does as the rules do.
        clock: Unix seconds.
        daily_load: how the day is divided.

    Attributes:
        idempotent: layers that may be asked twice, as far as whoever has them says so: second calls are
            proposed for these alone.

    Raises:
        ValueError: if the interval or the minimum is below 1, or the policy is unknown.

    Examples:
        >>> tuner = AutoTuner(PerformanceProfiler(), TuningStrategy.COST)
        >>> tuner.get_optimized_config().max_concurrent
        5
    """

    MIN_CONCURRENT = 2
    MAX_CONCURRENT = 20
    MIN_TIMEOUT = 5.0
    MAX_TIMEOUT = 30.0
    FAST_QUERY_THRESHOLD_MS = 100
    SLOW_QUERY_THRESHOLD_MS = 500

    def __init__(
        self,
        profiler: PerformanceProfiler,
        strategy: TuningStrategy = TuningStrategy.BALANCED,
        adjustment_interval: int = 100,
        min_samples: int = 10,
        *,
        bounds: TuningBounds | None = None,
        policy: str | Policy = "model",
        clock: Callable[[], float] = time.time,
        daily_load: DailyLoad = DailyLoad(),  # noqa: B008  (a frozen value)
    ) -> None:
        if adjustment_interval < 1:
            raise ValueError(f"adjustment_interval must be at least 1, not {adjustment_interval}")
        if min_samples < 1:
            raise ValueError(f"min_samples must be at least 1, not {min_samples}")
        self.profiler = profiler
        self.adjustment_interval = adjustment_interval
        self.min_samples = min_samples
        self._bounds = bounds
        self.policy = make_policy(policy) if isinstance(policy, str) else policy
        self.contributions = Contributions()
        self.idempotent: frozenset[str] = frozenset()
        self._clock = clock
        self._state = threading.RLock()  # held for a few assignments
        self._deciding = threading.Lock()  # held while the policy thinks
        self._at_forks = [fork.HeldLock(lock) for lock in (self._state, self._deciding)]
        self._strategy = TuningStrategy(strategy)
        self._current = TuningConfig(strategy=self._strategy)
        self._by_type: dict[str, TuningConfig] = {}
        self._calls = 0
        self._switched = False
        self._step_switched = False
        self._decided_at = 0
        self._told: tuple[Hashable, int] = (None, -1)
        self._configs = ConfigSet()
        self._ceiling: tuple[int, str] | None = None
        self._observer = Observer(profiler, daily_load)
        self._memory = self.policy.memory()
        self._basis: tuple[Evidence, frozenset[str]] = self._evidence(self._configs, 0.0), frozenset()
        self._study: tuple[Evidence, Generator[None, None, Finding]] | None = None

    @property
    def bounds(self) -> TuningBounds:
        """The range to choose from."""
        return self._bounds or self._current.bounds

    @bounds.setter
    def bounds(self, bounds: TuningBounds | None) -> None:
        self._bounds = bounds

    @property
    def strategy(self) -> TuningStrategy:
        """What the operator wants most."""
        return self._strategy

    @strategy.setter
    def strategy(self, strategy: TuningStrategy) -> None:
        self.update_strategy(strategy)

    @property
    def current_config(self) -> TuningConfig:
        """The config for all types that the tuner last chose or was told."""
        return self._current

    @current_config.setter
    def current_config(self, config: TuningConfig) -> None:
        with self._state:
            self._current = config
            self._by_type.clear()

    def update_strategy(self, strategy: TuningStrategy) -> None:
        """Decide by another strategy from the next call on; configs handed out stay as they are."""
        chosen = TuningStrategy(strategy)
        with self._state:
            if chosen is self._strategy and chosen is self._current.strategy:
                return
            self._strategy = chosen
            self._current = replace(self._current, strategy=chosen)
            self._by_type = {t: replace(c, strategy=chosen) for t, c in self._by_type.items()}
            self._switched = self._step_switched = True

    def get_optimized_config(self, query_type: str | None = None) -> TuningConfig:
        """Return the config to use for a query; retune every ``adjustment_interval`` calls.

        A retune decides for every type at once, so that no type's call sets another's config. Each type's
        limit is what that type alone would call for. The first call after a switch of the strategy retunes
        too.

        Args:
            query_type: the query's type; without one, or for a type that lacks samples, the config for all.
        """
        with self._state:
            self._calls += 1
            due = self._switched or self._calls >= self.adjustment_interval
            if due:
                self._calls, self._switched = 0, False
        if due:
            self._retune()
        with self._state:
            return self._current if query_type is None else self._by_type.get(query_type, self._current)

    def propose(self, query_type: str | None = None) -> Decision:
        """Return what the policy would choose now for all types or one, with reasons; change nothing."""
        with self._deciding:
            evidence = self._proposing()
            shared = self.policy.propose(evidence)
            if query_type is None:
                return shared
            own = self.policy.propose(evidence, query_type)
            return with_shared_limit(own, shared.after.max_concurrent)

    def step(self, in_force: ConfigSet, now: float) -> tuple[Decision, ...]:
        """Decide if it is time.

        Args:
            in_force: the configs in force.
            now: Unix seconds.

        Returns:
            Decisions to record and, where the mode allows it, to apply; () when nothing is due.
        """
        with self._deciding:
            recorded = self._recorded()
            with self._state:
                urgent = self._step_switched
            evidence = self._evidence(in_force, now, recorded - self._decided_at, urgent)
            if not (self.policy.due(evidence) or self._study):
                return ()
            with self._state:
                self._step_switched = False
            self._decided_at = recorded
            evidence = self._observed(evidence)
            decisions, self._memory = self.policy.decide(evidence)
            if not decisions:
                evidence, decisions = self._studied(replace(evidence, memory=self._memory))
            self._basis = evidence, frozenset(made.decision_id for made in decisions)
            return decisions

    @property
    def is_looking(self) -> bool:
        """Whether something is being looked into that will take further steps."""
        return self._study is not None

    def proposals(self, in_force: ConfigSet, now: float, author: str = "") -> tuple[Proposal, ...]:
        """Return what it would set for "all" and each query type, under every strategy, if that is news.

        It rests on what the last ``step`` saw. News is what a search or an advisor found, another config or
        strategy, and the recalls, until there are enough of them or where nothing is simulated.

        Args:
            in_force: the configs in force.
            now: Unix seconds.
            author: who tells them.

        Returns:
            () while the last ones hold.
        """
        with self._deciding:
            evidence = self._evidence(in_force, now, self.adjustment_interval)
            news = self.policy.news(evidence), in_force.head, self._strategy
            recalls = self._recorded()
            third = min(self._told[1] // 3, ADVICE.gap) if recalls > REVIEW.first else 1
            if news == self._told[0] and recalls - self._told[1] < max(third, 1):
                return ()
            self._told = news, recalls
            evidence = replace(
                evidence, values=self.contributions.values(), questions=self.contributions.questions()
            )
            if self.policy.reads_figures(evidence):
                evidence = replace(evidence, figures=window_figures(self.profiler))
            scopes = dict.fromkeys(("all", *self.profiler.query_types(), *in_force.by_type))
            return proposals(self.policy, evidence, list(scopes)[:_MOST_SCOPES], author=author)

    @property
    def recalls(self) -> tuple[MeasuredRecall, ...]:
        """The newest recalls that it rests on."""
        return self._observer.telemetry.recalls

    def hold_back(self, most: int | None, why: str = "") -> None:
        """Choose no limit above some, from the next decision on.

        Args:
            most: the largest limit to choose, where the one in force is not larger; None: as bounds say.
            why: for decisions.
        """
        self._ceiling = None if most is None else (most, why)

    def evidence_of(self, decision_id: str) -> bytes | None:
        """Return what a decision of the last ``step`` rests on, packed (see ``rerun``); else None."""
        with self._deciding:
            evidence, made = self._basis
            return pack(evidence) if decision_id in made else None

    def applied(self, decision: Decision, version: ConfigVersion) -> None:
        """Note that ``decision`` is in force as ``version``."""
        with self._deciding:
            evidence = self._evidence(self._in_force(), self._clock())
            self._memory = self.policy.applied(evidence, decision, version)
            if decision.scope == "all":
                self._study = None  # it asked what would be better than what was

    def begin_anew(self, profiler: PerformanceProfiler) -> None:
        """Rest on another window from now on; what was learned from the one before is forgotten."""
        with self._deciding:
            self.profiler = profiler
            load = self._observer.load
            self._observer = Observer(profiler, DailyLoad(load.day, load.slot))
            self._memory, self._study, self._decided_at = self.policy.memory(), None, 0

    def in_force(self, configs: ConfigSet) -> None:
        """Note the configs in force after somebody changed them; a strategy they bring is taken over."""
        with self._state:
            brought = configs.default.config.strategy
            if brought is not self._configs.default.config.strategy and brought is not self._strategy:
                self._strategy, self._step_switched = brought, True
            self._configs = configs
            self._current = configs.default.config
            self._by_type = {t: version.config for t, version in configs.by_type.items()}
        self.contributions.begin(lambda query_type: layers_since(configs, query_type))

    def get_tuning_report(self) -> dict[str, Any]:
        """Return strategy, current config, figures of the window and recommendations, computed now."""
        figures = window_figures(self.profiler)["all"]
        return tuning_report(self._strategy, self._current, figures, self.propose())

    def _retune(self) -> None:
        with self._deciding:
            evidence = self._proposing()
            chosen = self.policy.propose(evidence).after
            by_type = {t: self.policy.propose(evidence, t).after for t in self.profiler.query_types()}
        with self._state:
            if chosen.strategy is not self._strategy:
                return  # switched meanwhile: the next call decides anew
            self._current, self._by_type = chosen, by_type

    def _studied(self, evidence: Evidence) -> tuple[Evidence, tuple[Decision, ...]]:
        """Go on with the study that is under way by one slice, or begin one.

        A study whose question has changed meanwhile is dropped.

        Returns:
            What it came to, after the evidence that it rests on: that of its beginning.
        """
        if self._study is not None:
            asked = self._study[0]
            if evidence.urgent or asked.incumbent("all") != evidence.incumbent("all"):
                self._study = None
        if self._study is None:
            study = self.policy.study(evidence)
            self._memory = study.memory
            if study.slices is None:
                return evidence, ()
            self._study = evidence, study.slices
        begun, slices = self._study
        try:
            next(slices)
        except StopIteration as end:
            found: Finding = end.value
            self._study = None
            self._memory = found.remember(self._memory)
            return begun, tuple(replace(made, time=evidence.now) for made in found.decisions)
        return begun, ()

    def _in_force(self) -> ConfigSet:
        with self._state:
            default = replace(self._configs.default, config=self._current)
            return replace(self._configs, default=default)

    def _evidence(self, configs: ConfigSet, now: float, fresh: int = 0, urgent: bool = False) -> Evidence:
        """Return evidence without what came since it was last read."""
        bounds, held = self._held(configs.default.config)
        return Evidence(
            configs,
            self._strategy,
            bounds,
            self.min_samples,
            self.adjustment_interval,
            now,
            fresh,
            urgent,
            self._observer.telemetry,
            self._observer.load,
            idempotent=self.idempotent,
            memory=self._memory,
            policy=self.policy.name,
            held=held,
        )

    def _held(self, config: TuningConfig) -> tuple[TuningBounds, str]:
        """Return the range to choose from, and why it ends before the operator's bound."""
        bounds, ceiling = self._bounds or config.bounds, self._ceiling
        if ceiling is None:
            return bounds, ""
        most, why = ceiling
        most = max(most, config.max_concurrent, bounds.min_concurrent)
        if most >= bounds.max_concurrent:
            return bounds, ""
        return replace(bounds, max_concurrent=most), why

    def _observed(self, evidence: Evidence) -> Evidence:
        """Return the evidence with all that there is by now."""
        together = evidence.configs.default.config.limit_scope is LimitScope.FLEET
        self._observer.observe(together=together)
        evidence = replace(
            evidence,
            telemetry=self._observer.telemetry,
            load=self._observer.load,
            values=self.contributions.values(),
            questions=self.contributions.questions(),
        )
        if not self.policy.reads_figures(evidence):
            return evidence
        return replace(evidence, figures=window_figures(self.profiler))

    def _proposing(self) -> Evidence:
        """Return the evidence of a proposal, which is always due."""
        return self._observed(self._evidence(self._in_force(), self._clock(), self.adjustment_interval))

    def _recorded(self) -> int:
        return self.profiler.counters.get("recorded", 0)
