"""When: time series, hour of day by weekday in any timezone, exact percentiles in every cell.

Records are grouped by slices of time. A group remembers its figures; only groups that gained or lost a
record since the last reading are computed again.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from athena_tuning.profiling.block import One, Rows
from athena_tuning.profiling.columns import CACHE_HIT, CACHE_KNOWN, SUCCESS, SUCCESS_KNOWN
from athena_tuning.profiling.histogram import Floats, Ints
from athena_tuning.profiling.selection import Selection, times
from athena_tuning.profiling.statistics import flags_of
from athena_tuning.profiling.upkeep import Upkeep
from athena_tuning.profiling.window import View

QUARTER_SECONDS = 900  # every timezone's offset is a multiple of a quarter of an hour
_PERCENTILES = (0.5, 0.95, 0.99)


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


class Groups:
    """The figures of groups of time slices."""

    def __init__(self, width: float, group_of: Callable[[int], int]) -> None:
        self.figures: dict[int, Figures] = {}
        self._width = width
        self._group_of = group_of
        self._slices: Counter[int] = Counter()
        self._touched: set[int] = set()

    def apply(self, rows: Rows, sign: int) -> None:
        """Note which slices gained or lost rows."""
        slices, counts = np.unique(slices_of(rows, self._width), return_counts=True)
        for piece, count in zip(slices.tolist(), counts.tolist(), strict=True):
            self._count(piece, sign * count)

    def apply_one(self, one: One, layer: str | None, sign: int) -> None:
        """Note which slice gained or lost a record."""
        self._count(math.floor(one.record.time / self._width), sign)

    def _count(self, piece: int, n: int) -> None:
        self._slices[piece] += n
        self._touched.add(self._group_of(piece))
        if not self._slices[piece]:
            del self._slices[piece]

    def settle(self, view: View, selection: Selection) -> None:
        """Compute the groups again that changed."""
        if not self._touched:
            return
        for group in self._touched:
            self.figures.pop(group, None)
        wanted = sorted(piece for piece in self._slices if self._group_of(piece) in self._touched)
        self._touched.clear()
        if wanted:
            self.figures |= self._compute(np.array(wanted), view, selection)

    def _compute(self, wanted: Ints, view: View, selection: Selection) -> dict[int, Figures]:
        names = [self._group_of(piece) for piece in wanted.tolist()]
        groups = sorted(set(names))
        number = {group: i for i, group in enumerate(groups)}
        numbers = np.array([number[name] for name in names])
        parts = list(self._parts(wanted, numbers, view, selection))
        group, ms, flags = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return dict(zip(groups, _figures(group, ms, flags, len(groups)), strict=True))

    def _parts(
        self, wanted: Ints, numbers: Ints, view: View, selection: Selection
    ) -> Iterable[tuple[npt.NDArray[np.uint16], Floats, npt.NDArray[np.uint8]]]:
        """Yield group, latency and flags of the rows that lie in the wanted slices."""
        for block in view.blocks:
            low, high = block.oldest // self._width, block.newest // self._width
            if np.searchsorted(wanted, low) == np.searchsorted(wanted, high, side="right"):
                continue
            rows = selection.of(view.part(block))
            slices = slices_of(rows, self._width)
            place = np.minimum(np.searchsorted(wanted, slices), len(wanted) - 1)
            hit = wanted[place] == slices
            yield numbers[place[hit]].astype(np.uint32), times(rows)[hit], flags_of(rows)[hit]


def slices_of(rows: Rows, width: float) -> Ints:
    """Return the number of the time slice that each row begins in."""
    return np.floor_divide(rows["time"], width).astype(np.int64)


def _figures(
    group: npt.NDArray[np.uint16], ms: Floats, flags: npt.NDArray[np.uint8], n: int
) -> list[Figures]:
    order = np.argsort(group, kind="stable")
    group, ms, flags = group[order], ms[order], flags[order]
    bounds = np.searchsorted(group, np.arange(n + 1)).tolist()
    found = []
    for start, end in pairwise(bounds):
        bits = np.bincount(flags[start:end], minlength=64)
        values = ms[start:end]
        values = np.sort(values[~np.isnan(values)])
        known, hits = _with(bits, SUCCESS_KNOWN), _with(bits, CACHE_KNOWN | CACHE_HIT)
        at = [float(values[int(q * len(values))]) if len(values) else math.nan for q in _PERCENTILES]
        errors = known - _with(bits, SUCCESS_KNOWN | SUCCESS)
        total = float(values.sum())
        found.append(
            Figures(end - start, known, errors, _with(bits, CACHE_KNOWN), hits, len(values), total, *at)
        )
    return found


_BITS = np.arange(64)


def _with(by_flags: npt.NDArray[np.intp], bits: int) -> int:
    return int(by_flags[(_BITS & bits) == bits].sum())


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
