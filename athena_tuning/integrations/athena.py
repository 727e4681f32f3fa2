"""Athena: measures, tunes and runs the recalls of its ``UnifiedMemoryManager`` in place of its own parts."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from athena_tuning.control import Control
from athena_tuning.model import LayerTask, Mode, QueryMetrics, TuningConfig, TuningStrategy
from athena_tuning.profiling import FoundItems, PerformanceProfiler
from athena_tuning.profiling.measure import MeasuredQuery
from athena_tuning.recall import ExecutionResult, ParallelLayerExecutor, QueryTask
from athena_tuning.store import Store

_PARTS = ("performance_profiler", "auto_tuner", "parallel_tier1_executor")


def adopt(
    manager: Any,
    *,
    store: Store | str | None = None,
    tune: bool = True,
    mode: Mode = Mode.AUTO,
    worker_id: str | None = None,
) -> AdoptedManager:
    """Put profiler, tuner, executor and strategy switching into a manager of Athena: one line.

    Its own names go on: ``update_tuning_strategy``, ``get_tuning_report``, ``get_performance_statistics``,
    ``performance_profiler``, ``auto_tuner``, and what its executor counts. The window of measurements begins
    anew. What it had comes back with ``close``.

    Args:
        manager: a ``UnifiedMemoryManager``.
        store: where metrics, configs and decisions are shared: a store, or its URL (None: the default).
        tune: whether the tuner may decide here; else somebody else on the store has to.
        mode: who steers, as long as the store holds no config; the tuner that it had applied what it chose.
        worker_id: unique name of this manager among those that share the store.

    Returns:
        Its control: ``record_feedback``, ``apply_config`` and the rest of a ``Control``.

    Raises:
        TypeError: if it has not the parts of such a manager.
        StoreError: if the store cannot be opened.
    """
    missing = [name for name in _PARTS if not hasattr(manager, name)]
    if missing:
        raise TypeError(f"this is no manager of Athena, it has no {', '.join(missing)}: {type(manager)!r}")
    return AdoptedManager(manager, store, tune=tune, mode=mode, worker_id=worker_id)


class AdoptedManager(Control):
    """The control of an adopted manager; see ``adopt``, which makes one."""

    def __init__(
        self, manager: Any, store: Store | str | None, *, tune: bool, mode: Mode, worker_id: str | None
    ) -> None:
        tier, tuner = manager.parallel_tier1_executor, manager.auto_tuner
        before = tier.executor
        self._executor = AdoptedExecutor(before.max_concurrent, before.timeout_seconds)
        super().__init__(
            store,
            profiler=AdoptedProfiler(self._executor),
            tune=tune,
            strategy=_strategy(getattr(tuner, "strategy", TuningStrategy.BALANCED)),
            mode=mode,
            worker_id=worker_id,
        )
        self._replaced: list[tuple[Any, str, Any]] = []
        old = manager.performance_profiler
        for part in (manager, *vars(manager).values()):
            for name in ("profiler", "performance_profiler"):
                if getattr(part, name, None) is old and part is not tuner:
                    self._replace(part, name, self.profiler)
        self._replace(manager, "auto_tuner", AdoptedTuner(self))
        self._replace(tier, "executor", self._executor)
        layers = _Layers(manager, tier, self)
        self._replace(tier, "select_layers_for_query", layers.select)
        self._replace(tier, "_execute_sequential", layers.one_by_one)

    def report(self) -> dict[str, Any]:
        """Return strategy, current config, figures of the window and recommendations."""
        if self._shared is not None:
            self._shared.take_own()
        return self.tuner.get_tuning_report()

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Give the manager back what it had, deliver what is left and end the threads."""
        for part, name, before in reversed(self._replaced):
            if before is _NOT_ITS_OWN:
                delattr(part, name)
            else:
                setattr(part, name, before)
        self._replaced.clear()
        self._executor.close(timeout_seconds / 2)
        super().close(timeout_seconds / 2)

    def _replace(self, part: Any, name: str, own: Any) -> None:
        self._replaced.append((part, name, vars(part).get(name, _NOT_ITS_OWN)))
        setattr(part, name, own)


class AdoptedExecutor(ParallelLayerExecutor):
    """The executor, for tasks of Athena's own kind; it knows what the latest query of each thread came to.

    Attributes:
        parallel_speedup_times: what ``record_speedup`` was told, in ms.
    """

    def __init__(self, max_concurrent: int, timeout_seconds: float) -> None:
        self._latest = threading.local()
        self.parallel_speedup_times: list[float] = []
        super().__init__(max_concurrent, timeout_seconds)

    @property
    def latest_layer_latencies(self) -> dict[str, float]:
        """Service times in ms, by layer, of the latest query of this thread."""
        return {of.layer_name: of.elapsed_ms for of in self._results() if of.in_flight}

    @latest_layer_latencies.setter
    def latest_layer_latencies(self, latencies: Mapping[str, float]) -> None:
        """What the executor itself would note is of whatever thread came last."""

    async def execute_parallel(self, tasks: Sequence[Any]) -> dict[str, ExecutionResult]:
        """Run the tasks without blocking the running loop; return the results by layer."""
        return await self.execute(tasks, parallel=True)

    async def execute(self, tasks: Sequence[Any], *, parallel: bool) -> dict[str, ExecutionResult]:
        """Do so at the same time, or one after another."""
        self._latest.results = await self.arun(list(map(_task, tasks)), parallel=parallel)
        return {of.layer_name: of for of in self._latest.results}

    def execute_parallel_sync(self, tasks: Sequence[Any]) -> dict[str, ExecutionResult]:
        """Run the tasks and wait in this thread; return the results by layer."""
        self._latest.results = self.run(list(map(_task, tasks)))
        return {of.layer_name: of for of in self._latest.results}

    def take_results(self) -> list[ExecutionResult]:
        """Return what the latest query of this thread came to, once."""
        results = self._results()
        self._latest.results = []
        return results

    def record_speedup(self, sequential_time: float, parallel_time: float) -> None:
        """Note how much a query gained, in ms, if it did."""
        if parallel_time < sequential_time:
            self.parallel_speedup_times = [
                *self.parallel_speedup_times[-999:],
                sequential_time - parallel_time,
            ]

    def get_stats(self) -> dict[str, Any]:
        """Return what was run, in Athena's words and in ours."""
        stats, gained = super().get_stats(), self.parallel_speedup_times
        return {
            **stats,
            "parallel_percentage": f"{stats['parallel_percentage']:.1f}%",
            "avg_speedup_ms": f"{sum(gained) / max(len(gained), 1):.2f}",
        }

    def _results(self) -> list[ExecutionResult]:
        results: list[ExecutionResult] = getattr(self._latest, "results", [])
        return results


class AdoptedProfiler(PerformanceProfiler):
    """The profiler, for Athena's records: those of the executor say what the layers really did.

    Args:
        executor: runs the layers.
    """

    def __init__(self, executor: AdoptedExecutor) -> None:
        self._executor = executor
        super().__init__()

    def record_query(self, metrics: Any, found: FoundItems | None = None) -> None:
        """Take a record of Athena's, or of ours. Never raises and never waits."""
        if not isinstance(metrics, (QueryMetrics, MeasuredQuery)):
            metrics = _record(metrics, self._executor.take_results())
        super().record_query(metrics, found)


class AdoptedTuner:
    """What Athena asks of its tuner, answered by the configs in force.

    Args:
        control: obeys the store.
    """

    def __init__(self, control: AdoptedManager) -> None:
        self._control = control
        self.profiler = control.profiler

    @property
    def strategy(self) -> TuningStrategy:
        """What the operator wants most."""
        return self.current_config.strategy

    @property
    def current_config(self) -> TuningConfig:
        """The config in force for all types."""
        return self._control.current_config()

    def get_optimized_config(self, query_type: str | None = None) -> TuningConfig:
        """Return the config in force for a type. It is a look, it never waits."""
        return self._control.current_config(query_type)

    def update_strategy(self, strategy: Any) -> None:
        """Switch the strategy, given as Athena's, as ours or by name, for all that share the store."""
        self._control.update_tuning_strategy(_strategy(strategy), actor="athena")

    def get_tuning_report(self) -> dict[str, Any]:
        """Return strategy, current config, figures of the window and recommendations."""
        return self._control.report()


class _Layers:
    """Which layers Athena asks, and how it asks them where they do not run at the same time."""

    def __init__(self, manager: Any, tier: Any, control: AdoptedManager) -> None:
        self._manager = manager
        self._tier = tier
        self._control = control
        self._executor: AdoptedExecutor = tier.executor
        self._selected: Callable[..., list[str]] = tier.select_layers_for_query

    def select(self, query: str, context: dict[str, Any] | None = None) -> list[str]:
        """Return what Athena selects, less what the config in force leaves out."""
        selected = self._selected(query, context)
        out = self._control.current_config(self._manager._classify_query(query)).skipped_layers
        return [layer for layer in selected if layer not in out] or selected

    async def one_by_one(
        self, query: str, context: dict[str, Any], k: int, layers: Iterable[str]
    ) -> dict[str, Any]:
        """Ask layers one after another, under the limit and measured; one that fails has found nothing."""
        methods, seconds = self._tier.query_methods, self._executor.timeout_seconds
        tasks = [
            QueryTask(layer, methods[layer], (query, context, k), timeout_seconds=seconds)
            for layer in layers
            if layer in methods
        ]
        done = await self._executor.execute(tasks, parallel=False)
        return {layer: of.result if of.success else [] for layer, of in done.items()}


_NOT_ITS_OWN = object()  # the class has it: nothing is to be put back


def _strategy(strategy: Any) -> TuningStrategy:
    return TuningStrategy(strategy.value if isinstance(strategy, Enum) else strategy)


def _task(task: Any) -> QueryTask:
    if isinstance(task, QueryTask):
        return task
    return QueryTask(task.layer_name, task.query_fn, tuple(task.args), task.kwargs, task.timeout_seconds)


def _record(theirs: Any, results: Sequence[ExecutionResult]) -> QueryMetrics:
    """Return a record of Athena's as ours.

    Without results of the executor only layers with a latency were surely asked: Athena names all of them.
    """
    ran = [of for of in results if of.in_flight]
    failed = [of for of in results if not of.success]
    latencies = {of.layer_name: of.elapsed_ms for of in ran} or dict(theirs.layer_latencies)
    return QueryMetrics(
        theirs.query_id,
        theirs.query_text,
        theirs.query_type,
        theirs.timestamp,
        theirs.latency_ms,
        theirs.memory_mb or None,  # it writes 0 where it has not measured
        theirs.cache_hit,
        theirs.result_count,
        list(latencies),
        latencies,
        theirs.success and not (results and len(failed) == len(results)),
        "; ".join(f"{of.layer_name}: {of.error}" for of in failed) or None,
        theirs.parallel_execution and len(ran) > 1,
        max(1, len(ran)) if theirs.parallel_execution else 1,
        math.nan,  # its accuracy follows from success
        tasks=tuple(
            LayerTask(
                of.layer_name, of.offset_ms, of.queue_ms, of.elapsed_ms, of.in_flight, of.outcome,
                len(of.result) if isinstance(of.result, list) else 0,
            )
            for of in ran
        ),
        partial=0 < len(failed) < len(results),
    )  # fmt: skip
