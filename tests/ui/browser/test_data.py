"""What people bring and take away: files up, files down, links, an answer judged."""

from __future__ import annotations

import contextlib
import gzip
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError
from playwright.sync_api import expect

from athena_tuning.interchange import Import
from athena_tuning.store import open_store
from tests.support.waiting import until
from tests.ui.browser.conftest import Seen, Serve
from tests.ui.browser.test_app import EVIL, SLOW, press

Look = Callable[..., Seen]


@pytest.fixture(scope="module")
def at(serve_on: Serve, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """An app without a load, and the address of its store."""
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 's.db'}"
    return serve_on(ATHENA_TUNING_DEMO="0", ATHENA_TUNING_STORE=url), url


def bring(seen: Seen, name: str, content: bytes) -> None:
    seen.page.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "text/csv", "buffer": content}
    )


def choose(seen: Seen, label: str, option: str) -> None:
    """Open a list and choose from it; a list closes when the page is drawn anew, and is opened again."""
    box = seen.page.get_by_role("combobox", name=re.compile(label))
    wanted = seen.page.get_by_role("option", name=option, exact=True)

    def chosen() -> bool:
        seen.settle()
        if not wanted.is_visible():
            box.click()
        with contextlib.suppress(PlaywrightTimeoutError):
            wanted.click(timeout=1_500)
            return True
        return False

    until(chosen)


def table(rows: int) -> bytes:
    now = time.time() - 600
    lines = [f"{now + i:.3f},{i % 40 + 2},{EVIL if i == 3 else 'deploy?'!r}" for i in range(rows)]
    return "\n".join(["begin;took;asked", *(line.replace(",", ";", 2) for line in lines)]).encode()


def test_upload_of_a_good_file_is_corrected_imported_shown_and_taken_away_again(
    look: Look, at: tuple[str, str], tmp_path: Path
) -> None:
    address, store_url = at
    seen = look(address)
    seen.go("workloads")
    bring(seen, "mine.csv", table(300) + b"\nnever;1;x")
    expect(seen.page.get_by_text("What the columns are taken for")).to_be_visible(timeout=SLOW)
    choose(seen, "Took is in", "s")
    expect(seen.page.get_by_text("2.00 s", exact=True).first).to_be_visible(timeout=SLOW)
    press(seen.page, "Import")
    expect(seen.page.get_by_text("300 queries imported, 1 row left out")).to_be_visible(timeout=SLOW)
    seen.page.get_by_role("link", name="Show on the charts").click()
    expect(seen.page.locator("h1").first).to_have_text("Overview", timeout=SLOW)
    expect(seen.page.locator(".chips").first).to_contain_text("imported 300", timeout=SLOW)
    expect(seen.page).to_have_url(re.compile("range=custom"))
    with open_store(store_url) as store:
        assert {m.source for m in store.tail_metrics().records} == {"imported"}
    press(seen.page, "Share")
    with seen.page.expect_download(timeout=SLOW) as coming:
        press(seen.page, "JSON lines")
    taken = tmp_path / "taken.jsonl.gz"
    coming.value.save_as(taken)
    assert gzip.decompress(taken.read_bytes()).count(b"\n") == 300
    assert len(list(Import(taken).records())) == 300
    seen.sound()


def test_upload_of_a_bad_file_is_refused_with_the_reason_and_nothing_comes_in(
    look: Look, at: tuple[str, str]
) -> None:
    seen = look(at[0], width=390)
    seen.go("workloads")
    for name, content, said in (
        (f"{EVIL[:60]}.csv".replace("/", ""), b"\x89PNG\r\n\x1a\n" + b"0" * 99, "is a picture"),
        ("words.csv", b"a,b\nno,time\nhere,either\n", "no column says when"),
    ):
        bring(seen, name, content)
        expect(seen.page.get_by_text(re.compile(said)).first).to_be_visible(timeout=SLOW)
        expect(seen.page.get_by_role("button", name="Import", exact=True)).to_have_count(0)
    seen.sound()


def test_link_shows_another_person_the_same_period(look: Look, at: tuple[str, str]) -> None:
    seen, other = look(at[0]), look(at[0])
    seen.go("latency?range=6h&type=meta&tz=Asia%2FTokyo")
    press(seen.page, "Share")
    links = seen.page.locator('[data-testid="stCode"]')
    expect(links.nth(1)).to_contain_text("range=custom", timeout=SLOW)
    other.page.goto(links.nth(1).inner_text().strip())
    other.settle()
    expect(other.page.locator(".st-key-filters summary")).to_contain_text("meta", timeout=SLOW)
    expect(other.page.get_by_text("From (Asia/Tokyo)")).to_be_visible(timeout=SLOW)
    seen.sound()
    other.sound()


def test_feedback_on_an_answer_reaches_the_store(look: Look, at: tuple[str, str]) -> None:
    address, store_url = at
    seen = look(address)
    seen.go("workloads")
    seen.page.get_by_label("Query", exact=True).fill("Which service uses postgres-ledger?")
    press(seen.page, "Ask")
    expect(seen.page.get_by_text("Was that the answer?")).to_be_visible(timeout=SLOW)
    seen.page.locator('[data-testid="stFeedback"] button').first.click()
    with open_store(store_url) as store:
        until(lambda: [given.score for given in store.feedback()] in ([1.0], [0.0]))
    seen.sound()
