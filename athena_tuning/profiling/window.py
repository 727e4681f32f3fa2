"""What is visible now: blocks of columns in the order of arrival, and the rows of them within the window.

Blocks only grow at the end and are dropped whole at the front, so a ``View`` (blocks, first and last
position, oldest time) stays true for as long as somebody holds it. The window is the last ``max_records``
records that were accepted, less those that are older than ``max_age`` seconds.
"""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.profiling.columns import RECORD, TASK, Column, Table
from athena_tuning.profiling.dictionary import Dictionary

BLOCK_ROWS = 1 << 14

Where = slice | npt.NDArray[np.intp]


class Shape(NamedTuple):
    """Which layers a recall asked, which of them gave a latency, which have a task; each in its own order."""

    layers: tuple[str, ...]
    timed: tuple[str, ...]
    tasks: tuple[str, ...]


class Names:
    """The dictionaries of one window."""

    def __init__(self) -> None:
        self.texts = Dictionary[str]()
        self.types = Dictionary[str]()
        self.shapes = Dictionary[Shape]()
        self.errors = Dictionary[str | None]()
        self.sources = Dictionary[str]()
        self.by_column: dict[str, Dictionary[Any]] = {
            "text": self.texts,
            "type": self.types,
            "shape": self.shapes,
            "error": self.errors,
            "source": self.sources,
        }

    def layers(self) -> list[str]:
        """Return all layers that a record in the window lists, sorted."""
        return sorted({layer for shape in self.shapes.used() for layer in shape.layers})

    def ran(self, layer: str) -> npt.NDArray[np.bool_]:
        """Return by shape number whether the layer was asked."""
        return self._shapes_where(lambda shape: layer in shape.layers)

    def has_task(self, layer: str) -> npt.NDArray[np.bool_]:
        """Return by shape number whether the layer's task was measured."""
        return self._shapes_where(lambda shape: layer in shape.tasks)

    def _shapes_where(self, holds: Callable[[Shape], bool]) -> npt.NDArray[np.bool_]:
        table = np.zeros(len(self.shapes), np.bool_)
        for number, shape in self.shapes.items():
            table[number] = holds(shape)
        return table


class Block:
    """Up to ``BLOCK_ROWS`` records that arrived one after the other, from position ``base`` on.

    Attributes:
        base: position of the first row; positions count all records ever accepted.
        records: a row a recall.
        tasks: by layer, a row a recall that asked it, in the recalls' order.
        names: the window's dictionaries.
        oldest: smallest time (Unix seconds).
        newest: largest time.
    """

    __slots__ = ("_ids", "_packed_ids", "base", "names", "newest", "oldest", "records", "sealed", "tasks")

    def __init__(self, base: int, names: Names) -> None:
        self.base = base
        self.names = names
        self.sealed = False
        self.records = Table(RECORD)
        self.tasks: dict[str, Table] = {}
        self.oldest = np.inf
        self.newest = -np.inf
        self._ids: list[str] = []
        self._packed_ids = b""

    def __len__(self) -> int:
        return self.records.n

    def append(
        self, query_id: str, row: Sequence[float], tasks: Iterable[tuple[str, Sequence[float]]]
    ) -> None:
        """Add one record; ``row`` and each task's row in the order of their schemas."""
        self.records.append(row)
        self._ids.append(query_id)
        for layer, task in tasks:
            self._table(layer).append(task)
        self.oldest = min(self.oldest, row[0])
        self.newest = max(self.newest, row[0])

    def extend(self, ids: Sequence[str], rows: Sequence[Column], tasks: dict[str, Sequence[Column]]) -> None:
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
        self._packed_ids = zlib.compress(marshal.dumps(self._ids), 1)
        self._ids = []

    def ids(self) -> list[str]:
        """Return the query ids of all rows."""
        if not self.sealed:
            return self._ids
        ids: list[str] = marshal.loads(zlib.decompress(self._packed_ids))  # noqa: S302  # from ``seal``
        return ids

    def asked(self, layer: str) -> npt.NDArray[np.intp]:
        """Return the rows whose recall asked the layer; as many as the layer's table has."""
        return np.flatnonzero(self.names.ran(layer)[self.records["shape"]])

    def _table(self, layer: str) -> Table:
        table = self.tasks.get(layer)
        if table is None:
            table = self.tasks[layer] = Table(TASK)
        return table


class Rows:
    """Some records of one block, or the tasks of one layer that belong to them.

    ``rows["latency"]`` is a record's column; with a layer, ``rows.task("service")`` is that layer's, row
    for row beside the records that asked it.
    """

    __slots__ = ("_tasks_at", "at", "block", "layer")

    def __init__(
        self, block: Block, at: Where, layer: str | None = None, tasks_at: Where | None = None
    ) -> None:
        self.block = block
        self.at = at
        self.layer = layer
        self._tasks_at = tasks_at

    def __len__(self) -> int:
        at = self.at
        return at.stop - at.start if isinstance(at, slice) else len(at)

    def __getitem__(self, name: str) -> Column:
        return self.block.records.columns[name][self.at]

    def task(self, name: str) -> Column:
        """Return a column of the layer's own table."""
        return self.block.tasks[str(self.layer)].columns[name][self._tasks_at]

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

    def positions(self) -> npt.NDArray[np.int64]:
        """Return the records' positions in the order of arrival."""
        at = self.at
        places = np.arange(at.start, at.stop) if isinstance(at, slice) else at
        return places + self.block.base

    def of_layer(self, layer: str) -> Rows:
        """Return the rows whose recall asked the layer, with its tasks."""
        if layer not in self.block.tasks:
            return Rows(self.block, slice(0, 0), layer, slice(0, 0))
        asked = self.block.asked(layer)
        if isinstance(self.at, slice):
            low, high = np.searchsorted(asked, (self.at.start, self.at.stop)).tolist()
            return Rows(self.block, asked[low:high], layer, slice(low, high))
        place = np.searchsorted(asked, self.at)
        found = asked[np.minimum(place, len(asked) - 1)] == self.at
        return Rows(self.block, self.at[found], layer, place[found])


def _within(at: Where | None, keep: npt.NDArray[np.intp]) -> Any:
    if isinstance(at, slice):
        return keep + at.start
    return None if at is None else at[keep]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The visible records at one moment: positions ``first`` to ``end``, none older than ``cutoff``.

    Attributes:
        blocks: what holds these positions, in order.
        first: position of the first visible record.
        end: position after the last.
        cutoff: Unix seconds; a row of an earlier time is not visible.
        holes: whether such rows lie between ``first`` and ``end`` (recalls end in another order than they
            began).
    """

    blocks: tuple[Block, ...] = ()
    first: int = 0
    end: int = 0
    cutoff: float = -np.inf
    holes: bool = False

    def rows(self) -> Iterator[Rows]:
        """Yield the visible rows, a part for each block."""
        for block in self.blocks:
            rows = self.part(block)
            if len(rows):
                yield rows

    def part(self, block: Block, first: int = 0, end: int | None = None) -> Rows:
        """Return the visible rows of a block, of these those at positions ``first`` to ``end``."""
        low = max(self.first, first) - block.base
        high = min(self.end if end is None else min(end, self.end), block.base + len(block)) - block.base
        low = max(low, 0)
        rows = Rows(block, slice(low, max(high, low)))
        if not self.holes or block.oldest >= self.cutoff or high <= low:
            return rows
        return rows.where(rows["time"] >= self.cutoff)

    def since(self, time: float) -> View:
        """Return what of this view is not older than ``time``."""
        if time <= self.cutoff:
            return self
        blocks = tuple(block for block in self.blocks if block.newest >= time)
        return View(blocks, self.first, self.end, time, holes=True)


def changes(old: View, new: View) -> Iterator[tuple[Rows, int]]:
    """Yield what to add to (+1) and take from (−1) a summary of ``old`` to make it one of ``new``."""
    for block in reversed(new.blocks):
        if block.base + len(block) <= old.end:
            break
        rows = new.part(block, first=old.end)
        if len(rows):
            yield rows, 1
    for block in old.blocks:
        if block.base >= new.first and not new.holes:
            break
        gone = old.part(block, end=new.first)
        if len(gone):
            yield gone, -1
        if new.holes and block.oldest < new.cutoff:
            rows = old.part(block, first=new.first)
            expired = rows.where(rows["time"] < new.cutoff)
            if len(expired):
                yield expired, -1


class Window:
    """The columns of the last ``max_records`` records, none older than ``max_age`` seconds.

    Not thread-safe: its owner holds a lock.
    """

    def __init__(self, max_records: int, max_age: float) -> None:
        self.names = Names()
        self.view = View()
        self.count = 0
        self._max_records = max_records
        self._max_age = max_age
        self._blocks: tuple[Block, ...] = ()
        self._end = 0

    def cutoff(self, now: float) -> float:
        """Return the oldest time that is visible at ``now``; it never goes back."""
        return max(self.view.cutoff, now - self._max_age)

    def open_block(self) -> Block:
        """Return the block that takes the next records, up to ``BLOCK_ROWS`` in all."""
        last = self._blocks[-1] if self._blocks else None
        if last is None or last.sealed or len(last) >= BLOCK_ROWS:
            if last is not None:
                last.seal()
            last = Block(self._end, self.names)
            self._blocks = (*self._blocks, last)
        return last

    def advance(self, records: int) -> None:
        """Note that so many records were put into the open block."""
        self._end += records

    def skip(self, records: int) -> None:
        """Let the positions of records pass that nobody will see."""
        if records:
            self._end += records
            if self._blocks:
                self._blocks[-1].seal()

    def settle(self, now: float) -> dict[str, list[int]]:
        """Make visible what was added and invisible what is too old or too many.

        Returns:
            By column, the numbers that no visible record uses any more, for ``forget``.
        """
        old = self.view
        self.view = self._visible(self.cutoff(now))
        self._blocks = self.view.blocks
        unused: dict[str, list[int]] = {}
        for rows, sign in changes(old, self.view):
            self.count += sign * len(rows)
            for column, names in self.names.by_column.items():
                if sign > 0:
                    names.count_in(rows[column])
                else:
                    unused.setdefault(column, []).extend(names.count_out(rows[column]))
        return {column: numbers for column, numbers in unused.items() if numbers}

    def forget(self, unused: dict[str, list[int]]) -> None:
        """Forget texts and names that ``settle`` found unused."""
        for column, numbers in unused.items():
            self.names.by_column[column].forget(numbers)

    def _visible(self, cutoff: float) -> View:
        first = max(self.view.first, self._end - self._max_records)
        blocks = self._blocks
        while blocks and (blocks[0].base + len(blocks[0]) <= first or blocks[0].newest < cutoff):
            blocks = blocks[1:]
        if not blocks:
            return View((), self._end, self._end, cutoff)
        head = blocks[0]
        first = max(first, head.base)
        holes = any(block.oldest < cutoff for block in blocks[1:])
        if head.oldest < cutoff:
            alive = head.records["time"][first - head.base :] >= cutoff
            first += int(alive.argmax())
            holes = holes or not alive[alive.argmax() :].all()
        return View(blocks, first, self._end, cutoff, holes)
