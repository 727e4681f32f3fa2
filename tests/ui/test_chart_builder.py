"""One vocabulary of panels and marks, drawn by Plotly and by ECharts."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import plotly.graph_objects as go
import pytest

from athena_tuning.ui.charts.echarts_option import cells, over_time
from athena_tuning.ui.charts.panel import NAMES, Axis, Bars, Cells, Line, Panel, Rule
from athena_tuning.ui.charts.plotly_figure import figure

NAN = math.nan
LINE = Line([1, 2, 3], [1.0, NAN, math.inf], "p99", "#000003")
TIMED = Panel([LINE], Axis(kind="time", span=(1, 3)), Axis(unit="ms"), "One line.")
PLAIN = Panel([LINE], Axis("n"), Axis("ms"), "One line.", rules=[Rule(2, "limit 2"), Rule(1.0, level=True)])


def test_plotly_and_echarts_draw_the_same_line_and_leave_out_what_is_unknown() -> None:
    drawn, live = figure(PLAIN), over_time(TIMED)
    assert drawn.spec["data"][0]["y"] == [1, None, None]
    assert live.spec["dataset"]["source"] == {"t": [1, 2, 3], "p99": [1, None, None]}
    assert drawn.alt == live.alt == "One line."
    for chart in (drawn, live):
        json.dumps(chart.spec, allow_nan=False)


def test_plotly_panels_share_the_figure_by_rows_and_columns() -> None:
    layout = figure(*[PLAIN] * 4, columns=2, heights=(3, 1), gaps=(0.1, 0.2)).spec["layout"]
    across = [layout[f"xaxis{n}"]["domain"] for n in ("", "2", "3", "4")]
    up = [layout[f"yaxis{n}"]["domain"] for n in ("", "2", "3", "4")]
    assert across == [[0, 0.45], [0.55, 1], [0, 0.45], [0.55, 1]]
    assert up == [[0.4, 1], [0.4, 1], [0, 0.2], [0, 0.2]]
    go.Figure(figure(PLAIN, PLAIN).spec)


def test_plotly_legend_names_a_line_of_several_panels_once() -> None:
    traces = figure(PLAIN, PLAIN).spec["data"]
    assert [trace["showlegend"] for trace in traces] == [True, False]
    assert {trace["legendgroup"] for trace in traces} == {"p99"}


def test_plotly_right_axis_overlays_its_own_panel() -> None:
    panel = replace(PLAIN, right=Axis("share", percent=True), marks=[LINE, replace(LINE, right=True)])
    drawn = figure(PLAIN, panel)
    assert [trace["yaxis"] for trace in drawn.spec["data"]] == ["y", "y2", "y4"]
    assert drawn.spec["layout"]["yaxis4"]["overlaying"] == "y2"
    go.Figure(drawn.spec)


def test_plotly_band_is_shaded_behind_its_line() -> None:
    low, high, line = figure(Panel([replace(LINE, band=[(0, 2)] * 3)], Axis(), Axis())).spec["data"]
    assert (low["y"], high["y"], high["fill"]) == ([0] * 3, [2] * 3, "tonexty")
    assert [trace["showlegend"] for trace in (low, high, line)] == [False, False, True]


def test_plotly_whiskers_end_where_the_interval_does_and_vanish_where_it_is_unknown() -> None:
    dots = Line([1, 2, 3], [10.0, 10.0, NAN], width=0, dots=9, y_ends=[(8, 13), (11, math.inf), (1, 2)])
    whiskers = figure(Panel([dots], Axis(), Axis())).spec["data"][0]["error_y"]
    assert whiskers["array"] == [3, 0, 0]
    assert whiskers["arrayminus"] == [2, 0, 0]


@pytest.mark.parametrize(("stacked", "mode"), [(True, "stack"), (False, "overlay")])
def test_plotly_bars_stand_on_each_other_only_where_they_add_up(stacked: bool, mode: str) -> None:
    bars = Bars([1], ["a"], sideways=True, stacked=stacked)
    layout = figure(Panel([bars], Axis(), NAMES)).spec["layout"]
    assert layout["barmode"] == mode
    assert layout["yaxis"]["autorange"] == "reversed"


def test_rules_stand_at_their_value_in_both_languages() -> None:
    upright, level = figure(PLAIN).spec["layout"]["shapes"]
    assert (upright["x0"], upright["x1"], upright["label"]["text"]) == (2, 2, "limit 2")
    assert (level["y0"], level["y1"]) == (1, 1)
    guides = over_time(replace(TIMED, rules=PLAIN.rules)).spec["series"][-1]["markLine"]["data"]
    assert (guides[0]["xAxis"], guides[0]["label"]["formatter"], guides[1]["yAxis"]) == (2, "limit 2", 1.0)


def test_cells_without_a_value_stay_empty_in_both_languages() -> None:
    panel = Panel([Cells(["a", "b"], ["c"], [[4.0, None]], "%", hover="%{text}")], NAMES, NAMES)
    assert cells(panel).spec["series"][0]["data"] == [[0, 0, 4]]
    drawn = figure(panel).spec["data"][0]
    assert (drawn["z"], drawn["text"]) == ([[4, None]], [["4 %", ""]])
