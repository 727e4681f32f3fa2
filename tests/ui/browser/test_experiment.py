"""An experiment in a real browser: started beside Apply, watched while it runs, ended, found again."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.ui.browser.test_app import SLOW, Look, Serve, press


def test_config_is_tried_in_turns_watched_and_ended(look: Look, serve: Serve) -> None:
    seen = look(serve())
    seen.go("config")
    seen.page.get_by_role("spinbutton", name="Tasks in flight").fill("11", timeout=SLOW)
    seen.page.get_by_role("spinbutton", name="Tasks in flight").press("Tab")
    press(seen.page, "Look at the change…")
    seen.page.get_by_label("Reason").fill("is it better?", timeout=SLOW)
    seen.page.get_by_label("Reason").press("Tab")
    press(seen.page, "Try it for 5 minutes")
    expect(seen.page.get_by_text(re.compile("is tried in turns with v0"))).to_be_visible(timeout=SLOW)
    expect(seen.page.locator(".chips").first).to_contain_text("tried v1", timeout=SLOW)
    chart = seen.page.locator(".st-key-experiment-blocks .js-plotly-plot")
    expect(chart).to_be_visible(timeout=SLOW)
    expect(seen.page.get_by_text(re.compile("of 15 pairs of blocks are measured"))).to_be_visible(
        timeout=SLOW
    )
    seen.sound()
    press(seen.page, "End now")
    expect(seen.page.get_by_text(re.compile("was tried in turns with v0"))).to_be_visible(timeout=SLOW)
    expect(seen.page.get_by_role("button", name="Apply v1…")).to_be_visible(timeout=SLOW)
    expect(seen.page.locator(".chips").first).to_contain_text("config v0")
    seen.go("history")
    expect(seen.page.get_by_text("Decisions").first).to_be_visible(timeout=SLOW)
    seen.sound()
