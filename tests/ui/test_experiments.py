"""An experiment on the pages: started from a dialog, watched, ended, applied, and found in the history."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from athena_tuning.model import (
    ConfigVersion,
    ExperimentBlock,
    ExperimentMeasure,
    ExperimentReport,
    ExperimentVerdict,
    Mode,
    TuningConfig,
)
from athena_tuning.service.roles import NotAllowed
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import EXPERIMENTS
from athena_tuning.testing.waiting import until
from athena_tuning.ui.config.apply_dialog import TRY
from tests.support.dashboard import OPERATOR, VIEWER
from tests.support.pages import is_sound, press, visit, words
from tests.ui.test_words import REFUSED


def started(service: TuningService, config: TuningConfig | None = None) -> ConfigVersion:
    wanted = config or replace(service.configs().default.config, max_concurrent=9)
    return service.start_experiment(OPERATOR, wanted, expected_version=None, reason="more at once?")


def tell(service: TuningService, version: ConfigVersion) -> None:
    """Let the leader have told that a config was better, after half of its blocks."""
    report = ExperimentReport(
        version.version,
        service.now,
        True,
        ExperimentVerdict.BETTER,
        "the difference is clear",
        7,
        15,
        (1700, 1690),
        (0.3, 0.31),
        (
            ExperimentMeasure("typical latency", "ms", 41.0, 33.0, -0.22, -0.3, -0.14, 7),
            ExperimentMeasure("p99", "ms", 120.0, 99.0, -0.19, -0.6, 0.2, 7),
            ExperimentMeasure("refused", "share", 0.0, 0.0, 0.0, 0.0, 0.0, 7),
            ExperimentMeasure("complete", "share", 1.0, 1.0, 0.0, 0.0, 0.0, 7),
        ),
        tuple(ExperimentBlock(n, n % 2 == 1, 240, 33.0 if n % 2 else 41.0) for n in range(14)),
        ("old-1 ran another config than that whose turn it was, and is not counted",),
    )
    service.store.post(EXPERIMENTS, str(version.version), json.dumps(report.to_dict()))


def shown(at: AppTest) -> str:
    """Return the words of a page without styles and tags."""
    return re.sub(r"<style>.*?</style>|<[^>]*>", " ", words(at), flags=re.S)


def edited(at: AppTest, limit: int) -> AppTest:
    """Edit the limit in the form and open the dialog."""
    field = next(box for box in at.number_input if box.label == "Tasks in flight")
    field.set_value(limit)
    return press(at, "Look at the change…")


def test_what_a_person_edited_can_be_tried_beside_apply(served: TuningService) -> None:
    at = edited(visit("config"), 11)
    assert is_sound(at)
    at.text_input(key="reason").set_value("is it better?").run()
    at = press(at, TRY)
    assert is_sound(at)
    standing = served.experiment()
    assert standing is not None
    assert (standing.version.config.max_concurrent, standing.version.reason) == (11, "is it better?")
    assert standing.plan.seconds == 300.0
    assert served.configs().default.version == 0
    assert "tried in turns with v0" in words(visit("config"))


def test_a_try_without_a_reason_is_refused_and_the_dialog_stays(served: TuningService) -> None:
    at = press(edited(visit("config"), 11), TRY)
    assert is_sound(at)
    assert "a reason is needed" in words(at)
    assert served.experiment() is None


def test_a_running_experiment_says_how_it_stands_and_can_be_ended(served: TuningService) -> None:
    version = started(served)
    until(lambda: (s := served.experiment()) is not None and s.report is not None and s.report.blocks)
    at = visit("config")
    assert is_sound(at)
    assert f"v{version.version} is tried in turns with v0" in words(at)
    assert "0 of 15 pairs of blocks are measured; 5 min are left" in words(at)
    assert "Observed" in words(at)
    at = press(at, "End now")
    assert is_sound(at)
    standing = served.experiment()
    assert standing is not None
    assert not standing.is_running
    assert "by olga" in standing.ended or "by operator" in standing.ended
    assert not any(button.label == "End now" for button in visit("config").button)


def test_while_one_runs_no_second_one_is_offered_and_apply_says_that_it_ends_it(
    served: TuningService,
) -> None:
    started(served)
    at = edited(visit("config"), 11)
    assert next(button for button in at.button if button.label == TRY).disabled
    assert "applying this ends the experiment" in words(at)


def test_what_was_better_is_offered_and_applied_with_what_was_observed(served: TuningService) -> None:
    version = started(served)
    served.end_experiment(OPERATOR)
    until(lambda: (s := served.experiment()) is not None and s.report is not None and s.report.is_over)
    tell(served, version)
    until(lambda: (s := served.experiment()) is not None and s.report is not None and s.report.pairs == 7)
    at = visit("config")
    assert is_sound(at)
    assert "Better than what is in force. Observed in 7 of 15 pairs of blocks" in words(at)
    assert "ran another config" in words(at)
    assert "−20 % (−26 to −13)" in words(at)
    assert not any(pattern.search(shown(at)) for pattern in REFUSED.values())
    at = press(at, f"Apply v{version.version}…")
    assert "Observed in 7 of 15 pairs" in at.text_input(key="reason").value
    at = press(at, "Apply")
    assert is_sound(at)
    assert served.configs().default.config == version.config


def test_viewers_see_an_experiment_and_cannot_end_it(served: TuningService) -> None:
    started(served)
    at = visit("config")
    assert is_sound(at)
    with pytest.raises(NotAllowed, match="operator role"):
        served.end_experiment(VIEWER)
    with pytest.raises(NotAllowed, match="operator role"):
        served.start_experiment(VIEWER, TuningConfig(9), expected_version=None, reason="mine")


def test_history_lists_the_experiment_and_its_outcome_in_words(served: TuningService) -> None:
    served.set_mode(OPERATOR, Mode.PINNED, expected_version=0, reason="hold still")
    version = started(served)
    served.end_experiment(OPERATOR, reason="seen enough")
    until(lambda: any(d.policy == "experiment" for d in served.decisions()))
    at = visit("history")
    assert is_sound(at)
    tables = " ".join(frame.value.to_string() for frame in at.dataframe)
    assert "experiment, all" in tables
    assert f"end of the experiment with v{version.version}" in tables
    assert "exception" not in tables
    assert "(experiment)" not in words(at) + tables
