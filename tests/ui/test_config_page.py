"""What the Config page shows and lets a person change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from athena_tuning.model import Action, Candidate, Decision, Mode, TuningConfig, TuningStrategy
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.tuning.policies.registry import make_policy
from tests.support.dashboard import OPERATOR
from tests.support.pages import apply_with, is_sound, predicted, press, visit, words
from tests.support.waiting import until


def test_config_says_how_many_recalls_are_missing_for_a_proposal(served: TuningService) -> None:
    for i in range(7):
        served.recall(OPERATOR, f"Which service uses postgres-ledger {i}?")
    until(lambda: served.enough()[0] == 7)
    at = visit("config")
    assert is_sound(at)
    assert "7 of 10" in words(at)
    assert any(button.label == "Load a sample" for button in at.button)
    assert not any(button.label == "Apply the proposal" for button in at.button)


def test_config_predicts_what_a_proposal_would_bring(served: TuningService) -> None:
    assert served.embedded is not None
    served.embedded.manager.tuner.policy = make_policy("rules")  # it always proposes something here
    served.take_sample(OPERATOR, "bursty")
    visit("config")
    until(lambda: predicted(served), 90)
    at = visit("config")
    assert is_sound(at)
    shown = words(at)
    assert "simulated again; what is in force comes to p99" in shown
    assert "capacity, recalls/s" in shown
    assert "simulating…" not in shown
    assert any(kind in shown for kind in ("surely better", "not sure", "a guess", "no difference"))


def test_config_and_overview_show_what_stays_and_what_was_considered(
    served: TuningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = TuningConfig()
    tried = tuple(
        Candidate(replace(at, max_concurrent=n), *change)
        for n, change in {4: (-0.3, -0.6, 0.1), 6: (-0.04, -0.04, -0.04), 8: (0.2, 0.2, 0.2)}.items()
    )
    kept = Decision("d", 0.0, "model", "all", Action.KEEP, at, at, "No change.", 200, candidates=tried)
    served.take_sample(OPERATOR, "fast")
    monkeypatch.setattr(served, "preview", lambda *_, **__: kept)
    for url in ("config", "overview"):
        page = visit(url)
        assert is_sound(page)
        shown = words(page)
        assert "tasks in flight 4" in shown
        assert "−26 %" in shown
        assert "−45 % to +11 %" in shown
        for why in ("the gain is not sure", "gains less than 8 %", "no gain"):
            assert why in shown
    page = visit("config")
    assert words(page).count("as it is") >= len(at.to_dict())
    assert not any(button.label == "Apply the proposal" for button in page.button)


def test_config_strategy_switch_asks_for_a_reason_and_is_in_force_at_once(served: TuningService) -> None:
    served.take_sample(OPERATOR, "fast")
    at = visit("config")
    at.button(key="switch-throughput").click().run()
    at.text_input(key="reason").set_value("the batch starts").run()
    press(at, "Apply")
    assert is_sound(at)
    config = served.configs().default
    assert (config.config.strategy, config.reason) == (TuningStrategy.THROUGHPUT, "the batch starts")
    assert served.recall(OPERATOR, "what failed last week?")["_config_version"] == config.version
    assert "<b>throughput</b>" in words(at)


def test_config_mode_is_changed_for_exceptions_too(served: TuningService) -> None:
    served.apply(OPERATOR, TuningConfig(timeout_seconds=3.0), expected_version=0, reason="x", scope="meta")
    at = visit("config")
    at.segmented_control(key="mode-all-0").set_value(Mode.PINNED).run()
    apply_with(press(at, "Change to pinned"), "hands off")
    assert served.configs().default.mode is served.configs().by_type["meta"].mode is Mode.PINNED


def test_config_edit_is_reviewed_before_it_is_applied(served: TuningService) -> None:
    at = visit("config")
    at.number_input(key="limit-all-0").set_value(9)
    at.toggle(key="cache-all-0").set_value(False)
    at.form_submit_button[0].click().run()
    assert served.configs().head == 0
    assert "tasks in flight" in words(at)
    at.text_input(key="reason").set_value("by hand").run()
    press(at, "Apply")
    config = served.configs().default.config
    assert (config.max_concurrent, config.enable_cache) == (9, False)


def test_config_edit_shows_refused_values_below_their_fields(served: TuningService) -> None:
    at = visit("config")
    at.number_input(key="limit-all-0").set_value(0)
    at.number_input(key="timeout-all-0").set_value(-3.0)
    at.number_input(key="layer-0-all-0").set_value(9999.0)
    at.multiselect(key="skipped-all-0").set_value(
        ["episodic", "semantic", "procedural", "prospective", "graph"]
    )
    press(at, "Look at the change…")
    assert is_sound(at)
    shown = words(at)
    for told in (
        "must be 1 to 1024, not 0",
        "must be above 0 and at most 3600 seconds, not",
        "episodic",
        "at least one layer",
    ):
        assert told in shown.replace("\\", ""), told
    assert not any(button.label == "Apply" for button in at.button)
    assert served.configs().head == 0
    at.number_input(key="limit-all-0").set_value(6)
    at.number_input(key="timeout-all-0").set_value(4.0)
    at.number_input(key="layer-0-all-0").set_value(2.0)
    at.multiselect(key="skipped-all-0").set_value(["graph"])
    apply_with(press(at, "Look at the change…"), "all of it")
    config = served.configs().default.config
    assert (config.max_concurrent, config.timeout_seconds) == (6, 4.0)
    assert (dict(config.layer_timeouts), set(config.skipped_layers)) == ({"episodic": 2.0}, {"graph"})
    assert "must be" not in words(at)


def test_config_exception_for_a_type_is_made_and_ended(served: TuningService) -> None:
    at = visit("config")
    at.selectbox(key="scope").set_value("meta").run()
    assert at.number_input(key="limit-meta-0").disabled
    at.number_input(key="timeout-meta-0").set_value(3.0)
    apply_with(press(at, "Look at the change…"), "meta is slow")
    assert served.configs().by_type["meta"].config.timeout_seconds == 3.0
    assert "timeout 3 s" in words(at)
    at.button(key="end-meta").click().run()
    assert "10 s" in words(at)
    apply_with(at, "no longer")
    assert is_sound(at)
    assert served.configs().by_type == {}
    assert "None: every query type runs under the config for all" in words(at)
    at.selectbox(key="scope").set_value("meta").run()
    press(at, "Undo")
    assert served.configs().by_type["meta"].config.timeout_seconds == 3.0


def test_config_undo_is_one_press(served: TuningService) -> None:
    served.apply(OPERATOR, TuningConfig(6), expected_version=0, reason="a", mode=Mode.PINNED)
    served.apply(OPERATOR, TuningConfig(9), expected_version=1, reason="b")
    at = visit("config")
    press(at, "Undo")
    assert served.configs().default.config.max_concurrent == 6
    assert served.history()[0].restores == 1
