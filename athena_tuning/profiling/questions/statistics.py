"""What a group of recalls was like: counts, rates, averages and exact percentiles over the window.

The percentile of n sorted values is ``s[int(q · n)]``. A histogram says in which bucket it lies; the values
of that bucket, found in one pass and then kept sorted, give it exactly.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from athena_tuning.model import LayerMetrics, QueryTypeMetrics, TaskOutcome
from athena_tuning.profiling.columns.block import One, Rows
from athena_tuning.profiling.columns.incremental import IncrementalSummaries
from athena_tuning.profiling.columns.rows import OUTCOMES
from athena_tuning.profiling.columns.selection import Selection, latencies, time_of
from athena_tuning.profiling.columns.table import (
    CACHE_HIT,
    CACHE_KNOWN,
    PARALLEL,
    PARTIAL,
    SUCCESS,
    SUCCESS_KNOWN,
    Column,
)
from athena_tuning.profiling.columns.window import View
from athena_tuning.profiling.histogram import (
    BUCKETS,
    Floats,
    LatencyHistogram,
    bucket_of,
    bucket_of_one,
    exact,
    exact_sum,
    ranks_of,
)

FIVE = (0.5, 0.9, 0.95, 0.99, 0.999)

_MANY = 8_192  # above it, finding members again is faster than moving each one
_MOST_MEMBERS = 200_000
_NEARBY = 256  # buckets beside a wanted one are kept too, up to so many members: the next rank may be there
_OK = OUTCOMES.index(TaskOutcome.OK)
_FIXED = 1 << 16  # sums of other figures are whole multiples of 1/65536


class Distribution:
    """Latencies as a histogram, with the sorted members of the buckets that percentiles are read from."""

    __slots__ = ("_members", "histogram")

    def __init__(self) -> None:
        self.histogram = LatencyHistogram()
        self._members: dict[int, array[float]] = {}

    def count(self, ms: Floats, sign: int) -> None:
        """Add latencies (+1) or take them away (−1)."""
        if not len(ms):
            return
        buckets = bucket_of(ms)
        self.histogram.add_buckets(buckets, sign, sign * exact_sum(ms))
        if not self._members:
            return
        if len(ms) > _MANY:
            self._members.clear()
            return
        is_member = np.zeros(BUCKETS, np.bool_)
        is_member[list(self._members)] = True
        hits = is_member[buckets]
        for bucket, value in zip(buckets[hits].tolist(), ms[hits].tolist(), strict=True):
            self._move(self._members[bucket], value, sign)

    def count_one(self, ms: float, sign: int) -> None:
        """Add one latency (+1) or take it away (−1)."""
        bucket = bucket_of_one(ms)
        self.histogram.add_bucket(bucket, sign, sign * exact(ms))
        members = self._members.get(bucket)
        if members is not None:
            self._move(members, ms, sign)

    def _move(self, members: array[float], ms: float, sign: int) -> None:
        if sign > 0:
            insort(members, ms)
        else:
            members.pop(bisect_left(members, ms))

    def exact(self, qs: Sequence[float], values: Callable[[], Iterable[Floats]]) -> list[float]:
        """Return exact percentiles in ms; NaN when empty.

        Args:
            qs: quantiles, 0 to 1.
            values: gives all latencies that were counted, in parts; asked only if a bucket is not known yet.
        """
        histogram = self.histogram
        ranks = ranks_of(qs, histogram.count)
        if not histogram.count:
            return [math.nan] * len(qs)
        places = histogram.locate(ranks)
        missing = {bucket for bucket, _ in places}.difference(self._members)
        if missing:
            self._members |= _members(histogram.neighbours(missing, _NEARBY), values())
            if sum(map(len, self._members.values())) > _MOST_MEMBERS:
                self._members = {bucket: self._members[bucket] for bucket, _ in places}
        return [self._members[bucket][rank] for bucket, rank in places]


def _members(wanted: list[int], values: Iterable[Floats]) -> dict[int, array[float]]:
    """Return the sorted values of some buckets, given ascending."""
    is_wanted = np.zeros(BUCKETS, np.bool_)
    is_wanted[wanted] = True
    parts = [ms[is_wanted[bucket_of(ms)]] for ms in values]
    some = np.sort(np.concatenate(parts))
    ends = np.searchsorted(bucket_of(some), wanted, side="right").tolist()
    return {
        bucket: array("d", some[start:end].tobytes())
        for bucket, start, end in zip(wanted, [0, *ends], ends, strict=False)
    }


def flags_of(rows: Rows) -> npt.NDArray[np.uint8]:
    """Return the records' flags; for a layer with its own success where its task was measured."""
    flags: npt.NDArray[np.uint8] = rows["flags"]
    if rows.layer is None:
        return flags
    measured = rows.block.names.measured(rows.layer)[rows["shape"]]
    if not measured.any():
        return flags
    own = np.where(rows.task("outcome") == _OK, SUCCESS_KNOWN | SUCCESS, SUCCESS_KNOWN).astype(np.uint8)
    return np.where(measured, flags & ~np.uint8(SUCCESS_KNOWN | SUCCESS) | own, flags)


def flags_of_one(one: One, layer: str | None) -> int:
    """Return the same for a single record."""
    flags = one.record.flags
    if layer is None or layer not in one.shape.tasks:
        return flags
    own = SUCCESS if one.tasks[layer].outcome == _OK else 0
    return (flags & ~SUCCESS) | SUCCESS_KNOWN | own


class Totals:
    """Everything that is counted of a selection: of recalls, or of one layer's tasks."""

    def __init__(self) -> None:
        self.n = 0
        self.by_flags = [0] * 64
        self.latency = Distribution()
        self.queue = LatencyHistogram()
        self._sums = {"memory": 0, "accuracy": 0}
        self._known = {"memory": 0, "accuracy": 0}
        self._work = 0
        self._span = 0

    def apply(self, rows: Rows, sign: int) -> None:
        """Count rows (+1) or take them away (−1)."""
        self.n += sign * len(rows)
        for flags, n in enumerate(np.bincount(flags_of(rows), minlength=64).tolist()):
            self.by_flags[flags] += sign * n
        self.latency.count(latencies(rows), sign)
        self.queue.count_many(queue_waits(rows), sign)
        self._sum("memory", rows["memory"], sign)
        if rows.layer is None:
            self._sum("accuracy", rows["accuracy"], sign)
            together = (rows["flags"] & PARALLEL) != 0
            self._work += sign * int(rows["work"][together].sum())
            self._span += sign * int(rows["span"][together].sum())

    def apply_one(self, one: One, layer: str | None, sign: int) -> None:
        """Count a record (+1) or take it away (−1)."""
        record, ms = one.record, time_of(one, layer)
        self.n += sign
        self.by_flags[flags_of_one(one, layer)] += sign
        if ms == ms:  # noqa: PLR0124  # not NaN
            self.latency.count_one(ms, sign)
        for measured in one.shape.tasks if layer is None else (layer,) if layer in one.shape.tasks else ():
            self.queue.add(one.tasks[measured].queue / 1000, sign)
        self._sum_one("memory", record.memory, sign)
        if layer is None:
            self._sum_one("accuracy", record.accuracy, sign)
            if record.flags & PARALLEL:
                self._work += sign * record.work
                self._span += sign * record.span

    def _sum(self, name: str, values: Column, sign: int) -> None:
        known = ~np.isnan(values)
        fixed = np.rint(values[known] * _FIXED).astype(np.int64)
        self._known[name] += sign * len(fixed)
        self._sums[name] += sign * int(fixed.sum())

    def _sum_one(self, name: str, value: float, sign: int) -> None:
        if value == value:  # noqa: PLR0124  # not NaN
            self._known[name] += sign
            self._sums[name] += sign * round(value * _FIXED)

    def mean(self, name: str) -> float:
        """Return the average of a figure over the records where it is known; NaN if nowhere."""
        return self._sums[name] / _FIXED / self._known[name] if self._known[name] else math.nan

    def with_flags(self, bits: int) -> int:
        """Return how many have all these bits of ``flags`` set."""
        return sum(_having(bits)(self.by_flags))

    def rate(self, bit: int, known: int) -> float:
        """Return the share that has ``bit`` among those that have ``known``; NaN if there are none."""
        among = self.with_flags(known)
        return self.with_flags(known | bit) / among if among else math.nan

    @property
    def speed_up(self) -> float:
        """Of parallel recalls, service time over the time in which a layer was in service; 1.0 if unknown."""
        return self._work / self._span if self._span else 1.0


@lru_cache(maxsize=64)
def _having(bits: int) -> Callable[[list[int]], tuple[int, ...]]:
    """Return what takes the counts of the flags that have all these bits; at least two bits are unset."""
    return itemgetter(*(flags for flags in range(64) if flags & bits == bits))


def queue_waits(rows: Rows) -> Floats:
    """Return measured queue waits of layer tasks in ms: the layer's, or of all layers of the recalls."""
    if rows.layer is not None:
        measured = rows.block.names.measured(rows.layer)[rows["shape"]]
        waits: Floats = rows.task("queue")[measured] / 1000
        return waits
    parts = [queue_waits(rows.of_layer(layer)) for layer in rows.layers()]
    return np.concatenate(parts) if parts else np.zeros(0)


@dataclass(frozen=True, slots=True)
class WindowSummary:
    """A selection in figures. Latencies in ms, rates left to the reader; NaN is unknown.

    With a layer in the filter, latencies, errors and waits are that layer's own.

    Attributes:
        count: recalls, also those of unknown latency or outcome.
        known_success: recalls whose outcome is known.
        errors: recalls (or tasks of the layer) that failed, refused ones not among them.
        partial: recalls with a partial answer.
        refused: recalls that were turned away unserved; their latency is unknown.
        cache_hits: answered from the cache.
        cache_known: recalls of which it is known.
        mean_latency_ms: average.
        p50_latency_ms: median; the others likewise, exact by ``s[int(q · n)]``.
        throughput_per_s: recalls by the time from the first to the last.
        first_timestamp: Unix seconds.
        last_timestamp: Unix seconds.
        mean_queue_ms: average wait of a layer task for a slot.
        p99_queue_ms: its 99th percentile, within 1.6 %.
        speed_up: service time over the time in which a layer was in service, of parallel recalls.
    """

    count: int
    known_success: int
    errors: int
    partial: int
    refused: int
    cache_hits: int
    cache_known: int
    mean_latency_ms: float
    p50_latency_ms: float
    p90_latency_ms: float
    p95_latency_ms: float
    p99_latency_ms: float
    p999_latency_ms: float
    throughput_per_s: float
    first_timestamp: float
    last_timestamp: float
    mean_queue_ms: float
    p99_queue_ms: float
    speed_up: float


def percentiles(
    summaries: IncrementalSummaries, view: View, selection: Selection, qs: Sequence[float], exact: bool = True
) -> Floats:
    """Return percentiles of the selected latencies in ms: exact, or within 1.6 % from the histogram."""
    totals = summaries.summary(Totals, selection, view)
    if not exact:
        return totals.latency.histogram.quantiles(qs)
    return np.array(totals.latency.exact(qs, _values(view, selection)))


def _values(view: View, selection: Selection) -> Callable[[], Iterable[Floats]]:
    return lambda: map(latencies, selection.parts(view))


def summarise(summaries: IncrementalSummaries, view: View, selection: Selection) -> WindowSummary:
    """Return the figures of a selection."""
    totals = summaries.summary(Totals, selection, view)
    first, last = time_range(view, selection)
    p50, p90, p95, p99, p999 = totals.latency.exact(FIVE, _values(view, selection))
    known = totals.with_flags(SUCCESS_KNOWN)
    refused = 0
    if selection.layer is None:  # a layer's success is its own, partial is the recall
        judged, answered = (totals.with_flags(SUCCESS_KNOWN | PARTIAL | bit) for bit in (0, SUCCESS))
        refused = judged - answered
    return WindowSummary(
        totals.n,
        known,
        known - totals.with_flags(SUCCESS_KNOWN | SUCCESS) - refused,
        totals.with_flags(PARTIAL) - refused,
        refused,
        totals.with_flags(CACHE_KNOWN | CACHE_HIT),
        totals.with_flags(CACHE_KNOWN),
        totals.latency.histogram.mean,
        p50,
        p90,
        p95,
        p99,
        p999,
        totals.n / (last - first) if last > first else math.nan,
        first,
        last,
        totals.queue.mean,
        totals.queue.quantile(0.99),
        totals.speed_up,
    )


def time_range(view: View, selection: Selection) -> tuple[float, float]:
    """Return first and last time of the selected records in Unix seconds; NaN if there are none.

    Blocks that cannot hold an earlier or later one are not looked through.
    """
    first, last = math.inf, -math.inf
    for block in view.blocks:
        if block.oldest < first and selection.may_be_in(block):
            first = min(first, selection.of(view.part(block))["time"].min(initial=math.inf))
    for block in reversed(view.blocks):
        if block.newest > last and selection.may_be_in(block):
            last = max(last, selection.of(view.part(block))["time"].max(initial=-math.inf))
    return (float(first), float(last)) if last >= first else (math.nan, math.nan)


def layer_metrics(summaries: IncrementalSummaries, view: View, layer: str) -> LayerMetrics | None:
    """Return what a layer did; None if no visible recall asked it."""
    selection = Selection(layer=layer)
    totals = summaries.summary(Totals, selection, view)
    if not totals.n:
        return None
    p50, p90, p95, p99, p999 = totals.latency.exact(FIVE, _values(view, selection))
    return LayerMetrics(
        layer_name=layer,
        total_queries=totals.n,
        successful_queries=totals.with_flags(SUCCESS_KNOWN | SUCCESS),
        avg_latency_ms=totals.latency.histogram.mean,
        p50_latency_ms=p50,
        p99_latency_ms=p99,
        avg_memory_mb=_memory_alone(view, selection),
        error_rate=1 - totals.rate(SUCCESS, SUCCESS_KNOWN),
        cache_hit_rate=totals.rate(CACHE_HIT, CACHE_KNOWN),
        p90_latency_ms=p90,
        p95_latency_ms=p95,
        p999_latency_ms=p999,
        avg_queue_ms=totals.queue.mean,
        p99_queue_ms=totals.queue.quantile(0.99),
    )


def _memory_alone(view: View, selection: Selection) -> float:
    """Return the mean peak in MB of recalls that asked one layer: of others nobody knows whose it was."""
    known: list[npt.NDArray[np.float64]] = []
    for rows in selection.parts(view):
        memory = rows["memory"]
        if not np.isnan(memory).all():
            shapes = rows.block.names.shapes
            alone = {n for n in np.unique(rows["shape"]).tolist() if len(shapes[n].layers) == 1}
            known.append(memory[np.isin(rows["shape"], list(alone)) & ~np.isnan(memory)])
    values = np.concatenate(known) if known else np.empty(0)
    return float(values.mean()) if len(values) else math.nan


def query_type_metrics(
    summaries: IncrementalSummaries, view: View, query_type: str
) -> QueryTypeMetrics | None:
    """Return what recalls of a type did; None if none is visible."""
    selection = Selection(query_type=query_type)
    totals = summaries.summary(Totals, selection, view)
    if not totals.n:
        return None
    p50, p90, p95, p99, p999 = totals.latency.exact(FIVE, _values(view, selection))
    return QueryTypeMetrics(
        query_type=query_type,
        total_queries=totals.n,
        avg_latency_ms=totals.latency.histogram.mean,
        p99_latency_ms=p99,
        parallel_speedup=totals.speed_up,
        cache_hit_rate=totals.rate(CACHE_HIT, CACHE_KNOWN),
        success_rate=totals.rate(SUCCESS, SUCCESS_KNOWN),
        avg_accuracy=totals.mean("accuracy"),
        p50_latency_ms=p50,
        p90_latency_ms=p90,
        p95_latency_ms=p95,
        p999_latency_ms=p999,
    )
