"""Ranges that are dragged on time charts, for every page, and buckets that are chosen on them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import streamlit as st

from athena_tuning.service import units
from athena_tuning.service.view import DEFAULT_RANGE
from athena_tuning.ui.charts.echarts_option import HAPPENINGS
from athena_tuning.ui.charts.panel import Chart
from athena_tuning.ui.charts.plotly_figure import CONFIG
from athena_tuning.ui.frame import controls
from athena_tuning.ui.frame.drawing import drawing


class Chosen(NamedTuple):
    """What was chosen on a chart.

    Attributes:
        bucket: start and end in Unix seconds; None without one.
        happening: place among what happened; None without one.
    """

    bucket: tuple[float, float] | None = None
    happening: int | None = None


_ZOOMED = "zoomed"
_EARLIER = "earlier ranges"
_MOST_EARLIER = 20


def live_chart(
    chart: Chart, key: str, *, bucket_seconds: float, times: Sequence[float], **more: Any
) -> Chosen:
    """Draw an ECharts chart over time; a drag along it sets the range, and a bucket of it can be chosen.

    Args:
        chart: with a brush, its axis in ms of the wall clock.
        key: of the widget.
        bucket_seconds: length of a bucket.
        times: Unix seconds at which the buckets begin, in the order in which they are drawn.
        more: as ``st.echarts_chart`` takes it.

    Returns:
        The bucket or the happening that was chosen.
    """
    event = st.echarts_chart(chart.spec, key=key, alt=chart.alt, on_select=lambda: _take(key), **more)
    if event.selection.areas:
        return Chosen()
    for group in event.selection.selected:
        place = group["data_indices"][0]
        if group["series_id"] == HAPPENINGS:
            return Chosen(happening=place)
        if place < len(times):
            return Chosen((times[place], times[place] + bucket_seconds))
    return Chosen()


def analysis_chart(chart: Chart, key: str) -> None:
    """Draw a Plotly chart over time; a drag along it sets the range."""
    key = key_of(key)
    st.plotly_chart(
        drawing(chart),
        key=key,
        config=CONFIG,
        alt=chart.alt,
        on_select=lambda: _take_box(key),
        selection_mode="box",
    )


def key_of(chart: str) -> str:
    """Return the key of a chart for the chosen range: after a drag it is drawn anew, without the stretch."""
    chosen = str(st.session_state.get("range"))
    return f"{chart}-{chosen}" if controls.interval_of(chosen) else chart


def follow() -> None:
    """Draw the whole page anew after a drag on a part that renews itself: the range belongs to all of it."""
    if st.session_state.pop(_ZOOMED, False):
        st.rerun()


def undo_button() -> None:
    """Draw the way back to the range from before a drag; nothing where the browser's Back went it already."""
    earlier = st.session_state.get(_EARLIER, [])
    while earlier and earlier[-1] == st.session_state.get("range"):
        earlier.pop()
    if earlier:
        st.button(
            "Range before", icon=":material/undo:", on_click=_back, type="tertiary", key="range-before",
            help="Back to the range from before you dragged on a chart.",
        )  # fmt: skip


def take(start: float, end: float) -> None:
    """Look at a stretch from now on, in Unix seconds; meant for a callback."""
    state = st.session_state
    state[_EARLIER] = [*state.get(_EARLIER, []), state.get("range")][-_MOST_EARLIER:]
    state["range"] = controls.interval(start, end)
    controls.renew()


def _take(key: str) -> None:
    """Take a stretch that was dragged; meant for a callback."""
    event: Any = st.session_state.get(key)
    areas = event.selection.areas if event else []
    spans = [area["coord_range"] for area in areas if area["brush_type"] == "lineX"]
    if spans and spans[0][1] > spans[0][0]:
        take(*(units.from_wall_ms(ms, controls.zone()) for ms in spans[0]))
        st.session_state[_ZOOMED] = True


def _take_box(key: str) -> None:
    """Take a stretch that was dragged on a Plotly chart, whose axis is the wall clock; for a callback."""
    event: Any = st.session_state.get(key)
    boxes = event.selection.box if event else []
    if not boxes:
        return
    clock = units.zone(controls.zone())
    ends = sorted(
        datetime.fromisoformat(str(at)[:26]).replace(tzinfo=clock).timestamp() for at in boxes[0]["x"]
    )
    if ends[1] > ends[0]:
        take(*ends)


def _back() -> None:
    st.session_state["range"] = st.session_state[_EARLIER].pop() or DEFAULT_RANGE
    controls.renew()
