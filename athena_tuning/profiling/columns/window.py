"""What is visible now: the rows of some blocks, and how one moment differs from another.

A ``View`` stays true for as long as somebody holds it: blocks only grow at the end and are dropped whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from athena_tuning.profiling.columns.block import BLOCK_ROWS, Block, Rows
from athena_tuning.profiling.columns.names import Names

FEW = 16
"""Up to so many rows are handled one by one: faster than by columns."""


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
    cutoff: float = -math.inf
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
    """The columns of the last ``max_records`` accepted records, less those older than ``max_age`` seconds.

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
        self._oldest = -math.inf  # no visible record is older

    def is_settled(self, now: float) -> bool:
        """Whether nothing was added and nothing became too old since the last ``settle``."""
        return self.view.end == self._end and now - self._max_age <= self._oldest

    def has_gone_back(self, now: float) -> bool:
        """Whether the clock is behind all that is visible: it was ahead before, or is wrong now."""
        return now < self.view.cutoff

    def cutoff(self, now: float) -> float:
        """Return the oldest time that is visible at ``now``; it goes back only where the clock has."""
        oldest = now - self._max_age
        return oldest if self.has_gone_back(now) else max(self.view.cutoff, oldest)

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

        Where the clock has gone back, what is visible stays, but for what arrived before something that is
        too old: that must not become visible again.

        Returns:
            By column, the numbers that no visible record uses any more, for ``forget``.
        """
        old, cutoff = self.view, self.cutoff(now)
        if self.has_gone_back(now):
            self.view = replace(old, first=self._after_what_is_too_old(), cutoff=cutoff)
        self.view = self._visible(cutoff)
        unused: dict[str, list[int]] = {}
        for rows, sign in changes(old, self.view):
            self.count += sign * len(rows)
            for column, numbers in self._count(rows, sign):
                unused.setdefault(column, []).extend(numbers)
        unused = {column: numbers for column, numbers in unused.items() if numbers and column != "shape"}
        dropped = self._blocks[: len(self._blocks) - len(self.view.blocks)]
        self._blocks = self.view.blocks
        if dropped:
            unused["shape"] = self._shapes_only_of(dropped)
        return unused

    def _count(self, rows: Rows, sign: int) -> Iterator[tuple[str, list[int]]]:
        """Count the uses of texts and names; yield by column those that nothing uses any more."""
        if len(rows) <= FEW:
            for one in rows.ones():
                for column, names in self.names.by_column.items():
                    number = getattr(one.record, column)
                    if names.count_one(number, sign):
                        yield column, [number]
            return
        for column, names in self.names.by_column.items():
            if sign < 0:
                yield column, names.count_out(rows[column])
            else:
                names.count_in(rows[column])

    def _shapes_only_of(self, dropped: tuple[Block, ...]) -> list[int]:
        """Return the shapes that no block needs any more; a block's rows are found by the shapes of all."""
        held = set().union(*(block.shapes() for block in self._blocks))
        return sorted(set().union(*(block.shapes() for block in dropped)) - held)

    def forget(self, unused: dict[str, list[int]]) -> None:
        """Forget texts and names that ``settle`` found unused."""
        for column, numbers in unused.items():
            self.names.by_column[column].forget(numbers)

    def _after_what_is_too_old(self) -> int:
        """Return the position after the last record that is invisible because of its age."""
        view = self.view
        for block in reversed(view.blocks):
            low = max(view.first - block.base, 0)
            too_old = np.flatnonzero(block.records["time"][low : view.end - block.base] < view.cutoff)
            if len(too_old):
                return block.base + low + int(too_old[-1]) + 1
        return view.first

    def _visible(self, cutoff: float) -> View:
        first = max(self.view.first, self._end - self._max_records)
        blocks = self._blocks
        while blocks and (blocks[0].base + len(blocks[0]) <= first or blocks[0].newest < cutoff):
            blocks = blocks[1:]
        if not blocks:
            self._oldest = math.inf
            return View((), self._end, self._end, cutoff)
        self._oldest = max(cutoff, min(block.oldest for block in blocks))
        if self._oldest > cutoff:
            return View(blocks, max(first, blocks[0].base), self._end, cutoff)
        head = blocks[0]
        first = max(first, head.base)
        holes = any(block.oldest < cutoff for block in blocks[1:])
        if head.oldest < cutoff:
            alive = head.records["time"][first - head.base :] >= cutoff
            first += int(alive.argmax())
            holes = holes or not alive[alive.argmax() :].all()
        return View(blocks, first, self._end, cutoff, holes)
