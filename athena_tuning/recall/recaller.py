"""The path of one recall: classified, answered from the cache or by the layers, fused, recorded."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from athena_tuning.model import ConfigSet, QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import request
from athena_tuning.recall.cache import AnswerCache
from athena_tuning.recall.classification import classify
from athena_tuning.recall.contribution import HOLDBACK, ContributionCount
from athena_tuning.recall.execution.executor import ParallelLayerExecutor
from athena_tuning.recall.execution.fanout import ExecutionResult, QueryTask
from athena_tuning.recall.items import LayerQuery
from athena_tuning.recall.layers.base import Layer
from athena_tuning.recall.peak import PeakMemory
from athena_tuning.recall.request import Answer, Asked
from athena_tuning.recall.routing import select_layers
from athena_tuning.recall.single_flight import Flight, Flights


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
        cache: AnswerCache[Answer],
        profiler: PerformanceProfiler,
        configs: Callable[[], ConfigSet],
        clock: Callable[[], float],
        contributions: ContributionCount,
        chance: Callable[[], float],
    ) -> None:
        self.count = 0
        self._counting = threading.Lock()
        self.layers: Mapping[str, Layer] = {}
        self._name = name
        self._executor = executor
        self._cache = cache
        self._profiler = profiler
        self._configs = configs
        self._clock = clock
        self._contributions = contributions
        self._chance = chance
        self._flights: Flights[Answer] = Flights()
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

    def recall(
        self,
        query: str,
        context: Mapping[str, Any] | None,
        k: int,
        scope: str | None,
        use_cache: bool,
        use_parallel: bool,
    ) -> dict[str, Any]:
        """Recall and wait in this thread."""
        asked = self._ask(query, context, k, scope, use_cache, use_parallel)
        given = self._cache.get(asked.key) if asked.cached else None
        if given is not None:
            return self._finish(asked, given, shared=True)
        flight, first = self._board(asked)
        try:
            if flight is not None and not first:
                given = flight.wait(asked.patience)
            if not (shared := given is not None):
                results = self._executor.run(_tasks(asked), parallel=asked.parallel, deadline=asked.deadline)
                given = self._answer(asked, results)
        finally:
            self._leave(asked, flight if first else None, given)
        return self._finish(asked, given, shared=shared)

    async def arecall(
        self,
        query: str,
        context: Mapping[str, Any] | None,
        k: int,
        scope: str | None,
        use_cache: bool,
        use_parallel: bool,
    ) -> dict[str, Any]:
        """Recall without blocking the running loop."""
        asked = self._ask(query, context, k, scope, use_cache, use_parallel)
        given = self._cache.get(asked.key) if asked.cached else None
        if given is not None:
            return self._finish(asked, given, shared=True)
        flight, first = self._board(asked)
        try:
            if flight is not None and not first:
                given = await flight.join(asked.patience)
            if not (shared := given is not None):
                results = await self._executor.arun(
                    _tasks(asked), parallel=asked.parallel, deadline=asked.deadline
                )
                given = self._answer(asked, results)
        finally:
            self._leave(asked, flight if first else None, given)
        return self._finish(asked, given, shared=shared)

    def _ask(
        self,
        query: str,
        context: Mapping[str, Any] | None,
        k: int,
        scope: str | None,
        use_cache: bool,
        use_parallel: bool,
    ) -> Asked:
        started = time.monotonic()
        request.check(query, context, k, scope)
        context = dict(context) if context else request.NO_CONTEXT
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
        return Asked(
            query_id=f"{self._name}-{next(self._numbers)}",
            text=query,
            query_type=query_type,
            k=k,
            scope=scope,
            context=context,
            layers=tuple(layers[name] for name in names),
            layer_names=names,
            config=config,
            config_version=version.version,
            parallel=use_parallel and config.enable_parallel,
            cached=use_cache and config.enable_cache and not track and len(query) <= request.MAX_CACHED_TEXT,
            timestamp=self._clock(),
            started=started,
            key=(query, scope, k, names, tuple(sorted((n, repr(v)) for n, v in context.items()))),
            stamp=self._cache.stamp(names),
            peak=PeakMemory() if track else None,
        )

    def _board(self, asked: Asked) -> tuple[Flight[Answer] | None, bool]:
        """Return the flight to wait for or to land, and whether this recall began it."""
        return self._flights.board((asked.key, asked.stamp)) if asked.cached else (None, False)

    def _answer(self, asked: Asked, results: list[ExecutionResult]) -> Answer:
        given = request.answer(results, asked.k, asked.parallel and len(results) > 1)
        if given.complete:
            self._contributions.offer(asked, results)
        if asked.cached and given.complete:
            self._cache.put(asked.key, given, asked.layer_names, asked.stamp)
        return given

    def _leave(self, asked: Asked, flight: Flight[Answer] | None, given: Answer | None) -> None:
        """Land the flight that this recall began; record a recall that its caller gave up."""
        if flight is not None:
            self._flights.land(flight, given)
        if given is None:
            if asked.peak is not None:
                asked.peak.stop()
            self._record(request.cancelled(asked))

    def _finish(self, asked: Asked, given: Answer, *, shared: bool) -> dict[str, Any]:
        memory_mb = asked.peak.stop() if asked.peak is not None else None
        latency_ms = (time.monotonic() - asked.started) * 1000
        self._record(request.metrics(asked, given, latency_ms, memory_mb, shared=shared))
        return request.response(asked, given, latency_ms, shared=shared)

    def _record(self, metrics: QueryMetrics) -> None:
        self._profiler.record_query(metrics)
        with self._counting:
            self.count += 1


def _tasks(asked: Asked) -> list[QueryTask]:
    query = LayerQuery(asked.text, asked.scope, asked.query_type, asked.context)
    wanted = request.candidates(asked.k)
    return [
        QueryTask(
            layer.name,
            layer.search,
            (query, wanted),
            timeout_seconds=asked.config.timeout_for(layer.name),
            takes_deadline=True,
            keeps_deadline=getattr(layer, "keeps_deadline", False),
        )
        for layer in asked.layers
    ]
