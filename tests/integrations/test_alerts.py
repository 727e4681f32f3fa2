"""The shipped alert rules ask for what a manager exports, fire when they should, and are silent otherwise."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.integrations.conftest import TARGET, selectors

RULES = Path(__file__).parents[2] / "monitoring" / "alerts.yml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
PROMTOOL = shutil.which("promtool")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_asks_for_what_is_exported_and_says_what_to_do(alert, exported):
    for selector in selectors(alert["expr"]):
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= exported.get(selector.name, set()) | TARGET, selector.name
        assert selector.name in exported or selector.name == "up"
    for found in re.findall(r"\bby \(([^)]*)\)", alert["expr"]):
        named = {label.strip() for label in found.split(",")} - TARGET
        assert all(named <= exported[selector.name] for selector in selectors(alert["expr"]))
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert set(alert["annotations"]) == {"summary", "description"}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian's package prometheus has it)")
def test_alerts_fire_when_they_should_and_are_silent_otherwise(tmp_path):
    cases = Path(__file__).with_name("alerts_test.yml")
    for file in (RULES, cases):
        shutil.copy(file, tmp_path)
    for command in (("check", "rules", RULES.name), ("test", "rules", cases.name)):
        done = subprocess.run([PROMTOOL, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent():
    cases = yaml.safe_load(Path(__file__).with_name("alerts_test.yml").read_text("utf-8"))["tests"]
    fires = {t["alertname"] for case in cases for t in case["alert_rule_test"] if t.get("exp_alerts")}
    silent = {t["alertname"] for case in cases for t in case["alert_rule_test"] if not t.get("exp_alerts")}
    assert fires == {alert["alert"] for alert in ALERTS}
    assert silent >= fires - {"AthenaTuningRecallsSlow", "AthenaTuningHousekeepingFails"}
