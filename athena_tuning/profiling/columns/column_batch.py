"""Recalls as columns, as a store keeps them: into a window and out of it without building a record."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from athena_tuning.profiling.columns import validation
from athena_tuning.profiling.columns.block import Rows
from athena_tuning.profiling.columns.names import Names, Shape
from athena_tuning.profiling.columns.recall_columns import RecallColumns
from athena_tuning.profiling.columns.record_batch import NeedsValidation, RecordBatch, is_proper
from athena_tuning.profiling.columns.rows import OUTCOMES
from athena_tuning.profiling.columns.table import TASK, Column
from athena_tuning.profiling.histogram import Floats, Ints


class _Numbered(Protocol):
    def __getitem__(self, place: int, /) -> Any: ...


class ColumnBatch(RecordBatch):
    """A batch of which only the names have to be looked up.

    Args:
        columns: at least one recall.
        texts: the texts that ``columns.text`` gives the places of.
        names: the window's dictionaries.
        now: Unix seconds.
        cutoff: oldest time of the window.

    Raises:
        NeedsValidation: if the rules have something to say about a recall.
    """

    def __init__(
        self, columns: RecallColumns[Any], texts: Sequence[str], names: Names, now: float, cutoff: float
    ) -> None:
        self.query_ids = tuple(columns.query_ids())
        self._require_all(max(map(len, self.query_ids)) <= validation.LONGEST_NAME)
        self._take_records(columns, now, cutoff)
        self._take_layers(columns)
        shapes, shape = _shapes_of(columns)
        self._require_all(all(map(is_proper, shapes)))
        errors = [error or None for error in columns.errors]
        self._chosen: dict[str, tuple[list[Any], Ints]] = {
            "shape": (shapes, shape),
            "text": _used(texts, columns.text),
            "type": _used(columns.types, columns.type),
            "error": _used(errors, columns.error),
            "source": _used(columns.sources, columns.source),
        }
        self._check_lengths()
        layers = chain.from_iterable(shape.layers for shape in shapes)
        self._require_all(names.bound.takes(self._chosen["type"][0], layers))

    def ids(self, names: Names) -> dict[str, Ints]:
        """Return the numbers of texts, types, shapes, errors and sources; new ones get one."""
        numbers = {}
        for column, (values, places) in self._chosen.items():
            known = names.by_column[column]
            numbers[column] = known.enter(values, known.look_up(values))[places]
        return numbers

    def _take_records(self, columns: RecallColumns[Any], now: float, cutoff: float) -> None:
        self._time = self._within(columns.time, now + validation.AHEAD_SECONDS, max(cutoff, 0.0))
        self._latency = self._within_or_nan(columns.latency, validation.LONGEST_MS)
        self._others = [
            self._within_or_nan(columns.memory, validation.LARGEST_MEMORY),
            self._within_or_nan(columns.accuracy, 1.0),
            self._within_or_nan(columns.satisfaction, 1.0),
        ]
        self._flags = columns.flags.astype(np.uint8)
        results = self._within_or_nan(columns.results, validation.LARGEST_COUNT)
        self._results = np.where(np.isnan(results), -1, results).astype(np.int64)
        self._concurrency = self._within(columns.concurrency, validation.LARGEST_COUNT)
        self._config = self._within(columns.config, validation.LARGEST_COUNT)

    def _take_layers(self, columns: RecallColumns[Any]) -> None:
        self._timed = self._within(columns.timed, validation.LONGEST_MS)
        self._timed_n, self._timed_at = np.diff(columns.timed_at), columns.timed_at[:-1]
        self._tasks_n, self._tasks_at = np.diff(columns.tasks_at), columns.tasks_at[:-1]
        self._offset = self._within(columns.offset, validation.LONGEST_MS)
        self._queue = self._within(columns.queue, validation.LONGEST_MS)
        self._service = self._within(columns.service, validation.LONGEST_MS)
        self._in_flight = self._within(columns.in_flight, validation.LARGEST_COUNT)
        self._task_results = self._within(columns.task_results, validation.LARGEST_COUNT)
        self._outcome = self._within(columns.outcome, len(OUTCOMES) - 1).astype(np.uint8)

    def _check_lengths(self) -> None:
        longest = {"text": (0, validation.LONGEST_TEXT), "error": (0, validation.LONGEST_TEXT)}
        for column, (values, _) in self._chosen.items():
            if column != "shape":
                least, most = longest.get(column, (1, validation.LONGEST_NAME))
                self._require_all(all(value is None or least <= len(value) <= most for value in values))

    def _within(self, values: npt.NDArray[Any], largest: float, smallest: float = 0.0) -> Any:
        self._require_all(bool(((values >= smallest) & (values <= largest)).all()))
        return values

    def _within_or_nan(self, values: Floats, largest: float) -> Floats:
        self._require_all(bool((((values >= 0) & (values <= largest)) | np.isnan(values)).all()))
        return values

    @staticmethod
    def _require_all(holds: bool) -> None:
        if not holds:
            raise NeedsValidation


def _used(values: _Numbered, places: Ints) -> tuple[list[Any], Ints]:
    """Return those of the values that are used, and each place among them."""
    used, place = np.unique(places, return_inverse=True)
    return [values[i] for i in used.tolist()], place


def _shapes_of(columns: RecallColumns[Any]) -> tuple[list[Shape], Ints]:
    """Return the distinct shapes, and each recall's place among them."""
    groups = (
        (columns.queried_at, columns.queried_layer),
        (columns.timed_at, columns.timed_layer),
        (columns.tasks_at, columns.task_layer),
    )
    number = np.zeros(columns.n, np.int64)
    for at, layer in groups:
        distinct, place = np.unique(_code(at, layer, len(columns.layers)), return_inverse=True)
        number = np.unique(number * len(distinct) + place, return_inverse=True)[1]
    example = np.zeros(int(number.max()) + 1, np.int64)
    example[number] = np.arange(columns.n)
    shapes = [
        Shape(*(_named(columns.layers, layer[at[recall] : at[recall + 1]]) for at, layer in groups))
        for recall in example.tolist()
    ]
    return shapes, number


def _code(at: Ints, layer: Ints, layers: int) -> Ints:
    """Return a number for each recall that tells its layers and their order."""
    n = np.diff(at)
    if not len(layer):
        return n
    if (layers + 1) ** int(n.max()) >= 2**62:
        raise NeedsValidation
    position = np.arange(len(layer)) - np.repeat(at[:-1], n)
    summed: Ints = np.concatenate([[0], np.cumsum((layer + 1) * (layers + 1) ** position)])
    return summed[at[1:]] - summed[at[:-1]]


def _named(layers: Sequence[str], places: Ints) -> tuple[str, ...]:
    return tuple([layers[place] for place in places.tolist()])


def columns_of(rows: Rows) -> RecallColumns[str]:
    """Return some rows of a block, at least one, as columns; waits and offsets to the µs."""
    names = rows.block.names
    named = {
        column: _used(names.by_column[column], _whole(rows[column]))
        for column in ("text", "type", "error", "source")
    }
    shapes, which = _used(names.shapes, _whole(rows["shape"]))
    layers = {layer: place for place, layer in enumerate(sorted({n for s in shapes for n in s.layers}))}
    queried, timed, measured = (_Laid(shapes, which, layers, part) for part in Shape._fields)
    tasks = {name: np.zeros(len(measured.layer)) for name in TASK}
    times = np.zeros(len(timed.layer))
    for layer, place in layers.items():
        of_layer = rows.of_layer(layer)
        recall = np.searchsorted(rows.places(), of_layer.places())
        there, at = measured.where(place, recall)
        for name, column in tasks.items():
            column[at] = of_layer.task(name)[there]
        there, at = timed.where(place, recall)
        times[at] = of_layer.task("service")[there]
    results = _reals(rows["results"])
    return RecallColumns(
        prefix="",
        id=np.array(rows.block.ids(rows.places().tolist()), object),
        texts=named["text"][0],
        time=_reals(rows["time"]),
        latency=_reals(rows["latency"]),
        memory=_reals(rows["memory"]),
        results=np.where(results < 0, np.nan, results),
        accuracy=_reals(rows["accuracy"]),
        satisfaction=_reals(rows["satisfaction"]),
        text=named["text"][1],
        types=named["type"][0],
        type=named["type"][1],
        errors=[error or "" for error in named["error"][0]],
        error=named["error"][1],
        sources=named["source"][0],
        source=named["source"][1],
        flags=_whole(rows["flags"]),
        concurrency=_whole(rows["concurrency"]),
        config=_whole(rows["config"]),
        layers=list(layers),
        queried_at=queried.at,
        queried_layer=queried.layer,
        timed_at=timed.at,
        timed_layer=timed.layer,
        timed=times,
        tasks_at=measured.at,
        task_layer=measured.layer,
        offset=tasks["offset"] / 1000,
        queue=tasks["queue"] / 1000,
        service=tasks["service"],
        in_flight=_whole(tasks["in_flight"]),
        outcome=_whole(tasks["outcome"]),
        task_results=_whole(tasks["results"]),
    )


def _reals(column: Column) -> Floats:
    return column.astype(np.float64)


def _whole(column: Column) -> Ints:
    return column.astype(np.int64)


class _Laid:
    """One part of the recalls' shapes laid end to end.

    Attributes:
        at: where each recall's part begins, and where the last one ends.
        layer: the layers' numbers.
    """

    def __init__(self, shapes: Sequence[Shape], which: Ints, layers: dict[str, int], part: str) -> None:
        parts = [[layers[name] for name in getattr(shape, part)] for shape in shapes]
        widest = max(map(len, parts))
        table = np.array([row + [-1] * (widest - len(row)) for row in parts], np.int64)
        self._place = np.full((len(shapes), len(layers)), -1)
        for number, row in enumerate(parts):
            self._place[number, row] = np.arange(len(row))
        self._which = which
        lengths = np.array(list(map(len, parts)), np.int64)[which]
        self.at: Ints = np.concatenate([[0], np.cumsum(lengths)])
        laid = table[which].ravel()
        self.layer: Ints = laid[laid >= 0]

    def where(self, layer: int, recall: Ints) -> tuple[npt.NDArray[np.bool_], Ints]:
        """Return which of some recalls name the layer here, and where in ``layer`` they do."""
        place = self._place[self._which[recall], layer]
        there = place >= 0
        return there, (self.at[recall] + place)[there]
