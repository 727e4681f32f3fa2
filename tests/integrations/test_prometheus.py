"""What a manager exports to Prometheus: the right counts, only growing ones, and from a real endpoint."""

from __future__ import annotations

import socket
import urllib.request
from itertools import pairwise

import pytest
from prometheus_client.parser import text_string_to_metric_families

from athena_tuning.control import Control
from athena_tuning.integrations.prometheus import ManagerCollector, MetricsServer
from athena_tuning.integrations.totals import MOST_NAMES, Totals
from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome, TuningConfig
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.testing.waiting import until
from tests.support.memory_layers import StubLayer, failing, items


def recall(
    n=0, query_type="factual", ms=20.0, *, success=True, hit=False, partial=False, source="live", tasks=()
):
    layers = [task.layer for task in tasks]
    return QueryMetrics(
        f"q{n}", "who?", query_type, 0, ms, None, hit, 3, layers, {}, success,
        tasks=tuple(tasks), partial=partial, source=source,
    )  # fmt: skip


def task(layer="semantic", ms=10.0, queue_ms=1.0, outcome=TaskOutcome.OK):
    return LayerTask(layer, 0.0, queue_ms, ms, 1, outcome, 3)


def samples(server):
    """Scrape, and return the value of each sample by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def at(values, name, **labels):
    return values[f"athena_tuning_{name}", tuple(sorted(labels.items()))]


@pytest.fixture
def manager():
    with MemoryManager(":memory:", profiler=PerformanceProfiler(max_metrics=50)) as made:
        yield made


def test_recalls_and_layers_are_counted_with_their_durations_in_seconds(manager):
    with MetricsServer(manager, 0) as server:
        manager.profiler.record_query(
            recall(1, ms=20.0, tasks=[task(), task("graph", 700, 3, TaskOutcome.TIMEOUT)])
        )
        manager.profiler.record_query(recall(2, "meta", 3.0, hit=True))
        manager.profiler.record_query(recall(3, success=False))
        manager.profiler.record_query(recall(6, success=False, partial=True, ms=None))
        manager.profiler.record_query(recall(4, partial=True))
        manager.profiler.record_query(recall(5, ms=None, success=None, hit=None))
        values = samples(server)
    by_outcome = {"success": 1, "failure": 1, "partial": 1, "refused": 1, "unknown": 1}
    for outcome, n in by_outcome.items():
        assert at(values, "recalls_total", type="factual", outcome=outcome) == n
    assert at(values, "recall_duration_seconds_sum", type="factual", outcome="success") == pytest.approx(0.02)
    assert at(values, "recall_duration_seconds_bucket", type="factual", outcome="success", le="0.01") == 0
    assert at(values, "recall_duration_seconds_bucket", type="factual", outcome="success", le="0.025") == 1
    assert at(values, "recall_duration_seconds_bucket", type="factual", outcome="success", le="+Inf") == 1
    assert at(values, "recall_duration_seconds_count", type="meta", outcome="success") == 1
    assert (
        "athena_tuning_recall_duration_seconds_count",
        (("outcome", "unknown"), ("type", "factual")),
    ) not in values
    assert at(values, "layer_duration_seconds_sum", layer="graph", outcome="timeout") == pytest.approx(0.7)
    assert at(values, "layer_queue_duration_seconds_sum", layer="semantic") == pytest.approx(0.001)
    assert at(values, "cache_lookups_total", type="meta", result="hit") == 1
    assert at(values, "cache_lookups_total", type="factual", result="miss") == 4


def test_counters_only_grow_though_the_window_forgets(manager):
    seen = []
    with MetricsServer(manager, 0) as server:
        for batch in range(5):
            for n in range(40):
                manager.profiler.record_query(recall(batch * 40 + n, tasks=[task()]))
            seen.append(samples(server))
    counts = [at(values, "recalls_total", type="factual", outcome="success") for values in seen]
    assert counts == [40, 80, 120, 160, 200]
    assert len(manager.profiler.metrics) == 50
    for before, after in pairwise(seen):
        growing = [key for key in before if key[0].endswith(("_total", "_count", "_bucket", "_sum"))]
        assert len(growing) > 20
        assert all(after[key] >= before[key] for key in growing)


def test_what_left_the_window_uncounted_is_told(manager):
    totals = Totals(manager.profiler)
    for n in range(120):
        manager.profiler.record_query(recall(n))
        manager.profiler.fold()
    totals.catch_up()
    counted = totals.counted()
    assert (counted.missed, counted.recalls["factual", "success"]) == (70, 50)


def test_only_what_was_measured_live_counts(manager):
    for source in ("sample", "imported", "simulated", "live"):
        manager.profiler.record_query(recall(source=source))
    totals = Totals(manager.profiler)
    totals.catch_up()
    assert totals.counted().recalls.total() == 1


def test_names_without_end_become_one(manager):
    totals = Totals(profiler := PerformanceProfiler())
    for n in range(MOST_NAMES + 50):
        profiler.record_query(recall(n, f"type {n}", tasks=[task(f"layer {n}")]))
    totals.catch_up()
    counted = totals.counted()
    assert counted.recalls["(other)", "success"] == 50
    assert len(counted.layer_seconds) == MOST_NAMES + 1


def test_configs_slots_and_losses_are_told(manager):
    config = TuningConfig(max_concurrent=7, timeout_seconds=6.5, enable_cache=False, deadline_seconds=0.5)
    manager.apply_config(config, expected_version=0, actor="ana", reason="try")
    manager.apply_config(
        TuningConfig(timeout_seconds=9.0), expected_version=0, actor="ana", reason="try", scope="meta"
    )
    manager.profiler.record_query("no record")
    with MetricsServer(manager, 0) as server:
        values = samples(server)
    assert at(values, "config_version", scope="all") == 1
    assert at(values, "config_tried_version", scope="all") == 0
    assert at(values, "config_max_concurrent", scope="all") == at(values, "layer_tasks_limit") == 7
    assert at(values, "config_timeout_seconds", scope="all") == 6.5
    assert at(values, "config_timeout_seconds", scope="meta") == 9
    assert at(values, "config_deadline_seconds", scope="all") == 0.5
    assert ("athena_tuning_config_deadline_seconds", (("scope", "meta"),)) not in values
    assert at(values, "config_cache_enabled", scope="all") == 0
    assert at(values, "config_info", scope="all", strategy="balanced", mode="advise") == 1
    assert at(values, "layer_tasks_in_flight") == at(values, "layer_tasks_waiting") == 0
    assert at(values, "records_rejected_total", reason="not_a_record") == 1
    assert at(values, "records_dropped_total", to="store") == 0
    assert any(name == "process_resident_memory_bytes" for name, _ in values)


def test_real_recalls_are_seen(manager):
    manager.remember({"id": "n1", "layer": "semantic", "text": "Ana owns billing"})
    with MetricsServer(manager, 0) as server:
        for _ in range(3):
            manager.recall("who owns billing?")
        values = samples(server)
    assert at(values, "recalls_total", type="factual", outcome="success") == 3
    assert at(values, "cache_lookups_total", type="factual", result="hit") == 2
    assert at(values, "layer_duration_seconds_count", layer="semantic", outcome="ok") == 1


def test_a_system_of_ones_own_is_watched_likewise():
    with Control("memory://") as control, MetricsServer(control, 0) as server:
        with control.measure("q", "factual") as query, query.layer("semantic"):
            pass
        values = samples(server)
    assert at(values, "recalls_total", type="factual", outcome="success") == 1
    assert ("athena_tuning_layer_tasks_limit", ()) not in values


def test_hostile_names_stay_labels(manager):
    hostile = 'a"b\\c\nd{e="f"} 7'
    manager.profiler.record_query(recall(1, hostile, tasks=[task(hostile)]))
    with MetricsServer(manager, 0) as server:
        assert at(samples(server), "recalls_total", type=hostile, outcome="success") == 1


def test_a_port_that_is_taken_is_named(manager):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"metrics cannot be served on 127\.0\.0\.1:{port}"):
            MetricsServer(manager, port)


def test_a_collector_may_be_put_into_a_registry_of_ones_own(manager):
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(ManagerCollector(manager))
    manager.profiler.record_query(recall())
    assert b"athena_tuning_recalls_total" in generate_latest(registry)


def test_layer_health_is_exported_by_layer_and_state():
    layers = [StubLayer("good", items("a")), StubLayer("dead", failing)]
    with MemoryManager(":memory:", layers=layers) as manager, MetricsServer(manager, 0) as server:
        for turn in range(20):
            manager.recall(f"q {turn}", use_cache=False)
        values = samples(server)
        assert at(values, "layer_breaker", layer="dead", state="open") == 1
        assert at(values, "layer_breaker", layer="dead", state="closed") == 0
        assert at(values, "layer_breaker", layer="good", state="closed") == 1
        assert at(values, "layer_left_out_total", layer="dead") == 15
        assert at(values, "layer_lost_seconds_total", layer="dead") > 0
        assert at(values, "layer_stale_answers_total", layer="dead") == 0


def test_memory_of_layers_is_exported_where_it_is_known():
    with MemoryManager(":memory:") as manager, MetricsServer(manager, 0) as server:
        until(lambda: manager.layer_health()["graph"].index_bytes)
        values = samples(server)
        assert at(values, "layer_index_bytes", layer="graph") == manager.layer_health()["graph"].index_bytes
        assert not [name for name, _ in values if name == "athena_tuning_layer_peak_bytes"]


def test_a_scrape_has_a_bounded_number_of_series_and_all_recalls_whatever_they_are_called():
    def scraped(names):
        profiler = PerformanceProfiler(most_names=1000)
        for n in range(9000):
            profiler.record_query(recall(n, f"type {n % names}", tasks=[task(f"layer {n % names}")]))
        totals = Totals(profiler)
        totals.catch_up()
        counted = totals.counted()
        assert counted.recalls.total() == 9000
        assert sum(sum(each.counts) for each in counted.layer_seconds.values()) == 9000
        return len(counted.recalls) + len(counted.layer_seconds)

    assert scraped(9000) == 2 * (MOST_NAMES + 1)
    assert scraped(50) == 100
