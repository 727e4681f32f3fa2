"""Which units fit numbers that no name and no schema gives one: what is left open is asked.

Times that lie between 1990 and 2100 in one unit do so in no other. Others count from a beginning that the
file does not name: a unit fits if the rows come at a rate and over a time that requests come at. A duration
fits if its median is one that requests take, and if no more of them run at once than any system runs (by
Little's law: their rate times their mean).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from athena_tuning.interchange import units
from athena_tuning.interchange.recognition import Question

MOST_AT_ONCE = 1000.0
"""Requests under way at once of which a person is asked whether that can be."""

_SHORTEST_S, _LONGEST_S = 1.0, 400 * 86_400.0
_MOST_PER_S = 20_000.0
_FASTEST_MS, _SLOWEST_MS = 0.05, 600_000.0


def time_unit(what: str, column: str, times: Sequence[float]) -> tuple[str, str, Question | None]:
    """Return the unit of times without a name, why, and the question that is open.

    Args:
        what: whether they are a "start" or an "end".
        column: where they are.
        times: of some rows.

    Example:
        >>> time_unit("start", "ts", [1_700_000_000_000, 1_700_000_001_000])[:2]
        ('ms', "by the size of the numbers in 'ts'")
        >>> print(time_unit("start", "offset", [0, 40_000, 90_000, 3_540_000])[2])
        times in 'offset' could be in s (over 41 days) or ms (over 59.0 min) or us (over 3.5 s)
    """
    by_size = units.time_unit_of(times)
    why = f"by the size of the numbers in {column!r}"
    if not times or max(times) * units.SECONDS[by_size] >= units.EARLIEST:
        return by_size, why, None
    spread = max(times) - min(times)
    fitting = {
        unit: f"over {_lasting(spread * size)}"
        for unit, size in units.SECONDS.items()
        if _SHORTEST_S <= spread * size <= _LONGEST_S
        and len(times) <= _MOST_PER_S * spread * size
        and (unit != "ns" or not _fractions(times))
    }
    chosen = by_size if by_size in fitting else next(iter(fitting), by_size)
    return chosen, why, Question(what, column, fitting) if len(fitting) > 1 else None


def duration_unit(
    column: str, durations: Sequence[float], per_s: float | None, beside: str | None = None
) -> tuple[str, str, Question | None]:
    """Return the unit of durations without a name, why, and the question that is open.

    Args:
        column: where they are.
        durations: of some rows.
        per_s: rows a second; None if that is unknown.
        beside: unit of times beside them that count from an unknown beginning, if there are such.

    Example:
        >>> duration_unit("took", [51_000_000.0, 90_000_000.0], per_s=20.0)[:2]
        ('ns', 'only that fits their median and 20 rows a second')
        >>> print(duration_unit("took", [1500, 1500], per_s=2.0)[2])
        durations in 'took' could be in ms (median 1.5 s, 3.0 at once) or us (median 1.5 ms, 0.0 at once)
    """
    by_size, why = units.duration_unit_of(durations, beside=beside)
    known = [duration for duration in durations if duration > 0]
    if not known:
        return by_size, why, None
    median, mean = statistics.median(known), statistics.fmean(known)
    fitting = {}
    for unit, size in units.SECONDS.items():
        at_once = None if per_s is None else per_s * mean * size
        if (
            _FASTEST_MS <= median * size * 1e3 <= _SLOWEST_MS
            and (at_once is None or at_once <= MOST_AT_ONCE)
            and (unit != "ns" or not _fractions(known))
        ):
            count = "" if at_once is None else f", {at_once:,.1f} at once"
            fitting[unit] = f"median {_lasting(median * size)}{count}"
    if len(fitting) == 1:
        (only,) = fitting
        rate = "" if per_s is None else f" and {per_s:,.3g} rows a second"
        return only, why if only == by_size else f"only that fits their median{rate}", None
    chosen = by_size if by_size in fitting else next(iter(fitting), by_size)
    return chosen, why, Question("latency", column, fitting) if fitting else None


def _fractions(values: Sequence[float]) -> bool:
    return any(value != int(value) for value in values)


def _lasting(seconds: float) -> str:
    """Return a time as a person says it."""
    for size, unit in ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min"), (1.0, "s")):
        if seconds >= 1.5 * size or (unit == "s" and seconds >= 1):
            return f"{seconds / size:,.{0 if unit == 'days' else 1}f} {unit}"
    return f"{seconds * 1e3:.3g} ms"
