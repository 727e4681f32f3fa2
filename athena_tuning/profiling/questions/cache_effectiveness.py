"""Is the cache worth it: how often it answers, what hits and misses take, what it saves."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from athena_tuning.profiling.columns.block import One, Rows
from athena_tuning.profiling.columns.incremental import IncrementalSummaries
from athena_tuning.profiling.columns.selection import Selection, latencies, time_of
from athena_tuning.profiling.columns.table import CACHE_HIT, CACHE_KNOWN
from athena_tuning.profiling.columns.window import View
from athena_tuning.profiling.histogram import LatencyHistogram


@dataclass(frozen=True, slots=True)
class CacheRow:
    """Hits and misses of a group. Latencies in ms from histograms (within 1.6 %), NaN where unknown.

    Attributes:
        n: recalls of which it is known whether the cache answered.
        hits: those that it answered.
        hit_rate: hits / n.
        hit_p50_ms: median latency of hits; the others likewise.
        time_saved_s: seconds that the hits would have taken longer as misses: by type, the mean of its
            misses less the mean of its hits, times its hits.
    """

    n: int
    hits: int
    hit_rate: float
    hit_p50_ms: float
    hit_p95_ms: float
    miss_p50_ms: float
    miss_p95_ms: float
    time_saved_s: float


@dataclass(frozen=True, slots=True)
class CacheReport:
    """The cache over all recalls, and by layer and query type."""

    overall: CacheRow
    by_layer: Mapping[str, CacheRow]
    by_type: Mapping[str, CacheRow]


class _HitsAndMisses:
    def __init__(self) -> None:
        self.n = [0, 0]
        self.ms = (LatencyHistogram(), LatencyHistogram())

    def count(self, rows: Rows, sign: int) -> None:
        flags = rows["flags"]
        for hit, bits in enumerate((CACHE_KNOWN, CACHE_KNOWN | CACHE_HIT)):
            some = rows.where((flags & (CACHE_KNOWN | CACHE_HIT)) == bits)
            if len(some):
                self.n[hit] += sign * len(some)
                self.ms[hit].count_many(latencies(some), sign)

    def count_one(self, flags: int, ms: float, sign: int) -> None:
        if flags & CACHE_KNOWN:
            hit = 1 if flags & CACHE_HIT else 0
            self.n[hit] += sign
            if not math.isnan(ms):
                self.ms[hit].add(ms, sign)

    def row(self, saved: float | None = None) -> CacheRow:
        (_, hits), n = self.n, sum(self.n)
        (miss_p50, miss_p95), (hit_p50, hit_p95) = (ms.quantiles((0.5, 0.95)).tolist() for ms in self.ms)
        rate, seconds = hits / n if n else math.nan, self.saved() if saved is None else saved
        return CacheRow(n, hits, rate, hit_p50, hit_p95, miss_p50, miss_p95, seconds)

    def saved(self) -> float:
        misses, hits = self.ms
        if not self.n[1]:
            return 0.0
        return hits.count * (misses.mean - hits.mean) / 1000


class CacheCounts:
    """Hits and misses by type and by layer."""

    def __init__(self) -> None:
        self.by_type: defaultdict[str, _HitsAndMisses] = defaultdict(_HitsAndMisses)
        self.by_layer: defaultdict[str, _HitsAndMisses] = defaultdict(_HitsAndMisses)

    def apply(self, rows: Rows, sign: int) -> None:
        """Count rows (+1) or take them away (−1)."""
        types = rows["type"]
        for number in set(types.tolist()):
            name = rows.block.names.types[number]
            self.by_type[name].count(rows.where(types == number), sign)
        for layer in rows.block.tasks if rows.layer is None else (rows.layer,):
            of_layer = rows.of_layer(layer)
            if len(of_layer):
                self.by_layer[layer].count(of_layer, sign)

    def apply_one(self, one: One, layer: str | None, sign: int) -> None:
        """Count a record (+1) or take it away (−1)."""
        flags = one.record.flags
        self.by_type[one.query_type].count_one(flags, time_of(one, layer), sign)
        for name in one.tasks if layer is None else (layer,):
            self.by_layer[name].count_one(flags, one.tasks[name].service, sign)


def cache_report(summaries: IncrementalSummaries, view: View, selection: Selection) -> CacheReport:
    """Return how the cache did."""
    counts = summaries.summary(CacheCounts, selection, view)
    by_type = {name: group for name, group in sorted(counts.by_type.items()) if any(group.n)}
    overall = _HitsAndMisses()
    overall.n = [sum(group.n[hit] for group in by_type.values()) for hit in (0, 1)]
    overall.ms = (
        LatencyHistogram.merged(group.ms[0] for group in by_type.values()),
        LatencyHistogram.merged(group.ms[1] for group in by_type.values()),
    )
    saved = [seconds for group in by_type.values() if not math.isnan(seconds := group.saved())]
    return CacheReport(
        overall.row(sum(saved)),
        {name: group.row() for name, group in sorted(counts.by_layer.items()) if any(group.n)},
        {name: group.row() for name, group in by_type.items()},
    )
