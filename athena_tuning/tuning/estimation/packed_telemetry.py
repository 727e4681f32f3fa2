"""Recalls and the contention curve as columns of bytes: small, exact, and back again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.model import LayerTask, TaskOutcome
from athena_tuning.tuning.estimation.concurrency_levels import Curve
from athena_tuning.tuning.estimation.measured_recall import MeasuredRecall, calls

OUTCOMES = tuple(TaskOutcome)


class Column(NamedTuple):
    """Numbers as bytes: first the first bytes of all, then the second ones, which compresses best."""

    dtype: str
    data: bytes
    scale: int = 1

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Column:
        """Return the fewest bytes that hold the values exactly; ms that are whole µs are stored as such."""
        array = np.asarray(values)
        scale = 1
        if array.dtype.kind == "f":
            micro = np.rint(array * 1000)
            if (np.abs(micro) < 2**31).all() and (micro / 1000 == array).all():
                array, scale = micro.astype(np.int32), 1000
        elif array.dtype.kind in "iu" and array.size:
            array = array.astype(np.min_scalar_type(int(array.max())))
        return cls(
            array.dtype.str, array.view(np.uint8).reshape(array.size, array.itemsize).T.tobytes(), scale
        )

    def values(self) -> npt.NDArray[Any]:
        """Return the values."""
        dtype = np.dtype(self.dtype)
        array = np.frombuffer(self.data, np.uint8).reshape(dtype.itemsize, -1).T.copy().view(dtype)[:, 0]
        return array / self.scale if self.scale != 1 else array


class RecallColumns(NamedTuple):
    """Recalls and their tasks; texts and numbers of results are left out."""

    types: tuple[str, ...]
    layers: tuple[str, ...]
    began: Column
    latency: Column
    type: Column
    flags: Column
    tasks: Column
    layer: Column
    offset: Column
    queue: Column
    service: Column
    in_flight: Column
    outcome: Column


class CurveColumns(NamedTuple):
    """A contention curve; of the covariance the lower triangle."""

    n: Column
    log_slow: Column
    error: Column
    lower: Column
    shares: dict[str, float]
    work_ms: dict[str, float]
    known: tuple[int, ...]
    samples: dict[str, int]


def packed_recalls(recalls: Sequence[MeasuredRecall]) -> RecallColumns:
    """Return recalls as columns."""
    types = {name: i for i, name in enumerate(sorted({r.query_type for r in recalls}))}
    tasks = [task for recall in recalls for task in (*recall.tasks, *recall.second)]
    layers = {name: i for i, name in enumerate(sorted({task.layer for task in tasks}))}
    return RecallColumns(
        tuple(types),
        tuple(layers),
        Column.of([r.began for r in recalls]),
        Column.of([r.latency_ms for r in recalls]),
        Column.of([types[r.query_type] for r in recalls]),
        Column.of([r.success + 2 * r.partial for r in recalls]),
        Column.of([len(r.tasks) + len(r.second) for r in recalls]),
        Column.of([layers[t.layer] for t in tasks]),
        Column.of([t.offset_ms for t in tasks]),
        Column.of([t.queue_ms for t in tasks]),
        Column.of([t.service_ms for t in tasks]),
        Column.of([t.in_flight for t in tasks]),
        Column.of([OUTCOMES.index(t.outcome) for t in tasks]),
    )


def unpacked_recalls(columns: RecallColumns) -> tuple[MeasuredRecall, ...]:
    """Return the recalls of columns; they have no texts."""
    task_columns = (
        columns.layer, columns.offset, columns.queue, columns.service, columns.in_flight, columns.outcome
    )  # fmt: skip
    tasks = (
        LayerTask(columns.layers[layer], offset, queue, service, in_flight, OUTCOMES[outcome])
        for layer, offset, queue, service, in_flight, outcome in zip(
            *(column.values().tolist() for column in task_columns), strict=True
        )
    )
    recall_columns = columns.began, columns.latency, columns.type, columns.flags, columns.tasks
    return tuple(
        MeasuredRecall(
            began,
            began + latency / 1000 if latency < math.inf else began,
            columns.types[kind],
            "",
            False,
            bool(flags & 1),
            bool(flags & 2),
            latency,
            *calls(tuple(next(tasks) for _ in range(count))),
        )
        for began, latency, kind, flags, count in zip(
            *(column.values().tolist() for column in recall_columns), strict=True
        )
    )


def packed_curve(curve: Curve | None) -> CurveColumns | None:
    """Return a curve as columns."""
    if curve is None:
        return None
    return CurveColumns(
        Column.of(curve.n),
        Column.of(curve.log_slow),
        Column.of(curve.error),
        Column.of(curve.covariance[np.tril_indices(len(curve.covariance))]),
        dict(curve.shares),
        dict(curve.work_ms),
        curve.known,
        dict(curve.samples),
    )


def unpacked_curve(packed: CurveColumns | None) -> Curve | None:
    """Return the curve of columns."""
    if packed is None:
        return None
    n = packed.n.values()
    size = len(n) + len(packed.shares)
    covariance = np.zeros((size, size))
    covariance[np.tril_indices(size)] = packed.lower.values()
    covariance += np.tril(covariance, -1).T
    return Curve(
        n,
        packed.log_slow.values(),
        packed.error.values(),
        packed.shares,
        packed.work_ms,
        packed.known,
        packed.samples,
        covariance,
    )
