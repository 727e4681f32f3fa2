"""How records become columns: many by transposing the batch, a few one by one, both to the same rows.

A batch is transposed at C level (``zip``) and checked column by column; only a batch in which something is
odd goes through the rules record by record first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling import rules
from athena_tuning.profiling.columns import (
    CACHE_HIT,
    CACHE_KNOWN,
    PARALLEL,
    PARTIAL,
    SUCCESS,
    SUCCESS_KNOWN,
    Column,
)
from athena_tuning.profiling.window import BLOCK_ROWS, Names, Shape, Window

ONE_BY_ONE = 16
"""Up to so many pending records, writing rows is faster than transposing."""

OUTCOMES = tuple(TaskOutcome)
_OUTCOME_ID: dict[str, int] = {outcome: place for place, outcome in enumerate(OUTCOMES)}
_CACHE_BITS = {None: 0, False: CACHE_KNOWN, True: CACHE_KNOWN | CACHE_HIT}
_SUCCESS_BITS = {None: 0, False: SUCCESS_KNOWN, True: SUCCESS_KNOWN | SUCCESS}

_Kinds = set[type[object]]
_TEXT: _Kinds = {str}
_REAL: _Kinds = {float, int}
_COUNT: _Kinds = {int}
_FLAG: _Kinds = {bool}
_KINDS: tuple[_Kinds, ...] = (
    _TEXT,
    _TEXT,
    _TEXT,
    _REAL,
    _REAL | {type(None)},
    _REAL | {type(None)},
    _FLAG | {type(None)},
    _COUNT | {type(None)},
    {list},
    {dict},
    _FLAG | {type(None)},
    _TEXT | {type(None)},
    _FLAG,
    _COUNT,
    _REAL | {type(None)},
    _REAL | {type(None)},
    {tuple},
    _FLAG,
    _COUNT,
    _TEXT,
)
_TASK_KINDS: tuple[_Kinds, ...] = (_TEXT, _REAL, _REAL, _REAL, _COUNT, {str, TaskOutcome}, _COUNT)


def fold(window: Window, records: Sequence[object], now: float, keep: int, counters: Counter[str]) -> None:
    """Put pending records into the window's columns.

    Args:
        window: takes the rows.
        records: in the order of their arrival; anything that a caller may have recorded.
        now: Unix seconds.
        keep: the window's size; of more records only the last ones get rows.
        counters: takes "recorded" and what the rules did.
    """
    cutoff = window.cutoff(now)
    if len(records) > ONE_BY_ONE:
        batch = _Batch(records)
        if batch.is_normal(now, cutoff) and batch.enter_shapes(window.names):
            counters["recorded"] += len(records)
            _extend(window, batch, keep)
            return
    clean = [m for record in records if (m := rules.normal(record, now, cutoff, counters)) is not None]
    counters["recorded"] += len(clean)
    if len(clean) > ONE_BY_ONE:
        batch = _Batch(clean)
        batch.transpose()
        batch.enter_shapes(window.names)
        _extend(window, batch, keep)
    else:
        window.skip(max(len(clean) - keep, 0))
        for m in clean[-keep:]:
            window.open_block().append(m.query_id, record_row(m, window.names), task_rows(m))
            window.advance(1)


def shape_of(m: QueryMetrics) -> Shape:
    """Return who was asked, timed and measured."""
    return Shape(tuple(m.layers_queried), tuple(m.layer_latencies), tuple([task.layer for task in m.tasks]))


def record_row(m: QueryMetrics, names: Names) -> tuple[float, ...]:
    """Return the row of one record, in the order of ``columns.RECORD``."""
    latency = math.nan if m.latency_ms is None else m.latency_ms
    work, span = _work_and_span(m)
    return (
        m.timestamp,
        latency,
        math.nan if m.memory_mb is None else m.memory_mb,
        m.accuracy_score,
        math.nan if m.user_satisfaction is None else m.user_satisfaction,
        work,
        span,
        -1 if m.result_count is None else m.result_count,
        names.texts.id_of(m.query_text),
        names.types.id_of(m.query_type),
        names.shapes.id_of(shape_of(m)),
        names.errors.id_of(m.error),
        names.sources.id_of(m.source),
        _CACHE_BITS[m.cache_hit]
        | _SUCCESS_BITS[m.success]
        | (PARALLEL if m.parallel_execution else 0)
        | (PARTIAL if m.partial else 0),
        m.concurrency_level,
        m.config_version,
        max([task.in_flight for task in m.tasks], default=0),
    )


def task_rows(m: QueryMetrics) -> list[tuple[str, tuple[float, ...]]]:
    """Return each asked layer with its row, in the order of ``columns.TASK``."""
    stand_in = math.nan if m.latency_ms is None else m.latency_ms
    if not m.tasks:
        times = m.layer_latencies
        return [(layer, (times.get(layer, stand_in), 0, 0, 0, 0, 0)) for layer in m.layers_queried]
    tasks = {task.layer: task for task in m.tasks}
    rows: list[tuple[str, tuple[float, ...]]] = []
    for layer in m.layers_queried:
        task = tasks.get(layer)
        if task is None:
            rows.append((layer, (m.layer_latencies.get(layer, stand_in), 0, 0, 0, 0, 0)))
            continue
        _, offset, queue, service, in_flight, outcome, results = task
        service = m.layer_latencies.get(layer, service)
        queue_us, offset_us = round(queue * 1000), round(offset * 1000)
        rows.append((layer, (service, queue_us, offset_us, in_flight, _OUTCOME_ID[outcome], results)))
    return rows


def _work_and_span(m: QueryMetrics) -> tuple[float, float]:
    """Return ms of service over all layers, and ms in which at least one was in service.

    From tasks the span is the union of their service intervals: waits are in neither, so a speed-up of
    work / span cannot come from queueing. Without tasks the whole latency of a parallel recall stands in.
    """
    if m.tasks:
        busy, until = 0.0, 0.0
        for start, took in sorted([(t.offset_ms + t.queue_ms, t.service_ms) for t in m.tasks]):
            finish = start + took
            if finish > until:
                busy += finish - max(start, until)
                until = finish
        return sum([task.service_ms for task in m.tasks]), busy
    work = sum(m.layer_latencies.values())
    if not m.parallel_execution:
        return work, work
    return (work, m.latency_ms) if work and m.latency_ms else (0.0, 0.0)


class _Batch:
    """Many records, transposed: a tuple a field, one flat list of all layer latencies, one of all tasks."""

    def __init__(self, records: Sequence[Any]) -> None:
        self.records = records

    def is_normal(self, now: float, cutoff: float) -> bool:
        """Whether every record is as the rules want it; layers' names are left to ``enter_shapes``."""
        if set(map(type, self.records)) != {QueryMetrics}:
            return False
        try:
            self.transpose()
        except (ValueError, TypeError):
            return False
        kinds_fit = all(
            kinds.issuperset(map(type, field))
            for kinds, field in zip((*_KINDS, *_TASK_KINDS), (*self.fields, *self.tasks), strict=True)
        )
        return (
            kinds_fit
            and _REAL.issuperset(map(type, self.timed))
            and self._texts_fit()
            and self._numbers_fit(now, cutoff)
            and self._tasks_fit()
        )

    def transpose(self) -> None:
        """Turn records into fields.

        Raises:
            ValueError: if records or tasks differ in length.
            TypeError: if a field is of a kind that cannot be walked.
        """
        self.fields: tuple[tuple[Any, ...], ...] = tuple(zip(*self.records, strict=True))
        latencies: tuple[dict[str, float], ...] = self.fields[9]
        tasks = list(chain.from_iterable(self.fields[16]))
        if not {LayerTask}.issuperset(map(type, tasks)):
            raise TypeError("tasks are not all LayerTask")
        self.timed = list(chain.from_iterable(map(dict.values, latencies)))
        self.timed_at = _starts(latencies)
        self.tasks: tuple[tuple[Any, ...], ...] = tuple(zip(*tasks, strict=True)) or ((),) * 7
        self.tasks_at = _starts(self.fields[16])

    def enter_shapes(self, names: Names) -> bool:
        """Number the records' shapes; False if one has names that the rules do not allow."""
        f = self.fields
        measured = [tuple([task[0] for task in tasks]) for tasks in f[16]]
        try:
            keys: Any = list(zip(map(tuple, f[8]), map(tuple, f[9]), measured, strict=True))
            for key in set(keys):
                if names.shapes.get(key) is None and not _is_proper(Shape(*key)):
                    return False
        except TypeError:
            return False
        for key in set(keys):
            names.shapes.id_of(Shape(*key))
        self.shapes = names.shapes.ids_of(keys)
        return True

    def _texts_fit(self) -> bool:
        ids, texts, types, errors, sources = (self.fields[i] for i in (0, 1, 2, 11, 19))
        names = set(types) | set(sources)
        errors_fit = all(error is None or len(error) <= rules.LONGEST_TEXT for error in set(errors))
        return (
            max(map(len, ids)) <= rules.LONGEST_NAME
            and max(map(len, texts)) <= rules.LONGEST_TEXT
            and all(0 < len(name) <= rules.LONGEST_NAME for name in names)
            and errors_fit
        )

    def _numbers_fit(self, now: float, cutoff: float) -> bool:
        f = self.fields
        time, latency, memory, accuracy, satisfaction = (_reals(f[i]) for i in (3, 4, 5, 14, 15))
        self.reals = (time, latency, memory, accuracy, satisfaction)
        return bool(
            (time >= max(cutoff, 0.0)).all()
            and (time <= now + rules.AHEAD_SECONDS).all()
            and _within(latency, rules.LONGEST_MS, f[4])
            and _within(memory, rules.LARGEST_MEMORY, f[5])
            and _within(accuracy, 1.0, f[14])
            and _within(satisfaction, 1.0, f[15])
            and _within(_reals(self.timed), rules.LONGEST_MS)
            and all(_counts_fit(f[i]) for i in (7, 13, 18))
        )

    def _tasks_fit(self) -> bool:
        _, offset, queue, service, in_flight, outcome, results = self.tasks
        return (
            all(_within(_reals(times), rules.LONGEST_MS) for times in (offset, queue, service))
            and _counts_fit(in_flight)
            and _counts_fit(results)
            and _OUTCOME_ID.keys() >= set(outcome)
        )

    def record_columns(self, names: Names) -> list[Column]:
        """Return the columns of ``columns.RECORD``."""
        f = self.fields
        bits = zip(f[6], f[10], f[12], f[17], strict=True)
        work, span, level = self._contention()
        return [
            *(_reals(f[i]) for i in (3, 4, 5, 14, 15)),
            work,
            span,
            np.array([-1 if n is None else n for n in f[7]], np.int64),
            names.texts.ids_of(f[1]),
            names.types.ids_of(f[2]),
            self.shapes,
            names.errors.ids_of(f[11]),
            names.sources.ids_of(f[19]),
            np.array(
                [
                    _CACHE_BITS[c] | _SUCCESS_BITS[s] | PARALLEL * par | PARTIAL * cut
                    for c, s, par, cut in bits
                ],
                np.uint8,
            ),
            np.array(f[13], np.int64),
            np.array(f[18], np.int64),
            level,
        ]

    def task_columns(self, names: Names) -> dict[str, tuple[npt.NDArray[np.intp], list[Column]]]:
        """Return by layer the records that asked it and its columns of ``columns.TASK``."""
        timed, latency = _reals(self.timed), _reals(self.fields[4])
        measured = self._measured()
        parts: dict[str, list[tuple[npt.NDArray[np.intp], list[Column]]]] = {}
        for shape, recalls in self._by_shape(names):
            for layer in shape.layers:
                columns: list[Column] = [np.zeros(len(recalls), np.int64)] * 6
                if layer in shape.tasks:
                    places = self.tasks_at[recalls] + shape.tasks.index(layer)
                    columns = [column[places] for column in measured]
                if layer in shape.timed:
                    columns[0] = timed[self.timed_at[recalls] + shape.timed.index(layer)]
                elif layer not in shape.tasks:
                    columns[0] = latency[recalls]
                parts.setdefault(layer, []).append((recalls, columns))
        return {layer: _in_order(some) for layer, some in parts.items()}

    def _measured(self) -> list[Column]:
        _, offset, queue, service, in_flight, outcome, results = self.tasks
        return [
            _reals(service),
            np.rint(_reals(queue) * 1000).astype(np.int64),
            np.rint(_reals(offset) * 1000).astype(np.int64),
            np.array(in_flight, np.int64),
            np.array([_OUTCOME_ID[o] for o in outcome], np.uint8),
            np.array(results, np.int64),
        ]

    def _contention(self) -> tuple[Column, Column, Column]:
        """Return work, span and level of each record; see ``_work_and_span``."""
        n = len(self.records)
        work, level = np.zeros(n), np.zeros(n, np.int64)
        holds_timed = np.repeat(np.arange(n), np.diff(self.timed_at, append=len(self.timed)))
        np.add.at(work, holds_timed, _reals(self.timed))
        parallel = np.array(self.fields[12], np.bool_)
        latency = np.nan_to_num(_reals(self.fields[4]))
        unknown = parallel & ((work == 0) | (latency == 0))
        span = np.where(parallel, latency, work)
        work[unknown] = span[unknown] = 0
        _, offset, queue, service, in_flight, _, _ = self.tasks
        if len(service):
            counts = np.diff(self.tasks_at, append=len(service))
            some = np.flatnonzero(counts)
            starts = self.tasks_at[some]
            begin, took = _reals(offset) + _reals(queue), _reals(service)
            work[some] = np.add.reduceat(took, starts)
            level[some] = np.maximum.reduceat(np.array(in_flight, np.int64), starts)
            span[some] = _busy(begin, took, starts, counts[some])
        return work, span, level

    def _by_shape(self, names: Names) -> Iterable[tuple[Shape, npt.NDArray[np.intp]]]:
        for number in np.unique(self.shapes).tolist():
            shape = names.shapes.values[number]
            if shape is not None:
                yield shape, np.flatnonzero(self.shapes == number)


def _busy(
    begin: Column, took: Column, starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> Column:
    """Return for each recall the length of the union of its tasks' service intervals, in ms."""
    busy, until = np.zeros(len(starts)), np.zeros(len(starts))
    recall = np.repeat(np.arange(len(starts)), counts)
    order = np.lexsort((took, begin, recall))
    begin, finish = begin[order], (begin + took)[order]
    for nth in range(int(counts.max())):
        has = np.flatnonzero(counts > nth)
        at = starts[has] + nth
        start, end = np.maximum(begin[at], until[has]), finish[at]
        longer = end > until[has]
        busy[has[longer]] += (end - start)[longer]
        until[has[longer]] = end[longer]
    return busy


def _extend(window: Window, batch: _Batch, keep: int) -> None:
    """Write a batch into the window's blocks, of which the last may fill up on the way."""
    n = len(batch.records)
    columns, tasks = batch.record_columns(window.names), batch.task_columns(window.names)
    done = max(n - keep, 0)
    window.skip(done)
    while done < n:
        block = window.open_block()
        upto = min(n, done + BLOCK_ROWS - len(block))
        part: dict[str, Sequence[Column]] = {}
        for layer, (recalls, values) in tasks.items():
            low, high = np.searchsorted(recalls, (done, upto)).tolist()
            part[layer] = [column[low:high] for column in values]
        block.extend(batch.fields[0][done:upto], [column[done:upto] for column in columns], part)
        window.advance(upto - done)
        done = upto


def _starts(fields: Sequence[Any]) -> npt.NDArray[np.int64]:
    """Return where each record's part begins when all are laid one after the other."""
    ends = np.cumsum(np.fromiter(map(len, fields), np.int64, len(fields)))
    return np.concatenate([[0], ends[:-1]])


def _reals(values: Sequence[Any]) -> npt.NDArray[np.float64]:
    return np.array(values, np.float64)


def _within(values: npt.NDArray[np.float64], largest: float, given: Sequence[Any] = ()) -> bool:
    """Whether all are 0 to ``largest``; NaN is allowed only where None was given."""
    wrong = ~((values >= 0) & (values <= largest))
    return not wrong.any() or int(wrong.sum()) == given.count(None)


def _counts_fit(values: Sequence[Any]) -> bool:
    return all(n is None or 0 <= n <= rules.LARGEST_COUNT for n in set(values))


def _in_order(
    parts: list[tuple[npt.NDArray[np.intp], list[Column]]],
) -> tuple[npt.NDArray[np.intp], list[Column]]:
    if len(parts) == 1:
        return parts[0]
    recalls = np.concatenate([recalls for recalls, _ in parts])
    order = np.argsort(recalls, kind="stable")
    columns = [np.concatenate(column)[order] for column in zip(*(c for _, c in parts), strict=True)]
    return recalls[order], columns


def _is_proper(shape: Shape) -> bool:
    layers = set(shape.layers)
    return (
        all(rules.is_name(layer) for layer in shape.layers)
        and len(layers) == len(shape.layers) <= rules.MOST_LAYERS
        and layers.issuperset(shape.timed)
        and layers.issuperset(shape.tasks)
        and len(set(shape.tasks)) == len(shape.tasks)
    )
