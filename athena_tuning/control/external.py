"""The control of a system of one's own: it obeys the configs of a store, as a manager does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from athena_tuning.control.periodic import PeriodicTask, PeriodicThread
from athena_tuning.control.used_results import note_used
from athena_tuning.control.worker import Worker
from athena_tuning.model import ConfigSet, LimitScope, Mode, QueryMetrics, TuningConfig, TuningStrategy
from athena_tuning.profiling import FoundItems, PerformanceProfiler
from athena_tuning.profiling.measure import MeasuredQuery
from athena_tuning.store import Store, open_store

logger = logging.getLogger(__name__)

Listener = Callable[[TuningConfig], object]


@dataclass(slots=True)
class _Listening:
    """Who is told whose config, and what was said last."""

    listener: Listener
    query_type: str | None
    config_told: TuningConfig


class Control(Worker):
    """Attaches a retrieval system that is not our manager: it is measured, advised, and told its configs.

    It is a worker like a manager: its metrics go to the store, it tells which config version it runs, and
    where it has the lease the tuner decides for it. The system obeys by asking ``current_config`` before a
    query, or by what it does in ``on_change``. All methods may be called from any thread. Close it, or use
    it in a ``with`` statement: it has threads.

    Args:
        store: where metrics, configs and decisions are shared: a store, which stays open, or its URL (None:
            the default).
        profiler: measures; None: one with its defaults.
        tune: whether the tuner may decide here; else somebody else on the store has to.
        strategy: what the operator wants most, as long as the store holds no config.
        mode: who steers, as long as the store holds no config.
        worker_id: unique name of this system among those that share the store.
        clock: Unix seconds, for records.

    Attributes:
        measure: measures queries for the profiler, and notes the config version in each.

    Raises:
        StoreError: if the store cannot be opened.

    Examples:
        >>> with Control("memory://") as control:
        ...     with control.measure("last deploy?", "temporal") as query:
        ...         with query.layer("semantic"):
        ...             limit = control.current_config("temporal").max_concurrent
        >>> limit, control.profiler.metrics[0].layers_queried
        (5, ['semantic'])
    """

    def __init__(
        self,
        store: Store | str | None = None,
        *,
        profiler: PerformanceProfiler | None = None,
        tune: bool = True,
        strategy: TuningStrategy = TuningStrategy.BALANCED,
        mode: Mode = Mode.ADVISE,
        worker_id: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._owned = not isinstance(store, Store)
        super().__init__(
            store if isinstance(store, Store) else open_store(store),
            strategy=strategy,
            mode=mode,
            profiler=profiler,
            tuner=None,
            worker_id=worker_id,
            clock=clock,
        )
        self.measure = self.profiler.measure
        self._adding = threading.Lock()
        self._listeners: list[_Listening] = []
        self.profiler.add_listener(self._note_used)
        self._begin(tune=tune)

    def current_config(self, query_type: str | None = None) -> TuningConfig:
        """Return the config in force for a type of query; None: for all. It is a look, it never waits.

        Where managers share one limit (``limit_scope`` is "fleet"), ``max_concurrent`` is the share of it
        that this system may use; a system that does not say what it wants gets an equal one.
        """
        configs = self._follower.obeyed
        config = configs.default.config if query_type is None else configs.for_type(query_type)
        if configs.default.config.limit_scope is LimitScope.MANAGER:
            return config
        return replace(config, max_concurrent=self.slots())

    def on_change(self, listener: Listener, query_type: str | None = None) -> Listener:
        """Call ``listener`` with the config in force, now and whenever it has changed.

        Later calls come from a thread of the control's own, one at a time and the newest config last. A
        listener may take its time, and may apply a config itself. If it fails, that is logged, and the
        system runs on with what it has.

        Args:
            listener: told the config.
            query_type: whose config; None: that for all types.

        Returns:
            The listener, so that this can be a decorator.
        """
        config = self.current_config(query_type)
        listener(config)
        with self._adding:
            self._listeners.append(_Listening(listener, query_type, config))
            if len(self._listeners) == 1:
                self._membership.start(self._telling())
        return listener

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Deliver what is left and end the threads, within the time given. May be called twice."""
        if self._closed:
            return
        self.profiler.remove_listener(self._note_used)
        if self._close(timeout_seconds) and self._owned:  # else a thread is still waiting for it
            self.store.close()

    def _recalls(self) -> int:
        return self.profiler.counters.get("recorded", 0)

    def _more_threads(self) -> Sequence[PeriodicThread]:
        return [self._telling()] if self._listeners else []

    def _telling(self) -> PeriodicThread:
        return PeriodicThread("listeners", [PeriodicTask("listeners", 0.025, self._tell)])

    def renew_after_fork(self) -> None:
        """See ``Worker``."""
        self._adding = threading.Lock()
        super().renew_after_fork()

    def _obey(self, configs: ConfigSet) -> None:
        self.measure.configs = configs

    def _note_used(self, query: QueryMetrics | MeasuredQuery, found: FoundItems | None) -> None:
        if isinstance(query, MeasuredQuery) and query.uses is not None:
            note_used(self.tuner.contributions, query, self.current_config(query.query_type))

    def _tell(self) -> None:
        for listening in list(self._listeners):
            config = self.current_config(listening.query_type)
            if config == listening.config_told:
                continue
            listening.config_told = config
            try:
                listening.listener(config)
            except Exception:
                logger.exception("a listener for configs failed on %s", config)
