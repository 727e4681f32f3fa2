"""The columns of a batch of records, and records again. ``encoding`` writes what is read here."""

from __future__ import annotations

import copy
import math
import struct
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling.columns.column_batch import Columns
from athena_tuning.store.packing import Floats, Ints, Unpacker
from athena_tuning.store.text_policy import hash_shown

VERSION = 2
HEAD = struct.Struct("<BI")
CACHE_KNOWN, CACHE_HIT, SUCCESS_KNOWN, SUCCESS, PARALLEL, PARTIAL = 1, 2, 4, 8, 16, 32
OUTCOMES = tuple(TaskOutcome)
OK = OUTCOMES.index(TaskOutcome.OK)

_RECORD_COLUMNS = (
    *("_id", "text", "time", "latency", "memory", "results", "accuracy", "satisfaction"),
    *("type", "error", "source", "flags", "concurrency", "config"),
)
_LAYER_COLUMNS = {
    "tasks_at": ("task_layer", "offset", "queue", "service", "in_flight", "outcome", "task_results"),
    "timed_at": ("timed_layer", "timed"),
    "queried_at": ("queried_layer",),
}
_NAMED_COLUMNS = {
    "text_ids": ("text",),
    "types": ("type",),
    "errors": ("error",),
    "sources": ("source",),
    "layers": ("task_layer", "timed_layer", "queried_layer"),
}


class Segment:
    """The columns of one batch. Row ``i`` of every record column is record ``i``.

    A text, type, error or source is a place in the list of distinct values. ``tasks_at[i]`` to
    ``tasks_at[i + 1]`` are the task rows of record ``i``; the same with ``timed_at`` and ``queried_at``.

    Args:
        data: from ``encode``.

    Raises:
        ValueError: if the bytes are of another version or damaged.
    """

    def __init__(self, data: bytes) -> None:
        source = Unpacker(data)
        version, n = HEAD.unpack(source.raw(HEAD.size))
        if version != VERSION:
            raise ValueError(f"a segment of version {version}; this program reads version {VERSION}")
        self.n = n
        self._prefix, self._id = _unpack_ids(source, n)
        self.text_ids: list[int] = source.ints(int.from_bytes(source.raw(4), "little")).tolist()
        self.text = source.ints(n)
        self.time, self.latency, self.memory, self.results = (source.floats(n) for _ in range(4))
        self.accuracy, self.satisfaction = source.floats(n), source.floats(n)
        self.types, self.type = source.strings(), source.ints(n)
        self.errors, self.error = source.strings(), source.ints(n)
        self.sources, self.source = source.strings(), source.ints(n)
        self.flags, self.concurrency, self.config = source.ints(n), source.ints(n), source.ints(n)
        self.layers = source.strings()
        groups: list[tuple[Ints, Ints]] = []
        for _ in range(3):
            if source.raw(1) == b"\1":
                groups.append(groups[-1])
                continue
            at = np.concatenate([[0], np.cumsum(source.ints(n))])
            groups.append((at, source.ints(int(at[-1]))))
        (self.tasks_at, self.task_layer), (self.timed_at, self.timed_layer) = groups[:2]
        self.queried_at, self.queried_layer = groups[2]
        m = len(self.task_layer)
        self.offset, self.queue, self.service = (source.floats(m) for _ in range(3))
        self.in_flight, self.outcome, self.task_results = (source.ints(m) for _ in range(3))
        shared = source.raw(1) == b"\1"
        self.timed = self.service if shared else source.floats(len(self.timed_layer))

    @classmethod
    def of(cls, columns: Columns, text_ids: Sequence[int]) -> Segment:
        """Return columns that come from a window as they are.

        Args:
            columns: at least one record.
            text_ids: of the texts that ``columns.text`` gives the places of.
        """
        rows = cls.__new__(cls)
        rows.n, rows._prefix, rows.text_ids = columns.n, "", list(text_ids)
        rows._id = np.array(columns.query_ids(), object)
        for names in ("types", "sources", "layers"):
            setattr(rows, names, getattr(columns, names))
        rows.errors = [error or "" for error in columns.errors]
        for column in (*_RECORD_COLUMNS[1:], *_LAYER_COLUMNS, *chain(*_LAYER_COLUMNS.values())):
            setattr(rows, column, getattr(columns, column))
        return rows

    def query_ids(self) -> list[str]:
        """Return the id of each record."""
        return [f"{self._prefix}{tail}" for tail in self._id.tolist()]

    def since(self, time: float) -> Segment:
        """Return the rows that are not older than ``time`` (Unix seconds)."""
        return self.where(self.time >= time)

    def where(self, keep: npt.NDArray[np.bool_]) -> Segment:
        """Return some of the rows."""
        if keep.all():
            return self
        part = copy.copy(self)
        part.n = int(keep.sum())
        for name in _RECORD_COLUMNS:
            setattr(part, name, getattr(self, name)[keep])
        for edges, columns in _LAYER_COLUMNS.items():
            sizes = np.diff(getattr(self, edges))
            setattr(part, edges, np.concatenate([[0], np.cumsum(sizes[keep])]))
            rows = np.repeat(keep, sizes)
            for name in columns:
                setattr(part, name, getattr(self, name)[rows])
        return part

    def texts(self, kept: Mapping[int, str]) -> list[str]:
        """Return the texts of ``text_ids``; one that is not kept is shown as its hash."""
        return [kept.get(key) or hash_shown(key) for key in self.text_ids]

    def records(self, texts: Mapping[int, str]) -> list[QueryMetrics]:
        """Return the batch as records; a text that is not in ``texts`` is shown as its hash."""
        shown = self.texts(texts)
        columns = (
            self.query_ids(),
            _named(shown, self.text),
            _named(self.types, self.type),
            self.time.tolist(),
            _known(self.latency),
            _known(self.memory),
            _flags(self.flags, CACHE_KNOWN, CACHE_HIT),
            [None if value is None else int(value) for value in _known(self.results)],
            self._parts(self.queried_at, _named(self.layers, self.queried_layer)),
            self._times(),
            _flags(self.flags, SUCCESS_KNOWN, SUCCESS),
            _named([error or None for error in self.errors], self.error),
            (self.flags & PARALLEL).astype(bool).tolist(),
            self.concurrency.tolist(),
            _known(self.accuracy),
            _known(self.satisfaction),
            self._tasks(),
            (self.flags & PARTIAL).astype(bool).tolist(),
            self.config.tolist(),
            _named(self.sources, self.source),
        )
        return list(map(partial(tuple.__new__, QueryMetrics), zip(*columns, strict=True)))

    def _parts(self, at: Ints, flat: list[Any]) -> list[list[Any]]:
        edges = at.tolist()
        return [flat[a:b] for a, b in pairwise(edges)]

    def _times(self) -> list[dict[str, float]]:
        pairs = list(zip(_named(self.layers, self.timed_layer), self.timed.tolist(), strict=True))
        return list(map(dict, self._parts(self.timed_at, pairs)))

    def _tasks(self) -> list[tuple[LayerTask, ...]]:
        columns = (
            _named(self.layers, self.task_layer),
            self.offset.tolist(),
            self.queue.tolist(),
            self.service.tolist(),
            self.in_flight.tolist(),
            _named(OUTCOMES, self.outcome),
            self.task_results.tolist(),
        )
        flat = list(map(partial(tuple.__new__, LayerTask), zip(*columns, strict=True)))
        return list(map(tuple, self._parts(self.tasks_at, flat)))


def joined(segments: Sequence[Segment]) -> Segment:
    """Return the rows of several segments one after the other, with one list of names for all.

    Args:
        segments: at least one.
    """
    if len(segments) == 1:
        return segments[0]
    whole = copy.copy(segments[0])
    whole.n = sum(part.n for part in segments)
    whole._prefix = ""
    whole._id = np.array([name for part in segments for name in part.query_ids()], object)
    for names, columns in _NAMED_COLUMNS.items():
        numbers: dict[Any, int] = {}
        tables = [
            np.array([numbers.setdefault(name, len(numbers)) for name in getattr(part, names)], np.int64)
            for part in segments
        ]
        setattr(whole, names, list(numbers))
        for column in columns:
            parts = [table[getattr(part, column)] for table, part in zip(tables, segments, strict=True)]
            setattr(whole, column, np.concatenate(parts))
    renamed = {"_id", *chain.from_iterable(_NAMED_COLUMNS.values())}
    for column in (*_RECORD_COLUMNS, *chain.from_iterable(_LAYER_COLUMNS.values())):
        if column not in renamed:
            setattr(whole, column, np.concatenate([getattr(part, column) for part in segments]))
    for edges in _LAYER_COLUMNS:
        sizes = np.concatenate([np.diff(getattr(part, edges)) for part in segments])
        setattr(whole, edges, np.concatenate([[0], np.cumsum(sizes)]))
    return whole


def _unpack_ids(source: Unpacker, n: int) -> tuple[str, npt.NDArray[Any]]:
    if source.raw(1) == b"\1":
        return source.strings()[0], source.ints(n)
    return "", np.array(source.strings(), object)


def _named(names: Sequence[Any], places: Ints) -> list[Any]:
    return [names[place] for place in places.tolist()]


def _known(values: Floats) -> list[float | None]:
    known: list[float | None] = values.tolist()
    if np.isnan(values).any():
        return [None if math.isnan(value) else value for value in values.tolist()]
    return known


def _flags(flags: Ints, known: int, true: int) -> list[bool | None]:
    meaning = {0: None, known: False, known | true: True}
    return [meaning[flag] for flag in (flags & (known | true)).tolist()]
