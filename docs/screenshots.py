"""Pictures of the app, by one command: ``python docs/screenshots.py``.

Serves the app on a free port over a fresh memory, loads the sample day, lets the demo load run and a person
switch the strategy, then writes ``docs/screenshots/<page>-<theme>.png`` with 256 colours. Needs a
Chromium; nothing is asked of any other machine.

With ``--check`` nothing is written: the pictures are compared with those that are there. Figures and lines
move from run to run, so what is compared is the page, not its data: how long it is, and the mean tone of each
square of 48 px, where one of ten may differ, and the length by a quarter.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image, ImageChops
from playwright.sync_api import Browser, Page, sync_playwright

from athena_tuning.locations import dashboard
from athena_tuning.ui.frame.navigation import SECTIONS

HOST = "127.0.0.1"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
COLOURS = 256
VIEW = "range=24h&slo=250"
ALONE = {"latency", "patterns", "cache"}
"""Pages that show the sample day by itself: a demo load has not had a day."""

PATIENCE_MS = 120_000
"""How long to wait for a page on a busy machine."""

SQUARE = 48
"""Pixels of a side: a word or a line changes its mean tone little, a card that is gone much."""

TONE = 24
"""By how much of 255 a square may differ."""

SQUARES_DIFFER, LENGTHS_DIFFER = 0.10, 0.25
"""Shares that may: tables have more rows the longer the demo load has run."""

URLS = [entry.url for entries in SECTIONS.values() for entry in entries]


@contextmanager
def served(**environment: str) -> Iterator[str]:
    """Serve the app on a free port as long as the block runs, and give its address."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(dashboard() / "app.py")]
    command += ["--server.address", HOST, "--server.port", str(port), "--server.headless", "true"]
    with tempfile.TemporaryDirectory() as home:
        settings = {**os.environ, "ATHENA_TUNING_HOME": home, **environment}
        server = subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield _ready(port, server)
        finally:
            server.terminate()
            server.wait(20)


def _ready(port: int, server: subprocess.Popen[bytes]) -> str:
    for _ in range(900):
        if server.poll() is not None:
            raise RuntimeError("the server ended before it was ready")
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return f"http://{HOST}:{port}"
        time.sleep(0.1)
    raise RuntimeError("the server was not ready within 90 s")


def settled(page: Page) -> None:
    """Wait until a page's script has run and its charts have been drawn."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=PATIENCE_MS)
    page.wait_for_selector("h1", timeout=PATIENCE_MS)
    page.wait_for_timeout(1200)


def shoot(
    browser: Browser, address: str, url: str, theme: str, width: int, path: Path, looked_at: str
) -> None:
    """Write a picture of a page, as long as it is."""
    context = browser.new_context(
        viewport={"width": width, "height": 900 if width > 600 else 844},
        color_scheme=theme,
        reduced_motion="reduce",
        timezone_id="UTC",
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    query = f"{VIEW}&{looked_at}" if url in ALONE else VIEW
    page.goto(f"{address}/{'' if url == 'overview' else url}?{query}")
    settled(page)
    tall = page.evaluate("document.querySelector('.stMainBlockContainer').scrollHeight + 80")
    page.set_viewport_size({"width": width, "height": int(max(900, min(tall, 4200)))})
    page.wait_for_timeout(900)
    page.wait_for_function("!document.querySelector('[data-stale=true]')")  # what is drawn anew is faded
    if page.get_by_text("cannot be shown").count() or page.locator('[data-testid="stException"]').count():
        raise RuntimeError(f"{url} shows an error; the server's log tells which")
    page.screenshot(path=path)
    context.close()
    Image.open(path).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=4).save(
        path, optimize=True
    )


def differs(was: Image.Image, now: Image.Image) -> str:
    """Say how a page differs from its picture; "" where it is within the tolerance."""
    if was.width != now.width:
        return f"{now.width} px wide, not {was.width}"
    if abs(now.height - was.height) > LENGTHS_DIFFER * was.height:
        return f"{now.height} px long, not {was.height}"
    common = min(was.height, now.height)
    size = (was.width // SQUARE, common // SQUARE)
    tones = [
        picture.convert("L").crop((0, 0, was.width, common)).resize(size, Image.Resampling.BOX)
        for picture in (was, now)
    ]
    others = sum(ImageChops.difference(*tones).histogram()[TONE + 1 :]) / (size[0] * size[1])
    return f"{others:.0%} of it looks different" if others > SQUARES_DIFFER else ""


def check(made: Path, kept: Path) -> list[str]:
    """Return what is to be said of the pictures in a folder against those that are kept."""
    said = []
    for path in sorted(made.glob("*.png")):
        if not (kept / path.name).exists():
            said.append(f"{path.name}: there is no picture of it")
        elif words := differs(Image.open(kept / path.name), Image.open(path)):
            said.append(f"{path.name}: {words}")
    return said


def prepare(browser: Browser, address: str) -> str:
    """Do what a person would: load a day, ask for short answers; return what looks at the day alone."""
    page = browser.new_page(timezone_id="UTC")
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    settled(page)
    page.locator(".st-key-welcomed button").click()
    page.goto(f"{address}/workloads")
    settled(page)
    page.locator(".st-key-load-day button").click()
    page.get_by_text("by itself:").first.wait_for(timeout=PATIENCE_MS)
    looked_at = next(part for part in urlsplit(page.url).query.split("&") if part.startswith("source="))
    page.goto(f"{address}/config")
    settled(page)
    page.locator(".st-key-switch-latency button").click()
    page.get_by_label("Reason").fill("people wait for answers")
    page.get_by_label("Reason").press("Tab")
    page.get_by_role("button", name="Apply", exact=True).click()
    page.get_by_text("config v1").first.wait_for(timeout=PATIENCE_MS)
    page.close()
    return looked_at


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("screenshots"))
    parser.add_argument("--pages", nargs="*", default=URLS, choices=URLS)
    parser.add_argument("--themes", nargs="*", default=["light", "dark"], choices=["light", "dark"])
    parser.add_argument("--widths", nargs="*", type=int, default=[1440])
    parser.add_argument("--address", help="a server that runs already")
    parser.add_argument(
        "--warm-seconds", type=float, default=60.0, help="how long to let the demo load run first"
    )
    parser.add_argument("--check", action="store_true", help="compare with the pictures there, write none")
    given = parser.parse_args()
    if not given.check:
        make(given)
        return
    kept = given.out
    with tempfile.TemporaryDirectory() as folder:
        given.out = Path(folder)
        make(given)
        said = check(given.out, kept)
    sys.exit("\n".join([*said, "Look at them; `make shots` makes new ones."]) if said else 0)


def make(given: argparse.Namespace) -> None:
    """Make the pictures that are wanted."""
    given.out.mkdir(parents=True, exist_ok=True)
    if given.address:
        _shoot_all(given, given.address, "")
        return
    with served() as address:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            looked_at = prepare(browser, address)
            browser.close()
        time.sleep(given.warm_seconds)
        _shoot_all(given, address, looked_at)


def _shoot_all(given: argparse.Namespace, address: str, looked_at: str) -> None:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for theme in given.themes:
            for width in given.widths:
                for url in given.pages:
                    narrow = "" if width == 1440 else f"-{width}"
                    path = given.out / f"{url}-{theme}{narrow}.png"
                    shoot(browser, address, url, theme, width, path, looked_at)
        browser.close()


if __name__ == "__main__":
    main()
