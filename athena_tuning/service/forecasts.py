"""What configs would bring: simulations that pages ask for, one at a time, kept for all who ask alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from athena_tuning.load.run_handle import State
from athena_tuning.load.whatif_run import Question, WhatIfRun
from athena_tuning.lru_cache import LruCache

MOST = 32
MOST_WAITING = 6


@dataclass(slots=True)
class _Kept:
    made: float
    run: WhatIfRun
    next: WhatIfRun | None = None

    def stop(self) -> None:
        for run in filter(None, (self.run, self.next)):
            run.stop()


class Forecasts:
    """Starts what-ifs and keeps the newest of each question.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._gate = threading.Semaphore()
        self._lock = threading.Lock()
        self._kept: LruCache[Hashable, _Kept] = LruCache(MOST, on_evict=_Kept.stop)

    def ask(self, key: Hashable, question: Callable[[], Question], *, stale_after: float) -> WhatIfRun:
        """Return the run that answers a question, started now if nobody has asked it before.

        One that is older than ``stale_after`` seconds is run anew; until that has ended, the old one is what
        there is.

        Raises:
            ValueError: if too many are waiting already.
        """
        with self._lock:
            now = self._clock()
            kept = self._kept.get_or_compute(key, lambda: _Kept(now, self._start(question)))
            if kept.next is not None and kept.next.state is not State.RUNNING:
                kept.made, kept.run, kept.next = now, kept.next, None
            ended = kept.run.state is not State.RUNNING
            if ended and kept.next is None and now - kept.made > stale_after:
                kept.next = self._start(question)
            return kept.run

    def close(self) -> None:
        """Stop all."""
        with self._lock:
            for kept in self._kept.clear():
                kept.stop()

    def _start(self, question: Callable[[], Question]) -> WhatIfRun:
        waiting = sum(kept.run.state is State.RUNNING for kept in self._kept.values())
        if waiting >= MOST_WAITING:
            raise ValueError(f"{waiting} simulations are waiting already: try again in a few seconds")
        return WhatIfRun(question, self._gate).start()
