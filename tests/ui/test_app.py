"""The entry of the dashboard: what it sets before the first visitor comes."""

from __future__ import annotations

import logging
import runpy
import socket
import threading

import pytest
from starlette.requests import Request

from athena_tuning.locations import dashboard
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.ui.frame import page_context


def test_whoever_connects_gets_messages_at_once() -> None:
    """Two small messages in a row would wait 40 ms for each other, at every refresh of every page."""
    send_at_once = runpy.run_path(str(dashboard() / "app.py"))["send_at_once"]
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as bound, socket.socket() as client:
        bound.bind(("127.0.0.1", 0))
        send_at_once()
        bound.listen()
        client.connect(bound.getsockname())
        accepted, _ = bound.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(("query", "led_to"), [(b"", "./"), (b"range=1h", "./?range=1h")])
def test_the_first_page_is_found_by_its_name_too(query: bytes, led_to: str) -> None:
    (route,) = runpy.run_path(str(dashboard() / "app.py"))["app"]._user_routes
    assert route.path == "/overview"
    asked = Request(
        {"type": "http", "method": "GET", "path": route.path, "query_string": query, "headers": []}
    )
    assert route.endpoint(asked).headers["location"] == led_to


def test_opening_before_the_first_visitor_warns_of_nothing(
    service: TuningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spinner would look for a page in a thread that has none."""
    monkeypatch.setattr(TuningService, "open", lambda: service)
    monkeypatch.setattr(page_context, "_opened", {})
    told: list[logging.LogRecord] = []
    listener = logging.Handler()
    monkeypatch.setattr(listener, "emit", told.append)
    contexts = logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context")
    contexts.addHandler(listener)
    page_context.service.clear()
    try:
        warm = threading.Thread(target=page_context.warm_up)
        warm.start()
        warm.join(30)
    finally:
        contexts.removeHandler(listener)
        page_context.service.clear()
    assert page_context._opened == {"service": service}
    assert not told
