"""The records of a window as a sequence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import overload

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling.columns.records import numbered, page
from athena_tuning.profiling.columns.window import View, Window

_PAGE = 1024  # records rebuilt at once while the lock is held


class MetricsSequence(Sequence[QueryMetrics]):
    """The records within the window as they are now: length, index, slice, iteration.

    Records are rebuilt from columns when they are asked for. An iteration covers the records visible at its
    start, less those that leave the window on the way.
    """

    __slots__ = ("_lock", "_refresh", "_window")

    def __init__(self, lock: threading.Lock, window: Window, refresh: Callable[[], View]) -> None:
        self._lock = lock
        self._window = window
        self._refresh = refresh

    def __len__(self) -> int:
        with self._lock:
            self._refresh()
            return self._window.count

    @overload
    def __getitem__(self, index: int) -> QueryMetrics: ...
    @overload
    def __getitem__(self, index: slice) -> list[QueryMetrics]: ...
    def __getitem__(self, index: int | slice) -> QueryMetrics | list[QueryMetrics]:
        with self._lock:
            view = self._refresh()
            n = self._window.count
            if isinstance(index, slice):
                wanted = range(n)[index]
                if not wanted:
                    return []
                low = min(wanted[0], wanted[-1])
                records = numbered(view, low, max(wanted[0], wanted[-1]) + 1)
                return [records[i - low] for i in wanted]
            return numbered(view, range(n)[index], range(n)[index] + 1)[0]

    def __iter__(self) -> Iterator[QueryMetrics]:
        with self._lock:
            view = self._refresh()
            position, end = view.first, view.end
        while position < end:
            with self._lock:
                records, position = page(self._refresh(), position, end, _PAGE)
            yield from records
