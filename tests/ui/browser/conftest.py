"""The real app on a free port, looked at with a real browser that can reach nothing else."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from athena_tuning.locations import dashboard
from athena_tuning.testing.waiting import until

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
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
SETTLED = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    without = pytest.mark.skip(reason=f"no Chromium at {CHROMIUM}")
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(
                pytest.mark.flaky(reruns=1)
            )  # a browser and a server share the cores; told as "rerun"
            if not Path(CHROMIUM).exists():
                item.add_marker(without)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return {"executable_path": CHROMIUM, "args": ARGUMENTS}


OF_STREAMLIT = {
    "list": '[data-testid="stSidebarNavItems"]',
    "listitem": '[data-testid="stSidebarNavItems"]',
    "presentation-role-conflict": '[data-testid="stFileUploaderDropzone"]',
}
"""Findings of axe that Streamlit makes, and where: nothing of ours can change them."""

STARTS_WITHIN = 90.0
"""Seconds in which an app answers, with other tests on the cores."""

LOOKS = 3
"""Looks of axe: what is being drawn anew is faded for a moment, and a finding is one that stays."""

Serve = Callable[..., str]
STREAMLIT = ("streamlit", "run", "app.py", "--server.port")


@contextlib.contextmanager
def serving(folders: pytest.TempPathFactory, sample_memory: Path) -> Iterator[Serve]:
    """Give what starts the app with some settings, over a memory of its own, and tells its address.

    The command is what people type in a checkout; it ends with the option that takes the port.
    """
    running: list[subprocess.Popen[bytes]] = []

    def start(*command: str, folder: Path | None = None, **settings: str) -> str:
        home = folders.mktemp("home")
        shutil.copy(sample_memory, home / "memory.db")
        (home / "memory.db.sample").touch()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        program, *options = command or STREAMLIT
        server = subprocess.Popen(
            [Path(sys.executable).with_name(program), *options, str(port)],
            env={**os.environ, "ATHENA_TUNING_HOME": str(home), **settings},
            cwd=folder or dashboard(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        running.append(server)

        def answers() -> bool:
            assert server.poll() is None, "the server ended"
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
                return True  # its socket alone is there long before the app is
            return False

        until(answers, STARTS_WITHIN)
        return f"http://127.0.0.1:{port}"

    try:
        yield start
    finally:
        for server in running:
            server.terminate()
        for server in running:
            server.wait(30)


def processes_on(address: str) -> list[psutil.Process]:
    """Return the started processes that listen where an app was started."""
    port = int(address.rpartition(":")[2])
    return [
        process
        for process in psutil.Process().children(recursive=True)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    ]


def end_server(address: str) -> None:
    """End an app as somebody at its terminal would."""
    for process in processes_on(address):
        process.terminate()


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory, sample_memory: Path) -> Iterator[Serve]:
    """Start apps that end with the test: many at once would slow each other down."""
    with serving(tmp_path_factory, sample_memory) as start:
        yield start


@pytest.fixture(scope="session")
def serve_on(tmp_path_factory: pytest.TempPathFactory, sample_memory: Path) -> Iterator[Serve]:
    """Start apps that several tests share."""
    with serving(tmp_path_factory, sample_memory) as start:
        yield start


@pytest.fixture(scope="session")
def address(serve_on: Serve) -> str:
    """One app for all tests that leave it as they found it."""
    return serve_on()


@dataclass
class Seen:
    """A page, and what it did that it must not."""

    page: Page
    address: str
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def go(self, url: str = "") -> None:
        self.page.goto(f"{self.address}/{url}", timeout=60_000)
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_selector("h1", timeout=30_000)
        self.page.wait_for_selector(SETTLED, timeout=30_000)

    def choose(self, box: Locator, option: str | re.Pattern[str]) -> None:
        """Open a list and choose from it; a list closes when the page is drawn anew, and is opened again."""
        wanted = self.page.get_by_role("option", name=option, exact=True)

        def chosen() -> bool:
            self.settle()
            with contextlib.suppress(PlaywrightTimeoutError):
                if not wanted.is_visible():
                    box.click(timeout=1_500)
                wanted.click(timeout=1_500)
                return True
            return False

        until(chosen)

    def findings(self) -> list[str]:
        """Return what axe-core finds wrong with the page whenever it looks, without what Streamlit makes."""
        for _ in range(LOOKS):
            self.settle()
            if not (found := self._findings()):
                break
        return found

    def _findings(self) -> list[str]:

        def is_ours(rule: str, target: str) -> bool:
            within = OF_STREAMLIT.get(rule)
            found = "([target, within]) => Boolean(document.querySelector(target)?.closest(within))"
            return within is None or not self.page.evaluate(found, [target, within])

        return [
            f"{found['id']}: {node['html'][:200]} ({node['failureSummary']})"
            for found in Axe().run(self.page).response["violations"]
            for node in found["nodes"]
            if is_ours(found["id"], node["target"][0])
        ]

    def sound(self) -> None:
        assert self.outside == []
        assert self.errors == []
        assert self.page.get_by_text("cannot be shown").count() == 0
        assert self.page.locator('[data-testid="stException"]').count() == 0


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Seen]]:
    """Open a page in a browser of its own, with this size and theme."""
    contexts: list[BrowserContext] = []

    def open_page(address: str, *, width: int = 1440, theme: Any = "light") -> Seen:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            reduced_motion="reduce",
            timezone_id="UTC",
        )
        contexts.append(context)
        seen = Seen(context.new_page(), address)
        seen.page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))
                else seen.outside.append(request.url)
            ),
        )
        seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
        seen.page.on("dialog", lambda dialog: seen.errors.append(f"a script ran: {dialog.message}"))
        return seen

    yield open_page
    for context in contexts:
        context.close()
