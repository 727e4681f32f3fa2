"""Batches become roll-ups by minute: all columns at once, no record is built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from athena_tuning.model import TaskOutcome
from athena_tuning.profiling.columns.rows import OUTCOME_ID
from athena_tuning.profiling.columns.table import CACHE_HIT, CACHE_KNOWN, PARTIAL, SUCCESS, SUCCESS_KNOWN
from athena_tuning.profiling.histogram import bucket_of
from athena_tuning.store.packing import Floats, Ints
from athena_tuning.store.retention import Level
from athena_tuning.store.rollup import BUCKETS, COUNTS, RECALLS, Rollups, histograms
from athena_tuning.store.segment import Segment


def minutes_of(segments: Sequence[tuple[str, Segment]]) -> Rollups:
    """Roll batches up by minute.

    A layer's latency is its own; where a record names a layer without a time, the recall's latency stands in.
    A recall counts as an error if it failed, a layer if its task did.

    Args:
        segments: each batch with the worker it comes from.
    """
    if not segments:
        return Rollups.empty()
    batches = _Joined(segments)
    recalls = _recall_rows(batches)
    layers = _layer_rows(batches)
    return Rollups.joined((batches.grouped(*recalls), batches.grouped(*layers)))


class _Joined:
    """The columns of several segments as one, with names numbered over all of them."""

    def __init__(self, segments: Sequence[tuple[str, Segment]]) -> None:
        parts = [segment for _, segment in segments]
        self.n = sum(segment.n for segment in parts)
        self.workers: dict[str, int] = {}
        self.types: dict[str, int] = {}
        self.sources: dict[str, int] = {}
        self.layers: dict[str, int] = {RECALLS: 0}
        self.worker = np.repeat(
            [_number(self.workers, worker) for worker, _ in segments], [segment.n for segment in parts]
        )
        self.type = _concatenated(_renumbered(self.types, s.types)[s.type] for s in parts)
        self.source = _concatenated(_renumbered(self.sources, s.sources)[s.source] for s in parts)
        self.time, self.latency = (_concatenated(getattr(s, n) for s in parts) for n in ("time", "latency"))
        self.flags, self.config = (_concatenated(getattr(s, n) for s in parts) for n in ("flags", "config"))
        names = [_renumbered(self.layers, segment.layers) for segment in parts]
        starts = np.cumsum([0, *(segment.n for segment in parts)])
        self.task_record, self.task_layer = self._layer_keys(parts, names, starts, "tasks_at", "task_layer")
        self.timed_record, self.timed_layer = self._layer_keys(
            parts, names, starts, "timed_at", "timed_layer"
        )
        self.asked_record, self.asked_layer = self._layer_keys(
            parts, names, starts, "queried_at", "queried_layer"
        )
        self.timed, self.service, self.queue, self.outcome = (
            _concatenated(getattr(s, name) for s in parts)
            for name in ("timed", "service", "queue", "outcome")
        )

    @staticmethod
    def _layer_keys(
        parts: Sequence[Segment], names: Sequence[Ints], starts: Ints, edges: str, column: str
    ) -> tuple[Ints, Ints]:
        records = [
            np.repeat(np.arange(start, start + s.n), np.diff(getattr(s, edges)))
            for s, start in zip(parts, starts.tolist(), strict=False)
        ]
        layers = [number[getattr(s, column)] for s, number in zip(parts, names, strict=True)]
        return _concatenated(records), _concatenated(layers)

    def grouped(self, record: Ints, layer: Ints, counts: Ints, sums: Floats, latency: Floats) -> Rollups:
        """Return a row for each minute, layer, type, config version, worker and source among some rows.

        Args:
            record: the recall of each row.
            layer: its layer's number.
            counts: a line of ``COUNTS`` a row.
            sums: a line of ``SUMS`` a row.
            latency: ms, NaN if unknown.
        """
        if not len(record):
            return Rollups.empty()
        step = int(Level.MINUTE)
        start = (self.time[record] // step).astype(np.int64) * step
        columns = (self.type, self.config, self.worker, self.source)
        rows, group = _groups((start, layer, *(column[record] for column in columns)))
        n = len(rows)
        summed = [np.bincount(group, column, minlength=n) for column in (*counts.T, *sums.T)]
        known = ~np.isnan(latency)
        entries = group[known] * BUCKETS + bucket_of(np.ascontiguousarray(latency[known]))
        names = [list(numbers) for numbers in (self.layers, self.types, self.workers, self.sources)]
        keys = [
            (step, at, names[0][layer], names[1][type_], config, names[2][worker], names[3][source])
            for at, layer, type_, config, worker, source in rows
        ]
        return Rollups(
            keys,
            np.stack(summed[: len(COUNTS)], axis=1).astype(np.int64),
            np.stack(summed[len(COUNTS) :], axis=1),
            *histograms(entries, np.ones(len(entries), np.int64), n),
        )


def _recall_rows(batches: _Joined) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    flags = batches.flags
    latency = _measured(batches.latency)
    unsuccessful = (flags & (SUCCESS_KNOWN | SUCCESS)) == SUCCESS_KNOWN
    refused = unsuccessful & (flags & PARTIAL != 0)
    counts = (
        np.ones(batches.n),
        ~np.isnan(latency),
        unsuccessful & ~refused,
        flags & SUCCESS_KNOWN,
        (flags & PARTIAL != 0) & ~refused,
        flags & CACHE_HIT,
        flags & CACHE_KNOWN,
        refused,
    )
    waits = np.bincount(batches.task_record, np.nan_to_num(batches.queue), minlength=batches.n)
    sums = np.stack([np.nan_to_num(latency), waits], axis=1)
    record = np.arange(batches.n)
    return record, np.zeros(batches.n, np.int64), _lines(counts), sums, latency


def _layer_rows(batches: _Joined) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    record, layer = batches.asked_record, batches.asked_layer
    flags = batches.flags[record]
    pairs = _pair(record, layer)
    tasks = _pair(batches.task_record, batches.task_layer)
    latency = _looked_up(pairs, tasks, batches.service, batches.latency[record])
    latency = _measured(
        _looked_up(pairs, _pair(batches.timed_record, batches.timed_layer), batches.timed, latency)
    )
    failed = (flags & (SUCCESS_KNOWN | SUCCESS)) == SUCCESS_KNOWN
    outcome = _looked_up(
        pairs,
        tasks,
        (batches.outcome != OUTCOME_ID[TaskOutcome.OK]).astype(np.float64),
        failed.astype(np.float64),
    )
    counts = (
        np.ones(len(record)),
        ~np.isnan(latency),
        outcome,
        np.ones(len(record)),
        np.zeros(len(record)),
        flags & CACHE_HIT,
        flags & CACHE_KNOWN,
        np.zeros(len(record)),
    )
    queue = np.nan_to_num(_looked_up(pairs, tasks, batches.queue, np.zeros(len(record))))
    sums = np.stack([np.nan_to_num(latency), queue], axis=1)
    return record, layer, _lines(counts), sums, latency


def _groups(columns: Sequence[Ints]) -> tuple[list[list[int]], Ints]:
    """Return the distinct lines across some columns, in their order, and each line's place among them."""
    group = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        size, place = _numbered(column)
        group = _numbered(group * size + place)[1]
    example = np.empty(int(group.max()) + 1, np.int64)
    example[group] = np.arange(len(group))
    return np.stack([column[example] for column in columns], axis=1).tolist(), group


def _numbered(values: Ints) -> tuple[int, Ints]:
    """Return how many distinct values there are, and each value's place among them in their order."""
    low = int(values.min())
    span = int(values.max()) - low + 1
    if span > 16 * len(values) + 65536:
        distinct, places = np.unique(values, return_inverse=True)
        return len(distinct), places.astype(np.int64)
    relative = values - low
    there = np.zeros(span, np.bool_)
    there[relative] = True
    numbers = np.cumsum(there) - 1
    return int(numbers[-1]) + 1, numbers[relative]


def _lines(columns: Sequence[npt.NDArray[Any]]) -> Ints:
    return np.stack([column != 0 for column in columns], axis=1).astype(np.int64)


def _measured(latency: Floats) -> Floats:
    """Return latencies with NaN for what cannot be one."""
    return np.where((latency >= 0) & (latency < np.inf), latency, np.nan)


def _pair(record: Ints, layer: Ints) -> Ints:
    return record * 65536 + layer


def _looked_up(keys: Ints, among: Ints, values: Floats, otherwise: Floats) -> Floats:
    """Return for each key the value that stands beside it in ``among``, else what ``otherwise`` has."""
    if len(keys) == len(among) and bool((keys == among).all()):
        return values
    if not len(among):
        return otherwise
    order = np.argsort(among, kind="stable")
    place = order[np.minimum(np.searchsorted(among[order], keys), len(among) - 1)]
    return np.where(among[place] == keys, values[place], otherwise)


def _number(numbers: dict[str, int], name: str) -> int:
    return numbers.setdefault(name, len(numbers))


def _renumbered(numbers: dict[str, int], names: Sequence[str]) -> Ints:
    return np.array([_number(numbers, name) for name in names], np.int64)


def _concatenated(arrays: Iterable[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    parts = list(arrays)
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0, np.int64)
