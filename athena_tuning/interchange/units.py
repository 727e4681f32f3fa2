"""Which unit a number is in, and what texts mean: rules that are stated, so that a person can check them.

A unit is told by, in this order:

1. the column's name: ``latency_ms``, ``StartTimeUnixNano``, ``took_seconds``;
2. for durations: a start and an end in the same row, when one unit makes end − start equal the duration;
3. for times: their size. A Unix time of today has 10 digits in s, 13 in ms, 16 in µs, 19 in ns. Smaller
   numbers count from a beginning that the file does not name, and are in s unless the name says otherwise;
4. for durations: their size. A median below 10 with fractions is s, below 100,000 ms, below 100 million µs,
   else ns. Beside times that count from an unknown beginning it is their unit. Where another unit would do as
   well (``unit_readings``), a person is asked.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Length of each unit."""

UNITS = (*SECONDS, "text")
"""What ``time_unit`` can be; "text" is ISO 8601, the time of a web log or an e-mail, or a time of day."""

EARLIEST = 631_152_000.0
"""1990 in Unix seconds; a time before it counts from an unknown beginning."""

LATEST = 4_102_444_800.0
"""2100 in Unix seconds."""

_NAMED = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "msecs", "milli", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(
        ("us", "µs", "μs", "usec", "usecs", "micro", "micros", "microsecond", "microseconds"), "us"
    ),
    **dict.fromkeys(("ns", "nsec", "nsecs", "nano", "nanos", "nanosecond", "nanoseconds"), "ns"),
}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-zµμ]+|\d+")
_GROUPED = re.compile(r"[-+]?(?:\d+,\d+|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+(?:,\d+)?)")
_WITH_UNIT = re.compile(r"\s*([-+]?[\d.,]+(?:[eE][-+]?\d+)?)\s*([a-zµμ]+)\s*$")
_YEAR_FIRST = re.compile(r"\d{4}/\d{2}/\d{2}")
_TIME_OF_DAY = re.compile(r"\s*(\d{1,2}):(\d{2}):(\d{2}(?:[.,]\d+)?)\s*$")
_WRITTEN_DURATION = re.compile(  # of Python, pandas and SQL ("1 day 02:00:00.5"), and ISO 8601 ("PT2H0.5S")
    r"\s*(?:(?P<days>\d+) days?,? )?(?P<hours>\d+):(?P<minutes>\d{2}):(?P<seconds>\d{2}(?:[.,]\d+)?)\s*$"
    r"|\s*P(?=.*\d)(?:(?P<D>\d+)D)?(?:T(?:(?P<H>\d+)H)?(?:(?P<M>\d+)M)?(?:(?P<S>\d+(?:[.,]\d+)?)S)?)?\s*$"
)
_UNKNOWN = frozenset({"", "-", "–", "null", "none", "nan", "na", "n/a", "nil", "unknown", "undefined", "?"})
_YES = frozenset(
    {
        "true",
        "t",
        "yes",
        "y",
        "ok",
        "success",
        "succeeded",
        "successful",
        "hit",
        "passed",
        "completed",
        "done",
    }
)
_NO = frozenset(
    {
        "false",
        "f",
        "no",
        "n",
        "error",
        "fail",
        "failed",
        "failure",
        "miss",
        "timeout",
        "timed_out",
        "aborted",
        "exception",
    }
)


def words(name: str) -> tuple[str, ...]:
    """Return the words of a column's name in small letters.

    Examples:
        >>> words("StartTimeUnixNano"), words("http.took_ms")
        (('start', 'time', 'unix', 'nano'), ('http', 'took', 'ms'))
    """
    return tuple(word.lower() for word in _WORD.findall(name))


def named_unit(name: str) -> str | None:
    """Return the unit in a column's name, None if there is none.

    Examples:
        >>> named_unit("duration_us"), named_unit("DurationSeconds"), named_unit("status")
        ('us', 's', None)
    """
    return next((_NAMED[word] for word in reversed(words(name)) if word in _NAMED), None)


def time_unit_of(values: Sequence[float]) -> str:
    """Return the unit of times by rule 3.

    Examples:
        >>> time_unit_of([1_700_000_000_000]), time_unit_of([1.7e9]), time_unit_of([57.2])
        ('ms', 's', 's')
    """
    if not values:
        return "s"
    size = abs(statistics.median(values))
    return next((unit for unit, length in SECONDS.items() if size * length < 1e11), "ns")


def unit_that_agrees(durations: Sequence[float], spans: Sequence[float]) -> str | None:
    """Return the unit by rule 2, None if none agrees.

    Args:
        durations: values of unknown unit.
        spans: seconds from start to end of the same rows.

    Examples:
        >>> unit_that_agrees([191530], [0.191531]), unit_that_agrees([5], [700.0])
        ('us', None)
    """
    pairs = [(d, s) for d, s in zip(durations, spans, strict=True) if d > 0 and s > 0]
    if not pairs:
        return None
    ratio = statistics.median(s / d for d, s in pairs)
    unit = min(SECONDS, key=lambda unit: abs(math.log10(ratio / SECONDS[unit])))
    return unit if 0.5 < ratio / SECONDS[unit] < 2 else None


def duration_unit_of(durations: Sequence[float], beside: str | None = None) -> tuple[str, str]:
    """Return the unit of durations by rule 4, and why.

    Args:
        durations: values of unknown unit.
        beside: unit of times that count from an unknown beginning, if the rows have such.

    Examples:
        >>> duration_unit_of([0.078, 2.5])
        ('s', 'median below 10 with fractions')
    """
    if beside is not None:
        return beside, "as the times beside it"
    size = statistics.median(durations) if durations else 0.0
    if size < 10 and any(value != int(value) for value in durations):
        return "s", "median below 10 with fractions"
    if size < 1e5:
        return "ms", "median below 100,000"
    return ("us", "median below 100 million") if size < 1e8 else ("ns", "median of 100 million or more")


def brings_unit(text: str) -> bool:
    """Whether a duration is written with its unit, or as days, hours, minutes and seconds.

    Examples:
        >>> brings_unit("12.5ms"), brings_unit("00:01:30"), brings_unit("PT0.5S"), brings_unit("12.5")
        (True, True, True, False)
    """
    parts = _WITH_UNIT.match(text)
    return bool(parts and parts[2] in _NAMED) or bool(_WRITTEN_DURATION.match(text))


def number(value: Any) -> float | int | None:
    """Return a number; None where it is unknown.

    Raises:
        ValueError: if it is something else.

    Examples:
        >>> number("12,5"), number("1.234,5"), number("1,234.5"), number("1701779876570888000"), number("n/a")
        (12.5, 1234.5, 1234.5, 1701779876570888000, None)
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        try:
            return int(value) if value.isdigit() else _checked(float(value))
        except ValueError:
            text = value.strip()
        if text.lower() in _UNKNOWN:
            return None
        if _GROUPED.fullmatch(text):
            return _checked(float(_ungrouped(text)))
    raise ValueError(f"no number: {value!r:.80}")


def _ungrouped(text: str) -> str:
    """Return a number with signs between its thousands as one without; one comma alone is a decimal one."""
    sign = max(",.", key=text.rfind)
    other = "." if sign == "," else ","
    if text.count(sign) > 1:
        return text.replace(sign, "").replace(other, ".")
    return text.replace(other, "").replace(sign, ".")


def duration_ms(value: Any, unit: str) -> float | None:
    """Return a duration in ms; a text may bring its own unit ("12.5ms") or be written out ("00:01:30").

    Raises:
        ValueError: if it is no duration.

    Examples:
        >>> duration_ms(191530, "us"), duration_ms("1.5 s", "ms"), duration_ms("00:00:02", "ms")
        (191.53, 1500.0, 2000.0)
        >>> duration_ms("0 days 00:01:00.5", "ms"), duration_ms("PT1M0.5S", "ms")
        (60500.0, 60500.0)
    """
    if type(value) is float and 0.0 <= value < math.inf:  # nearly always
        return value / _PER_MS[unit]
    if isinstance(value, timedelta):
        value, unit = value.total_seconds(), "s"
    elif isinstance(value, str) and (parts := _WITH_UNIT.match(value)) and parts[2] in _NAMED:
        value, unit = parts[1], _NAMED[parts[2]]
    elif isinstance(value, str) and (parts := _WRITTEN_DURATION.match(value)):
        return _written_ms(parts)
    amount = number(value)
    if amount is None:
        return None
    if amount < 0:
        raise ValueError(f"a duration below 0: {value!r:.80}")
    return amount / _PER_MS[unit]


def _written_ms(parts: re.Match[str]) -> float:
    """Return the ms of a duration that is written out."""
    days, hours, minutes, seconds = (
        (parts[long] or parts[short] or "0").replace(",", ".")
        for long, short in (("days", "D"), ("hours", "H"), ("minutes", "M"), ("seconds", "S"))
    )
    return ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60_000 + float(seconds) * 1e3


_PER_MS = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}
_PER_SECOND = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}


def moment(value: Any, unit: str) -> float | None:
    """Return a time in seconds, from 1970 or from the file's own beginning.

    Raises:
        ValueError: if it is no time.

    Examples:
        >>> moment("2023-12-05T12:37:56Z", "text"), moment("00:00:01.5", "text"), moment(1700000000500, "ms")
        (1701779876.0, 1.5, 1700000000.5)
    """
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if unit == "text" and isinstance(value, str):
        return _written_moment(value)
    amount = number(value)
    if amount is not None and unit == "text":
        raise ValueError(f"no time in writing: {value!r:.80}")
    return None if amount is None else amount / _PER_SECOND[unit]


def flag(value: Any) -> bool | None:
    """Return yes or no; None where it is unknown. A number is a flag or a status code.

    A status of 100 to 399 is a success, one of 500 to 599 a failure. Who got a 4xx asked wrongly: that tells
    nothing of the system. An unknown word is unknown.

    Examples:
        >>> flag("true"), flag(503), flag("404"), flag("")
        (True, False, None, None)
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        text = value.strip().lower()
        if not text.lstrip("-").isdigit():
            return True if text in _YES else False if text in _NO else None
        value = int(text)
    if value in (0, 1):
        return bool(value)
    if isinstance(value, (int, float)) and (100 <= value <= 399 or 500 <= value <= 599):
        return bool(value < 400)
    return None


def is_written_time(value: Any) -> bool:
    """Return whether a value is a time in writing."""
    if isinstance(value, datetime):
        return True
    try:
        return isinstance(value, str) and not _is_number(value) and _written_moment(value) is not None
    except ValueError:
        return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _checked(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _written_moment(text: str) -> float | None:
    text = text.strip()
    if text.lower() in _UNKNOWN:
        return None
    if day := _TIME_OF_DAY.match(text):
        return int(day[1]) * 3600 + int(day[2]) * 60 + float(day[3].replace(",", "."))
    if text.endswith(" UTC"):
        text = f"{text[:-4]}+00:00"
    amount = _parsed(_six_digits(text))
    if amount is None:
        raise ValueError(f"no time: {text!r:.80}")
    return (amount if amount.tzinfo else amount.replace(tzinfo=UTC)).timestamp()


def _parsed(text: str) -> datetime | None:
    """Read ISO 8601, with "/" in the date too, the times of web logs, and those of e-mails and HTTP."""
    if _YEAR_FIRST.match(text):
        text = text.replace("/", "-")
    for read in (datetime.fromisoformat, _logged, parsedate_to_datetime):
        try:
            return read(text)
        except ValueError:
            continue
    return None


def _logged(text: str) -> datetime:
    return datetime.strptime(text.strip("[]"), "%d/%b/%Y:%H:%M:%S %z")


def _six_digits(text: str) -> str:
    """Cut a fraction of a second to what ``datetime`` holds."""
    return re.sub(r"([.,]\d{6})\d+", r"\1", text)
