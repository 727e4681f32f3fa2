"""The path of one recall: classified, answered from the cache or by the layers, fused, recorded."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from athena_tuning.model import ConfigSet, QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import result
from athena_tuning.recall.cache import AnswerCache
from athena_tuning.recall.classification import classify
from athena_tuning.recall.contribution import HOLDBACK, ContributionCount
from athena_tuning.recall.execution.executor import ParallelLayerExecutor
from athena_tuning.recall.execution.fanout import ExecutionResult, QueryTask
from athena_tuning.recall.items import LayerQuery
from athena_tuning.recall.layers.base import Layer
from athena_tuning.recall.peak import PeakMemory
from athena_tuning.recall.plan import RecallPlan, candidates
from athena_tuning.recall.request import RecallRequest
from athena_tuning.recall.result import RecallResult
from athena_tuning.recall.routing import select_layers
from athena_tuning.single_flight import Flight, SingleFlight

MAX_CACHED_TEXT = 4000
"""Longer queries are rarely repeated, and would fill the memory with their own text."""


class Recaller:
    """Runs recalls; ``MemoryManager.recall`` says what they give.

    Args:
        name: begins the ids of its recalls.
        executor: runs the layer tasks.
        cache: keeps complete answers.
        profiler: every recall is recorded there, whatever came of it.
        configs: gives the configs in force.
        clock: Unix seconds.
        contributions: told what the layers gave.
        chance: draws from 0 to 1; below ``HOLDBACK`` a recall asks what its config leaves out, too.
    """

    def __init__(
        self,
        name: str,
        executor: ParallelLayerExecutor,
        cache: AnswerCache[RecallResult],
        profiler: PerformanceProfiler,
        configs: Callable[[], ConfigSet],
        clock: Callable[[], float],
        contributions: ContributionCount,
        chance: Callable[[], float],
    ) -> None:
        self.count = 0
        self._counting = threading.Lock()
        self.layers: Mapping[str, Layer] = {}
        self.name = name
        self._executor = executor
        self._cache = cache
        self._profiler = profiler
        self._configs = configs
        self._clock = clock
        self._contributions = contributions
        self._chance = chance
        self._flights: SingleFlight[RecallResult] = SingleFlight()
        self._numbers = itertools.count(1)

    def register(self, layer: Layer) -> None:
        """Ask ``layer`` from the next recall on, in place of one with its name.

        Raises:
            ValueError: if it has no name or no ``search``.
        """
        name = getattr(layer, "name", None)
        if not isinstance(name, str) or not name or name.startswith("_"):
            raise ValueError(f"a layer's name must be text that does not begin with '_', not {name!r:.80}")
        if not callable(getattr(layer, "search", None)):
            raise ValueError(f"layer {name!r} has no search(query, k, deadline)")
        if (seconds := getattr(layer, "cache_seconds", None)) is not None:
            self._cache.set_lifetime(name, seconds)
        self.layers = {**self.layers, name: layer}
        self._cache.written([name])

    def recall(self, request: RecallRequest) -> dict[str, Any]:
        """Recall and wait in this thread."""
        plan = self._plan(request)
        known = self._cache.get(plan.key) if plan.cached else None
        if known is not None:
            return self._finish(plan, known, shared=True)
        flight, first = self._join(plan)
        answer = None
        try:
            if flight is not None and not first:
                answer = flight.wait(plan.patience)
            if not (shared := answer is not None):
                results = self._executor.run(_tasks(plan), parallel=plan.parallel, deadline=plan.deadline)
                answer = self._combine(plan, results)
        finally:
            self._leave(plan, flight if first else None, answer)
        return self._finish(plan, answer, shared=shared)

    async def arecall(self, request: RecallRequest) -> dict[str, Any]:
        """Recall without blocking the running loop."""
        plan = self._plan(request)
        known = self._cache.get(plan.key) if plan.cached else None
        if known is not None:
            return self._finish(plan, known, shared=True)
        flight, first = self._join(plan)
        answer = None
        try:
            if flight is not None and not first:
                answer = await flight.wait_async(plan.patience)
            if not (shared := answer is not None):
                results = await self._executor.arun(
                    _tasks(plan), parallel=plan.parallel, deadline=plan.deadline
                )
                answer = self._combine(plan, results)
        finally:
            self._leave(plan, flight if first else None, answer)
        return self._finish(plan, answer, shared=shared)

    def _plan(self, request: RecallRequest) -> RecallPlan:
        query, context = request.query, request.context or {}
        query_type = classify(query)
        configs = self._configs()
        version = configs.by_type.get(query_type, configs.default)
        config, layers = version.config, self.layers
        names = tuple(layers)
        if config.layer_selection_enabled:
            skipped = config.skipped_layers
            if skipped and self._chance() < HOLDBACK:
                skipped = frozenset()
            names = select_layers(query, query_type, names, context=context, skipped=skipped)
        track = bool(context.get("track_memory"))
        of_context = tuple(sorted((name, repr(value)) for name, value in context.items()))
        return RecallPlan(
            request=request,
            query_id=f"{self.name}-{next(self._numbers)}",
            query_type=query_type,
            config=config,
            config_version=version.version,
            layers=tuple(layers[name] for name in names),
            layer_names=names,
            parallel=request.use_parallel and config.enable_parallel,
            cached=request.use_cache and config.enable_cache and not track and len(query) <= MAX_CACHED_TEXT,
            key=(query, request.scope, request.k, names, of_context),
            stamp=self._cache.stamp(names),
            timestamp=self._clock(),
            peak=PeakMemory() if track else None,
        )

    def _join(self, plan: RecallPlan) -> tuple[Flight[RecallResult] | None, bool]:
        """Return the flight to wait for or to resolve, and whether this recall began it."""
        return self._flights.join((plan.key, plan.stamp)) if plan.cached else (None, False)

    def _combine(self, plan: RecallPlan, results: list[ExecutionResult]) -> RecallResult:
        answer = result.combine(results, plan.request.k, plan.parallel and len(results) > 1)
        if answer.complete:
            self._contributions.offer(plan, results)
        if plan.cached and answer.complete:
            self._cache.put(plan.key, answer, plan.layer_names, plan.stamp)
        return answer

    def _leave(
        self, plan: RecallPlan, flight: Flight[RecallResult] | None, answer: RecallResult | None
    ) -> None:
        """Resolve the flight that this recall began; record a recall that its caller gave up."""
        if flight is not None:
            self._flights.resolve(flight, answer)
        if answer is None:
            if plan.peak is not None:
                plan.peak.stop()
            self._record(result.cancelled(plan))

    def _finish(self, plan: RecallPlan, answer: RecallResult, *, shared: bool) -> dict[str, Any]:
        memory_mb = plan.peak.stop() if plan.peak is not None else None
        latency_ms = (time.monotonic() - plan.request.started) * 1000
        self._record(result.metrics(plan, answer, latency_ms, memory_mb, shared=shared))
        return result.response(plan, answer, latency_ms, shared=shared)

    def _record(self, metrics: QueryMetrics) -> None:
        self._profiler.record_query(metrics)
        with self._counting:
            self.count += 1


def _tasks(plan: RecallPlan) -> list[QueryTask]:
    request = plan.request
    query = LayerQuery(request.query, request.scope, plan.query_type, request.context or {})
    wanted = candidates(request.k)
    return [
        QueryTask(
            layer.name,
            layer.search,
            (query, wanted),
            timeout_seconds=plan.config.timeout_for(layer.name),
            takes_deadline=True,
            keeps_deadline=getattr(layer, "keeps_deadline", False),
        )
        for layer in plan.layers
    ]
