"""``streamlit run app.py`` serves an operator on this machine; an app that others reach is read-only."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from athena_tuning.locations import dashboard
from athena_tuning.model import QueryMetrics, TuningStrategy
from athena_tuning.model.source import kind_of
from athena_tuning.store import Store, open_store
from athena_tuning.testing.waiting import until
from tests.ui.browser.conftest import Seen, Serve
from tests.ui.browser.test_app import SLOW, press, strategy_in_force, switch

Look = Callable[..., Seen]


def listened_on(address: str) -> set[str]:
    """Return the interfaces on which a started app waits for visitors."""
    port = int(address.rpartition(":")[2])
    return {
        connection.laddr.ip
        for process in psutil.Process().children(recursive=True)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }


def recall(seen: Seen, store: Store, query: str) -> QueryMetrics:
    """Ask on the Workloads page and return what was measured."""
    seen.go("workloads")
    seen.page.get_by_label("Query", exact=True).fill(query, timeout=SLOW)
    press(seen.page, "Ask")
    found: list[QueryMetrics] = []

    def stored() -> bool:
        found[:] = [r for r in store.tail_metrics().records if r.query_text == query]
        return bool(found)

    until(stored)
    return found[0]


def test_streamlit_run_lets_its_visitor_switch_load_and_apply_and_the_next_recall_obeys(
    look: Look, serve: Serve, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    address = serve("streamlit", "run", "app.py", "--server.port", ATHENA_TUNING_STORE=url)
    assert listened_on(address) == {"127.0.0.1"}
    seen = look(address)
    with open_store(url) as store:
        before = recall(seen, store, "Which service, asked by hand, uses postgres-ledger?")
        assert (before.config_version, before.parallel_execution) == (0, True)

        seen.go("config")
        switch(seen, "throughput", "the batch starts")
        strategy_in_force(seen, "throughput")
        switched = store.config_set().default
        assert switched.config.strategy is TuningStrategy.THROUGHPUT
        assert (switched.author, switched.reason) == ("operator", "the batch starts")
        assert (
            recall(seen, store, "Who, asked by hand, owns the billing service?").config_version
            == switched.version
        )

        seen.go("config")
        seen.page.locator("label", has_text="Parallel layers").click(timeout=SLOW)
        press(seen.page, "Look at the change…")
        seen.page.get_by_label("Reason").fill("one layer after another", timeout=SLOW)
        seen.page.get_by_label("Reason").press("Tab")
        press(seen.page, "Apply")
        expect(seen.page.locator(".chips").first).to_contain_text("config v2", timeout=SLOW)
        after = recall(seen, store, "What, asked by hand, failed after the last deploy?")
        assert (after.config_version, after.parallel_execution) == (2, False)

        seen.page.locator(".st-key-load-mixed button").click(timeout=SLOW)
        expect(seen.page.get_by_text(re.compile("Loaded “.*recalls"))).to_be_visible(timeout=SLOW)
        until(lambda: any(kind_of(r.source) == "sample" for r in store.tail_metrics().records))
    seen.sound()


def test_streamlit_run_from_another_folder_listens_on_this_machine_only(serve: Serve, tmp_path: Path) -> None:
    address = serve("streamlit", "run", str(dashboard() / "app.py"), "--server.port", folder=tmp_path)
    assert listened_on(address) == {"127.0.0.1"}


@pytest.mark.parametrize(
    "command",
    [
        ("streamlit", "run", "app.py", "--server.address", "0.0.0.0", "--server.port"),
        ("athena-tuning", "dashboard", "--host", "0.0.0.0", "--port"),
        ("uvicorn", "app:app", "--host", "0.0.0.0", "--port"),
    ],
    ids=lambda command: command[0],
)
def test_an_app_that_others_reach_is_read_only(look: Look, serve: Serve, command: tuple[str, ...]) -> None:
    address = serve(*command, ATHENA_TUNING_DEMO="0")
    assert listened_on(address) == {"0.0.0.0"}
    seen = look(address)
    seen.go("config")
    expect(seen.page.get_by_text("read only")).to_be_visible(timeout=SLOW)
    for strategy in TuningStrategy:
        expect(seen.page.locator(f".st-key-switch-{strategy.value} button")).to_be_disabled(timeout=SLOW)
    seen.go("workloads")
    expect(seen.page.get_by_role("button", name="Ask", exact=True)).to_be_disabled(timeout=SLOW)
    expect(seen.page.locator(".st-key-load-mixed button")).to_be_disabled(timeout=SLOW)
    seen.sound()


def test_the_operators_link_makes_an_operator_of_a_visitor_from_elsewhere(look: Look, serve: Serve) -> None:
    token = "a token of sixteen letters"
    address = serve(
        *("streamlit", "run", "app.py", "--server.address", "0.0.0.0", "--server.port"),
        ATHENA_TUNING_DEMO="0",
        ATHENA_TUNING_OPERATOR_TOKEN=token,
    )
    with_link, without = look(address), look(address)
    with_link.page.goto(f"{address}/operator?token=a%20token%20of%20other%20letters")
    expect(with_link.page.get_by_text("This link is not valid")).to_be_visible(timeout=SLOW)
    with_link.page.goto(f"{address}/operator?token={token.replace(' ', '%20')}")
    with_link.settle()
    assert token not in with_link.page.url
    for seen, may in ((with_link, True), (without, False)):
        seen.go("config")
        button = seen.page.locator(".st-key-switch-throughput button")
        (expect(button).to_be_enabled if may else expect(button).to_be_disabled)(timeout=SLOW)
        seen.sound()


def test_a_visitor_through_a_proxy_on_this_machine_only_looks(look: Look, serve: Serve) -> None:
    seen = look(serve(ATHENA_TUNING_DEMO="0"))
    seen.page.context.set_extra_http_headers({"X-Forwarded-For": "203.0.113.9"})
    seen.go("config")
    expect(seen.page.get_by_text("read only")).to_be_visible(timeout=SLOW)


def test_a_page_that_rebinds_its_name_to_this_machine_is_not_answered(serve: Serve) -> None:
    address = serve(ATHENA_TUNING_DEMO="0")
    for path in ("/", "/_stcore/health", "/config"):
        answer = httpx.get(address + path, headers={"Host": "evil.example"}, timeout=60)
        assert (answer.status_code, "evil.example" in answer.text) == (421, True)


def test_a_page_of_another_site_opens_no_session_and_uploads_nothing(serve: Serve) -> None:
    address = serve(ATHENA_TUNING_DEMO="0")
    stream = address.replace("http://", "ws://") + "/_stcore/stream"

    def session_from(origin: str) -> ClientConnection:
        return connect(stream, origin=Origin(origin), subprotocols=[Subprotocol("streamlit")])

    with session_from(address):
        pass
    for origin in ("http://evil.example", "null"):
        with pytest.raises(InvalidStatus, match="403"):
            session_from(origin).close()
    files = {"file": ("a.csv", b"ts,latency_ms\n")}
    answer = httpx.put(f"{address}/_stcore/upload_file/any/one", files=files, timeout=60)
    assert (answer.status_code, "XSRF" in answer.text) == (403, True)
