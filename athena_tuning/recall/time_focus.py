"""The time that a question is about: "in March 2023", "two weeks ago", "the latest". English."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from athena_tuning.recall.classification import what_tells, words_of

DAY_S = 86_400.0

WITHIN = 0.2
"""What the rank of an item of the period counts beside that of another one: of the period, the fifth stands
with the first of those outside. On questions with a date, 0.1 and 0.3 are as good; 0, a filter, is worse."""

TOLD_LATER_DAYS = (7, 31)
"""What happened is told for some time after: a period goes on for as long again, between so many days."""

WIDER = 5
"""Times as many items in which those of the period are looked for. Arithmetic: what is ranked lower could not
come among the first."""

AGES = 75
"""The best ranked items, among which it is told which are the newest: the same for every ``k``."""


@dataclass(frozen=True, slots=True)
class TimeFocus:
    """The time that a question is about.

    Attributes:
        start: Unix seconds at which its period begins; −inf: long ago.
        end: Unix seconds at which it has ended; inf: never.
        newest: whether it asks for what is newest.
    """

    start: float = -math.inf
    end: float = math.inf
    newest: bool = False

    def __contains__(self, timestamp: float | None) -> bool:
        """Whether something happened, or was told, in the period."""
        return timestamp is not None and self.start <= timestamp < self.end

    def order(self, items: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Return items in the order that they have with this focus: a weight, not a filter.

        The rank of an item in the period counts a fifth. Where the newest are asked for, ranks count from 1
        (the newest of the best ``AGES`` items) to 2 (the oldest, and those without a timestamp). Of equals
        the better ranked is first.

        Args:
            items: with a ``timestamp`` in Unix seconds or None, best first.

        Examples:
            >>> ranked = [{"id": "a", "timestamp": 5.0}, {"id": "b", "timestamp": 15.0}]
            >>> [item["id"] for item in TimeFocus(10, 20).order(ranked)]
            ['b', 'a']
        """
        times = sorted({t for item in items[:AGES] if (t := item["timestamp"]) is not None}, reverse=True)
        ages = {t: place / max(len(times) - 1, 1) for place, t in enumerate(times)} if self.newest else {}
        bounded = self.start > -math.inf or self.end < math.inf
        weights = [
            (rank if not bounded or item["timestamp"] not in self else rank * WITHIN)
            * (1.0 + ages.get(item["timestamp"], 1.0) if self.newest else 1.0)
            for rank, item in enumerate(items, 1)
        ]
        return [item for _, item in sorted(zip(weights, items, strict=True), key=lambda pair: pair[0])]


_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_MONTH = f"(?:{_MONTHS}|(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\\b\\.?)"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_YEAR = r"(?:19|20)\d\d"
_NUMBER = (
    r"\d{1,3}|a\s+couple\s+of|a\s+few|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
)
_WEEKDAY = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"

_PERIOD = re.compile(
    rf"""\b(?:(?P<side>since|after|before|until)\s+(?:the\s+)?)?(?:
    (?P<date>
        {_YEAR}-\d\d(?:-\d\d)?
      | (?:{_DAY}\s+(?:of\s+)?)?{_MONTH},?\s+(?:of\s+)?{_YEAR}
      | {_MONTH}\s+{_DAY},?\s+{_YEAR}
      | {_DAY}\s+(?:of\s+)?(?:{_MONTHS})
      | (?:{_MONTHS})\s+{_DAY}(?!\d)
      | (?:{_NUMBER})\s+(?:day|week|month|year)s?\s+ago
      | (?:the\s+day\s+before\s+)?yesterday | today | tonight | last\s+night
      | this\s+(?:morning|afternoon|evening)
    )
  | (?:(?:in|of|during|from|last|this)\s+|(?<=since\s)|(?<=after\s)|(?<=before\s)|(?<=until\s))
    (?P<named>(?:{_MONTHS})(?!,?\s+(?:of\s+)?\d)|{_YEAR})
  | (?:last|this|past|previous)\s+(?P<unit>week|month|year|weekend|{_WEEKDAY})
  | (?:last|past)\s+(?P<span>{_NUMBER})\s+(?P<of>day|week|month|year)s?
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)

_END = (
    rf"(?:(?:{_DAY}\s+(?:of\s+)?)?{_MONTH}(?:\s+{_DAY}\b)?(?:,?\s+(?:of\s+)?{_YEAR})?"
    rf"|{_YEAR}(?:-\d\d){{0,2}})"
)
_RANGE = re.compile(
    rf"""\b(?:between|from)\s+(?P<first>{_END})
    \s*(?:\b(?:and|to|until|till|through)\b|[-–])\s*
    (?P<last>{_END})(?!\w)""",
    re.IGNORECASE | re.VERBOSE,
)

_NEWEST = re.compile(
    r"""\b(?:recent|recently|latest|newest|lately)\b
  | (?:\b(?:the|my|our|your|his|her|its|their)|['’]s?)\s+last\s+(?!name\b)[a-z]
  | \b(?:did|have|has|was|were)\s+(?:i|we|you|he|she|it|they)\s+last\s+[a-z]
  | ^\s*last\s+[a-z]""",
    re.IGNORECASE | re.VERBOSE,
)

_HINTS = frozenset(
    f"{_MONTHS}|{_WEEKDAY}|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|ago|last|past|week|weekend|month|"
    "year|yesterday|today|tonight|morning|afternoon|evening|recent|recently|latest|newest|lately".split("|")
).union(map(str, range(1900, 2100)))
"""Without any of these no question names a time; most have none, and looking for them is quick."""

_HAS_YEAR = re.compile(rf"\b{_YEAR}\b")

_NUMBERS = {
    **{"a": 1, "an": 1, "one": 1, "two": 2, "a couple of": 2, "three": 3, "a few": 3, "four": 4, "five": 5},
    **{"six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12},
}
_UNIT_DAYS = {"day": 1, "week": 7, "month": 30.5, "year": 365.25}


def time_focus(text: str, now: float) -> TimeFocus | None:
    """Return the time that a question is about; None if its words name none.

    Days are those of UTC, as timestamps without a zone are, and the finest that is told apart. A month
    without a year, a day without one and a weekday are the last that were. Of several periods the first
    with a year counts, else the first.

    Args:
        text: the question.
        now: Unix seconds.

    Examples:
        >>> at = datetime(2024, 5, 15, 9, tzinfo=UTC).timestamp()
        >>> yesterday = time_focus("What broke yesterday?", at)
        >>> datetime.fromtimestamp(yesterday.start, UTC).date().isoformat()
        '2024-05-14'
        >>> time_focus("What is the latest release?", at), time_focus("Who is Ana?", at)
        (TimeFocus(start=-inf, end=inf, newest=True), None)
    """
    if _HINTS.isdisjoint(words_of(text).all):
        return None
    return _time_focus(what_tells(text), int(now // DAY_S))


@lru_cache(maxsize=1024)
def _time_focus(text: str, day: int) -> TimeFocus | None:
    today = datetime.fromtimestamp(day * DAY_S, UTC)
    period = _RANGE.search(text)
    bounds = None if period is None else _range(period["first"], period["last"], today)
    if bounds is None:
        periods = list(_PERIOD.finditer(text))
        period = next(
            (each for each in periods if _HAS_YEAR.search(each[0])), periods[0] if periods else None
        )
        bounds = None if period is None else _bounds(period, today)
    if bounds is not None and period is not None:
        newest = bool(_NEWEST.search(text[: period.start()] + "." + text[period.end() :]))
        return TimeFocus(*bounds, newest=newest)
    return TimeFocus(newest=True) if _NEWEST.search(text) else None


def _bounds(period: re.Match[str], today: datetime) -> tuple[float, float] | None:
    """Return start and end of a period, with the time in which it is still told of."""
    if period["span"] is not None:
        days = _number(period["span"]) * _UNIT_DAYS[period["of"].casefold()]
        return (today - timedelta(days=days)).timestamp(), math.inf
    named = _named_period(period, today)
    if named is None:
        return None
    start, end = (moment.timestamp() for moment in named)
    match (period["side"] or "").casefold():
        case "since":
            return start, math.inf
        case "after":
            return end, math.inf
        case "before" | "until":
            return -math.inf, start
    return start, _told_until(start, end)


def _told_until(start: float, end: float) -> float:
    least, most = (days * DAY_S for days in TOLD_LATER_DAYS)
    return end + min(max(end - start, least), most)


def _range(first: str, last: str, today: datetime) -> tuple[float, float] | None:
    """Return start and end of what lies between two dates, both of them in it.

    A first one without a year is of the last one's, or of the year before.
    """
    until = _calendar_of(last, today)
    year = _HAS_YEAR.search(last)
    since = _calendar_of(first if _HAS_YEAR.search(first) or not year else f"{first} {year[0]}", today)
    if since is None or until is None:
        return None
    start, end = since[0], until[1]
    if start >= end and not _HAS_YEAR.search(first) and start.day < 29:
        start = start.replace(year=start.year - 1)
    if start >= end:
        return None
    return start.timestamp(), _told_until(start.timestamp(), end.timestamp())


def _number(words: str) -> int:
    return _NUMBERS.get(" ".join(words.casefold().split())) or int(words)


def _named_period(period: re.Match[str], today: datetime) -> tuple[datetime, datetime] | None:
    """Return the first moment of a period and the one after it; None if there is no such date."""
    if (unit := period["unit"]) is not None:
        this = "this" in period[0].casefold().split()
        phrase = "last week" if unit.casefold() == "weekend" else unit if len(unit) > 5 else f"last {unit}"
        phrase = f"this {unit}" if this and unit.casefold() in _UNIT_DAYS else phrase
    elif (phrase := period["named"] or period["date"]).casefold().startswith(("tonight", "this")):
        phrase = "today"
    elif (ago := re.match(_NUMBER, phrase, re.IGNORECASE)) and phrase.casefold().endswith("ago"):
        phrase = f"{_number(ago[0])}{phrase[ago.end() :]}"
    return _calendar_of(phrase, today)


def _calendar_of(phrase: str, today: datetime) -> tuple[datetime, datetime] | None:
    """Return the bounds of the day, week, month or year that a phrase names; None if there is none."""
    from dateparser.date import DateDataParser  # a third of a second, which only questions with a date pay

    settings = {
        "RELATIVE_BASE": today.replace(tzinfo=None),
        "PREFER_DATES_FROM": "past",
        "TIMEZONE": "UTC",
    }
    data = DateDataParser(languages=["en"], settings=settings).get_date_data(phrase)
    if data.date_obj is None:
        return None
    at = data.date_obj.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    return _calendar(at, data.period)


def _calendar(at: datetime, period: str) -> tuple[datetime, datetime] | None:
    """Return the bounds of the day, week (from Monday), month or year that a moment is in."""
    try:
        if period == "week":
            monday = at - timedelta(days=at.weekday())
            return monday, monday + timedelta(days=7)
        if period == "month":
            first = at.replace(day=1)
            return first, (first + timedelta(days=32)).replace(day=1)
        if period == "year":
            return at.replace(month=1, day=1), at.replace(year=at.year + 1, month=1, day=1)
        return at, at + timedelta(days=1)
    except (ValueError, OverflowError):  # the calendar ends
        return None
