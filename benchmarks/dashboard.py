"""What a page costs: time of its script, bytes, memory a session, live parts with fifty people looking.

The real server in a process of its own, the demo load on its real manager, and sessions that speak the
browser's protocol. The window is filled at once, not through the store, which takes a minute for a million;
``--quick`` fills it with 100,000 in place of that.
What a person waits for between two pages is measured in Chromium, where there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import shutil
import socket
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psutil
from harness import Figure, median, options, progress, quantile, report
from profiler import records
from sessions import Ran, Session

from athena_tuning.ui.frame.navigation import SECTIONS

PAGES = [entry.url for entries in SECTIONS.values() for entry in entries]
LOOK = "range=24h&refresh=every+2+s"
PEOPLE = 50
HOST = "127.0.0.1"
MB = 1024.0 * 1024.0


class Served(NamedTuple):
    """A dashboard that runs."""

    port: int
    process: psutil.Process

    @property
    def memory_mb(self) -> float:
        """What the process holds."""
        return float(self.process.memory_info().rss) / MB


def serve(port: int, size: int) -> None:
    """Serve the dashboard over a window of so many recalls, with the demo load."""
    from streamlit.web import cli

    from athena_tuning import locations
    from athena_tuning.service.embedded import Embedded
    from athena_tuning.service.store_follower import Tail
    from athena_tuning.service.tuning_service import TuningService
    from athena_tuning.store import open_store

    store = open_store(None)
    embedded = Embedded(locations.default_memory(), store)
    tail = Tail(store, most_records=size + 50_000)
    for i, metrics in enumerate(records(size, time.time() - 23 * 3600, time.time())):
        tail.profiler.record_query(metrics)
        if i % 1000 == 0:
            tail.profiler.fold()
    tail.start()
    embedded.start_demo()
    service = TuningService(store, tail, embedded)
    TuningService.open = lambda *_: service  # type: ignore[method-assign]
    arguments = ["run", str(locations.dashboard() / "app.py"), "--server.address", HOST]
    cli.main([*arguments, "--server.port", str(port), "--logger.level", "error"], standalone_mode=False)


@contextmanager
def served(size: int) -> Iterator[Served]:
    """Run the dashboard as long as the block does."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as home:
        os.environ["ATHENA_TUNING_HOME"] = home
        child = multiprocessing.get_context("spawn").Process(target=serve, args=(port, size), daemon=True)
        child.start()
        try:
            _until_healthy(port)
            yield Served(port, psutil.Process(child.pid))
        finally:
            child.terminate()
            child.join(20)


def _until_healthy(port: int) -> None:
    for _ in range(1200):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/_stcore/health"):
            return
        time.sleep(0.1)
    raise RuntimeError("the dashboard was not ready within two minutes")


async def pages(at: Served, label: str, repeats: int) -> list[Figure]:
    """Every page's script and bytes, once it is warm; each run is a new tab, under live data."""
    figures = []
    for url in PAGES:
        ran: list[Ran] = []
        for _ in range(repeats + 1):
            async with Session(at.port, LOOK) as tab:
                ran.append(await tab.open(url))
        warm = ran[1:]
        ms = median([run.seconds for run in warm]) * 1000
        figures.append(Figure(f"script of {url}, warm, {label}", ms, "ms", 100.0))
        figures.append(Figure(f"bytes of {url}, {label}", warm[-1].size / 1024, "KB", 150.0))
    return figures


async def searches(at: Served, label: str, repeats: int) -> Figure:
    """A search with its page: for other words each time, so that no answer is known before."""
    seconds = []
    for number in range(repeats + 1):
        async with Session(at.port, f"{LOOK}&q={number}") as tab:
            seconds.append((await tab.open("recalls")).seconds)
    return Figure(f"a search on its page, warm, {label}", median(seconds[1:]) * 1000, "ms", 300.0)


async def people(at: Served, seconds: float, label: str) -> list[Figure]:
    """Fifty people on the overview that renews itself every two seconds."""
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(Session(at.port, LOOK))
        await first.open("overview")
        before = at.memory_mb
        tabs = []
        for _ in range(PEOPLE):
            tabs.append(await stack.enter_async_context(Session(at.port, LOOK)))
            await tabs[-1].open("overview")
        held = (at.memory_mb - before) / PEOPLE
        stays = await asyncio.gather(*(_after(i * 2.0 / PEOPLE, tab, seconds) for i, tab in enumerate(tabs)))
    ran = [run for stay in stays for run in stay]
    times = [run.seconds * 1000 for run in ran]
    return [
        Figure(f"live part, {PEOPLE} sessions, p50, {label}", quantile(times, 0.5), "ms"),
        Figure(f"live part, {PEOPLE} sessions, p95, {label}", quantile(times, 0.95), "ms", 50.0),
        Figure(f"bytes of a refresh, p95, {label}", quantile([r.size / 1024 for r in ran], 0.95), "KB", 10.0),
        Figure(f"memory a session, {label}", held, "MB", 0.6),
    ]


async def _after(seconds: float, tab: Session, stay: float) -> list[Ran]:
    await asyncio.sleep(seconds)
    return await tab.stay(stay)


async def growth(at: Served, refreshes: int) -> Figure:
    """What one tab adds to the process over so many refreshes, after as many tenths to settle."""
    async with Session(at.port, LOOK) as tab:
        await tab.open("overview")
        parts = list(tab.parts)
        for i in range(refreshes // 5):
            await tab.renew(parts[i % len(parts)])
        before = at.memory_mb
        for i in range(refreshes):
            await tab.renew(parts[i % len(parts)])
        return Figure(f"growth over {refreshes} refreshes", at.memory_mb - before, "MB", 10.0)


def switches(at: Served, rounds: int) -> Iterator[Figure]:
    """What a person waits for after a click on another page, in a browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return
    from playwright.sync_api import sync_playwright

    settled = '[data-testid="stApp"][data-test-script-state="notRunning"]'
    order = ["Latency", "Cache", "Overview", "Concurrency", "Patterns", "System", "Overview"]
    seconds = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"http://{HOST}:{at.port}/?{LOOK}")
        for turn in range(rounds + 1):
            for title in order:
                start = time.perf_counter()
                page.get_by_role("link", name=title, exact=True).click()
                page.locator("h1", has_text=title).wait_for()
                page.wait_for_selector(settled)
                if turn:
                    seconds.append(time.perf_counter() - start)
        browser.close()
    yield Figure("page switch in a browser, p50", median(seconds), "s", 0.4)
    yield Figure("page switch in a browser, worst", max(seconds), "s", 0.8)


def main() -> int:
    """Measure both sizes of window and print the figures."""
    asked = options(__doc__)
    figures: list[Figure] = []
    sizes = {"10k": 10_000, "100k": 100_000} if asked.quick else {"10k": 10_000, "1M": 1_000_000}
    for label, size in sizes.items():
        progress(f"a window of {label}")
        with served(size) as at:
            figures += asyncio.run(pages(at, label, 3 if asked.quick else 9))
            figures.append(asyncio.run(searches(at, label, 3 if asked.quick else 9)))
            small = label == "10k"
            if not (asked.quick and not small):
                progress(f"{PEOPLE} sessions")
                figures += asyncio.run(people(at, 5.0 if asked.quick else 30.0, label))
            if small:
                progress("refreshes")
                figures.append(asyncio.run(growth(at, 500)))
                progress("a browser")
                figures += switches(at, 1 if asked.quick else 3)
    return report(figures, asked)


if __name__ == "__main__":
    raise SystemExit(main())
