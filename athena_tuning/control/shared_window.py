"""What a manager's tuner decides on: its own recalls, and while it leads those of all workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from athena_tuning.control.feedback import FeedbackTail
from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import Store

_PAGE = 5_000


class SharedWindow:
    """A window over the recalls of several workers, as long and as old at most as a worker's own.

    A worker's own recalls are taken from its profiler, so they are there at once and also while the store is
    down; those of others come through the store, in which only the worker that leads looks: the newest that
    the window can hold, and later what is new. Samples, imports and simulations are left out: a manager is
    steered by what its own traffic met.

    Attributes:
        profiler: the window, to decide on.

    Args:
        own: the worker's profiler.
        store: where the others' recalls are.
        worker_id: whose recalls there are left out, because they are taken from ``own``.
        clock: Unix seconds.
        begin_at: position in ``own`` of the first recall to take.

    Example:
        >>> from athena_tuning.store import MemoryStore
        >>> shared = SharedWindow(PerformanceProfiler(), MemoryStore(), "w1")
        >>> shared.take_others()
        []
        >>> len(shared.profiler.metrics)
        0
    """

    def __init__(
        self,
        own: PerformanceProfiler,
        store: Store,
        worker_id: str,
        clock: Callable[[], float] = time.time,
        *,
        begin_at: int = 0,
    ) -> None:
        self.profiler = PerformanceProfiler(own.window_hours, own.max_metrics, own.temporal_bins, clock=clock)
        self._own = own
        self._store = store
        self._worker_id = worker_id
        self._clock = clock
        self._position = begin_at
        self._cursor = ""
        self._feedback = FeedbackTail(store, self.profiler, clock)
        self._taking_own = threading.Lock()
        self._taking_others = threading.Lock()  # held while the store is read; own recalls never wait for it

    def take_own(self) -> None:
        """Take what this worker measured since the last time."""
        with self._taking_own:
            while True:
                records, self._position, _ = self._own.read_since(self._position, _PAGE)
                for record in records:
                    if record.source == "live":
                        self.profiler.record_query(record)
                self.profiler.fold()
                if len(records) < _PAGE:
                    return

    def take_others(self) -> list[QueryMetrics]:
        """Take what other workers have stored since the last time, and how good answers were found to be.

        Returns:
            Records of others that were scored; of its own the worker knows already.

        Raises:
            StoreError: if the store cannot be read; what it holds is taken later.
        """
        with self._taking_others:
            while True:
                tail = self._store.tail_metrics(
                    self._cursor,
                    since=self._clock() - self.profiler.window_hours * 3600,
                    limit=_PAGE,
                    newest=self.profiler.max_metrics,
                    without=self._worker_id,
                )
                self._cursor = tail.cursor
                tail.records.record_in(self.profiler, "live")
                if not tail.records:
                    break
            return [m for m in self._feedback.take() if not self._is_own(m)]

    def _is_own(self, scored: QueryMetrics) -> bool:
        """Whether the worker's own window holds a record; its score there is set to the same."""
        score = scored.user_satisfaction
        return score is not None and self._own.record_feedback(scored.query_id, score) is not None
