"""The commands of a cluster, as a person types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from athena_tuning import MemoryManager, open_store
from athena_tuning.cluster import serve
from athena_tuning.testing.waiting import until
from tests.support.memory_layers import NOTES

pytestmark = pytest.mark.slow


class Terminal:
    """Runs commands with a home of their own."""

    def __init__(self, home: Path) -> None:
        self.environment = {**os.environ, "ATHENA_TUNING_HOME": str(home)}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "athena_tuning", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            check=False,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=60,
        )

    def json(self, *words: str) -> Any:
        ran = self.run(*words, "--json")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "home")


@pytest.fixture
def served(url: str, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a cluster with one member."""
    with (
        open_store(f"sqlite:///{tmp_path / 'store.db'}") as store,
        MemoryManager(tmp_path / "memory.db", store=store) as manager,
        serve(manager, url),
    ):
        manager.remember_many(NOTES)
        yield url


def test_cluster_starts_a_broker_and_managers_and_ends_with_them(
    broker: str, free_url: str, terminal: Terminal, tmp_path: Path
) -> None:
    with MemoryManager(tmp_path / "memory.db") as manager:
        manager.remember_many(NOTES)
    url = free_url
    words = ("cluster", "start", "--workers", "2", "--on", url, "--memory", str(tmp_path / "memory.db"))
    started = subprocess.Popen(
        terminal.command(*words), env=terminal.environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert started.stdout is not None
        assert "nats-server" in started.stdout.readline()
        assert "2 managers" in started.stdout.readline()
        until(lambda: len(terminal.json("cluster", "status", "--on", url)["members"]) == 2, 60)
        answer = terminal.json("recall", "When did the billing deploy fail?", "--on", url)
        assert answer["results"][0]["id"] == "e1"
        assert terminal.json("cluster", "scale", "1", "--on", url)["wanted"] == 1
        until(lambda: len(terminal.json("cluster", "status", "--on", url)["members"]) == 1, 60)
        pids = [int(m["pid"]) for m in terminal.json("cluster", "status", "--on", url)["members"]]
    finally:
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=60)
    assert started.returncode == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert "cluster start" in terminal.run("cluster", "status", "--on", url).stderr


def test_status_shows_what_each_member_carries(served: str, terminal: Terminal) -> None:
    shown = terminal.run("cluster", "status", "--on", served).stdout
    names = ("worker", "recalls/s", "limit", "answers", "refused", "busy", "won/lost", "now", "config")
    assert [name for name in names if name not in shown] == []
    [member] = terminal.json("cluster", "status", "--on", served)["members"]
    assert f" {member['limit']}/{member['config_limit']} " in shown
    assert member["cores"] == os.cpu_count()
    assert f"athena_tuning {member['version']}" in shown
    assert "one more worker" in shown


def test_recall_on_a_cluster_prints_what_was_found(served: str, terminal: Terminal) -> None:
    ran = terminal.run("recall", "When did the billing deploy fail?", "--on", served)
    assert "The billing deploy failed on Friday" in ran.stdout
    assert "episodic" in ran.stdout


def test_load_on_a_cluster_goes_the_way_of_its_users(served: str, terminal: Terminal) -> None:
    came = terminal.json("load", "run", "--on", served, "--rate", "40", "--seconds", "2")
    assert came["errors"] == 0
    assert came["finished"] > 20
    [member] = terminal.json("cluster", "status", "--on", served)["members"]
    assert member["answers"] >= came["finished"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("recall", "x", "--on", "http://a"), "is no cluster"),
        (("recall", "x", "--on", "nats://127.0.0.1:1"), "cluster start"),
        (("recall", "x", "--on", "nats://a", "--memory", "m.db"), "--on"),
        (("serve", "--on", "nats://a", "--layer", "b"), "--on"),
        (("mcp", "--on", "nats://"), "is no cluster"),
        (("cluster", "status", "--on", "nats://a/b c"), "name"),
        (("cluster", "join", "nats://127.0.0.1:1", "--store", "nonsense://x"), "no store is known"),
        (("cluster", "join", "nats://127.0.0.1:1"), "nats-server"),
        (("cluster", "start", "--workers", "0"), "range"),
        (("cluster", "scale", "257"), "range"),
        (("manager", "--serve", "http://a"), "is no cluster"),
    ],
)
def test_what_cannot_be_is_said_with_the_way_out(
    terminal: Terminal, words: tuple[str, ...], says: str
) -> None:
    ran = terminal.run(*words)
    assert ran.returncode in {1, 2}
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


@contextmanager
def http_server(terminal: Terminal, url: str, store: Path) -> Iterator[Any]:
    """Serve HTTP before a cluster, and give a client of it."""
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("uvicorn")
    words = ("serve", "--on", url, "--port", "0", "--store", f"sqlite:///{store}")
    serving = subprocess.Popen(
        terminal.command(*words), env=terminal.environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert serving.stdout is not None
        address = serving.stdout.readline().split()[2].removesuffix("/v1/")
        with httpx.Client(base_url=address, timeout=30) as client:
            until(lambda: _answers(client))
            yield client
    finally:
        serving.terminate()
        serving.communicate(timeout=30)


def test_http_before_a_cluster(served: str, terminal: Terminal, tmp_path: Path) -> None:
    with http_server(terminal, served, tmp_path / "store.db") as client:
        answer = client.post("/v1/recall", json={"query": "When did the billing deploy fail?"}).json()
        assert answer["episodic"][0]["id"] == "e1"
        item = {"id": "new", "layer": "semantic", "text": "kept over HTTP"}
        assert client.post("/v1/remember", json={"items": [item]}).json() == {"kept": {"semantic": 1}}
        score = {"query_id": answer["_query_id"], "score": 1}
        assert client.post("/v1/feedback", json=score).json()["known"]
        assert client.get("/metrics").status_code == 404
        assert client.get("/v1/status").status_code == 200


def test_trace_of_an_http_request_reaches_the_members_span(
    url: str, terminal: Terminal, tmp_path: Path
) -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from athena_tuning.integrations.span_export import SpanExport

    trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    exporter = InMemorySpanExporter()
    with (
        MemoryManager(tmp_path / "memory.db") as manager,
        SpanExport(manager.profiler, exporter, "member") as export,
        serve(manager, url),
        http_server(terminal, url, tmp_path / "store.db") as client,
    ):
        for sampled in ("01", "00"):
            headers = {"traceparent": f"00-{trace}-{caller}-{sampled}"}
            client.post("/v1/recall", json={"query": f"billing {sampled}?"}, headers=headers)
        client.post("/v1/recall", json={"query": "no trace?"})
        until(lambda: len(manager.profiler.metrics) == 3)
        export.send()
    recalls = [span for span in exporter.get_finished_spans() if span.name == "recall"]
    [traced, own] = recalls  # the second one's caller does not sample
    assert f"{traced.context.trace_id:032x}" == trace
    assert f"{traced.parent.span_id:016x}" == caller
    assert own.parent is None


def _answers(client: Any) -> bool:
    import httpx

    try:
        return bool(client.get("/healthz").status_code == 200)
    except httpx.TransportError:  # it does not listen yet
        return False
