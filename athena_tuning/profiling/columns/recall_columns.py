"""Recalls as columns: what a window gives, what a store keeps, and what both take back."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from typing import Any, Generic, Self, TypeVar, cast

import numpy as np
import numpy.typing as npt

from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.profiling.columns.rows import OUTCOMES
from athena_tuning.profiling.columns.table import (
    CACHE_HIT,
    CACHE_KNOWN,
    PARALLEL,
    PARTIAL,
    SUCCESS,
    SUCCESS_KNOWN,
)
from athena_tuning.profiling.histogram import Floats, Ints

T = TypeVar("T", str, int)

_RECALL_COLUMNS = (
    *("id", "text", "time", "latency", "memory", "results", "accuracy", "satisfaction"),
    *("type", "error", "source", "flags", "concurrency", "config"),
)
_LAYER_COLUMNS = {
    "tasks_at": ("task_layer", "offset", "queue", "service", "in_flight", "outcome", "task_results"),
    "timed_at": ("timed_layer", "timed"),
    "queried_at": ("queried_layer",),
}
_NAMED_COLUMNS = {
    "texts": ("text",),
    "types": ("type",),
    "errors": ("error",),
    "sources": ("source",),
    "layers": ("task_layer", "timed_layer", "queried_layer"),
}


@dataclass
class RecallColumns(Generic[T]):
    """Some recalls. Row ``i`` of every recall column is recall ``i``.

    A text, type, error, source or layer is a place in the list of distinct values. ``tasks_at[i]`` to
    ``tasks_at[i + 1]`` are the task rows of recall ``i``; the same with ``timed_at`` and ``queried_at``.

    Attributes:
        prefix: how all query ids begin.
        id: how each goes on.
        texts: the distinct query texts, or their ids where texts lie elsewhere.
        time: Unix seconds.
        latency: ms; NaN: unknown.
        memory: MB; NaN: unknown.
        results: how many; NaN: unknown.
        accuracy: 0 to 1; NaN: unknown.
        satisfaction: 0 to 1; NaN: unknown.
        errors: the distinct errors; "" for none.
        flags: bits, as ``table`` names them.
        timed: ms of each layer that gave a latency.
        offset: ms from the recall's begin to the task's.
        queue: ms that the task waited for a slot.
        service: ms that it was served.
    """

    prefix: str
    id: npt.NDArray[Any]
    texts: list[T]
    text: Ints
    time: Floats
    latency: Floats
    memory: Floats
    results: Floats
    accuracy: Floats
    satisfaction: Floats
    types: list[str]
    type: Ints
    errors: list[str]
    error: Ints
    sources: list[str]
    source: Ints
    flags: Ints
    concurrency: Ints
    config: Ints
    layers: list[str]
    tasks_at: Ints
    task_layer: Ints
    timed_at: Ints
    timed_layer: Ints
    queried_at: Ints
    queried_layer: Ints
    offset: Floats
    queue: Floats
    service: Floats
    in_flight: Ints
    outcome: Ints
    task_results: Ints
    timed: Floats

    @property
    def n(self) -> int:
        """How many recalls."""
        return len(self.id)

    def query_ids(self) -> list[str]:
        """Return the id of each recall."""
        return [f"{self.prefix}{tail}" for tail in self.id.tolist()]

    def since(self, time: float) -> Self:
        """Return the recalls that are not older than ``time`` (Unix seconds)."""
        return self.where(self.time >= time)

    def where(self, keep: npt.NDArray[np.bool_]) -> Self:
        """Return some of the recalls."""
        if keep.all():
            return self
        part = copy.copy(self)
        for name in _RECALL_COLUMNS:
            setattr(part, name, getattr(self, name)[keep])
        for edges, columns in _LAYER_COLUMNS.items():
            sizes = np.diff(getattr(self, edges))
            setattr(part, edges, np.concatenate([[0], np.cumsum(sizes[keep])]))
            rows = np.repeat(keep, sizes)
            for name in columns:
                setattr(part, name, getattr(self, name)[rows])
        return part

    def with_text_ids(self, ids: list[int]) -> RecallColumns[int]:
        """Return the recalls with ids in the place of their texts."""
        renamed: Any = copy.copy(self)
        renamed.texts = ids
        return cast("RecallColumns[int]", renamed)

    def records(self, texts: Sequence[str]) -> list[QueryMetrics]:
        """Return the recalls as records.

        Args:
            texts: in the place of each of ``self.texts``.
        """
        columns = (
            self.query_ids(),
            _named(texts, self.text),
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


def joined(parts: Sequence[RecallColumns[T]]) -> RecallColumns[T]:
    """Return the rows of several parts one after the other, with one list of names for all.

    Args:
        parts: at least one.
    """
    if len(parts) == 1:
        return parts[0]
    whole = copy.copy(parts[0])
    whole.prefix = ""
    whole.id = np.array([name for part in parts for name in part.query_ids()], object)
    for names, columns in _NAMED_COLUMNS.items():
        numbers: dict[Any, int] = {}
        tables = [
            np.array([numbers.setdefault(name, len(numbers)) for name in getattr(part, names)], np.int64)
            for part in parts
        ]
        setattr(whole, names, list(numbers))
        for column in columns:
            renumbered = [table[getattr(part, column)] for table, part in zip(tables, parts, strict=True)]
            setattr(whole, column, np.concatenate(renumbered))
    renamed = {"id", *chain.from_iterable(_NAMED_COLUMNS.values())}
    for column in (*_RECALL_COLUMNS, *chain.from_iterable(_LAYER_COLUMNS.values())):
        if column not in renamed:
            setattr(whole, column, np.concatenate([getattr(part, column) for part in parts]))
    for edges in _LAYER_COLUMNS:
        sizes = np.concatenate([np.diff(getattr(part, edges)) for part in parts])
        setattr(whole, edges, np.concatenate([[0], np.cumsum(sizes)]))
    return whole


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
