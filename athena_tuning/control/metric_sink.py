"""Brings what the profiler recorded to the store."""

from __future__ import annotations

from collections.abc import Sequence

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import Store, StoredRecords

BATCH = 5000
"""Records in one batch at most."""


class MetricSink:
    """Delivers every record once, in batches, for as long as the profiler still has it.

    The buffer is the profiler's own bounded window: while the store is down nothing piles up here, and what
    the profiler had to let go unread counts as dropped. A batch whose delivery failed is tried again under
    its old sequence, so that a lost answer leads to no double.

    Args:
        profiler: whose records.
        store: where they go.
        worker_id: who measured them.
        begin_at: position in the profiler of the first one to deliver.

    Attributes:
        dropped: records that can no longer be delivered.
    """

    def __init__(
        self, profiler: PerformanceProfiler, store: Store, worker_id: str, begin_at: int = 0
    ) -> None:
        self.dropped = 0
        self._profiler = profiler
        self._store = store
        self._worker_id = worker_id
        self._sequence: int | None = None  # the store says at the first delivery which ones are used
        self._cursor = self._begin_at = begin_at
        self._batch: Sequence[QueryMetrics] = ()
        self._delivered = 0
        self._given_up = False

    def deliver(self) -> None:
        """Bring what is there to the store.

        Raises:
            StoreError: if the store does not take it; call again later.
        """
        while not self._given_up and (self._batch or self._take()):
            if self._sequence is None:
                self._sequence = self._store.next_sequence(self._worker_id)
            self._store.append_metrics(self._worker_id, self._sequence, self._batch)
            self._sequence += 1
            self._delivered += len(self._batch)
            self._batch = ()

    def give_up(self) -> int:
        """Deliver nothing more; return how many records were not delivered, which now count as dropped.

        A batch that is on its way may still arrive.
        """
        self._given_up = True
        counters = self._profiler.counters
        recorded = counters["recorded"] + counters.get("dropped_unread", 0) - self._begin_at
        left = recorded - self._delivered - self.dropped
        self.dropped += left
        return left

    def _take(self) -> bool:
        columns, self._cursor, missed = self._profiler.columns_since(self._cursor, BATCH)
        self.dropped += missed
        self._batch = StoredRecords.of(columns)
        return bool(self._batch)
