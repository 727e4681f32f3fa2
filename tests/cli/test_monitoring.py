"""A manager process serves its metrics and sends its spans while it runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from athena_tuning.recall import MemoryManager
from tests.support import command_line


@pytest.fixture
def collector():
    spans: list[str] = []
    came = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = ExportTraceServiceRequest.FromString(body)
            for each in request.resource_spans:
                spans.extend(span.name for scope in each.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()
            came.set()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", spans, came
    server.shutdown()
    server.server_close()
    thread.join()


def scraped(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_a_manager_process_serves_metrics_and_sends_spans(tmp_path: Path, collector) -> None:
    url, spans, came = collector
    memory = tmp_path / "memory.db"
    with MemoryManager(memory) as manager:
        manager.remember({"id": "e1", "layer": "episodic", "text": "The billing deploy failed on Friday."})
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from athena_tuning.cli import main; main()", "manager"),
            *("--store", f"sqlite:///{tmp_path / 's.db'}", "--memory", str(memory), "--load", "100"),
            *("--pattern", "steady", "--metrics-port", "0", "--otlp", url),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        where = process.stdout.readline().removeprefix("metrics on ").strip()
        assert process.stdout.readline() == f"spans to {url}\n"
        assert came.wait(30)
        pause = threading.Event()
        for _ in range(600):
            if "athena_tuning_recalls_total{" in (text := scraped(where)):
                break
            pause.wait(0.05)
        assert "athena_tuning_layer_duration_seconds_bucket{" in text
    finally:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    recalls = int(said.split("stopped after ")[1].split()[0])
    assert spans.count("recall") == recalls > 0


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--otlp", "localhost:4317"), "begins with http:// or https://"),
        (("--metrics-port", "1", "--metrics-host", "256.0.0.1"), "metrics cannot be served on 256.0.0.1:1"),
    ],
)
def test_what_cannot_be_reached_is_named(tmp_path: Path, args, told: str, monkeypatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with MemoryManager(tmp_path / "memory.db"):
        pass
    where = ("--store", f"sqlite:///{tmp_path / 's.db'}", "--memory", str(tmp_path / "memory.db"))
    done = command_line.run("manager", *where, *args)
    assert done.exit_code == 1
    assert told in done.stderr
