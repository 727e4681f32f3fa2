"""When: time series, hour of day by weekday in any timezone, exact percentiles in every cell."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from zoneinfo import ZoneInfo

import numpy as np

from athena_tuning.profiling.columns.incremental import IncrementalSummaries
from athena_tuning.profiling.columns.selection import Selection
from athena_tuning.profiling.columns.window import View
from athena_tuning.profiling.histogram import Floats, Ints
from athena_tuning.profiling.questions.groups import Figures, Groups

QUARTER_SECONDS = 900  # every timezone's offset is a multiple of a quarter of an hour
_MOST_BUCKETS = 1_000_000


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """A row a bucket, without gaps: its start in Unix seconds; latencies in ms, NaN where empty.

    ``errors`` are failed recalls; ``refused`` ones were turned away unserved.
    """

    time: Floats
    count: Ints
    errors: Ints
    refused: Ints
    cache_hits: Ints
    mean: Floats
    p50: Floats
    p95: Floats
    p99: Floats


def time_series(
    summaries: IncrementalSummaries, view: View, selection: Selection, bucket_seconds: float
) -> TimeSeries:
    """Return figures by bucket; a bucket that the range cuts is shown whole.

    Raises:
        ValueError: if a bucket is not 0.1 s to a day, or if there would be more than a million of them.
    """
    if not 0.1 <= bucket_seconds <= 86_400:
        raise ValueError(f"a bucket is 0.1 to 86,400 seconds, not {bucket_seconds}")
    whole = replace(selection, start=None, end=None)
    make = _series_groups(bucket_seconds)
    groups = summaries.summary(make, whole, view)
    pieces = _cut(groups.span(), selection, bucket_seconds)
    if len(pieces) > _MOST_BUCKETS:
        raise ValueError(
            f"{len(pieces):,} buckets of {bucket_seconds:g} s are more than {_MOST_BUCKETS:,}: "
            "ask for longer buckets or a shorter range"
        )
    groups.settle(view, whole, pieces)
    figures_by_slice = {piece: groups.figures[piece] for piece in pieces if piece in groups.figures}
    first, last = (min(figures_by_slice), max(figures_by_slice)) if figures_by_slice else (0, -1)
    n = last - first + 1
    table = np.zeros((len(Figures._fields), n))
    table[Figures._fields.index("timed") + 1 :] = math.nan
    table[:, np.array(list(figures_by_slice), np.int64) - first] = (
        np.array(list(figures_by_slice.values())).reshape(-1, len(Figures._fields)).T
    )
    by_name = dict(zip(Figures._fields, table, strict=True))
    with np.errstate(invalid="ignore"):
        mean = by_name["total_ms"] / by_name["timed"]
    refused = _refused(by_name, selection)
    return TimeSeries(
        np.arange(first, first + n, dtype=np.float64) * bucket_seconds,
        by_name["recalls"].astype(np.int64),
        (by_name["errors"] - refused).astype(np.int64),
        refused.astype(np.int64),
        by_name["cache_hits"].astype(np.int64),
        mean,
        by_name["p50"],
        by_name["p95"],
        by_name["p99"],
    )


def _refused(figures: Mapping[str, Floats], selection: Selection) -> Floats:
    """Return refused recalls; a layer has none, its tasks fail within recalls that may be partial."""
    return figures["refused"] if selection.layer is None else np.zeros_like(figures["refused"])


def _cut(buckets: range, selection: Selection, width: float) -> range:
    """Return those of the buckets that the selection's range touches."""
    first, end = buckets.start, buckets.stop
    if selection.start is not None:
        first = max(first, math.floor(selection.start / width))
    if selection.end is not None:
        end = min(end, math.ceil(selection.end / width))
    return range(first, end)


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


def hour_weekday(
    summaries: IncrementalSummaries, view: View, selection: Selection, timezone: str | None
) -> HourWeekday:
    """Return figures by weekday and hour of day.

    Args:
        summaries: keeps what was computed.
        view: what is visible.
        selection: which records.
        timezone: IANA name ("Europe/Berlin"); None is the machine's own.

    Raises:
        ValueError: if there is no such timezone.
    """
    cells = _cells(summaries, view, selection, timezone, 24)
    table = np.zeros((len(Figures._fields), 7 * 24))
    table[Figures._fields.index("timed") + 1 :] = math.nan
    for cell, figures in cells.items():
        table[:, cell] = np.array(figures)
    rows = dict(zip(Figures._fields, table.reshape(-1, 7, 24), strict=True))
    with np.errstate(invalid="ignore"):
        mean = rows["total_ms"] / rows["timed"]
        errors = rows["errors"] - _refused(rows, selection)
        success = 1 - rows["errors"] / rows["success_known"]
    return HourWeekday(
        timezone,
        rows["recalls"].astype(np.int64),
        mean,
        rows["p50"],
        rows["p95"],
        rows["p99"],
        success,
        errors.astype(np.int64),
    )


def time_of_day(summaries: IncrementalSummaries, view: View, bins: int) -> dict[int, dict[str, float]]:
    """Return mean latency in ms, count and success rate by time of day (local), weekdays together."""
    cells = _cells(summaries, view, Selection(), None, bins)
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
    summaries: IncrementalSummaries, view: View, selection: Selection, timezone: str | None, bins: int
) -> dict[int, Figures]:
    groups = summaries.summary(_day_groups(timezone, bins), selection, view)
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
