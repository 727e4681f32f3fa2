"""Whether running together helps: service apart from waits, by tasks in flight, and who is asked together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from athena_tuning.model import LayerTask, TaskOutcome
from athena_tuning.profiling import PerformanceProfiler

LAYERS = ("episodic", "semantic", "graph")


@pytest.fixture
def profiler(clock):
    return PerformanceProfiler(clock=clock)


def parallel(recall, waits, service_ms=10.0, in_flight=3):
    """Three layers asked at once, each after its wait."""
    tasks = tuple(
        LayerTask(layer, 0.0, wait, service_ms, in_flight) for layer, wait in zip(LAYERS, waits, strict=True)
    )
    return recall(
        max(waits) + service_ms,
        layers_queried=list(LAYERS),
        layer_latencies=dict.fromkeys(LAYERS, service_ms),
        parallel_execution=True,
        tasks=tasks,
    )


def test_a_backend_with_one_slot_shows_no_speed_up_however_parallel_it_is_asked(profiler, recall):
    for _ in range(30):
        profiler.record_query(parallel(recall, (0.0, 10.0, 20.0)))
    report = profiler.concurrency_report()
    assert report.speed_up == pytest.approx(1.0)
    assert report.parallel_share == 1.0
    assert profiler.get_concurrency_effectiveness()["avg_speedup"] == pytest.approx(1.0)
    assert profiler.get_query_type_metrics("temporal").parallel_speedup == pytest.approx(1.0)


def test_layers_that_really_run_together_show_it(profiler, recall):
    profiler.record_query(parallel(recall, (0.0, 0.0, 0.0)))
    assert profiler.concurrency_report().speed_up == pytest.approx(3.0)


def test_a_long_wait_before_all_of_them_changes_nothing(profiler, recall):
    profiler.record_query(parallel(recall, (5000.0, 5000.0, 5000.0)))
    assert profiler.concurrency_report().speed_up == pytest.approx(3.0)


def test_many_and_one_by_one_give_the_same_speed_up(recall, clock):
    bulk, single = PerformanceProfiler(clock=clock), PerformanceProfiler(clock=clock)
    for i in range(40):
        record = parallel(recall, (0.0, i % 7, 3.0 * (i % 4)))
        bulk.record_query(record)
        single.record_query(record)
        single.fold()
    assert bulk.concurrency_report().speed_up == pytest.approx(single.concurrency_report().speed_up, abs=1e-5)


def test_waits_are_told_apart_from_service(profiler, recall):
    for _ in range(50):
        profiler.record_query(parallel(recall, (0.0, 10.0, 20.0)))
    report = profiler.concurrency_report()
    assert (report.queue_p50_ms, report.queue_p99_ms) == pytest.approx((10.0, 20.0), rel=1 / 64)
    assert profiler.get_layer_metrics("graph").p99_latency_ms == 10.0
    assert profiler.get_layer_metrics("graph").avg_queue_ms == pytest.approx(20.0)


def test_figures_are_by_the_tasks_in_flight(profiler, recall):
    for level, service in ((1, 10.0), (4, 20.0), (8, 80.0)):
        for _ in range(10):
            profiler.record_query(parallel(recall, (0.0, 0.0, 0.0), service, in_flight=level))
    rows = profiler.concurrency_report().levels
    assert [(row.level, row.n) for row in rows] == [(1, 10), (4, 10), (8, 10)]
    assert [row.p99_latency_ms for row in rows] == pytest.approx([10.0, 20.0, 80.0], rel=1 / 64)
    assert [row.throughput_per_s for row in rows] == pytest.approx([100.0, 200.0, 100.0]), (
        "level / service time"
    )


def test_serial_recalls_take_no_part_in_the_speed_up(profiler, recall):
    profiler.record_query(parallel(recall, (0.0, 0.0, 0.0))._replace(parallel_execution=False))
    report = profiler.concurrency_report()
    assert (report.speed_up, report.parallel_share) == (1.0, 0.0)


def test_what_succeeded_is_of_parallel_recalls(profiler, recall):
    for success in (True, True, True, False):
        profiler.record_query(parallel(recall, (0.0, 0.0, 0.0))._replace(success=success))
    profiler.record_query(recall(success=False))
    effect = profiler.get_concurrency_effectiveness()
    assert (effect["parallel_usage"], effect["successful"]) == (0.8, 0.75)


def test_nothing_measured_has_every_key(profiler):
    assert profiler.get_concurrency_effectiveness() == {
        "parallel_usage": 0.0,
        "avg_speedup": 1.0,
        "successful": 0.0,
    }
    report = profiler.concurrency_report()
    assert (report.speed_up, report.levels) == (1.0, ())
    assert math.isnan(report.parallel_share)
    assert math.isnan(report.queue_p99_ms)
    assert profiler.co_occurrence()[0] == []
    assert profiler.get_layer_dependency_analysis() == {}
    assert len(profiler.tasks()) == 0


def test_layers_asked_together(profiler, recall):
    for layers in (["semantic", "graph"], ["semantic"], ["semantic", "episodic"], ["graph", "semantic"]):
        profiler.record_query(recall(layers_queried=layers))
    layers, both = profiler.co_occurrence()
    assert layers == ["episodic", "graph", "semantic"]
    assert np.allclose(both, [[0.25, 0, 0.25], [0, 0.5, 0.5], [0.25, 0.5, 1.0]])
    assert profiler.get_layer_dependency_analysis() == {
        "episodic": {"semantic": 1.0},
        "graph": {"semantic": 1.0},
        "semantic": {"episodic": 0.25, "graph": 0.5},
    }


def test_the_table_of_tasks_has_each_measured_task_once_in_the_order_of_the_recalls(profiler, recall):
    for i in range(25):
        tasks = (
            LayerTask("graph", 0.125, 1.5, 4.0 + i, i, TaskOutcome.TIMEOUT, 2),
            LayerTask("semantic", 0.25, 0.0, 3.0, 1),
        )
        profiler.record_query(
            recall(layers_queried=["graph", "semantic", "episodic"], tasks=tasks, config_version=i)
        )
    table = profiler.tasks()
    assert len(table) == 50
    assert table.recall.tolist() == [i for i in range(25) for _ in range(2)]
    of_graph = table.layer == table.layers.index("graph")
    assert table.service_ms[of_graph].tolist() == [4.0 + i for i in range(25)]
    assert table.config_version[of_graph].tolist() == table.in_flight[of_graph].tolist() == list(range(25))
    assert set(table.queue_ms[of_graph].tolist()) == {1.5}
    assert set(table.outcome[of_graph].tolist()) == {tuple(TaskOutcome).index(TaskOutcome.TIMEOUT)}
    assert profiler.tasks(layer="semantic", config_version=3).service_ms.tolist() == [3.0]
