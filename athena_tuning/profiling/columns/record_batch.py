"""Many records to columns at once, checked on the way.

A batch is transposed at C level and every column converted once. What the rules would have to mend or reject
makes the whole batch need validation; it then goes through the rules record by record and comes back clean.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.profiling.columns import validation
from athena_tuning.profiling.columns.names import Names, Shape
from athena_tuning.profiling.columns.rows import FLAGS, OUTCOME_ID
from athena_tuning.profiling.columns.table import PARALLEL, Column
from athena_tuning.profiling.histogram import Floats, Ints

_Part = tuple[npt.NDArray[np.intp], list[Column]]


class NeedsValidation(Exception):
    """Something in the batch is not as the rules want it."""


class RecordBatch:
    """Records as columns. Nothing is entered into the dictionaries unless all of them are in order.

    Args:
        records: at least one.
        names: the window's dictionaries.
        now: Unix seconds.
        cutoff: oldest time of the window.

    Raises:
        NeedsValidation: if the rules have something to say about a record.
    """

    def __init__(self, records: Sequence[Any], names: Names, now: float, cutoff: float) -> None:
        if set(map(type, records)) != {QueryMetrics}:
            raise NeedsValidation
        try:
            self._fields: tuple[tuple[Any, ...], ...] = tuple(zip(*records, strict=True))
            self._read_layers()
            self._read_records(now, cutoff)
            self._check_names(names)
        except Exception as error:
            raise NeedsValidation from error

    def __len__(self) -> int:
        return len(self.query_ids)

    def _read_records(self, now: float, cutoff: float) -> None:
        ids, _, _, time, latency, memory, hit, results, _, _, success, *rest = self._fields
        _, parallel, concurrency, accuracy, satisfaction, _, partial, config, _ = rest
        _require({str}.issuperset(map(type, ids)) and max(map(len, ids)) <= validation.LONGEST_NAME)
        self.query_ids = ids
        self._time = _reals(time, now + validation.AHEAD_SECONDS, max(cutoff, 0.0))
        self._latency = _known(latency, validation.LONGEST_MS)
        self._others = [
            _known(memory, validation.LARGEST_MEMORY),
            _real_or_nan(accuracy, 1.0),
            _known(satisfaction, 1.0),
        ]
        flags = map(FLAGS.__getitem__, zip(hit, success, parallel, partial, strict=True))
        self._flags = np.frombuffer(bytes(flags), np.uint8)
        given = results if None not in results else tuple([-1 if n is None else n for n in results])
        self._results = _counts(given, -1)
        self._concurrency, self._config = _counts(concurrency), _counts(config)

    def _read_layers(self) -> None:
        layers, latencies, tasks = self._fields[8], self._fields[9], self._fields[16]
        _require({list, tuple}.issuperset(map(type, layers)))
        flat = list(chain.from_iterable(tasks))
        _require({LayerTask}.issuperset(map(type, flat)))
        self._timed = _reals(list(chain.from_iterable(map(dict.values, latencies))), validation.LONGEST_MS)
        self._timed_n, self._timed_at = _extents(latencies)
        self._tasks_n, self._tasks_at = _extents(tasks)
        measured, offset, queue, service, in_flight, outcome, results = (
            tuple(zip(*flat, strict=True)) or ((),) * 7
        )
        self._offset, self._queue = (
            _reals(offset, validation.LONGEST_MS),
            _reals(queue, validation.LONGEST_MS),
        )
        self._service = _reals(service, validation.LONGEST_MS)
        self._in_flight, self._task_results = _counts(in_flight), _counts(results)
        self._outcome = np.frombuffer(bytes(map(OUTCOME_ID.__getitem__, outcome)), np.uint8)
        measured_by = _apart(measured, self._tasks_n)
        self._shape_keys: Any = list(zip(map(tuple, layers), map(tuple, latencies), measured_by, strict=True))

    def _check_names(self, names: Names) -> None:
        """Look at texts and names that are new to the dictionaries."""
        f = self._fields
        checks: tuple[tuple[str, Sequence[Any], Callable[[Any], bool]], ...] = (
            ("shape", self._shape_keys, is_proper),
            ("text", f[1], partial(_fits, 0, validation.LONGEST_TEXT)),
            ("type", f[2], partial(_fits, 1, validation.LONGEST_NAME)),
            ("error", f[11], lambda error: error is None or _fits(0, validation.LONGEST_TEXT, error)),
            ("source", f[19], partial(_fits, 1, validation.LONGEST_NAME)),
        )
        self._names: dict[str, tuple[Sequence[Any], Ints]] = {}
        fresh: dict[str, set[Any]] = {}
        for column, values, is_right in checks:
            ids = names.by_column[column].look_up(values)
            new = {values[place] for place in np.flatnonzero(ids < 0).tolist()}
            _require(all(map(is_right, new)))
            fresh[column] = new
            self._names[column] = list(map(Shape._make, values)) if new and column == "shape" else values, ids
        _require(names.bound.takes(fresh["type"], chain.from_iterable(shape[0] for shape in fresh["shape"])))

    def record_columns(self, names: Names) -> list[Column]:
        """Return the columns of ``columns.RECORD``."""
        ids = self.ids(names)
        self._shapes = ids["shape"]
        work, span, level = self._contention()
        return [
            self._time,
            self._latency,
            *self._others,
            *(np.rint(ms * 1000).astype(np.int64) for ms in (work, span)),
            self._results,
            *(ids[column] for column in ("text", "type", "shape", "error", "source")),
            self._flags,
            self._concurrency,
            self._config,
            level,
        ]

    def ids(self, names: Names) -> dict[str, Ints]:
        """Return the numbers of texts, types, shapes, errors and sources; new ones get one."""
        return {
            column: names.by_column[column].enter(values, known)
            for column, (values, known) in self._names.items()
        }

    def task_columns(self, names: Names) -> dict[str, _Part]:
        """Return by layer the records that asked it and its columns of ``columns.TASK``."""
        layers, recall, task, timed, ends = self._asked(names)
        service = self._latency[recall]
        measured: list[Column] = [
            self._service,
            np.rint(self._queue * 1000).astype(np.int64),
            np.rint(self._offset * 1000).astype(np.int64),
            self._in_flight,
            self._outcome,
            self._task_results,
        ]
        if len(self._service):
            has_task = task >= 0
            places = np.where(has_task, self._tasks_at[recall] + task, 0)
            measured = [np.where(has_task, column[places], 0) for column in measured]
            service = np.where(has_task, measured[0], service)
        else:
            measured = [np.zeros(len(recall), column.dtype) for column in measured]
        if len(self._timed):
            has_time = timed >= 0
            places = np.where(has_time, self._timed_at[recall] + timed, 0)
            service = np.where(has_time, self._timed[places], service)
        columns = [service, *measured[1:]]
        starts = [0, *ends][:-1]
        return {
            layer: (recall[start:end], [column[start:end] for column in columns])
            for layer, start, end in zip(layers, starts, ends, strict=True)
        }

    def _asked(self, names: Names) -> tuple[list[str], Ints, Ints, Ints, list[int]]:
        """Return who was asked by whom, layer by layer and each in the order of the recalls.

        Returns:
            The layers; beside each other recall, and of the layer in it the task's and the latency's number
            (-1: none); and where in these each layer ends.
        """
        distinct, which = np.unique(self._shapes, return_inverse=True)
        numbers: dict[str, int] = {}
        rows = [
            [
                (numbers.setdefault(layer, len(numbers)), _place(tasks, layer), _place(timed, layer))
                for layer in layers
            ]
            for layers, timed, tasks in map(names.shapes.__getitem__, distinct.tolist())
        ]
        widest = max(map(len, rows))
        if not widest:
            none = np.zeros(0, np.int64)
            return [], none, none, none, []
        table = np.array([row + [(-1, -1, -1)] * (widest - len(row)) for row in rows])[which].reshape(-1, 3)
        used = np.flatnonzero(table[:, 0] >= 0)
        layer, task, timed = table[used].T
        order = np.argsort(layer.astype(np.min_scalar_type(len(numbers))), kind="stable")
        ends = np.cumsum(np.bincount(layer)).tolist()
        return list(numbers), (used // widest)[order], task[order], timed[order], ends

    def _contention(self) -> tuple[Floats, Floats, Ints]:
        """Return work, span and level of each record; ``rows.work_and_span`` says what they are."""
        some = np.flatnonzero(self._tasks_n)
        work, span = (
            (np.zeros(len(self)), np.zeros(len(self))) if len(some) == len(self) else self._without_tasks()
        )
        level = np.zeros(len(self), np.int64)
        if len(some):
            starts = self._tasks_at[some]
            work[some] = np.add.reduceat(self._service, starts)
            level[some] = np.maximum.reduceat(self._in_flight, starts)
            begin = self._offset + self._queue
            for k in np.unique(self._tasks_n[some]).tolist():
                alike = np.flatnonzero(self._tasks_n == k)
                places = self._tasks_at[alike] + np.arange(k)[:, None]
                span[alike] = _union(begin[places], self._service[places])
        return work, span, level

    def _without_tasks(self) -> tuple[Floats, Floats]:
        """Return work and span of each record as if none had a task."""
        work = np.zeros(len(self))
        some = np.flatnonzero(self._timed_n)
        if len(some):
            work[some] = np.add.reduceat(self._timed, self._timed_at[some])
        parallel = (self._flags & PARALLEL) != 0
        latency = np.nan_to_num(self._latency)
        span = np.where(parallel, latency, work)
        unknown = parallel & ((work == 0) | (latency == 0))
        work[unknown] = span[unknown] = 0
        return work, span


def _union(begin: Floats, took: Floats) -> Floats:
    """Return by column how long at least one of the intervals in its rows lasts."""
    order = np.argsort(begin, axis=0)
    begin = np.take_along_axis(begin, order, 0)
    finish = begin + np.take_along_axis(took, order, 0)
    busy, until = np.zeros(begin.shape[1]), np.zeros(begin.shape[1])
    for start, end in zip(begin, finish, strict=True):
        busy += np.maximum(end - np.maximum(start, until), 0)
        until = np.maximum(until, end)
    return busy


def is_proper(shape: Shape) -> bool:
    """Whether the rules allow a shape's names."""
    layers, timed, tasks = shape
    distinct = set(layers)
    return (
        all(map(validation.is_name, layers))
        and len(distinct) == len(layers) <= validation.MOST_LAYERS
        and distinct.issuperset(timed)
        and distinct.issuperset(tasks)
        and len(set(tasks)) == len(tasks)
    )


def _apart(flat: tuple[Any, ...], lengths: Ints) -> list[tuple[Any, ...]]:
    """Return the parts that ``flat`` was joined from; the inverse of a chain."""
    n = int(lengths[0])
    if (lengths == n).all():
        return list(zip(*[iter(flat)] * n, strict=True)) if n else [()] * len(lengths)
    ends = np.cumsum(lengths).tolist()
    return [flat[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _place(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else -1


def _fits(shortest: int, longest: int, value: object) -> bool:
    return type(value) is str and shortest <= len(value) <= longest


def _require(holds: bool) -> None:
    if not holds:
        raise NeedsValidation


def _reals(values: Sequence[Any], largest: float, smallest: float = 0.0) -> Floats:
    """Convert numbers, all of them between the bounds."""
    numbers = np.frombuffer(struct.pack(f"{len(values)}d", *values))
    _require(bool(((numbers >= smallest) & (numbers <= largest)).all()))
    return numbers


def _real_or_nan(values: Sequence[Any], largest: float) -> Floats:
    """Convert numbers of which NaN is one that is not known."""
    numbers = np.frombuffer(struct.pack(f"{len(values)}d", *values))
    _require(bool((((numbers >= 0) & (numbers <= largest)) | np.isnan(numbers)).all()))
    return numbers


def _known(values: tuple[Any, ...], largest: float) -> Floats:
    """Convert numbers or None, which becomes NaN."""
    unknown = values.count(None) if None in values else 0
    if not unknown:
        return _reals(values, largest)
    numbers = np.full(len(values), np.nan)
    if unknown < len(values):
        is_known = np.array([value is not None for value in values])
        numbers[is_known] = _reals([value for value in values if value is not None], largest)
    return numbers


def _counts(values: Sequence[Any], smallest: int = 0) -> Ints:
    """Convert whole numbers, all of them possible counts."""
    numbers = np.frombuffer(struct.pack(f"{len(values)}q", *values), np.int64)
    _require(bool(((numbers >= smallest) & (numbers <= validation.LARGEST_COUNT)).all()))
    return numbers


def _extents(fields: Sequence[Any]) -> tuple[Ints, Ints]:
    """Return how long each record's part is and where it begins when all are laid end to end."""
    lengths = np.fromiter(map(len, fields), np.int64, len(fields))
    return lengths, np.cumsum(lengths) - lengths
