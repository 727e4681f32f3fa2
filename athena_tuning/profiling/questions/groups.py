"""Records grouped by slices of time. A group keeps its figures; only those that changed are computed again.

One that gains or loses single records is not computed again either: they are counted into it.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.profiling.columns.block import One, Rows
from athena_tuning.profiling.columns.selection import Selection, time_of, times
from athena_tuning.profiling.columns.table import CACHE_HIT, CACHE_KNOWN, SUCCESS, SUCCESS_KNOWN
from athena_tuning.profiling.columns.window import View
from athena_tuning.profiling.histogram import FRACTION_BITS, Floats, Ints, exact, exact_sum
from athena_tuning.profiling.questions.statistics import flags_of, flags_of_one

_PERCENTILES = (0.5, 0.95, 0.99)
_MOST_SLICES = 1 << 20
_MOST_MOVING = 8  # groups that take single records at once: the newest, the oldest, a few late ones


class Figures(NamedTuple):
    """One group in figures; latencies in ms."""

    recalls: int
    success_known: int
    errors: int
    cache_known: int
    cache_hits: int
    timed: int
    total_ms: float
    p50: float
    p95: float
    p99: float


class _Moving:
    """A group that gains and loses single records: its latencies stay sorted."""

    def __init__(self, by_flags: Ints, values: Floats) -> None:
        self._by_flags = by_flags
        self._values = array("d", values.tobytes())
        self._total = exact_sum(values)

    def count(self, ms: float, flags: int, sign: int) -> None:
        """Count a record (+1) or take it away (−1)."""
        self._by_flags[flags] += sign
        if math.isnan(ms):
            return
        self._total += sign * exact(ms)
        if sign > 0:
            insort(self._values, ms)
        else:
            self._values.pop(bisect_left(self._values, ms))

    def figures(self) -> Figures:
        """Return what the group is now."""
        counts = (self._by_flags @ _HAVING).tolist()
        return _figures(counts, self._values, self._total / (1 << FRACTION_BITS))


class Groups:
    """The figures of groups of time slices."""

    def __init__(self, width: float, group_of: Callable[[int], int]) -> None:
        self.figures: dict[int, Figures] = {}
        self._width = width
        self._group_of = group_of
        self._rows: Counter[int] = Counter()
        self._slices: defaultdict[int, set[int]] = defaultdict(set)
        self._touched: set[int] = set()
        self._moving: dict[int, _Moving] = {}

    def apply(self, rows: Rows, sign: int) -> None:
        """Note which slices gained or lost rows."""
        slices = slices_of(rows, self._width)
        first = int(slices.min())
        if int(slices.max()) - first > _MOST_SLICES:
            pieces, counts = np.unique(slices, return_counts=True)
        else:
            counts = np.bincount(slices - first)
            pieces = np.flatnonzero(counts)
            pieces, counts = pieces + first, counts[pieces]
        for piece, count in zip(pieces.tolist(), counts.tolist(), strict=True):
            self._moving.pop(self._count(piece, sign * count), None)

    def apply_one(self, one: One, layer: str | None, sign: int) -> None:
        """Note which slice gained or lost a record."""
        group = self._count(math.floor(one.record.time / self._width), sign)
        moving = self._moving.get(group)
        if moving is not None:
            moving.count(time_of(one, layer), flags_of_one(one, layer), sign)

    def _count(self, piece: int, n: int) -> int:
        group = self._group_of(piece)
        self._rows[piece] += n
        if self._rows[piece]:
            self._slices[group].add(piece)
        else:
            del self._rows[piece]
            self._slices[group].discard(piece)
        if self._slices[group]:
            self._touched.add(group)
        else:
            self._forget(group)
        return group

    def _forget(self, group: int) -> None:
        del self._slices[group]
        self._touched.discard(group)
        self._moving.pop(group, None)
        self.figures.pop(group, None)

    def settle(self, view: View, selection: Selection, groups: range | None = None) -> None:
        """Bring figures up to date.

        Args:
            view: what is visible.
            selection: the rows that are counted.
            groups: those that are looked at; the others wait until they are. None: all.
        """
        changed = set(self._touched) if groups is None else self._touched.intersection(groups)
        self._touched -= changed
        wanted = {}
        for group in changed:
            moving = self._moving.pop(group, None)
            if moving is None:
                wanted[group] = self._slices[group]
            else:
                self._moving[group] = moving  # the last one moved is the last in the dict
                self.figures[group] = moving.figures()
        if wanted:
            self._compute(wanted, view, selection)
        for group in list(self._moving)[:-_MOST_MOVING]:
            del self._moving[group]

    def span(self) -> range:
        """Return the groups from the first that has rows to the last."""
        return range(min(self._slices), max(self._slices) + 1) if self._slices else range(0)

    def _compute(self, wanted: dict[int, set[int]], view: View, selection: Selection) -> None:
        """Compute groups from their rows; of few ones keep what single records are counted in."""
        slices = np.array([piece for pieces in wanted.values() for piece in pieces])
        numbers = np.repeat(np.arange(len(wanted)), [len(pieces) for pieces in wanted.values()])
        order = np.argsort(slices)
        grouped = _Groups(slices[order], numbers[order].astype(_smallest(len(wanted))))
        parts = list(self._parts(grouped, view, selection))
        rows, ms, flags = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        by_flags, values = _apart(rows, ms, flags, len(wanted))
        for group, flagged, counts, some in zip(
            wanted, by_flags, (by_flags @ _HAVING).tolist(), values, strict=True
        ):
            self.figures[group] = _figures(counts, some, float(some.sum()))
            if len(wanted) <= _MOST_MOVING:
                self._moving[group] = _Moving(flagged, some)

    def _parts(
        self, groups: _Groups, view: View, selection: Selection
    ) -> Iterator[tuple[Ints, Floats, npt.NDArray[np.uint8]]]:
        """Yield group, latency and flags of the rows that lie in the wanted slices."""
        for block in view.blocks:
            low, high = math.floor(block.oldest / self._width), math.floor(block.newest / self._width)
            if groups.between(low, high) and selection.may_be_in(block):
                rows = selection.of(view.part(block))
                hit, group = groups.of(slices_of(rows, self._width))
                yield group, times(rows)[hit], flags_of(rows)[hit]


class _Groups:
    """Which group each wanted slice belongs to, slices ascending."""

    def __init__(self, slices: Ints, numbers: Ints) -> None:
        self._slices = slices
        self._numbers = numbers
        self._dense = len(slices) == slices[-1] - slices[0] + 1

    def between(self, low: int, high: int) -> bool:
        """Whether a wanted slice lies between two, both included."""
        left, right = np.searchsorted(self._slices, low), np.searchsorted(self._slices, high, side="right")
        return bool(left < right)

    def of(self, slices: Ints) -> tuple[npt.NDArray[np.bool_], Ints]:
        """Return which of the rows are in wanted slices, and the groups of these."""
        if self._dense:
            place = slices - self._slices[0]
            hit = (place >= 0) & (place < len(self._slices))
        else:
            place = np.minimum(np.searchsorted(self._slices, slices), len(self._slices) - 1)
            hit = self._slices[place] == slices
        return hit, self._numbers[place[hit]]


def _smallest(groups: int) -> type[np.unsignedinteger[Any]]:
    return np.uint16 if groups <= 1 << 16 else np.uint32  # numbers of 16 bits are sorted in one pass


def slices_of(rows: Rows, width: float) -> Ints:
    """Return the number of the time slice that each row begins in."""
    return np.floor(rows["time"] / width).astype(np.int64)


def _apart(group: Ints, ms: Floats, flags: npt.NDArray[np.uint8], n: int) -> tuple[Ints, Iterator[Floats]]:
    """Return of each of ``n`` groups how many rows have which flags, and the sorted latencies."""
    by_flags = np.bincount(group.astype(np.int64) * 64 + flags, minlength=n * 64).reshape(n, 64)
    is_known = ~np.isnan(ms)
    if not is_known.all():
        group, ms = group[is_known], ms[is_known]
    ms = ms[np.argsort(group, kind="stable")]
    ends = np.cumsum(np.bincount(group, minlength=n)).tolist()
    return by_flags, (np.sort(ms[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True))


def _figures(counts: Sequence[int], values: Sequence[float] | Floats, total_ms: float) -> Figures:
    recalls, known, good, cached, hits = counts
    n = len(values)
    at = [float(values[int(q * n)]) if n else math.nan for q in _PERCENTILES]
    return Figures(recalls, known, known - good, cached, hits, n, total_ms, *at)


_HAVING = np.array(
    [
        [flags & bits == bits for flags in range(64)]
        for bits in (0, SUCCESS_KNOWN, SUCCESS_KNOWN | SUCCESS, CACHE_KNOWN, CACHE_KNOWN | CACHE_HIT)
    ],
    np.int64,
).T
