"""What every system on a store has in common: it is measured, obeys configs, tunes and reports itself."""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from abc import abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from athena_tuning.control import process_end
from athena_tuning.control.clock_watch import ClockWatch
from athena_tuning.control.config_follower import ConfigFollower, first_configs
from athena_tuning.control.feedback import FeedbackRecorder
from athena_tuning.control.lease import RENEW_SECONDS, TuningLease
from athena_tuning.control.metric_sink import MetricSink
from athena_tuning.control.periodic import PeriodicTask, PeriodicThread
from athena_tuning.control.shared_window import SharedWindow
from athena_tuning.control.steerable import Steerable
from athena_tuning.control.tuner_loop import TunerLoop
from athena_tuning.model import (
    ConfigSet,
    ConfigVersion,
    Decision,
    Mode,
    TuningConfig,
    TuningStrategy,
    WorkerStatus,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import MemoryStore, Store
from athena_tuning.tuning import AutoTuner

logger = logging.getLogger(__name__)


class Worker(Steerable):
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
        self._shared = None
        if tuner is None and store is not None:
            self._shared = SharedWindow(self.profiler, store, self.worker_id, clock)
        evidence = self._shared.profiler if self._shared else self.profiler
        self.tuner = AutoTuner(evidence, strategy, clock=clock) if tuner is None else tuner
        self._clock = clock
        self._started = clock()
        self._closed = False
        start = first_configs(strategy, mode)
        self.tuner.in_force(start)
        self._follower = ConfigFollower(self.store, start, self._come_into_force, clock)
        self._lease = TuningLease(self.store, self.worker_id)
        self._tuner_loop = TunerLoop(self.tuner, self._lease, self._follower, self._shared, self.store, clock)
        self._feedback = FeedbackRecorder(self.profiler, self.tuner.contributions, self.store, clock)
        self._sink = MetricSink(self.profiler, self.store, self.worker_id)
        self._clock_watch = ClockWatch(self.store, clock)
        self._threads: list[PeriodicThread] = []

    @property
    def latest_decisions(self) -> Mapping[str, Decision]:
        """The tuner's newest decision by scope, if it decides here; in mode ADVISE its proposals."""
        return self._tuner_loop.latest_decisions

    @property
    def housekeeping_failures(self) -> Mapping[str, int]:
        """How often each background task failed so far."""
        return {task: n for thread in self._threads for task, n in thread.failures.items()}

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
        return self._feedback.record(query_id, score)

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
            self._sink.dropped,
            sum(rejected),
        )

    @abstractmethod
    def close(self, timeout_seconds: float = 5.0) -> None:
        """Deliver what is left and end all threads, within the time given. May be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _obey(self, configs: ConfigSet) -> None:
        """Do what configs ask, now that they are in force; told at the beginning and at every change.

        It is called with the lock on the configs in force, so it must be quick, and call nobody's code but
        ours: what that may want is done by a task that looks at ``configs``.
        """

    @abstractmethod
    def _recalls(self) -> int:
        """Return how many recalls there were here."""

    def _propose(self, at: ConfigVersion) -> TuningConfig:
        if self._shared is not None:
            self._shared.take_own()
        return self.tuner.propose(None if at.scope == "all" else at.scope).after

    def _come_into_force(self, configs: ConfigSet) -> None:
        self._obey(configs)
        self.tuner.in_force(configs)

    def _begin(self, *own_tasks: PeriodicTask, tune: bool = True) -> None:
        """Obey the first configs and start the threads.

        Each thread does what may wait for the same thing: so configs are watched and the lease is renewed
        while the store is slow to take metrics, and the window is kept up while it does not answer at all.

        Args:
            own_tasks: what this kind of worker has to do beside; they may not use the store.
            tune: whether the tuner may decide here.
        """
        self._obey(self.configs)
        lease, sink, feedback, loop = self._lease, self._sink, self._feedback, self._tuner_loop
        watch = PeriodicThread("config watch", [PeriodicTask("config watch", 0.025, self._follower.watch)])
        upkeep = PeriodicThread("upkeep", [PeriodicTask("fold", 0.25, self.profiler.fold), *own_tasks])
        exchange = [
            PeriodicTask("metric delivery", 0.25, sink.deliver, sink.deliver),
            PeriodicTask("feedback delivery", 0.25, feedback.deliver, feedback.deliver),
        ]
        presence = [
            PeriodicTask("clock watch", 1.0, self._clock_watch.look),
            PeriodicTask("status report", 1.0, self._report, self._report),
        ]
        if tune:
            exchange.append(PeriodicTask("tuning", 0.25, loop.step))
            exchange.append(PeriodicTask("decision delivery", 0.25, loop.record, loop.record))
            presence.insert(0, PeriodicTask("lease renewal", RENEW_SECONDS, lease.renew, lease.release))
        self._exchange = PeriodicThread("store exchange", exchange)
        self._presence = PeriodicThread("presence", presence)
        for thread in (watch, self._presence):
            thread.tick(time.monotonic())
        for thread in (watch, upkeep, self._exchange, self._presence):
            self._start(thread)
        process_end.enrol(self)

    def _start(self, thread: PeriodicThread) -> None:
        self._threads.append(thread)
        thread.start()

    def _report(self) -> None:
        self.store.report_worker(self.status())

    def _stop(self) -> None:
        """Let the threads deliver what is left and end; this does not wait for them."""
        for thread in self._threads:
            if thread is not self._presence:
                thread.stop()

    def _end(self, until: float) -> bool:
        """Wait for the threads, at most until then; return whether all have ended.

        They do the last things themselves, so that nobody is kept here by a store that does not answer.
        What was not delivered in time is counted and logged.

        Args:
            until: monotonic seconds.
        """
        process_end.dismiss(self)
        self._exchange.join(until - time.monotonic())
        records, scores = self._sink.give_up(), self._feedback.waiting
        if records or scores:
            logger.warning(
                "%s was closed before the store took its last %d records and %d scores: they are lost",
                self.worker_id,
                records,
                scores,
            )
        self._presence.stop()  # last, because its report tells of the losses
        return all(thread.join(until - time.monotonic()) for thread in self._threads)
