"""What the pages under Tune let a person do, by Streamlit's own test runner over the real service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from athena_tuning.model import Action, Candidate, ConfigVersion, Decision, Mode, TuningConfig
from athena_tuning.service.read_service import NOW
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import open_store
from athena_tuning.tuning.policies.registry import make_policy
from athena_tuning.ui.config import apply_dialog
from athena_tuning.ui.frame import page_context
from athena_tuning.ui.history import history_tables
from tests.support.dashboard import OPERATOR
from tests.support.waiting import until
from tests.ui.test_pages import served, sound, visit, words

__all__ = ["served"]  # the fixture


def press(at: AppTest, label: str) -> AppTest:
    return next(button for button in at.button if button.label == label).click().run()


def apply_with(at: AppTest, reason: str) -> AppTest:
    at.text_input(key="reason").set_value(reason).run()
    return press(at, "Apply")


def predicted(served: TuningService) -> bool:
    kept = served._forecasts._kept.values()
    return bool(kept) and all(entry.run.state.value == "finished" for entry in kept)


def simulated(at: AppTest) -> AppTest:
    until(lambda: at.session_state["asked what-if"].run.wait(0) or None, 60)
    return at.run()


def what_if(over: str, source: str, **more: object) -> AppTest:
    at = visit("simulate")
    at.segmented_control(key="simulate").set_value("What-if").run()
    at.pills(key="what-over").set_value(over).run()
    at.selectbox(key="what-source").set_value(source)
    for key, value in more.items():
        at.number_input(key=f"what-{key}").set_value(value)
    return press(at, "Simulate")


def test_with_few_recalls_the_page_says_how_many_are_missing(served: TuningService) -> None:
    for i in range(7):
        served.recall(OPERATOR, f"Which service uses postgres-ledger {i}?")
    until(lambda: served.enough()[0] == 7)
    at = visit("config")
    sound(at)
    assert "7 of 10" in words(at)
    assert any(button.label == "Load a sample" for button in at.button)
    assert not any(button.label == "Apply the proposal" for button in at.button)


def test_what_a_proposal_would_bring_is_told_before_it_is_applied(served: TuningService) -> None:
    assert served.embedded is not None
    served.embedded.manager.tuner.policy = make_policy("rules")  # it always proposes something here
    served.take_sample(OPERATOR, "bursty")
    visit("config")
    until(lambda: predicted(served), 90)
    at = visit("config")
    sound(at)
    shown = words(at)
    assert "met again; what is in force comes to p99" in shown
    assert "capacity, recalls/s" in shown
    assert "simulating…" not in shown
    assert any(kind in shown for kind in ("surely better", "not sure", "a guess", "no difference"))


def test_no_change_shows_what_stays_and_what_was_considered(
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
        sound(page)
        shown = words(page)
        assert "max_concurrent 4" in shown
        assert "−26 %" in shown
        assert "−45 % to +11 %" in shown
        for why in ("the gain is not sure", "gains less than 8 %", "no gain"):
            assert why in shown
    page = visit("config")
    assert words(page).count("as it is") >= len(at.to_dict())
    assert not any(button.label == "Apply the proposal" for button in page.button)


def test_an_applied_change_keeps_what_was_foretold_as_its_grounds(served: TuningService) -> None:
    served.take_sample(OPERATOR, "fast")
    at = visit("config")
    at.number_input(key="limit-all-0").set_value(4)
    press(at, "Look at the change…")
    assert "Predicted on the newest recalls" in words(at)
    until(lambda: predicted(served), 90)
    apply_with(at, "fewer at once")
    sound(at)
    decision = next(d for d in served.decisions() if d.policy == "person")
    assert decision.config_version == served.configs().default.version == 1
    assert decision.after.max_concurrent == 4
    assert {"latency_change", "low", "high"} <= set(decision.reasons[0].inputs)
    assert "fewer at once" in decision.summary
    sound(visit("history"))


def test_refused_values_are_told_below_their_fields_and_nothing_is_asked(served: TuningService) -> None:
    at = visit("config")
    at.number_input(key="limit-all-0").set_value(0)
    at.number_input(key="timeout-all-0").set_value(-3.0)
    at.number_input(key="layer-0-all-0").set_value(9999.0)
    at.multiselect(key="skipped-all-0").set_value(
        ["episodic", "semantic", "procedural", "prospective", "graph"]
    )
    press(at, "Look at the change…")
    sound(at)
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


def test_an_exception_for_a_type_is_made_changed_and_ended(served: TuningService) -> None:
    at = visit("config")
    at.selectbox(key="scope").set_value("meta").run()
    assert at.number_input(key="limit-meta-0").disabled
    at.number_input(key="timeout-meta-0").set_value(3.0)
    apply_with(press(at, "Look at the change…"), "meta is slow")
    assert served.configs().by_type["meta"].config.timeout_seconds == 3.0
    assert "timeout_seconds 3" in words(at)
    at.button(key="end-meta").click().run()
    assert "timeout_seconds" in words(at)
    apply_with(at, "no longer")
    sound(at)
    assert served.configs().by_type == {}
    assert "None: every query type runs under the config for all" in words(at)
    at.selectbox(key="scope").set_value("meta").run()
    press(at, "Undo")
    assert served.configs().by_type["meta"].config.timeout_seconds == 3.0


def test_the_mode_is_changed_with_a_reason_for_exceptions_too(served: TuningService) -> None:
    served.apply(OPERATOR, TuningConfig(timeout_seconds=3.0), expected_version=0, reason="x", scope="meta")
    at = visit("config")
    at.segmented_control(key="mode-all-0").set_value(Mode.PINNED).run()
    apply_with(press(at, "Change to pinned"), "hands off")
    assert served.configs().default.mode is served.configs().by_type["meta"].mode is Mode.PINNED


def test_a_strategy_on_top_of_anothers_change_reaches_the_exceptions_and_is_undone_and_redone(
    served: TuningService,
) -> None:
    served.apply(OPERATOR, TuningConfig(timeout_seconds=3.0), expected_version=0, reason="x", scope="meta")
    at = visit("config")
    at.button(key="switch-cost").click().run()
    served.apply(OPERATOR, TuningConfig(11), expected_version=0, reason="ben was quicker")
    apply_with(at, "cheap")
    press(at, "Apply mine on top")
    press(at, "Apply")
    sound(at)

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


def test_a_change_on_top_of_another_keeps_what_the_other_changed(served: TuningService) -> None:
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
    sound(at)
    config = served.configs().default.config
    assert (config.max_concurrent, config.timeout_seconds, config.enable_cache) == (11, 7.0, False)


def test_a_refused_change_can_be_dropped(served: TuningService) -> None:
    at = visit("config")
    at.toggle(key="cache-all-0").set_value(False)
    press(at, "Look at the change…")
    served.apply(OPERATOR, TuningConfig(11), expected_version=0, reason="quicker")
    apply_with(at, "mine")
    press(at, "Drop mine")
    assert "Somebody else wrote first" not in words(at)
    assert served.configs().head == 1


def test_rebasing_puts_only_ones_own_changes_on_top() -> None:
    seen, theirs = TuningConfig(5, 10.0), TuningConfig(9, 10.0, skipped_layers=frozenset({"graph"}))
    mine = TuningConfig(7, 10.0, enable_cache=False)
    both = apply_dialog.rebased(seen, theirs, mine)
    assert both == TuningConfig(7, 10.0, enable_cache=False, skipped_layers=frozenset({"graph"}))
    assert apply_dialog.rebased(seen, theirs, seen) == theirs
    assert apply_dialog.rebased(seen, seen, mine) == mine


@pytest.mark.parametrize(("over", "chart"), [("limit", "best"), ("switches", "cache off")])
def test_a_what_if_is_simulated_looked_at_and_applied(served: TuningService, over: str, chart: str) -> None:
    at = simulated(what_if(over, "bursty"))
    sound(at)
    assert len(at.get("plotly_chart")) == 1
    assert "Before and after" in words(at)
    select = next(box for box in at.selectbox if box.label == "Compare what is in force with")
    assert any(chart in option for option in select.options)
    press(at, "Apply this…")
    assert "what-if over" in at.text_input(key="reason").value
    apply_with(at, "as simulated")
    sound(at)
    assert served.configs().head == 1
    assert served.configs().default.config != TuningConfig()
    assert "Simulated against version 0; version 1 is in force by now" in words(at)


def test_a_what_if_without_recalls_says_so_and_offers_a_sample(served: TuningService) -> None:
    at = simulated(what_if("limit", NOW))
    sound(at)
    assert "0 recalls say what their layers did" in words(at)
    assert any(button.label == "Load a sample" for button in at.button)


def test_a_what_if_at_an_odd_speed_is_refused_in_words(served: TuningService) -> None:
    at = what_if("limit", "mixed", speed=0.0)
    sound(at)
    assert "speed must be 0" in words(at).replace("\\", "")


def test_a_what_if_needs_no_manager_here_but_applying_needs_one_somewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"sqlite:///{tmp_path / 's.db'}")
    watching = TuningService(store, Tail(store))
    monkeypatch.setattr(page_context, "service", lambda: watching)
    monkeypatch.setattr(page_context, "visitor_is_local", lambda: True)
    at = simulated(what_if("switches", "mixed"))
    sound(at)
    assert next(button for button in at.button if button.label == "Apply this…").disabled
    watching.close()


def test_a_load_is_paused_and_goes_on(served: TuningService) -> None:
    at = visit("simulate")
    at.number_input(key="sim-duration").set_value(600)
    press(at, "Start")
    press(at, "Pause")
    assert "Paused" in at.get("progress")[0].text
    press(at, "Go on")
    assert "Running" in at.get("progress")[0].text
    press(at, "Stop")
    sound(at)
    history = visit("history")
    sound(history)
    trail = history.dataframe[-1].value
    assert list(trail["what"])[:4] == [
        "load stopped", "load resumed", "load paused", "load started: steady at 30 /s for 600 s",
    ]  # fmt: skip
    assert set(trail["who"]) == {"operator"}


def test_tables_of_the_history_sort_by_value_and_show_texts_plain(served: TuningService) -> None:
    for limit in (4, 8):
        at_version = served.configs().default.version
        served.apply(
            OPERATOR, TuningConfig(limit), expected_version=at_version, reason=f"limit\u202e\x00 {limit}"
        )
    at = visit("history")
    sound(at)
    versions = at.dataframe[0].value
    assert versions["version"].tolist() == [2, 1]
    assert versions["reason"].tolist() == ["limit 8", "limit 4"]
    assert versions["change"].tolist()[0] == "max_concurrent 4 → 8"
    assert versions["time"].is_monotonic_decreasing
    assert versions["restores"].isna().all()


@pytest.mark.parametrize("chosen", [(1,), (1, 3)])
def test_versions_are_compared_and_brought_back(
    served: TuningService, monkeypatch: pytest.MonkeyPatch, chosen: tuple[int, ...]
) -> None:
    for limit in (4, 8, 12):
        at_version = served.configs().default.version
        served.apply(
            OPERATOR,
            TuningConfig(limit),
            expected_version=at_version,
            reason=f"limit {limit}",
            mode=Mode.PINNED if limit == 4 else Mode.ADVISE,
        )
        served.recall(OPERATOR, f"Which service uses postgres-ledger {limit}?")

    def choose(_: object, found: list[ConfigVersion]) -> list[ConfigVersion]:
        return sorted((v for v in found if v.version in chosen), key=lambda v: v.version)

    monkeypatch.setattr(history_tables, "versions", choose)
    at = visit("history")
    sound(at)
    assert "Version 1 against 3" in words(at)
    if len(chosen) == 1:
        press(at, "Roll back to version 1…")
        assert '>mode</td><td class="was">advise</td><td class="now">pinned<' in words(at)
        apply_with(at, "it was better")
        newest = served.history()[0]
        assert (newest.config.max_concurrent, newest.restores, newest.reason) == (4, 1, "it was better")
        assert newest.mode is Mode.PINNED
