"""The entry of the dashboard: what it sets before the first visitor comes."""

from __future__ import annotations

import asyncio
import logging
import runpy
import socket
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.requests import Request
from streamlit import config

from athena_tuning.locations import dashboard
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.ui.frame import page_context


def in_a_loop_of_its_own(work: Coroutine[Any, Any, bool]) -> bool:
    """Run a coroutine, whatever loop other tests have left running in this thread."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, work).result()


def test_app_sends_small_messages_at_once() -> None:
    """Two small messages in a row would wait 40 ms for each other, at every refresh of every page."""
    send_at_once = runpy.run_path(str(dashboard() / "app.py"))["send_at_once"]

    async def delays(*, told: bool) -> bool:
        """Serve as Streamlit does, on a socket bound under protocol 0; say whether answers are delayed."""
        loop = asyncio.get_running_loop()
        connected: asyncio.Future[bool] = loop.create_future()

        class Connection(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                accepted = transport.get_extra_info("socket")
                connected.set_result(not accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                transport.close()

        if told:
            send_at_once(loop)
        with socket.socket(socket.AF_INET) as bound:
            bound.bind(("127.0.0.1", 0))
            async with await loop.create_server(Connection, sock=bound):
                _, writer = await asyncio.open_connection(*bound.getsockname())
                writer.close()
                return await connected

    assert in_a_loop_of_its_own(delays(told=False)), (
        "asyncio sees to it by itself by now: send_at_once can go"
    )
    assert not in_a_loop_of_its_own(delays(told=True))


def listen_on(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = config.get_option
    monkeypatch.setattr(
        config, "get_option", lambda name: address if name == "server.address" else real(name)
    )


@pytest.mark.parametrize(
    ("started_by", "address", "writable"),
    [
        ("starlette-app", "127.0.0.1", True),
        ("starlette-app", "0.0.0.0", False),
        ("asgi-server", "127.0.0.1", False),
        (None, "127.0.0.1", False),
    ],
)
def test_app_is_writable_only_if_streamlit_itself_listens_on_loopback(
    started_by: str | None, address: str, writable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "_server_mode", started_by)
    listen_on(address, monkeypatch)
    assert page_context.listens_on_loopback() is writable


def test_app_is_read_only_if_streamlit_does_not_tell_how_it_was_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(config, "_server_mode")
    listen_on("127.0.0.1", monkeypatch)
    assert not page_context.listens_on_loopback()


@pytest.mark.parametrize(("query", "led_to"), [(b"", "./"), (b"range=1h", "./?range=1h")])
def test_app_finds_the_first_page_by_its_name_too(query: bytes, led_to: str) -> None:
    route, *_ = runpy.run_path(str(dashboard() / "app.py"))["app"]._user_routes
    assert route.path == "/overview"
    asked = Request(
        {"type": "http", "method": "GET", "path": route.path, "query_string": query, "headers": []}
    )
    assert route.endpoint(asked).headers["location"] == led_to


def test_app_that_warms_up_before_the_first_visitor_warns_of_nothing(
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
