"""The time that a question is about, by its words, and what items of that time gain."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from athena_tuning.recall import MemoryManager
from athena_tuning.recall.time_focus import TimeFocus, time_focus

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)  # a Sunday


def day(moment: float) -> str:
    return "" if math.isinf(moment) else datetime.fromtimestamp(moment, UTC).date().isoformat()


def focus(text: str) -> TimeFocus | None:
    return time_focus(text, NOW.timestamp())


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [  # a period, and the time in which it is told of
        ("What broke yesterday?", "2026-11-28", "2026-12-06"),
        ("Who called on the day before yesterday?", "2026-11-27", "2026-12-05"),
        ("What did John attend in March 2023?", "2023-03-01", "2023-05-02"),
        ("What broke in MARCH?", "2026-03-01", "2026-05-02"),
        ("What happened on 3 June, 2023?", "2023-06-03", "2023-06-11"),
        ("What happened on June 3rd, 2023?", "2023-06-03", "2023-06-11"),
        ("What happened on 2023-06-03?", "2023-06-03", "2023-06-11"),
        ("Sept. 2023 invoices", "2023-09-01", "2023-10-31"),
        ("What did we ship in 2022?", "2022-01-01", "2023-02-01"),
        ("Who was on call two weeks ago?", "2026-11-09", "2026-11-23"),
        ("Who was on call a couple of weeks ago?", "2026-11-09", "2026-11-23"),
        ("Who joined a year ago?", "2025-01-01", "2026-02-01"),
        ("What did we do last weekend?", "2026-11-16", "2026-11-30"),
        ("What did Ana say last Friday?", "2026-11-27", "2026-12-05"),
        ("What changed this month?", "2026-11-01", "2026-12-31"),
        ("errors over the last 3 days", "2026-11-26", ""),
        ("What did John do this morning?", "2026-11-29", "2026-12-07"),
        ("What did we ship between March and May 2023?", "2023-03-01", "2023-07-02"),
        ("What broke from 3 June to 9 June 2023?", "2023-06-03", "2023-06-17"),
        ("What broke between November and February 2023?", "2022-11-01", "2023-04-01"),
        ("What changed from 2020 to 2022?", "2020-01-01", "2023-02-01"),
        ("What broke between 2023-06-03 and 2023-07-01?", "2023-06-03", "2023-07-31"),
        ("What changed since March?", "2026-03-01", ""),
        ("What changed after 2024?", "2025-01-01", ""),
        ("What was known before April 10, 2023?", "", "2023-04-10"),
        ("What did she finish last Friday on 23 January, 2022?", "2022-01-23", "2022-01-31"),
    ],
)
def test_a_period_is_read_from_the_words(text: str, start: str, end: str) -> None:
    found = focus(text)
    assert found is not None
    assert (day(found.start), day(found.end), found.newest) == (start, end, False)


@pytest.mark.parametrize(
    "text",
    [
        "What is the latest release?",
        "What did we decide recently?",
        "What was our last deploy?",
        "When did we last deploy?",
        "last error of billing",
        "What was Ana's last commit?",
    ],
)
def test_what_is_newest_is_asked_for_without_a_period(text: str) -> None:
    assert focus(text) == TimeFocus(newest=True)


@pytest.mark.parametrize(
    "text",
    [
        "Who is Ana?",
        "How long did it last?",
        "What is her last name?",
        "What may I deploy?",
        "the march of progress",
        "version 2.2022 of the API",
        "What happened on 2024-02-30?",
        "Who owns row 2024?",
        "one week of leave",
    ],
)
def test_other_words_name_no_time(text: str) -> None:
    assert focus(text) is None


def test_the_newest_of_a_period_has_both() -> None:
    found = focus("What are the most recent changes in May?")
    assert found is not None
    assert (day(found.start), found.newest) == ("2026-05-01", True)


def test_an_item_of_the_period_passes_those_ranked_up_to_five_times_better_and_no_others() -> None:
    items = [{"id": str(rank), "timestamp": 15.0 if rank in {5, 12} else 1.0} for rank in range(1, 13)]
    order = [item["id"] for item in TimeFocus(10, 20).order(items)]
    assert order == ["1", "5", "2", "12", "3", "4", "6", "7", "8", "9", "10", "11"]


def test_items_without_a_time_count_as_old_and_are_not_lost() -> None:
    items = [{"id": "a", "timestamp": None}, {"id": "b", "timestamp": 1.0}, {"id": "c", "timestamp": 9.0}]
    assert {i["id"] for i in TimeFocus(0, 5, newest=True).order(items)} == {"a", "b", "c"}
    assert [i["id"] for i in TimeFocus(newest=True).order(items[:2])] == ["a", "b"]
    assert [i["id"] for i in TimeFocus(newest=True).order(items[1:])] == ["b", "c"]


@pytest.fixture
def manager() -> Iterator[MemoryManager]:
    with MemoryManager(":memory:", clock=NOW.timestamp) as made:
        for month in range(1, 11):
            made.remember(
                {
                    "id": f"m{month}",
                    "layer": "episodic",
                    "text": "the deploy failed" + " again" * (10 - month),
                    "timestamp": f"2023-{month:02}-10T00:00:00",
                }
            )
        yield made


@pytest.mark.parametrize(
    ("text", "first"),
    [("Which deploy failed in March 2023?", "m3"), ("Which deploy failed after September 2023?", "m10")],
)
def test_a_recall_has_what_is_of_that_time_first(manager: MemoryManager, text: str, first: str) -> None:
    assert manager.recall(text, k=3)["_fused"][0]["id"] == first


def test_a_layer_of_ones_own_is_told_the_time(manager: MemoryManager) -> None:
    told = []

    class Tickets:
        name = "tickets"

        def search(self, query: object, k: int, deadline: float) -> list[object]:
            told.append(getattr(query, "when", None))
            return []

    manager.register_layer(Tickets())
    for text in ("What broke yesterday?", "Who is Ana?"):
        manager.recall(text, layers=["tickets"])
    assert told == [focus("What broke yesterday?"), None]


@pytest.mark.slow
def test_the_library_that_reads_dates_is_imported_by_the_first_question_with_a_date() -> None:
    program = (
        "import sys; from athena_tuning.recall.time_focus import time_focus\n"
        "time_focus('What is the latest release?', 1e9); assert 'dateparser' not in sys.modules\n"
        "time_focus('What broke yesterday?', 1e9); assert 'dateparser' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
