"""What people thought of answers: to the record it is about, to the tuner, to the store."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from athena_tuning.model import Feedback
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import Store
from athena_tuning.tuning import Contributions

WAITING = 10_000


class FeedbackDesk:
    """Takes scores of answers.

    Args:
        profiler: holds the records that scores are about.
        contributions: told which layers a scored answer was made of.
        store: lets others see the scores; while it is down the newest ``WAITING`` wait.
        clock: Unix seconds.
    """

    def __init__(
        self,
        profiler: PerformanceProfiler,
        contributions: Contributions,
        store: Store,
        clock: Callable[[], float],
    ) -> None:
        self._profiler = profiler
        self._contributions = contributions
        self._store = store
        self._clock = clock
        self._waiting: deque[Feedback] = deque(maxlen=WAITING)

    def take(self, query_id: str, score: float) -> bool:
        """Note a score; False if no recall in the window has the id: then nothing is noted anywhere.

        Raises:
            ValueError: if the score is no number from 0 to 1.
        """
        record = self._profiler.record_feedback(query_id, score)
        if record is None:
            return False
        if record.layers_queried:
            self._contributions.rate(record.query_type, record.layers_queried, score, record.timestamp)
        self._waiting.append(Feedback(query_id, float(score), self._clock()))
        return True

    def deliver(self) -> None:
        """Bring what waits to the store.

        Raises:
            StoreError: if the store does not take it; call again later.
        """
        batch = list(self._waiting)
        if batch:
            self._store.append_feedback(batch)
        for given in batch:
            if self._waiting and self._waiting[0] is given:  # else it made room meanwhile
                self._waiting.popleft()
