"""The path of one recall: classified, answered from the cache or by the layers, fused, recorded."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any

from athena_tuning import fork
from athena_tuning.control.layer_health import HealthMonitor
from athena_tuning.model import ConfigSet, QueryMetrics
from athena_tuning.model.source import current_source
from athena_tuning.profiling import FoundItems, PerformanceProfiler
from athena_tuning.recall import result
from athena_tuning.recall.attempt import current_attempt
from athena_tuning.recall.cache import AnswerCache
from athena_tuning.recall.cache_key import cache_key
from athena_tuning.recall.classification import classify
from athena_tuning.recall.contribution import ContributionCount
from athena_tuning.recall.current import recalls_above
from athena_tuning.recall.execution.executor import ParallelLayerExecutor
from athena_tuning.recall.execution.task import ExecutionResult
from athena_tuning.recall.execution.turns import Turns
from athena_tuning.recall.layer_memory import LayerMemoryMonitor
from athena_tuning.recall.peak import PeakMemory
from athena_tuning.recall.plan import RecallPlan
from athena_tuning.recall.registered_layer import RegisteredLayer
from athena_tuning.recall.request import RecallRequest
from athena_tuning.recall.result import RecallResult
from athena_tuning.recall.rounds import Round, Rounds
from athena_tuning.recall.routing.dependencies import DependencyGraph
from athena_tuning.recall.routing.exploration import Exploration
from athena_tuning.recall.routing.route import Route, route
from athena_tuning.recall.snapshot import Snapshot
from athena_tuning.single_flight import Flight, SingleFlight

MAX_CACHED_TEXT = 4000
"""Longer queries are rarely repeated, and would fill the memory with their own text."""


class Recaller:
    """Runs recalls; ``MemoryManager.recall`` says what they give.

    Args:
        name: begins the ids of its recalls.
        executor: runs the layer tasks.
        cache: keeps answers of layers.
        health: says which layers are left out.
        try_layers: called when one is left out: it may be time to try it.
        profiler: every recall is recorded there, whatever came of it.
        configs: gives the configs in force.
        clock: Unix seconds.
        contributions: told what the layers gave.
        chance: draws from 0 to 1; decides which recalls explore.
        identity: context variables on which answers depend.
        layer_memory: measures what layers take of memory, where the config says so; None: nobody does.
    """

    def __init__(
        self,
        name: str,
        executor: ParallelLayerExecutor,
        cache: AnswerCache[Snapshot, RecallResult],
        health: HealthMonitor,
        try_layers: Callable[[], object],
        profiler: PerformanceProfiler,
        configs: Callable[[], ConfigSet],
        clock: Callable[[], float],
        contributions: ContributionCount,
        chance: Callable[[], float],
        identity: Iterable[ContextVar[Any]] = (),
        layer_memory: LayerMemoryMonitor | None = None,
    ) -> None:
        self.count = 0
        self.layers: Mapping[str, RegisteredLayer] = {}
        self.name = name
        self._executor = executor
        self._cache = cache
        self._health = health
        self._profiler = profiler
        self._configs = configs
        self._clock = clock
        self._contributions = contributions
        self._layer_memory = layer_memory
        self._exploration = Exploration(chance)
        self._rounds = Rounds(executor, cache, health, try_layers, lambda: self.layers)
        self._identity = tuple(identity)
        self._graph = DependencyGraph({})
        self._numbers = itertools.count(1)
        self.renew_after_fork()
        fork.register(self)

    def renew_after_fork(self) -> None:
        """Make the lock anew in a forked child; recalls under way are the parent's."""
        self._counting = threading.Lock()
        self._flights: SingleFlight[RecallResult] = SingleFlight()
        self._turns = Turns()

    def check(self, layer: RegisteredLayer) -> DependencyGraph:
        """Return what depends on what with ``layer`` in it.

        Raises:
            ValueError: if layers then wait for each other in a circle.
        """
        layers = {**self.layers, layer.name: layer}
        return DependencyGraph({name: each.after for name, each in layers.items()})

    def register(self, layer: RegisteredLayer) -> None:
        """Ask ``layer``, which was checked, from the next recall on, in place of one with its name."""
        layers = {**self.layers, layer.name: layer}
        self._graph = self.check(layer)
        kept = 0.0 if layer.after else layer.cache_seconds  # else it would outlive what it depends on
        self._cache.set_lifetime(layer.name, kept, layer.stale_seconds)
        self.layers = layers
        self._cache.written([layer.name])

    def recall(self, request: RecallRequest) -> dict[str, Any]:
        """Recall and wait in this thread."""
        plan = self._plan(request)
        answer, known = self._look_up(plan)
        if answer is not None:
            return self._finish(plan, answer, shared=True)
        flight, first = self._join(plan)
        shared = False
        try:
            if flight is not None and not first:
                answer = flight.wait(plan.patience)
                shared = answer is not None
                if not shared:
                    self._flights.forget(flight)
            if answer is None:
                todo = self._rounds.begin(plan, known)
                results: list[ExecutionResult] = []
                while todo.tasks:
                    given = self._executor.run(
                        todo.tasks,
                        parallel=plan.parallel,
                        deadline=plan.deadline,
                        purpose=plan,
                        ticket=todo.ticket,
                    )
                    self._rounds.go_on(plan, todo, results, given)
                answer = self._combine(plan, todo, results)
        finally:
            self._leave(plan, flight if first else None, answer)
        return self._finish(plan, answer, shared=shared)

    async def arecall(self, request: RecallRequest) -> dict[str, Any]:
        """Recall without blocking the running loop."""
        await self._turns.take()
        plan = self._plan(request)
        answer, known = self._look_up(plan)
        if answer is not None:
            return self._finish(plan, answer, shared=True)
        flight, first = self._join(plan)
        shared = False
        try:
            if flight is not None and not first:
                answer = await flight.wait_async(plan.patience)
                shared = answer is not None
                if not shared:
                    self._flights.forget(flight)
            if answer is None:
                todo = self._rounds.begin(plan, known)
                results: list[ExecutionResult] = []
                while todo.tasks:
                    given = await self._executor.arun(
                        todo.tasks,
                        parallel=plan.parallel,
                        deadline=plan.deadline,
                        purpose=plan,
                        ticket=todo.ticket,
                    )
                    await self._turns.take()
                    self._rounds.go_on(plan, todo, results, given)
                answer = self._combine(plan, todo, results)
        finally:
            self._leave(plan, flight if first else None, answer)
        return self._finish(plan, answer, shared=shared)

    def refuse(self, request: RecallRequest, why: str, retry_after: float) -> dict[str, Any]:
        """Answer and record a recall that somebody before the layers refused."""
        plan = self._plan(request)
        return self._finish(plan, result.refused(plan, why, retry_after), shared=False)

    def _plan(self, request: RecallRequest) -> RecallPlan:
        query, context = request.query, request.context or {}
        query_type = classify(query)
        configs = self._configs()
        version = configs.by_type.get(query_type, configs.default)
        config, layers = version.config, self.layers
        if request.layers is None:
            explores = self._exploration.explores(config.exploration_share) and not self._executor.waiting
            way = route(query, query_type, tuple(layers), config, context=context, explores=explores)
        elif unknown := [name for name in request.layers if name not in layers]:
            raise ValueError(f"there is no layer {unknown[0]!r:.80}; there are {', '.join(layers)}")
        else:
            way = Route(tuple(request.layers))
        way = way.ordered(self._graph)
        names = way.first
        track = bool(context.get("track_memory"))
        key = None
        if request.use_cache and config.enable_cache and not track and len(query) <= MAX_CACHED_TEXT:
            matters = {name: value for name, value in context.items() if name != "priority"}
            key = cache_key(query, request.scope, matters, self._identity)
        memory = self._layer_memory if config.memory_share else None
        if memory is not None and (recalls_above() or not memory.measures(config.memory_share)):
            memory = None
        attempt = None if recalls_above() else current_attempt()
        return RecallPlan(
            request=request,
            query_id=f"{self.name}-{next(self._numbers)}" if attempt is None else attempt.query_id,
            query_type=query_type,
            config=config,
            config_version=version.version,
            route=way,
            layer_names=names,
            parallel=request.use_parallel and config.enable_parallel and memory is None,
            key=key,
            stamp=self._cache.stamp(names) if key is not None else (),
            timestamp=self._clock(),
            peak=PeakMemory() if track else None,
            layer_memory=memory,
            source=current_source(),
            attempt=attempt,
        )

    def _look_up(self, plan: RecallPlan) -> tuple[RecallResult | None, Mapping[str, Snapshot]]:
        """Return the whole answer if it is known, and else what is known of it."""
        if plan.key is None:
            return None, {}
        known, whole = self._cache.get(plan.key, plan.layer_names, plan.request.k)
        return whole, known

    def _join(self, plan: RecallPlan) -> tuple[Flight[RecallResult] | None, bool]:
        """Return the flight to wait for or to resolve, and whether this recall began it.

        A recall within a recall waits for no other one, which may be waiting for it.
        """
        if plan.key is None or recalls_above() or not all(map(self._cache.keeps, plan.layer_names)):
            return None, False
        return self._flights.join((plan.key, plan.request.k, plan.layer_names, plan.stamp))

    def _combine(self, plan: RecallPlan, todo: Round, results: list[ExecutionResult]) -> RecallResult:
        missing, note = [*todo.left_out], self._health.note
        for of in results:
            if of.success:
                note(of.layer_name, of.outcome, of.elapsed_ms / 1000)
                continue
            missing.append(of.layer_name)
            note(
                of.layer_name,
                of.outcome,
                of.elapsed_ms / 1000,
                of.error or "",
                of_layer=of.of_layer,
                at_deadline=of.at_deadline,
            )
        if todo.ticket is not None and todo.ticket.refused is not None:
            return result.refused(plan, todo.ticket.refused, todo.ticket.retry_after)
        stale = self._stale(plan, missing) if missing else {}
        answer = result.combine(plan, results, todo.known, todo.left_out, stale)
        if results:
            fresh = answer.by_layer
            if stale:
                fresh = {name: part for name, part in fresh.items() if name not in stale}
            self._contributions.offer(plan, fresh)
            if plan.layer_memory is not None:
                plan.layer_memory.offer(fresh, plan.request.k)
            if plan.key is not None:
                kept = {name: part for name, part in fresh.items() if part.is_whole}
                whole = answer if answer.complete and len(kept) == len(fresh) else None
                self._cache.put(plan.key, plan.layer_names, plan.stamp, kept, whole, plan.request.k)
        elif plan.key is not None and answer.complete:
            self._cache.put(plan.key, plan.layer_names, plan.stamp, answer.by_layer, answer, plan.request.k)
        return answer

    def _stale(self, plan: RecallPlan, missing: Iterable[str]) -> dict[str, tuple[Snapshot, float]]:
        """Return expired answers in place of those that are missing, for layers that allow it."""
        found: dict[str, tuple[Snapshot, float]] = {}
        for name in missing:
            if plan.key is not None and self.layers[name].stale_seconds:
                old = self._cache.stale(plan.key, name)
                if old is not None:
                    self._health.note_stale(name)
                    found[name] = old
        return found

    def _leave(
        self, plan: RecallPlan, flight: Flight[RecallResult] | None, answer: RecallResult | None
    ) -> None:
        """Resolve the flight that this recall began; record a recall that its caller gave up."""
        if flight is not None:
            self._flights.resolve(flight, None if answer is None or answer.is_refused else answer)
        if answer is None:
            if plan.peak is not None:
                plan.peak.stop()
            self._record(plan, result.cancelled(plan))

    def _finish(self, plan: RecallPlan, answer: RecallResult, *, shared: bool) -> dict[str, Any]:
        memory_mb = plan.peak.stop() if plan.peak is not None else None
        latency_ms = (time.monotonic() - plan.request.started) * 1000
        self._record(plan, result.metrics(plan, answer, latency_ms, memory_mb, shared=shared), answer.found)
        return result.response(plan, answer, latency_ms, shared=shared)

    def _record(self, plan: RecallPlan, metrics: QueryMetrics, found: FoundItems | None = None) -> None:
        if plan.attempt is None:
            self._record_now(metrics, found)
        else:
            plan.attempt.hold(lambda: self._record_now(metrics, found))

    def _record_now(self, metrics: QueryMetrics, found: FoundItems | None) -> None:
        self._profiler.record_query(metrics, found)
        with self._counting:
            self.count += 1
