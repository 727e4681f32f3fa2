"""What every system on a store has in common: it is measured, obeys configs, tunes and reports itself."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import uuid
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

from athena_tuning import fork
from athena_tuning.closeable import Closeable
from athena_tuning.control import process_end
from athena_tuning.control.config_follower import first_configs
from athena_tuning.control.limit_shares import Load
from athena_tuning.control.membership import Membership
from athena_tuning.control.periodic import PeriodicTask, PeriodicThread
from athena_tuning.control.shared_window import SharedWindow
from athena_tuning.control.steerable import Steerable
from athena_tuning.model import (
    ConfigSet,
    ConfigVersion,
    Decision,
    Mode,
    Proposal,
    TuningConfig,
    TuningStrategy,
    WorkerStatus,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import MemoryStore, Store
from athena_tuning.tuning import AutoTuner


class Worker(Steerable, Closeable):
    """A system's part in a store: its metrics go there, configs come from there, the tuner decides on both.

    ``MemoryManager`` is one that recalls, ``Control`` one for a system of one's own. A kind of worker sets
    itself up after this and then calls ``_begin``; its ``close`` calls ``_close``. A worker that was made
    before its process forked works in the child too: under a name of its own, from its first use on.

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
        if not isinstance(store, Store | None):
            raise TypeError(
                f"a store is what open_store(URL) gives, or None; this is a {type(store).__name__}"
            )
        self.profiler = PerformanceProfiler(clock=clock) if profiler is None else profiler
        self.store = MemoryStore() if store is None else store
        self.worker_id = worker_id or _new_id()
        self._named = worker_id is not None
        self._shares = store is not None
        self._own_tuner = tuner is None
        self._clock = clock
        self._started = clock()
        self._closed = self._sleeps = False
        self._position = 0  # in the profiler; what is before it was recorded in the process that forked us
        self._recalls_before = 0
        self._start = first_configs(strategy, mode)
        self._join(tuner, self._start)

    def _join(self, tuner: AutoTuner | None, in_force: ConfigSet) -> None:
        """Become a member of the store, with a tuner of our own if there is none."""
        shared = None
        if tuner is None and self._shares:
            shared = SharedWindow(
                self.profiler, self.store, self.worker_id, self._clock, begin_at=self._position
            )
        if tuner is None:
            evidence = shared.profiler if shared else self.profiler
            tuner = AutoTuner(evidence, in_force.default.config.strategy, clock=self._clock)
        self.tuner, self._shared = tuner, shared
        self.tuner.in_force(in_force)
        self._membership = Membership(
            self.worker_id,
            self.store,
            self.profiler,
            tuner,
            shared,
            self._start,
            self._come_into_force,
            self._clock,
            self._load,
            begin_at=self._position,
        )
        self._follower = self._membership.follower
        self._follower.start_with(in_force)

    @property
    def latest_decisions(self) -> Mapping[str, Decision]:
        """The tuner's newest decision by scope, if it decides here; in mode ADVISE its proposals."""
        return self._membership.tuner_loop.latest_decisions

    @property
    def proposals(self) -> Mapping[str, Proposal]:
        """What the tuner that leads would set, by scope, as it told everybody who shares the store.

        Raises:
            StoreError: if the store cannot be read.
        """
        return self.store.proposals()

    @property
    def housekeeping_failures(self) -> Mapping[str, int]:
        """How often each background task failed so far."""
        return self._membership.failures

    def record_feedback(self, query_id: str, score: float) -> bool:
        """Note how good an answer was, so that tuning never trades it away.

        Args:
            query_id: the answer's ``_query_id``, or the ``query_id`` of a query that was measured.
            score: 0 (useless) to 1 (just right); recall@k where the right answer is known. A later score
                of the same answer replaces an earlier one.

        Returns:
            False if no such answer was given here or by another worker of the store: then the score is noted
            nowhere. Of an answer that has left the window by now it is kept in the store alone.

        Raises:
            ValueError: if the score is no number from 0 to 1.
        """
        return self._membership.feedback.record(query_id, score)

    def follow_configs(self) -> None:
        """Obey now what others have put in force; without this it takes until the next look, some 25 ms.

        Raises:
            StoreError: if the store cannot be read; the configs stay.
        """
        self._follower.watch()

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
            self._recalls() - self._recalls_before,
            self._membership.sink.dropped,
            sum(rejected),
        )

    @abstractmethod
    def close(self, timeout_seconds: float = 5.0) -> None:
        """Deliver what is left and end all threads, within the time given. May be called twice."""

    @abstractmethod
    def _obey(self, configs: ConfigSet) -> None:
        """Do what configs ask, now that it is their turn; told at the beginning and at every change.

        It is called with the lock on the configs in force, so it must be quick, and call nobody's code but
        ours: what that may want is done by a task that looks at ``configs``.
        """

    @abstractmethod
    def _recalls(self) -> int:
        """Return how many recalls there were here."""

    def _load(self) -> Load:
        """Return the layer tasks that hold a slot here, and those that wait for one; None: not known."""
        return None

    def slots(self) -> int:
        """Return the layer tasks that may be in flight here: the limit, or this worker's share of it."""
        return self._membership.limit_share.slots(self._follower.obeyed.default.config)

    def _propose(self, at: ConfigVersion) -> TuningConfig:
        proposal = self.proposals.get(at.scope)
        values = proposal.under(self.tuner.strategy, at.config) if proposal and not proposal.missing else None
        if values is not None:
            return values
        if self._shared is not None:
            self._shared.take_own()
        return self.tuner.propose(None if at.scope == "all" else at.scope).after

    def _come_into_force(self, obeyed: ConfigSet) -> None:
        self._obey(obeyed)
        self.tuner.in_force(self._follower.configs)  # what is only tried is not the tuner's

    def _tasks(self) -> Sequence[PeriodicTask]:
        """Return what this kind of worker has to do beside, without the store."""
        return ()

    def _reports(self) -> Sequence[PeriodicTask]:
        """Return what this kind of worker tells the store of itself beside its status."""
        return ()

    def _more_threads(self) -> Sequence[PeriodicThread]:
        """Return what this kind of worker has to run in threads of its own."""
        return ()

    def _begin(self, *, tune: bool = True) -> None:
        """Obey the first configs and start the threads.

        Args:
            tune: whether the tuner may decide here.
        """
        self._tune = tune
        self._obey(self.configs)
        self._take_part()
        process_end.enrol(self)
        fork.register(self)

    def _close(self, timeout_seconds: float) -> bool:
        """Deliver what is left and end the threads; return whether all ended in time."""
        until = time.monotonic() + timeout_seconds
        self._closed = True
        if self._sleeps and self._is_used():
            self._wake()
        self._stop()
        return self._end(until)

    # What the end of the process asks for

    def _stop(self) -> None:
        if not self._sleeps:
            self._membership.stop()
        elif self._is_used():  # at the end of a process no thread can be started any more
            self._membership.deliver_here(self.status)

    def _end(self, until: float) -> bool:
        process_end.dismiss(self)
        if self._sleeps:
            self._first_use.stop()
            return self._first_use.join(until - time.monotonic())
        return self._membership.end(until)

    # What a fork asks for

    def renew_after_fork(self) -> None:
        """Be another worker in a forked child. It joins the store at its first use: many a child has none."""
        process_end.dismiss(self)
        if self._closed:
            return
        self.worker_id = f"{self.worker_id}-{os.getpid()}" if self._named else _new_id()
        self._started = self._clock()
        self._recalls_before = self._recalls()
        self._position = self._recorded()
        contributions, idempotent = self.tuner.contributions, self.tuner.idempotent
        self._join(None if self._own_tuner else self.tuner, self.configs)
        self.tuner.contributions, self.tuner.idempotent = contributions, idempotent
        self._sleeps, self._waking = True, threading.Lock()
        self._first_use = PeriodicThread("first use", [PeriodicTask("first use", 0.05, self._look_for_use)])
        self._first_use.start()
        process_end.enrol(self)

    def _recorded(self) -> int:
        return self.profiler.read_since(sys.maxsize, 0)[1]

    def _is_used(self) -> bool:
        return self._recorded() > self._position

    def _look_for_use(self) -> None:
        if self._is_used():
            self._wake()

    def _wake(self) -> None:
        with self._waking:
            if not self._sleeps:
                return
            self._first_use.stop()
            self._take_part()
            self._sleeps = False

    def _take_part(self) -> None:
        self._membership.begin(self.status, self._tasks(), self._reports(), tune=self._tune)
        for thread in self._more_threads():
            self._membership.start(thread)


def _new_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
