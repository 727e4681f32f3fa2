"""What the Workloads page loads, simulates and asks."""

from __future__ import annotations

import json

from athena_tuning.model.source import kind_of
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.testing.waiting import until
from athena_tuning.ui.frame.navigation import PAGES
from tests.support.pages import is_sound, press, visit, words


def test_workloads_query_shows_results_and_where_the_time_went(served: TuningService) -> None:
    at = visit("workloads")
    at.text_input(key="ask-text").set_value("Which service uses postgres-ledger?")
    at.form_submit_button[0].click().run()
    assert is_sound(at)
    assert "postgres-ledger" in words(at)
    spec = json.loads(at.get("plotly_chart")[0].proto.spec)
    assert {trace["name"] for trace in spec["data"]} == {"the whole recall", "waits for a slot", "served"}


def test_workloads_sample_that_is_loaded_fills_the_pages(served: TuningService) -> None:
    at = visit("workloads")
    at.button(key="load-fast").click().run()
    assert is_sound(at)
    assert "by itself" in words(at)
    at.switch_page(PAGES["latency"].file).run()
    assert len(at.get("plotly_chart")) >= 4
    at.switch_page(PAGES["cache"].file).run()
    assert "nobody runs this one" in words(at), "what the manager lost is not the sample's"


def test_workloads_fast_forward_fills_the_pages_with_simulated_recalls(served: TuningService) -> None:
    at = visit("workloads")
    at.number_input(key="forward-hours").set_value(1.0)
    next(b for b in at.get("form_submit_button") if b.label == "Fast forward").click().run()
    assert is_sound(at)
    assert {kind_of(m.source) for m in served.window.metrics} == {"simulated"}
    assert "by itself" in words(at)
    assert len(served.window.metrics) > 2000


def test_workloads_query_lists_as_many_results_as_were_wanted(served: TuningService) -> None:
    at = visit("workloads")
    at.text_input(key="ask-text").set_value("Which service uses postgres-ledger?")
    at.number_input(key="ask-k").set_value(2)
    at.form_submit_button[0].click().run()
    assert is_sound(at)
    (results,) = [html.value for html in at.html if "<th" in html.value and "Item" in html.value]
    assert results.count("<tr>") == 1 + 2
    at.number_input(key="ask-k").set_value(60)
    at.form_submit_button[0].click().run()
    assert "results must be 1 to 50, not 60" in words(at)


def test_workloads_fast_forward_fills_a_store_without_a_manager(attached: TuningService) -> None:
    at = visit("workloads")
    at.number_input(key="forward-hours").set_value(1.0)
    press(at, "Fast forward")
    assert is_sound(at)
    until(lambda: attached.tail.look() or attached.window.metrics)
    assert {kind_of(m.source) for m in attached.window.metrics} == {"simulated"}
