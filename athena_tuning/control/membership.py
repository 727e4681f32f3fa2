"""A worker's part in a store while its process is this one: what it does there, and in which threads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from athena_tuning.control.clock_watch import ClockWatch
from athena_tuning.control.config_follower import ConfigFollower
from athena_tuning.control.experiment_judge import ExperimentJudge
from athena_tuning.control.feedback import FeedbackRecorder
from athena_tuning.control.isolation import IsolationLog
from athena_tuning.control.lease import RENEW_SECONDS, TuningLease
from athena_tuning.control.limit_share import LOOK_SECONDS, LimitShare
from athena_tuning.control.limit_shares import Load
from athena_tuning.control.metric_sink import MetricSink
from athena_tuning.control.periodic import PeriodicTask, PeriodicThread
from athena_tuning.control.scope_watch import LOOK_SECONDS as SCOPE_LOOK_SECONDS
from athena_tuning.control.scope_watch import ScopeWatch
from athena_tuning.control.shared_window import SharedWindow
from athena_tuning.control.tuner_loop import TunerLoop
from athena_tuning.model import ConfigSet, WorkerStatus
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import Store
from athena_tuning.tuning import AutoTuner

logger = logging.getLogger(__name__)


class Membership:
    """Obeys configs, delivers metrics, leads by lease and reports itself.

    Each thread does what may wait for the same thing: so configs are watched and the lease is renewed while
    the store is slow to take metrics, and the window is kept up while it does not answer at all.

    Args:
        worker_id: the name under which all this is done.
        store: where.
        profiler: what was measured here.
        tuner: decides, where this worker has the lease.
        shared: brings the tuner the evidence of all workers; None: it has its own.
        start: the configs that hold as long as nobody has written any.
        obey: called with the configs whenever others are in force; see ``ConfigFollower``.
        clock: Unix seconds, for records.
        load: returns the layer tasks that hold and want slots here; None where that is not known.
        begin_at: position in the profiler from which on records are to be delivered.

    Attributes:
        limit_share: the slots that this worker may use.
    """

    def __init__(
        self,
        worker_id: str,
        store: Store,
        profiler: PerformanceProfiler,
        tuner: AutoTuner,
        shared: SharedWindow | None,
        start: ConfigSet,
        obey: Callable[[ConfigSet], None],
        clock: Callable[[], float],
        load: Callable[[], Load],
        *,
        begin_at: int = 0,
    ) -> None:
        self.follower = ConfigFollower(store, start, obey, clock)
        self.lease = TuningLease(store, worker_id)
        self.tuner_loop = TunerLoop(
            tuner, self.lease, self.follower, shared, store, clock, worker_id=worker_id
        )
        self.feedback = FeedbackRecorder(profiler, tuner.contributions, store, clock, worker_id)
        self.experiment_judge = ExperimentJudge(store, self.lease, self.follower, clock)
        self.sink = MetricSink(profiler, store, worker_id, begin_at)
        self.clock_watch = ClockWatch(store, clock)
        self.isolation_log = IsolationLog(
            store, self.lease, lambda: self.follower.configs.default.config, clock
        )
        self.limit_share = LimitShare(
            store, worker_id, lambda: self.follower.obeyed.default.config, load, self.follower.obey_again
        )
        self.scope_watch = ScopeWatch(
            store, self.lease, tuner, lambda: self.follower.configs.default.config, clock
        )
        self._worker_id = worker_id
        self._store = store
        self._profiler = profiler
        self._threads: list[PeriodicThread] = []

    @property
    def failures(self) -> Mapping[str, int]:
        """How often each task failed so far."""
        return {task: n for thread in self._threads for task, n in thread.failures.items()}

    def begin(
        self,
        status: Callable[[], WorkerStatus],
        own_tasks: Sequence[PeriodicTask],
        own_reports: Sequence[PeriodicTask],
        *,
        tune: bool,
    ) -> None:
        """Obey the configs that the store has and start the threads.

        Args:
            status: what to report.
            own_tasks: what the kind of worker has to do beside; they may not use the store.
            own_reports: what it tells the store of itself beside its status.
            tune: whether the tuner may decide here.
        """
        lease, sink, feedback, loop = self.lease, self.sink, self.feedback, self.tuner_loop
        report = self._reporting(status)
        exchange = [
            PeriodicTask("metric delivery", 0.25, sink.deliver, sink.deliver),
            PeriodicTask("feedback delivery", 0.25, feedback.deliver, feedback.deliver),
        ]
        presence = [
            PeriodicTask("clock watch", 1.0, self.clock_watch.look),
            PeriodicTask("status report", 1.0, report, report),
            *own_reports,
        ]
        if tune:
            exchange.append(PeriodicTask("limit scope", SCOPE_LOOK_SECONDS, self.scope_watch.look))
            exchange.append(PeriodicTask("experiment", 0.25, self.experiment_judge.look))
            exchange.append(PeriodicTask("tuning", 0.25, loop.step))
            exchange.append(PeriodicTask("decision delivery", 0.25, loop.record, loop.record))
            exchange.append(PeriodicTask("proposals", 1.0, loop.publish))
            exchange.append(PeriodicTask("isolation log", 1.0, self.isolation_log.look))
            presence.insert(0, PeriodicTask("lease renewal", RENEW_SECONDS, lease.renew, lease.release))
        watch = PeriodicThread("config watch", [PeriodicTask("config watch", 0.025, self.follower.watch)])
        share = self.limit_share
        shares = PeriodicThread(
            "limit share", [PeriodicTask("limit share", LOOK_SECONDS, share.look, share.end)]
        )
        self._exchange = PeriodicThread("store exchange", exchange)
        self._presence = PeriodicThread("presence", presence)
        for thread in (watch, self._presence, shares):
            thread.tick(time.monotonic())
        self.start(watch)
        self.start(shares)
        turns = PeriodicTask("experiment turns", 0.05, self.follower.take_turns)
        fold = PeriodicTask("fold", 0.25, self._profiler.fold)
        self.start(PeriodicThread("upkeep", [turns, fold, *own_tasks]))
        self.start(self._exchange)
        self.start(self._presence)

    def deliver_here(self, status: Callable[[], WorkerStatus]) -> None:
        """Deliver what there is in the calling thread; what fails is logged."""
        for deliver in (self.sink.deliver, self.feedback.deliver, self._reporting(status)):
            try:
                deliver()
            except Exception as exc:
                logger.warning("%s could not deliver all at its end: %s", self._worker_id, exc, exc_info=True)

    def _reporting(self, status: Callable[[], WorkerStatus]) -> Callable[[], None]:
        return lambda: self._store.report_worker(status())

    def start(self, thread: PeriodicThread) -> None:
        """Start a thread that ends with the others."""
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Let the threads deliver what is left and end; this does not wait for them."""
        for thread in self._threads:
            if thread is not self._presence:
                thread.stop()

    def end(self, until: float) -> bool:
        """Wait for the threads, at most until then; return whether all have ended.

        They do the last things themselves, so that nobody is kept here by a store that does not answer.
        What was not delivered in time is counted and logged.

        Args:
            until: monotonic seconds.
        """
        self._exchange.join(until - time.monotonic())
        records, scores = self.sink.give_up(), self.feedback.waiting
        if records or scores:
            logger.warning(
                "%s was closed before the store took its last %d records and %d scores: they are lost",
                self._worker_id,
                records,
                scores,
            )
        self._presence.stop()  # last, because its report tells of the losses
        return all(thread.join(until - time.monotonic()) for thread in self._threads)
