"""What the Simulate page runs: loads, kept runs, what-if sweeps."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import TuningConfig
from athena_tuning.service.forecast_reads import NOW
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.testing.waiting import until
from athena_tuning.ui.simulate import run_results
from tests.support.dashboard import OPERATOR
from tests.support.pages import apply_with, is_sound, press, visit, words


def simulated(at: AppTest) -> AppTest:
    until(lambda: at.session_state["what-if sweep"].run.wait(0) or None, 60)
    return at.run()


def what_if(over: str, source: str, **more: object) -> AppTest:
    at = visit("simulate")
    at.segmented_control(key="simulate").set_value("What-if").run()
    at.pills(key="what-over").set_value(over).run()
    at.selectbox(key="what-source").set_value(source)
    for key, value in more.items():
        at.number_input(key=f"what-{key}").set_value(value)
    return press(at, "Simulate")


def test_simulate_load_runs_with_progress_and_stops(served: TuningService) -> None:
    at = visit("simulate")
    at.number_input(key="sim-rate").set_value(40.0)
    at.number_input(key="sim-duration").set_value(600)
    at.form_submit_button[0].click().run()
    assert is_sound(at)
    assert served.embedded is not None
    load = served.loads.newest
    assert load is not None
    until(lambda: load.progress().finished > 5)
    at.run()
    assert "Running" in at.get("progress")[0].text
    at.button(key="sim-stop").click().run()
    assert load.state.value == "stopped"
    at.run()
    assert "What came out of it" in words(at)


def test_simulate_load_begins_with_an_empty_cache_where_that_is_asked_for(served: TuningService) -> None:
    assert served.embedded is not None
    served.embedded.manager.recall("Who owns billing?")
    assert served.embedded.manager.recall("Who owns billing?")["_cache_hit"]
    at = visit("simulate")
    at.toggle(key="sim-cold").set_value(True)
    at.form_submit_button[0].click().run()
    load = served.loads.newest
    assert load is not None
    assert load.spec.cold
    assert "begun with an empty cache" in at.get("progress")[0].text
    at.button(key="sim-stop").click().run()
    assert not served.embedded.manager.recall("Who owns billing?")["_cache_hit"]


def test_simulate_load_is_paused_and_goes_on(served: TuningService) -> None:
    at = visit("simulate")
    at.number_input(key="sim-duration").set_value(600)
    press(at, "Start")
    press(at, "Pause")
    assert "Paused" in at.get("progress")[0].text
    press(at, "Go on")
    assert "Running" in at.get("progress")[0].text
    press(at, "Stop")
    assert is_sound(at)
    history = visit("history")
    assert is_sound(history)
    trail = history.dataframe[-1].value
    assert list(trail["what"])[:4] == [
        "load stopped", "load resumed", "load paused", "load started: steady at 30 /s for 600 s",
    ]  # fmt: skip
    assert set(trail["who"]) == {"operator"}


def test_simulate_load_refuses_values_that_no_widget_would_send(served: TuningService) -> None:
    at = visit("simulate")
    at.number_input(key="sim-rate").set_value(40.0)
    at.session_state["sim-duration"] = 1
    at.session_state["sim-rate"] = 1e9
    at.form_submit_button[0].click().run()
    assert not at.exception
    assert served.embedded is not None
    assert served.loads.newest is None or served.loads.newest.spec.rate_per_s <= 2000


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("repetition", 6.0, "repetition must be 0 to 5, not 6"),
        ("duration", 0, "duration must be 1 to 3600, not 0"),
        ("rate", 1e6, "recalls a second must be 0.1 to 2000, not 1e"),
    ],
)
def test_simulate_load_says_which_value_is_beyond_its_limit(
    served: TuningService, field: str, value: float, why: str
) -> None:
    at = visit("simulate")
    at.number_input(key=f"sim-{field}").set_value(value)
    press(at, "Start")
    assert is_sound(at)
    assert why in words(at).replace("\\", "")
    assert served.loads.newest is None


def test_simulate_runs_are_listed_and_two_are_compared(
    served: TuningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No load run is kept yet" in words(visit("simulate", simulate="Runs"))
    for _ in range(2):
        served.start_load(OPERATOR, LoadSpec(rate_per_s=40, duration_s=0.3))
        run = served.loads.newest
        assert run is not None
        assert run.wait(60)
        served.stop_load(OPERATOR)
    at = visit("simulate", simulate="Runs")
    assert is_sound(at)
    table = at.dataframe[0].value
    assert table["load"].str.startswith("steady at 40 /s").tolist() == [True, True]
    assert [table.dtypes[name].kind for name in ("started", "p99_ms", "errors")] == ["M", "f", "i"]
    monkeypatch.setattr(run_results, "_choose", lambda here, found: list(reversed(found)))
    at.run()
    assert is_sound(at)
    shown = words(at)
    assert "Was the later one better?" in shown
    assert "inconclusive" in shown
    assert len(at.get("download_button")) == 3  # a report of each, and one of both


@pytest.mark.parametrize(
    ("over", "chart"), [("limit", "20 tasks"), ("switches", "cache off"), ("plans", "graph later")]
)
def test_simulate_what_if_is_shown_and_applied(served: TuningService, over: str, chart: str) -> None:
    at = simulated(what_if(over, "bursty"))
    assert is_sound(at)
    assert len(at.get("plotly_chart")) == 1
    assert "Before and after" in words(at)
    select = next(box for box in at.selectbox if box.label == "Compare what is in force with")
    assert any(chart in option for option in select.options)
    press(at, "Apply this…")
    assert "what-if over" in at.text_input(key="reason").value
    apply_with(at, "as simulated")
    assert is_sound(at)
    assert served.configs().head == 1
    assert served.configs().default.config != TuningConfig()
    assert "Simulated against version 0; version 1 is in force by now" in words(at)


def test_simulate_what_if_without_recalls_offers_a_sample(served: TuningService) -> None:
    at = simulated(what_if("limit", NOW))
    assert is_sound(at)
    assert "0 recalls say what their layers did" in words(at)
    assert any(button.label == "Load a sample" for button in at.button)


def test_simulate_what_if_refuses_an_odd_speed_in_words(served: TuningService) -> None:
    at = what_if("limit", "mixed", speed=0.0)
    assert is_sound(at)
    assert "speed must be 0" in words(at).replace("\\", "")


@pytest.mark.usefixtures("attached")
def test_simulate_what_if_needs_no_manager_but_applying_does() -> None:
    at = simulated(what_if("switches", "mixed"))
    assert is_sound(at)
    assert next(button for button in at.button if button.label == "Apply this…").disabled
