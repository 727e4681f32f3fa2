"""Charts as plain SVG: small, sharp in print, readable by screen readers, coloured by the page's style."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDE, HALF = 1000, 500
"""Widths: words have the same size in a chart over the page and in one of two beside each other."""

_HEIGHT = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 14, 10, 40
_MOST_CHANGE = 2.0  # beyond three times as much a bar ends at the edge
_DOTS = 80
"""A line of more points is drawn without a dot for each."""

Ticks = Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Series:
    """A line.

    Attributes:
        name: for the legend and the dots.
        look: the class that gives it colour and dash.
        points: x and y; where y is NaN the line has a gap.
    """

    name: str
    look: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a chart.

    Attributes:
        label: what it shows, with its unit.
        log: equal distances are equal ratios.
        ticks: where its marks are and what they say; None: round numbers.
        span: from where to where; None: as far as the points reach.
    """

    label: str
    log: bool = False
    ticks: Ticks | None = None
    span: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A bar from ``low`` to ``high`` with a dot at ``value``, all relative changes (0.1 is a tenth more)."""

    name: str
    look: str
    value: float
    low: float
    high: float


def number(value: float) -> str:
    """Return a number as a person reads it.

    Example:
        >>> [number(v) for v in (0, 0.01234, 3.14159, 1234.5, math.nan)]
        ['0', '0.0123', '3.14', '1,234', '–']
    """
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def lines(series: Sequence[Series], x: Axis, y: Axis, description: str, width: int = WIDE) -> str:
    """Return lines over common axes.

    Args:
        series: what to draw; points that are not finite, and on a log axis those not above 0, leave gaps.
        x: the horizontal axis.
        y: the vertical axis; it begins with 0 unless it is a log axis.
        description: what the chart says, for readers who cannot see it.
        width: in the units of its words.
    """
    shown = [
        (line, [(a, b) if _fits(a, x) and _fits(b, y) else None for a, b in line.points]) for line in series
    ]
    known = [point for _, points in shown for point in points if point is not None]
    if not known:
        return '<p class="soft">Nothing was measured.</p>'
    across = _scale([a for a, _ in known], x, _LEFT, width - _RIGHT)
    up = _scale([b for _, b in known] + ([] if y.log else [0.0]), y, _HEIGHT - _BOTTOM, _TOP)
    parts = [*_grid(up, y, width), *_marks(across, x, width)]
    for line, points in shown:
        parts.append(f'<path class="line {escape(line.look)}" d="{_path(points, across.at, up.at)}"/>')
        if len(points) <= _DOTS:
            parts += _dots(line, points, across.at, up.at)
    return _image(parts, description, width, _HEIGHT)


def intervals(rows: Sequence[Interval], description: str) -> str:
    """Return bars around "no change", one below the other."""
    if not rows:
        return '<p class="soft">There is too little to say.</p>'
    least = max(-1.0, min(-0.05, *(row.low for row in rows)) * 1.1)
    most = min(_MOST_CHANGE, max(0.05, *(row.high for row in rows)) * 1.1)
    left, step = 150, 26
    height = _TOP + step * len(rows) + _BOTTOM // 2

    def at(change: float) -> float:
        share = (max(least, min(most, change)) - least) / (most - least)
        return left + 20 + share * (WIDE - left - 60)

    ticks = _round_numbers(least, most)
    bottom = _TOP + step * len(rows)
    parts = []
    for value in ticks:
        look = "zero" if value == 0 else "grid"
        parts.append(f'<path class="{look}" d="M{at(value):.1f} {_TOP}V{bottom}"/>')
        parts.append(
            _words(at(value), bottom + 16, f"{value * 100:+.3g} %" if value else "no change", "middle")
        )
    for n, row in enumerate(rows):
        middle = _TOP + step * (n + 0.5)
        label = f"{row.name}: {row.value * 100:+.1f} % ({row.low * 100:+.1f} to {row.high * 100:+.1f})"
        parts.append(_words(left - 8, middle + 4, row.name, "end"))
        parts.append(
            f'<g class="{escape(row.look)}"><title>{escape(label)}</title>'
            f'<path class="bar" d="M{at(row.low):.1f} {middle:.1f}H{at(row.high):.1f}"/>'
            f'<circle cx="{at(row.value):.1f}" cy="{middle:.1f}" r="4.5"/></g>'
        )
    return _image(parts, description, WIDE, height)


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    at: Callable[[float], float]


def _scale(values: Sequence[float], axis: Axis, begin: float, end: float) -> _Scale:
    low, high = axis.span or _around(values, log=axis.log)
    measure: Callable[[float], float] = math.log if axis.log else float
    first, length = measure(low), measure(high) - measure(low)
    return _Scale(low, high, lambda value: begin + (measure(value) - first) / length * (end - begin))


def _around(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    """Return where an axis begins and ends so that no point lies on its edge."""
    low, high = min(values), max(values)
    if log:
        return low / 1.15, high * 1.15
    return low, high + ((high - low) * 0.06 or 1.0)


def _fits(value: float, axis: Axis) -> bool:
    return math.isfinite(value) and (value > 0 or not axis.log)


def _ticks(scale: _Scale, axis: Axis) -> Ticks:
    if axis.ticks is not None:
        return [tick for tick in axis.ticks if scale.low <= tick[0] <= scale.high]
    values = _round_logs(scale.low, scale.high) if axis.log else _round_numbers(scale.low, scale.high)
    return [(value, number(value)) for value in values if scale.low <= value <= scale.high]


def _round_numbers(low: float, high: float) -> list[float]:
    """Return about five round numbers between two.

    Example:
        >>> _round_numbers(0, 10)
        [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _round_logs(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(decades) <= 4 else (1,)
    return [factor * 10.0**power for power in decades for factor in factors]


def _grid(scale: _Scale, axis: Axis, width: int) -> Iterator[str]:
    for value, words in _ticks(scale, axis):
        at = scale.at(value)
        yield f'<path class="grid" d="M{_LEFT} {at:.1f}H{width - _RIGHT}"/>'
        yield _words(_LEFT - 8, at + 4, words, "end")
    middle = (_HEIGHT - _BOTTOM + _TOP) / 2
    turned = f'transform="rotate(-90 14 {middle:.0f})"'
    yield f'<text x="14" y="{middle:.0f}" text-anchor="middle" {turned}>{escape(axis.label)}</text>'


def _marks(scale: _Scale, axis: Axis, width: int) -> Iterator[str]:
    bottom = _HEIGHT - _BOTTOM
    for value, words in _ticks(scale, axis):
        at = scale.at(value)
        yield f'<path class="grid" d="M{at:.1f} {bottom}v4"/>'
        yield _words(at, bottom + 17, words, "middle")
    yield _words((width - _RIGHT + _LEFT) / 2, _HEIGHT - 5, axis.label, "middle")


def _path(
    points: Sequence[tuple[float, float] | None], x: Callable[[float], float], y: Callable[[float], float]
) -> str:
    path, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        path.append(f"{pen}{x(point[0]):.1f} {y(point[1]):.1f}")
        pen = "L"
    return "".join(path)


def _dots(
    line: Series,
    points: Sequence[tuple[float, float] | None],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> Iterator[str]:
    for point in filter(None, points):
        label = escape(f"{line.name}: {number(point[1])}")
        at = f'cx="{x(point[0]):.1f}" cy="{y(point[1]):.1f}"'
        yield f'<circle class="dot {escape(line.look)}" {at} r="2.2"><title>{label}</title></circle>'


def _words(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _image(parts: Sequence[str], description: str, width: int, height: int) -> str:
    look = "wide" if width == WIDE else "half"
    head = f'class="{look}" role="img" aria-label="{escape(description)}" viewBox="0 0 {width} {height}"'
    return f'<svg {head} xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
