"""The dialog that puts a change in force: its reason, its prediction, its conflicts."""

from __future__ import annotations

from athena_tuning.model import TuningConfig, TuningStrategy
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.ui.config import apply_dialog
from tests.support.dashboard import OPERATOR
from tests.support.pages import apply_with, is_sound, predicted, press, visit, words
from tests.support.waiting import until


def test_apply_without_a_reason_keeps_the_dialog_open(served: TuningService) -> None:
    served.take_sample(OPERATOR, "fast")
    at = visit("config")
    at.button(key="switch-cost").click().run()
    at.text_input(key="reason").set_value("  ").run()
    press(at, "Apply")
    assert served.configs().head == 0
    assert "a reason is needed" in words(at)


def test_apply_conflict_shows_both_sides_and_can_be_put_on_top(served: TuningService) -> None:
    served.take_sample(OPERATOR, "fast")
    at = visit("config")
    at.button(key="switch-cost").click().run()
    served.apply(OPERATOR, TuningConfig(11), expected_version=0, reason="quicker than you")
    press(at, "Apply")
    assert is_sound(at)
    assert served.configs().default.config.max_concurrent == 11
    assert "Somebody else wrote first" in words(at)
    assert "quicker than you" in words(at)
    press(at, "Apply mine on top")
    at.text_input(key="reason").set_value("still wanted").run()
    press(at, "Apply")
    assert served.configs().default.config.strategy is TuningStrategy.COST
    assert "Somebody else wrote first" not in words(at)


def test_apply_keeps_the_prediction_as_grounds_of_the_change(served: TuningService) -> None:
    served.take_sample(OPERATOR, "fast")
    at = visit("config")
    at.number_input(key="limit-all-0").set_value(4)
    press(at, "Look at the change…")
    assert "Predicted on the newest recalls" in words(at)
    until(lambda: predicted(served), 90)
    apply_with(at, "fewer at once")
    assert is_sound(at)
    decision = next(d for d in served.decisions() if d.policy == "person")
    assert decision.config_version == served.configs().default.version == 1
    assert decision.after.max_concurrent == 4
    assert {"latency_change", "low", "high"} <= set(decision.reasons[0].inputs)
    assert "fewer at once" in decision.summary
    assert is_sound(visit("history"))


def test_apply_on_top_of_another_change_keeps_what_that_one_changed(served: TuningService) -> None:
    at = visit("config")
    at.toggle(key="cache-all-0").set_value(False)
    press(at, "Look at the change…")
    served.apply(OPERATOR, TuningConfig(11, 7.0), expected_version=0, reason="ben was quicker")
    apply_with(at, "no cache please")
    shown = words(at)
    assert "Somebody else wrote first" in shown
    assert "ben was quicker" in shown
    press(at, "Apply mine on top")
    assert at.text_input(key="reason").value == "no cache please"
    press(at, "Apply")
    assert is_sound(at)
    config = served.configs().default.config
    assert (config.max_concurrent, config.timeout_seconds, config.enable_cache) == (11, 7.0, False)


def test_apply_conflict_can_be_dropped(served: TuningService) -> None:
    at = visit("config")
    at.toggle(key="cache-all-0").set_value(False)
    press(at, "Look at the change…")
    served.apply(OPERATOR, TuningConfig(11), expected_version=0, reason="quicker")
    apply_with(at, "mine")
    press(at, "Drop mine")
    assert "Somebody else wrote first" not in words(at)
    assert served.configs().head == 1


def test_rebased_puts_only_the_own_changes_on_top() -> None:
    seen, theirs = TuningConfig(5, 10.0), TuningConfig(9, 10.0, skipped_layers=frozenset({"graph"}))
    mine = TuningConfig(7, 10.0, enable_cache=False)
    both = apply_dialog.rebased(seen, theirs, mine)
    assert both == TuningConfig(7, 10.0, enable_cache=False, skipped_layers=frozenset({"graph"}))
    assert apply_dialog.rebased(seen, theirs, seen) == theirs
    assert apply_dialog.rebased(seen, seen, mine) == mine


def test_apply_strategy_on_top_of_another_change_reaches_exceptions_and_is_undone_and_redone(
    served: TuningService,
) -> None:
    served.apply(OPERATOR, TuningConfig(timeout_seconds=3.0), expected_version=0, reason="x", scope="meta")
    at = visit("config")
    at.button(key="switch-cost").click().run()
    served.apply(OPERATOR, TuningConfig(11), expected_version=0, reason="ben was quicker")
    apply_with(at, "cheap")
    press(at, "Apply mine on top")
    press(at, "Apply")
    assert is_sound(at)

    def strategies() -> list[str]:
        configs = served.configs()
        return [configs.default.config.strategy.value, configs.for_type("meta").strategy.value]

    assert strategies() == ["cost", "cost"]
    assert served.configs().default.config.max_concurrent == 11
    at = press(visit("config"), "Undo")
    assert "undo of version 3: cheap" in words(at)
    assert strategies() == ["balanced", "balanced"]
    press(at, "Redo")
    assert strategies() == ["cost", "cost"]
