"""What a chart is made of, in either chart language: marks on panels, with axes and rules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from athena_tuning.ui.theme import MARK

Values = Sequence[Any]
"""Numbers, None or NaN where unknown; or names on an axis of names."""

Ends = Sequence[tuple[float, float]]
"""Lower and upper end of an interval, one for each value."""


class Chart(NamedTuple):
    """What a page draws.

    Attributes:
        spec: a Plotly figure or an ECharts option, as plain JSON types.
        alt: what it shows, in words with figures: for people who do not see it, and for tests.
    """

    spec: dict[str, Any]
    alt: str


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a panel.

    Attributes:
        title: what it measures, with the unit.
        unit: written behind each tick and value.
        kind: "log" of positive numbers; "time" in ms of the wall clock; "category" has names, which read from
            the top where they stand down the side.
        span: its two ends; None fits the data.
        from_zero: whether a fitted axis begins at 0.
        ticks: where its ticks are and what they say; None lets the language choose.
        step: distance of ticks; None likewise.
        most_ticks: how many ticks at most; None likewise.
        percent: whether ticks are written as percent.
        lines: whether ticks have lines across the panel.
        labels: whether ticks have labels.
    """

    title: str = ""
    unit: str = ""
    kind: Literal["linear", "log", "time", "category"] = "linear"
    span: tuple[float, float] | None = None
    from_zero: bool = False
    ticks: Mapping[float, str] | None = None
    step: float | None = None
    most_ticks: int | None = None
    percent: bool = False
    lines: bool = True
    labels: bool = True


NAMES = Axis(kind="category", lines=False)


@dataclass(frozen=True, slots=True)
class Series:
    """Values with a name.

    Attributes:
        x: values along.
        y: values up.
        name: for the legend; "" leaves it out there.
        colour: of all of it, or of each value; "" takes the next series colour.
        labels: text beside each value.
        notes: what ``hover`` says of each value as ``%{customdata}``.
        hover: what a value says under the pointer, in Plotly's terms; "" nothing.
        right: whether the panel's right axis measures it.
    """

    x: Values
    y: Values
    name: str = ""
    colour: str | Sequence[str] = ""
    labels: Sequence[str] = ()
    notes: Sequence[Any] = ()
    hover: str = ""
    right: bool = False


@dataclass(frozen=True, slots=True)
class Line(Series):
    """A line through values, dots at them, or both.

    Attributes:
        width: of the line in px; 0 draws dots alone.
        dash: how the line is drawn.
        steps: whether the line keeps a value until the next.
        dots: diameter in px; 0 draws the line alone.
        symbol: what a dot looks like.
        hollow: which dots are drawn hollow.
        x_ends: whiskers along.
        y_ends: whiskers up.
        band: an interval to shade behind the line.
    """

    width: float = 2.0
    dash: Literal["solid", "dot", "dash"] = "solid"
    steps: bool = False
    dots: float = 0.0
    symbol: str = "circle"
    hollow: Sequence[bool] = ()
    x_ends: Ends = ()
    y_ends: Ends = ()
    band: Ends = ()


@dataclass(frozen=True, slots=True)
class Bars(Series):
    """Bars from 0 or from a base.

    Attributes:
        opacity: 1 hides what is behind.
        sideways: whether they grow to the right, out of names down the side.
        stacked: whether they stand on the bars before.
        base: where each begins; None: at 0.
        thickness: share of the room for a bar; None leaves a gap.
    """

    opacity: float = 1.0
    sideways: bool = False
    stacked: bool = False
    base: Values | None = None
    thickness: float | None = None


@dataclass(frozen=True, slots=True)
class Cells:
    """A grid of coloured cells.

    Attributes:
        x: names of the columns.
        y: names of the rows, the upper first.
        values: row by row; NaN or None leaves a cell empty.
        unit: behind a value.
        most: value of the darkest colour; None: the highest.
        hover: what a cell says under the pointer, in the terms of the language that draws it.
    """

    x: Sequence[str]
    y: Sequence[str]
    values: Sequence[Values]
    unit: str = ""
    most: float | None = None
    hover: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across a panel at a value, or a shaded part of it.

    Attributes:
        at: the value.
        label: short, at its end.
        about: what it says under the pointer, line by line; ECharts only.
        to: the other end of a shaded part; None draws a line.
        level: whether it is a value up; else it is one along.
        before: whether the label is on the left of an upright line.
        colour: of line and label.
        dash: how the line is drawn.
    """

    at: float
    label: str = ""
    about: str = ""
    to: float | None = None
    level: bool = False
    before: bool = False
    colour: str = MARK
    dash: Literal["dash", "dot"] = "dash"


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture within a chart.

    Attributes:
        marks: what is drawn, the first behind.
        x: the axis along.
        y: the axis up.
        words: what it shows, for people who do not see it; "" where another panel says it.
        right: a second axis up, for marks that name it.
        rules: lines across.
        title: above it.
    """

    marks: Sequence[Line | Bars | Cells]
    x: Axis
    y: Axis
    words: str = ""
    right: Axis | None = None
    rules: Sequence[Rule] = ()
    title: str = ""


def listed(figures: Iterable[str], none: str = "nothing yet") -> str:
    """Return figures in words, one after the other.

    Example:
        >>> listed(["p50 3 ms", "p99 9 ms"]), listed([])
        ('p50 3 ms; p99 9 ms', 'nothing yet')
    """
    return "; ".join(figures) or none


def number(value: Any, digits: int = 0) -> Any:
    """Return a value as JSON has it: unknown is None, no more digits than are seen, a name as it is.

    Args:
        value: a number, None or a name.
        digits: significant ones; 0: four behind the point.

    Example:
        >>> number(float("nan")), number(2.0), number(1.23456), number(1234.5, 3), number("graph")
        (None, 2, 1.2346, 1230, 'graph')
    """
    if value is None or isinstance(value, str):
        return value
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}") if digits else round(float(value), 4)
    return int(short) if short.is_integer() else short


def numbers(values: Values, digits: int = 0) -> list[Any]:
    """Return values as JSON has them."""
    return [number(value, digits) for value in values]


def highest(values: Iterable[Any], none: float = 0.0) -> float:
    """Return the highest known value."""
    return max((float(v) for v in values if v is not None and math.isfinite(v)), default=none)
