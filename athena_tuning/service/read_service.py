"""Everything that a page or a command may ask, without streamlit and without changing anything.

Reads go to the dashboard's own window (``Tail``), so they see all managers that share the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from athena_tuning.control import objectives, operations
from athena_tuning.control.layer_health import posted_health
from athena_tuning.control.posted_evidence import posted_evidence
from athena_tuning.frames import Records
from athena_tuning.load.whatif_run import MOST_RECALLS, Question, WhatIfRun
from athena_tuning.lru_cache import LruCache
from athena_tuning.model import (
    Annotation,
    ConfigSet,
    ConfigVersion,
    Decision,
    LayerHealth,
    Mode,
    Objective,
    Proposal,
    QueryMetrics,
    SourceBatch,
    TuningConfig,
    TuningStrategy,
    WorkerStatus,
)
from athena_tuning.model.source import MEASURED
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall.cache import CacheLosses
from athena_tuning.samples import sample_workloads
from athena_tuning.service import doctor, fact_gathering, layer_quality, timeline
from athena_tuning.service.alerts import Alert, AlertWatch, is_alert
from athena_tuning.service.capacity import Curve, curve
from athena_tuning.service.embedded import Embedded
from athena_tuning.service.estimate import Estimate
from athena_tuning.service.experiments import ExperimentStanding, newest_experiment
from athena_tuning.service.facts import Burn, Facts, Situation
from athena_tuning.service.fleet_limit import FleetLimit, fleet_limit
from athena_tuning.service.forecasts import Forecasts
from athena_tuning.service.loads import Loads
from athena_tuning.service.quality import only_layers
from athena_tuning.service.read_cache import Remembered
from athena_tuning.service.situation import applying, judge
from athena_tuning.service.status import Standing
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.timeline import Happening
from athena_tuning.service.view import View
from athena_tuning.store import Store, StoreEvent, StoreHealth
from athena_tuning.store.findings import Finding
from athena_tuning.tuning.estimation.plan_evidence import PlanEvidence
from athena_tuning.tuning.recorded import proposals_on
from athena_tuning.tuning.simulation.what_if import with_config

WORKER_IS_ALIVE_SECONDS = 10.0
FORECAST_IS_STALE_SECONDS = 120.0
EVENT_HOURS = 7 * 24.0
MOST_ALONE = 4000
"""Recalls of a batch, the newest, that a proposal on it alone rests on."""

CURVE_SECONDS = 20.0
"""How long a throughput curve holds: it rests on thousands of recalls, and fitting it takes 0.1 s."""

NOW = "what is seen now"
"""The source of a sweep that is no sample workload: the newest recalls."""

OF_MANAGERS_SECONDS = 600.0
WELCOME = "welcome"
"""The store's topic that says what newcomers need not be shown any more."""

T = TypeVar("T")


class ManagerFigures(NamedTuple):
    """What a manager measured lately: recalls a second, and their p99 in ms."""

    per_second: float
    p99_ms: float


_STORES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "postgres": "PostgreSQL", "": "in this process"}


class ReadService:
    """What may be asked of the system. All methods are thread-safe.

    Args:
        store: shared by all managers.
        tail: follows it.
        embedded: the manager of this process; None where other processes have them.
        clock: Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        tail: Tail,
        embedded: Embedded | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.tail = tail
        self.embedded = embedded
        self._clock = clock
        self.loads = Loads(store, embedded)
        self._remembered = Remembered(lambda: (self.tail.generation, self.window.version), clock)
        self._edition = 0  # of what this process put into the store beside recalls
        self._forecasts = Forecasts(clock)
        self._curves: LruCache[Hashable, Curve | None] = LruCache(16)
        self._alone: LruCache[tuple[str, int, int], Mapping[str, Proposal]] = LruCache(16)

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self._clock()

    @property
    def window(self) -> PerformanceProfiler:
        """What all charts are drawn from."""
        return self.tail.profiler

    @property
    def store_name(self) -> str:
        """What kind of store it is, without its address."""
        scheme = self.store.url.partition(":")[0]
        return _STORES.get(scheme, scheme)

    @property
    def evidence(self) -> PerformanceProfiler:
        """The newest of what the managers that serve have met."""
        return self.tail.evidence

    def ask(self, read: Callable[..., T], view: View, *more: Any) -> T:
        """Return ``read(window, view, *more)``; while the window stays as it is, computed once for everybody.

        Under live traffic it never stays as it is, so it is looked at anew every two seconds only.
        """
        return self._remembered.answer((read, view, more), lambda: read(self.window, view, *more))

    def standing(self) -> Standing:
        """Return how things stand."""
        configs = self.configs()
        alive = sum(self.is_alive(worker) for worker in self.store.workers())
        return Standing(
            configs.default.config.strategy,
            configs.default.mode,
            configs.default.version,
            configs.head,
            self.data_age(),
            self.tail.problem,
            alive,
            self.embedded.demo_is_on if self.embedded else None,
            self.blocked(alive),
            configs.on_trial.version if configs.on_trial else None,
        )

    def situation(self, timezone: str = "UTC") -> Situation:
        """Return what there is to say first: whether all is well, why not, and what is to be done.

        Args:
            timezone: whose clock and day it speaks of.
        """
        question = ("situation", timezone, self._edition, self.now // 2)
        return self._remembered.answer(question, lambda: judge(self._facts(timezone)))

    def findings_of_rules(self, timezone: str = "UTC") -> Sequence[Situation]:
        """Return what each rule that applies now has to say."""
        question = ("rules", timezone, self._edition, self.now // 2)
        return self._remembered.answer(question, lambda: tuple(applying(self._facts(timezone))))

    def alerts(self) -> Sequence[Alert]:
        """Return the alerts of the last thirty days, the newest first."""
        question = ("alerts", self._edition, self.now // 5)
        return self._remembered.answer(question, lambda: AlertWatch(self.store).known(self.now))

    def _facts(self, timezone: str) -> Facts:
        return fact_gathering.facts(
            self.store,
            self.tail,
            self.embedded,
            lambda: self.burns(timezone),
            now=self.now,
            timezone=timezone,
            alive_seconds=WORKER_IS_ALIVE_SECONDS,
        )

    def objectives(self) -> Mapping[str, Objective]:
        """Return what is promised, by scope; an answer of "nothing" is among it."""
        return self._remembered.answer(
            ("objectives", self._edition, self.now // 2), lambda: objectives.objectives(self.store)
        )

    def burns(self, timezone: str = "UTC") -> Sequence[Burn]:
        """Return how each promise is kept, that of all recalls first.

        Args:
            timezone: whose day and month it is.
        """

        def used(objective: Objective, month: tuple[float, float]) -> float:  # a month from the store: seldom
            question = ("month used", objective, month, self.now // 60)
            return self._remembered.answer(
                question, lambda: fact_gathering.month_used(self.store, objective, month, self.now)
            )

        promises = objectives.promised(self.objectives())
        return tuple(fact_gathering.burns(self.window, promises, self.now, timezone, used))

    def is_welcomed(self) -> bool:
        """Whether somebody has put away what newcomers are shown."""
        return "away" in self._newcomers()

    def is_toured(self) -> bool:
        """Whether somebody has been through the tour, or has skipped it."""
        return "tour" in self._newcomers()

    def _newcomers(self) -> Mapping[str, str]:
        question = ("newcomers", self._edition, self.now // 10)
        return self._remembered.answer(question, lambda: self.store.posted(WELCOME))

    def data_age(self) -> float | None:
        """Return the seconds since the newest recall that was really asked; None without one."""
        newest = self.window.summary(sources=MEASURED).last_timestamp
        return max(0.0, self.now - newest) if newest == newest else None  # noqa: PLR0124 (NaN is not itself)

    def blocked(self, workers_alive: int | None = None) -> str | None:
        """Return why nothing can be written now, or None."""
        if self.embedded is not None:
            return None
        if workers_alive is None:
            workers_alive = sum(self.is_alive(worker) for worker in self.store.workers())
        if not workers_alive:
            return "no manager is running on this store, so nothing would obey a change"
        return None

    def is_alive(self, worker: WorkerStatus) -> bool:
        """Whether a worker has reported itself lately."""
        return self.now - worker.last_seen <= WORKER_IS_ALIVE_SECONDS

    def configs(self) -> ConfigSet:
        """Return the configs in force."""
        return self.embedded.manager.configs if self.embedded else self.store.config_set()

    def proposals(self) -> Mapping[str, Proposal]:
        """Return by scope what the tuner that leads would set, as it has told everybody."""
        return self._remembered.answer(("proposals", int(self.now)), self.store.proposals)

    def proposal(self, scope: str = "all", source: str | None = None) -> Proposal | None:
        """Return what would be set for a scope; None while no tuner has told.

        Args:
            scope: "all", or a query type; for one that the tuner has not met, what it says of all.
            source: a batch; then what the tuner would set if it had met that alone, worked out here.
        """
        proposals = self.proposals() if source is None else self._on_alone(source)
        return proposals.get(scope) or proposals.get("all")

    def under_strategy(self, strategy: TuningStrategy, at: ConfigVersion) -> TuningConfig:
        """Return the values of a scope under a strategy, as the tuner proposes; pinned values stay.

        Where it has not told, or about another config, only the strategy changes: the tuner brings the values
        later.
        """
        told = self.proposal(at.scope) if at.mode is not Mode.PINNED else None
        values = told.under(strategy, at.config) if told else None
        return replace(values or at.config, strategy=strategy)

    def capacity(self, source: str | None = None) -> Curve | None:
        """Return the throughput curve that the newest recalls speak for; None where they say too little.

        Args:
            source: a batch; then what its recalls speak for, alone.
        """
        size = self.window.summary().count.bit_length()  # twice as many recalls may say twice as much
        question = (source, self.tail.generation, size, self.now // CURVE_SECONDS)
        return self._curves.get_or_compute(question, lambda: curve(self._newest(source, MOST_ALONE)))

    def cache_losses(self) -> CacheLosses | None:
        """Return what ended answers cost since the start; None where the managers are in other processes."""
        return self.embedded.manager.cache_losses if self.embedded else None

    def scored_ways(self, view: View, by: layer_quality.By = "layers") -> list[layer_quality.ScoredWay]:
        """Return how good the scored answers of a view were, by what was asked for them."""
        history = self.history(1000) if by == "plan" else []
        return self._remembered.answer(
            ("scored ways", view, by), lambda: layer_quality.scored_ways(self.window, view, by, history)
        )

    def plan_evidence(self) -> PlanEvidence:
        """Return what the tuner that leads has seen of layers."""
        return self._remembered.answer(("plan evidence", self.now // 10), lambda: posted_evidence(self.store))

    def layer_costs(self, view: View) -> list[layer_quality.LayerCost]:
        """Return what leaving each layer out costs beside what it saves, by type; "all" first.

        What part of the answers a layer is, only a manager of this process can say.
        """
        values = self.embedded.manager.tuner.contributions.values() if self.embedded else {}
        parts = {
            kind: {
                layer: Estimate.by_error(value.part.mean, value.part.error) for layer, value in layers.items()
            }
            for kind, layers in values.items()
        }
        return self._remembered.answer(
            ("layer costs", view), lambda: layer_quality.layer_costs(self.window, view, parts)
        )

    def forecast(self, cases: Mapping[str, TuningConfig], scope: str = "all") -> WhatIfRun:
        """Return the run that tells what configs would bring on the newest recalls; started if need be.

        It works in a process of its own and is shared by all who ask; it is run anew when it is two minutes
        old.

        Args:
            cases: configs for the scope, by name.
            scope: "all" or a query type.

        Raises:
            ValueError: if too many simulations are waiting.
        """
        configs = self.configs()
        told = {
            name: with_config(configs, scope, **self._own(config, scope, configs))
            for name, config in cases.items()
        }
        key = ("forecast", scope, configs.head, tuple((n, repr(c.to_dict())) for n, c in cases.items()))
        return self._forecasts.ask(
            key,
            lambda: Question(configs, self._newest(), cases=told, scope=scope, evidence=self.plan_evidence()),
            stale_after=FORECAST_IS_STALE_SECONDS,
        )

    def sweep(
        self, source: str, over: str, *, scope: str = "all", speed: float = 1.0, plans: Sequence[str] = ()
    ) -> WhatIfRun:
        """Return the run that sweeps one thing over recorded recalls; started if need be.

        Args:
            source: a sample workload, a batch, or ``NOW``.
            over: see ``load.whatif_run.OVER``; "" for ``plans`` alone.
            scope: "all" or a query type.
            speed: arrivals so many times as fast.
            plans: plans to try beside: layers joined by "+", after ">" those of a second round.

        Raises:
            ValueError: if a value does not fit, or too many simulations are waiting.
        """
        configs, tried = self.configs(), {words: only_layers(words) for words in plans}
        batch = source if ":" in source else None
        sample = "" if batch or source == NOW else source
        asked = Question(
            configs,
            sample=sample,
            over=over,
            cases={words: with_config(configs, scope, **fields) for words, fields in tried.items()},
            scope=scope,
            speed=speed,
            evidence=self.plan_evidence(),
        )
        now = self.now // 10 if source == NOW else 0
        return self._forecasts.ask(
            ("sweep", source, over, scope, speed, tuple(plans), configs.head, now),
            lambda: asked if sample else replace(asked, records=self._newest(batch)),
            stale_after=float("inf"),
        )

    def samples(self) -> Sequence[sample_workloads.SampleWorkload]:
        """Return the sample workloads."""
        return sample_workloads.list_samples()

    def sources(self) -> list[SourceBatch]:
        """Return what the store holds from other sources than live ones, newest first."""
        return self.store.batches()

    def workers(self) -> Records[WorkerStatus]:
        """Return all known managers, last seen first."""
        return self.store.workers()

    def fleet_limit(self) -> FleetLimit:
        """Return what the limit speaks of, and each manager's share of it."""
        alive = sum(self.is_alive(worker) for worker in self.store.workers())
        return fleet_limit(self.store, self.configs().default.config, alive)

    def by_manager(self) -> Mapping[str, ManagerFigures]:
        """Return what each manager that shares the store measured in the last ten minutes, by its name."""

        def read() -> Mapping[str, ManagerFigures]:
            start = self.now // 60 * 60 - OF_MANAGERS_SECONDS
            began = {worker.worker_id: worker.started for worker in self.store.workers()}
            rows = self.store.rollups(start, self.now, layer="", sources=MEASURED).summaries("worker_id")
            return {
                worker: ManagerFigures(
                    seen.count / max(self.now - max(start, began.get(worker, start)), 1.0), seen.p99_ms
                )
                for (worker,), seen in rows.items()
            }

        return self._remembered.answer(("managers", self.now // 5), read)

    def layer_health(self) -> dict[str, list[LayerHealth]]:
        """Return how the layers of each manager are that is alive, by worker."""
        return posted_health(self.store)

    def history(self, limit: int = 200, scope: str | None = None) -> Records[ConfigVersion]:
        """Return config versions, newest first."""
        return self.store.config_history(limit=limit, scope=scope)

    def experiment(self) -> ExperimentStanding | None:
        """Return the newest experiment, whether it runs or has ended; None where there was none."""
        question = ("experiment", self._edition, int(self.now))
        return self._remembered.answer(
            question, lambda: newest_experiment(self.store, self.store.config_set(), self.now)
        )

    def undo_reason(self, scope: str = "all") -> str | None:
        """Return what ``undo`` would do for a scope, in words; None where there is nothing to take back."""
        return operations.undo_reason(self.history(2, scope))

    def store_health(self) -> StoreHealth:
        """Return which store it is, how often it was replaced while in use, and what cannot be read."""
        return self.store.health()

    def findings(self) -> list[Finding]:
        """Return what an examination of this machine and the store finds; anew after a minute."""
        return self._remembered.answer(("findings", self.now // 60), lambda: doctor.examine_open(self.store))

    def events(self, hours: float = EVENT_HOURS) -> list[StoreEvent]:
        """Return what happened to the store and around it lately, newest first."""
        happened = self.store.events(since=self.now - hours * 3600)
        return [event for event in reversed(happened) if not is_alert(event)]

    def happenings(self, view: View) -> list[Happening]:
        """Return what happened within a view: configs, load runs, notes, what the tuner took back."""

        def read() -> list[Happening]:
            return timeline.happenings(
                view.start,
                view.end,
                history=self.history(50),
                batches=self.sources(),
                notes=self.store.annotations(since=view.start),
                decisions=self.decisions(100),
            )

        question = ("happenings", view.start // 10, view.end // 10, self._edition, self.now // 5)
        return self._remembered.answer(question, read)

    def notes(self) -> list[Annotation]:
        """Return what people noted and did beside configs, oldest first."""
        return self.store.annotations()

    def decisions(self, limit: int = 200) -> Records[Decision]:
        """Return the tuner's decisions, newest first."""
        return self.store.decisions(limit=limit)

    def _newest(self, source: str | None = None, most: int = MOST_RECALLS) -> list[QueryMetrics]:
        """Return the newest recalls of a batch; without one, of what the managers that serve have met."""
        if source is None:
            return self.evidence.newest(most)
        return self.window.newest(most, sources={source})

    def _own(self, config: TuningConfig, scope: str, configs: ConfigSet) -> dict[str, Any]:
        """Return a config's values for a scope; a type takes its limit from all types, whatever it says."""
        values = config.to_dict()
        if scope != "all":
            values["max_concurrent"] = configs.default.config.max_concurrent
        return values

    def _on_alone(self, source: str) -> Mapping[str, Proposal]:
        """Return what the tuner would set if it had met one batch alone, worked out once."""
        configs, chosen = self.configs(), frozenset({source})

        def work_out() -> Mapping[str, Proposal]:
            records = self._newest(source, MOST_ALONE)
            proposals = proposals_on(records, configs, self.now) if records else ()
            return {proposal.scope: proposal for proposal in proposals}

        size = self.window.summary(sources=chosen).count
        return self._alone.get_or_compute((source, configs.head, size), work_out)
