"""The shipped Grafana dashboard asks only for what a manager really exports, in PromQL that parses."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import promql_parser
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from athena_tuning.integrations.prometheus import MetricsServer
from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome, TuningConfig
from athena_tuning.recall import MemoryManager

DASHBOARD = json.loads((Path(__file__).parents[2] / "monitoring" / "grafana.json").read_text("utf-8"))
TARGET = {"job", "instance"}
"""Labels that Prometheus itself adds to what it scrapes."""


def panels():
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions():
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    return asked + [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]


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


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_asks_for_what_is_exported(expression, exported):
    for selector in selectors(expression):
        assert selector.name in exported
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= exported[selector.name] | TARGET
        assert labels >= TARGET
    for found in re.findall(r"\bby \(([^)]*)\)", expression):
        named = {label.strip() for label in found.split(",")}
        assert all(named <= exported[s.name] | TARGET for s in selectors(expression))


def test_a_legend_names_labels_that_its_expression_keeps():
    for panel in panels():
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = re.search(r"\bby \(([^)]*)\)", target["expr"])
            if kept:
                assert named <= {label.strip() for label in kept[1].split(",")}, panel["title"]


def test_everything_of_ours_that_is_exported_is_drawn(exported):
    drawn = {selector.name for expression in expressions() for selector in selectors(expression)}
    ours = {name for name in exported if name.startswith("athena_tuning_")}
    parts = {f"{name.removesuffix('_bucket')}_{part}" for name in drawn for part in ("sum", "count")}
    assert ours - drawn - parts == set()
    assert drawn - ours == {"process_resident_memory_bytes"}


def test_the_dashboard_can_be_put_into_any_grafana():
    assert DASHBOARD["uid"] == "athena-tuning"
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {
        "datasource",
        "job",
        "instance",
    }
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    cells = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        taken = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        cells |= taken
    for panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"]
