"""What a manager exports to Prometheus, and what an expression asks for."""

from __future__ import annotations

import urllib.request

import promql_parser
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from athena_tuning.integrations.prometheus import MetricsServer
from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome, TuningConfig
from athena_tuning.recall import MemoryManager

TARGET = {"job", "instance"}
"""Labels that Prometheus itself adds to what it scrapes."""


def parsed(expression):
    return promql_parser.parse(expression.replace("$__rate_interval", "1m"))


def selectors(expression):
    found = []
    promql_parser.walk(parsed(expression), found.append)
    return [e for e in found if isinstance(e, promql_parser.VectorSelector)]


@pytest.fixture(scope="module")
def exported():
    """The labels of every sample that a manager gives which has seen everything."""
    with MemoryManager(":memory:") as manager, MetricsServer(manager, 0) as server:
        config = TuningConfig(deadline_seconds=1.0)
        manager.apply_config(config, expected_version=0, actor="ana", reason="try")
        manager.profiler.record_query("no record")
        task = LayerTask("graph", 0.0, 1.0, 5.0, 1, TaskOutcome.TIMEOUT, 0)
        record = ("q", "who?", "meta", 0, 9.0, None, True, 1, ["graph"], {}, True)
        manager.profiler.record_query(QueryMetrics(*record, tasks=(task,), partial=True, accuracy_score=9.0))
        next(t for t in manager._membership._threads if t.name == "upkeep").failures["fold"] += 1
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.port}/metrics", headers={"Accept": "application/openmetrics-text"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read().decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return {
        name: set().union(*(s.labels for s in samples if s.name == name))
        for name in {s.name for s in samples}
    }
