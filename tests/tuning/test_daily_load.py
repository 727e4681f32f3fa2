"""The daily load: what is expected when, and that a known peak is met on time."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.model import (
    Action,
    ConfigSet,
    Decision,
    LayerTask,
    QueryMetrics,
    TuningBounds,
    TuningStrategy,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.testing.virtual_manager import VirtualManager, latency
from athena_tuning.tuning.estimation.daily_load import DailyLoad
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.observer import Observer
from athena_tuning.tuning.policies.load_advisor import LoadAdvisor, LoadFinding, at_rate
from athena_tuning.tuning.policies.model_policy import ModelPolicy
from athena_tuning.tuning.settings import LOAD
from athena_tuning.tuning.trace import Arrival, Trace

DAYS, APART = LOAD.days, LOAD.apart
DAY, SLOT, LEAD = 800.0, 20.0, 10.0
PEAK, PUT_BACK = 600.0, 450.0  # seconds into the day
NIGHT_RATE, PEAK_RATE = 3.0, 40.0
EPOCH = 1_750_000_000.0  # a multiple of DAY


def test_it_expects_what_the_days_before_had_at_that_time() -> None:
    load = DailyLoad(day=100.0, slot=10.0)
    for day in range(3):
        load = load.after(100.0 * day + 40.0 + i * 10.0 / (20 * (day + 1)) for i in range(20 * (day + 1)))
        load = load.after([100.0 * day + 95.0])
    assert load.expected(345.0) == (pytest.approx(4.0), 3)  # 2, 4 and 6 a second
    assert load.expected(355.0) == (0.0, 3)  # nothing came: known, not unknown


def test_it_knows_nothing_of_what_it_has_not_watched_whole() -> None:
    load = DailyLoad(day=100.0, slot=10.0)
    assert load.expected(145.0)[1] == 0
    load = load.after([45.0, 61.0])  # the first in the middle of a slot
    assert load.expected(145.0)[1] == 0
    assert load.expected(155.0) == (0.0, 1)
    assert load.expected(165.0)[1] == 0  # not over yet
    assert math.isnan(load.expected(165.0)[0])


def test_it_keeps_four_weeks() -> None:
    load = DailyLoad(day=100.0, slot=10.0).after(map(float, range(40 * 100)))
    assert len(load.counts) <= 4 * DAYS * 10 + 1
    assert load.expected(4045.0) == (1.0, 4)


@pytest.mark.parametrize(("days", "expected"), [(8, (5 * 100 + 2 * 10) / 7), (14, 100.0), (20, 100.0)])
def test_weekdays_are_told_apart_once_two_weeks_are_known(days: int, expected: float) -> None:
    """Five days of 100 recalls a slot, two of 10; the day that is asked about is like the first."""
    load = DailyLoad(day=100.0, slot=10.0)
    monday = days + (-days) % 7
    for day in range(monday):
        came = 10 if day % 7 in (5, 6) else 100
        load = load.after(100.0 * day + 40.0 + i * 10.0 / came for i in range(came))
        load = load.after([100.0 * day + 95.0])
    if days == 8:
        load = DailyLoad(100.0, 10.0, {s: n for s, n in load.counts.items() if s >= 70}, 70, load.last)
    at = 100.0 * monday + 45.0
    assert load.expected(at)[0] == pytest.approx(expected / 10.0)
    assert load.knows_weekday(at) is (days >= 14)


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=50), st.floats(0.01, 100.0))
def test_at_another_rate_recalls_keep_order_and_work(times: list[float], factor: float) -> None:
    trace = Trace(tuple(Arrival(t, "meta", (("a", t),)) for t in sorted(times)))
    faster = at_rate(trace, factor)
    assert [a.tasks for a in faster.arrivals] == [a.tasks for a in trace.arrivals]
    assert faster.seconds == pytest.approx(trace.seconds / factor)


def days(count: int, seed: int = 1) -> Trace:
    """Nights of 3 recalls a second and a peak of 40 for 60 s a day; two remote layers of 100 ms."""
    rng, arrivals, now = random.Random(seed), [], 0.0
    while now < count * DAY:
        rate = PEAK_RATE if PEAK <= now % DAY < PEAK + 60 else NIGHT_RATE
        now += rng.expovariate(rate)
        tasks = tuple((n, 0.1 * math.exp(rng.gauss(0, 0.3))) for n in ("semantic", "graph"))
        arrivals.append(Arrival(now, "factual", tasks))
    return Trace(tuple(arrivals))


def run(trace: Trace, policy: ModelPolicy) -> tuple[list[tuple[float, Decision]], list[float]]:
    """Run a policy in virtual time; every day before the peak somebody puts the limit to 4.

    Return the decisions with their times, and the latencies of the last day's peak.
    """
    four, load = latency(max_concurrent=4), DailyLoad(day=DAY, slot=SLOT)
    manager = VirtualManager(trace, policy, start=four, daily_load=load)
    made, night = [], 0
    while not manager.simulation.over:
        passed = manager.clock.now - manager.epoch
        if (passed - PUT_BACK) // DAY >= night:
            night += 1
            manager.write(replace(manager.configs.default.config, max_concurrent=4))
        made += [(passed + 0.25, decision) for decision in manager.tick()]
    begin = (trace.seconds - 1) // DAY * DAY + PEAK
    peak = [
        float(ms)
        for arrival, ms in zip(trace.arrivals, manager.simulation.result().latency_ms, strict=True)
        if begin <= arrival.time < begin + 60
    ]
    return made, sorted(peak)


def with_advisors(*advisors: LoadAdvisor) -> ModelPolicy:
    return ModelPolicy(advisors=advisors)


@pytest.mark.slow
def test_a_known_peak_is_met_on_time() -> None:
    trace = days(2)
    made, peak = run(trace, with_advisors(LoadAdvisor(lead=LEAD)))
    early = [
        (time % DAY, d)
        for time, d in made
        if time > DAY and d.action is Action.CANARY and "are expected" in d.summary
    ]
    assert early, [d.summary for _, d in made]
    for time, decision in early:
        assert decision.after.max_concurrent > decision.before.max_concurrent
        assert PEAK - SLOT - LEAD <= time < PEAK
        assert decision.predicted is not None
        assert decision.predicted < -0.08
        assert [r.parameter for r in decision.reasons] == ["max_concurrent"]
    _, late = run(trace, with_advisors())
    assert peak[int(0.99 * len(peak))] < 0.6 * late[int(0.99 * len(late))]


def test_what_the_window_holds_is_known_at_once() -> None:
    """A manager that starts, or takes over, does not wait for a day to know yesterday."""
    now = EPOCH + 90_000
    profiler = PerformanceProfiler(window_hours=48, clock=lambda: now)
    for i in range(9000):
        at = EPOCH + 10.0 * i + (0.0 if i < 4500 else 1e-3)
        graph = LayerTask("graph", 0.0, 0.0, 1.0, 1)
        profiler.record_query(
            QueryMetrics(
                *("q", "?", "meta", at, 1.0, None, False, 1, ["graph"], {"graph": 1.0}, True), tasks=(graph,)
            )
        )
    observer = Observer(profiler)
    observer.observe()
    assert len(observer.telemetry.recalls) < 9000
    evidence = Evidence(
        *(ConfigSet(), TuningStrategy.LATENCY, TuningBounds(), 10, 100, now),
        telemetry=observer.telemetry,
        load=observer.load,
    )
    assert not LoadAdvisor().wakes(evidence, LoadFinding())  # no more than what comes now
    assert observer.load.expected(now + 3600) == (pytest.approx(0.1), 1)
    assert observer.load.expected(EPOCH + 86_400 + 100)[1] == (1 if EPOCH % 900 == 0 else 0)


@pytest.mark.slow
def test_a_flat_day_and_a_first_day_lead_to_nothing() -> None:
    made, _ = run(days(1), with_advisors(LoadAdvisor(lead=LEAD)))
    assert not [d for _, d in made if "are expected" in d.summary]
    rng, arrivals, now = random.Random(2), [], 0.0
    while now < 2 * DAY:
        now += rng.expovariate(5.0)
        arrivals.append(Arrival(now, "factual", (("semantic", 0.05),)))
    made, _ = run(Trace(tuple(arrivals)), with_advisors(LoadAdvisor(lead=LEAD)))
    assert not [d for _, d in made if "are expected" in d.summary]
    assert APART >= 1000
