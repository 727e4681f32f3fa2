"""Records in the order of arrival, in blocks that only grow at the end and are dropped whole."""

from __future__ import annotations

import marshal
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.profiling.columns.names import Names, Shape
from athena_tuning.profiling.columns.table import RECORD, TASK, Column, RecordRow, Table, TaskRow

BLOCK_ROWS = 1 << 14
_ID_PAGE = 1 << 10  # ids are packed so many together
_MOST_ONES = 32
_FEW_LAYERS = 32

Where = slice | npt.NDArray[np.intp]


class One(NamedTuple):
    """A single record, for summaries that gain or lose only a few."""

    record: RecordRow
    tasks: Mapping[str, TaskRow]
    shape: Shape
    query_type: str
    source: str


class Block:
    """Up to ``BLOCK_ROWS`` records that arrived one after the other, from position ``base`` on.

    Attributes:
        base: position of the first row; positions count all records ever accepted.
        names: the window's dictionaries.
        records: a row a recall.
        tasks: by layer, a row a recall that asked it, in the recalls' order.
        oldest: smallest time (Unix seconds).
        newest: largest time.
        sealed: whether the growing has ended.
    """

    __slots__ = (
        "_ids",
        "_ones",
        "_packed_ids",
        "_ranks",
        "_served",
        "_shapes",
        "base",
        "names",
        "newest",
        "oldest",
        "records",
        "sealed",
        "tasks",
    )

    def __init__(self, base: int, names: Names) -> None:
        self.base = base
        self.names = names
        self.records = Table(RECORD)
        self.tasks: dict[str, Table] = {}
        self.oldest = math.inf
        self.newest = -math.inf
        self.sealed = False
        self._ids: list[str] = []
        self._packed_ids: list[bytes] = []
        self._ones: dict[int, One] = {}
        self._ranks: dict[str, tuple[int, int]] = {}
        self._shapes: frozenset[int] = frozenset()
        self._served: tuple[str, npt.NDArray[np.bool_]] | None = None

    def __len__(self) -> int:
        return self.records.n

    def append(self, query_id: str, record: RecordRow, tasks: Mapping[str, TaskRow]) -> None:
        """Add one record."""
        self._remember(len(self), self._one(record, tasks, self.names.shapes[record.shape]))
        self.records.append(record)
        self._ids.append(query_id)
        for layer, task in tasks.items():
            self._table(layer).append(task)
        self.oldest = min(self.oldest, record.time)
        self.newest = max(self.newest, record.time)

    def extend(
        self, ids: Sequence[str], rows: Sequence[Column], tasks: Mapping[str, Sequence[Column]]
    ) -> None:
        """Add many records; columns in the order of the schemas."""
        self.records.extend(rows)
        self._ids.extend(ids)
        for layer, columns in tasks.items():
            if len(columns[0]):
                self._table(layer).extend(columns)
        self.oldest = min(self.oldest, float(rows[0].min()))
        self.newest = max(self.newest, float(rows[0].max()))

    def seal(self) -> None:
        """End the growing: every column in the fewest bytes, ids compressed."""
        if self.sealed:
            return
        self.sealed = True
        self.records.seal()
        for table in self.tasks.values():
            table.seal()
        pages = range(0, len(self._ids), _ID_PAGE)
        self._packed_ids = [zlib.compress(marshal.dumps(self._ids[at : at + _ID_PAGE]), 1) for at in pages]
        self._ids = []
        self._ones.clear()
        self._shapes = frozenset(np.unique(self.records["shape"]).tolist())

    def ids(self, places: Sequence[int]) -> list[str]:
        """Return the query ids of some rows, ascending."""
        if not self.sealed:
            return [self._ids[place] for place in places]
        pages: dict[int, list[str]] = {}
        for page in {place // _ID_PAGE for place in places}:
            pages[page] = marshal.loads(zlib.decompress(self._packed_ids[page]))  # noqa: S302  # from ``seal``
        return [pages[place // _ID_PAGE][place % _ID_PAGE] for place in places]

    def served_by(self, manager: str) -> npt.NDArray[np.bool_]:
        """Return of each row whether a manager served it: its id is the manager's name and a number."""
        if self._served is None or self._served[0] != manager or not self.sealed:
            ids = self.ids(range(len(self)))
            served = (each.rpartition("-")[0] == manager for each in ids)
            self._served = manager, np.fromiter(served, np.bool_, len(ids))
        return self._served[1]

    def find(self, query_id: str) -> int | None:
        """Return the newest row with a query id, or None."""
        if not self.sealed:
            return _last(self._ids, query_id)
        for page in reversed(range(len(self._packed_ids))):
            ids = marshal.loads(zlib.decompress(self._packed_ids[page]))  # noqa: S302  # from ``seal``
            place = _last(ids, query_id)
            if place is not None:
                return page * _ID_PAGE + place
        return None

    def rate(self, row: int, score: float) -> None:
        """Note a satisfaction that became known later; no summary is made of it, so none becomes untrue."""
        columns = self.records.columns
        if not columns["satisfaction"].flags.writeable or self.sealed:
            columns["satisfaction"] = columns["satisfaction"].copy()
        columns["satisfaction"][row] = score
        self._ones.pop(row, None)

    def shapes(self) -> frozenset[int]:
        """Return the numbers of the shapes that its records have."""
        return self._shapes if self.sealed else frozenset(np.unique(self.records["shape"]).tolist())

    def asked(self, layer: str) -> npt.NDArray[np.intp]:
        """Return the rows whose recall asked the layer; as many as the layer's table has."""
        return np.flatnonzero(self.names.asked(layer)[self.records["shape"]])

    def rank(self, layer: str, row: int) -> int:
        """Return how many rows before ``row`` asked the layer: the place of that row in the layer's table."""
        if row >= len(self):
            return self.tasks[layer].n
        known, rank = self._ranks.get(layer, (0, 0))
        if known > row:
            known, rank = 0, 0
        if known < row:
            rank += int(np.count_nonzero(self.names.asked(layer)[self.records["shape"][known:row]]))
            self._ranks[layer] = row, rank
        return rank

    def one(self, row: int) -> One:
        """Return a single record."""
        one = self._ones.get(row)
        if one is None:
            record = RecordRow._make(self.records.row(row))
            shape = self.names.shapes[record.shape]
            tasks = {}
            for layer in shape.layers:
                rank = self.rank(layer, row)
                tasks[layer] = TaskRow._make(self.tasks[layer].row(rank))
                self._ranks[layer] = row + 1, rank + 1
            one = self._one(record, tasks, shape)
            self._remember(row, one)
        return one

    def _one(self, record: RecordRow, tasks: Mapping[str, TaskRow], shape: Shape) -> One:
        return One(record, tasks, shape, self.names.types[record.type], self.names.sources[record.source])

    def _remember(self, row: int, one: One) -> None:
        if len(self._ones) >= _MOST_ONES:
            self._ones.clear()
        self._ones[row] = one

    def _table(self, layer: str) -> Table:
        table = self.tasks.get(layer)
        if table is None:
            table = self.tasks[layer] = Table(TASK)
        return table


class Rows:
    """Some records of one block in their order, or of these the ones that asked a layer, with its tasks.

    ``rows["latency"]`` is a record's column; with a layer, ``rows.task("service")`` is that layer's, row
    for row beside the records that asked it.
    """

    __slots__ = ("_at", "_tasks_at", "block", "layer")

    def __init__(
        self, block: Block, at: Where | None, layer: str | None = None, tasks_at: Where | None = None
    ) -> None:
        self.block = block
        self.layer = layer
        self._at = at
        self._tasks_at = tasks_at

    @property
    def at(self) -> Where:
        """Places of the records in the block."""
        if self._at is None:
            self._at = self.block.asked(str(self.layer))[self._tasks_at]
        return self._at

    def __len__(self) -> int:
        at = self._tasks_at if self._at is None else self._at
        return at.stop - at.start if isinstance(at, slice) else len(at)  # type: ignore[arg-type]

    def __getitem__(self, name: str) -> Column:
        return self.block.records.columns[name][self.at]

    def task(self, name: str) -> Column:
        """Return a column of the layer's own table."""
        table = self.block.tasks.get(str(self.layer))
        return np.zeros(0) if table is None else table.columns[name][self._tasks_at]

    def where(self, mask: npt.NDArray[np.bool_]) -> Rows:
        """Return the rows for which ``mask`` holds."""
        if mask.all():
            return self
        keep = np.flatnonzero(mask)
        return Rows(self.block, _within(self.at, keep), self.layer, _within(self._tasks_at, keep))

    def part(self, start: int, stop: int) -> Rows:
        """Return some of these records by their order."""
        at = self.at
        if isinstance(at, slice):
            return Rows(self.block, slice(at.start + start, min(at.start + stop, at.stop)))
        return Rows(self.block, at[start:stop])

    def places(self) -> npt.NDArray[np.intp]:
        """Return the records' places in the block, ascending."""
        at = self.at
        return np.arange(at.start, at.stop) if isinstance(at, slice) else at

    def positions(self) -> npt.NDArray[np.int64]:
        """Return the records' positions in the order of arrival."""
        return self.places() + self.block.base

    def ones(self) -> Iterator[One]:
        """Yield the records one by one."""
        at = self.at
        for place in range(at.start, at.stop) if isinstance(at, slice) else at.tolist():
            yield self.block.one(place)

    def layers(self) -> Iterable[str]:
        """Return layers among which are all that these records asked."""
        tasks = self.block.tasks
        if len(tasks) <= _FEW_LAYERS:  # to look who was asked costs more than to ask all of them
            return tasks
        shapes = map(self.block.names.shapes.__getitem__, np.unique(self["shape"]).tolist())
        return {layer for shape in shapes for layer in shape.layers}

    def of_layer(self, layer: str) -> Rows:
        """Return the rows whose recall asked the layer, with its tasks."""
        block, at = self.block, self.at
        if layer not in block.tasks:
            return Rows(block, slice(0, 0), layer, slice(0, 0))
        if isinstance(at, slice):
            return Rows(block, None, layer, slice(block.rank(layer, at.start), block.rank(layer, at.stop)))
        asked = block.asked(layer)
        place = np.searchsorted(asked, at)
        is_there = asked[np.minimum(place, len(asked) - 1)] == at
        return Rows(block, at[is_there], layer, place[is_there])


def _last(ids: Sequence[str], query_id: str) -> int | None:
    if query_id not in ids:
        return None
    return len(ids) - 1 - ids[::-1].index(query_id)


def _within(at: Where | None, keep: npt.NDArray[np.intp]) -> Any:
    if isinstance(at, slice):
        return keep + at.start
    return None if at is None else at[keep]
