"""The dashboard's own window: follows the store's metrics into a profiler, whoever measured them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from athena_tuning.control.feedback import FeedbackTail
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import Store, StoreError

logger = logging.getLogger(__name__)

HOURS = 7 * 24
MOST_RECORDS = 300_000
_BATCH = 20_000


class Tail:
    """Follows a store.

    Attributes:
        profiler: the window.
        live: the newest of it that managers measured; no samples, imports and simulations.
        problem: what keeps it from following; None if nothing does.
        caught_up: whether it has once read all that there was.
        looked_at: Unix seconds of the last good look.
        taken: records taken so far.

    A store that fails is tried again at the next turn; meanwhile ``problem`` says what is wrong and the
    window keeps what it has.

    Args:
        store: what to follow.
        hours: how far back to look.
        most_records: how many records to keep at most, the newest.
        every_seconds: between two looks.
        clock: Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        *,
        hours: float = HOURS,
        most_records: int = MOST_RECORDS,
        every_seconds: float = 0.5,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.profiler = PerformanceProfiler(window_hours=hours, max_metrics=most_records, clock=clock)
        self.live = PerformanceProfiler(clock=clock)
        self.problem: str | None = None
        self.caught_up = False
        self.looked_at = 0.0
        self.taken = 0
        self._store = store
        self._since = hours * 3600
        self._every = every_seconds
        self._clock = clock
        self._cursor = ""
        self._feedback = FeedbackTail(store, self.profiler, clock)
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow, in a thread of its own."""
        self._thread = threading.Thread(target=self._serve, name="dashboard tail", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def look(self) -> int:
        """Take what is new and return how many records that was."""
        before = self.taken
        with self._turn:
            try:
                while not self._stop.is_set():
                    tail = self._store.tail_metrics(
                        self._cursor,
                        since=self._clock() - self._since,
                        limit=_BATCH,
                        newest=self.profiler.max_metrics,
                    )
                    self._cursor = tail.cursor
                    tail.records.record_in(self.profiler)
                    tail.records.record_in(self.live, "live")
                    self.taken += len(tail.records)
                    if not tail.records:
                        break
                self._feedback.take()
            except StoreError as exc:
                if self.problem is None:
                    logger.warning("the store cannot be read and is tried again: %s", exc)
                self.problem = str(exc)
            else:
                self.problem, self.caught_up, self.looked_at = None, True, self._clock()
        return self.taken - before

    def wait_for(self, taken: int, seconds: float) -> bool:
        """Look again and again until so many records were taken in all; False if it took too long."""
        deadline = time.monotonic() + seconds
        while self.taken < taken and time.monotonic() < deadline:
            if not self.look():
                self._stop.wait(0.05)
        return self.taken >= taken

    def _serve(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._stop.wait(self._every)
