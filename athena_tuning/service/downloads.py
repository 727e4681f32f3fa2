"""What a person takes away from a page: the view's recalls as a file, the charts' figures as a table."""

from __future__ import annotations

import csv
import io
import math
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from athena_tuning.interchange.export import export_records, stored_records
from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service import busy_hours, text, units, window_reads
from athena_tuning.service.chart_rows import DAYS, QUANTILES
from athena_tuning.service.view import View
from athena_tuning.store import Store

FORMATS = {
    "CSV": (".csv", "text/csv"),
    "JSON lines": (".jsonl.gz", "application/gzip"),
    "Parquet": (".parquet", "application/vnd.apache.parquet"),
}
"""Formats of a file of recalls: ending and media type."""

MOST_RECORDS = 200_000
"""Recalls in a file from the dashboard, the first of the view; the command line writes any number."""


class Point(NamedTuple):
    """One figure of a chart; ``n`` is what it rests on, where that is known."""

    chart: str
    series: str
    x: str
    value: float
    unit: str
    n: int | None = None


def records_of(store: Store, view: View) -> Iterator[QueryMetrics]:
    """Give the recalls of a view, at most ``MOST_RECORDS``."""
    stored = stored_records(store, since=view.start, until=view.end, query_type=view.query_type)
    layer, version = view.layer, view.config_version
    kept = (
        m
        for m in stored
        if (layer is None or layer in m.layers_queried) and version in (None, m.config_version)
    )
    return islice(kept, MOST_RECORDS)


def records_file(store: Store, view: View, suffix: str) -> bytes:
    """Return a file of a view's recalls in the format of a suffix of ``FORMATS``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"recalls{suffix}")
        export_records(records_of(store, view), path)
        return path.read_bytes()


def figures_file(profiler: PerformanceProfiler, view: View) -> bytes:
    """Return a CSV table of the figures that the Observe pages draw of a view; unknown is empty."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(Point._fields)
    for point in points(profiler, view):
        known = "" if not math.isfinite(point.value) else f"{point.value:.6g}"
        row = (point.chart, point.series, point.x, known, point.unit, "" if point.n is None else point.n)
        writer.writerow([text.cell(value) for value in row])
    return file.getvalue().encode()


def points(profiler: PerformanceProfiler, view: View) -> Iterator[Point]:
    """Give the figures behind the charts of a view."""
    yield from _over_time(profiler, view)
    for name, shown in (("this period", view), ("previous period", view.before)):
        curve, n = window_reads.percentile_curve(profiler, shown)
        for quantile, ms in zip(QUANTILES, curve, strict=True):
            yield Point("latency by percentile", name, f"p{quantile * 100:.5g}", ms, "ms", n)
    for chart, rows in (
        ("by layer (service time)", window_reads.rows_by_layer(profiler, view)),
        ("by query type", window_reads.rows_by_type(profiler, view)),
    ):
        for row in rows:
            for name in ("p50", "p95", "p99"):
                yield Point(chart, name, row.name, getattr(row, name), "ms", row.n)
    yield from _patterns(profiler, view)
    for kind, hit in window_reads.cache_report(profiler, view).by_type.items():
        yield Point("cache", "hit rate", kind, hit.hit_rate, "share", hit.n)
        yield Point("cache", "hit p50", kind, hit.hit_p50_ms, "ms", hit.hits)
        yield Point("cache", "miss p50", kind, hit.miss_p50_ms, "ms", hit.n - hit.hits)
    for level in window_reads.level_rows(window_reads.concurrency_report(profiler, view).levels):
        for name, value, unit in (
            ("p50", level.p50, "ms"),
            ("p99", level.p99, "ms"),
            ("level over mean service time", level.throughput, "tasks/s"),
        ):
            yield Point("by tasks in flight", name, str(level.level), value, unit, level.n)


def _over_time(profiler: PerformanceProfiler, view: View) -> Iterator[Point]:
    bucket = view.bucket_seconds(90)
    series = window_reads.over_time(profiler, view, bucket)
    for i, time in enumerate(series.time):
        at, n = units.moment(float(time), view.timezone), int(series.count[i])
        for name in ("p50", "p95", "p99"):
            yield Point("latency over time", name, at, float(getattr(series, name)[i]), "ms", n)
        yield Point("recalls per second", "all", at, n / bucket, "/s", n)
        yield Point("recalls per second", "from the cache", at, int(series.cache_hits[i]) / bucket, "/s", n)
        yield Point("recalls per second", "failed", at, int(series.errors[i]) / bucket, "/s", n)


def _patterns(profiler: PerformanceProfiler, view: View) -> Iterator[Point]:
    grid = busy_hours.hour_weekday(profiler, view)
    for day, name in enumerate(DAYS):
        for hour in range(24):
            if n := int(grid.count[day, hour]):
                yield Point(
                    "hour by weekday", "p99", f"{name} {hour:02d}", float(grid.p99[day, hour]), "ms", n
                )
