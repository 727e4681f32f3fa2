from __future__ import annotations

import pytest

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning.estimation.contention import ContentionLaw
from athena_tuning.tuning.estimation.telemetry import SETTLING, Telemetry


def recall(
    at: float, *tasks: LayerTask, latency_ms: float | None = 100.0, success: bool | None = True
) -> QueryMetrics:
    layers = {t.layer: t.service_ms for t in tasks}
    return QueryMetrics(
        f"q{at}", "?", "meta", at, latency_ms, None, False, 1, list(layers), layers, success, tasks=tasks
    )


def test_only_recalls_with_a_latency_and_an_outcome_are_taken() -> None:
    telemetry = Telemetry()
    assert not telemetry.add(recall(1.0, latency_ms=None))
    assert not telemetry.add(recall(1.0, success=None))
    assert telemetry.add(recall(1.0))
    assert telemetry.add(recall(2.0, LayerTask("semantic", 0, 0, 100, 1)))
    assert (telemetry.position, telemetry.measured) == (2, 1)


def test_each_record_is_read_once() -> None:
    profiler, telemetry = PerformanceProfiler(clock=lambda: 1000.0), Telemetry()
    for i in range(5):
        profiler.record_query(recall(900.0 + i))
    assert telemetry.take(profiler) == 5
    profiler.record_query(recall(910.0))
    assert telemetry.take(profiler) == 1
    assert telemetry.take(profiler) == 0


def test_since_leaves_out_what_began_before() -> None:
    telemetry = Telemetry()
    for at in (1.0, 2.0, 3.0):
        telemetry.add(recall(at))
    assert [s.began for s in telemetry.since(2.0)] == [2.0, 3.0]
    assert [s.began for s in telemetry.newest(1)] == [3.0]


def test_own_work_is_the_time_beside_each_number_freed_from_contention() -> None:
    telemetry = Telemetry()
    telemetry.add(recall(10.0, LayerTask("semantic", 0, 0, 2000, 1)))
    telemetry.add(recall(11.0, LayerTask("semantic", 0, 0, 1000, 2)))
    trace = telemetry.trace(telemetry.newest(9), {"semantic": ContentionLaw(sigma=1.0)})
    works = [work for ask in trace.asks for _, work in ask.tasks]
    assert works == pytest.approx([1.5, 0.5])  # one second alone, one beside another at half the speed
    assert [ask.time for ask in trace.asks] == [0.0, 1.0]


def test_waits_for_a_slot_are_no_part_of_the_work() -> None:
    telemetry = Telemetry()
    telemetry.add(recall(10.0, LayerTask("graph", 5, 400, 100, 1)))
    assert telemetry.trace(telemetry.newest(1), {}).asks[0].tasks == (("graph", pytest.approx(0.1)),)


def test_tasks_that_were_given_up_teach_no_law() -> None:
    telemetry = Telemetry()
    for i in range(4 * SETTLING):
        outcome = TaskOutcome.TIMEOUT if i % 2 else TaskOutcome.OK
        telemetry.add(recall(float(i), LayerTask("graph", 0, 0, 900.0 if i % 2 else 100.0, 1, outcome)))
    assert telemetry.laws()["graph"].work_ms == pytest.approx(100, rel=0.01)
    assert telemetry.largest() == 1


def test_laws_are_fitted_again_only_when_enough_has_come() -> None:
    telemetry = Telemetry()
    for i in range(3 * SETTLING):
        telemetry.add(recall(float(i), LayerTask("graph", 0, 0, 100.0, 1)))
    first = telemetry.laws()
    telemetry.add(recall(1000.0, LayerTask("graph", 0, 0, 100.0, 1)))
    assert telemetry.laws() is first
