"""The control of a system of one's own: it obeys the configs of a store, as a manager does."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from athena_tuning.model import ConfigSet, Decision, Mode, TuningConfig, TuningStrategy, WorkerStatus
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall.delivery import MetricDelivery
from athena_tuning.recall.feedback import FeedbackDesk
from athena_tuning.recall.gathering import Gathering
from athena_tuning.recall.housekeeping import Duty, Housekeeping
from athena_tuning.recall.steering import Steering, first_configs
from athena_tuning.store import Store, open_store
from athena_tuning.tuning import AutoTuner

logger = logging.getLogger(__name__)

Listener = Callable[[TuningConfig], object]


class Control:
    """Attaches a retrieval system that is not our manager: it is measured, advised, and told its configs.

    It is a worker like a manager: its metrics go to the store, it tells which config version it runs, and
    where it has the lease the tuner decides for it. The system obeys by asking ``current_config`` before a
    query, or by what it does in ``on_change``. All methods may be called from any thread. Close it, or use
    it in a ``with`` statement: it has a thread.

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
        profiler: the window.
        measure: measures queries for it, and notes the config version in each.
        store: the store.
        worker_id: the name under which it reports itself.

    Raises:
        StoreError: if the store cannot be opened.

    Example:
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
        self.profiler = PerformanceProfiler(clock=clock) if profiler is None else profiler
        self.measure = self.profiler.measure
        self.worker_id = worker_id or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._owned = not isinstance(store, Store)
        self.store = store if isinstance(store, Store) else open_store(store)
        self._clock = clock
        self._started = clock()
        self._closed = False
        self._listeners: list[tuple[Listener, str | None, TuningConfig]] = []
        self._telling = threading.RLock()
        gathering = Gathering(self.profiler, self.store, self.worker_id, clock)
        tuner = AutoTuner(gathering.window, strategy, clock=clock)
        start = first_configs(strategy, mode)
        self._steering = Steering(self.store, tuner, self.worker_id, gathering, start, lambda _: None, clock)
        self._feedback = FeedbackDesk(self.profiler, tuner.contributions, self.store, clock)
        self._delivery = MetricDelivery(self.profiler, self.store, self.worker_id, int(clock() * 1000))
        duties = [
            Duty("config watch", 0.025, self._watch),
            Duty("fold", 0.25, self.profiler.fold, at_close=True),
            Duty("tuning", 0.25, self._tune),
            Duty("metric delivery", 0.25, self._delivery.deliver, at_close=True),
            Duty("feedback delivery", 0.25, self._feedback.deliver, at_close=True),
            Duty("status report", 1.0, lambda: self.store.report_worker(self.status()), at_close=True),
        ]
        self._housekeeping = Housekeeping([duty for duty in duties if tune or duty.name != "tuning"])
        self._housekeeping.tick(time.monotonic())
        self._housekeeping.start()

    @property
    def configs(self) -> ConfigSet:
        """The configs in force here."""
        return self._steering.configs

    @property
    def latest_decisions(self) -> Mapping[str, Decision]:
        """The tuner's newest decision by scope, if it decides here: in mode ADVISE its proposals."""
        return self._steering.latest_decisions

    @property
    def housekeeping_failures(self) -> Mapping[str, int]:
        """How often each background duty failed so far."""
        return dict(self._housekeeping.failures)

    def current_config(self, query_type: str | None = None) -> TuningConfig:
        """Return the config in force for a type of query; None: for all. It is a look, it never waits."""
        configs = self._steering.configs
        return configs.default.config if query_type is None else configs.for_type(query_type)

    def on_change(self, listener: Listener, query_type: str | None = None) -> Listener:
        """Call ``listener`` with the config in force, now and whenever it has changed.

        Later calls come from the control's own thread, so a listener should be quick. If it fails, that is
        logged, and the system runs on with what it has.

        Args:
            listener: told the config.
            query_type: whose config; None: that for all types.

        Returns:
            The listener, so that this can be a decorator.
        """
        with self._telling:
            config = self.current_config(query_type)
            listener(config)
            self._listeners.append((listener, query_type, config))
        return listener

    def record_feedback(self, query_id: str, score: float) -> bool:
        """Note how good the answer to a measured query was; see ``MemoryManager.record_feedback``.

        Args:
            query_id: the measured query's ``query_id``.
            score: 0 (useless) to 1 (just right).

        Returns:
            False if the query is not in the window.

        Raises:
            ValueError: if the score is no number from 0 to 1.
        """
        return self._feedback.take(query_id, score)

    def status(self) -> WorkerStatus:
        """Return what this control tells the store about its system."""
        counters = self.profiler.counters
        return WorkerStatus(
            self.worker_id,
            socket.gethostname(),
            os.getpid(),
            self._started,
            self._clock(),
            self.configs.head,
            counters.get("recorded", 0),
            self._delivery.dropped,
            sum(n for name, n in counters.items() if name.startswith("rejected")),
        )

    def close(self) -> None:
        """Deliver what is left and end the thread. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._housekeeping.close()
        self._steering.close()
        if self._owned:
            self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _watch(self) -> None:
        self._steering.watch()
        self._tell()

    def _tune(self) -> None:
        self._steering.tune()
        self._tell()

    def _tell(self) -> None:
        """Let the measure and the listeners know what is in force, if it has changed."""
        configs = self._steering.configs
        if configs is self.measure.configs:
            return
        self.measure.configs = configs
        with self._telling:
            told = [(*entry, self.current_config(entry[1])) for entry in self._listeners]
            self._listeners = [(listener, query_type, now) for listener, query_type, _, now in told]
            for listener, _, before, now in told:
                if now != before:
                    try:
                        listener(now)
                    except Exception:
                        logger.exception("a listener for configs failed on %s", now)
