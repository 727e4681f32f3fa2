"""The profiler: records recalls at the cost of an append, answers over exactly the window."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
import numpy.typing as npt

from athena_tuning.frames import frame
from athena_tuning.model import LayerMetrics, QueryMetrics, QueryTypeMetrics
from athena_tuning.profiling.columns.records import newest_of, records_of
from athena_tuning.profiling.columns.selection import Filter, Selection
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
from athena_tuning.profiling.recording import WindowRecorder

if TYPE_CHECKING:
    import pandas as pd


class PerformanceProfiler(WindowRecorder):
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

    def waits_over_time(self, bucket_seconds: float, **chosen: Unpack[Filter]) -> concurrency.QueueWaits:
        """Return how long layer tasks waited for a slot, by bucket."""
        with self._lock:
            view, selection = self._refresh(), Selection(**chosen)
            return concurrency.waits_over_time(self._summaries, view, selection, bucket_seconds)

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

    def scored(self, **chosen: Unpack[Filter]) -> list[QueryMetrics]:
        """Return the recalls of a selection whose answers somebody scored, in the order of their arrival."""
        with self._lock:
            parts = Selection(**chosen).parts(self._refresh())
            rated = [rows.where(~np.isnan(rows["satisfaction"])) for rows in parts]
            return [record for rows in rated if len(rows) for record in records_of(rows)]

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
