"""Every page in every state, by Streamlit's own test runner over the real service."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from athena_tuning.load.spec import LoadSpec
from athena_tuning.locations import dashboard
from athena_tuning.model import LayerTask, Mode, QueryMetrics, TuningConfig, TuningStrategy
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.service.view import View
from athena_tuning.store import open_store
from athena_tuning.ui.frame import controls, page_context
from athena_tuning.ui.frame.navigation import PAGES
from athena_tuning.ui.simulate import run_results
from tests.support.dashboard import OPERATOR, fill
from tests.support.waiting import until

WRITING = (
    "Apply",
    "Switch to",
    "Undo",
    "Start",
    "Stop",
    "Load",
    "Ask",
    "Keep",
    "Look at the change",
    "Change to",
    "End",
    "Pause",
    "Go on",
    "Roll back",
    "Fast forward",
)
EVIL = (
    "![x](http://evil.example/i.png)<img src=x onerror=alert(1)> $\\frac{1}{2}$ \u202e:red[r] "
    + "y" * 1_000_000
)


@pytest.fixture
def served(service: TuningService, monkeypatch: pytest.MonkeyPatch) -> TuningService:
    """The pages' one service is the test's."""
    monkeypatch.setattr(page_context, "service", lambda: service)
    monkeypatch.setattr(page_context, "visitor_is_local", lambda: True)
    return service


def visit(url: str, **query: str) -> AppTest:
    at = AppTest.from_file(str(dashboard() / "pages" / "frame.py"), default_timeout=30)
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    if url != "overview":
        at.switch_page(PAGES[url].file).run()
    return at


def words(at: AppTest) -> str:
    kinds = ("title", "subheader", "markdown", "text", "caption", "html", "info", "warning", "error", "code")
    return " ".join(str(node.value) for kind in kinds for node in at.get(kind))


def sound(at: AppTest) -> None:
    assert not at.exception
    assert "cannot be shown" not in words(at)


@pytest.mark.parametrize("url", PAGES)
def test_a_page_without_any_data_says_so_and_offers_a_way_on(served: TuningService, url: str) -> None:
    at = visit(url)
    sound(at)
    assert at.title[0].value == PAGES[url].title
    if url in {"overview", "latency", "patterns", "cache", "concurrency", "config"}:
        assert "0 of 10" in words(at)
        assert any(button.label == "Load a sample" for button in at.button)


@pytest.mark.parametrize("url", PAGES)
def test_a_page_with_data_shows_it(served: TuningService, url: str) -> None:
    fill(served)
    served.take_sample(OPERATOR, "mixed")
    served.apply(OPERATOR, TuningConfig(6), expected_version=0, reason="first")
    served.apply(OPERATOR, TuningConfig(7), expected_version=1, reason="second", scope="all")
    at = visit(url)
    sound(at)
    charts = {"overview": 1, "latency": 4, "patterns": 1, "cache": 4, "concurrency": 5, "simulate": 3}
    assert len(at.get("plotly_chart")) + len(at.get("echarts_chart")) >= charts.get(url, 0)


@pytest.mark.parametrize("url", PAGES)
def test_a_viewer_sees_everything_and_can_press_nothing_that_writes(
    served: TuningService, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_TUNING_ROLE", "viewer")
    fill(served)
    at = visit(url)
    sound(at)
    assert "read only" in words(at)
    writing = [button for button in at.button if button.label.startswith(WRITING)]
    assert all(button.disabled for button in writing), [b.label for b in writing if not b.disabled]


@pytest.mark.parametrize("url", PAGES)
def test_a_store_that_fails_is_told_without_a_stack_trace(served: TuningService, url: str) -> None:
    fill(served)
    served.store.close()
    at = visit(url)
    assert not at.exception
    shown = words(at)
    assert "Traceback" not in shown
    assert "store" in shown


@pytest.mark.parametrize("url", PAGES)
def test_hostile_names_and_texts_break_no_page_and_reach_no_markdown(served: TuningService, url: str) -> None:
    now = served.now
    served.store.append_metrics(
        "evil",
        1,
        [
            QueryMetrics(
                f"q{i}", EVIL, EVIL[:80], now - i, 5.0 + i, None, False, 1, [EVIL[:60]], {EVIL[:60]: 4.0},
                i % 3 > 0, EVIL, tasks=(LayerTask(EVIL[:60], 0.0, 1.0, 4.0 + i, 1),),
            )
            for i in range(40)
        ],
    )  # fmt: skip
    served.tail.look()
    served.apply(OPERATOR, TuningConfig(6), expected_version=0, reason=EVIL[:400])
    served.annotate(OPERATOR, EVIL[:300])
    at = visit(url)
    sound(at)
    for kind in ("markdown", "caption", "warning", "error", "info", "title", "subheader"):
        for node in at.get(kind):
            assert "![x]" not in node.value
            assert "<img" not in node.value.replace("\\<", "")
    assert "<img" not in " ".join(node.value for node in at.html if "<style" not in node.value)
    sent = sum(
        len(node.proto.SerializeToString()) for kind in ("html", "text", "code") for node in at.get(kind)
    )
    assert sent < 150_000


def test_watching_managers_elsewhere_without_one_alive_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"sqlite:///{tmp_path / 's.db'}")
    watching = TuningService(store, Tail(store))
    fill(watching)
    monkeypatch.setattr(page_context, "service", lambda: watching)
    monkeypatch.setattr(page_context, "visitor_is_local", lambda: True)
    for url in PAGES:
        at = visit(url)
        sound(at)
        assert "no manager is running" in words(at)
    watching.close()


def test_a_link_shows_the_view_that_it_names(served: TuningService) -> None:
    fill(served)
    at = visit("latency", range="6h", type="meta", layer="graph", tz="Asia/Tokyo", slo="250")
    sound(at)
    assert at.session_state["range"] == "6h"
    assert at.selectbox(key="type").value == "meta"
    assert at.selectbox(key="tz").value == "Asia/Tokyo"
    assert at.number_input(key="slo").value == 250


def test_a_link_holds_its_period_in_its_timezone(served: TuningService) -> None:
    fill(served)
    chosen = {"range": "custom", "from": "2026-03-01T10:07", "to": "2026-03-01T11:00", "tz": "Asia/Tokyo"}
    at = visit("latency", **chosen)
    sound(at)
    view = View(1_772_327_220.0, 1_772_330_400.0, timezone="Asia/Tokyo")
    moving, fixed = (
        parse_qs(urlsplit(link).query) for link in controls.links_of(view, "http://h/latency", chosen)
    )
    assert {name: value[0] for name, value in moving.items()} == chosen
    assert {name: value[0] for name, value in fixed.items()} == chosen
    assert at.session_state["from"].isoformat() == "2026-03-01T10:07:00"


def test_a_link_with_nonsense_shows_the_usual_view(served: TuningService) -> None:
    fill(served)
    at = visit("overview", range="1e9", type="<script>", layer="../..", tz="Mars/Base", slo="x", refresh="0")
    sound(at)
    assert at.selectbox(key="type").value == "all"


def test_switching_the_strategy_asks_for_a_reason_and_is_in_force_at_once(served: TuningService) -> None:
    served.take_sample(OPERATOR, "fast")
    at = visit("config")
    at.button(key="switch-throughput").click().run()
    at.text_input(key="reason").set_value("the batch starts").run()
    next(button for button in at.button if button.label == "Apply").click().run()
    sound(at)
    config = served.configs().default
    assert (config.config.strategy, config.reason) == (TuningStrategy.THROUGHPUT, "the batch starts")
    assert served.recall(OPERATOR, "what failed last week?")["_config_version"] == config.version
    assert "<b>throughput</b>" in words(at)


def test_a_change_without_a_reason_is_not_applied(served: TuningService) -> None:
    served.take_sample(OPERATOR, "fast")
    at = visit("config")
    at.button(key="switch-cost").click().run()
    at.text_input(key="reason").set_value("  ").run()
    next(button for button in at.button if button.label == "Apply").click().run()
    assert served.configs().head == 0
    assert "a reason is needed" in words(at)


def test_a_conflict_shows_both_sides_and_can_be_put_on_top(served: TuningService) -> None:
    served.take_sample(OPERATOR, "fast")
    at = visit("config")
    at.button(key="switch-cost").click().run()
    served.apply(OPERATOR, TuningConfig(11), expected_version=0, reason="quicker than you")
    next(button for button in at.button if button.label == "Apply").click().run()
    sound(at)
    assert served.configs().default.config.max_concurrent == 11
    assert "Somebody else wrote first" in words(at)
    assert "quicker than you" in words(at)
    next(button for button in at.button if button.label == "Apply mine on top").click().run()
    at.text_input(key="reason").set_value("still wanted").run()
    next(button for button in at.button if button.label == "Apply").click().run()
    assert served.configs().default.config.strategy is TuningStrategy.COST
    assert "Somebody else wrote first" not in words(at)


def test_an_edit_is_looked_at_before_it_is_applied(served: TuningService) -> None:
    at = visit("config")
    at.number_input(key="limit-all-0").set_value(9)
    at.toggle(key="cache-all-0").set_value(False)
    at.form_submit_button[0].click().run()
    assert served.configs().head == 0
    assert "max_concurrent" in words(at)
    at.text_input(key="reason").set_value("by hand").run()
    next(button for button in at.button if button.label == "Apply").click().run()
    config = served.configs().default.config
    assert (config.max_concurrent, config.enable_cache) == (9, False)


def test_undo_is_one_press(served: TuningService) -> None:
    served.apply(OPERATOR, TuningConfig(6), expected_version=0, reason="a", mode=Mode.PINNED)
    served.apply(OPERATOR, TuningConfig(9), expected_version=1, reason="b")
    at = visit("config")
    next(button for button in at.button if button.label == "Undo").click().run()
    assert served.configs().default.config.max_concurrent == 6
    assert served.history()[0].restores == 1


def test_a_load_runs_with_progress_and_stops_when_told(served: TuningService) -> None:
    at = visit("simulate")
    at.number_input(key="sim-rate").set_value(40.0)
    at.number_input(key="sim-duration").set_value(600)
    at.form_submit_button[0].click().run()
    sound(at)
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


def test_kept_runs_are_listed_and_two_are_compared_with_what_is_too_little_said(
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
    sound(at)
    table = at.dataframe[0].value
    assert table["load"].str.startswith("steady at 40 /s").tolist() == [True, True]
    assert [table.dtypes[name].kind for name in ("started", "p99_ms", "errors")] == ["M", "f", "i"]
    monkeypatch.setattr(run_results, "_chosen", lambda here, found: list(reversed(found)))
    at.run()
    sound(at)
    shown = words(at)
    assert "Was the later one better?" in shown
    assert "inconclusive" in shown


def test_a_fast_forward_fills_the_pages_with_what_says_it_is_simulated(served: TuningService) -> None:
    at = visit("workloads")
    at.number_input(key="forward-hours").set_value(1.0)
    next(b for b in at.get("form_submit_button") if b.label == "Fast forward").click().run()
    sound(at)
    assert {m.source for m in served.window.metrics} == {"simulated"}
    assert len(served.window.metrics) > 2000


def test_values_that_no_widget_would_send_are_refused(served: TuningService) -> None:
    at = visit("simulate")
    at.number_input(key="sim-rate").set_value(40.0)
    at.session_state["sim-duration"] = 1
    at.session_state["sim-rate"] = 1e9
    at.form_submit_button[0].click().run()
    assert not at.exception
    assert served.embedded is not None
    assert served.loads.newest is None or served.loads.newest.spec.rate_per_s <= 2000


def test_asking_the_memory_shows_results_and_where_the_time_went(served: TuningService) -> None:
    at = visit("workloads")
    at.text_input(key="ask-text").set_value("Which service uses postgres-ledger?")
    at.form_submit_button[0].click().run()
    sound(at)
    assert "postgres-ledger" in words(at)
    spec = json.loads(at.get("plotly_chart")[0].proto.spec)
    assert {trace["name"] for trace in spec["data"]} == {"the whole recall", "waits for a slot", "works"}


def test_a_sample_loaded_on_its_page_ends_the_emptiness(served: TuningService) -> None:
    at = visit("workloads")
    at.button(key="load-fast").click().run()
    sound(at)
    assert served.enough()[0] >= 1000
    at.switch_page(PAGES["latency"].file).run()
    assert len(at.get("plotly_chart")) >= 4


def test_the_settings_that_measurements_asked_for_are_set() -> None:
    import tomllib

    settings = tomllib.loads((dashboard() / ".streamlit" / "config.toml").read_text())
    assert settings["runner"]["postScriptGC"] is False
    assert settings["browser"]["gatherUsageStats"] is False
    assert settings["client"]["showErrorDetails"] == "none"
    for theme in ("light", "dark"):
        for palette in ("chartCategoricalColors", "chartSequentialColors", "chartDivergingColors"):
            assert len(settings["theme"][theme][palette]) == 10
    assert "http" not in json.dumps(settings)
