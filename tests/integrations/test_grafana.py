"""The shipped Grafana dashboard asks only for what a manager really exports, in PromQL that parses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.integrations.conftest import TARGET, selectors

DASHBOARD = json.loads((Path(__file__).parents[2] / "monitoring" / "grafana.json").read_text("utf-8"))


def panels():
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions():
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    return asked + [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]


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
