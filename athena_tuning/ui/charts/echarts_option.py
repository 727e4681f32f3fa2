"""Panels as an ECharts option: for what renews itself, since it is updated in place, and for cells to choose.

Times are drawn as wall clock of the chosen zone (``useUTC`` with shifted times).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from athena_tuning.ui.charts.panel import Axis, Bars, Cells, Chart, Line, Panel, Rule, number, numbers
from athena_tuning.ui.theme import FAINT, QUIET, TARGET

_SEEN = 3
"""Significant digits: a live chart is sent every time."""

HAPPENINGS = "happenings"

_HIDDEN = {"show": False}
_BRUSH: dict[str, Any] = {
    "xAxisIndex": "all",
    "brushType": "lineX",
    "brushMode": "single",
    "toolbox": ["lineX"],
}
_BRUSH |= {"throttleType": "debounce", "throttleDelay": 250}
_BRUSH |= {"brushStyle": {"color": QUIET, "borderColor": QUIET}, "outOfBrush": {"colorAlpha": 1}}
_TOOLS: dict[str, Any] = {
    "right": 8,
    "top": -4,
    "itemSize": 15,
    "feature": {"brush": {"title": {"lineX": "Drag a range"}}},
}
_BOX = {"backgroundColor": "#334155", "color": "#ffffff", "padding": [3, 6, 1, 6], "width": 240}
_BOX |= {"align": "left", "fontSize": 11, "fontFamily": '"Source Sans", sans-serif'}
_BRACES = str.maketrans("{|}", "(/)")


def over_time(*panels: Panel) -> Chart:
    """Return a chart of one panel over time, or of two or three over the same: the upper one is the higher.

    Marks without a name stand for themselves: their dots can be chosen, as series ``HAPPENINGS``.
    """
    marks = [m for panel in panels for m in panel.marks if not isinstance(m, Cells) and m.name]
    times = [[round(t) for t in mark.x] for mark in marks]
    shared = bool(times) and all(each == times[0] for each in times)
    spec: dict[str, Any] = {
        "useUTC": True,
        "animation": False,
        "grid": _grids(len(panels)),
        "xAxis": [_time_axis(panel.x, n, last=panel is panels[-1]) for n, panel in enumerate(panels)],
        "yAxis": [_axis(panel.y, n) for n, panel in enumerate(panels)],
        "legend": {"type": "scroll", "top": 0, "left": 0, "itemWidth": 14, "itemHeight": 8},
        "tooltip": {"trigger": "axis", "confine": True},
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "brush": _BRUSH,
        "toolbox": _TOOLS,
        "series": [each for n, panel in enumerate(panels) for each in _series(panel, n, shared)],
    }
    if shared:  # the times once: half the bytes of pairs
        spec["dataset"] = {"source": {"t": times[0], **{m.name: numbers(m.y, _SEEN) for m in marks}}}
    return Chart(spec, " ".join(panel.words for panel in panels))


def cells(panel: Panel) -> Chart:
    """Return a chart of a panel's one mark, cells of which one can be chosen."""
    (mark,) = (mark for mark in panel.marks if isinstance(mark, Cells))
    rows = [(row, numbers(values, _SEEN)) for row, values in enumerate(mark.values)]
    known = [[column, row, v] for row, values in rows for column, v in enumerate(values) if v is not None]
    low, high = (pick((v for *_, v in known), default=0) for pick in (min, max))
    plain = {"type": "category", "axisLine": _HIDDEN, "axisTick": _HIDDEN}
    spec = {
        "animation": False,
        "grid": {"left": 4, "right": 8, "top": 8, "bottom": 46, "containLabel": True, "show": True}
        | {"backgroundColor": FAINT, "borderWidth": 0},
        "tooltip": {"trigger": "item", "formatter": mark.hover},
        "xAxis": {**plain, "data": list(mark.x)},
        "yAxis": {**plain, "data": list(mark.y), "inverse": True},
        "visualMap": {"min": low, "max": high or 1, "text": [f"{high:g} {mark.unit}", f"{low:g}"]}
        | {"orient": "horizontal", "left": "center", "bottom": 0, "itemHeight": 220, "itemWidth": 10}
        | {"calculable": False},
        "series": [
            {
                "type": "heatmap",
                "data": known,
                "label": {"show": len(known) <= 60, "fontSize": 10},
                "selectedMode": "single",
                "itemStyle": {"borderWidth": 2, "borderColor": "transparent", "borderRadius": 4},
                "select": {"itemStyle": {"borderColor": TARGET, "borderWidth": 2}},
            }
        ],
    }
    return Chart(spec, panel.words)


def _grids(count: int) -> list[dict[str, Any]]:
    sides = {"left": 4, "right": 14, "containLabel": True}
    if count == 1:
        return [{**sides, "top": 34, "bottom": 4}]
    sides = {"left": 62, "right": 14, "containLabel": False}  # labels of unlike width, times in one line
    if count == 2:
        return [{**sides, "top": 34, "height": "48%"}, {**sides, "top": "62%", "bottom": 24}]
    lane = {**sides, "top": "77%", "bottom": 24, "tooltip": {"trigger": "item", "confine": True}}
    return [{**sides, "top": 34, "height": "41%"}, {**sides, "top": "54%", "height": "19%"}, lane]


def _time_axis(axis: Axis, place: int, *, last: bool) -> dict[str, Any]:
    ends = dict(zip(("min", "max"), axis.span or (), strict=False))
    quiet = {"axisTick": _HIDDEN, "splitLine": _HIDDEN, "axisLabel": {"show": last}}
    return {"type": "time", "gridIndex": place, **ends, **quiet}


def _axis(axis: Axis, place: int) -> dict[str, Any]:
    if axis.kind == "category":
        names = list((axis.ticks or {}).values())
        quiet = {"axisTick": _HIDDEN, "axisLine": _HIDDEN, "axisLabel": {"fontSize": 11}}
        return {"type": "category", "gridIndex": place, "data": names, "inverse": True, **quiet}
    return {
        "type": "value",
        "gridIndex": place,
        "min": 0,
        "axisLabel": {"formatter": f"{{value}} {axis.unit}"},
        "splitLine": {"lineStyle": {"color": QUIET}},
        "splitNumber": 2 if place else 4,
    }


def _series(panel: Panel, place: int, shared: bool) -> list[dict[str, Any]]:
    """Return the series of a panel; its rules belong to the last of them."""
    unit = panel.y.unit.replace("%", "%%")
    drawn: list[dict[str, Any]] = []
    for mark in panel.marks:
        if isinstance(mark, Cells):
            continue
        if not mark.name:
            drawn.append({"xAxisIndex": place, "yAxisIndex": place, **_unnamed(mark)})
            continue
        pairs = [[round(t), number(v, _SEEN)] for t, v in zip(mark.x, mark.y, strict=True)]
        drawn.append(
            {
                "name": mark.name,
                "xAxisIndex": place,
                "yAxisIndex": place,
                "tooltip": {"valueFormatter": f"%.4g {unit}"},
                **({"encode": {"x": "t", "y": mark.name}} if shared else {"data": pairs}),
                **(_line(mark) if isinstance(mark, Line) else _bars(mark)),
            }
        )
    if panel.rules and drawn:
        drawn[-1]["markLine"] = _rules(panel.rules)
    return drawn


def _unnamed(mark: Line | Bars) -> dict[str, Any]:
    """Return dots that say what they are, or the bar behind one."""
    times = [round(t) for t in mark.x]
    if not (isinstance(mark, Line) and not mark.width):
        line = {"width": mark.width if isinstance(mark, Line) else 1, "color": mark.colour, "opacity": 0.35}
        ends = [list(pair) for pair in zip(times, mark.y, strict=True)]
        return {"type": "line", "data": ends, "symbol": "none", "silent": True, "lineStyle": line}
    label = {"show": True, "position": "right", "fontSize": 10}
    data = [
        {"value": [t, lane], "name": note, "itemStyle": {"color": colour}}
        | {"label": {"formatter": words.translate(_BRACES)}}
        for t, lane, note, colour, words in zip(
            times, mark.y, mark.notes, mark.colour, mark.labels, strict=True
        )
    ]
    chosen = {"selectedMode": "single", "cursor": "pointer", "select": {"itemStyle": {"borderColor": TARGET}}}
    about = {"formatter": "{b}", "extraCssText": "max-width: 20rem; white-space: normal"}
    return {
        "type": "scatter", "id": HAPPENINGS, "data": data, "symbolSize": mark.dots, "label": label,
        "labelLayout": {"hideOverlap": True}, "tooltip": about, **chosen,
    }  # fmt: skip


def _line(mark: Line) -> dict[str, Any]:
    return {
        "type": "line",
        "showSymbol": len(mark.x) < 4,
        "lineStyle": {"width": mark.width},
        "emphasis": {"disabled": True},
        **({"step": "end"} if mark.steps else {}),
    }


def _bars(mark: Bars) -> dict[str, Any]:
    chosen = {"selectedMode": "single", "cursor": "pointer"}
    return {
        "type": "bar",
        "stack": "all",
        "barCategoryGap": "18%",
        "itemStyle": {"color": mark.colour},
        **chosen,
    }


def _rules(rules: Sequence[Rule]) -> dict[str, Any]:
    def drawn(rule: Rule) -> dict[str, Any]:
        line = {"color": rule.colour, "type": "dashed" if rule.dash == "dash" else "dotted", "width": 1.4}
        place = "insideStartTop" if rule.level else "end"
        label = {"formatter": rule.label, "position": place, "color": rule.colour, "fontSize": 10}
        about = {"emphasis": {"label": {"formatter": _about(rule)}}} if rule.about else {}
        return {"yAxis" if rule.level else "xAxis": rule.at, "lineStyle": line, "label": label, **about}

    under_pointer = {"label": {"rich": {"box": _BOX, "room": {"width": _BOX["width"]}}}}
    data = [drawn(rule) for rule in rules]
    return {"symbol": "none", "animation": False, "emphasis": under_pointer, "data": data}


def _about(rule: Rule) -> str:
    """Return what a rule says under the pointer, on the side that has room: ECharts centres labels."""
    boxes = (f"{{box|{line.translate(_BRACES)}}}" for line in rule.about.splitlines())
    return "\n".join(f"{box}{{room|}}" if rule.before else f"{{room|}}{box}" for box in boxes)
