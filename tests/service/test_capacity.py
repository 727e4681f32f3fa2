"""The capacity curve: flat where a backend has few slots, and silent where nothing was learnt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service.capacity import Curve, Measured, curve
from athena_tuning.ui.charts.concurrency_charts import throughput


def measured(levels: range, service_ms) -> PerformanceProfiler:
    """Waves of n recalls that start together: each meets n in flight and takes ``service_ms(n)``."""
    profiler = PerformanceProfiler(24, clock=lambda: 100_000.0)
    at, number = 90_000.0, 0
    for _ in range(30):
        for n in levels:
            ms = service_ms(n)
            for _ in range(n):
                task = LayerTask("graph", 0.0, 0.0, ms, n)
                number += 1
                profiler.record_query(
                    QueryMetrics(
                        f"q{number}", "q", "factual", at, ms, None, False, 1, ["graph"], {"graph": ms}, True,
                        tasks=(task,),
                    )
                )  # fmt: skip
            at += 1.0
    return profiler


def test_a_backend_with_two_slots_carries_no_more_with_more_in_flight() -> None:
    fitted = curve(measured(range(1, 7), lambda n: 10.0 * max(1, n / 2)))
    assert fitted is not None
    assert fitted.best == 2
    assert fitted.at(2) == pytest.approx(200, rel=0.1)
    assert fitted.at(6) == pytest.approx(200, rel=0.1)
    assert fitted.measured_to == 6
    assert [measurement.in_flight for measurement in fitted.measured] == [1, 2, 3, 4, 5, 6]
    for measurement in fitted.measured:
        assert measurement.low < measurement.per_second < measurement.high
        assert measurement.low < fitted.at(measurement.in_flight) < measurement.high


def test_a_backend_without_contention_carries_in_proportion() -> None:
    fitted = curve(measured(range(1, 7), lambda _: 10.0))
    assert fitted is not None
    assert fitted.at(6) == pytest.approx(6 * fitted.at(1), rel=0.05)
    assert fitted.best == len(fitted.per_second)


def test_a_law_that_is_far_from_what_was_met_is_not_leant_on() -> None:
    near = Curve((10.0, 20.0), (Measured(1, 12.0, 11.5, 12.5), Measured(2, 40.0, 15.0, 90.0)), 2, 2, 500)
    assert near.fits
    assert not replace(near, per_second=(28.0, 20.0)).fits


def test_one_number_in_flight_says_nothing_of_others() -> None:
    assert curve(measured(range(3, 4), lambda _: 10.0)) is None
    assert curve(PerformanceProfiler()) is None


def test_the_chart_says_what_the_limit_and_the_choice_carry() -> None:
    measurement = [(1, 100.0, 90.0, 120.0), (2, 180.0, 150.0, 210.0)]
    chart = throughput(measurement, [100.0, 190.0, 200.0, 205.0], measured_to=2, limit=2, chosen=4)
    names = [trace["name"] for trace in chart.spec["data"]]
    assert names == [
        "measured, 95 % interval",
        "fitted law",
        "extrapolated",
        "in force: 2",
        "tuner's choice: 4",
    ]
    assert chart.spec["data"][0]["error_y"]["array"] == [20.0, 30.0]
    assert "190 /s at the limit of 2, 205 /s at 4, which the tuner would choose" in chart.alt
    bare = throughput([], [], measured_to=1, limit=2, chosen=None)
    assert [trace["name"] for trace in bare.spec["data"]] == ["measured, 95 % interval"]
