"""The layers of ``docs/layers.md``, as they stand there, against a real service that is slow."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from athena_tuning import MemoryManager
from athena_tuning.model import TaskOutcome, TuningConfig

DOCUMENT = (Path(__file__).parents[2] / "docs" / "layers.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
LAYER, USE, AWAITED, DEPENDENT = BLOCKS


class Service:
    """A ticket search over HTTP: finds by a common word, answers when it is allowed to."""

    TICKETS = ({"key": "T-7", "title": "Login fails on Fridays"}, {"key": "T-9", "title": "Invoices twice"})

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.status = 200
        self.may_answer = threading.Event()
        self.may_answer.set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked.append(parse_qs(urlsplit(self.path).query))
                service.may_answer.wait(30)
                body = json.dumps(service.found(service.asked[-1])).encode()
                try:
                    self.send_response(service.status)
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # who asked went away

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def found(self, asked: dict[str, list[str]]) -> list[dict[str, str]]:
        words = set(asked["q"][0].lower().replace("?", "").split())
        fit = [t for t in self.TICKETS if words & set(t["title"].lower().split())]
        return [{**t, "url": f"{self.url}/{t['key']}"} for t in fit[: int(asked["limit"][0])]]


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.may_answer.set()
    made.server.shutdown()
    made.server.server_close()


def layer(kind: str, url: str) -> Any:
    """A layer of the document."""
    names: dict[str, Any] = {}
    exec({"Tickets": LAYER, "AwaitedTickets": AWAITED}[kind], names)
    return names[kind](url)


@pytest.fixture(params=["Tickets", "AwaitedTickets"])
def manager(request: pytest.FixtureRequest, service: Service) -> Iterator[MemoryManager]:
    with MemoryManager(":memory:") as made:
        made.register_layer(layer(request.param, service.url))
        yield made


def test_the_document_runs_as_it_stands(service, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    exec(LAYER + USE, {"SERVICE": service.url})
    printed = capsys.readouterr().out
    assert f"Login fails on Fridays {service.url}/T-7" in printed
    assert re.search(r"the service took \d+ ms", printed)


def test_a_remote_layer_is_asked_beside_the_others_and_found_in_the_fused_list(manager, service) -> None:
    manager.remember({"id": "e1", "layer": "semantic", "text": "The login needs a second factor."})
    answer = manager.recall("why does the login fail?", k=3)
    assert [found["id"] for found in answer["tickets"]] == ["T-7"]
    assert {found["text"] for found in answer["_fused"]} >= {
        "Login fails on Fridays",
        "The login needs a second factor.",
    }
    assert int(service.asked[0]["limit"][0]) >= 3
    assert manager.profiler.get_layer_metrics("tickets").total_queries == 1


def test_an_answer_is_repeated_without_asking_the_service(manager, service) -> None:
    first, second = (manager.recall("why does the login fail?") for _ in range(2))
    assert (first["_cache_hit"], second["_cache_hit"], len(service.asked)) == (False, True, 1)
    assert first["tickets"] == second["tickets"]


def test_a_service_that_is_too_slow_makes_the_answer_partial(manager, service) -> None:
    manager.remember({"id": "e1", "layer": "semantic", "text": "The login needs a second factor."})
    config = TuningConfig(layer_timeouts={"tickets": 0.05})
    manager.apply_config(config, expected_version=0, actor="test", reason="impatient")
    service.may_answer.clear()
    begun = time.monotonic()
    answer = manager.recall("why does the login fail?")
    assert time.monotonic() - begun < 20, "nobody waited for the service"
    assert (answer["_partial"], answer["_success"]) == (True, True)
    assert "timed out" in answer["_errors"]["tickets"]
    assert answer["semantic"]
    (task,) = [t for t in manager.profiler.metrics[-1].tasks if t.layer == "tickets"]
    assert task.outcome in {TaskOutcome.TIMEOUT, TaskOutcome.ERROR}
    assert manager.recall("why does the login fail?")["_cache_hit"] is False, "a partial answer is not kept"


def test_a_service_that_fails_is_told_by_layer(manager, service) -> None:
    service.status = 503
    answer = manager.recall("why does the login fail?")
    assert "503" in answer["_errors"]["tickets"]
    assert answer["_partial"]
    assert manager.profiler.get_layer_metrics("tickets").error_rate == 1.0


def test_the_scope_reaches_the_blocking_layer(service) -> None:
    with MemoryManager(":memory:") as manager:
        manager.register_layer(layer("Tickets", service.url))
        manager.recall("why does the login fail?", scope="billing")
    assert service.asked[0]["project"] == ["billing"]


def test_the_layer_of_the_docs_that_depends_on_another_one_finds_by_what_that_found() -> None:
    names: dict[str, Any] = {}
    exec(DEPENDENT, names)
    assert names["owner"] == "Ana"
