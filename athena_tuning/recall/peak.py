"""Peak Python memory of a recall, measured only when it is asked for."""

from __future__ import annotations

import threading
import tracemalloc

_lock = threading.Lock()
_measuring = 0
_started_here = False


class PeakMemory:
    """Measures from its making to ``stop``.

    ``tracemalloc`` counts the whole process, so what other threads allocate meanwhile is in the figure;
    tracing slows every allocation down by a factor of 2 to 4 as long as anybody measures.
    """

    def __init__(self) -> None:
        global _measuring, _started_here  # noqa: PLW0603  (tracemalloc is one per process)
        with _lock:
            if _measuring == 0 and not tracemalloc.is_tracing():
                tracemalloc.start()
                _started_here = True
            _measuring += 1
            if _measuring == 1:
                tracemalloc.reset_peak()
            self._before = tracemalloc.get_traced_memory()[0]

    def stop(self) -> float:
        """End measuring; return the peak above the start in MB (10⁶ bytes)."""
        global _measuring, _started_here  # noqa: PLW0603
        with _lock:
            peak = tracemalloc.get_traced_memory()[1]
            _measuring -= 1
            if _measuring == 0 and _started_here:
                tracemalloc.stop()
                _started_here = False
        return max(0.0, peak - self._before) / 1e6
