"""What people thought of answers: to the record it is about, to the tuner, to the store."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from athena_tuning.model import Feedback, QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import Store, StoreError
from athena_tuning.tuning import Contributions

MAX_WAITING = 10_000

OVERLAP_SECONDS = 60.0
"""Feedback of so long is read again: a record may come after its score, and clocks differ."""


class FeedbackRecorder:
    """Records scores of answers.

    Args:
        profiler: holds the records that scores are about.
        contributions: told which layers a scored answer was made of.
        store: lets others see the scores; while it is down the newest ``MAX_WAITING`` wait.
        clock: Unix seconds.
        worker_id: whose recalls the profiler holds.
    """

    def __init__(
        self,
        profiler: PerformanceProfiler,
        contributions: Contributions,
        store: Store,
        clock: Callable[[], float],
        worker_id: str,
    ) -> None:
        self._worker_id = worker_id
        self._profiler = profiler
        self._contributions = contributions
        self._store = store
        self._clock = clock
        self._waiting: deque[Feedback] = deque(maxlen=MAX_WAITING)

    @property
    def waiting(self) -> int:
        """Scores that the store does not have yet."""
        return len(self._waiting)

    def record(self, query_id: str, score: float) -> bool:
        """Note a score; of a recall of another worker, or one that has left the window, in the store alone.

        Returns:
            False if the id is of no recall here and of no other worker: then nothing is noted.

        Raises:
            ValueError: if the score is no number from 0 to 1.
        """
        record = self._profiler.record_feedback(query_id, score)
        if record is not None:
            self._contributions.rate_record(record)
        elif not (self._was_here(query_id) or self._is_anothers(query_id)):
            return False
        self._waiting.append(Feedback(query_id, float(score), self._clock()))
        return True

    def _was_here(self, query_id: str) -> bool:
        """Whether this worker has given an id: it numbers them."""
        owner, _, number = query_id.rpartition("-")
        known = owner == self._worker_id and number.isdecimal()
        return known and 0 < int(number[:18]) <= self._profiler.counters.get("recorded", 0)

    def _is_anothers(self, query_id: str) -> bool:
        """Whether an id begins with another worker of the store, also if that cannot be asked now."""
        owner, _, number = query_id.rpartition("-")
        if not number.isdecimal() or owner in ("", self._worker_id):
            return False
        try:
            return any(worker.worker_id == owner for worker in self._store.workers())
        except StoreError:
            return True

    def deliver(self) -> None:
        """Bring what waits to the store.

        Raises:
            StoreError: if the store does not take it; call again later.
        """
        batch = list(self._waiting)
        if batch:
            self._store.append_feedback(batch)
        for feedback in batch:
            if self._waiting and self._waiting[0] is feedback:  # else it made room meanwhile
                self._waiting.popleft()


class FeedbackTail:
    """Follows the scores in a store into a window that holds records of several workers.

    Args:
        store: where workers leave scores.
        window: the records that they are about; a score of a record that it does not hold is let go.
        clock: Unix seconds.
    """

    def __init__(
        self, store: Store, window: PerformanceProfiler, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._window = window
        self._clock = clock
        self._since = 0.0
        self._taken: dict[str, float] = {}  # of the feedback that is read again

    def take(self) -> list[QueryMetrics]:
        """Note what is new in the window; return the records that were scored.

        Raises:
            StoreError: if the store cannot be read; call again later.
        """
        now = self._clock()
        given = self._store.feedback(since=min(self._since, now - OVERLAP_SECONDS))  # a clock may step back
        scored = []
        for query_id, score in ((feedback.query_id, feedback.score) for feedback in given):
            if self._taken.get(query_id) == score:
                continue
            record = self._window.record_feedback(query_id, score)
            if record is not None:
                self._taken[query_id] = score
                scored.append(record)
        if given:
            newest = min(given[-1].time, now)  # a writer whose clock is ahead must not hide the others
            self._since = newest - OVERLAP_SECONDS
            self._taken = {f.query_id: self._taken[f.query_id] for f in given if f.query_id in self._taken}
        return scored
