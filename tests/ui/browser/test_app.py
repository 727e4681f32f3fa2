"""What only a browser can show."""

from __future__ import annotations

import contextlib
import re
import urllib.request
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.recall import MemoryManager
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.store import open_store
from athena_tuning.testing.waiting import until
from athena_tuning.ui.frame.navigation import PAGES as ENTRIES
from tests.ui.browser.conftest import Seen, Serve, end_server

Look = Callable[..., Seen]
PAGES = [(entry.url, entry.title) for entry in ENTRIES.values()]
SLOW = 20_000
HEADING_LEVELS = (
    "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].filter(h => h.offsetParent).map(h => +h.tagName[1])"
)
EVIL = (
    '![x](http://evil.example/md.png) <img src="http://evil.example/h.png" onerror="alert(1)">'
    "<script>alert(2)</script> $\\href{javascript:alert(3)}{x}$ [l](http://evil.example) \u202eder\u2066 "
)


def wander(seen: Seen) -> None:
    """Look at every page: by its link, or by its address where the links are folded away."""
    seen.go()
    links = (seen.page.viewport_size or {})["width"] > 800
    for url, title in PAGES:
        if links:
            seen.page.get_by_role("link", name=title, exact=True).click()
        elif url != "overview":
            seen.go(url)
        expect(seen.page.locator("h1").first).to_have_text(title, timeout=SLOW)
        expect(seen.page.locator(".chips").first).to_contain_text("strategy", timeout=SLOW)
        seen.settle()
        seen.sound()
        refresh = seen.page.locator(".st-key-refresh")
        expect(refresh).to_be_visible() if ENTRIES[url].live else expect(refresh).to_be_hidden()
        levels = seen.page.evaluate(HEADING_LEVELS)
        assert all(after - before <= 1 for before, after in pairwise(levels)), f"{url} skips in {levels}"
        too_wide = seen.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert too_wide <= 0, f"{url} is {too_wide} px too wide"
        assert seen.findings() == [], url


def test_overview_shows_living_figures_on_the_first_visit(look: Look, address: str) -> None:
    seen = look(address)
    seen.go()
    expect(seen.page.get_by_text("demo load")).to_be_visible(timeout=SLOW)
    expect(seen.page.locator(".figures dt", has_text="p99")).to_be_visible(timeout=SLOW)
    expect(seen.page.locator("canvas").first).to_be_visible(timeout=SLOW)
    seen.sound()


def test_link_to_a_page_of_a_fresh_server_shows_the_frame_and_the_gate(look: Look, serve: Serve) -> None:
    seen = look(serve(ATHENA_TUNING_ROLE="viewer"))
    seen.go("config")
    expect(seen.page.get_by_text("read only")).to_be_visible(timeout=SLOW)
    expect(seen.page.get_by_role("link", name="Overview")).to_be_visible()
    for name in ("Apply the proposal", "Switch to latency", "Look at the change…", "Undo"):
        for button in seen.page.get_by_role("button", name=name).all():
            expect(button).to_be_disabled()
    seen.go("simulate")
    expect(seen.page.get_by_role("button", name="Start")).to_be_disabled(timeout=SLOW)
    seen.sound()


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1440), ("dark", 390)])
def test_pages_are_sound(look: Look, address: str, theme: str, width: int) -> None:
    wander(look(address, theme=theme, width=width))


def test_link_has_the_range_that_was_chosen(look: Look, address: str) -> None:
    seen = look(address)
    seen.go("latency")
    seen.page.get_by_role("radio", name="6h").or_(seen.page.get_by_role("button", name="6h")).first.click()
    expect(seen.page).to_have_url(re.compile("range=6h"), timeout=SLOW)
    seen.page.get_by_role("link", name="Cache").click()
    expect(seen.page.locator("h1").first).to_have_text("Cache", timeout=SLOW)
    expect(seen.page).to_have_url(re.compile("range=6h"))
    seen.sound()


def test_link_keeps_its_view_through_clicks_and_back(look: Look, address: str) -> None:
    view = {"range": "15m", "type": "temporal", "slo": "20", "refresh": "every 30 s"}
    seen = look(address)

    def shows_the_view(title: str) -> None:
        expect(seen.page.locator("h1").first).to_have_text(title, timeout=SLOW)
        seen.settle()
        expect(seen.page.get_by_role("radio", name="15m")).to_be_checked()
        expect(seen.page.locator(".st-key-filters summary")).to_contain_text("temporal")
        until(
            lambda: parse_qs(urlsplit(seen.page.url).query) == {key: [value] for key, value in view.items()}
        )

    seen.go(f"?{urlencode(view)}")
    shows_the_view("Overview")
    for title in ("Latency", "Config", "Workloads", "Overview"):
        seen.page.get_by_role("link", name=title, exact=True).click()
        shows_the_view(title)
    seen.page.go_back()
    shows_the_view("Workloads")
    seen.page.reload()
    shows_the_view("Workloads")
    seen.page.locator(".st-key-filters summary").click()
    expect(seen.page.locator(".st-key-slo input")).to_have_value("20")
    seen.sound()


def test_overview_puts_the_advice_first_on_a_phone(look: Look, address: str) -> None:
    for width, advice_first in ((390, True), (1440, False)):
        seen = look(address, width=width)
        seen.go()
        drawn = [seen.page.locator(p).first for p in (".st-key-card-advice", ".figures")]
        for part in drawn:
            expect(part).to_be_visible(timeout=SLOW)

        def in_order(first: Locator, second: Locator) -> bool:
            above, below = first.bounding_box(), second.bounding_box()
            return bool(above and below) and above["y"] < below["y"]

        until(partial(in_order, *(drawn if advice_first else reversed(drawn))))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_dialog_is_accessible_and_gives_the_focus_back(look: Look, address: str, theme: str) -> None:
    seen = look(address, theme=theme)
    seen.go("config")
    opener = seen.page.locator(".st-key-switch-latency button")
    expect(opener).to_be_enabled(timeout=SLOW)
    opener.focus()
    seen.page.keyboard.press("Enter")
    dialog = seen.page.get_by_role("dialog")
    expect(dialog.get_by_label("Reason")).to_be_visible(timeout=SLOW)
    seen.settle()
    assert seen.findings() == []
    seen.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused(timeout=SLOW)
    seen.sound()


def test_charts_can_be_saved_as_images(look: Look, address: str) -> None:
    seen = look(address)
    seen.go("latency")
    chart = seen.page.locator(".js-plotly-plot").first
    expect(chart).to_be_visible(timeout=SLOW)
    chart.hover()
    with seen.page.expect_download() as saved:
        chart.locator('[data-title="Download plot as a PNG"]').or_(
            chart.locator(".modebar-btn")
        ).first.click()
    assert Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")
    seen.sound()


def test_lost_connection_says_how_old_the_figures_are(look: Look, serve: Serve) -> None:
    address = serve(ATHENA_TUNING_DEMO="0")
    seen = look(address)
    seen.go()
    lost = seen.page.locator(".chip.lost")
    expect(seen.page.locator(".chip", has_text="strategy")).to_be_visible(timeout=SLOW)
    expect(lost).to_be_hidden()
    end_server(address)
    expect(lost).to_be_visible(timeout=SLOW)
    expect(lost).to_have_text(re.compile(r"no connection: figures are of \d\d:\d\d:\d\d"))


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click(timeout=SLOW)


def switch(seen: Seen, strategy: str, reason: str) -> None:
    seen.page.locator(f".st-key-switch-{strategy} button").click(timeout=SLOW)
    seen.page.get_by_label("Reason").fill(reason, timeout=SLOW)
    seen.page.get_by_label("Reason").press("Tab")
    press(seen.page, "Apply")


def strategy_in_force(seen: Seen, strategy: str) -> None:
    expect(seen.page.locator(".chips").first).to_contain_text(f"strategy {strategy}", timeout=SLOW)


def test_config_strategy_is_what_the_next_recall_uses_until_it_is_undone(look: Look, serve: Serve) -> None:
    seen = look(serve(ATHENA_TUNING_DEMO="0"))
    seen.go("config")
    seen.page.locator(".st-key-switch-throughput button").click(timeout=SLOW)
    dialog = seen.page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(" ", timeout=SLOW)
    dialog.get_by_label("Reason").press("Tab")
    press(seen.page, "Apply")
    expect(dialog.get_by_text("a reason is needed")).to_be_visible(timeout=SLOW)
    press(seen.page, "Cancel")
    expect(dialog).to_be_hidden(timeout=SLOW)
    switch(seen, "throughput", "the batch starts")
    strategy_in_force(seen, "throughput")
    switch(seen, "cost", "it is over")
    strategy_in_force(seen, "cost")
    seen.go("workloads")
    seen.page.get_by_label("Query", exact=True).fill("Which service uses postgres-ledger?")
    press(seen.page, "Ask")
    expect(seen.page.get_by_text("config v2").last).to_be_visible(timeout=SLOW)
    seen.go("config")
    press(seen.page, "Undo")
    strategy_in_force(seen, "throughput")
    seen.go("history")
    expect(seen.page.locator(".chips").first).to_contain_text("config v3", timeout=SLOW)
    seen.sound()


def test_apply_conflict_tells_two_people_of_each_other(look: Look, serve: Serve) -> None:
    address = serve(ATHENA_TUNING_DEMO="0")
    ann, ben = look(address), look(address)
    for person in (ann, ben):
        person.go("config")
    ann.page.locator(".st-key-switch-latency button").click(timeout=SLOW)
    expect(ann.page.get_by_label("Reason")).to_be_visible(timeout=SLOW)
    switch(ben, "cost", "ben was quicker")
    strategy_in_force(ben, "cost")
    press(ann.page, "Apply")
    expect(ann.page.get_by_text("Somebody else wrote first")).to_be_visible(timeout=SLOW)
    expect(ann.page.get_by_text("ben was quicker").first).to_be_visible()
    press(ann.page, "Apply mine on top")
    ann.page.get_by_label("Reason").fill("after talking to ben", timeout=SLOW)
    ann.page.get_by_label("Reason").press("Tab")
    press(ann.page, "Apply")
    strategy_in_force(ann, "latency")
    ann.sound()
    ben.sound()


def test_simulate_load_moves_the_charts_pauses_and_stops(look: Look, address: str) -> None:
    seen = look(address)
    seen.go("simulate")
    press(seen.page, "Start")
    press(seen.page, "Pause")
    expect(seen.page.get_by_text(re.compile("Paused: steady"))).to_be_visible(timeout=SLOW)
    press(seen.page, "Go on")
    expect(seen.page.get_by_text(re.compile("Running: steady"))).to_be_visible(timeout=SLOW)
    asked = seen.page.locator('[data-testid="stMetric"]', has_text="Asked").locator(
        '[data-testid="stMetricValue"]'
    )
    expect(asked).to_have_text(re.compile(r"[1-9]\d\d"), timeout=SLOW)
    press(seen.page, "Stop")
    expect(seen.page.get_by_text("What came out of it")).to_be_visible(timeout=SLOW)
    with seen.page.expect_download(timeout=SLOW) as coming:
        press(seen.page, "Report")
    assert coming.value.suggested_filename.endswith(".html")
    assert "answers a second" in coming.value.path().read_text("utf-8")
    seen.go("config")
    seen.page.locator(".st-key-switch-throughput button").click(timeout=SLOW)
    seen.page.get_by_label("Reason").fill("typed before the answer", timeout=SLOW)
    dialog = seen.page.get_by_role("dialog")
    expect(dialog.get_by_text("slot time per answer")).to_be_visible(timeout=SLOW)
    expect(seen.page.get_by_label("Reason")).to_have_value("typed before the answer")
    press(seen.page, "Cancel")
    seen.sound()


def test_simulate_what_if_is_swept_shown_and_put_in_force(look: Look, serve: Serve) -> None:
    seen = look(serve(ATHENA_TUNING_DEMO="0"))
    seen.go("simulate?simulate=What-if&what-over=limit")
    seen.choose(seen.page.locator(".st-key-what-source input"), re.compile("^Bursty"))
    press(seen.page, "Simulate")
    expect(seen.page.get_by_text("Before and after")).to_be_visible(timeout=120_000)
    expect(
        seen.page.get_by_text(
            re.compile("Best for balanced: .* tasks in flight|is surely better for balanced")
        )
    ).to_be_visible()
    expect(seen.page.locator(".st-key-what-curve .js-plotly-plot")).to_be_visible(timeout=SLOW)
    press(seen.page, "Apply this…")
    expect(seen.page.get_by_label("Reason")).to_have_value(re.compile("what-if over"), timeout=SLOW)
    press(seen.page, "Apply")
    expect(seen.page.locator(".chips").first).to_contain_text("config v1", timeout=SLOW)
    expect(seen.page.get_by_text("version 1 is in force by now")).to_be_visible(timeout=SLOW)
    seen.sound()


def test_patterns_cell_opens_its_slowest_recalls(look: Look, serve: Serve, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    with open_store(url) as store:
        newest = load_records("day")[-1].timestamp
        recorded = load_records("day", ending_at=max(newest, _now()))
        store.append_metrics("recorded", 1, [m._replace(source="live") for m in recorded])
    seen = look(serve(ATHENA_TUNING_STORE=url, ATHENA_TUNING_DEMO="0"))
    seen.go("patterns?range=7d&measure=volume")
    canvas = seen.page.locator(".st-key-pattern-heat canvas").first
    expect(canvas).to_be_visible(timeout=SLOW)
    heading = seen.page.get_by_text(re.compile("Slowest recalls on"))
    for row in range(7):
        box: Any = canvas.bounding_box()
        seen.page.mouse.click(
            box["x"] + box["width"] * 0.55, box["y"] + 20 + (row + 0.5) * (box["height"] - 54) / 7
        )
        with contextlib.suppress(PlaywrightTimeoutError):
            heading.wait_for(timeout=1_500)
            break
    expect(heading).to_be_visible(timeout=SLOW)
    seen.sound()


def _now() -> float:
    import time

    return time.time()


def test_pages_with_hostile_texts_make_no_request_run_no_script_and_break_no_layout(
    look: Look, serve: Serve, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    with open_store(url) as store:
        name = EVIL[:100]
        records = [
            QueryMetrics(
                f"q{i}", EVIL * (1 + 9000 * (i == 0)), name, _now() - i, 50.0 + i, None, False, 1, [name],
                {name: 4.0}, i % 3 > 0, EVIL, tasks=(LayerTask(name, 0.0, 1.0, 4.0 + i, 1),),
            )
            for i in range(40)
        ]  # fmt: skip
        store.append_metrics("evil", 1, records)
        from athena_tuning.model import Annotation, TuningConfig
        from athena_tuning.store import ConfigChange

        store.apply_config(ConfigChange(TuningConfig(), expected_version=0, actor=EVIL, reason=EVIL))
        store.annotate(Annotation(_now(), EVIL, EVIL))
    address = serve(ATHENA_TUNING_STORE=url, ATHENA_TUNING_DEMO="0")
    seen = look(address)
    wander(seen)
    wander(look(address, width=390, theme="dark"))
    seen.go("workloads")
    seen.page.get_by_label("Query", exact=True).fill(EVIL)
    press(seen.page, "Ask")
    expect(seen.page.get_by_text("answered by")).to_be_visible(timeout=SLOW)
    seen.sound()


def test_attached_managers_are_watched_and_missed_when_they_end(
    look: Look, serve: Serve, memory: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    with open_store(url) as store:
        with MemoryManager(memory, store=store, worker_id="far away") as manager:
            for _ in range(20):
                manager.recall("Which service uses postgres-ledger?", use_cache=False)
            until(store.workers)
            seen = look(serve(ATHENA_TUNING_STORE=url, ATHENA_TUNING_ATTACH="1"))
            seen.go("config?refresh=every+2+s")
            expect(seen.page.get_by_text("far away", exact=True)).to_be_visible(timeout=SLOW)
            switch(seen, "throughput", "from here")
            until(lambda: manager.config.strategy.value == "throughput")
        expect(seen.page.get_by_text("no manager alive")).to_be_visible(timeout=30_000)
        seen.go("config")
        expect(seen.page.get_by_text("no manager is running")).to_be_visible(timeout=SLOW)
        expect(seen.page.locator(".st-key-switch-cost button")).to_be_disabled()
        seen.sound()


def test_app_answers_carry_a_policy_that_lets_nothing_in_from_outside(address: str) -> None:
    with urllib.request.urlopen(address, timeout=5) as answer:
        policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "*" not in policy
