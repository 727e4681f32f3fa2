"""How long what is kept, and which roll-ups answer for a span of time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

HOUR = 3600.0
DAY = 86400.0

OBJECTIVES = "objectives"
WELCOME = "welcome"
EXPERIMENTS = "experiment"
LASTING = frozenset({OBJECTIVES, WELCOME, EXPERIMENTS})
"""Topics of messages that stay until they are replaced: what people promised, want to see, and found out.

All others are what processes tell each other, and are forgotten with the workers.
"""


class Level(IntEnum):
    """Seconds that one roll-up row speaks for."""

    MINUTE = 60
    HOUR = 3600
    DAY = 86400


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds for which things are kept; by what the records' own timestamps say.

    Attributes:
        raw: raw records, their texts and their feedback.
        minutes: roll-ups by minute.
        hours: roll-ups by hour.
        days: roll-ups by day.
        decisions: decisions of the tuner, and events.
        workers: workers that do not report any more, and messages but for those of ``LASTING`` topics.

    Raises:
        ValueError: if one is not positive, or a finer roll-up is kept longer than a coarser one.
    """

    raw: float = 3 * DAY
    minutes: float = 3 * DAY
    hours: float = 100 * DAY
    days: float = 1826 * DAY
    decisions: float = 366 * DAY
    workers: float = 7 * DAY

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= self.hours <= self.days:
            raise ValueError(
                f"keep minutes ({self.minutes:g} s) ≤ hours ({self.hours:g}) ≤ days ({self.days:g})"
            )
        if min(self.raw, self.decisions, self.workers) <= 0:
            raise ValueError("a retention must be above 0 seconds")

    def of(self, level: Level) -> float:
        """Return for how many seconds roll-ups of a level are kept."""
        return {Level.MINUTE: self.minutes, Level.HOUR: self.hours, Level.DAY: self.days}[level]


DEFAULT = Retention()


@dataclass(frozen=True, slots=True)
class Span:
    """Roll-ups of one level whose start is from ``first`` (included) to ``end`` (excluded), Unix seconds."""

    level: Level
    first: int
    end: int


def covering(start: float, end: float, finest: Level) -> list[Span]:
    """Return the fewest spans that cover ``start`` to ``end``: coarse inside, ``finest`` at the edges.

    The edges are moved outwards to whole units of ``finest``.

    Examples:
        >>> spans = covering(30, 7290, Level.MINUTE)
        >>> [(span.level.name, (span.end - span.first) // span.level) for span in spans]
        [('HOUR', 2), ('MINUTE', 2)]
    """
    first = int(start // finest) * finest
    last = -int(-end // finest) * finest
    return _cover(first, last, [level for level in Level if level >= finest])


def spans_of(start: float, end: float, level: Level | None, now: float, retention: Retention) -> list[Span]:
    """Return the spans to read for ``Store.rollups``: of one level, or the fewest that cover the time.

    Raises:
        ValueError: if ``start`` or ``end`` is not finite.
    """
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError(f"roll-ups are read from one time to another, not from {start} to {end}")
    if level is None:
        return covering(start, end, finest_level(start, end, now, retention))
    first, last = int(start // level) * level, -int(-end // level) * level
    return [Span(level, first, last)] if first < last else []


def finest_level(start: float, end: float, now: float, retention: Retention) -> Level:
    """Return the level for the edges of a span: fine enough to err by under 0.2 %, and still kept.

    Minutes answer for up to two days, hours for up to sixty, days for more.
    """
    length = end - start
    if length <= 2 * DAY and start >= now - retention.minutes:
        return Level.MINUTE
    if length <= 60 * DAY and start >= now - retention.hours:
        return Level.HOUR
    return Level.DAY


def _cover(first: int, end: int, levels: list[Level]) -> list[Span]:
    level, coarser = levels[0], levels[1:]
    if coarser:
        inner_first = -(-first // coarser[0]) * coarser[0]
        inner_end = end // coarser[0] * coarser[0]
        if inner_first < inner_end:
            edges = [Span(level, first, inner_first), *_cover(inner_first, inner_end, coarser)]
            return [span for span in (*edges, Span(level, inner_end, end)) if span.first < span.end]
    return [Span(level, first, end)] if first < end else []
