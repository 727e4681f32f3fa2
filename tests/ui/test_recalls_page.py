"""The Recalls page finds what the address says, and a recall has a link of its own."""

from __future__ import annotations

import json

import pytest

from athena_tuning.profiling.questions.recall_search import Answer
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.testing.waiting import until
from tests.support.dashboard import fill
from tests.support.pages import is_sound, press, visit, words


def test_recalls_page_finds_what_its_address_says(served: TuningService) -> None:
    records = fill(served)
    at = visit("recalls", range="24h", q="incident")
    assert is_sound(at)
    fits = [m for m in records if "incident" in m.query_text.casefold()]
    assert f"{len(fits):,} of {len(records):,} recalls" in words(at)
    at.number_input(key="least").set_value(5.0).run()
    slow = [m for m in fits if (m.latency_ms or 0.0) >= 5.0]
    assert f"{len(slow):,} of {len(records):,} recalls" in words(at)
    press(at, "Remove all")
    assert f"{len(records):,} of {len(records):,} recalls" in words(at)


def test_recalls_page_says_so_where_nothing_fits(served: TuningService) -> None:
    fill(served)
    at = visit("recalls", range="24h", q="no query says this")
    assert is_sound(at)
    assert "No recall fits" in words(at)


def test_a_recall_has_a_link_of_its_own_and_two_are_compared(served: TuningService) -> None:
    records = [m for m in fill(served) if len(m.tasks) > 1]
    first, second = records[0], records[-1]
    at = visit("recalls", range="15m", recall=first.query_id)
    assert is_sound(at)
    assert first.query_text in words(at)
    assert f"/recalls?recall={first.query_id}" in words(at)
    at = visit("recalls", recall=[first.query_id, second.query_id])
    assert is_sound(at)
    assert first.query_text in words(at)
    assert second.query_text in words(at)
    assert "Waited, first" in words(at)


def test_a_link_to_a_recall_that_is_gone_says_where_older_ones_are(served: TuningService) -> None:
    fill(served)
    at = visit("recalls", recall="no such recall")
    assert is_sound(at)
    assert "not in the window any more" in words(at)


@pytest.mark.parametrize("answer", [Answer.CACHED, Answer.FULL])
def test_recalls_page_takes_answers_from_its_address(served: TuningService, answer: Answer) -> None:
    records = fill(served)
    cached = [m for m in records if m.cache_hit]
    full = [m for m in records if not (m.cache_hit or m.partial or m.success is False)]
    expected = len(cached if answer is Answer.CACHED else full)
    at = visit("recalls", range="24h", answer=str(answer))
    assert is_sound(at)
    assert f"{expected:,} of {len(records):,} recalls" in words(at)


def test_a_range_that_was_dragged_is_in_the_address_and_holds_on_every_page(served: TuningService) -> None:
    fill(served)
    dragged = "2026-01-05 09:00 – 09:10"
    at = visit("overview", range=dragged)
    assert is_sound(at)
    assert at.segmented_control(key="range").value == dragged
    assert "Nothing to show for this view" in words(at)
    at = visit("recalls", range="2026-01-05 09:10 – 09:00")  # the wrong way round is no range
    assert at.segmented_control(key="range").value == "1h"
    assert is_sound(at)


def test_overview_lists_recalls_that_lead_to_where_their_time_went(served: TuningService) -> None:
    records = fill(served)
    slowest = max((m for m in records if m.latency_ms), key=lambda m: m.latency_ms or 0.0)
    at = visit("overview", range="24h")
    assert f"recall={slowest.query_id}" in words(at)
    chart = json.loads(at.get("echarts_chart")[0].proto.spec)
    assert chart["brush"]["brushType"] == "lineX"


def test_recalls_page_finds_one_managers_recalls_and_those_of_agents_alone(served: TuningService) -> None:
    fill(served, at_most=300)
    own = served.embedded
    assert own is not None
    own.manager.recall("what failed last week?")
    until(lambda: served.tail.look() > 0)
    manager = own.manager.worker_id
    at = visit("recalls", range="24h", manager=manager)
    assert is_sound(at)
    assert "1 of 301 recalls" in words(at)
    assert "what failed last week?" in words(at)  # its waterfall is drawn without a click
    at = visit("recalls", range="24h", kind="load")
    assert is_sound(at)
    assert "0 of 0 recalls" in words(at)
