"""The tuner on windows that hold nothing, or nothing usual: it decides, proposes and reports, and goes on."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_tuning.model import (
    ConfigSet,
    LayerTask,
    QueryMetrics,
    TaskOutcome,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.testing.virtual_manager import TunedConfigs
from athena_tuning.tuning.estimation.deadline_curve import deadline_curve
from athena_tuning.tuning.policies.model_policy import ModelPolicy
from athena_tuning.tuning.policies.registry import POLICIES, make_policy
from athena_tuning.tuning.rerun import rerun
from athena_tuning.tuning.simulation.what_if import what_if, with_config
from athena_tuning.tuning.slices import run_through
from tests.support.examples import examples

ODD_MS = st.sampled_from([0.0, 1e-9, 0.05, 1.0, 20.0, 1e7, math.nan, math.inf, -1.0])
TASKS = st.lists(
    st.builds(
        LayerTask,
        st.sampled_from(["semantic", "graph"]),
        st.sampled_from([0.0, 3.0, math.nan]),
        ODD_MS,
        ODD_MS,
        st.integers(0, 90),
        st.sampled_from(TaskOutcome),
    ),
    max_size=3,
)


def record(
    at: float,
    ms: float | None,
    tasks: list[LayerTask],
    *,
    hit: bool | None = False,
    success: bool | None = True,
) -> QueryMetrics:
    layers = {task.layer: task.service_ms for task in tasks}
    return QueryMetrics(
        *(f"q{at}", "?", "factual" if len(tasks) % 2 else "meta", at, ms, None, hit, 1, list(layers), layers),
        success,
        tasks=tuple(tasks),
    )


RECORDS = st.builds(
    record,
    st.just(0.0),
    st.none() | ODD_MS,
    TASKS,
    hit=st.sampled_from([False, True, None]),
    success=st.sampled_from([True, False, None]),
)


@st.composite
def windows(draw: st.DrawFn) -> tuple[list[QueryMetrics], float]:
    """Stretches of one kind of recall each, and the seconds between two (0: all at the same time)."""
    kinds = draw(st.lists(st.tuples(RECORDS, st.sampled_from([1, 2, 16, 60, 400])), max_size=4))
    return [m for m, n in kinds for _ in range(n)], draw(st.sampled_from([0.0, 0.001, 0.5, 400.0]))


def tuned(policy: str, strategy: TuningStrategy, records: list[QueryMetrics], apart: float) -> TunedConfigs:
    """Let a policy decide while the recalls come, in eight parts."""
    manager = TunedConfigs(make_policy(policy), TuningConfig(strategy=strategy))
    part = -(-len(records) // 8) or 1
    for first in range(0, len(records) + 1, part):
        for m in records[first : first + part]:
            manager.clock.now += apart
            manager.profiler.record_query(m._replace(timestamp=manager.clock.now))
        manager.clock.now += 0.25
        manager.step()
        manager.step()
    return manager


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(windows(), st.sampled_from(TuningStrategy), st.sampled_from(sorted(POLICIES)))
def test_no_window_stops_a_policy_from_deciding_proposing_and_reporting(
    window: tuple[list[QueryMetrics], float], strategy: TuningStrategy, policy: str
) -> None:
    manager = tuned(policy, strategy, *window)
    made = [*manager.decisions, manager.tuner.propose(), manager.tuner.propose("factual")]
    for decision in made:
        assert 1 <= decision.after.max_concurrent <= 20
        assert all(math.isfinite(c.predicted) for c in decision.candidates)
        assert decision.samples >= 0
    report = manager.tuner.get_tuning_report()
    assert report["recommendations"]
    assert all(math.isfinite(value) for value in report["metrics"].values())
    assert manager.tuner.get_optimized_config("meta").max_concurrent >= 1


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(windows())
def test_no_window_stops_a_what_if_or_a_deadline_curve_but_for_a_reason(
    window: tuple[list[QueryMetrics], float],
) -> None:
    records, apart = window
    manager = tuned("fixed", TuningStrategy.LATENCY, records, apart)
    seen = list(manager.profiler.metrics)
    deadline_curve(manager.profiler.tasks())
    told = [m for m in seen if m.tasks and m.latency_ms is not None and m.success is not None]
    steps = what_if(seen, ConfigSet(), {"two": with_config(ConfigSet(), "all", max_concurrent=2)})
    if len(told) < 50:
        with pytest.raises(ValueError, match="are needed to simulate"):
            run_through(steps)
    else:
        assert run_through(steps).recalls >= 50


def misses_then_hits(misses: int, hits: int) -> list[QueryMetrics]:
    tasks = [LayerTask("semantic", 0.0, 0.0, 20.0, 1), LayerTask("graph", 0.0, 0.0, 30.0, 2)]
    return [record(0.0, 31.0, tasks)] * misses + [record(0.0, 0.05, [], hit=True)] * hits


@pytest.mark.slow
@pytest.mark.parametrize("strategy", list(TuningStrategy))
def test_a_load_that_the_cache_answers_alone_leaves_decisions_and_reports_as_they_are(
    strategy: TuningStrategy,
) -> None:
    manager = tuned("model", strategy, misses_then_hits(300, 0), 0.05)
    before, made = manager.tuner.propose(), len(manager.decisions)
    recommended = manager.tuner.get_tuning_report()["recommendations"]
    for m in misses_then_hits(0, 6000):
        manager.clock.now += 0.01
        manager.profiler.record_query(m._replace(timestamp=manager.clock.now))
        manager.step()
    after, report = manager.tuner.propose(), manager.tuner.get_tuning_report()
    assert len(manager.decisions) == made
    assert (after.after, after.summary) == (before.after, before.summary)
    assert report["recommendations"] == recommended
    assert report["metrics"]["total_queries"] == 6300


def test_a_decision_on_a_window_of_hits_is_made_again() -> None:
    manager = TunedConfigs(ModelPolicy())
    for m in misses_then_hits(160, 40):
        manager.clock.now += 0.05
        manager.profiler.record_query(m._replace(timestamp=manager.clock.now))
        for decision in manager.step():
            data = manager.tuner.evidence_of(decision.decision_id)
            assert data is not None
            assert [d.summary for d in rerun(data)] == [decision.summary]
    assert manager.decisions
