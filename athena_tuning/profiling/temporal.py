"""When: time series, hour of day by weekday in any timezone, exact percentiles in every cell.

Records are grouped by slices of time. A group remembers its figures; only groups that gained or lost
records since the last reading are computed again, those that gained or lost single ones in place.
"""

from __future__ import annotations

import math
import time
from array import array
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from athena_tuning.profiling.block import One, Rows
from athena_tuning.profiling.columns import CACHE_HIT, CACHE_KNOWN, SUCCESS, SUCCESS_KNOWN
from athena_tuning.profiling.histogram import FRACTION_BITS, Floats, Ints, exact, exact_sum
from athena_tuning.profiling.selection import Selection, time_of, times
from athena_tuning.profiling.statistics import flags_of, flags_of_one
from athena_tuning.profiling.upkeep import Upkeep
from athena_tuning.profiling.window import View

QUARTER_SECONDS = 900  # every timezone's offset is a multiple of a quarter of an hour
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
        return _figures(self._by_flags, self._values, self._total / (1 << FRACTION_BITS))


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
        self._touched.add(group)
        self._rows[piece] += n
        if self._rows[piece]:
            self._slices[group].add(piece)
        else:
            del self._rows[piece]
            self._slices[group].discard(piece)
        return group

    def settle(self, view: View, selection: Selection) -> None:
        """Bring the figures of the groups that changed up to date."""
        wanted = {}
        for group in self._touched:
            self.figures.pop(group, None)
            moving = self._moving.pop(group, None)
            if not self._slices[group]:
                del self._slices[group]
            elif moving is None:
                wanted[group] = self._slices[group]
            else:
                self._moving[group] = moving  # the last one moved is the last in the dict
                self.figures[group] = moving.figures()
        self._touched.clear()
        if wanted:
            self._compute(wanted, view, selection)
        for group in list(self._moving)[:-_MOST_MOVING]:
            del self._moving[group]

    def _compute(self, wanted: dict[int, set[int]], view: View, selection: Selection) -> None:
        """Compute groups from their rows; of few ones keep what single records are counted in."""
        slices = np.array([piece for pieces in wanted.values() for piece in pieces])
        numbers = np.repeat(np.arange(len(wanted)), [len(pieces) for pieces in wanted.values()])
        order = np.argsort(slices)
        found = _Groups(slices[order], numbers[order].astype(_smallest(len(wanted))))
        parts = list(self._parts(found, view, selection))
        rows, ms, flags = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        for group, by_flags, values in zip(wanted, *_apart(rows, ms, flags, len(wanted)), strict=True):
            self.figures[group] = _figures(by_flags, values, float(values.sum()))
            if len(wanted) <= _MOST_MOVING:
                self._moving[group] = _Moving(by_flags, values)

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


def _figures(by_flags: Ints, values: Sequence[float] | Floats, total_ms: float) -> Figures:
    recalls, known, good, cached, hits = (_HAVING @ by_flags).tolist()
    n = len(values)
    at = [float(values[int(q * n)]) if n else math.nan for q in _PERCENTILES]
    return Figures(recalls, known, known - good, cached, hits, n, total_ms, *at)


_HAVING = np.array(
    [
        [flags & bits == bits for flags in range(64)]
        for bits in (0, SUCCESS_KNOWN, SUCCESS_KNOWN | SUCCESS, CACHE_KNOWN, CACHE_KNOWN | CACHE_HIT)
    ],
    np.int64,
)


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """A row a bucket, without gaps: its start in Unix seconds; latencies in ms, NaN where empty."""

    time: Floats
    count: Ints
    errors: Ints
    cache_hits: Ints
    mean: Floats
    p50: Floats
    p95: Floats
    p99: Floats


def time_series(upkeep: Upkeep, view: View, selection: Selection, bucket_seconds: float) -> TimeSeries:
    """Return figures by bucket; a bucket that the range cuts is shown whole.

    Raises:
        ValueError: if a bucket is not 0.1 s to a day.
    """
    if not 0.1 <= bucket_seconds <= 86_400:
        raise ValueError(f"a bucket is 0.1 to 86,400 seconds, not {bucket_seconds}")
    whole = Selection(None, None, selection.query_type, selection.layer, selection.config_version)
    make = _series_groups(bucket_seconds)
    groups = upkeep.summary(make, whole, view)
    groups.settle(view, whole)
    low = -math.inf if selection.start is None else math.floor(selection.start / bucket_seconds)
    high = math.inf if selection.end is None else math.ceil(selection.end / bucket_seconds)
    found = {piece: figures for piece, figures in groups.figures.items() if low <= piece < high}
    first, last = (min(found), max(found)) if found else (0, -1)
    n = last - first + 1
    table = np.zeros((len(Figures._fields), n))
    table[6:] = math.nan
    table[:, np.array(list(found), np.int64) - first] = np.array(list(found.values())).reshape(-1, 10).T
    by_name = dict(zip(Figures._fields, table, strict=True))
    with np.errstate(invalid="ignore"):
        mean = by_name["total_ms"] / by_name["timed"]
    return TimeSeries(
        np.arange(first, first + n, dtype=np.float64) * bucket_seconds,
        by_name["recalls"].astype(np.int64),
        by_name["errors"].astype(np.int64),
        by_name["cache_hits"].astype(np.int64),
        mean,
        by_name["p50"],
        by_name["p95"],
        by_name["p99"],
    )


@lru_cache(maxsize=256)
def _series_groups(width: float) -> Callable[[], Groups]:
    return partial(Groups, width, int)


@dataclass(frozen=True, slots=True)
class HourWeekday:
    """Arrays of 7 weekdays (Monday first) by 24 hours, local time. Latencies ms; NaN where unknown."""

    timezone: str | None
    count: Ints
    mean: Floats
    p50: Floats
    p95: Floats
    p99: Floats
    success_rate: Floats
    errors: Ints


def hour_weekday(upkeep: Upkeep, view: View, selection: Selection, timezone: str | None) -> HourWeekday:
    """Return figures by weekday and hour of day.

    Args:
        upkeep: keeps what was computed.
        view: what is visible.
        selection: which records.
        timezone: IANA name ("Europe/Berlin"); None is the machine's own.

    Raises:
        ValueError: if there is no such timezone.
    """
    cells = _cells(upkeep, view, selection, timezone, 24)
    table = np.zeros((len(Figures._fields), 7 * 24))
    table[6:] = math.nan
    for cell, figures in cells.items():
        table[:, cell] = np.array(figures)
    rows = dict(zip(Figures._fields, table.reshape(-1, 7, 24), strict=True))
    with np.errstate(invalid="ignore"):
        mean = rows["total_ms"] / rows["timed"]
        success = 1 - rows["errors"] / rows["success_known"]
    return HourWeekday(
        timezone,
        rows["recalls"].astype(np.int64),
        mean,
        rows["p50"],
        rows["p95"],
        rows["p99"],
        success,
        rows["errors"].astype(np.int64),
    )


def time_of_day(upkeep: Upkeep, view: View, bins: int) -> dict[int, dict[str, float]]:
    """Return mean latency in ms, count and success rate by time of day (local), weekdays together."""
    cells = _cells(upkeep, view, Selection(), None, bins)
    pattern: dict[int, dict[str, float]] = {}
    for piece in range(bins):
        days = [cells[day * bins + piece] for day in range(7) if day * bins + piece in cells]
        timed, known = sum(day.timed for day in days), sum(day.success_known for day in days)
        pattern[piece] = {
            "avg_latency_ms": sum(day.total_ms for day in days) / timed if timed else 0.0,
            "query_count": sum(day.recalls for day in days),
            "success_rate": 1 - sum(day.errors for day in days) / known if known else 0.0,
        }
    return pattern


def _cells(
    upkeep: Upkeep, view: View, selection: Selection, timezone: str | None, bins: int
) -> dict[int, Figures]:
    groups = upkeep.summary(_day_groups(timezone, bins), selection, view)
    groups.settle(view, selection)
    return groups.figures


@lru_cache(maxsize=256)
def _day_groups(timezone: str | None, bins: int) -> Callable[[], Groups]:
    zone = None if timezone is None else zone_of(timezone)
    return partial(Groups, QUARTER_SECONDS, lru_cache(maxsize=None)(partial(_local_cell, zone, bins)))


def zone_of(name: str) -> ZoneInfo:
    """Return the timezone of an IANA name.

    Raises:
        ValueError: if there is none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"no timezone is called {name!r}") from error


def _local_cell(zone: ZoneInfo | None, bins: int, quarter: int) -> int:
    """Return weekday × bins + bin of the day of a quarter of an hour since 1970."""
    seconds = quarter * QUARTER_SECONDS
    if zone is None:
        local = time.localtime(seconds)
        weekday, minutes = local.tm_wday, local.tm_hour * 60 + local.tm_min
    else:
        there = datetime.fromtimestamp(seconds, zone)
        weekday, minutes = there.weekday(), there.hour * 60 + there.minute
    return weekday * bins + minutes * bins // 1440
