"""Does running together help: speed-up without queueing in it, waits apart, figures by tasks in flight."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.frames import TIME, frame
from athena_tuning.model import TaskOutcome
from athena_tuning.profiling.columns.block import One, Rows
from athena_tuning.profiling.columns.incremental import IncrementalSummaries
from athena_tuning.profiling.columns.names import Names
from athena_tuning.profiling.columns.selection import Selection, latencies, time_of
from athena_tuning.profiling.columns.table import PARALLEL, SUCCESS, SUCCESS_KNOWN
from athena_tuning.profiling.columns.window import View
from athena_tuning.profiling.histogram import Floats, Ints, LatencyHistogram
from athena_tuning.profiling.questions.statistics import Totals, queue_waits

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class ConcurrencyRow:
    """Recalls that saw the same number of tasks in flight. Latencies in ms, within 1.6 %.

    Attributes:
        level: most tasks in flight that a task of the recall saw as it started, itself included.
        n: recalls.
        p50_latency_ms: median latency.
        p99_latency_ms: its 99th percentile.
        throughput_per_s: layer tasks a second at this level, by Little's law: level over the mean service
            time of the tasks that started with so many in flight.
    """

    level: int
    n: int
    p50_latency_ms: float
    p99_latency_ms: float
    throughput_per_s: float


@dataclass(frozen=True, slots=True)
class ConcurrencyReport:
    """What running layers at the same time brought.

    Attributes:
        speed_up: of parallel recalls, service times of all layers over the time in which at least one was in
            service. A wait for a slot is in neither, so a backend with one slot shows 1.0.
        parallel_share: recalls whose layers ran at the same time.
        queue_p50_ms: wait of a layer task for a slot; within 1.6 %, NaN if none was measured.
        queue_p95_ms: likewise.
        queue_p99_ms: likewise.
        levels: by tasks in flight, ascending.
    """

    speed_up: float
    parallel_share: float
    queue_p50_ms: float
    queue_p95_ms: float
    queue_p99_ms: float
    levels: tuple[ConcurrencyRow, ...]


class Levels:
    """Recalls by tasks in flight, and service times of tasks likewise."""

    def __init__(self) -> None:
        self.recalls: Counter[int] = Counter()
        self.latency: defaultdict[int, LatencyHistogram] = defaultdict(LatencyHistogram)
        self.service: defaultdict[int, LatencyHistogram] = defaultdict(LatencyHistogram)

    def apply(self, rows: Rows, sign: int) -> None:
        """Count rows (+1) or take them away (−1)."""
        levels = rows["level"]
        for level in set(levels.tolist()) - {0}:
            some = rows.where(levels == level)
            self.recalls[level] += sign * len(some)
            self.latency[level].count_many(latencies(some), sign)
        for layer in rows.block.tasks if rows.layer is None else (rows.layer,):
            tasks = rows.of_layer(layer)
            in_flight, service = tasks.task("in_flight"), tasks.task("service")
            for level in set(in_flight.tolist()) - {0}:
                self.service[level].count_many(service[in_flight == level], sign)

    def apply_one(self, one: One, layer: str | None, sign: int) -> None:
        """Count a record (+1) or take it away (−1)."""
        level, ms = one.record.level, time_of(one, layer)
        if level:
            self.recalls[level] += sign
            if not math.isnan(ms):
                self.latency[level].add(ms, sign)
        for name in one.tasks if layer is None else (layer,):
            task = one.tasks[name]
            if task.in_flight:
                self.service[task.in_flight].add(task.service, sign)


def concurrency_report(
    summaries: IncrementalSummaries, view: View, selection: Selection
) -> ConcurrencyReport:
    """Return what running layers at the same time brought."""
    totals = summaries.summary(Totals, selection, view)
    levels = summaries.summary(Levels, selection, view)
    rows = []
    for level in sorted(level for level, n in levels.recalls.items() if n):
        p50, p99 = levels.latency[level].quantiles((0.5, 0.99)).tolist()
        service = levels.service[level].mean
        throughput = level / service * 1000 if service > 0 else math.nan
        rows.append(ConcurrencyRow(level, levels.recalls[level], p50, p99, throughput))
    p50, p95, p99 = totals.queue.quantiles((0.5, 0.95, 0.99)).tolist()
    share = totals.with_flags(PARALLEL) / totals.n if totals.n else math.nan
    return ConcurrencyReport(totals.speed_up, share, p50, p95, p99, tuple(rows))


def effectiveness(summaries: IncrementalSummaries, view: View) -> dict[str, float]:
    """Return share of parallel recalls, their speed-up, and the share of them that succeeded."""
    totals = summaries.summary(Totals, Selection(), view)
    known = totals.with_flags(PARALLEL | SUCCESS_KNOWN)
    return {
        "parallel_usage": totals.with_flags(PARALLEL) / totals.n if totals.n else 0.0,
        "avg_speedup": totals.speed_up,
        "successful": totals.with_flags(PARALLEL | SUCCESS_KNOWN | SUCCESS) / known if known else 0.0,
    }


class QueueWaits(NamedTuple):
    """Waits of layer tasks for a slot by bucket of time: its start in Unix seconds; ms, within 1.6 %."""

    time: list[float]
    p50: list[float]
    p99: list[float]


class WaitsOverTime:
    """Waits of layer tasks by slice of time."""

    def __init__(self, width: float) -> None:
        self.by_slice: defaultdict[int, LatencyHistogram] = defaultdict(LatencyHistogram)
        self._width = width

    def apply(self, rows: Rows, sign: int) -> None:
        """Count rows (+1) or take them away (−1)."""
        slices = np.floor_divide(rows["time"], self._width).astype(np.int64)
        for piece in set(slices.tolist()):
            self._count(piece, queue_waits(rows.where(slices == piece)), sign)

    def apply_one(self, one: One, layer: str | None, sign: int) -> None:
        """Count a record (+1) or take it away (−1)."""
        measured = one.shape.tasks if layer is None else {layer}.intersection(one.shape.tasks)
        waits = np.array([one.tasks[name].queue / 1000 for name in measured])
        self._count(math.floor(one.record.time / self._width), waits, sign)

    def _count(self, piece: int, waits: Floats, sign: int) -> None:
        self.by_slice[piece].count_many(waits, sign)
        if not self.by_slice[piece].count:
            del self.by_slice[piece]


def waits_over_time(
    summaries: IncrementalSummaries, view: View, selection: Selection, bucket_seconds: float
) -> QueueWaits:
    """Return how long layer tasks waited for a slot, in the buckets that have tasks."""
    by_slice = sorted(summaries.summary(_waits(bucket_seconds), selection, view).by_slice.items())
    quantiles = [waits.quantiles((0.5, 0.99)).tolist() for _, waits in by_slice]
    starts = [piece * bucket_seconds for piece, _ in by_slice]
    return QueueWaits(starts, [p50 for p50, _ in quantiles], [p99 for _, p99 in quantiles])


@lru_cache(maxsize=256)
def _waits(width: float) -> Callable[[], WaitsOverTime]:
    return partial(WaitsOverTime, width)


class Together:
    """Recalls by shape: who was asked together."""

    def __init__(self) -> None:
        self.by_shape: Ints = np.zeros(16, np.int64)

    def apply(self, rows: Rows, sign: int) -> None:
        """Count rows (+1) or take them away (−1)."""
        counts = np.bincount(rows["shape"])
        self._make_room(len(counts))
        self.by_shape[: len(counts)] += sign * counts

    def apply_one(self, one: One, layer: str | None, sign: int) -> None:
        """Count a record (+1) or take it away (−1)."""
        self._make_room(one.record.shape + 1)
        self.by_shape[one.record.shape] += sign

    def _make_room(self, shapes: int) -> None:
        if shapes > len(self.by_shape):
            self.by_shape = np.concatenate([self.by_shape, np.zeros(shapes, np.int64)])

    def pairs(self, names: Names) -> tuple[list[str], Ints, int]:
        """Return layers, how many recalls asked each two of them (one: the diagonal), and all recalls."""
        numbers = np.flatnonzero(self.by_shape).tolist()
        shapes = [(names.shapes[number], int(self.by_shape[number])) for number in numbers]
        layers = sorted({layer for shape, _ in shapes for layer in shape.layers})
        used = np.array([[layer in shape.layers for layer in layers] for shape, _ in shapes])
        used = used.reshape(len(shapes), len(layers)).astype(np.int64)
        counts = np.array([n for _, n in shapes], np.int64)
        return layers, (used.T * counts) @ used, int(counts.sum())


def co_occurrence(
    summaries: IncrementalSummaries, view: View, selection: Selection, names: Names
) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Return layers and the share of recalls that asked both, for each pair; alone on the diagonal."""
    layers, both, n = summaries.summary(Together, selection, view).pairs(names)
    return layers, both / max(n, 1)


def dependencies(summaries: IncrementalSummaries, view: View, names: Names) -> dict[str, dict[str, float]]:
    """Return for each layer how often each other one was asked with it."""
    layers, both, _ = summaries.summary(Together, Selection(), view).pairs(names)
    return {
        a: {b: float(both[i, j] / both[i, i]) for j, b in enumerate(layers) if i != j and both[i, j]}
        for i, a in enumerate(layers)
    }


@dataclass(frozen=True, slots=True)
class TaskTable:
    """Layer tasks as columns, a row a task that was measured, ordered by recall.

    Attributes:
        recall: the recall's position in the order of arrival; tasks of one recall share it.
        time: Unix seconds at which the recall began.
        layer: place in ``layers``.
        query_type: place in ``query_types``.
        offset_ms: from the recall's start to when the task asked for a slot.
        queue_ms: wait for the slot.
        service_ms: the layer's own time; of a timeout, a lower bound.
        in_flight: tasks in flight as it started, itself included.
        outcome: place in ``tuple(TaskOutcome)``: 0 ok, 1 timeout, 2 error.
        config_version: the version in force.
        layers: names.
        query_types: names.
    """

    recall: Ints
    time: Floats
    layer: Ints
    query_type: Ints
    offset_ms: Floats
    queue_ms: Floats
    service_ms: Floats
    in_flight: Ints
    outcome: npt.NDArray[np.uint8]
    config_version: Ints
    layers: tuple[str, ...]
    query_types: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.time)

    def to_pandas(self) -> pd.DataFrame:
        """Return the tasks as a table with these columns.

        ``time`` is ``datetime64[us, UTC]``; names and outcomes are categories.

        Raises:
            MissingExtra: if pandas is not installed.

        Examples:
            >>> from athena_tuning import LayerTask, PerformanceProfiler, QueryMetrics
            >>> profiler = PerformanceProfiler()
            >>> tasks = (LayerTask("episodic", 0.0, 2.0, 8.0, 1), LayerTask("graph", 0.0, 0.0, 9.5, 2))
            >>> profiler.record_query(QueryMetrics("q", "last deploy?", "temporal", 0, 10.0, None, False, 3,
            ...                                    ["episodic", "graph"], {}, True, tasks=tasks))
            >>> table = profiler.tasks().to_pandas()
            >>> table[["layer", "queue_ms", "service_ms", "outcome"]].values.tolist()
            [['episodic', 2.0, 8.0, 'ok'], ['graph', 0.0, 9.5, 'ok']]
        """
        return frame(
            {
                "recall": ("int64", self.recall),
                "time": (TIME, self.time),
                "layer": ("category", np.array(self.layers, np.object_)[self.layer]),
                "query_type": ("category", np.array(self.query_types, np.object_)[self.query_type]),
                "offset_ms": ("float64", self.offset_ms),
                "queue_ms": ("float64", self.queue_ms),
                "service_ms": ("float64", self.service_ms),
                "in_flight": ("int64", self.in_flight),
                "outcome": (TaskOutcome, np.array(tuple(TaskOutcome), np.object_)[self.outcome]),
                "config_version": ("int64", self.config_version),
            }
        )


def task_table(view: View, selection: Selection, names: Names) -> TaskTable:
    """Return the telemetry of all selected layer tasks."""
    layers = [selection.layer] if selection.layer is not None else names.layers()
    query_types = sorted(names.types.used())
    place = np.zeros(len(names.types), np.int64)
    for i, query_type in enumerate(query_types):
        place[names.types.get(query_type)] = i
    parts = []
    for selected in selection.parts(view):
        for i, layer in enumerate(layers):
            tasks = selected.of_layer(layer)
            tasks = tasks.where(names.measured(layer)[tasks["shape"]])
            if len(tasks):
                parts.append(
                    (
                        tasks.positions(),
                        tasks["time"],
                        np.full(len(tasks), i),
                        place[tasks["type"]],
                        tasks.task("offset") / 1000,
                        tasks.task("queue") / 1000,
                        tasks.task("service"),
                        tasks.task("in_flight").astype(np.int64),
                        tasks.task("outcome").astype(np.uint8),
                        tasks["config"].astype(np.int64),
                    )
                )
    columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
    if not columns:
        ints, floats = np.zeros(0, np.int64), np.zeros(0)
        columns = [ints, floats, ints, ints, floats, floats, floats, ints, np.zeros(0, np.uint8), ints]
    order = np.argsort(columns[0], kind="stable")
    columns = [*(column[order] for column in columns), tuple(layers), tuple(query_types)]
    return TaskTable(*columns)
