"""The dashboard's pages in Streamlit's own test runner, over a real service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from athena_tuning.locations import dashboard
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import open_store
from athena_tuning.ui.frame import page_context
from athena_tuning.ui.frame.navigation import PAGES


def serve(service: TuningService, monkeypatch: pytest.MonkeyPatch) -> TuningService:
    """Let the pages work with this service, for an operator."""
    monkeypatch.setattr(page_context, "service", lambda: service)
    monkeypatch.setattr(page_context, "visitor_is_local", lambda: True)
    return service


@pytest.fixture
def served(service: TuningService, monkeypatch: pytest.MonkeyPatch) -> TuningService:
    """The pages' one service is the test's."""
    return serve(service, monkeypatch)


@pytest.fixture
def attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TuningService]:
    """The pages watch a store on which no manager runs."""
    store = open_store(f"sqlite:///{tmp_path / 'attached.db'}")
    watching = serve(TuningService(store, Tail(store)), monkeypatch)
    yield watching
    watching.close()


def visit(url: str, **query: str) -> AppTest:
    """Open a page by its address."""
    at = AppTest.from_file(str(dashboard() / "pages" / "frame.py"), default_timeout=30)
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    if url != "overview":
        at.switch_page(PAGES[url].file).run()
    return at


def words(at: AppTest) -> str:
    """Return all text of a page, without the marks of words that explain themselves."""
    boxes = ("warning", "error", "info", "html", "code")
    kinds = ("title", "header", "subheader", "markdown", "text", "caption", *boxes)
    text = " ".join(str(node.value) for kind in kinds for node in at.get(kind))
    return re.sub(r"</?abbr[^>]*>", "", text)


def is_sound(at: AppTest) -> bool:
    """Whether a page drew all of itself."""
    return not at.exception and "cannot be shown" not in words(at)


def press(at: AppTest, label: str) -> AppTest:
    """Press a button by its label."""
    return next(button for button in at.button if button.label == label).click().run()


def apply_with(at: AppTest, reason: str) -> AppTest:
    """Give the open dialog a reason and apply."""
    at.text_input(key="reason").set_value(reason).run()
    return press(at, "Apply")


def predicted(service: TuningService) -> bool:
    """Whether all simulations that the pages started have ended."""
    kept = service._forecasts._kept.values()
    return bool(kept) and all(entry.run.state.value == "finished" for entry in kept)
