"""What the Config page shows and lets a person change."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from athena_tuning.model import (
    Action,
    Candidate,
    Decision,
    Forecast,
    Mode,
    Proposal,
    StrategyProposal,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.service.verdict import verdict_of
from athena_tuning.testing.waiting import until
from tests.support.dashboard import OPERATOR, fill, told
from tests.support.pages import apply_with, is_sound, predicted, press, visit, words


def test_config_says_how_many_recalls_are_missing_for_advice(served: TuningService) -> None:
    for i in range(7):
        served.recall(OPERATOR, f"Which service uses postgres-ledger {i}?")
    until(lambda: (told := served.proposal()) is not None and told.recalls == 7, 20)
    at = visit("config")
    assert is_sound(at)
    assert "Not known yet" in words(at)
    assert "7 of 150 live recalls" in words(at)
    assert any(button.label == "Load a sample" for button in at.button)
    assert not any(button.label == "Apply the proposal" for button in at.button)


def opened(at: AppTest) -> str:
    """Return all words of the Config page once Why is open."""
    at.session_state["why"] = True
    at.run()
    assert is_sound(at)
    return words(at)


def test_config_shows_what_a_proposal_would_bring_and_what_it_rests_on(served: TuningService) -> None:
    fill(served, "bursty", 4000)
    proposal = told(served, 1000)
    assert proposal.current.is_advice
    at = visit("config")
    assert is_sound(at)
    verdict = verdict_of(proposal)
    assert str(verdict.kind) in words(at)
    assert verdict.change in words(at)
    assert ("95 % interval" in words(at)) is (verdict.interval is not None)
    label = "Apply the proposal" if verdict.may_stand_out else "Apply it all the same"
    assert any(button.label == label for button in at.button)
    shown = opened(at)
    assert "what is in force simulates to p99" in shown
    assert "capacity, recalls/s" in shown


def proposal_of(decision: Decision, doubt: str = "", recalls: int = 900) -> Proposal:
    forecast = Forecast(12.0, 300.0, 9.0, 1.0)
    strategies = {s: StrategyProposal(decision, doubt, forecast) for s in TuningStrategy}
    strategy = decision.after.strategy
    return Proposal("all", 0.0, "w7", 0, strategy, recalls, 150, strategies, forecast, 11.0)


SURE, UNSURE = (-0.08, -0.1, -0.06), (-0.08, -0.13, 0.03)


def proposed(change: tuple[float, float, float], doubt: str = "", recalls: int = 900) -> Proposal:
    at = TuningConfig()
    wanted = replace(at, max_concurrent=8)
    made = Decision("d", 0.0, "model", "all", Action.CANARY, at, wanted, "more at once", 900,
                    candidates=(Candidate(wanted, *change),), predicted=change[0])  # fmt: skip
    return proposal_of(made, doubt, recalls)


@pytest.mark.parametrize(
    ("proposal", "says"),
    [
        (proposed(SURE), "Worth trying"),
        (proposed(UNSURE, "it may as well change nothing: −12 % to +3 %"), "Perhaps"),
        (proposed(SURE, "the simulation misses what was measured"), "Perhaps"),
        (proposed(UNSURE), "Perhaps"),
        (proposed(SURE, "warming up: 120 of 150 live recalls", 120), "Not known yet"),
    ],
)
def test_the_verdict_is_the_same_everywhere_and_apply_stands_out_where_no_doubt_speaks_against_it(
    served: TuningService, proposal: Proposal, says: str
) -> None:
    fill(served, "fast")
    served.proposals = lambda: {"all": proposal}  # type: ignore[method-assign]
    for url in ("config", "overview"):
        page = visit(url)
        assert is_sound(page)
        assert says in words(page)
        assert ("5 → 8 tasks at once" in words(page)) is (says != "Not known yet")
    assert verdict_of(proposal).sentence.startswith(says)
    applying = {b.label: b.proto.type for b in visit("config").button if b.label.startswith("Apply")}
    expected = {
        "Worth trying": {"Apply the proposal": "primary"},
        "Perhaps": {"Apply it all the same": "secondary"},
        "Not known yet": {},
    }
    assert applying == expected[says]


def test_the_dialog_says_the_doubt_and_the_error_again(served: TuningService) -> None:
    fill(served, "fast")
    proposal = proposed(SURE, "the simulation misses what was measured")
    served.proposals = lambda: {"all": proposal}  # type: ignore[method-assign]
    at = press(visit("config"), "Apply it all the same")
    assert is_sound(at)
    [warning] = [node.value for node in at.warning]
    assert "The simulation misses what was measured" in warning
    assert "Its simulation is 9 % off" in warning


def test_config_shows_what_stays_and_what_was_considered(served: TuningService) -> None:
    at = TuningConfig()
    tried = tuple(
        Candidate(replace(at, max_concurrent=n), *change)
        for n, change in {4: (-0.3, -0.6, 0.1), 6: (-0.04, -0.04, -0.04), 8: (0.2, 0.2, 0.2)}.items()
    )
    kept = Decision("d", 0.0, "model", "all", Action.KEEP, at, at, "No change.", 200, candidates=tried)
    fill(served, "fast")
    served.proposals = lambda: {"all": proposal_of(kept)}  # type: ignore[method-assign]
    assert "Nothing to do" in words(visit("overview"))
    page = visit("config")
    assert "Nothing to do" in words(page)
    assert "the best other, tasks in flight 5 → 4" in words(page)
    assert words(page).count("as it is") >= len(at.to_dict())
    assert not any(button.label.startswith("Apply") for button in page.button)
    shown = opened(page)
    assert "−26 %" in shown
    assert "−45 % to +11 %" in shown
    for why in ("the gain is not sure", "gains less than 8 %", "no gain"):
        assert why in shown


def test_config_strategy_switch_asks_for_a_reason_and_is_in_force_at_once(served: TuningService) -> None:
    fill(served, "fast")
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
    at.multiselect(key="skipped_layers-all-0").set_value(
        ["episodic", "semantic", "procedural", "prospective", "graph"]
    )
    press(at, "Look at the change…")
    assert is_sound(at)
    shown = words(at)
    for why in (
        "must be 1 to 1024, not 0",
        "must be above 0 and at most 3600 seconds, not",
        "episodic",
        "at least one layer",
    ):
        assert why in shown.replace("\\", ""), why
    assert not any(button.label == "Apply" for button in at.button)
    assert served.configs().head == 0
    at.number_input(key="limit-all-0").set_value(6)
    at.number_input(key="timeout-all-0").set_value(4.0)
    at.number_input(key="layer-0-all-0").set_value(2.0)
    at.multiselect(key="skipped_layers-all-0").set_value(["graph"])
    apply_with(press(at, "Look at the change…"), "all of it")
    config = served.configs().default.config
    assert (config.max_concurrent, config.timeout_seconds) == (6, 4.0)
    assert (dict(config.layer_timeouts), set(config.skipped_layers)) == ({"episodic": 2.0}, {"graph"})
    assert "must be" not in words(at)


def test_config_edit_adds_layers_and_lets_some_wait_for_a_second_round(served: TuningService) -> None:
    at = visit("config")
    at.multiselect(key="extra_layers-all-0").set_value(["episodic", "graph"])
    at.multiselect(key="second_round-all-0").set_value(["graph"])
    apply_with(press(at, "Look at the change…"), "as measured")
    config = served.configs().default.config
    assert (config.extra_layers, config.second_round) == ({"episodic", "graph"}, {"graph"})
    key = f"extra_layers-all-{served.configs().default.version}"
    assert at.run().multiselect(key=key).value == ["episodic", "graph"]


def test_config_edit_has_slow_layers_called_again(served: TuningService) -> None:
    at = visit("config")
    at.multiselect(key="hedged_layers-all-0").set_value(["graph"])
    at.number_input(key="quantile-all-0").set_value(0.9)
    apply_with(press(at, "Look at the change…"), "its tail is long")
    config = served.configs().default.config
    assert (config.hedged_layers, config.hedging_quantile) == ({"graph"}, 0.9)


def test_config_edit_sets_what_explores_what_is_measured_and_when_more_layers_are_asked(
    served: TuningService,
) -> None:
    at = visit("config")
    assert at.number_input(key="exploration-all-0").value == 0.03
    at.number_input(key="memory-all-0").set_value(0.6)
    at.number_input(key="thin-all-0").set_value(0)
    press(at, "Look at the change…")
    refused = words(at).replace("\\", "")
    assert "must be 0 to 0.5, not 0.6" in refused
    assert "must be 1 to 10, not 0" in refused
    assert served.configs().head == 0
    at.number_input(key="exploration-all-0").set_value(0.1)
    at.number_input(key="memory-all-0").set_value(0.001)
    at.number_input(key="agreement-all-0").set_value(4)
    at.number_input(key="thin-all-0").set_value(2)
    apply_with(press(at, "Look at the change…"), "as measured")
    config = served.configs().default.config
    assert (config.exploration_share, config.memory_share) == (0.1, 0.001)
    assert (config.second_round_below, config.thin_below) == (4, 2)


def test_config_exception_for_a_type_is_made_and_ended(served: TuningService) -> None:
    at = visit("config")
    at.selectbox(key="scope").set_value("meta").run()
    assert at.number_input(key="limit-meta-0").disabled
    assert at.number_input(key="quantile-meta-0").disabled
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


def test_strategies_are_on_a_map_once_limits_were_simulated(served: TuningService) -> None:
    fill(served)
    at = visit("config", range="24h")
    assert is_sound(at)
    until(lambda: predicted(served), 60)
    at = visit("config", range="24h")
    assert is_sound(at)
    charts = [json.loads(node.proto.spec) for node in at.get("plotly_chart")]
    names = {trace["name"] for chart in charts for trace in chart["data"]}
    assert {"latency", "throughput", "cost", "balanced"} <= names
