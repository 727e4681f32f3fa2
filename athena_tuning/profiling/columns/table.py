"""Where measurements lie: tables of numpy columns that grow by rows and shrink to what their values need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]
Schema = Mapping[str, type[np.generic]]


class RecordRow(NamedTuple):
    """One recall. Texts, types, shapes, errors and sources are numbers of a ``Dictionary``."""

    time: float  # Unix seconds
    latency: float  # ms; NaN: unknown
    memory: float  # MB; NaN: unknown
    accuracy: float  # NaN: unknown
    satisfaction: float  # NaN: unknown
    work: int  # µs of service over all layers; 0: unknown
    span: int  # µs in which at least one layer was in service
    results: int  # -1: unknown
    text: int
    type: int
    shape: int
    error: int
    source: int
    flags: int
    concurrency: int
    config: int
    level: int  # most tasks in flight that a task of the recall saw; 0: unknown


class TaskRow(NamedTuple):
    """One layer of a recall."""

    service: float  # ms; the recall's latency where the layer's own is unknown
    queue: int  # µs
    offset: int  # µs
    in_flight: int
    outcome: int  # place in ``TaskOutcome``
    results: int


RECORD: Schema = {
    **dict.fromkeys(RecordRow._fields[:5], np.float64),
    **dict.fromkeys(RecordRow._fields[5:], np.int64),
    "flags": np.uint8,
}
TASK: Schema = {"service": np.float64, **dict.fromkeys(TaskRow._fields[1:], np.int64), "outcome": np.uint8}

CACHE_KNOWN, CACHE_HIT, SUCCESS_KNOWN, SUCCESS, PARALLEL, PARTIAL = 1, 2, 4, 8, 16, 32
"""Bits of ``flags``."""


class Table:
    """Columns of equal length. ``seal`` ends the growing and gives back what is not needed."""

    __slots__ = ("_room", "columns", "n")

    def __init__(self, schema: Schema) -> None:
        self.n = 0
        self._room = 64
        self.columns: dict[str, Column] = {name: np.empty(64, dtype) for name, dtype in schema.items()}

    def __getitem__(self, name: str) -> Column:
        return self.columns[name][: self.n]

    def append(self, row: Iterable[float]) -> None:
        """Add one row; values in the order of the schema."""
        n = self.n
        self._make_room(n + 1)
        for column, value in zip(self.columns.values(), row, strict=True):
            column[n] = value
        self.n = n + 1

    def row(self, place: int) -> Iterable[Any]:
        """Return the values of one row."""
        return [column.item(place) for column in self.columns.values()]

    def extend(self, rows: Sequence[Column]) -> None:
        """Add many rows; columns in the order of the schema."""
        end = self.n + len(rows[0])
        self._make_room(end)
        for column, values in zip(self.columns.values(), rows, strict=True):
            column[self.n : end] = values
        self.n = end

    def seal(self) -> None:
        """Store each column in the fewest bytes that keep its values exactly."""
        self.columns = {name: narrow(column[: self.n]) for name, column in self.columns.items()}

    def _make_room(self, rows: int) -> None:
        if rows > self._room:
            size = self._room = max(rows, 2 * self._room)
            self.columns = {name: _enlarged(column, self.n, size) for name, column in self.columns.items()}


def _enlarged(column: Column, used: int, size: int) -> Column:
    larger = np.empty(size, column.dtype)
    larger[:used] = column[:used]
    return larger


def narrow(column: Column) -> Column:
    """Return the same values in the fewest bytes: one value if all are the same, else the smallest type.

    Examples:
        >>> narrow(np.array([3, 200, 7])).dtype, narrow(np.full(1000, 2.5)).strides
        (dtype('uint8'), (0,))
    """
    if not len(column):
        return column.copy()
    if column.dtype.kind == "f":
        same = bool((column == column[0]).all()) or bool(np.isnan(column).all())
        return np.broadcast_to(column[0].copy(), column.shape) if same else column.copy()
    low, high = int(column.min()), int(column.max())
    if low == high:
        return np.broadcast_to(column.dtype.type(low), column.shape)
    return column.astype(np.min_scalar_type(high if low >= 0 else min(low, -high - 1)))
