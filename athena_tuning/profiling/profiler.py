"""The profiler: records recalls at the cost of an append, answers over exactly the window."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack, overload

import numpy as np
import numpy.typing as npt

from athena_tuning import fork
from athena_tuning.frames import frame
from athena_tuning.model import LayerMetrics, QueryMetrics, QueryTypeMetrics
from athena_tuning.profiling.columns.column_batch import columns_of
from athena_tuning.profiling.columns.fold import fold, fold_columns
from athena_tuning.profiling.columns.incremental import IncrementalSummaries
from athena_tuning.profiling.columns.recall_columns import RecallColumns
from athena_tuning.profiling.columns.records import newest_of, numbered, page, records_of, rows_from
from athena_tuning.profiling.columns.selection import Filter, Selection
from athena_tuning.profiling.columns.window import View, Window
from athena_tuning.profiling.measure import Measure, MeasuredQuery
from athena_tuning.profiling.questions import (
    cache_effectiveness,
    concurrency,
    recall_search,
    sources,
    statistics,
    temporal,
    trending,
)
from athena_tuning.profiling.questions.recall_table import recall_table

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 1024  # records folded at once; longer would hold the interpreter too long
_SLACK = 256  # unread records above the window's size before some are dropped

Found = Callable[[str | None], Sequence[Mapping[str, Any]]]
"""Gives what a layer found, the best first; None: what all of them found."""

RecordListener = Callable[[QueryMetrics | MeasuredQuery, Found | None], object]


class PerformanceProfiler:
    """Measures recalls over a sliding window.

    ``record_query`` only appends. What is pending is put into columns by ``fold``, which every reading does
    first and which somebody should call a few times a second. All answers are about exactly the window: the
    last ``max_metrics`` records, less those older than ``window_hours``. Any thread may call anything; a
    reader sees whole records only, and a recorder never waits for one.

    Args:
        window_hours: age in hours at which a record leaves.
        max_metrics: records held.
        temporal_bins: parts of the day in ``get_temporal_pattern``; a divisor of 96.
        clock: gives Unix seconds.
        most_names: query types, and layers, that are told apart; what comes beyond is "(other)", and counted
            as "normalised_names". None: what ``ATHENA_TUNING_NAMES`` says, else 1,000.

    Attributes:
        measure: measures queries of any system: ``with profiler.measure("last deploy?", "temporal") as query:
            with query.layer("semantic"): …``; as decorators ``@profiler.measure.query("temporal")`` and
            ``@profiler.measure.layer("semantic")``.

    Raises:
        ValueError: if an argument is out of range.

    Examples:
        >>> profiler = PerformanceProfiler()
        >>> for ms in (10.0, 20.0, 30.0):
        ...     profiler.record_query(QueryMetrics("q", "last deploy?", "temporal", 0, ms, None, False, 3,
        ...                                        ["episodic"], {"episodic": ms - 1}, True))
        >>> profiler.get_layer_metrics("episodic").p50_latency_ms, profiler.summary().p99_latency_ms
        (19.0, 30.0)
    """

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

    def record_query(self, metrics: QueryMetrics | MeasuredQuery, found: Found | None = None) -> None:
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
        return MetricsSequence(self)

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

    def layers(self) -> list[str]:
        """Return the layers that recalls in the window asked, sorted."""
        with self._lock:
            self._refresh()
            return self._window.names.layers()

    def query_types(self) -> list[str]:
        """Return the query types in the window, sorted."""
        with self._lock:
            self._refresh()
            return sorted(self._window.names.types.used())

    def get_layer_metrics(self, layer_name: str) -> LayerMetrics | None:
        """Return what a layer did, with exact percentiles of its own time; None if it was not asked."""
        with self._lock:
            return statistics.layer_metrics(self._summaries, self._refresh(), layer_name)

    def get_query_type_metrics(self, query_type: str) -> QueryTypeMetrics | None:
        """Return what recalls of a type did, with exact percentiles; None if there were none."""
        with self._lock:
            return statistics.query_type_metrics(self._summaries, self._refresh(), query_type)

    def get_trending_queries(self, hours: float = 1, limit: int = 10) -> list[str]:
        """Return the texts asked most in the last hours, newer askings counting more."""
        return [query.text for query in self.trending(hours, limit)]

    def get_slow_queries(self, percentile: float = 99, limit: int = 10) -> list[tuple[str, float]]:
        """Return text and latency (ms) of recalls at or above a percentile (0 to 100), slowest first."""
        with self._lock:
            view, texts = self._refresh(), self._window.names.texts
            slow = trending.slowest(self._summaries, view, Selection(), percentile, limit)
            return [(texts[int(rows["text"][0])], ms) for ms, rows in slow]

    def get_temporal_pattern(self) -> dict[int, dict[str, float]]:
        """Return ``{part of the day: {avg_latency_ms, query_count, success_rate}}`` in local time."""
        with self._lock:
            return temporal.time_of_day(self._summaries, self._refresh(), self.temporal_bins)

    def get_layer_dependency_analysis(self) -> dict[str, dict[str, float]]:
        """Return ``{a: {b: share of the recalls asking a that also asked b}}``."""
        with self._lock:
            return concurrency.dependencies(self._summaries, self._refresh(), self._window.names)

    def get_cache_effectiveness(self) -> dict[str, float | dict[str, float]]:
        """Return hit rates ``{overall, by_layer: {name: rate}, by_type: {name: rate}}``; 0.0 when unknown."""
        report = self.cache_report()
        return {
            "overall": report.overall.hit_rate if report.overall.n else 0.0,
            "by_layer": {name: row.hit_rate for name, row in report.by_layer.items()},
            "by_type": {name: row.hit_rate for name, row in report.by_type.items()},
        }

    def get_concurrency_effectiveness(self) -> dict[str, float]:
        """Return ``{parallel_usage, avg_speedup, successful}`` of parallel recalls; shares are 0 to 1."""
        with self._lock:
            return concurrency.effectiveness(self._summaries, self._refresh())

    def summary(self, **chosen: Unpack[Filter]) -> statistics.WindowSummary:
        """Return the figures of a selection; see ``Filter`` for the keywords of all that follow."""
        with self._lock:
            return statistics.summarise(self._summaries, self._refresh(), Selection(**chosen))

    def percentiles(
        self, qs: Sequence[float], *, exact: bool = True, **chosen: Unpack[Filter]
    ) -> npt.NDArray[np.float64]:
        """Return percentiles in ms, with ``layer`` of that layer's service time.

        Args:
            qs: quantiles, 0 to 1.
            exact: ``s[int(q · n)]``; else from the histogram, within 1.6 % and faster still.
            chosen: which recalls.
        """
        with self._lock:
            return statistics.percentiles(self._summaries, self._refresh(), Selection(**chosen), qs, exact)

    def time_series(self, bucket_seconds: float, **chosen: Unpack[Filter]) -> temporal.TimeSeries:
        """Return counts and exact percentiles by bucket; buckets that the range cuts are shown whole."""
        with self._lock:
            return temporal.time_series(self._summaries, self._refresh(), Selection(**chosen), bucket_seconds)

    def hour_weekday(self, timezone: str | None = None, **chosen: Unpack[Filter]) -> temporal.HourWeekday:
        """Return figures by weekday and hour in a timezone (IANA name; None: the machine's)."""
        with self._lock:
            return temporal.hour_weekday(self._summaries, self._refresh(), Selection(**chosen), timezone)

    def cache_report(self, **chosen: Unpack[Filter]) -> cache_effectiveness.CacheReport:
        """Return hits, misses, their latencies and the time saved: over all, by layer and by type."""
        with self._lock:
            return cache_effectiveness.cache_report(self._summaries, self._refresh(), Selection(**chosen))

    def concurrency_report(self, **chosen: Unpack[Filter]) -> concurrency.ConcurrencyReport:
        """Return speed-up, queue waits and figures by tasks in flight."""
        with self._lock:
            return concurrency.concurrency_report(self._summaries, self._refresh(), Selection(**chosen))

    def co_occurrence(self, **chosen: Unpack[Filter]) -> tuple[list[str], npt.NDArray[np.float64]]:
        """Return layers and, for each pair, the share of recalls that asked both."""
        with self._lock:
            view = self._refresh()
            return concurrency.co_occurrence(self._summaries, view, Selection(**chosen), self._window.names)

    def sources(self, **chosen: Unpack[Filter]) -> dict[str, int]:
        """Return how many recalls came from each kind of source ("live", "load", …), most first."""
        with self._lock:
            view = self._refresh()
            return sources.sources(self._summaries, view, Selection(**chosen), self._window.names)

    def slow_records(
        self, limit: int = 10, percentile: float = 99, **chosen: Unpack[Filter]
    ) -> list[QueryMetrics]:
        """Return the recalls at or above a percentile as whole records with their tasks, slowest first."""
        with self._lock:
            view = self._refresh()
            return trending.slow_records(self._summaries, view, Selection(**chosen), percentile, limit)

    def search(
        self,
        wanted: recall_search.RecallQuery,
        *,
        order: recall_search.Order = "slowest",
        limit: int = 50,
        **chosen: Unpack[Filter],
    ) -> recall_search.FoundRecalls:
        """Return the recalls of a selection that fit a query, ``limit`` of them as whole records."""
        with self._lock:
            view, names = self._refresh(), self._window.names
            return recall_search.search(view, Selection(**chosen), names, wanted, order, limit)

    def slower_than(self, ms: float, **chosen: Unpack[Filter]) -> int:
        """Return how many recalls of a selection took longer than ``ms``; refused ones took no time."""
        with self._lock:
            return recall_search.slower_than(self._refresh(), Selection(**chosen), ms)

    def find(self, query_id: str) -> QueryMetrics | None:
        """Return the newest recall with an id; None if the window does not hold it."""
        with self._lock:
            return recall_search.find(self._refresh(), query_id)

    def newest(self, limit: int, **chosen: Unpack[Filter]) -> list[QueryMetrics]:
        """Return the last recalls that arrived, oldest first."""
        with self._lock:
            return newest_of(Selection(**chosen).parts(self._refresh()), limit)

    def trending(
        self, hours: float = 1, limit: int = 10, *, sources: Collection[str] | None = None
    ) -> list[trending.TrendingQuery]:
        """Return the texts of the last hours with count and score, highest score first."""
        with self._lock:
            view, names = self._refresh(), self._window.names
            return trending.trending(
                self._summaries, view, Selection(sources=sources), names, self._clock(), hours, limit
            )

    def tasks(self, **chosen: Unpack[Filter]) -> concurrency.TaskTable:
        """Return the telemetry of layer tasks as columns."""
        with self._lock:
            return concurrency.task_table(self._refresh(), Selection(**chosen), self._window.names)

    def to_pandas(self, **chosen: Unpack[Filter]) -> pd.DataFrame:
        """Return recalls of the window as a table, oldest first; ``tasks().to_pandas()`` has layer tasks.

        ``recall``, the position in the order of arrival, is what the two have in common. The other columns
        have the names of ``QueryMetrics``: ids, texts and errors are strings, ``query_type`` and
        ``source`` categories, ``timestamp`` is ``datetime64[us, UTC]``, ``cache_hit`` and ``success`` are
        booleans that may be missing, ``result_count`` is an integer that may be, ``layers_queried`` holds a
        tuple of names. Each layer that gave a latency has a column ``layer_NAME_ms`` with its own time. What
        is unknown is missing. With ``layer``, the recalls that asked it are returned, with all their columns.

        Raises:
            MissingExtra: if pandas is not installed.

        Examples:
            >>> profiler = PerformanceProfiler()
            >>> for ms in (10.0, 30.0):
            ...     profiler.record_query(QueryMetrics("q", "last deploy?", "temporal", 0, ms, None, False, 3,
            ...                                        ["episodic"], {"episodic": ms - 1}, True))
            >>> table = profiler.to_pandas()
            >>> table.groupby("query_type", observed=True)["latency_ms"].mean().to_dict()
            {'temporal': 20.0}
            >>> table["layer_episodic_ms"].tolist()
            [9.0, 29.0]
        """
        with self._lock:
            columns = recall_table(self._refresh(), Selection(**chosen), self._window.names)
        return frame(columns)

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


class MetricsSequence(Sequence[QueryMetrics]):
    """The records within the window as they are now: length, index, slice, iteration.

    Records are rebuilt from columns when they are asked for. An iteration covers the records visible at its
    start, less those that leave the window on the way.
    """

    __slots__ = ("_profiler",)

    def __init__(self, profiler: PerformanceProfiler) -> None:
        self._profiler = profiler

    def __len__(self) -> int:
        with self._profiler._lock:
            self._profiler._refresh()
            return self._profiler._window.count

    @overload
    def __getitem__(self, index: int) -> QueryMetrics: ...
    @overload
    def __getitem__(self, index: slice) -> list[QueryMetrics]: ...
    def __getitem__(self, index: int | slice) -> QueryMetrics | list[QueryMetrics]:
        with self._profiler._lock:
            view = self._profiler._refresh()
            n = self._profiler._window.count
            if isinstance(index, slice):
                wanted = range(n)[index]
                if not wanted:
                    return []
                low = min(wanted[0], wanted[-1])
                records = numbered(view, low, max(wanted[0], wanted[-1]) + 1)
                return [records[i - low] for i in wanted]
            return numbered(view, range(n)[index], range(n)[index] + 1)[0]

    def __iter__(self) -> Iterator[QueryMetrics]:
        with self._profiler._lock:
            view = self._profiler._refresh()
            position, end = view.first, view.end
        while position < end:
            with self._profiler._lock:
                records, position = page(self._profiler._refresh(), position, end, _CHUNK)
            yield from records
