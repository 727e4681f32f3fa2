"""What layers take of memory: bytes returned, and peaks while nothing else ran, in a share of the recalls."""

from __future__ import annotations

import inspect
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from athena_tuning.model import MemoryHour
from athena_tuning.model.memory_hour import HOUR_SECONDS
from athena_tuning.recall.execution.task import QueryTask
from athena_tuning.recall.peak import PeakMemory
from athena_tuning.recall.routing.exploration import Exploration
from athena_tuning.recall.snapshot import Snapshot

KEPT = 100
"""Newest samples of a layer."""

HOURS = 2
"""Newest hours that are kept: who posts them may come a little after one has ended."""

_WAITING = 32


class LayerMemory(NamedTuple):
    """What a layer takes of memory; None where nobody knows.

    Attributes:
        returned_bytes: of the items that it gave a recall, written as JSON: their mean.
        peak_bytes: Python memory above what there was before: the largest of the newest samples.
        peaks: how many those are.
    """

    returned_bytes: float | None = None
    peak_bytes: int | None = None
    peaks: int = 0


class LayerMemoryMonitor:
    """Measures a share of the recalls, whose layers then run one after another.

    A peak counts only where the layer's task was the only one that held a slot, from its beginning to its
    end: ``tracemalloc`` counts the whole process. What other threads allocate beside is in it. A call whose
    answer is awaited has none. While anything is traced, allocating is 2 to 4 times as slow.

    Args:
        alone: the number of slots given since the start, if one is taken now; else None.
        chance: draws from 0 to 1.
        clock: Unix seconds.
    """

    def __init__(
        self, alone: Callable[[], int | None], chance: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._alone = alone
        self._clock = clock
        self._sampling = Exploration(chance)
        self._lock = threading.Lock()
        self._returned: dict[str, deque[int]] = {}
        self._peaks: dict[str, deque[int]] = {}
        self._hours: dict[int, dict[str, MemoryHour]] = {}
        self._waiting: deque[tuple[Mapping[str, Snapshot], int]] = deque(maxlen=_WAITING)

    def measures(self, share: float) -> bool:
        """Whether the recall that is asked now is measured.

        Args:
            share: of the recalls, 0 to 0.5.
        """
        return share > 0 and self._sampling.explores(share)

    def watched(self, task: QueryTask) -> QueryTask:
        """Return a task that tells its peak; it is not called a second time beside itself."""
        if task.is_coroutine:
            return task
        search = task.query_fn

        def measured(*args: Any, **kwargs: Any) -> Any:
            before = self._alone()
            if before is None:
                return search(*args, **kwargs)
            peak, answer = PeakMemory(), None
            try:
                answer = search(*args, **kwargs)
            finally:
                peak_mb = peak.stop()
            if self._alone() == before and not inspect.isawaitable(answer):
                size = round(peak_mb * 1e6)
                with self._lock:
                    self._peaks.setdefault(task.layer_name, deque(maxlen=KEPT)).append(size)
                    self._note(MemoryHour(self._hour(), task.layer_name, peak_bytes=size, peaks=1))
            return answer

        return task._replace(query_fn=measured, coroutine=False, second_after=None)

    def offer(self, by_layer: Mapping[str, Snapshot], k: int) -> None:
        """Take what layers gave a recall that is measured; ``count`` measures it later."""
        self._waiting.append((by_layer, k))

    def count(self) -> None:
        """Measure what waits, off the recalls' threads."""
        while self._waiting:
            by_layer, k = self._waiting.popleft()
            for layer, snapshot in by_layer.items():
                size = sum(len(json.dumps(item, default=str).encode()) for item in snapshot.first(k))
                with self._lock:
                    self._returned.setdefault(layer, deque(maxlen=KEPT)).append(size)
                    self._note(MemoryHour(self._hour(), layer, returned_bytes=size, returned=1))

    def note_indexes(self, sizes: Mapping[str, int]) -> None:
        """Take how large the indexes of layers are now, in bytes."""
        with self._lock:
            for layer, size in sizes.items():
                self._note(MemoryHour(self._hour(), layer, size))

    def hours(self) -> list[MemoryHour]:
        """Return what is known of the newest hours, by layer."""
        with self._lock:
            return [known for layers in self._hours.values() for known in layers.values()]

    def figures(self, layer: str) -> LayerMemory:
        """Return what is known of a layer."""
        with self._lock:
            returned, peaks = self._returned.get(layer, ()), self._peaks.get(layer, ())
            return LayerMemory(
                sum(returned) / len(returned) if returned else None, max(peaks, default=None), len(peaks)
            )

    def _hour(self) -> int:
        return int(self._clock() // HOUR_SECONDS) * HOUR_SECONDS

    def _note(self, sample: MemoryHour) -> None:
        layers = self._hours.setdefault(sample.start, {})
        while len(self._hours) > HOURS:
            del self._hours[min(self._hours)]
        known = layers.get(sample.layer)
        layers[sample.layer] = sample if known is None else MemoryHour.joined([known, sample])
