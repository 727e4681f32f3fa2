"""The memory manager: remembers, and recalls over all layers under the config in force."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from athena_tuning.control.breaker import BreakerSettings
from athena_tuning.control.layer_health import HealthMonitor, HealthPost
from athena_tuning.control.limit_shares import Load
from athena_tuning.control.periodic import PeriodicTask, PeriodicThread
from athena_tuning.control.posted_memory import MemoryPost
from athena_tuning.control.worker import Worker
from athena_tuning.model import ConfigSet, LayerHealth, Mode, TuningStrategy
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall.cache import AnswerCache, CacheLosses
from athena_tuning.recall.contribution import ContributionCount
from athena_tuning.recall.execution.executor import ParallelLayerExecutor
from athena_tuning.recall.items import Item
from athena_tuning.recall.layer_lifecycle import LayerLifecycle
from athena_tuning.recall.layer_memory import LayerMemoryMonitor
from athena_tuning.recall.layers.base import Layer
from athena_tuning.recall.layers.named import layer_named
from athena_tuning.recall.memory import ANY_SCOPE, AnyScope, Memory
from athena_tuning.recall.plan import candidates
from athena_tuning.recall.recaller import Recaller
from athena_tuning.recall.registered_layer import EventLoopChoice, register, warn_of_single_calls
from athena_tuning.recall.request import RecallRequest, takes
from athena_tuning.recall.result import RecallResult
from athena_tuning.recall.snapshot import Snapshot
from athena_tuning.store import Store
from athena_tuning.store.text_policy import TextPolicy, text_policy
from athena_tuning.tuning import AutoTuner

LONGEST_TIMEOUT_SECONDS = 3600.0

_DELIVERY_SECONDS = 1.0

INDEX_SIZE_SECONDS = 600.0
"""Between two looks at how large indexes are: all pages of the file are read for one."""
"""Of the time that closing may take, what layer calls that do not end leave for the delivery of metrics."""


class MemoryManager(Worker):
    """A layered memory that measures its recalls and tunes itself.

    All methods may be called from any thread; ``recall`` also where an event loop is running (it blocks that
    loop as any call does), ``arecall`` blocks no loop. Close a manager, or use it in a ``with`` statement:
    it has threads.

    Args:
        memory: the SQLite file of the built-in layers, made if it is missing; ":memory:" is gone after
            ``close``.
        store: where metrics, configs and decisions are shared; it stays open. None: in this process only.
        strategy: what the operator wants most, as long as the store holds no config.
        mode: who steers, as long as the store holds no config.
        layers: the layers to ask in place of the built-in five.
        profiler: measures; None: one with its defaults.
        tuner: decides; None: one with its defaults, over the recalls of all that share the store.
        worker_id: unique name of this manager among those that share the store.
        clock: Unix seconds, for records.
        monotonic: seconds that never jump, for cache lifetimes and breakers.
        event_loop: where coroutine layers run that do not say so themselves, when a recall is awaited: on
            the "caller"'s loop, so that they can use its clients, or on the "manager"'s own, as those of a
            blocking recall do.
        identity: context variables on which layers let their answers depend (a tenant, a user): recalls
            share an answer only if these are equal.
        breaker: when layers that fail are left out, and tried again; None: the defaults.

    Raises:
        ValueError: if ``memory`` cannot be opened as one.

    Examples:
        >>> with MemoryManager(":memory:") as manager:
        ...     _ = manager.remember({"id": "n1", "layer": "episodic", "text": "Ana fixed the login bug"})
        ...     answer = manager.recall("When was the login fixed?")
        >>> answer["episodic"][0]["id"], answer["_layers"]
        ('n1', ['episodic', 'semantic', 'procedural', 'prospective', 'graph'])
    """

    def __init__(
        self,
        memory: Path | str,
        *,
        store: Store | None = None,
        strategy: TuningStrategy = TuningStrategy.BALANCED,
        mode: Mode = Mode.ADVISE,
        layers: Iterable[Layer] | None = None,
        profiler: PerformanceProfiler | None = None,
        tuner: AutoTuner | None = None,
        worker_id: str | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        event_loop: EventLoopChoice = "caller",
        identity: Iterable[ContextVar[Any]] = (),
        breaker: BreakerSettings | None = None,
    ) -> None:
        super().__init__(
            store,
            strategy=strategy,
            mode=mode,
            profiler=profiler,
            tuner=tuner,
            worker_id=worker_id,
            clock=clock,
        )
        self._executor = ParallelLayerExecutor(timeout_seconds=LONGEST_TIMEOUT_SECONDS)
        self._cache: AnswerCache[Snapshot, RecallResult] = AnswerCache(
            clock=monotonic, is_enough=lambda part, k: part.is_enough(candidates(k))
        )
        self._health = HealthMonitor(
            breaker, clock, monotonic, text_policy() if store is None else store.texts
        )
        self._lifecycle = LayerLifecycle(self._executor, self._health)
        self._event_loop = event_loop
        self.memory = Memory(memory)
        self._writes = self.memory.writes()
        self._contributions = ContributionCount(
            self.tuner.contributions, hashed=self.store.texts is not TextPolicy.KEEP
        )
        self._layer_memory = LayerMemoryMonitor(
            self._executor.slots_given_alone, Random(self.worker_id).random, clock
        )
        self._index_bytes: Mapping[str, int] = {}
        self._recaller = Recaller(
            self.worker_id,
            self._executor,
            self._cache,
            self._health,
            self._lifecycle.try_layers,
            self.profiler,
            lambda: self._follower.obeyed,
            clock,
            self._contributions,
            Random(self.worker_id).random,
            identity,
            self._layer_memory,
        )
        for layer in self.memory.layers.values() if layers is None else layers:
            self.register_layer(layer)
        self._begin()

    # Remembering

    def remember(self, item: Item | Mapping[str, Any], *, idempotency_key: str | None = None) -> str:
        """Keep an item, in place of one with the same id in the same scope; return its id.

        Args:
            item: what to keep.
            idempotency_key: see ``remember_many``.

        Raises:
            ValueError: if the item does not fit or is for a layer that the memory does not have.
        """
        kept = item if isinstance(item, Item) else Item.from_dict(item)
        self.check_layer(kept)
        self.remember_many([kept], idempotency_key=idempotency_key)
        return kept.id

    def remember_many(
        self,
        items: Iterable[Item | Mapping[str, Any]],
        progress: Callable[[int], None] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> dict[str, int]:
        """Keep items in their order, 500 in a transaction; return how many by layer.

        Args:
            items: what to keep.
            progress: told how many are kept so far.
            idempotency_key: a second write to the memory's file with this key, also by another process,
                changes nothing and returns the same.

        Raises:
            BadItems: at the end, if items do not fit; it says which and why, and all others are kept.
        """
        try:
            return self.memory.remember(items, progress, idempotency_key)
        finally:
            self._notice_writes()

    def forget(
        self,
        item_id: str,
        scope: str | AnyScope | None = ANY_SCOPE,
        *,
        idempotency_key: str | None = None,
    ) -> bool:
        """Drop an item; False if nobody knew it. For the arguments see ``forget_many``."""
        return self.forget_many([item_id], scope, idempotency_key=idempotency_key) == 1

    def forget_many(
        self,
        item_ids: Iterable[str],
        scope: str | AnyScope | None = ANY_SCOPE,
        *,
        idempotency_key: str | None = None,
    ) -> int:
        """Drop items, 500 in a transaction; return how many were known.

        Args:
            item_ids: their ids.
            scope: theirs; None: they are in none. Without it, an id may be in any scope, but only in one.
            idempotency_key: see ``remember_many``.

        Raises:
            ValueError: if ``scope`` is not given and several have an item of one of the ids.
        """
        try:
            return self.memory.forget_many(item_ids, scope, idempotency_key)
        finally:
            self._notice_writes()

    def check_layer(self, item: Item) -> None:
        """Raise ``ValueError`` if the memory has no layer for this item."""
        self.memory.check_layer(item)

    def item(self, item_id: str, scope: str | AnyScope | None = ANY_SCOPE) -> Item | None:
        """Return an item of the memory; None if nobody knows it. See ``Memory.item``."""
        return self.memory.item(item_id, scope)

    def counts(self) -> dict[str, int]:
        """Return the items of each layer in the memory."""
        return self.memory.counts()

    # Layers

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that recalls can ask."""
        return tuple(self._recaller.layers)

    def register_layer(self, layer: Layer | str) -> None:
        """Let recalls ask a layer, in place of one with the same name, from the next recall on.

        A layer with ``open`` is opened first; if that fails, it is left out and tried again, see
        ``layer_health``.

        Args:
            layer: the layer, or the name of one that an installed package brings (``layer_named``).

        Raises:
            ValueError: if it has no name or no ``search``, says something of itself that makes no sense, or
                layers would wait for each other in a circle,
                or none of that name is installed.
        """
        registered = register(layer_named(layer) if isinstance(layer, str) else layer, self._event_loop)
        self._recaller.check(registered)
        self._lifecycle.add(registered)
        self._recaller.register(registered)
        others = self.tuner.idempotent - {registered.name}
        self.tuner.idempotent = others | {registered.name} if registered.idempotent else others

    def layer_health(self) -> dict[str, LayerHealth]:
        """Return how each layer is: what its breaker lets through, since when, why and what that costs.

        Also what it takes of memory, as far as it is known: see ``TuningConfig.memory_share``.
        """
        ledger = self._executor.ledger
        health = self._health.health(ledger.held, ledger.waiting)
        return {
            name: replace(
                health[name],
                index_bytes=self._index_bytes.get(name) if self._is_built_in(name) else None,
                **self._layer_memory.figures(name)._asdict(),
            )
            for name in self._recaller.layers
        }

    # Recalling

    @takes(RecallRequest)
    def recall(self, request: RecallRequest) -> dict[str, Any]:
        """Ask the layers that the query calls for: ``recall("When did the deploy fail?", k=3)``.

        Args:
            request: given as ``query`` and, in this order or by name, ``context=None``, ``k=5``,
                ``scope=None``, ``use_cache=True``, ``use_parallel=True``, ``layers=None``; see
                ``RecallRequest``.

        Returns:
            ``{layer: items}``, and beside the layers: ``_fused`` (one list over all, best first),
            ``_query_id``, ``_query_type``, ``_layers`` (asked), ``_cache_hit``, ``_partial``, ``_errors``
            (by layer), ``_success`` (False: no layer answered), ``_latency_ms``, ``_layer_ms`` and
            ``_queue_ms`` (service time and wait for a slot, by layer), ``_config_version``; ``_refused``
            (True: there are more recalls than can be served, and no layer was asked for this one) and
            ``_retry_after_s`` (then: the seconds after which it is worth another try; else None).

        Raises:
            ValueError: if an argument makes no sense. A layer's failure never raises.
        """
        self._check_open()
        return self._recaller.recall(request)

    @takes(RecallRequest)
    async def arecall(self, request: RecallRequest) -> dict[str, Any]:
        """Do as ``recall`` does, with the same arguments, without blocking the running loop."""
        self._check_open()
        return await self._recaller.arecall(request)

    def refuse(self, request: RecallRequest, why: str, retry_after_seconds: float) -> dict[str, Any]:
        """Give the answer of a recall that is refused before the manager is asked, and record it.

        Args:
            request: what was asked.
            why: for ``_errors``.
            retry_after_seconds: after which it is worth another try.
        """
        self._check_open()
        return self._recaller.refuse(request, why, retry_after_seconds)

    @property
    def limit(self) -> int:
        """Layer tasks that may hold a slot at once."""
        return self._executor.max_concurrent

    @property
    def in_flight(self) -> int:
        """Layer tasks that hold a slot now."""
        return self._executor.in_flight

    @property
    def waiting(self) -> int:
        """Layer tasks that wait for a slot now."""
        return self._executor.waiting

    @property
    def overloaded_seconds(self) -> float:
        """For how long recalls have been refused because more come than can be served; 0: they are not."""
        return self._executor.overloaded_seconds

    # Reports

    def get_tuning_report(self) -> dict[str, Any]:
        """Return strategy, current config, figures of the window and recommendations."""
        if self._shared is not None:
            self._shared.take_own()
        return self.tuner.get_tuning_report()

    def get_performance_statistics(self) -> dict[str, Any]:
        """Return what the profiler knows of cache, concurrency, queries, layers and hours."""
        return {
            "cache_effectiveness": self.profiler.get_cache_effectiveness(),
            "concurrency_effectiveness": self.profiler.get_concurrency_effectiveness(),
            "slow_queries": self.profiler.get_slow_queries(),
            "trending_queries": self.profiler.get_trending_queries(),
            "layer_dependencies": self.profiler.get_layer_dependency_analysis(),
            "temporal_pattern": self.profiler.get_temporal_pattern(),
        }

    @property
    def cache_losses(self) -> CacheLosses:
        """What expiry, writes and the bound took from the result cache since the start."""
        return self._cache.losses

    def clear_cache(self) -> None:
        """Forget all answers that the cache has, so that whatever is asked next asks layers."""
        self._cache.clear()

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Deliver what is left, end all threads and close the memory. May be called twice.

        Args:
            timeout_seconds: how long it may take. Layer calls that do not end are left behind, and what the
                store does not take is lost: both are logged.
        """
        if self._closed:
            return
        self._closed = True
        now = time.monotonic()
        until = now + timeout_seconds
        for_calls = timeout_seconds - min(timeout_seconds / 2, _DELIVERY_SECONDS)
        if self._lifecycle.has_closing:
            self._executor.stop(for_calls / 2)
            self._lifecycle.close(now + for_calls)
        self._executor.close(max(0.0, now + for_calls - time.monotonic()))
        self._close(until - time.monotonic())
        self.memory.close()

    def renew_after_fork(self) -> None:
        """See ``Worker``."""
        super().renew_after_fork()
        self._recaller.name = self.worker_id

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the manager is closed")
        if self._sleeps:
            self._wake()

    def _tasks(self) -> Sequence[PeriodicTask]:
        return (
            PeriodicTask("memory watch", 0.25, self._notice_writes),
            PeriodicTask("contribution count", 0.25, self._contributions.count),
            PeriodicTask("layer watch", 0.25, self._watch_layers),
            PeriodicTask("layer memory", 1.0, self._layer_memory.count),
        )

    def _more_threads(self) -> Sequence[PeriodicThread]:
        learn = self.tuner.contributions.learn
        tasks = [
            PeriodicTask("question learning", 2.0, learn),
            PeriodicTask("index size", INDEX_SIZE_SECONDS, self._measure_indexes),
        ]
        return (PeriodicThread("question learning", tasks),)

    def _reports(self) -> Sequence[PeriodicTask]:
        health, memory = HealthPost(self.store, self.worker_id), MemoryPost(self.store, self.worker_id)
        return (
            PeriodicTask("layer report", 1.0, lambda: health.post(self.layer_health().values())),
            PeriodicTask("memory report", 1.0, lambda: memory.post(self._layer_memory.hours())),
        )

    def _obey(self, configs: ConfigSet) -> None:
        config = configs.default.config
        self._executor.obey(config, self._membership.limit_share.slots(config))
        if config.hedged_layers:
            warn_of_single_calls(self._recaller.layers, config.hedged_layers)

    def _load(self) -> Load:
        return self._executor.in_flight, self._executor.waiting

    def _recalls(self) -> int:
        return self._recaller.count

    def _measure_indexes(self) -> None:
        self._index_bytes = self.memory.index_bytes()
        own = {name: size for name, size in self._index_bytes.items() if self._is_built_in(name)}
        self._layer_memory.note_indexes(own)

    def _is_built_in(self, name: str) -> bool:
        layer = self._recaller.layers.get(name)
        return layer is not None and layer.layer is self.memory.layers.get(name)

    def _watch_layers(self) -> None:
        """Repair slots, try layers that are down, and note which one blocks an event loop."""
        self._executor.sweep()
        self._lifecycle.try_layers()
        for layer, block in list(self._executor.blocks.items()):
            self._health.note_block(layer, block.where, block.seconds)

    def _notice_writes(self) -> None:
        """End cached answers over layers that were written to, by this process or another one."""
        writes = self.memory.writes()
        self._cache.written(layer for layer, n in writes.items() if n != self._writes.get(layer))
        self._writes = writes
