from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.basedatatypes import BaseFigure
from plotly.io import to_json
from plotly.tools import return_figure_from_figure_or_data

from athena_tuning.model import ConfigSet, LayerTask, QueryMetrics, TaskOutcome, TuningStrategy
from athena_tuning.service.chart_rows import QUANTILES, HitRow, LevelRow, Mark, Prediction, Row
from athena_tuning.service.strategy_map import LimitPoint, StrategyMap
from athena_tuning.tuning.estimation.deadline_curve import DeadlineCurve, DeadlinePoint
from athena_tuning.tuning.simulation.what_if import Estimate, Outcome, with_config
from athena_tuning.ui.charts import (
    cache_charts,
    concurrency_charts,
    deadline_charts,
    latency_charts,
    live_charts,
    recall_charts,
    strategy_charts,
    what_if_charts,
)
from athena_tuning.ui.charts.echarts_option import over_time
from athena_tuning.ui.charts.panel import Chart
from athena_tuning.ui.charts.plotly_figure import Drawing
from athena_tuning.ui.theme import BLUE, CRIMSON

NAN = math.nan
EVIL = "<b>x</b>![i](http://evil.example/i.png)"


def series(n: int, top: float = 9.0) -> Any:
    values = np.linspace(1.0, top, n)
    return SimpleNamespace(
        time=np.arange(n) * 60.0 + 1.8e9,
        count=np.full(n, 10),
        errors=np.zeros(n, int),
        refused=np.zeros(n, int),
        cache_hits=np.full(n, 4),
        p50=values,
        p95=values * 2,
        p99=np.where(np.arange(n) % 5 == 3, NAN, values * 3),
    )


def curve(scale: float = 1.0) -> list[float]:
    return [scale * (1 + 10 * q) for q in QUANTILES]


def outcome(name: str, limit: int = 5, p99: float = 100.0, *, beyond: bool = False) -> Outcome:
    configs = with_config(ConfigSet(), "all", max_concurrent=limit)
    change = Estimate(math.log(p99 / 100), math.log(p99 / 130), math.log(p99 / 80))
    ms = Estimate(p99, p99 * 0.8, p99 * 1.2)
    return Outcome(
        name, configs, ms._replace(value=p99 / 4, low=0.1), ms, ms, Estimate(10.0 * limit, 9.0, 99.0), ms,
        Estimate(1.0, 0.99, 1.0), Estimate(0.0, 0.0, 0.0), Estimate(0.0, 0.0, 0.0), change, change,
        Estimate(0.0, 0.0, 0.0), Estimate(0.7, 0.5, 0.9), Estimate(-0.2, -0.4, 0.1),
        Estimate(math.inf, 0.1, math.inf), beyond,
    )  # fmt: skip


SWEPT = [
    (float(n), outcome(str(n), n, p99, beyond=n > 8))
    for n, p99 in ((2, 900.0), (8, 60.0), (20, 55.0), (5, 100.0))
]

TRADE = DeadlineCurve(
    (
        DeadlinePoint(20.0, 20.0, 20.0, 0.95, 0.2, 0.5),
        DeadlinePoint(50.0, 30.0, 50.0, 0.2, 0.0, 0.009),
        DeadlinePoint(math.inf, 30.0, 119.0, 0.0, 0.0, 0.0),
    ),
    1234,
)

PLOTLY: dict[str, Chart] = {
    "sweep": what_if_charts.sweep_curve(SWEPT, what="layer tasks in flight", in_force=5.0, unit=""),
    "swept timeouts": what_if_charts.sweep_curve(
        [(0.2, outcome("0.2")), (10.0, outcome("10"))], what="timeout", in_force=10.0, unit=" s"
    ),
    "deadlines": deadline_charts.deadline_trade(TRADE, 50.0),
    "no deadlines": deadline_charts.deadline_trade(DeadlineCurve((), 0)),
    "changes": what_if_charts.changes([outcome(EVIL, p99=5000.0), outcome("b", p99=90.0)]),
    "no changes": what_if_charts.changes([]),
    "expected": what_if_charts.expected_and_observed(
        [Prediction(EVIL, Estimate(-0.2, -0.3, -0.1), Estimate(math.inf, -0.2, math.inf), 400)]
    ),
    "nothing expected": what_if_charts.expected_and_observed([]),
    "percentiles": latency_charts.percentile_plot(curve(), curve(2), counts=(5000, 4000), slo_ms=8.0),
    "no percentiles": latency_charts.percentile_plot([NAN] * len(QUANTILES), counts=(0, 0)),
    "by name": latency_charts.by_name([Row(EVIL, 9, 1, 2, NAN)], what="layer", slo_ms=3.0),
    "nobody": latency_charts.by_name([], what="layer"),
    "multiples": latency_charts.small_multiples({EVIL: series(9), "b": series(3)}, timezone="UTC"),
    "no multiples": latency_charts.small_multiples({}, timezone="UTC"),
    "hit rates": cache_charts.hit_rates([HitRow(EVIL, 10, 4, 0.4, 1, 2, 3, 4)], what="type"),
    "no hits": cache_charts.hits_and_misses([HitRow("a", 10, 0, 0.0, NAN, NAN, 3, 4)]),
    "calls": cache_charts.calls_saved([SimpleNamespace(layer=EVIL, ran=10, saved=3.4)]),
    "levels": concurrency_charts.by_level([LevelRow(1, 3, 1, 2, NAN), LevelRow(4, 99, 2, NAN, 8)], 5),
    "no levels": concurrency_charts.by_level([]),
    "queue": concurrency_charts.queue_wait(series(4), timezone="Asia/Tokyo"),
    "together": concurrency_charts.co_occurrence([EVIL, "b"], np.array([[1.0, 0.5], [0.5, 0.7]])),
    "alone": concurrency_charts.co_occurrence([], np.zeros((0, 0))),
}
LATENCY = live_charts.latency_over_time(
    series(30), timezone="UTC", marks=[Mark(1.8e9, EVIL)], slo_ms=5.0, period=(1.8e9, 1.9e9)
)
RECALLS = live_charts.throughput_over_time(series(30), bucket_seconds=60, timezone="UTC")
GAUGES = {EVIL: [(1.8e9, NAN), (1.9e9, 2.0)], "b": []}
ECHARTS: dict[str, Chart] = {
    "latency": over_time(LATENCY),
    "no latency": over_time(live_charts.latency_over_time(series(0), timezone="UTC")),
    "throughput": over_time(RECALLS),
    "both": over_time(LATENCY, RECALLS),
    "lines": over_time(live_charts.lines_over_time(GAUGES, timezone="UTC", unit="%")),
    "heat": live_charts.hour_weekday(
        np.full((7, 24), 3.3), unit="ms", name="p99", counts=np.full((7, 24), 9)
    ),
    "cold": live_charts.hour_weekday(np.full((7, 24), NAN), unit="ms", name="p99", counts=np.zeros((7, 24))),
}


def sent(figure: BaseFigure) -> Any:
    """Return what Streamlit sends of a figure; an empty list is as good as none."""
    figure = return_figure_from_figure_or_data(figure, validate_figure=True)
    drawn = json.loads(to_json(figure, validate=False))
    return drawn["data"], {name: value for name, value in drawn["layout"].items() if value != []}


@pytest.mark.parametrize("name", PLOTLY)
def test_plotly_chart_is_valid_and_plain_json(name: str) -> None:
    json.dumps(PLOTLY[name].spec, allow_nan=False)
    checked = go.Figure(PLOTLY[name].spec)
    assert sent(Drawing(PLOTLY[name])) == sent(checked)
    assert Drawing(PLOTLY[name], "#0b0f15").to_dict()["layout"]["paper_bgcolor"] == "#0b0f15"


@pytest.mark.parametrize("name", ECHARTS)
def test_echarts_chart_is_small_plain_json_without_nan(name: str) -> None:
    assert len(json.dumps(ECHARTS[name].spec, allow_nan=False)) < 10_000


@pytest.mark.parametrize("chart", [*PLOTLY.values(), *ECHARTS.values()])
def test_chart_says_in_words_what_it_shows(chart: Chart) -> None:
    assert len(chart.alt) > 15
    assert "nan" not in chart.alt.lower()


def test_plotly_labels_carry_no_markup_from_outside() -> None:
    for name in ("by name", "hit rates", "calls", "together", "changes", "expected"):
        assert "<b>x" not in json.dumps(PLOTLY[name].spec)


def test_percentile_plot_leaves_out_what_too_few_recalls_carry() -> None:
    few = latency_charts.percentile_plot(curve(), counts=(100, 0))
    drawn = few.spec["data"][0]["customdata"]
    assert max(float(name[1:]) for name in drawn) <= 95.0 + 1e-6
    assert "p99" not in few.alt


def test_percentile_plot_words_give_both_periods() -> None:
    assert "p99 10.9 ms" in PLOTLY["percentiles"].alt
    assert "previous period: p50" in PLOTLY["percentiles"].alt


def test_waterfall_starts_work_where_the_wait_for_a_slot_ends() -> None:
    tasks = (
        LayerTask("semantic", 1.0, 4.0, 10.0, 2),
        LayerTask("graph", 1.0, 0.0, 50.0, 1, TaskOutcome.TIMEOUT),
    )
    record = QueryMetrics("q", "?", "factual", 1.8e9, 52.0, None, False, 3, ["semantic", "graph"], {}, True)
    chart = recall_charts.waterfall(record._replace(tasks=tasks))
    whole, waits, works = chart.spec["data"]
    assert whole["x"] == [52.0]
    assert waits["base"] == [1.0, 1.0]
    assert waits["x"] == [4.0, 0.0]
    assert works["base"] == [5.0, 1.0]
    assert works["marker"]["color"] == [BLUE, CRIMSON]
    assert "graph no answer after 50.0 ms: given up" in chart.alt
    assert "semantic waited 4.0 ms, served 10.0 ms, 0 results" in chart.alt


def test_by_level_draws_a_level_with_few_recalls_hollow() -> None:
    assert PLOTLY["levels"].spec["data"][1]["marker"]["symbol"] == ["circle-open", "circle"]


def test_hour_weekday_leaves_cells_with_few_recalls_empty() -> None:
    counts = np.zeros((7, 24))
    counts[2, 9], counts[3, 9] = 50, 2
    chart = live_charts.hour_weekday(np.full((7, 24), 5.0), unit="ms", name="p99", counts=counts, least=5)
    assert chart.spec["series"][0]["data"] == [[9, 2, 5.0]]
    assert "Wednesday 09:00 to 10:00" in chart.alt


def test_throughput_over_time_adds_up_to_all_recalls() -> None:
    chart = ECHARTS["throughput"].spec
    source = chart["dataset"]["source"]
    assert {line["encode"]["y"] for line in chart["series"]} == set(source) - {"t"}
    assert sum(source[line["name"]][0] for line in chart["series"]) * 60 == pytest.approx(10, abs=0.01)


def test_latency_over_time_marks_near_each_other_share_a_label() -> None:
    marks = [Mark(t, name) for t, name in ((100.0, "v1"), (101.0, "v2"), (102.0, "note"), (500.0, "v3"))]
    panel = live_charts.latency_over_time(series(30), timezone="UTC", marks=marks, period=(0.0, 1000.0))
    assert [rule.label for rule in panel.rules] == ["note +2", "v3"]
    assert "4 changes marked" in panel.words


def test_latency_over_time_marks_say_who_did_what_under_the_pointer() -> None:
    marks = [Mark(100.0, "v1", "v1 by ann: {|}"), Mark(101.0, "v2", "v2 by ben: more cores")]
    panel = live_charts.latency_over_time(series(3), timezone="UTC", marks=marks, period=(0.0, 1000.0))
    (guide,) = over_time(panel).spec["series"][-1]["markLine"]["data"]
    assert guide["emphasis"]["label"]["formatter"].splitlines() == [
        "{room|}{box|v1 by ann: (/)}",
        "{room|}{box|v2 by ben: more cores}",
    ]


def test_over_time_panels_share_times_and_pointer_and_keep_their_units() -> None:
    both = ECHARTS["both"]
    source = both.spec["dataset"]["source"]
    assert source["p99"] == ECHARTS["latency"].spec["dataset"]["source"]["p99"]
    assert source["failed"] == ECHARTS["throughput"].spec["dataset"]["source"]["failed"]
    units = {line["name"]: line["tooltip"]["valueFormatter"] for line in both.spec["series"]}
    assert units["p99"].endswith("ms")
    assert units["failed"].endswith("/s")
    assert [line["xAxisIndex"] for line in both.spec["series"]] == [0, 0, 0, 1, 1, 1]
    assert list(source).count("t") == 1
    assert both.alt == f"{LATENCY.words} {RECALLS.words}"


def test_lines_over_time_bring_their_own_times_where_those_differ() -> None:
    lines = ECHARTS["lines"].spec
    assert "dataset" not in lines
    assert [line["data"] for line in lines["series"]] == [[[1.8e12, None], [1.9e12, 2]], []]


def test_sweep_curve_runs_through_its_values_in_order_and_marks_where_it_guesses() -> None:
    spec = PLOTLY["sweep"].spec
    p99 = next(trace for trace in spec["data"] if trace.get("name") == "p99")
    assert (p99["x"], p99["y"]) == ([2.0, 5.0, 8.0, 20.0], [900.0, 100.0, 60.0, 55.0])
    low, high = [trace for trace in spec["data"] if not trace["name"]][:2]
    assert all(a <= b <= c for a, b, c in zip(low["y"], p99["y"], high["y"], strict=True))
    in_force, beyond, *below = spec["layout"]["shapes"]
    assert [shape["x0"] for shape in below] == [in_force["x0"], beyond["x0"]]
    assert in_force["x0"] == 5.0
    assert 8 < beyond["x0"] < 20 < beyond["x1"]
    assert "20: p99 55.0 ms, 200 /s at most, 100 % full" in PLOTLY["sweep"].alt


def test_sweep_curve_shows_full_answers_where_capacity_does_not_move() -> None:
    assert "full answers" in [trace.get("name") for trace in PLOTLY["swept timeouts"].spec["data"]]
    assert "capacity, recalls/s" in [trace.get("name") for trace in PLOTLY["sweep"].spec["data"]]


def test_changes_fill_a_dot_only_where_the_interval_leaves_out_0() -> None:
    p99, capacity, cost = PLOTLY["changes"].spec["data"]
    assert p99["marker"]["symbol"] == ["circle", "circle-open"]
    assert capacity["marker"]["color"] == [BLUE] * 2
    assert cost["marker"]["symbol"] == ["circle-open"] * 2
    assert "b: p99 latency −10 % (−31 to +12)" in PLOTLY["changes"].alt


def test_changes_have_round_ticks_around_0() -> None:
    axis = PLOTLY["changes"].spec["layout"]["xaxis"]
    assert "0 %" in axis["ticktext"]
    assert 2 <= len(axis["ticktext"]) <= 7
    assert axis["tickvals"] == sorted(axis["tickvals"])


def test_small_multiples_share_the_scale_that_the_first_of_a_row_is_labelled_with() -> None:
    layout = PLOTLY["multiples"].spec["layout"]
    scales = {name: scale for name, scale in layout.items() if name.startswith("yaxis")}
    assert len({tuple(scale["range"]) for scale in scales.values()}) == 1
    assert layout["yaxis"]["showticklabels"] is True
    assert [scale["showticklabels"] for scale in scales.values()] == [True, False]


def test_deadline_trade_says_what_the_shortest_harmless_one_would_do() -> None:
    drawn = deadline_charts.deadline_trade(TRADE, 50.0)
    assert "On 1,234 recalls a deadline of 50" in drawn.alt
    assert "in place of 119" in drawn.alt
    assert [trace["name"] for trace in drawn.spec["data"]] == [
        "p99",
        "p50",
        "partial answers",
        "layers missing",
    ]
    assert all(trace["x"] == [20.0, 50.0] for trace in drawn.spec["data"])
    assert [shape["x0"] for shape in drawn.spec["layout"]["shapes"]] == [50.0]
    assert {"20", "50"} <= set(drawn.spec["layout"]["xaxis"]["ticktext"])
    assert "Nothing yet" in deadline_charts.deadline_trade(DeadlineCurve((), 0)).alt


def test_labels_of_limits_do_not_lie_on_each_other_and_what_is_in_force_is_always_named() -> None:
    points = [
        LimitPoint(
            n,
            dict.fromkeys(TuningStrategy, 0.0),
            20.0 + n / 100,
            10.0 * min(n, 4) + n / 100,
            1.0,
            beyond=False,
        )
        for n in range(1, 25)
    ]
    goals = {TuningStrategy.LATENCY: 17, TuningStrategy.COST: 1}
    (_, dots) = strategy_charts.p99_against_load(StrategyMap(16, points, goals)).spec["data"]
    named = [int(label) for label in dots["text"] if label]
    assert {1, 16} <= set(named)
    assert len(named) == 4  # 1 to 3, and one of those that carry no more
    assert dots["customdata"] == [point.limit for point in points]
