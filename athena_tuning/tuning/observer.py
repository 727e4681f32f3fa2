"""Reads a profiler as it grows, and keeps what decisions rest on."""

from __future__ import annotations

import math

from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning.estimation.daily_load import DailyLoad
from athena_tuning.tuning.estimation.telemetry import Telemetry
from athena_tuning.tuning.settings import TELEMETRY

_PAGE = 10_000
_NEWEST = 1 << 62  # a cursor beyond everything


class Observer:
    """The one owner of what was measured: frozen values, replaced as recalls come.

    Args:
        profiler: where recalls are recorded.
        load: how the day is divided; what it holds is kept.

    Attributes:
        telemetry: the newest recalls.
        load: recalls that the cache did not answer, by the time of day.
    """

    def __init__(self, profiler: PerformanceProfiler, load: DailyLoad = DailyLoad()) -> None:  # noqa: B008
        self.telemetry = Telemetry()
        self.load = load
        self._profiler = profiler
        self._cursor = -1

    def observe(self, *, together: bool = False) -> None:
        """Read what is new; at first, what the window holds.

        Args:
            together: whether the limit is one for all managers; see ``Telemetry``.
        """
        self.telemetry = self.telemetry.counted(together=together)
        _, end, _ = self._profiler.read_since(_NEWEST, 0)
        first, known = self._cursor < 0, self._cursor
        self._cursor = max(known, end - TELEMETRY.recalls)
        if first:
            self.load = self._load_of_window()
        while True:
            passed_over = self._cursor - known
            records, self._cursor, lost = self._profiler.read_since(self._cursor, _PAGE)
            if records:
                missed = not first and passed_over + lost > 0
                self.telemetry = self.telemetry.after(records, missed=missed)
            known = self._cursor
            if records and not first:
                self.load = self.load.after(m.timestamp for m in records if not m.cache_hit)
            if len(records) < _PAGE:
                return

    def _load_of_window(self) -> DailyLoad:
        began = self._profiler.summary().first_timestamp
        if not math.isfinite(began):
            return self.load
        series = self._profiler.time_series(self.load.slot)
        misses = series.count - series.cache_hits
        return self.load.after([began], [0]).after(series.time.tolist(), misses.tolist())
