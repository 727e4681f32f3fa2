"""What a manager's tuner decides on: its own recalls, and while it leads those of all workers."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from athena_tuning.control.feedback import FeedbackTail
from athena_tuning.model import QueryMetrics
from athena_tuning.model.source import is_evidence
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import REMOVED, Store

_PAGE = 5_000


class SharedWindow:
    """A window over the recalls of several workers, as long and as old at most as a worker's own.

    A worker's own recalls are taken from its profiler, so they are there at once and also while the store is
    down; those of others come through the store, in which only the worker that leads looks: the newest that
    the window can hold, and later what is new. Samples, imports and simulations are left out, and load that
    ran on a manager of its own: managers are steered by what those that serve have met. So is what ran under
    a config that was only tried.

    Attributes:
        profiler: the window, to decide on.
        tried: config versions that were only tried.

    Args:
        own: the worker's profiler.
        store: where the others' recalls are.
        worker_id: whose recalls there are left out, because they are taken from ``own``.
        clock: Unix seconds.
        begin_at: position in ``own`` of the first recall to take.

    Examples:
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
        self._own = own
        self._store = store
        self._worker_id = worker_id
        self._clock = clock
        self._begin_at = begin_at
        self._removed: dict[str, str] | None = None
        self.tried: frozenset[int] = frozenset()
        self._begin()
        self._taking_own = threading.Lock()
        self._taking_others = threading.Lock()  # held while the store is read; own recalls never wait for it

    def _begin(self) -> None:
        own = self._own
        self.profiler = PerformanceProfiler(
            own.window_hours, own.max_metrics, own.temporal_bins, clock=self._clock
        )
        self._position = self._begin_at
        self._cursor = ""
        self._feedback = FeedbackTail(self._store, self.profiler, self._clock)

    def take_removals(self) -> bool:
        """Begin anew if a load run was taken out of the store; return whether that is so.

        Raises:
            StoreError: if the store cannot be read.
        """
        removed = self._store.posted(REMOVED)
        known, self._removed = self._removed, removed
        if known is None or not any(map(is_evidence, dict(removed.items() - known.items()))):
            return False
        with self._taking_own:  # others are taken by the thread that calls this
            self._begin()
        return True

    def take_own(self, ended_by: float = math.inf) -> None:
        """Take what this worker measured since the last time.

        Args:
            ended_by: leave for later what ended after that (Unix seconds): where tasks of all workers are
                counted together, its own must not be there before the others'.
        """
        with self._taking_own:
            while True:
                records, self._position, _ = self._own.read_since(self._position, _PAGE)
                known = next((i for i, m in enumerate(records) if _ended(m) > ended_by), len(records))
                self._position -= len(records) - known
                records = records[:known]
                for record in records:
                    if (
                        is_evidence(record.source)
                        and record.source not in (self._removed or ())
                        and record.config_version not in self.tried
                    ):
                        self.profiler.record_query(record)
                self.profiler.fold()
                if len(records) < _PAGE:
                    return

    def take_others(self) -> list[QueryMetrics]:
        """Take what other workers have stored since the last time, and how good answers were found to be.

        Returns:
            Records that were scored, its own among them: whoever took a score brought it to the store.

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
                tail.records.record_in(self.profiler, is_evidence, without_versions=self.tried)
                if not tail.records:
                    break
            scored = self._feedback.take()
            for record in scored:
                if record.user_satisfaction is not None:  # where it is the worker's own
                    self._own.record_feedback(record.query_id, record.user_satisfaction)
            return scored


def _ended(record: QueryMetrics) -> float:
    return record.timestamp + (record.latency_ms or 0.0) / 1000
