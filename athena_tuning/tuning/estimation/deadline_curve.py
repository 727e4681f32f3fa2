"""What an overall deadline would do: how much sooner, for how much less."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.profiling.questions.concurrency import TaskTable

Floats = npt.NDArray[np.float64]

POINTS = 16


class DeadlinePoint(NamedTuple):
    """What recalls would have met under one deadline.

    Attributes:
        deadline_ms: time after which a recall goes on with what there is; infinite: none.
        p50_ms: median latency.
        p99_ms: its 99th percentile, ``s[int(0.99 n)]``.
        partial: share of recalls that miss a layer.
        failed: share of recalls that miss every layer.
        lost: expected share of an answer that is missing, over all recalls.
    """

    deadline_ms: float
    p50_ms: float
    p99_ms: float
    partial: float
    failed: float
    lost: float


class DeadlineCurve(NamedTuple):
    """Points by deadline, the longest last (none at all), and the recalls they rest on."""

    points: tuple[DeadlinePoint, ...]
    recalls: int

    def shortest(self, lost: float) -> DeadlinePoint | None:
        """Return the shortest deadline that loses no more than ``lost`` beyond what is lost without one."""
        if not self.points:
            return None
        allowed = self.points[-1].lost + lost
        return next((point for point in self.points if point.lost <= allowed), None)


def deadline_curve(
    tasks: TaskTable,
    deadlines_ms: Sequence[float] | None = None,
    worth: Mapping[tuple[str, str], float] | None = None,
) -> DeadlineCurve:
    """Return what recorded recalls would have met under other deadlines.

    A task is in time if it was over by then, counted from its recall's start with its wait for a slot. What
    is lost of an answer is the worth of its late layers over the worth of all it asked. A recall that was
    given up early says nothing about longer deadlines: it counts as late under each. Slots that a deadline
    frees for others are not reckoned with, so where recalls queue, the truth is better than this.

    Args:
        tasks: what was recorded, preferably without a deadline.
        deadlines_ms: which to look at; None: ``POINTS`` between the 5th and the last percentile.
        worth: of a layer to a query type, by (type, layer), as the share of answers that it adds something
            to; one that is not named is worth 1.

    Examples:
        >>> from athena_tuning.model import LayerTask, QueryMetrics
        >>> from athena_tuning.profiling import PerformanceProfiler
        >>> profiler = PerformanceProfiler()
        >>> tasks = (LayerTask("a", 0, 0, 10.0, 1), LayerTask("b", 0, 0, 40.0, 2))
        >>> profiler.record_query(QueryMetrics("q", "?", "meta", 0, 40.0, None, False, 2, ["a", "b"],
        ...     {"a": 10.0, "b": 40.0}, True, tasks=tasks))
        >>> deadline_curve(profiler.tasks(), [20.0]).points[0]
        DeadlinePoint(deadline_ms=20.0, p50_ms=20.0, p99_ms=20.0, partial=1.0, failed=0.0, lost=0.5)
    """
    if not len(tasks):
        return DeadlineCurve((), 0)
    starts = np.flatnonzero(np.diff(tasks.recall, prepend=tasks.recall[0] - 1))
    over = tasks.offset_ms + tasks.queue_ms + tasks.service_ms
    ready = np.where(tasks.outcome == 0, over, math.inf)
    whole = np.maximum.reduceat(over, starts)
    values = _values(tasks, worth or {})
    total = np.add.reduceat(values, starts)
    chosen = list(deadlines_ms) if deadlines_ms is not None else _grid(whole)
    points = []
    for deadline in sorted({*chosen, math.inf}):
        late = ready > deadline if deadline < math.inf else tasks.outcome != 0
        missed = np.add.reduceat(np.where(late, values, 0.0), starts)
        late_layers = np.add.reduceat(late.astype(np.int64), starts)
        asked = np.diff(starts, append=len(tasks))
        latency = np.minimum(whole, deadline)
        points.append(
            DeadlinePoint(
                deadline,
                _quantile(latency, 0.5),
                _quantile(latency, 0.99),
                float((late_layers > 0).mean()),
                float((late_layers == asked).mean()),
                float(np.where(total > 0, missed / np.where(total > 0, total, 1.0), 0.0).mean()),
            )
        )
    return DeadlineCurve(tuple(points), len(starts))


def _values(tasks: TaskTable, worth: Mapping[tuple[str, str], float]) -> Floats:
    table = np.ones((len(tasks.query_types), len(tasks.layers)))
    for i, query_type in enumerate(tasks.query_types):
        for j, layer in enumerate(tasks.layers):
            table[i, j] = worth.get((query_type, layer), 1.0)
    return np.asarray(table[tasks.query_type, tasks.layer])


def _grid(whole: Floats) -> list[float]:
    low, high = max(_quantile(whole, 0.05), 0.1), max(_quantile(whole, 0.999), 0.2)
    return [float(f"{ms:.3g}") for ms in np.geomspace(low, max(high, low * 1.01), POINTS).tolist()]


def _quantile(values: Floats, q: float) -> float:
    return float(np.partition(values, k := min(int(q * len(values)), len(values) - 1))[k])
