"""What pages ask of a window: pure functions from a profiler and a view to rows and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from athena_tuning.model import Annotation, ConfigVersion, QueryMetrics
from athena_tuning.model.source import LIVE_ALONE, MEASURED
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.questions.cache_effectiveness import CacheReport, CacheRow
from athena_tuning.profiling.questions.concurrency import ConcurrencyReport, ConcurrencyRow, QueueWaits
from athena_tuning.profiling.questions.recall_search import FoundRecalls, Order, RecallQuery
from athena_tuning.profiling.questions.statistics import WindowSummary
from athena_tuning.profiling.questions.temporal import TimeSeries
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import QUANTILES, HitRow, LevelRow, Mark, Row
from athena_tuning.service.view import View

_ENOUGH = 10
"""Recalls in a bucket below which its percentiles are one and the same."""

TOO_FEW = "too few"
"""The value of a percentile that the recalls do not carry."""


def summary(profiler: PerformanceProfiler, view: View) -> WindowSummary:
    """Return the figures of a view."""
    return profiler.summary(**view.where)


def sources(profiler: PerformanceProfiler, view: View) -> dict[str, int]:
    """Return how many recalls of a view came from each kind of source ("live", "load", …)."""
    return profiler.sources(**view.where)


def over_time(profiler: PerformanceProfiler, view: View, bucket_seconds: float) -> TimeSeries:
    """Return a view's figures over time."""
    return profiler.time_series(bucket_seconds, **view.where)


def bucket_for(shown: WindowSummary, view: View, points: int = 60) -> float:
    """Return a bucket in seconds that leaves enough recalls in each for its percentiles to differ.

    Args:
        shown: the figures of the view.
        view: what is looked at.
        points: buckets at most.
    """
    span = view.end - max(view.start, shown.first_timestamp) if shown.count else view.seconds
    return view.bucket_seconds(min(points, max(12, shown.count // _ENOUGH)), span)


def slowest(profiler: PerformanceProfiler, view: View, limit: int) -> list[QueryMetrics]:
    """Return a view's slowest recalls, slowest first."""
    return profiler.slow_records(limit, percentile=0, **view.where)


def search(
    profiler: PerformanceProfiler, view: View, wanted: RecallQuery, order: Order, limit: int
) -> FoundRecalls:
    """Return the recalls of a view that fit a query."""
    return profiler.search(wanted, order=order, limit=limit, **view.where)


def marks(history: Sequence[ConfigVersion], notes: Sequence[Annotation], view: View) -> list[Mark]:
    """Return the config changes and notes of a period as marks for a chart, each with who and why."""
    versions = [Mark(v.time, f"v{v.version}", f"v{v.version} by {v.author}: {v.reason}") for v in history]
    remarks = [Mark(n.time, n.text, f"{n.text} ({n.author})" if n.author else n.text) for n in notes]
    return [mark for mark in versions + remarks if view.start <= mark.time < view.end]


def recorded(name: str) -> list[QueryMetrics]:
    """Return a sample workload's records as they were recorded."""
    return load_records(name)


def percentile_curve(profiler: PerformanceProfiler, view: View) -> tuple[list[float], int]:
    """Return the latency at each of ``QUANTILES`` in ms, and the recalls with a known latency behind it."""
    return [float(v) for v in profiler.percentiles(QUANTILES, **view.where)], known_latencies(profiler, view)


def known_latencies(profiler: PerformanceProfiler, view: View) -> int:
    """Return how many recalls of a view there are."""
    return profiler.summary(**view.where).count


def rows_by_layer(profiler: PerformanceProfiler, view: View) -> list[Row]:
    """Return the service-time percentiles of each layer; with a layer in the view, of that one."""
    layers = [view.layer] if view.layer else profiler.layers()
    return [row for layer in layers if (row := _row(profiler, view.only(layer=layer), layer)).n]


def slot_shares(profiler: PerformanceProfiler, view: View) -> dict[str, float]:
    """Return each layer's share of the slot time: calls times mean service time, over all layers'."""
    layers = [view.layer] if view.layer else profiler.layers()
    held = {
        layer: seen.count * seen.mean_latency_ms
        for layer in layers
        if (seen := profiler.summary(**view.only(layer=layer).where)).count
    }
    whole = sum(held.values())
    return {layer: ms / whole for layer, ms in held.items()} if whole > 0 else {}


def rows_by_type(profiler: PerformanceProfiler, view: View) -> list[Row]:
    """Return the latency percentiles of each query type; with a type in the view, of that one."""
    types = [view.query_type] if view.query_type else profiler.query_types()
    return [row for kind in types if (row := _row(profiler, view.only(query_type=kind), kind)).n]


def series_by_layer(profiler: PerformanceProfiler, view: View) -> dict[str, Any]:
    """Return each layer's latency over time."""
    names = [row.name for row in rows_by_layer(profiler, view)]
    bucket = bucket_for(summary(profiler, view), view, 48)
    return {name: profiler.time_series(bucket, **view.only(layer=name).where) for name in names}


def series_by_type(profiler: PerformanceProfiler, view: View) -> dict[str, Any]:
    """Return each query type's latency over time."""
    names = [row.name for row in rows_by_type(profiler, view)]
    bucket = bucket_for(summary(profiler, view), view, 48)
    return {name: profiler.time_series(bucket, **view.only(query_type=name).where) for name in names}


def hit_rows(rows: Mapping[str, CacheRow]) -> list[HitRow]:
    """Return the profiler's cache rows as a chart wants them."""
    return [
        HitRow(name, r.n, r.hits, r.hit_rate, r.hit_p50_ms, r.hit_p95_ms, r.miss_p50_ms, r.miss_p95_ms)
        for name, r in rows.items()
    ]


class Saved(NamedTuple):
    """A layer's calls: those that ran, and those that a cached answer made unnecessary."""

    layer: str
    ran: int
    saved: float


def calls_saved(profiler: PerformanceProfiler, view: View) -> list[Saved]:
    """Return what the cache saved each layer.

    A cached answer asks no layer, so its calls are an estimate: hits of a type times the share of that type's
    misses that asked the layer, summed over types.
    """
    by_type = profiler.cache_report(**view.where).by_type
    rows = []
    for layer in profiler.layers():
        saved = 0.0
        for kind, row in by_type.items():
            count = profiler.summary(**view.only(layer=layer, query_type=kind).where).count
            misses = row.n - row.hits
            saved += row.hits * count / misses if misses else 0.0
        rows.append(Saved(layer, profiler.summary(**view.only(layer=layer).where).count, saved))
    return [row for row in rows if row.ran or row.saved]


def level_rows(rows: Sequence[ConcurrencyRow]) -> list[LevelRow]:
    """Return the profiler's rows by tasks in flight as a chart wants them."""
    return [LevelRow(r.level, r.n, r.p50_latency_ms, r.p99_latency_ms, r.throughput_per_s) for r in rows]


def queue_over_time(profiler: PerformanceProfiler, view: View) -> QueueWaits:
    """Return how long layer tasks waited for a slot, over time."""
    return profiler.waits_over_time(bucket_for(summary(profiler, view), view), **view.where)


def cache_report(profiler: PerformanceProfiler, view: View) -> CacheReport:
    """Return what the cache did."""
    return profiler.cache_report(**view.where)


def concurrency_report(profiler: PerformanceProfiler, view: View) -> ConcurrencyReport:
    """Return what running layers at the same time brought."""
    return profiler.concurrency_report(**view.where)


def co_occurrence(profiler: PerformanceProfiler, view: View) -> tuple[list[str], Any]:
    """Return layers and the share of recalls that asked each two of them."""
    return profiler.co_occurrence(**view.where)


@dataclass(frozen=True, slots=True)
class Health:
    """Is it healthy, and is it getting worse? In words, with the figure that says so.

    ``level`` is "good", "warn", "bad" or "quiet".
    """

    level: str
    words: str


def health(profiler: PerformanceProfiler, view: View, slo_ms: float | None) -> Health:
    """Judge a view by its promise, its errors and the period before: what was asked live, and no load.

    What is looked at by itself, a sample for instance, is judged as it is.
    """
    if view.sources == MEASURED:
        view = view.only(sources=LIVE_ALONE)
    now, then = profiler.summary(**view.where), profiler.summary(**view.before.where)
    if not now.count:
        loaded = (
            profiler.summary(**view.only(sources=MEASURED).where).count if view.sources == LIVE_ALONE else 0
        )
        return Health("quiet", "Load alone in this period" if loaded else "No recalls in this period")
    errors, refused = _ratio(now.errors, now.known_success), now.refused / now.count
    if errors > 0.01 or refused > 0.001:
        failing = f"{units.percent(errors)} of recalls fail"
        turned_away = f"{units.percent(refused)} of recalls are refused: more come than can be served"
        level = "bad" if max(errors, refused) > 0.01 else "warn"
        return Health(level, failing if errors > refused else turned_away)
    if slo_ms and now.p99_latency_ms > slo_ms:
        return Health("bad", f"p99 {units.ms(now.p99_latency_ms)} is above the SLO of {units.ms(slo_ms)}")
    if now.partial / now.count > 0.02:
        return Health("warn", f"{units.percent(now.partial / now.count)} of answers lack a layer")
    change = now.p95_latency_ms / then.p95_latency_ms - 1 if then.count >= 200 and now.count >= 200 else 0.0
    if change > 0.25:
        return Health("warn", f"p95 is {change * 100:.0f} % above the period before")
    return Health("good", "Healthy")


def record_row(record: QueryMetrics, timezone: str) -> dict[str, Any]:
    """Return a recall as a table shows it."""
    return {
        "Latency": record.latency_ms,
        "Query": text.plain(record.query_text, 200) or units.UNKNOWN,
        "Type": text.plain(record.query_type, 24),
        "Answer": "refused"
        if record.refused
        else "cache"
        if record.cache_hit
        else "partial"
        if record.partial
        else "failed"
        if record.success is False
        else "full",
        "When": units.moment(record.timestamp, timezone),
        "Config": record.config_version,
        "Layers": ", ".join(text.plain(layer, 24) for layer in record.layers_queried),
    }


def _row(profiler: PerformanceProfiler, view: View, name: str) -> Row:
    s = profiler.summary(**view.where)
    return Row(name, s.count, s.p50_latency_ms, s.p95_latency_ms, s.p99_latency_ms)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
