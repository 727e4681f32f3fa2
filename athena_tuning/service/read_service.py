"""Everything that a page or a command may ask, without streamlit and without changing anything.

Reads go to the dashboard's own window (``Tail``), so they see all managers that share the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from athena_tuning.control import operations
from athena_tuning.control.layer_health import posted_health
from athena_tuning.frames import Records
from athena_tuning.load.whatif_run import MOST_RECALLS, Question, WhatIfRun
from athena_tuning.model import (
    Annotation,
    ConfigSet,
    ConfigVersion,
    Decision,
    LayerHealth,
    Mode,
    QueryMetrics,
    TuningConfig,
    TuningStrategy,
    WorkerStatus,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall.cache import CacheLosses
from athena_tuning.samples import sample_workloads
from athena_tuning.service.capacity import Curve, curve
from athena_tuning.service.embedded import Embedded
from athena_tuning.service.forecasts import Forecasts
from athena_tuning.service.loads import Loads
from athena_tuning.service.read_cache import Remembered
from athena_tuning.service.status import Standing
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.view import View
from athena_tuning.store import Store
from athena_tuning.tuning import AutoTuner
from athena_tuning.tuning.simulation.what_if import with_config

WORKER_IS_ALIVE_SECONDS = 10.0
FORECAST_IS_STALE_SECONDS = 120.0
NOW = "what is seen now"
"""The source of a sweep that is no sample workload: the newest recalls."""

T = TypeVar("T")


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
        self._remembered = Remembered(lambda: self.window.version, clock)
        self._forecasts = Forecasts(clock)
        self._advisors: dict[tuple[TuningStrategy, str], AutoTuner] = {}

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
        return type(self.store).__name__

    @property
    def evidence(self) -> PerformanceProfiler:
        """What proposals rest on: the manager's window here, else what managers elsewhere measured."""
        return self.embedded.manager.profiler if self.embedded else self.tail.live

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
        )

    def data_age(self) -> float | None:
        """Return the seconds since the newest recall in the window; None without one."""
        newest = self.window.summary().last_timestamp
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

    def enough(self) -> tuple[int, int]:
        """Return the recalls that proposals can rest on, and how many they need."""
        return self.evidence.summary().count, self._tuner().min_samples

    def preview(self, strategy: TuningStrategy | None = None, scope: str = "all") -> Decision:
        """Return what the tuner would choose now under a strategy (None: the one in force)."""
        configs = self.configs()
        chosen = strategy or configs.default.config.strategy
        question = ("preview", chosen, scope, configs.head)
        return self._remembered.answer(question, lambda: self._propose(chosen, scope))

    def under_strategy(self, strategy: TuningStrategy, at: ConfigVersion) -> TuningConfig:
        """Return the values of a scope under a strategy, on today's evidence; pinned values stay."""
        if at.mode is Mode.PINNED:
            return replace(at.config, strategy=strategy)
        return replace(self.preview(strategy, at.scope).after, strategy=strategy)

    def capacity(self) -> Curve | None:
        """Return the throughput curve that the newest recalls speak for; None where they say too little."""
        return self._remembered.answer("capacity", lambda: curve(self.evidence))

    def cache_losses(self) -> CacheLosses | None:
        """Return what ended answers cost since the start; None where the managers are in other processes."""
        return self.embedded.manager.cache_losses if self.embedded else None

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
            lambda: Question(configs, self._newest(), cases=told, scope=scope),
            stale_after=FORECAST_IS_STALE_SECONDS,
        )

    def sweep(self, source: str, over: str, *, scope: str = "all", speed: float = 1.0) -> WhatIfRun:
        """Return the run that sweeps one thing over recorded recalls; started if need be.

        Args:
            source: a sample workload, or ``NOW``.
            over: see ``workload.whatif.OVER``.
            scope: "all" or a query type.
            speed: arrivals so many times as fast.

        Raises:
            ValueError: if a value does not fit, or too many simulations are waiting.
        """
        configs = self.configs()
        sample = "" if source == NOW else source
        asked = Question(configs, sample=sample, over=over, scope=scope, speed=speed)
        return self._forecasts.ask(
            ("sweep", source, over, scope, speed, configs.head, self.now // 10 if source == NOW else 0),
            lambda: asked if sample else replace(asked, records=self._newest()),
            stale_after=float("inf"),
        )

    def samples(self) -> Sequence[sample_workloads.SampleWorkload]:
        """Return the sample workloads."""
        return sample_workloads.list_samples()

    def workers(self) -> Records[WorkerStatus]:
        """Return all known managers, last seen first."""
        return self.store.workers()

    def layer_health(self) -> dict[str, list[LayerHealth]]:
        """Return how the layers of each manager are that is alive, by worker."""
        return posted_health(self.store)

    def history(self, limit: int = 200, scope: str | None = None) -> Records[ConfigVersion]:
        """Return config versions, newest first."""
        return self.store.config_history(limit=limit, scope=scope)

    def undo_reason(self, scope: str = "all") -> str | None:
        """Return what ``undo`` would do for a scope, in words; None where there is nothing to take back."""
        return operations.undo_reason(self.history(2, scope))

    def notes(self) -> list[Annotation]:
        """Return what people noted and did beside configs, oldest first."""
        return self.store.annotations()

    def decisions(self, limit: int = 200) -> Records[Decision]:
        """Return the tuner's decisions, newest first."""
        return self.store.decisions(limit=limit)

    def _newest(self) -> list[QueryMetrics]:
        return list(self.evidence.metrics[-MOST_RECALLS:])

    def _own(self, config: TuningConfig, scope: str, configs: ConfigSet) -> dict[str, Any]:
        """Return a config's values for a scope; a type takes its limit from all types, whatever it says."""
        values = config.to_dict()
        if scope != "all":
            values["max_concurrent"] = configs.default.config.max_concurrent
        return values

    def _propose(self, strategy: TuningStrategy, scope: str) -> Decision:
        asked = self._advisor(strategy)
        asked.in_force(_under(self.configs(), strategy))
        return asked.propose(None if scope == "all" else scope)

    def _advisor(self, strategy: TuningStrategy) -> AutoTuner:
        """Return the tuner to ask about a strategy: kept, so that it reads and searches only what is new."""
        tuner = self._tuner()
        key = (strategy, tuner.policy.name)
        if key not in self._advisors:
            self._advisors[key] = AutoTuner(
                self.evidence,
                strategy,
                tuner.adjustment_interval,
                tuner.min_samples,
                bounds=tuner.bounds,
                policy=tuner.policy.name,
                clock=self._clock,
            )
        return self._advisors[key]

    def _tuner(self) -> AutoTuner:
        return self.embedded.manager.tuner if self.embedded else AutoTuner(self.tail.profiler)


def _under(configs: ConfigSet, strategy: TuningStrategy) -> ConfigSet:
    at = configs.default
    return replace(configs, default=replace(at, config=replace(at.config, strategy=strategy)))
