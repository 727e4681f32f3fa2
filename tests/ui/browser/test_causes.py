"""From a figure to its cause: a stretch, a mark, a name on a chart, in a real browser."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from athena_tuning.model import Annotation
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.store import open_store
from tests.ui.browser.conftest import Seen, Serve
from tests.ui.browser.test_app import SLOW, press

Look = Callable[..., Seen]


@pytest.fixture(scope="module")
def at(serve_on: Serve, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float, float]:
    """An app over recalls that have just ended, when they began, and when a note was left in their midst."""
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 's.db'}"
    records = [m._replace(source="live") for m in load_records("mixed", ending_at=time.time())]
    began = min(m.timestamp for m in records)
    noted = (began + time.time()) / 2
    with open_store(url) as store:
        store.append_metrics("recorded", 1, records)
        store.annotate(Annotation(noted, "agents feel slow", "jonas"))
    return serve_on(ATHENA_TUNING_STORE=url, ATHENA_TUNING_DEMO="0"), began, noted


def test_a_stretch_that_is_dragged_holds_on_every_page_until_it_is_taken_back(
    look: Look, at: tuple[str, float, float]
) -> None:
    seen = look(at[0])
    seen.go("concurrency?range=24h")
    drag(seen, seen.page.locator(".st-key-card-queue .nsewdrag").first, 0.2, 0.7)
    expect(seen.page).to_have_url(re.compile(r"range=20\d\d-"), timeout=SLOW)
    dragged = seen.page.url.partition("range=")[2]
    seen.page.get_by_role("link", name="Recalls", exact=True).click()
    expect(seen.page.locator("h1")).to_have_text("Recalls", timeout=SLOW)
    expect(seen.page).to_have_url(re.compile(re.escape(f"range={dragged}")), timeout=SLOW)
    press(seen.page, "Range before")
    expect(seen.page).to_have_url(re.compile("range=24h"), timeout=SLOW)
    seen.sound()


def drag(seen: Seen, chart: Locator, start: float, end: float, *, up: float = 0.5) -> None:
    """Drag along a chart, from one share of its width to another."""
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    height = box["y"] + up * box["height"]
    seen.page.mouse.move(box["x"] + start * box["width"], height)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + end * box["width"], height, steps=6)
    seen.page.mouse.up()


def test_the_browsers_back_undoes_drags_one_by_one(look: Look, at: tuple[str, float, float]) -> None:
    seen = look(at[0])
    seen.go("concurrency?range=24h")
    chart = seen.page.locator(".st-key-card-queue .nsewdrag").first
    addresses = []
    for start, end in ((0.1, 0.9), (0.3, 0.7)):
        addresses.append(seen.page.url)
        drag(seen, chart, start, end)
        expect(seen.page).not_to_have_url(addresses[-1], timeout=SLOW)
        expect(seen.page.get_by_role("button", name="Range before")).to_be_visible(timeout=SLOW)
        seen.settle()
    for before in reversed(addresses):
        seen.page.go_back()
        expect(seen.page).to_have_url(before, timeout=SLOW)
        seen.settle()
    expect(seen.page.get_by_role("radio", name="24h")).to_be_checked(timeout=SLOW)
    expect(seen.page.get_by_role("button", name="Range before")).to_be_hidden(timeout=SLOW)
    seen.sound()


def test_a_drag_on_a_living_chart_holds_for_the_page_even_where_nothing_was_asked(
    look: Look, serve: Serve, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    with open_store(url) as store:
        ended = load_records("mixed", ending_at=time.time() - 1800)
        store.append_metrics("recorded", 1, [m._replace(source="live") for m in ended])
    seen = look(serve(ATHENA_TUNING_STORE=url, ATHENA_TUNING_DEMO="0"))
    seen.go("?refresh=no+refresh")
    canvas = seen.page.locator(".st-key-card-latency canvas").first
    canvas.scroll_into_view_if_needed(timeout=SLOW)
    box = canvas.bounding_box()
    assert box is not None
    before = seen.page.url
    seen.page.mouse.click(box["x"] + box["width"] - 32, box["y"] + 21)  # the sign that lets one drag
    drag(seen, canvas, 0.4, 0.7, up=0.25)
    expect(seen.page).to_have_url(re.compile(r"range=20\d\d-"), timeout=SLOW)
    expect(seen.page.locator(".st-key-card-empty")).to_be_visible(timeout=SLOW)
    seen.page.go_back()
    expect(seen.page).to_have_url(before, timeout=SLOW)
    expect(canvas).to_be_visible(timeout=SLOW)
    seen.sound()


def test_a_name_on_a_chart_lists_the_recalls_behind_it(look: Look, at: tuple[str, float, float]) -> None:
    seen = look(at[0])
    seen.go("latency?range=24h")
    point = seen.page.locator(".st-key-card-types .points path").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    assert box is not None
    seen.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(seen.page.locator('.st-key-card-types a[href*="recall="]').first).to_be_visible(timeout=SLOW)
    seen.sound()


def test_a_mark_in_the_lane_tells_what_was_before_and_after_it(
    look: Look, at: tuple[str, float, float]
) -> None:
    address, began, noted = at
    seen = look(address)
    seen.go("?range=24h&refresh=no+refresh")
    canvas = seen.page.locator(".st-key-card-latency canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    along = (noted - began) / (time.time() - began)
    rows = box["height"] * 0.23 - 24  # of the lane: four, the notes in the third
    x = box["x"] + 62 + along * (box["width"] - 62 - 14)
    y = box["y"] + box["height"] * 0.77 + rows * 2.5 / 4
    seen.page.mouse.move(x, y)
    expect(seen.page.get_by_text("agents feel slow (jonas)").first).to_be_visible(timeout=SLOW)
    seen.page.mouse.click(x, y)
    told = seen.page.get_by_text(re.compile("Compared are stretches of equal load|Cannot be compared"))
    expect(told.first).to_be_visible(timeout=SLOW)
    seen.sound()


def test_a_deep_link_keeps_its_view_through_clicks_reload_and_back(
    look: Look, at: tuple[str, float, float]
) -> None:
    seen = look(at[0])
    kept = re.compile(r"(?=.*range=24h)(?=.*type=temporal)(?=.*slo=20)")

    def holds(title: str) -> None:
        expect(seen.page.locator("h1")).to_have_text(title, timeout=SLOW)
        seen.settle()
        expect(seen.page.locator(".st-key-filters summary")).to_contain_text("temporal", timeout=SLOW)
        expect(seen.page.get_by_role("radio", name="24h")).to_be_checked(timeout=SLOW)
        expect(seen.page).to_have_url(kept, timeout=SLOW)

    seen.go("latency?range=24h&type=temporal&slo=20")
    holds("Latency")
    seen.page.get_by_text("query type", exact=True).first.click()
    holds("Latency")
    seen.page.get_by_role("link", name="Recalls", exact=True).click()
    holds("Recalls")
    seen.page.reload()
    holds("Recalls")
    seen.page.go_back()
    holds("Latency")
    expect(seen.page.get_by_text("SLO 20.0 ms").first).to_be_visible(timeout=SLOW)
    seen.sound()
