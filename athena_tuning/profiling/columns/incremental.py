"""How summaries stay true at little cost: each remembers what it has counted and catches up when it is read.

A summary of a view is never computed again from all rows. It adds what came since and takes away what left,
from the same columns that everything else reads. A stretch of time that moves on, the last hour for instance,
is no new question either: what was counted of it moves with it. What nobody reads is not kept up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from athena_tuning.profiling.columns.block import One, Rows
from athena_tuning.profiling.columns.selection import Selection
from athena_tuning.profiling.columns.window import FEW, View, changes

MOST_KEPT = 160


class Summary(Protocol):
    """Something that counts rows."""

    def apply(self, rows: Rows, sign: int) -> None:
        """Count rows that were selected (+1), or take them away again (−1)."""

    def apply_one(self, one: One, layer: str | None, sign: int) -> None:
        """The same for a single record; ``layer`` if only that layer of it is meant."""


S = TypeVar("S", bound=Summary)


@dataclass(slots=True)
class _Kept:
    summary: Summary
    selection: Selection
    view: View
    read: bool = True

    def catch_up(self, view: View) -> None:
        for rows, sign in changes(self.view, view):
            if len(rows) <= FEW:
                for one in rows.ones():
                    if self.selection.holds(one):
                        self.summary.apply_one(one, self.selection.layer, sign)
            elif self.selection.may_be_in(rows.block) and len(selected := self.selection.of(rows)):
                self.summary.apply(selected, sign)
        self.view = view

    def move(self, selection: Selection) -> None:
        """Count what comes in and leaves as a stretch of time moves; see ``Selection.moves_to``."""
        for stretch, sign in self.selection.changes_to(selection):
            for rows in stretch.parts(self.view):
                self.summary.apply(rows, sign)
        self.selection = selection


class IncrementalSummaries:
    """Keeps the summaries that were read lately, at most ``MOST_KEPT``. Its owner holds a lock."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Callable[[], Summary], Selection], _Kept] = OrderedDict()

    def summary(self, make: Callable[[], S], selection: Selection, view: View) -> S:
        """Return the summary of the selected rows of a view.

        Args:
            make: makes an empty one; the same one every time, it tells summaries apart.
            selection: which rows it counts.
            view: what is visible; a later view than at the last call.
        """
        name = (make, selection)
        kept = self._kept.get(name) or self._moved(make, selection, view)
        if kept is None or kept.view.cutoff > view.cutoff:
            kept = self._kept[name] = _Kept(make(), selection, View())
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        kept.catch_up(view)
        kept.read = True
        return kept.summary  # type: ignore[return-value]  # made by ``make``

    def _moved(self, make: Callable[[], Summary], selection: Selection, view: View) -> _Kept | None:
        """Return what is kept of the same stretch at another moment, moved to this one."""
        for name, kept in reversed(self._kept.items()):
            if name[0] == make and kept.view.cutoff <= view.cutoff and kept.selection.moves_to(selection):
                del self._kept[name]
                kept.catch_up(view)
                kept.move(selection)
                self._kept[make, selection] = kept
                return kept
        return None

    def let_go(self, view: View) -> None:
        """Catch up with a view before rows or names of an earlier one are forgotten.

        What was not read since the last time is dropped, so that nothing old is held for it.
        """
        for name, kept in list(self._kept.items()):
            if not kept.read:
                del self._kept[name]
                continue
            kept.catch_up(view.since(kept.view.cutoff))
            kept.read = False
