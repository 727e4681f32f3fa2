from __future__ import annotations

import math

import pytest

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning.estimation.contention import ContentionLaw
from athena_tuning.tuning.estimation.measured_recall import MeasuredRecall
from athena_tuning.tuning.estimation.telemetry import Telemetry, trace_of
from athena_tuning.tuning.observer import Observer
from athena_tuning.tuning.settings import TELEMETRY

SETTLING = TELEMETRY.settling


def recall(
    at: float, *tasks: LayerTask, latency_ms: float | None = 100.0, success: bool | None = True
) -> QueryMetrics:
    layers = {t.layer: t.service_ms for t in tasks}
    return QueryMetrics(
        f"q{at}", "?", "meta", at, latency_ms, None, False, 1, list(layers), layers, success, tasks=tasks
    )


def graph_recall(i: int, ms: float = 100.0, outcome: TaskOutcome = TaskOutcome.OK) -> QueryMetrics:
    return recall(float(i), LayerTask("graph", 0, 0, ms, 1, outcome))


def test_only_recalls_with_a_latency_and_an_outcome_are_taken() -> None:
    task = LayerTask("semantic", 0, 0, 100, 1)
    unknown = recall(1.0, task, latency_ms=None), recall(1.0, task, success=None), recall(1.0)
    telemetry = Telemetry().after((*unknown, recall(2.0, task)))
    assert [r.began for r in telemetry.recalls] == [2.0]
    assert telemetry.position == 1


def test_each_record_is_read_once() -> None:
    profiler = PerformanceProfiler(clock=lambda: 1000.0)
    observer, positions = Observer(profiler), []
    for came in (5, 1, 0):
        for i in range(came):
            profiler.record_query(recall(900.0 + i, LayerTask("semantic", 0, 0, 100, 1)))
        observer.observe()
        positions.append(observer.telemetry.position)
    assert positions == [5, 6, 6]


def test_since_leaves_out_what_began_before() -> None:
    telemetry = Telemetry().after(map(graph_recall, (1, 2, 3)))
    assert [s.began for s in telemetry.since(2.0)] == [2.0, 3.0]
    assert [s.began for s in telemetry.newest(1)] == [3.0]


def test_own_work_is_the_time_beside_each_number_freed_from_contention() -> None:
    first, second = LayerTask("semantic", 0, 0, 2000, 1), LayerTask("semantic", 0, 0, 1000, 2)
    telemetry = Telemetry().after((recall(10.0, first), recall(11.0, second)))
    trace = trace_of(telemetry.recalls, {"semantic": ContentionLaw(sigma=1.0)})
    works = [work for arrival in trace.arrivals for _, work in arrival.tasks]
    assert works == pytest.approx([1.5, 0.5])  # one second alone, one beside another at half the speed
    assert [arrival.time for arrival in trace.arrivals] == [0.0, 1.0]


def test_recalls_of_which_none_got_a_slot_are_a_trace_without_work() -> None:
    refused = [
        MeasuredRecall(float(n), float(n), "factual", "q", False, False, True, math.inf, ()) for n in range(3)
    ]
    trace = trace_of(refused, {"semantic": ContentionLaw(sigma=1.0)})
    assert [(arrival.time, arrival.tasks) for arrival in trace.arrivals] == [(0.0, ()), (1.0, ()), (2.0, ())]


def test_waits_for_a_slot_are_no_part_of_the_work() -> None:
    telemetry = Telemetry().after((recall(10.0, LayerTask("graph", 5, 400, 100, 1)),))
    assert trace_of(telemetry.recalls, {}).arrivals[0].tasks == (("graph", pytest.approx(0.1)),)


def test_tasks_that_were_given_up_teach_no_law() -> None:
    telemetry = Telemetry().after(
        graph_recall(i, 900.0, TaskOutcome.TIMEOUT) if i % 2 else graph_recall(i) for i in range(4 * SETTLING)
    )
    assert telemetry.laws["graph"].work_ms == pytest.approx(100, rel=0.01)
    assert telemetry.laws["graph"].largest == 1


def test_contention_is_learned_anew_only_when_enough_has_come() -> None:
    first = Telemetry().after(map(graph_recall, range(3 * SETTLING)))
    assert first.after((graph_recall(1000),)).contention is first.contention
    assert first.after(map(graph_recall, range(1000, 1000 + 2 * SETTLING))).contention is not first.contention


def test_telemetry_is_a_value() -> None:
    first = Telemetry().after(map(graph_recall, range(3 * SETTLING)))
    laws, recalls = dict(first.laws), first.recalls
    first.after(graph_recall(i, 5000.0) for i in range(1000, 2000))
    assert (dict(first.laws), first.recalls) == (laws, recalls)


@pytest.mark.slow
def test_what_is_kept_is_bounded_in_recalls_and_in_tasks() -> None:
    many = Telemetry().after(map(graph_recall, range(TELEMETRY.recalls + 10)))
    assert (len(many.recalls), many.position) == (TELEMETRY.recalls, TELEMETRY.recalls + 10)
    tasks = [LayerTask(f"layer {i}", 0, 0, 1.0, i + 1) for i in range(20)]
    wide = Telemetry()
    for i in range(0, 1000, 100):
        wide = wide.after(recall(float(i + j), *tasks) for j in range(100))
    assert wide.tasks == sum(len(r.tasks) for r in wide.recalls)
    assert TELEMETRY.tasks - 20 < wide.tasks + wide.stretches.tasks <= TELEMETRY.tasks
    assert wide.recalls[-1].began == 999.0
