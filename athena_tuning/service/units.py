"""How figures read: every number with its unit, unknown as a dash."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UNKNOWN = "–"


def ms(value: float | None) -> str:
    """Write a duration given in ms.

    Examples:
        >>> ms(0.42), ms(-8.24), ms(123.4), ms(1530), ms(90_000), ms(None)
        ('0.42 ms', '−8.2 ms', '123 ms', '1.53 s', '1.5 min', '–')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    size, sign = abs(value), "−" if value < 0 else ""
    if size >= 7_200_000:
        return f"{sign}{size / 3_600_000:.1f} h"
    if size >= 60_000:
        return f"{sign}{size / 60_000:.1f} min"
    if size >= 1000:
        return f"{sign}{size / 1000:.2f} s"
    digits = 0 if size >= 100 or size == 0 else 1 if size >= 1 else 2
    return f"{sign}{size:.{digits}f} ms"


def seconds(value: float | None) -> str:
    """Write a duration given in seconds.

    Examples:
        >>> seconds(5), seconds(6.25), seconds(4000), seconds(22_602)
        ('5.00 s', '6.25 s', '66.7 min', '6.3 h')
    """
    return ms(None if value is None else value * 1000)


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share of 1.

    Examples:
        >>> percent(0.2961), percent(1.0), percent(float("nan"))
        ('29.6 %', '100 %', '–')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value * 100:.0f} %" if value in (0, 1) else f"{value * 100:.{digits}f} %"


def rate(value: float | None) -> str:
    """Write recalls per second.

    Examples:
        >>> rate(0.042), rate(3.25), rate(1200)
        ('0.042 /s', '3.25 /s', '1,200 /s')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value >= 100:
        return f"{value:,.0f} /s"
    return f"{value:.3g} /s"


def count(value: float | None) -> str:
    """Write a number of things.

    Examples:
        >>> count(0), count(12345), count(2_400_000)
        ('0', '12,345', '2.4 M')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value / 1e6:.1f} M" if abs(value) >= 1e6 else f"{value:,.0f}"


def size(value: float | None) -> str:
    """Write a number of bytes, in powers of 1,000.

    Examples:
        >>> size(812), size(4096), size(25_300_000), size(None) == UNKNOWN
        ('812 B', '4.1 kB', '25.3 MB', True)
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value:.0f} B"


def times(value: float | None) -> str:
    """Write a factor.

    Examples:
        >>> times(2.416)
        '2.42x'
    """
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:.2f}x"


def age(value: float | None) -> str:
    """Write how long ago something was, given in seconds.

    Examples:
        >>> age(0.4), age(42), age(600), age(7200), age(200_000)
        ('now', '42 s', '10 min', '2 h', '2 d')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value < 2:
        return "now"
    if value < 120:
        return f"{value:.0f} s"
    if value < 7200:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.0f} h" if value < 172_800 else f"{value / 86_400:.0f} d"


def ago(value: float | None) -> str:
    """Write how long ago something was, as an adverb.

    Examples:
        >>> ago(0.4), ago(42)
        ('just now', '42 s ago')
    """
    written = age(value)
    return "just now" if written == "now" else written if written == UNKNOWN else f"{written} ago"


def zone(name: str) -> tzinfo:
    """Return the timezone of that IANA name; an unknown name is UTC.

    Examples:
        >>> str(zone("Europe/Berlin")), str(zone("Mars/Base"))
        ('Europe/Berlin', 'UTC')
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def moment(time: float, timezone: str = "UTC", *, date: bool = True) -> str:
    """Write a moment given in Unix seconds.

    Examples:
        >>> moment(0), moment(0, "Asia/Tokyo", date=False)
        ('1970-01-01 00:00:00', '09:00:00')
    """
    written = datetime.fromtimestamp(time, zone(timezone))
    return written.strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")


def wall_ms(time: float, timezone: str) -> float:
    """Return the wall clock of a timezone as if it were UTC, in ms: what a chart without zones can draw.

    Examples:
        >>> wall_ms(0.0, "Asia/Tokyo") / 3_600_000
        9.0
    """
    offset = datetime.fromtimestamp(time, zone(timezone)).utcoffset()
    return (time + (offset.total_seconds() if offset else 0.0)) * 1000


def from_wall_ms(ms: float, timezone: str) -> float:
    """Return the Unix seconds of what ``wall_ms`` gave.

    Examples:
        >>> from_wall_ms(wall_ms(1e9, "Asia/Tokyo"), "Asia/Tokyo")
        1000000000.0
    """
    naive = datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=zone(timezone))
    return naive.timestamp()


def wall_clock(times: Iterable[float], timezone: str) -> list[float]:
    """Return moments as ``wall_ms`` does."""
    return [wall_ms(float(time), timezone) for time in times]


def setting(value: object, unit: str = "") -> str:
    """Write the value of a config field.

    Args:
        value: the value.
        unit: put behind numbers that have a fraction, with a space before it.

    Examples:
        >>> setting(True), setting(6.25, " s"), setting({"graph": 2.0}, " s"), setting([]), setting(None)
        ('on', '6.25 s', 'graph 2 s', 'none', 'none')
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}{unit}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {setting(inner, unit)}" for key, inner in value.items()) or "none"
    if isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[0], (int, float)):
        return f"{value[0]:g} to {value[1]:g}{unit}"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(sorted(map(str, value))) or "none"
    return "none" if value is None else str(value)


def step(before: object, after: object) -> str:
    """Write how far a setting would move.

    Examples:
        >>> step(5, 15), step(10.0, 6.25), step(True, False), step(4, 4), step({}, {"graph": 2.0})
        ('+10', '−38 %', 'off', '–', 'new')
    """
    if before == after:
        return UNKNOWN
    if isinstance(before, bool) or isinstance(after, bool):
        return "on" if after else "off"
    if isinstance(before, int) and isinstance(after, int):
        return f"{after - before:+d}".replace("-", "−")
    if isinstance(before, float) and isinstance(after, float) and before:
        return f"{(after / before - 1) * 100:+.0f} %".replace("-", "−")
    return "new" if not before else "none" if not after else "other"
