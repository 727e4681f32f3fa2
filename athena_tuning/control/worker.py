"""What every system on a store has in common: it is measured, obeys configs, tunes and reports itself."""

from __future__ import annotations

import os
import socket
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from athena_tuning.control.feedback import FeedbackDesk
from athena_tuning.control.metric_sink import MetricDelivery
from athena_tuning.control.periodic import Duty, Housekeeping
from athena_tuning.control.shared_window import Gathering
from athena_tuning.control.steering import Steering, first_configs
from athena_tuning.model import ConfigSet, Decision, Mode, TuningStrategy, WorkerStatus
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import MemoryStore, Store
from athena_tuning.tuning import AutoTuner


class Worker(ABC):
    """A system's part in a store: its metrics go there, configs come from there, the tuner decides on both.

    ``MemoryManager`` is one that recalls, ``Control`` one for a system of one's own. A kind of worker sets
    itself up after this and then calls ``_begin``; its ``close`` calls ``_end``.

    Args:
        store: where metrics, configs and decisions are shared; it stays open. None: in this process only.
        strategy: what the operator wants most, as long as the store holds no config.
        mode: who steers, as long as the store holds no config.
        profiler: measures; None: one with its defaults.
        tuner: decides; None: one with its defaults, over the recalls of all that share the store.
        worker_id: unique name among those that share the store; None: one is made.
        clock: Unix seconds, for records.

    Attributes:
        profiler: the window over what was measured here.
        tuner: decides here, if this worker has the lease.
        store: the store.
        worker_id: the name under which it reports itself.
    """

    def __init__(
        self,
        store: Store | None,
        *,
        strategy: TuningStrategy,
        mode: Mode,
        profiler: PerformanceProfiler | None,
        tuner: AutoTuner | None,
        worker_id: str | None,
        clock: Callable[[], float],
    ) -> None:
        self.profiler = PerformanceProfiler(clock=clock) if profiler is None else profiler
        self.store = MemoryStore() if store is None else store
        self.worker_id = worker_id or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._gathering = None
        if tuner is None and store is not None:
            self._gathering = Gathering(self.profiler, store, self.worker_id, clock)
        evidence = self._gathering.window if self._gathering else self.profiler
        self.tuner = AutoTuner(evidence, strategy, clock=clock) if tuner is None else tuner
        self._clock = clock
        self._started = clock()
        self._closed = False
        self._steering = Steering(
            self.store,
            self.tuner,
            self.worker_id,
            self._gathering,
            first_configs(strategy, mode),
            self._obey,
            clock,
        )
        self._feedback = FeedbackDesk(self.profiler, self.tuner.contributions, self.store, clock)
        self._delivery = MetricDelivery(self.profiler, self.store, self.worker_id, int(clock() * 1000))

    @property
    def configs(self) -> ConfigSet:
        """The configs in force here."""
        return self._steering.configs

    @property
    def latest_decisions(self) -> Mapping[str, Decision]:
        """The tuner's newest decision by scope, if it decides here; in mode ADVISE its proposals."""
        return self._steering.latest_decisions

    @property
    def housekeeping_failures(self) -> Mapping[str, int]:
        """How often each background duty failed so far."""
        return dict(self._housekeeping.failures)

    def record_feedback(self, query_id: str, score: float) -> bool:
        """Note how good an answer was, so that tuning never trades it away.

        Args:
            query_id: the answer's ``_query_id``, or the ``query_id`` of a query that was measured.
            score: 0 (useless) to 1 (just right); recall@k where the right answer is known. A later score
                of the same answer replaces an earlier one.

        Returns:
            False if no such answer was given here, or so long ago that its record has left the window: then
            the score is noted nowhere.

        Raises:
            ValueError: if the score is no number from 0 to 1.
        """
        return self._feedback.take(query_id, score)

    def status(self) -> WorkerStatus:
        """Return what this worker tells the store about itself."""
        rejected = (n for name, n in self.profiler.counters.items() if name.startswith("rejected"))
        return WorkerStatus(
            self.worker_id,
            socket.gethostname(),
            os.getpid(),
            self._started,
            self._clock(),
            self.configs.head,
            self._recalls(),
            self._delivery.dropped,
            sum(rejected),
        )

    @abstractmethod
    def close(self) -> None:
        """Deliver what is left and end all threads. May be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _obey(self, configs: ConfigSet) -> None:
        """Do what configs ask, now that they are in force; told at the beginning and at every change."""

    @abstractmethod
    def _recalls(self) -> int:
        """Return how many recalls there were here."""

    def _begin(self, *duties: Duty, tune: bool = True) -> None:
        """Obey the first configs and start the thread, for this worker's own ``duties`` too."""
        self._obey(self.configs)
        tuning = [Duty("tuning", 0.25, self._steering.tune)] if tune else []
        self._housekeeping = Housekeeping(
            [
                Duty("config watch", 0.025, self._steering.watch),
                Duty("fold", 0.25, self.profiler.fold, at_close=True),
                *duties,
                *tuning,
                Duty("metric delivery", 0.25, self._delivery.deliver, at_close=True),
                Duty("feedback delivery", 0.25, self._feedback.deliver, at_close=True),
                Duty("status report", 1.0, lambda: self.store.report_worker(self.status()), at_close=True),
            ]
        )
        self._housekeeping.tick(time.monotonic())
        self._housekeeping.start()

    def _end(self) -> None:
        """Deliver what is left, end the thread and let another worker tune."""
        self._housekeeping.close()
        self._steering.close()
