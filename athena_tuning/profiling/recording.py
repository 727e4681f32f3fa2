"""Recording: a window of recalls that is written to at the cost of an append, and read record by record."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from athena_tuning import fork
from athena_tuning.model import QueryMetrics
from athena_tuning.profiling.columns.column_batch import columns_of
from athena_tuning.profiling.columns.fold import fold, fold_columns
from athena_tuning.profiling.columns.incremental import IncrementalSummaries
from athena_tuning.profiling.columns.recall_columns import RecallColumns
from athena_tuning.profiling.columns.records import page, records_of, rows_from
from athena_tuning.profiling.columns.window import View, Window
from athena_tuning.profiling.measure import Measure, MeasuredQuery
from athena_tuning.profiling.metrics_sequence import MetricsSequence

_CHUNK = 1024  # records folded at once; longer would hold the interpreter too long
_SLACK = 256  # unread records above the window's size before some are dropped

FoundItems = Callable[[str | None], Sequence[Mapping[str, Any]]]
"""Gives what a layer found, the best first; None: what all of them found."""

RecordListener = Callable[[QueryMetrics | MeasuredQuery, FoundItems | None], object]


class WindowRecorder:
    """A sliding window of records; ``PerformanceProfiler`` is one that answers questions, too."""

    def __init__(
        self,
        window_hours: float = 24,
        max_metrics: int = 10_000,
        temporal_bins: int = 24,
        *,
        clock: Callable[[], float] = time.time,
        most_names: int | None = None,
    ) -> None:
        if not window_hours > 0:
            raise ValueError(f"window_hours must be above 0, not {window_hours}")
        if max_metrics < 1:
            raise ValueError(f"max_metrics must be at least 1, not {max_metrics}")
        if temporal_bins < 1 or 96 % temporal_bins:
            raise ValueError(f"temporal_bins must divide a day's 96 quarters of an hour, not {temporal_bins}")
        self.window_hours = window_hours
        self.max_metrics = max_metrics
        self.temporal_bins = temporal_bins
        self._clock = clock
        self.measure = Measure(self.record_query, clock=clock)
        self._pending: deque[QueryMetrics | MeasuredQuery] = deque()
        self._most_pending = max_metrics + _SLACK
        self._lock = threading.Lock()
        self._at_forks = fork.HeldLock(self._lock)
        self._window = Window(max_metrics, window_hours * 3600, most_names)
        self._summaries = IncrementalSummaries()
        self._counters: Counter[str] = Counter(recorded=0)
        self._rated = 0
        self._listeners: tuple[RecordListener, ...] = ()

    def record_query(self, metrics: QueryMetrics | MeasuredQuery, found: FoundItems | None = None) -> None:
        """Take the record of a finished recall, or a measured query that has ended.

        Never raises and never waits; the rules are applied later, by the next ``fold``.

        Args:
            metrics: the record.
            found: what was found, for listeners; records do not hold it.
        """
        for listener in self._listeners:
            try:
                listener(metrics, found)
            except Exception:
                import logging  # whoever only records need not load it

                logging.getLogger(__name__).exception("a listener for records failed")
        pending = self._pending
        pending.append(metrics)
        if len(pending) > self._most_pending:
            self._drop_unread()

    def add_listener(self, listener: RecordListener) -> None:
        """Tell ``listener`` of each record as it is taken: in the thread and the context of whoever asked.

        It is a part of the recall's time, so it notes what is only known there, and leaves work to others.
        """
        self._listeners = (*self._listeners, listener)

    def remove_listener(self, listener: RecordListener) -> None:
        """Tell it no more; one that is not known is let be."""
        self._listeners = tuple(known for known in self._listeners if known != listener)

    def record_feedback(self, query_id: str, score: float) -> QueryMetrics | None:
        """Note how satisfied somebody was with an answer; a later score replaces an earlier one.

        Args:
            query_id: of a recall within the window; of several with one id the newest.
            score: 0 to 1.

        Returns:
            Its record as it is now, or None if the window holds no such recall (any more).

        Raises:
            ValueError: if the score is no number from 0 to 1.
        """
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
            raise ValueError(f"a score is a number from 0 to 1, not {score!r:.80}")
        with self._lock:
            view = self._refresh()
            for block in reversed(view.blocks):
                row = block.find(query_id)
                if row is None:
                    continue
                rows = view.part(block, block.base + row, block.base + row + 1)
                if not len(rows):
                    return None
                block.rate(row, float(score))
                self._rated += 1
                return records_of(rows)[0]
        return None

    def record_columns(self, columns: RecallColumns[Any], texts: Sequence[str]) -> bool:
        """Take finished recalls that are in columns already, as a store gives them: at once, not later.

        Args:
            columns: at least one recall, at most ``max_metrics``.
            texts: the texts that ``columns.text`` gives the places of.

        Returns:
            False if a recall is not as it has to be: then nothing was taken, and ``record_query`` mends or
            rejects record by record.
        """
        with self._lock:
            self._fold()
            now = self._clock()
            taken = fold_columns(self._window, columns, texts, now, self._counters)
            if taken:
                self._settle(now)
            return taken

    def fold(self) -> int:
        """Put what is pending into columns; return how many records were taken."""
        with self._lock:
            return self._fold()

    @property
    def metrics(self) -> MetricsSequence:
        """The records within the window, oldest first, as a sequence that follows the window."""
        return MetricsSequence(self._lock, self._window, self._refresh)

    @property
    def version(self) -> int:
        """A number that grows whenever what is visible changes."""
        with self._lock:
            return 2 * self._refresh().end - self._window.count + self._rated

    @property
    def counters(self) -> Mapping[str, int]:
        """How many were recorded, rejected and made normal (by reason), and dropped unread."""
        with self._lock:
            self._refresh()
            return dict(self._counters)

    def read_since(self, cursor: int = 0, limit: int = 10_000) -> tuple[list[QueryMetrics], int, int]:
        """Return records in the order of their arrival, each once.

        Args:
            cursor: from an earlier call; 0 begins with the oldest record held.
            limit: most records to return.

        Returns:
            The records, the cursor to go on from, and how many between the two cursors left the window (or
            the pending ones) unread.
        """
        with self._lock:
            view = self._refresh()
            start = min(max(cursor, 0), view.end)
            records, position = page(view, start, view.end, max(limit, 0))
            return records, position, position - start - len(records)

    def columns_since(
        self, cursor: int = 0, limit: int = 10_000
    ) -> tuple[list[RecallColumns[str]], int, int]:
        """Return what ``read_since`` returns, its records as columns."""
        with self._lock:
            view = self._refresh()
            start = min(max(cursor, 0), view.end)
            parts, position = rows_from(view, start, view.end, max(limit, 0))
            columns = [columns_of(rows) for rows in parts]
            return columns, position, position - start - sum(part.n for part in columns)

    def _refresh(self) -> View:
        """Fold, let go what is too old, and return what is visible. The lock is held."""
        self._fold()
        return self._window.view

    def _fold(self) -> int:
        now = self._clock()
        if self._window.has_gone_back(now):
            self._settle(now)
        folded, left, size = 0, len(self._pending), min(_CHUNK, self.max_metrics)
        while left > 0:
            left -= self._forget_excess()
            chunk = [self._pending.popleft() for _ in range(min(left, size))]
            left -= len(chunk)
            folded += len(chunk)
            fold(self._window, chunk, now, self._counters)
            self._settle(now)
        if not folded and not self._window.is_settled(now):
            self._settle(now)
        return folded

    def _settle(self, now: float) -> None:
        blocks = self._window.view.blocks
        unused = self._window.settle(now)
        view = self._window.view
        if unused.keys() & {"type", "shape", "source"} or (blocks and view.blocks[:1] != blocks[:1]):
            self._summaries.let_go(view)
        self._window.forget(unused)

    def _drop_unread(self) -> None:
        """Make room among the pending records; nobody waits, who folds right now does it as well."""
        if self._lock.acquire(blocking=False):
            try:
                self._forget_excess()
            finally:
                self._lock.release()
        else:
            self._most_pending = len(self._pending) + _SLACK

    def _forget_excess(self) -> int:
        """Forget the oldest pending records that the window could not hold; return how many.

        The lock is held.
        """
        self._most_pending = self.max_metrics + _SLACK
        if len(self._pending) <= self._most_pending:
            return 0
        too_many = len(self._pending) - self.max_metrics
        for _ in range(too_many):
            self._pending.popleft()
        self._window.skip(too_many)
        self._counters["dropped_unread"] += too_many
        return too_many
