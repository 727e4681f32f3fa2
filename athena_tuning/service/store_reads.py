"""What may be asked of the window and the store: configs, managers, batches, history, and what happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from athena_tuning.control import operations
from athena_tuning.control.layer_health import posted_health
from athena_tuning.control.posted_memory import posted_memory
from athena_tuning.frames import Records
from athena_tuning.lru_cache import LruCache
from athena_tuning.model import (
    Annotation,
    ConfigSet,
    ConfigVersion,
    Decision,
    LayerHealth,
    MemoryHour,
    SourceBatch,
    WorkerStatus,
)
from athena_tuning.model.source import MEASURED
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall.cache import CacheLosses
from athena_tuning.samples import sample_workloads
from athena_tuning.service import doctor, layer_quality, timeline
from athena_tuning.service.alerts import is_alert
from athena_tuning.service.embedded import Embedded
from athena_tuning.service.estimate import Estimate
from athena_tuning.service.experiments import ExperimentStanding, newest_experiment
from athena_tuning.service.fleet_limit import FleetLimit, fleet_limit
from athena_tuning.service.loads import Loads
from athena_tuning.service.read_cache import Remembered
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.timeline import Happening
from athena_tuning.service.view import View
from athena_tuning.store import Store, StoreEvent, StoreHealth
from athena_tuning.store.findings import Finding

WORKER_IS_ALIVE_SECONDS = 10.0
EVENT_HOURS = 7 * 24.0
OF_MANAGERS_SECONDS = 600.0
COSTS_SECONDS = 30.0
"""How long the costs of layers hold: they rest on thousands of recalls, each looked at by itself."""

T = TypeVar("T")


class ManagerFigures(NamedTuple):
    """What a manager measured lately: recalls a second, and their p99 in ms."""

    per_second: float
    p99_ms: float


_STORES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "postgres": "PostgreSQL", "": "in this process"}


class StoreReads:
    """Reads of what is stored. All methods are thread-safe.

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
        self._layer_costs: LruCache[Hashable, list[layer_quality.LayerCost]] = LruCache(16)
        self._edition = 0  # of what this process put into the store beside recalls

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

    def configs(self) -> ConfigSet:
        """Return the configs in force."""
        return self.embedded.manager.configs if self.embedded else self.store.config_set()

    def workers(self) -> Records[WorkerStatus]:
        """Return all known managers, last seen first."""
        return self.store.workers()

    def is_alive(self, worker: WorkerStatus) -> bool:
        """Whether a worker has reported itself lately."""
        return self.now - worker.last_seen <= WORKER_IS_ALIVE_SECONDS

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

    def layer_memory(self, start: float, end: float) -> dict[str, list[MemoryHour]]:
        """Return what layers took of memory, hour by hour, by worker; a store keeps it for a week.

        Args:
            start: Unix seconds.
            end: likewise.
        """
        return posted_memory(self.store, start, end)

    def sources(self) -> list[SourceBatch]:
        """Return what the store holds from other sources than live ones, newest first."""
        return self._remembered.answer(("sources", self._edition, self.now // 2), self.store.batches)

    def samples(self) -> Sequence[sample_workloads.SampleWorkload]:
        """Return the sample workloads."""
        return sample_workloads.list_samples()

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

    def events(self) -> list[StoreEvent]:
        """Return what happened to the store and around it lately, newest first."""
        happened = self.store.events(since=self.now - EVENT_HOURS * 3600)
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

    def cache_losses(self) -> CacheLosses | None:
        """Return what ended answers cost since the start; None where the managers are in other processes."""
        return self.embedded.manager.cache_losses if self.embedded else None

    def scored_ways(self, view: View, by: layer_quality.By = "layers") -> list[layer_quality.ScoredWay]:
        """Return how good the scored answers of a view were, by what was asked for them."""
        history = self.history(1000) if by == "plan" else []
        return self._remembered.answer(
            ("scored ways", view, by), lambda: layer_quality.scored_ways(self.window, view, by, history)
        )

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
        about = (view.only(start=0.0, end=1.0), view.start // COSTS_SECONDS, view.end // COSTS_SECONDS)
        size = self.window.summary().count.bit_length()  # twice as many recalls may say twice as much
        return self._layer_costs.get_or_compute(
            (about, self.tail.generation, size), lambda: layer_quality.layer_costs(self.window, view, parts)
        )
